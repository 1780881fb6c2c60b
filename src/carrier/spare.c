/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks by size, each of a power of 2: what of one is never written to costs no memory. */

#include "carrier/spare.h"

#include <stdlib.h>

#include "carrier/driver.h"

struct spare_block {
    struct spare_block *next; /* of those that are free */
    size_t of;                /* its place among the sizes */
    _Alignas(16) char memory[];
};

static size_t spare_size_of(size_t size)
{
    size_t of = 0;
    while (of < SPARE_SIZES && ((size_t)1 << of) < size)
        of++;
    return of;
}

void *spare_take(struct carried_spare *spare, size_t size)
{
    size_t of = spare_size_of(size);
    if (of >= SPARE_SIZES)
        return NULL;
    struct spare_block *block = spare ? spare->blocks[of] : NULL;
    if (block)
        spare->blocks[of] = block->next;
    else
        block = malloc(sizeof *block + ((size_t)1 << of));
    if (!block)
        return NULL;
    block->of = of;
    return block->memory;
}

static struct spare_block *spare_block_of(void *memory)
{
    return (struct spare_block *)(void *)((char *)memory - offsetof(struct spare_block, memory));
}

void spare_give(struct carried_spare *spare, void *memory)
{
    if (!memory)
        return;
    struct spare_block *block = spare_block_of(memory);
    if (!spare) {
        free(block);
        return;
    }
    block->next = spare->blocks[block->of];
    spare->blocks[block->of] = block;
}

void spare_give_written(struct carried_spare *spare, const struct carried_server_ops *ops,
                        struct carried_page *page)
{
    if (spare && page->written && !spare->written) {
        spare->written = page->written;
        page->written = NULL;
    }
    carried_unwrite(ops, page);
}

void spare_release(struct carried_spare *spare, const struct carried_server_ops *ops)
{
    for (size_t of = 0; of < SPARE_SIZES; of++) {
        struct spare_block *next;
        for (struct spare_block *block = spare->blocks[of]; block; block = next) {
            next = block->next;
            free(block);
        }
    }
    if (spare->written)
        ops->unwrite(spare->written);
    *spare = (struct carried_spare){.written = NULL};
}
