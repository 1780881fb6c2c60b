/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points by tags, time, and the order in the page. A page has few different tags, so each is
 * digested once, and what is sorted are these; the points of one mostly come in the order of their
 * times.
 *
 * Two tags are the same where what is digested of them is.
 */

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/postgresql/internal.h"
#include "carrier/values.h"

/* ---- Tags ---- */

/* What a tag is told apart by, besides a text's bytes. */
static int64_t number_of_tag(const struct carried_value *tag)
{
    return tag->kind == CARRIED_TEXT     ? (int64_t)tag->length
           : tag->kind == CARRIED_NUMBER ? carried_integer(tag)
                                         : tag->kind == CARRIED_TRUE;
}

static size_t text_size_of_tag(const struct carried_value *tag)
{
    return tag->kind == CARRIED_TEXT ? tag->length : 0;
}

static void digest_tags(const struct fh_derived *declared, const struct carried_value *values,
                        unsigned char ret[static CURVES_TAGS_DIGEST])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, CURVES_TAGS_DIGEST);
    for (int i = 0; declared->fields[i].name; i++) {
        const struct carried_value *tag = &values[i];
        if (!series_is_tag(&declared->fields[i]))
            continue;
        int64_t number = number_of_tag(tag);
        crypto_generichash_update(&state, (const unsigned char *)&number, sizeof number);
        if (tag->kind == CARRIED_TEXT)
            crypto_generichash_update(&state, (const unsigned char *)tag->text, tag->length);
    }
    crypto_generichash_final(&state, ret, CURVES_TAGS_DIGEST);
}

static bool are_same_tags(const struct fh_derived *declared, const struct carried_value *one,
                          const struct carried_value *other)
{
    for (int i = 0; declared->fields[i].name; i++) {
        const struct carried_value *a = &one[i], *b = &other[i];
        if (!series_is_tag(&declared->fields[i]))
            continue;
        size_t size = text_size_of_tag(a);
        if (number_of_tag(a) != number_of_tag(b) || text_size_of_tag(b) != size ||
            (size && memcmp(a->text, b->text, size) != 0))
            return false;
    }
    return true;
}

/* Clients choose tags, and must not know which ones meet: it is made of the owner's incarnation,
 * which they are not told. */
struct hash_key {
    unsigned char bytes[crypto_shorthash_KEYBYTES];
};

static uint64_t hash_piece(uint64_t before, const void *piece, size_t size,
                           const struct hash_key *key)
{
    uint64_t hash;
    _Static_assert(sizeof hash == crypto_shorthash_BYTES, "one number");
    crypto_shorthash((unsigned char *)&hash, piece, size, key->bytes);
    return (before ^ hash) * 0x9e3779b97f4a7c15;
}

static uint64_t hash_tags(const struct fh_derived *declared, const struct carried_value *values,
                          const struct hash_key *key)
{
    uint64_t hash = 0;
    for (int i = 0; declared->fields[i].name; i++) {
        const struct carried_value *tag = &values[i];
        if (!series_is_tag(&declared->fields[i]))
            continue;
        int64_t number = number_of_tag(tag);
        size_t size = text_size_of_tag(tag);
        if (size)
            hash = hash_piece(hash, tag->text, size, key);
        else
            hash = hash_piece(hash, &number, sizeof number, key);
    }
    return hash ^ hash >> 32;
}

/* Where tags stand in page->tags, by their hash: 1 more than their place; 0: free. */
struct tags_table {
    int *places;
    size_t size; /* a power of 2, at least twice as many as there may be */
    struct hash_key key;
};

static int place_of_tags(struct curves_page *page, const struct tags_table *table,
                         const struct carried_value *values)
{
    size_t at = hash_tags(page->declared, values, &table->key) & (table->size - 1);
    while (table->places[at] &&
           !are_same_tags(page->declared, page->tags[table->places[at] - 1].values, values))
        at = (at + 1) & (table->size - 1);
    if (!table->places[at]) {
        struct curves_tags *tags = &page->tags[page->tags_count++];
        tags->values = values;
        digest_tags(page->declared, values, tags->digest);
        table->places[at] = page->tags_count;
    }
    return table->places[at] - 1;
}

static int compare_digests(const void *one, const void *other)
{
    const struct curves_tags *a = one, *b = other;
    return memcmp(a->digest, b->digest, sizeof a->digest);
}

/* *ret_ranks: of each of page->tags by its former place, which is kept in `id` meanwhile. */
static void rank_tags(struct curves_page *page, int *ret_ranks)
{
    for (int i = 0; i < page->tags_count; i++)
        page->tags[i].id = i;
    qsort(page->tags, (size_t)page->tags_count, sizeof *page->tags, compare_digests);
    for (int i = 0; i < page->tags_count; i++) {
        ret_ranks[page->tags[i].id] = i;
        page->tags[i].id = 0;
    }
}

/* ---- Points ---- */

static int compare_times(const void *one, const void *other)
{
    const struct curves_point *a = one, *b = other;
    if (a->op->at_ms != b->op->at_ms)
        return a->op->at_ms < b->op->at_ms ? -1 : 1;
    return (a->op > b->op) - (a->op < b->op);
}

/* Points of one curve, in their order in the page. */
static void sort_by_time(struct curves_point *points, int count)
{
    for (int i = 1; i < count; i++) {
        if (points[i].op->at_ms < points[i - 1].op->at_ms) {
            qsort(points, (size_t)count, sizeof *points, compare_times);
            return;
        }
    }
}

/* `begins`: for page->tags_count + 1. */
static void sort_by_tags(struct curves_page *page, const struct curves_point *points, int count,
                         int *begins)
{
    memset(begins, 0, ((size_t)page->tags_count + 1) * sizeof *begins);
    for (int i = 0; i < count; i++)
        begins[points[i].tags + 1]++;
    for (int i = 0; i < page->tags_count; i++)
        begins[i + 1] += begins[i];
    for (int i = 0; i < count; i++)
        page->points[begins[points[i].tags]++] = points[i];
    /* Now each is where its points end. */
    for (int i = 0, from = 0; i < page->tags_count; from = begins[i++])
        sort_by_time(page->points + from, begins[i] - from);
}

/* A row of a generation that is filled may follow a correction that it did not know. */
static bool stands_before(const struct carried_op *one, const struct carried_op *other)
{
    int lives = one->life && other->life ? strcmp(one->life, other->life) : 0;
    return lives ? lives > 0 : one->position > other->position;
}

static void keep_newest_of_each(struct curves_page *page, int count)
{
    for (int i = 0; i < count; i++) {
        const struct curves_point *point = &page->points[i];
        struct curves_point *kept = page->count ? &page->points[page->count - 1] : NULL;
        if (kept && kept->tags == point->tags && kept->op->at_ms == point->op->at_ms) {
            if (!stands_before(kept->op, point->op))
                *kept = *point;
            continue;
        }
        page->times[page->count] = point->op->at_ms;
        page->points[page->count++] = *point;
    }
}

bool curves_page_sort(struct curves_page *page, const struct carried_name *generation,
                      struct carried_op *const *ops, int count)
{
    struct tags_table table = {.size = 64};
    while (table.size < 2 * (size_t)count)
        table.size *= 2;
    table.places = calloc(table.size, sizeof *table.places);
    crypto_generichash(table.key.bytes, sizeof table.key.bytes,
                       (const unsigned char *)generation->incarnation,
                       strlen(generation->incarnation), NULL, 0);
    struct curves_point *points = malloc(((size_t)count + 1) * sizeof *points);
    int *ranks = malloc(((size_t)count + 1) * sizeof *ranks);
    int *begins = malloc(((size_t)count + 2) * sizeof *begins);
    bool sorted = table.places && points && ranks && begins;
    if (sorted) {
        for (int i = 0; i < count; i++)
            points[i] = (struct curves_point){.op = ops[i],
                                              .tags = place_of_tags(page, &table, ops[i]->values)};
        rank_tags(page, ranks);
        for (int i = 0; i < count; i++)
            points[i].tags = ranks[points[i].tags];
        sort_by_tags(page, points, count, begins);
        keep_newest_of_each(page, count);
    }
    free(table.places);
    free(points);
    free(ranks);
    free(begins);
    return sorted;
}
