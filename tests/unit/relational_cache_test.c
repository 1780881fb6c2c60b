/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of compiled SQL texts, of which a service may have more than it takes. */

#include "harness.h"

#include <stdio.h>
#include <string.h>

#include "store/relational/relational.h"

#define TEXTS 2000 /* more than the cache takes */

enum { STATEMENT_SIZE = RELATIONAL_SQL_MAX + 100 };

static struct store store;
static struct store_work work = {.store = &store};
static bool is_nested;

static void run_text(int number)
{
    char sql[64];
    snprintf(sql, sizeof sql, "SELECT %d WHERE :a = :b", number);
    json_t *object = json_pack("{s:[i], s:{}}", "a", 1, "b");
    assert_int_equal(relational_run(&work, sql, &object, 1, 1, NULL, NULL, ERROR_UNHEEDED), FH_OK);
    json_decref(object);
}

/* While the first statement waits for the server, others run all those texts. */
static enum fh_code run_slowly(struct store_work *of, const char *sql,
                               const struct sql_value *values, int count, sql_visit *visit,
                               void *context, int64_t *ret_changes, struct fh_error *error)
{
    (void)of, (void)values, (void)visit, (void)context, (void)ret_changes, (void)error;
    assert_int_equal(count, 2);
    if (is_nested)
        return FH_OK;
    is_nested = true;
    for (int i = 1; i < TEXTS; i++)
        run_text(i);
    is_nested = false;
    assert_string_equal(sql, "SELECT 0 WHERE ?1 = ?2");
    return FH_OK;
}

static void a_text_that_runs_outlives_its_place_in_the_cache(void **state)
{
    static const struct sql_ops sql = {.list_format = "(%d)", .run = run_slowly};
    static const struct engine engine = {.name = "slow", .sql = &sql};
    (void)state;
    store = (struct store){.engine = &engine};
    run_text(0);
    run_text(0);
    relational_cache_free(store.relational);
}

static enum fh_code run_never(struct store_work *of, const char *sql,
                              const struct sql_value *values, int count, sql_visit *visit,
                              void *context, int64_t *ret_changes, struct fh_error *error)
{
    (void)of, (void)values, (void)count, (void)visit, (void)context, (void)ret_changes, (void)error;
    fail_msg("it ran: %.80s", sql);
    return FH_OK;
}

/* `UPDATE ... SET price = :n ... WHERE id = :id` without its end is another statement. */
static void a_statement_that_does_not_fit_whole_never_runs(void **state)
{
    static const struct sql_ops sql = {.list_format = "(%d)", .run = run_never};
    static const struct engine engine = {.name = "strict", .sql = &sql};
    static char many[RELATIONAL_NAMES_MAX * 32], longer[STATEMENT_SIZE];
    struct fh_error error;
    json_t *object = json_object();
    (void)state;
    store = (struct store){.engine = &engine};
    size_t length = (size_t)snprintf(many, sizeof many, "UPDATE item SET n = 0");
    for (int i = 0; i <= RELATIONAL_NAMES_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%d", i);
        json_object_set_new(object, name, json_integer(i));
        length += (size_t)snprintf(many + length, sizeof many - length, ", c%d = :c%d", i, i);
    }
    memset(longer, ' ', sizeof longer - 1);
    memcpy(longer, "DELETE FROM item", strlen("DELETE FROM item"));
    memcpy(longer + sizeof longer - 20, "WHERE id = :c1", strlen("WHERE id = :c1"));
    const char *const statements[] = {many, longer};
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        assert_int_equal(relational_run(&work, statements[i], &object, 1, 1, NULL, NULL, &error),
                         FH_UNSUPPORTED);
        assert_non_null(strstr(error.message, "more than 64 parameters"));
    }
    json_decref(object);
    relational_cache_free(store.relational);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_that_runs_outlives_its_place_in_the_cache),
        cmocka_unit_test(a_statement_that_does_not_fit_whole_never_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
