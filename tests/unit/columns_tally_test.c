/* SPDX-License-Identifier: Apache-2.0 */
/* What a question of columns tells apart and compares, at its bounds: rows that no store has to
 * hold. */

#include "../support/fixture.h"

#include <stdint.h>

#include "base/json.h"
#include "store/derived/columns.h"

static const struct fh_derived_field fields[] = {
    {"who", FH_STRING, FH_TAG}, {"n", FH_INT}, {"c", FH_NUMBER}, {0}};
static const struct fh_derived sold = {"sold", FH_COLUMNS, fields};
static const char *const who[] = {"who", NULL};

struct asked {
    struct fh_columns columns;
    struct columns_question question;
    struct columns_tally tally;
    struct fh_error error;
};

/* Reads the fields that it names, those of `by` first. */
static void begin(struct asked *asked, const struct fh_columns *columns)
{
    *asked = (struct asked){.columns = *columns};
    assert_int_equal(
        columns_question_init(&asked->question, &sold, &asked->columns, INT64_MIN, &asked->error),
        FH_OK);
    columns_tally_init(&asked->tally, &asked->question);
}

static enum fh_code add_fact(struct asked *asked, struct sql_value one, struct sql_value other)
{
    const struct sql_value values[] = {sql_integer(0), one, other};
    return columns_tally_fact(&asked->tally, &(struct sql_row){.count = 3, .values = values},
                              &asked->error);
}

static struct sql_value real(double value)
{
    return (struct sql_value){.kind = SQL_REAL, .real = value};
}

/* The rows of the answer; NULL: error says why. */
static char *answer_of(struct asked *asked)
{
    json_t *answer = NULL;
    char *text = NULL;
    if (columns_answer(&asked->tally, &answer, &asked->error) == FH_OK)
        text = json_text(json_object_get(answer, "rows"));
    json_decref(answer);
    columns_tally_release(&asked->tally);
    return text;
}

static void answers(struct asked *asked, const char *rows)
{
    char *text = answer_of(asked);
    assert_non_null(text);
    assert_string_equal(text, rows);
    json_text_free(text);
}

/* ---- How much ---- */

static const char *const uniq_who[] = {"uniq who", NULL};

static void so_many_values_are_told_apart(void **state)
{
    struct asked asked;
    char text[16];
    (void)state;
    begin(&asked, &(struct fh_columns){.values = uniq_who});
    for (int i = 0; i < COLUMNS_UNIQ_MAX; i++) {
        snprintf(text, sizeof text, "%d", i);
        assert_int_equal(add_fact(&asked, sql_text(text), real(0)), FH_OK);
    }
    assert_int_equal(add_fact(&asked, sql_text("7"), real(0)), FH_OK); /* was met */
    assert_int_equal(add_fact(&asked, sql_text("one more"), real(0)), FH_INVALID);
    assert_string_equal(asked.error.field, "values");
    answers(&asked, "[[1000000]]");
}

/* How many are taken of such as fit in by their number, and don't by what they say. */
static int long_ones_taken(const struct fh_columns *columns, const char *field)
{
    char text[DERIVED_WORD_LENGTH_MAX + 1];
    struct asked asked;
    int taken = 0;
    begin(&asked, columns);
    asked.tally.arena.size_max = 1 << 20;
    memset(text, 'x', sizeof text);
    do {
        text[snprintf(text, sizeof text, "%d", taken)] = 'x';
        text[DERIVED_WORD_LENGTH_MAX] = '\0';
    } while (add_fact(&asked, sql_text(text), real(0)) == FH_OK && ++taken < 100000);
    assert_int_equal(asked.error.code, FH_INVALID);
    assert_string_equal(asked.error.field, field);
    columns_tally_release(&asked.tally);
    return taken;
}

static void long_texts_come_to_the_bound_of_memory_first(void **state)
{
    static const char *const count[] = {"count", NULL};
    (void)state;
    int most = (1 << 20) / DERIVED_WORD_LENGTH_MAX;
    assert_in_range(long_ones_taken(&(struct fh_columns){.values = uniq_who}, "values"), 1, most);
    assert_in_range(long_ones_taken(&(struct fh_columns){.by = who, .values = count}, "by"), 1,
                    most);
}

/* ---- What is the same ---- */

static void there_is_one_zero_and_a_text_is_all_of_its_bytes(void **state)
{
    static const char *const values[] = {"uniq who", "uniq c", "min c", "max c", NULL};
    struct asked asked;
    (void)state;
    begin(&asked, &(struct fh_columns){.values = values});
    assert_int_equal(add_fact(&asked, sql_text(""), real(-0.0)), FH_OK);
    assert_int_equal(add_fact(&asked, sql_text("a"), real(0.0)), FH_OK);
    assert_int_equal(add_fact(&asked, sql_text("A"), sql_integer(0)), FH_OK);
    assert_int_equal(add_fact(&asked, sql_text("a "), real(5e-324)), FH_OK);
    assert_int_equal(add_fact(&asked, sql_text("a"), (struct sql_value){.kind = SQL_NULL}), FH_OK);
    answers(&asked, "[[4,2,0.0,5e-324]]");
}

/* ---- Sums ---- */

static const char *const sums[] = {"sum n", "mean n", "sum c", NULL};

static void begin_sums(struct asked *asked, json_t *having)
{
    begin(asked, &(struct fh_columns){.values = sums, .having = having});
}

static void sums_are_whole_to_the_last_of_64_bits(void **state)
{
    struct asked asked;
    (void)state;
    begin_sums(&asked, NULL);
    for (int i = 0; i < 3; i++) /* beyond 64 bits on the way, and beyond a double */
        assert_int_equal(add_fact(&asked, sql_integer(INT64_MAX), real(1.7e308)), FH_OK);
    assert_int_equal(add_fact(&asked, sql_integer(INT64_MIN), real(-1.7e308)), FH_OK);
    assert_int_equal(add_fact(&asked, sql_integer(INT64_MIN), real(-1.7e308)), FH_OK);
    assert_int_equal(add_fact(&asked, sql_integer(1), real(0)), FH_OK);
    answers(&asked, "[[\"9223372036854775806\",1.5372286728091292e18,1.7e308]]");
    begin_sums(&asked, NULL);
    assert_int_equal(add_fact(&asked, sql_integer(INT64_MIN), real(0)), FH_OK);
    assert_int_equal(add_fact(&asked, sql_integer(-1), real(0)), FH_OK);
    answers(&asked, "[[-9.223372036854776e18,-4.611686018427388e18,0.0]]");
}

static void a_sum_that_no_number_can_be_is_refused(void **state)
{
    struct asked asked;
    (void)state;
    begin_sums(&asked, NULL);
    assert_int_equal(add_fact(&asked, sql_integer(1), real(1.7e308)), FH_OK);
    assert_int_equal(add_fact(&asked, sql_integer(1), real(1.7e308)), FH_OK);
    assert_null(answer_of(&asked));
    assert_int_equal(asked.error.code, FH_INVALID);
    assert_string_equal(asked.error.field, "values");
}

/* ---- Bounds ---- */

/* Whether a sum of 2^53 + 1 is within them. */
static bool is_within(const char *bounds)
{
    struct asked asked;
    json_t *having = NULL;
    assert_int_equal(json_parse(bounds, strlen(bounds), &having, ERROR_UNHEEDED), FH_OK);
    begin_sums(&asked, having);
    assert_int_equal(add_fact(&asked, sql_integer(INT64_C(1) << 53), real(1)), FH_OK);
    assert_int_equal(add_fact(&asked, sql_integer(1), real(1)), FH_OK);
    char *text = answer_of(&asked);
    assert_non_null(text);
    bool within = strcmp(text, "[]") != 0;
    json_text_free(text);
    json_decref(having);
    return within;
}

static void bounds_are_as_exact_as_sums(void **state)
{
    (void)state;
    assert_true(is_within("{\"sum n\": {\"min\": 9007199254740993}}"));
    assert_true(is_within("{\"sum n\": {\"min\": \"9007199254740993\"}}"));
    assert_false(is_within("{\"sum n\": {\"min\": 9007199254740994}}"));
    assert_false(is_within("{\"sum n\": {\"max\": 9007199254740992}}"));
    assert_true(is_within("{\"sum n\": {\"max\": \"9007199254740993\", \"min\": 1e15}}"));
    assert_false(is_within("{\"sum n\": {\"min\": \"9223372036854775807\"}}"));
    assert_true(is_within("{\"sum n\": {\"max\": 1.7e308, \"min\": -1.7e308}}"));
    assert_false(is_within("{\"sum n\": {\"min\": 3, \"max\": 2}}"));
    assert_true(is_within("{\"sum n\": {}}"));
    assert_true(is_within("{\"sum c\": {\"min\": 2, \"max\": 2.0}}"));
}

/* Another one's, or whose fault it is. */
static void refuses(const char *having, const char *field)
{
    struct asked asked;
    json_t *given = NULL;
    assert_int_equal(json_parse(having, strlen(having), &given, ERROR_UNHEEDED), FH_OK);
    assert_int_equal(columns_question_init(&asked.question, &sold,
                                           &(struct fh_columns){.values = sums, .having = given},
                                           INT64_MIN, &asked.error),
                     FH_INVALID);
    assert_string_equal(asked.error.field, field);
    json_decref(given);
}

static void a_bound_that_is_no_number_is_refused(void **state)
{
    (void)state;
    refuses("{\"sum n\": {\"min\": null}}", "having");
    refuses("{\"sum n\": {\"min\": \"\"}}", "having");
    refuses("{\"sum n\": {\"min\": \"1e3\"}}", "having");
    refuses("{\"sum n\": {\"min\": \"9223372036854775808\"}}", "having");
    refuses("{\"sum n\": {\"min\": true}}", "having");
    refuses("{\"sum n\": {\"min\": [1]}}", "having");
    refuses("{\"sum n\": {\"least\": 1}}", "");
    refuses("{\"sum n\": 1}", "");
    refuses("{\"SUM n\": {\"min\": 1}}", "");
    refuses("[]", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_values_are_told_apart),
        cmocka_unit_test(long_texts_come_to_the_bound_of_memory_first),
        cmocka_unit_test(there_is_one_zero_and_a_text_is_all_of_its_bytes),
        cmocka_unit_test(sums_are_whole_to_the_last_of_64_bits),
        cmocka_unit_test(a_sum_that_no_number_can_be_is_refused),
        cmocka_unit_test(bounds_are_as_exact_as_sums),
        cmocka_unit_test(a_bound_that_is_no_number_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
