/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each write is kept twice: in what readers see, and in the list of what is not durable. A sync
 * replays the list onto the durable bytes. Losing power replays a drawn part of it instead, one
 * write of it perhaps only in its first sectors, and lets readers see the result.
 */

#include "simulate/image.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "simulate/disk.h"

struct image_write {
    struct image_write *next;
    bool resize; /* to `at` */
    size_t at, length;
    unsigned char data[];
};

struct image *image_new(void)
{
    struct image *image = calloc(1, sizeof *image);
    FH_ASSERT(image != NULL);
    image->last = &image->first;
    return image;
}

static void drop_first_write(struct image *image)
{
    struct image_write *write = image->first;
    image->first = write->next;
    if (!image->first)
        image->last = &image->first;
    image->write_count--;
    free(write);
}

void image_lose(struct image *image)
{
    while (image->first)
        drop_first_write(image);
}

void image_free(struct image *image)
{
    image_lose(image);
    free(image->seen.data);
    free(image->durable.data);
    free(image);
}

static void bytes_resize(struct image_bytes *bytes, size_t size)
{
    if (size > bytes->capacity) {
        size_t capacity = bytes->capacity ? bytes->capacity : 16384;
        while (capacity < size)
            capacity *= 2;
        bytes->data = realloc(bytes->data, capacity);
        FH_ASSERT(bytes->data != NULL);
        bytes->capacity = capacity;
    }
    if (size > bytes->size)
        memset(bytes->data + bytes->size, 0, size - bytes->size);
    bytes->size = size;
}

static void bytes_write(struct image_bytes *bytes, const void *data, size_t length, size_t at)
{
    if (!length)
        return;
    if (at + length > bytes->size)
        bytes_resize(bytes, at + length);
    memcpy(bytes->data + at, data, length);
}

size_t image_read(const struct image *image, void *buffer, size_t length, size_t at)
{
    size_t there = at >= image->seen.size ? 0 : image->seen.size - at;
    size_t some = there < length ? there : length;
    if (some)
        memcpy(buffer, image->seen.data + at, some);
    memset((char *)buffer + some, 0, length - some);
    return some;
}

static void append_write(struct image *image, bool resize, const void *data, size_t length,
                         size_t at)
{
    struct image_write *write = malloc(sizeof *write + length);
    FH_ASSERT(write != NULL);
    *write = (struct image_write){.resize = resize, .at = at, .length = length};
    if (length)
        memcpy(write->data, data, length);
    *image->last = write;
    image->last = &write->next;
    image->write_count++;
}

void image_write(struct image *image, const void *data, size_t length, size_t at)
{
    bytes_write(&image->seen, data, length, at);
    append_write(image, false, data, length, at);
}

void image_resize(struct image *image, size_t size)
{
    bytes_resize(&image->seen, size);
    append_write(image, true, NULL, 0, size);
}

static void replay_write(struct image *image, const struct image_write *write, size_t length)
{
    if (write->resize)
        bytes_resize(&image->durable, write->at);
    else
        bytes_write(&image->durable, write->data, length, write->at);
}

void image_sync(struct image *image, size_t count)
{
    for (size_t i = 0; i < count && image->first; i++) {
        replay_write(image, image->first, image->first->length);
        drop_first_write(image);
    }
}

/* How a drive came to lose them: nothing written yet, all, in order up to somewhere, or any. */
enum power { POWER_NONE, POWER_ALL, POWER_FIRST, POWER_ANY, POWER_WAYS };

size_t image_power_fails(struct image *image, struct simulate *simulate)
{
    enum power way = (enum power)simulate_below(simulate, POWER_WAYS);
    size_t first = way == POWER_FIRST ? simulate_below(simulate, image->write_count + 1) : 0;
    size_t kept = 0;
    for (size_t i = 0; image->first; i++) {
        const struct image_write *write = image->first;
        bool keep = way == POWER_ALL || (way == POWER_FIRST && i < first) ||
                    (way == POWER_ANY && simulate_chance(simulate, 500000));
        bool torn = way == POWER_FIRST && i == first;
        size_t sectors = write->length / SIMULATE_SECTOR;
        if (keep || torn) {
            kept += keep;
            replay_write(image, write,
                         keep ? write->length
                              : (size_t)simulate_below(simulate, sectors + 1) * SIMULATE_SECTOR);
        }
        drop_first_write(image);
    }
    image->seen.size = 0;
    bytes_write(&image->seen, image->durable.data, image->durable.size, 0);
    return kept;
}
