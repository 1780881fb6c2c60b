/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a store's catalog, however many columns its tables have. */

#include "harness.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "store/relational/catalog.h"

#define COLUMNS 2000

static int tables;

static enum fh_code run_catalog(struct store_work *work, const char *sql,
                                const struct sql_value *values, int count, sql_visit *visit,
                                void *context, int64_t *ret_changes, struct fh_error *error)
{
    (void)work, (void)values, (void)count, (void)ret_changes, (void)error;
    int names = strcmp(sql, "tables") == 0    ? tables
                : strcmp(sql, "columns") == 0 ? COLUMNS
                : strcmp(sql, "key") == 0     ? 1
                                              : 0;
    char name[16];
    for (int i = 0; i < names; i++) {
        snprintf(name, sizeof name, "n%05d", i);
        struct sql_value value = sql_text(name);
        if (!visit(context, &(struct sql_row){.count = 1, .values = &value}))
            break;
    }
    return FH_OK;
}

static enum fh_code read_all(struct arena *arena, struct catalog *ret, struct fh_error *error)
{
    static const struct sql_dialect dialect = {
        .tables = "tables", .columns = "columns", .key = "key", .parents = "parents"};
    static const struct sql_ops sql = {.dialect = &dialect, .run = run_catalog};
    static const struct engine engine = {.name = "wide", .sql = &sql};
    struct store store = {.engine = &engine};
    struct store_work work = {.store = &store};
    return catalog_read(&work, arena, ret, error);
}

static void each_column_of_a_wide_table_is_there(void **state)
{
    struct arena arena;
    struct catalog catalog;
    (void)state;
    tables = 2;
    arena_init(&arena, (size_t)16 << 20);
    assert_int_equal(read_all(&arena, &catalog, ERROR_UNHEEDED), FH_OK);
    assert_int_equal(catalog.count, 2);
    assert_int_equal(catalog.tables[1].column_count, COLUMNS);
    assert_string_equal(catalog.tables[1].columns[COLUMNS - 1], "n01999");
    assert_true(catalog_has_column(&catalog.tables[0], "n00256"));
    assert_int_equal(catalog.tables[0].key_count, 1);
    arena_release(&arena);
}

static void more_tables_than_fit_are_refused(void **state)
{
    struct arena arena;
    struct catalog catalog;
    struct fh_error error;
    (void)state;
    tables = CATALOG_TABLES_MAX + 1;
    arena_init(&arena, (size_t)16 << 20);
    assert_int_equal(read_all(&arena, &catalog, &error), FH_UNSUPPORTED);
    assert_non_null(strstr(error.message, "1000"));
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_column_of_a_wide_table_is_there),
        cmocka_unit_test(more_tables_than_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
