/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The best so many of all that match, in a heap whose root is the worst of them: a match that is
 * not better than it, as most are not, costs one comparison. The order is SQLite's: numbers by
 * their value, texts by their bytes, matches of the same place by their ids.
 */

#include "store/derived/best.h"

#include <stdlib.h>

static int compare_integers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static double real_of_number(const struct sql_value *value)
{
    return value->kind == SQL_REAL ? value->real : (double)value->integer;
}

/* Those of one column are of one kind; a cursor's may be any. */
static int compare_values(const struct sql_value *a, const struct sql_value *b)
{
    if (a->kind == SQL_TEXT && b->kind == SQL_TEXT) {
        int order = memcmp(a->text, b->text, a->length < b->length ? a->length : b->length);
        return order ? order : (a->length > b->length) - (a->length < b->length);
    }
    if (a->kind == SQL_TEXT || b->kind == SQL_TEXT)
        return a->kind == SQL_TEXT ? 1 : -1;
    if (a->kind == SQL_INTEGER && b->kind == SQL_INTEGER)
        return compare_integers(a->integer, b->integer);
    double one = real_of_number(a), other = real_of_number(b);
    return (one > other) - (one < other);
}

/* Negative: the first one comes earlier. */
static int compare_places(const struct best *best, const struct sql_value *by, int64_t id,
                          const struct sql_value *other_by, int64_t other_id)
{
    int order = compare_values(by, other_by);
    if (!order)
        order = compare_integers(id, other_id);
    return best->descending ? -order : order;
}

static bool match_is_later(const struct best *best, int at, int than)
{
    const struct best_match *one = best->heap[at], *other = best->heap[than];
    return compare_places(best, &one->by, one->id, &other->by, other->id) > 0;
}

static void swap_matches(struct best *best, int at, int with)
{
    struct best_match *match = best->heap[at];
    best->heap[at] = best->heap[with];
    best->heap[with] = match;
}

static void match_up(struct best *best, int at)
{
    for (; at && match_is_later(best, at, (at - 1) / 2); at = (at - 1) / 2)
        swap_matches(best, at, (at - 1) / 2);
}

/* Of the first `count`. */
static void match_down(struct best *best, int at, int count)
{
    for (;;) {
        int child = at * 2 + 1;
        if (child + 1 < count && match_is_later(best, child + 1, child))
            child++;
        if (child >= count || !match_is_later(best, child, at))
            return;
        swap_matches(best, at, child);
        at = child;
    }
}

enum fh_code best_init(struct best *best, const struct question *question, struct fh_error *error)
{
    *best = (struct best){.limit = question->limit,
                          .descending = question->search->descending && question->sort >= 0};
    if (question->after) {
        best->after = true;
        best->after_by = question->values[question->value_count];
        best->after_id = question->values[question->value_count + 1].integer;
    }
    best->matches = calloc((size_t)best->limit, sizeof *best->matches);
    best->heap = calloc((size_t)best->limit, sizeof(struct best_match *));
    if (best->matches && best->heap)
        return FH_OK;
    return error_set(error, FH_NO_MEMORY, "There is no memory for an answer.");
}

void best_release(struct best *best)
{
    free(best->matches);
    free(best->heap);
}

static void match_set(struct best_match *match, const struct sql_value *by, int64_t id)
{
    match->id = id;
    match->by = *by;
    if (by->kind != SQL_TEXT)
        return;
    FH_ASSERT(by->length < sizeof match->text);
    memcpy(match->text, by->text, by->length);
    match->by.text = match->text;
}

void best_offer(struct best *best, const struct sql_value *by, int64_t id)
{
    if (best->after && compare_places(best, by, id, &best->after_by, best->after_id) <= 0)
        return;
    best->passed++;
    if (best->count < best->limit) {
        best->heap[best->count] = &best->matches[best->count];
        match_set(best->heap[best->count], by, id);
        match_up(best, best->count++);
    } else if (compare_places(best, by, id, &best->heap[0]->by, best->heap[0]->id) < 0) {
        match_set(best->heap[0], by, id);
        match_down(best, 0, best->count);
    }
}

void best_sort(struct best *best)
{
    for (int left = best->count - 1; left > 0; left--) {
        swap_matches(best, 0, left);
        match_down(best, 0, left);
    }
}
