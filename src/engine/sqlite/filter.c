/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which commands may have a record: a Bloom filter in memory. Nearly all keyed requests come with a
 * key that was never used, and to learn that from the table takes a statement on the loop.
 *
 * What the filter rules out has no record, in the table or among the late rows; of all others the
 * table is asked. That is right because it has every record:
 * - It is filled from the table, in the order of its key, some records with each look on the
 *   writing connection (fill.c), and answers nothing before the end is reached.
 * - What is recorded from then on is added when it is recorded, before it is in the table; what is
 *   among the late rows when it begins to be filled is added then.
 * - A statement that may make records in another way has it filled anew. There is no other process
 *   that writes.
 *
 * Records that are deleted or rolled back leave their bits. So it is filled anew once as many were
 * added as it is made for, larger if there are so many; the one before answers meanwhile. What
 * exceeds FILTER_BLOCKS_MAX makes it rule out less, not wrongly. Nothing of it outlives the
 * process.
 */

#include <stdlib.h>
#include <string.h>

#include "engine/sqlite/internal.h"

#define BLOCK_WORDS 8 /* of 64 bits: a line of the processor's cache */
#define BITS_OF_A_KEY 4
#define BLOCK_KEYS 42 /* about 12 bits each: of 100 keys that are new one is not ruled out */
#define FILTER_BLOCKS_MIN ((size_t)1 << 9)  /* 32 KiB */
#define FILTER_BLOCKS_MAX ((size_t)1 << 17) /* 8 MiB */

static uint64_t filter_hash(const char *caller, const char *key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *caller; caller++)
        hash = (hash ^ (unsigned char)*caller) * UINT64_C(0x100000001b3);
    hash = (hash ^ 0xff) * UINT64_C(0x100000001b3); /* no text has that byte */
    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * UINT64_C(0x100000001b3);
    hash = (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93);
    hash = (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return hash ^ hash >> 32;
}

/* Nine bits of the hash for each bit in the block, the upper ones for the block. */
static uint64_t *filter_block(const struct sqlite_bits *bits, uint64_t hash)
{
    return bits->words + (hash >> 40) % bits->blocks * BLOCK_WORDS;
}

static void bits_add(struct sqlite_bits *bits, uint64_t hash)
{
    if (!bits->words)
        return;
    uint64_t *block = filter_block(bits, hash);
    for (int i = 0; i < BITS_OF_A_KEY; i++, hash >>= 9)
        block[hash >> 6 & 7] |= UINT64_C(1) << (hash & 63);
    bits->count++;
}

static bool bits_have(const struct sqlite_bits *bits, uint64_t hash)
{
    const uint64_t *block = filter_block(bits, hash);
    for (int i = 0; i < BITS_OF_A_KEY; i++, hash >>= 9) {
        if (!(block[hash >> 6 & 7] >> (hash & 63) & 1))
            return false;
    }
    return true;
}

static void bits_free(struct sqlite_bits *bits)
{
    free(bits->words);
    *bits = (struct sqlite_bits){0};
}

void sqlite_filter_add(struct sqlite_filter *filter, const char *caller, const char *key)
{
    uint64_t hash = filter_hash(caller, key);
    bits_add(&filter->whole, hash);
    bits_add(&filter->next, hash);
}

bool sqlite_filter_rules_out(const struct sqlite_filter *filter, const char *caller,
                             const char *key)
{
    return filter->whole.words && !bits_have(&filter->whole, filter_hash(caller, key));
}

static void next_end(struct sqlite_filter *filter)
{
    free(filter->caller);
    free(filter->key);
    filter->caller = filter->key = NULL;
    filter->next = (struct sqlite_bits){0};
}

void sqlite_filter_forget(struct sqlite_filter *filter)
{
    bits_free(&filter->whole);
    bits_free(&filter->next);
    next_end(filter);
}

bool sqlite_filter_is_due(const struct sqlite_filter *filter)
{
    return !filter->whole.words || filter->whole.count >= filter->whole.most;
}

bool sqlite_filter_begin(struct sqlite_filter *filter)
{
    size_t blocks = filter->whole.words ? filter->whole.blocks : FILTER_BLOCKS_MIN;
    if (filter->next.words)
        blocks = filter->next.blocks * 2;
    bits_free(&filter->next);
    next_end(filter);
    filter->next.words = calloc(blocks * BLOCK_WORDS, sizeof *filter->next.words);
    filter->next.blocks = blocks;
    filter->next.most = (int64_t)blocks * BLOCK_KEYS;
    return filter->next.words != NULL;
}

bool sqlite_filter_overflows(const struct sqlite_filter *filter)
{
    return filter->next.count > filter->next.most && filter->next.blocks < FILTER_BLOCKS_MAX;
}

void sqlite_filter_find(struct sqlite_filter *filter, const char *caller, const char *key)
{
    bits_add(&filter->next, filter_hash(caller, key));
}

void sqlite_filter_end(struct sqlite_filter *filter)
{
    bits_free(&filter->whole);
    filter->whole = filter->next;
    if (filter->whole.most < filter->whole.count * 2)
        filter->whole.most = filter->whole.count * 2;
    next_end(filter);
}

void sqlite_filter_rolled_back(struct sqlite_filter *filter, uint64_t filled)
{
    if (filter->slices != filled)
        sqlite_filter_forget(filter);
}
