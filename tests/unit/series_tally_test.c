/* SPDX-License-Identifier: Apache-2.0 */
/* How much a question of a series reads and keeps at most: rows that no store has to hold. */

#include "../support/fixture.h"

#include <stdint.h>

#include "store/derived/series.h"

static const struct fh_derived_field fields[] = {{"device", FH_INT, FH_TAG}, {"c", FH_NUMBER},
                                                 {"d", FH_NUMBER},           {"e", FH_NUMBER},
                                                 {"f", FH_NUMBER},           {0}};
static const struct fh_derived measured = {"measured", FH_SERIES, fields};
static const char *const nothing[] = {NULL};

struct asked {
    struct series_question question;
    struct series_tally tally;
    struct fh_error error;
};

static void begin(struct asked *asked, const struct fh_series *series)
{
    assert_int_equal(
        series_question_init(&asked->question, &measured, series, INT64_MIN, &asked->error), FH_OK);
    series_tally_init(&asked->tally, &asked->question);
}

static enum fh_code add_curve(struct asked *asked, int64_t id)
{
    const struct sql_value values[] = {sql_integer(id), sql_integer(id)};
    return series_tally_curve(&asked->tally, &(struct sql_row){.count = 2, .values = values},
                              &asked->error);
}

static enum fh_code add_point(struct asked *asked, int64_t at_ms)
{
    struct sql_value values[] = {sql_integer(1), sql_integer(at_ms), {0}, {0}, {0}, {0}};
    return series_tally_point(&asked->tally, &(struct sql_row){.count = 6, .values = values},
                              &asked->error);
}

/* How many are taken before one is refused, for this field. */
static int64_t points_taken(const struct fh_series *series, const char *field)
{
    struct asked asked;
    int64_t taken = 0;
    begin(&asked, series);
    assert_int_equal(add_curve(&asked, 1), FH_OK);
    assert_int_equal(series_tally_group(&asked.tally, &asked.error), FH_OK);
    while (taken < 10 * SERIES_FOUND_MAX && add_point(&asked, taken % 1000) == FH_OK)
        taken++;
    assert_int_equal(asked.error.code, FH_INVALID);
    assert_string_equal(asked.error.field, field);
    series_tally_release(&asked.tally);
    return taken;
}

static void so_many_points_are_read(void **state)
{
    const struct fh_series counted = {
        .to_ms = 1000, .every_ms = 1000, .values = (const char *const[]){"count", NULL}};
    (void)state;
    assert_int_equal(points_taken(&counted, "tags"), SERIES_FOUND_MAX);
}

static void so_many_values_are_kept_of_points(void **state)
{
    const struct fh_series all = {.to_ms = 1000, .limit = 1, .by = nothing};
    (void)state;
    assert_int_equal(points_taken(&all, "limit"), SERIES_VALUES_FOUND_MAX / 4);
}

static void so_many_curves_are_read(void **state)
{
    const struct fh_series all = {.to_ms = 1000, .limit = 1};
    struct asked asked;
    (void)state;
    begin(&asked, &all);
    for (int64_t id = 1; id <= SERIES_CURVES_MAX; id++)
        assert_int_equal(add_curve(&asked, id), FH_OK);
    assert_int_equal(add_curve(&asked, SERIES_CURVES_MAX + 1), FH_INVALID);
    assert_string_equal(asked.error.field, "tags");
    series_tally_release(&asked.tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_points_are_read),
        cmocka_unit_test(so_many_values_are_kept_of_points),
        cmocka_unit_test(so_many_curves_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
