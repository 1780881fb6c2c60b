/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of 8 KiB and more, bump allocation, freed together. Blocks double in size so that a large
 * unit of work needs few of them. Some freed blocks of the smallest size are kept for reuse, since
 * thousands of small units of work per second would otherwise call malloc for nothing.
 */

#define _GNU_SOURCE
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct arena_block {
    struct arena_block *older;
    size_t size; /* including this header */
    _Alignas(16) char data[];
};

#define BLOCK_SIZE_MIN ((size_t)8 << 10)
#define BLOCK_SIZE_MAX ((size_t)1 << 20)
#define KEPT_MAX 64

static _Thread_local struct arena_block *kept;
static _Thread_local int kept_count;

void arena_init(struct arena *arena, size_t size_max)
{
    *arena = (struct arena){.size_max = size_max};
}

void arena_rewind(struct arena *arena, const struct arena *mark)
{
    struct arena_block *block = arena->blocks;
    while (block != mark->blocks) {
        struct arena_block *older = block->older;
        if (block->size == BLOCK_SIZE_MIN && kept_count < KEPT_MAX) {
            block->older = kept;
            kept = block;
            kept_count++;
        } else {
            free(block);
        }
        block = older;
    }
    *arena = *mark;
}

void arena_release(struct arena *arena)
{
    arena_rewind(arena, &(struct arena){.size_max = arena->size_max});
}

static struct arena_block *block_new(size_t size)
{
    if (size == BLOCK_SIZE_MIN && kept) {
        struct arena_block *block = kept;
        kept = block->older;
        kept_count--;
        return block;
    }
    return malloc(size);
}

static void *refuse_allocation(struct arena *arena)
{
    arena->refused = true;
    return NULL;
}

void *arena_try_alloc(struct arena *arena, size_t size)
{
    if (size > arena->size_max || size > PTRDIFF_MAX)
        return refuse_allocation(arena);
    size = size ? (size + 15) & ~(size_t)15 : 16;
    if (size > (size_t)(arena->end - arena->next)) {
        size_t needed = size + sizeof(struct arena_block);
        size_t left = arena->size < arena->size_max ? arena->size_max - arena->size : 0;
        size_t wanted = arena->blocks ? arena->blocks->size * 2 : BLOCK_SIZE_MIN;
        if (needed > left)
            return refuse_allocation(arena);
        if (wanted > BLOCK_SIZE_MAX)
            wanted = BLOCK_SIZE_MAX;
        if (wanted > left)
            wanted = left & ~(size_t)15;
        if (wanted < needed)
            wanted = needed;
        struct arena_block *block = block_new(wanted);
        if (!block)
            return refuse_allocation(arena);
        block->older = arena->blocks;
        block->size = wanted;
        arena->blocks = block;
        arena->size += wanted;
        arena->next = block->data;
        arena->end = (char *)block + wanted;
    }
    void *memory = arena->next;
    arena->next += size;
    return memory;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    void *memory = arena_try_alloc(arena, size);
    FH_ASSERT(memory != NULL);
    return memset(memory, 0, size);
}

char *arena_copy(struct arena *arena, const char *text, size_t length)
{
    char *copy = arena_alloc(arena, length + 1);
    if (length)
        memcpy(copy, text, length);
    return copy;
}

char *arena_text(struct arena *arena, const char *text)
{
    return arena_copy(arena, text, strlen(text));
}

char *arena_joined(struct arena *arena, const char *const *texts, size_t count)
{
    size_t length = 0;
    for (size_t i = 0; i < count; i++)
        length += strlen(texts[i]);
    char *joined = arena_alloc(arena, length + 1), *at = joined;
    for (size_t i = 0; i < count; i++)
        at = stpcpy(at, texts[i]);
    return joined;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    FH_ASSERT(length >= 0);
    char *text = arena_alloc(arena, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}
