/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_IMAGE_H
#define SIMULATE_IMAGE_H

/* One file's bytes: as readers see them, as they are durable, and the writes in between. */

#include "simulate/core.h"

struct image_bytes {
    unsigned char *data;
    size_t size, capacity;
};

struct image_write; /* written and not synced; or a change of size */

struct image {
    struct image_bytes seen, durable;
    struct image_write *first, **last;
    size_t write_count;
    struct image *next; /* of the disk's */
    bool used;
};

struct image *image_new(void);
void image_free(struct image *image);
/* Returns how many bytes there were; the rest is cleared. */
size_t image_read(const struct image *image, void *buffer, size_t length, size_t at);
void image_write(struct image *image, const void *data, size_t length, size_t at);
void image_resize(struct image *image, size_t size);
/* Makes the first `count` writes durable (all there are, at most). */
void image_sync(struct image *image, size_t count);
/* Forgets them: seen, and never to be durable. */
void image_lose(struct image *image);
/* What the drive has of it when the power goes. Returns how many of the writes it has. */
size_t image_power_fails(struct image *image, struct simulate *simulate);

#endif
