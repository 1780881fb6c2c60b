/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

/*
 * Memory by lifetime: all that one unit of work allocates is freed together when it ends. Bounded:
 * beyond `size_max` bytes an allocation returns NULL.
 */

#include <stdbool.h>
#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    char *next, *end;           /* the free part of the newest block */
    size_t size;                /* bytes taken from malloc */
    size_t size_max;
    bool refused; /* an allocation was refused: what was being built may be incomplete */
};

#define ARENA_SIZE_MAX ((size_t)64 << 20)

void arena_init(struct arena *arena, size_t size_max);
void arena_release(struct arena *arena);
/* Frees all that was allocated since `mark`, a copy of the arena, was made. */
void arena_rewind(struct arena *arena, const struct arena *mark);
/* Aligned to 16 bytes, not cleared. NULL beyond the bound or if memory runs out. */
void *arena_try_alloc(struct arena *arena, size_t size);
/* The same, cleared, and never NULL: for small things. Sizes that grow with input are bounded
 * first. */
void *arena_alloc(struct arena *arena, size_t size);
char *arena_copy(struct arena *arena, const char *text, size_t length); /* adds a NUL */
char *arena_text(struct arena *arena, const char *text);
/* The texts one behind the other: several times as fast as arena_printf. */
char *arena_joined(struct arena *arena, const char *const *texts, size_t count);
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
