/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of compiled SQL texts, of which a service may have more than it takes. */

#include "harness.h"

#include <stdio.h>
#include <string.h>

#include "store/relational/relational.h"

#define TEXTS 2000 /* more than the cache takes */

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_that_runs_outlives_its_place_in_the_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
