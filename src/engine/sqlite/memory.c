/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much memory a question takes (question.c). SQLite sorts and groups in memory here, since it
 * has no place on the disk for that, and what a question sorts may be a whole table. A question
 * runs on one thread from its beginning to its end, so what SQLite takes there meanwhile is
 * counted:
 *
 *     SQLITE_QUESTION_MEMORY_MAX       it is interrupted at the next look, as one that is late
 *     twice as much                    it gets no more, should it come to that between two looks
 *
 * Threads without a question count nothing.
 */

#include "engine/sqlite/internal.h"

static sqlite3_mem_methods given;
static _Thread_local int64_t counted_max; /* 0: nothing is counted */
static _Thread_local int64_t counted;     /* less than nothing: what was there before was freed */
static _Thread_local bool refused;

static void *counting_malloc(int size)
{
    if (!counted_max)
        return given.xMalloc(size);
    refused |= counted + size > 2 * counted_max;
    if (refused)
        return NULL;
    void *memory = given.xMalloc(size);
    if (memory)
        counted += given.xSize(memory);
    return memory;
}

static void counting_free(void *memory)
{
    if (counted_max && memory)
        counted -= given.xSize(memory);
    given.xFree(memory);
}

static void *counting_realloc(void *memory, int size)
{
    if (!counted_max)
        return given.xRealloc(memory, size);
    int before = given.xSize(memory);
    refused |= counted + size - before > 2 * counted_max;
    if (refused)
        return NULL;
    void *moved = given.xRealloc(memory, size);
    if (moved)
        counted += given.xSize(moved) - before;
    return moved;
}

/* Refused once SQLite is in use, which leaves questions uncounted. */
void sqlite_memory_init(void)
{
    if (given.xMalloc || sqlite3_config(SQLITE_CONFIG_GETMALLOC, &given) != SQLITE_OK)
        return;
    sqlite3_mem_methods counting = given;
    counting.xMalloc = counting_malloc;
    counting.xFree = counting_free;
    counting.xRealloc = counting_realloc;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &counting);
}

void sqlite_memory_count(int64_t most)
{
    counted_max = most;
    counted = 0;
    refused = false;
}

bool sqlite_memory_is_over(void)
{
    return refused || (counted_max && counted > counted_max);
}
