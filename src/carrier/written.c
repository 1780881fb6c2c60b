/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server's `write` makes of a page: carriers have it made with the page (page.c); whoever
 * sends one that they made themselves has it made here, just before. So a driver's `send` has one
 * way only.
 */

#include "carrier/driver.h"
#include "world/world.h"

struct page_writing {
    const struct carried_server_ops *ops;
    const struct fh_derived *declared;
    const struct carried_name *generation;
    struct carried_page *page;
};

static void write_now(void *context)
{
    struct page_writing *writing = context;
    writing->page->written =
        writing->ops->write(writing->declared, writing->generation, writing->page, NULL);
}

bool carried_write(struct world *world, const struct carried_server_ops *ops,
                   const struct fh_derived *declared, const struct carried_name *generation,
                   struct carried_page *page)
{
    struct page_writing writing = {ops, declared, generation, page};
    if (page->written)
        return false;
    world_blocking(world, write_now, &writing);
    return true;
}

void carried_unwrite(const struct carried_server_ops *ops, struct carried_page *page)
{
    if (page->written)
        ops->unwrite(page->written);
    page->written = NULL;
}
