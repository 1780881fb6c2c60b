/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_SPARE_H
#define CARRIER_SPARE_H

/*
 * Memory that one page has used, for the next one. A page is some megabytes: where malloc gives
 * these back to the system each time, the service spends a third of its time on getting them again.
 * It lives as long as pages follow each other. For one page at a time: no lock.
 */

#include <stddef.h>

#include "carrier/server.h"

#define SPARE_SIZES 40 /* powers of 2 */

struct spare_block;

struct carried_spare {
    struct spare_block *blocks[SPARE_SIZES];
    void *written; /* what a server's `write` has made of a page that nobody needs any more */
};

/* Not cleared, aligned to 16 bytes. NULL: there is no memory. `spare`: NULL where there is none. */
void *spare_take(struct carried_spare *spare, size_t size);
/* What spare_take has returned, or NULL. */
void spare_give(struct carried_spare *spare, void *memory);
/* page->written, if there is any. */
void spare_give_written(struct carried_spare *spare, const struct carried_server_ops *ops,
                        struct carried_page *page);
/* Gives all of it back. */
void spare_release(struct carried_spare *spare, const struct carried_server_ops *ops);

#endif
