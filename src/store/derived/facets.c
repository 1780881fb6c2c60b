/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counts are in one table for all facets of a question, found by hash: a place is free, or has
 * a value and how often that was seen; what meets a place that is taken goes to the next one. Texts
 * are anybody's, so the hash has a seed of the question's own.
 *
 * Values are as their field's type is: texts, or integers, which truth values are here.
 */

#include "store/derived/facets.h"

#include <stdio.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define PLACES_MIN 64

struct facet_count {
    int64_t count; /* 0: the place is free */
    int field;
    uint32_t hash;
    int64_t integer;
    char *text; /* NULL: it is an integer */
    size_t length;
};

void facets_init(struct facets *facets, const struct question *question, uint64_t seed)
{
    *facets = (struct facets){.question = question, .seed = seed};
}

void facets_release(struct facets *facets)
{
    for (size_t i = 0; i < facets->size; i++)
        free(facets->counts[i].text);
    free(facets->counts);
}

/* ---- Counting ---- */

static uint32_t hash_facet(const struct facets *facets, int field, const struct sql_value *value)
{
    uint64_t seed = facets->seed + (uint64_t)field;
    return (uint32_t)(value->kind == SQL_TEXT
                          ? XXH3_64bits_withSeed(value->text, value->length, seed)
                          : XXH3_64bits_withSeed(&value->integer, sizeof value->integer, seed));
}

static bool is_count_of(const struct facet_count *count, int field, uint32_t hash,
                        const struct sql_value *value)
{
    if (count->hash != hash || count->field != field || !count->text != (value->kind != SQL_TEXT))
        return false;
    return count->text ? count->length == value->length &&
                             memcmp(count->text, value->text, value->length) == 0
                       : count->integer == value->integer;
}

static bool grow_facets(struct facets *facets)
{
    size_t size = facets->size ? facets->size * 2 : PLACES_MIN;
    struct facet_count *counts = calloc(size, sizeof *counts);
    if (!counts)
        return false;
    for (size_t i = 0; i < facets->size; i++) {
        size_t at = facets->counts[i].hash & (size - 1);
        while (counts[at].count)
            at = (at + 1) & (size - 1);
        if (facets->counts[i].count)
            counts[at] = facets->counts[i];
    }
    free(facets->counts);
    facets->counts = counts;
    facets->size = size;
    return true;
}

static bool count_begin(struct facet_count *count, int field, uint32_t hash,
                        const struct sql_value *value)
{
    struct facet_count begun = {.count = 1, .field = field, .hash = hash};
    if (value->kind == SQL_TEXT) {
        begun.text = malloc(value->length + 1);
        if (!begun.text)
            return false;
        memcpy(begun.text, value->text, value->length);
        begun.text[value->length] = '\0';
        begun.length = value->length;
    } else {
        begun.integer = value->integer;
    }
    *count = begun;
    return true;
}

static enum fh_code too_many_values(const struct facets *facets, int field, struct fh_error *error)
{
    return derived_unfit(error, facets->question->declared->fields[field].name,
                         "What was found has more than %d different values of its facets, too many "
                         "to be counted: narrow the question.",
                         SEARCH_VALUES_MAX);
}

static enum fh_code facets_no_memory(struct fh_error *error)
{
    return error_set(error, FH_NO_MEMORY, "There is no memory to count the values of facets.");
}

enum fh_code facets_add(struct facets *facets, int field, const struct sql_value *value,
                        struct fh_error *error)
{
    if (facets->used * 4 >= facets->size * 3 && !grow_facets(facets))
        return facets_no_memory(error);
    uint32_t hash = hash_facet(facets, field, value);
    struct facet_count *count = &facets->counts[hash & (facets->size - 1)];
    while (count->count && !is_count_of(count, field, hash, value)) {
        if (++count == facets->counts + facets->size)
            count = facets->counts;
    }
    if (count->count++)
        return FH_OK;
    count->count = 0;
    if (facets->used >= SEARCH_VALUES_MAX)
        return too_many_values(facets, field, error);
    if (!count_begin(count, field, hash, value))
        return facets_no_memory(error);
    facets->used++;
    return FH_OK;
}

/* ---- Showing ---- */

/* The more frequent one first; of the same count as SQLite orders them. */
static int compare_counts(const void *a, const void *b)
{
    const struct facet_count *one = *(struct facet_count *const *)a,
                             *other = *(struct facet_count *const *)b;
    if (one->count != other->count)
        return one->count < other->count ? 1 : -1;
    if (!one->text || !other->text)
        return (one->integer > other->integer) - (one->integer < other->integer);
    size_t common = one->length < other->length ? one->length : other->length;
    int order = memcmp(one->text, other->text, common);
    return order ? order : (one->length > other->length) - (one->length < other->length);
}

json_t *facet_value(const struct fh_derived_field *field, const struct sql_value *value,
                    int64_t count)
{
    json_t *found = value->kind == SQL_TEXT  ? json_stringn(value->text, value->length)
                    : field->type == FH_BOOL ? json_boolean(value->integer)
                                             : json_integer(value->integer);
    return json_pack("{s:o, s:I}", "value", found, "count", (json_int_t)count);
}

static json_t *show_facet(const struct facets *facets, int field, const struct facet_count **sorted)
{
    size_t count = 0;
    json_t *shown = json_array();
    for (size_t i = 0; i < facets->size; i++) {
        if (facets->counts[i].count && facets->counts[i].field == field)
            sorted[count++] = &facets->counts[i];
    }
    qsort(sorted, count, sizeof *sorted, compare_counts);
    for (size_t i = 0; i < count && i < SEARCH_COUNTS_MAX; i++) {
        struct sql_value value = sql_integer(sorted[i]->integer);
        if (sorted[i]->text)
            value = (struct sql_value){
                .kind = SQL_TEXT, .text = sorted[i]->text, .length = sorted[i]->length};
        json_array_append_new(shown, facet_value(&facets->question->declared->fields[field], &value,
                                                 sorted[i]->count));
    }
    return shown;
}

enum fh_code facets_show(const struct facets *facets, json_t **ret, struct fh_error *error)
{
    const struct question *question = facets->question;
    const char *const *names = question->search->facets;
    const struct facet_count **sorted = calloc(facets->used + 1, sizeof(struct facet_count *));
    *ret = NULL;
    if (!sorted)
        return facets_no_memory(error);
    *ret = json_object();
    for (int i = 0; names && names[i]; i++)
        json_object_set_new(
            *ret, names[i],
            show_facet(facets, question_field(question->declared, names[i], FH_FACET), sorted));
    free(sorted);
    return FH_OK;
}
