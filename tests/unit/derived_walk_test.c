/* SPDX-License-Identifier: Apache-2.0 */
/* What a search makes of all that match, which come in any order: the page behind a cursor, and how
 * often the values of facets occur. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "../support/starved.h"

#include "store/derived/best.h"
#include "store/derived/facets.h"

#define MATCHES 500
#define LIMIT 37

static const struct fh_derived_field fields[] = {
    {"name", FH_STRING, FH_TEXT | FH_SORTED}, {"kind", FH_STRING, FH_FACET},
    {"year", FH_INT, FH_FACET | FH_SORTED},   {"new", FH_BOOL, FH_FACET},
    {"price", FH_NUMBER, FH_SORTED},          {0}};
static const struct fh_derived things = {.name = "things", .model = FH_SEARCH, .fields = fields};

/* ---- Pages ---- */

static char texts[MATCHES][8];

/* With many of the same place; the id tells them apart. */
static struct sql_value value_of_match(enum sql_kind kind, int id)
{
    int place = id * 37 % 50;
    if (kind == SQL_INTEGER)
        return sql_integer(place - 25);
    if (kind == SQL_REAL)
        return (struct sql_value){.kind = SQL_REAL, .real = (place - 25) / 4.0};
    snprintf(texts[id], sizeof texts[id], place % 2 ? "%d" : "%dx", place);
    return sql_text(texts[id]);
}

struct listed {
    struct sql_value by;
    int64_t id;
};

static int compare_listed(const void *a, const void *b)
{
    const struct listed *one = a, *other = b;
    int order = one->by.kind == SQL_TEXT ? strcmp(one->by.text, other->by.text)
                : one->by.kind == SQL_REAL
                    ? (one->by.real > other->by.real) - (one->by.real < other->by.real)
                    : (one->by.integer > other->by.integer) - (one->by.integer < other->by.integer);
    return order ? order : (one->id > other->id) - (one->id < other->id);
}

static void offer_all(struct best *best, enum sql_kind kind)
{
    for (int i = 0; i < MATCHES; i++) {
        int id = i * 211 % MATCHES;
        struct sql_value by = value_of_match(kind, id);
        best_offer(best, &by, id);
    }
    best_sort(best);
}

static void pages_are_as_of_a_sorted_list(enum sql_kind kind, bool descending)
{
    struct fh_search search = {.descending = descending};
    struct question question = {.declared = &things, .search = &search, .limit = LIMIT};
    struct listed listed[MATCHES];
    struct fh_error error;
    for (int i = 0; i < MATCHES; i++)
        listed[i] = (struct listed){value_of_match(kind, i), i};
    qsort(listed, MATCHES, sizeof *listed, compare_listed);
    json_t *cursor = json_array();
    for (int from = 0; from < MATCHES; from += LIMIT) {
        struct best best;
        assert_int_equal(best_init(&best, &question, &error), FH_OK);
        offer_all(&best, kind);
        int left = MATCHES - from;
        assert_int_equal(best.count, left < LIMIT ? left : LIMIT);
        assert_int_equal(best_goes_on(&best), left > LIMIT);
        for (int i = 0; i < best.count; i++) {
            int at = descending ? MATCHES - 1 - from - i : from + i;
            assert_int_equal(best.heap[i]->id, listed[at].id);
        }
        int last = descending ? MATCHES - from - best.count : from + best.count - 1;
        question.after = cursor;
        question.values[0] = listed[last].by;
        question.values[1] = sql_integer(listed[last].id);
        best_release(&best);
    }
    json_decref(cursor);
}

static void a_page_is_a_part_of_the_sorted_list(void **state)
{
    (void)state;
    for (int descending = 0; descending < 2; descending++) {
        pages_are_as_of_a_sorted_list(SQL_INTEGER, descending);
        pages_are_as_of_a_sorted_list(SQL_REAL, descending);
        pages_are_as_of_a_sorted_list(SQL_TEXT, descending);
    }
}

/* Its sum is right, and its values of another kind than the field's. */
static void a_cursor_of_another_kind_of_value_is_one_end(void **state)
{
    static const struct {
        enum sql_kind after, kind;
        int count;
    } cases[] = {{SQL_TEXT, SQL_INTEGER, 0},
                 {SQL_TEXT, SQL_REAL, 0},
                 {SQL_INTEGER, SQL_TEXT, LIMIT},
                 {SQL_REAL, SQL_TEXT, LIMIT}};
    struct fh_search search = {0};
    struct question question = {.declared = &things, .search = &search, .limit = LIMIT};
    struct fh_error error;
    (void)state;
    question.after = json_array();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct best best;
        question.values[0] = value_of_match(cases[i].after, 3);
        assert_int_equal(best_init(&best, &question, &error), FH_OK);
        offer_all(&best, cases[i].kind);
        assert_int_equal(best.count, cases[i].count);
        best_release(&best);
    }
    json_decref(question.after);
}

/* ---- Facets ---- */

static const char *const all_facets[] = {"kind", "year", "new", NULL};
static const struct fh_search counting = {.facets = all_facets};
static struct question counted = {.declared = &things, .search = &counting};

static void count_value(struct facets *facets, int field, struct sql_value value, int times)
{
    struct fh_error error;
    for (int i = 0; i < times; i++)
        assert_int_equal(facets_add(facets, field, &value, &error), FH_OK);
}

static void expect_counts(const struct facets *facets, const char *text)
{
    struct fh_error error;
    json_t *shown, *expected = json_loads(text, 0, NULL);
    assert_int_equal(facets_show(facets, &shown, &error), FH_OK);
    assert_non_null(expected);
    if (!json_equal(shown, expected))
        fail_msg("%s", json_dumps(shown, JSON_COMPACT));
    json_decref(shown);
    json_decref(expected);
}

static void values_of_several_facets_are_counted_apart(void **state)
{
    struct facets facets;
    (void)state;
    facets_init(&facets, &counted, 7);
    expect_counts(&facets, "{\"kind\":[],\"year\":[],\"new\":[]}");
    count_value(&facets, 1, sql_text("boot"), 2);
    count_value(&facets, 1, sql_text("boots"), 3);
    count_value(&facets, 1, sql_text(""), 2);
    count_value(&facets, 2, sql_integer(0), 1);
    count_value(&facets, 2, sql_integer(-5), 1);
    count_value(&facets, 2, sql_integer(INT64_MAX), 4);
    count_value(&facets, 3, sql_integer(0), 1);
    count_value(&facets, 3, sql_integer(1), 2);
    expect_counts(&facets,
                  "{\"kind\":[{\"value\":\"boots\",\"count\":3},{\"value\":\"\",\"count\":2},"
                  "{\"value\":\"boot\",\"count\":2}],"
                  "\"year\":[{\"value\":9223372036854775807,\"count\":4},"
                  "{\"value\":-5,\"count\":1},{\"value\":0,\"count\":1}],"
                  "\"new\":[{\"value\":true,\"count\":2},{\"value\":false,\"count\":1}]}");
    facets_release(&facets);
}

static void only_so_many_different_values_are_counted(void **state)
{
    struct facets facets;
    struct fh_error error;
    char text[16];
    (void)state;
    facets_init(&facets, &counted, 7);
    for (int i = 0; i < SEARCH_VALUES_MAX; i++) {
        snprintf(text, sizeof text, "%d", i);
        count_value(&facets, i % 2 + 1, i % 2 ? sql_integer(i) : sql_text(text), 1);
    }
    struct sql_value more = sql_text("more");
    assert_int_equal(facets_add(&facets, 1, &more, &error), FH_INVALID);
    assert_string_equal(error.field, "kind");
    count_value(&facets, 2, sql_integer(1), 1); /* which is there */
    json_t *shown;
    assert_int_equal(facets_show(&facets, &shown, &error), FH_OK);
    assert_int_equal(json_array_size(json_object_get(shown, "kind")), SEARCH_COUNTS_MAX);
    assert_int_equal(json_integer_value(json_object_get(
                         json_array_get(json_object_get(shown, "year"), 0), "count")),
                     2);
    json_decref(shown);
    facets_release(&facets);
}

#define REFUSED 7

static void walk_without_memory(void)
{
    const struct fh_search search = {0};
    const struct question question = {.declared = &things, .search = &search, .limit = LIMIT};
    const struct sql_value value = sql_text("boot");
    struct best best;
    struct facets facets;
    struct fh_error error;
    facets_init(&facets, &counted, 7);
    if (facets_add(&facets, 1, &value, &error) == FH_NO_MEMORY &&
        best_init(&best, &question, &error) == FH_NO_MEMORY)
        _exit(REFUSED);
}

static void without_memory_neither_ends_the_process(void **state)
{
    (void)state;
    if (SANITIZED)
        SKIP_BECAUSE("memory ends otherwise with sanitizers");
    assert_int_equal(ended_without_memory(walk_without_memory), -REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_a_part_of_the_sorted_list),
        cmocka_unit_test(a_cursor_of_another_kind_of_value_is_one_end),
        cmocka_unit_test(values_of_several_facets_are_counted_apart),
        cmocka_unit_test(only_so_many_different_values_are_counted),
        cmocka_unit_test(without_memory_neither_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
