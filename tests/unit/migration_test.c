/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Migrations: their files and notes, and how they are applied. What an engine can't roll back is
 * tested on SQLite with an engine's table that says so; the servers' own tests are in
 * tests/scenario.
 */

#define _GNU_SOURCE
#include "../support/harness.h"

#include "../support/dialect.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/engines.h"
#include "service/migration.h"
#include "service/runtime.h"
#include "engine/sqlite/internal.h"

struct fixture {
    struct harness harness;
    char folder[128]; /* of the migrations */
    struct sql_ops sql;
    struct engine engine;
    struct store *store;
    int applied;
    enum fh_code code;
    struct fh_error error;
    const char *query;
    char seen[1024];
};

static void open_store(void *argument)
{
    struct fixture *fixture = argument;
    struct store_options options = {
        .service = "books", .folder = fixture->harness.folder, .model = FH_RELATIONAL};
    fixture->code = engine_embedded()->store->open(&options, fixture->harness.world,
                                                   &fixture->store, &fixture->error);
}

static void close_store(void *argument)
{
    store_close(((struct fixture *)argument)->store);
}

static int set_up(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    harness_init(&fixture.harness);
    snprintf(fixture.folder, sizeof fixture.folder, "%s/migrations", fixture.harness.folder);
    mkdir(fixture.folder, 0700);
    harness_run(&fixture.harness, open_store, &fixture);
    assert_int_equal(fixture.code, FH_OK);
    fixture.sql = *engine_embedded()->sql;
    fixture.engine = *engine_embedded();
    fixture.engine.sql = &fixture.sql;
    fixture.store->engine = &fixture.engine;
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    harness_run(&fixture->harness, close_store, fixture);
    harness_release(&fixture->harness);
    return 0;
}

static void put(struct fixture *fixture, const char *name, const char *sql)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", fixture->folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(sql, file);
    fclose(file);
}

static void drop(struct fixture *fixture, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", fixture->folder, name);
    assert_int_equal(unlink(path), 0);
}

static void run_migrate(void *argument)
{
    struct fixture *fixture = argument;
    fixture->error = (struct fh_error){0};
    fixture->code =
        service_migrate(fixture->store, fixture->folder, &fixture->applied, &fixture->error);
}

static void assert_applies(struct fixture *fixture, int count)
{
    harness_run(&fixture->harness, run_migrate, fixture);
    assert_string_equal(fixture->error.message, "");
    assert_int_equal(fixture->code, FH_OK);
    assert_int_equal(fixture->applied, count);
}

/* `said`: parts of the message, up to NULL. */
static void assert_fails(struct fixture *fixture, const char *const *said)
{
    harness_run(&fixture->harness, run_migrate, fixture);
    assert_int_equal(fixture->code, FH_INVALID);
    for (; *said; said++) {
        if (!strstr(fixture->error.message, *said))
            fail_msg("\"%s\" is not in: %s", *said, fixture->error.message);
    }
}
#define ASSERT_FAILS(fixture, ...) assert_fails(fixture, (const char *const[]){__VA_ARGS__, NULL})

static bool add_row(void *context, const struct sql_row *row)
{
    struct fixture *fixture = context;
    size_t length = strlen(fixture->seen);
    for (int i = 0; i < row->count; i++) {
        const struct sql_value *value = &row->values[i];
        const char *between = i ? "," : length ? " " : "";
        if (value->kind == SQL_INTEGER)
            length += (size_t)snprintf(fixture->seen + length, sizeof fixture->seen - length,
                                       "%s%lld", between, (long long)value->integer);
        else
            length += (size_t)snprintf(fixture->seen + length, sizeof fixture->seen - length,
                                       "%s%s", between, value->text ? value->text : "NULL");
    }
    return true;
}

static void run_query(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    fixture->seen[0] = '\0';
    fixture->code = store_begin(fixture->store, STORE_WRITE, &work, &fixture->error);
    if (fixture->code != FH_OK)
        return;
    fixture->code = sql_run(work, fixture->query, NULL, 0, add_row, fixture, NULL, &fixture->error);
    if (fixture->code == FH_OK)
        fixture->code = store_commit(work, &fixture->error);
    else
        store_rollback(work);
}

static void assert_rows(struct fixture *fixture, const char *query, const char *expected)
{
    fixture->query = query;
    harness_run(&fixture->harness, run_query, fixture);
    assert_int_equal(fixture->code, FH_OK);
    assert_string_equal(fixture->seen, expected);
}

static const char *const names = "SELECT version, name FROM fh_migration ORDER BY version";
static const char *const tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
                                  " AND name LIKE 't%' ORDER BY name";

/* ---- Files ---- */

static void files_are_applied_once_and_in_order_of_their_numbers(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "0010_ten.sql", "ALTER TABLE t ADD COLUMN b INT;");
    put(fixture, "2_two.sql", "CREATE TABLE t (a INT);");
    put(fixture, "README", "no migration");
    assert_applies(fixture, 2);
    assert_rows(fixture, names, "2,2_two.sql 10,0010_ten.sql");
    assert_applies(fixture, 0);
    put(fixture, "0011_eleven.sql", "-- nothing at all\n");
    assert_applies(fixture, 1);
    put(fixture, "0003_late.sql", "CREATE TABLE t3 (a INT)");
    ASSERT_FAILS(fixture, "0003_late.sql is new", "11 was applied");
}

static void an_engines_own_variant_wins(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "0001_a.sql", "CREATE TABLE t_plain (a INT)");
    put(fixture, "0002_b.sql", "CREATE TABLE t_second (a INT)");
    char path[256];
    snprintf(path, sizeof path, "%s/sqlite", fixture->folder);
    mkdir(path, 0700);
    put(fixture, "sqlite/0001_a.sql", "CREATE TABLE t_own (a INT)");
    assert_applies(fixture, 2);
    assert_rows(fixture, tables, "t_own t_second");
    assert_rows(fixture, names, "1,sqlite/0001_a.sql 2,0002_b.sql");
}

static void wrong_files_are_named(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "create.sql", "");
    ASSERT_FAILS(fixture, "create.sql", "expected a name like 0001_create_orders.sql");
    drop(fixture, "create.sql");
    put(fixture, "0001_a.sql", "");
    put(fixture, "1_b.sql", "");
    ASSERT_FAILS(fixture, "0001_a.sql", "1_b.sql", "same number");
}

static void an_unknown_note_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "0001_a.sql", "-- freehold: aloen\nSELECT 1;");
    ASSERT_FAILS(fixture, "0001_a.sql", "\"aloen\"", "\"alone\"");
    put(fixture, "0001_a.sql", "SELECT 1;\n-- freehold: alone\nSELECT 1;");
    ASSERT_FAILS(fixture, "\"alone\"", "before the first statement");
    put(fixture, "0001_a.sql", "-- freehold: breaks older versions:\nSELECT 1;");
    ASSERT_FAILS(fixture, "REASON");
    put(fixture, "0001_a.sql", "SELECT 1;\n-- freehold: breaks older versions: why\n");
    ASSERT_FAILS(fixture, "breaks older versions");
    put(fixture, "0001_a.sql",
        "-- A licence.\n-- freehold: alone\n"
        "-- freehold: breaks older versions: why\nCREATE TABLE t (a INT);");
    assert_applies(fixture, 1);
}

static void a_note_has_its_reason(void **state)
{
    struct fixture *fixture = *state;
    struct migrations all;
    struct script_statement first, second;
    const char *reason;
    int length;
    put(fixture, "0001_a.sql",
        "SELECT 1;\n  -- freehold: breaks older versions: nobody runs them \nSELECT 2;");
    assert_int_equal(
        migrations_read(fixture->folder, "sqlite", dialect_of("sqlite"), &all, ERROR_UNHEEDED),
        FH_OK);
    struct script script = script_begin(all.rows[0].sql, dialect_of("sqlite"));
    assert_true(script_next(&script, &first) && script_next(&script, &second));
    assert_false(migration_breaks(&all.rows[0], &first, &reason, &length));
    assert_true(migration_breaks(&all.rows[0], &second, &reason, &length));
    assert_int_equal(length, (int)strlen("nobody runs them"));
    assert_memory_equal(reason, "nobody runs them", (size_t)length);
    migrations_release(&all);
}

/* ---- As one transaction ---- */

static void a_failure_is_reported_with_file_statement_and_line(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "0001_a.sql", "CREATE TABLE t (a INT);\n\n-- and now\nCREATE\nTABLE t (a INT);\n");
    ASSERT_FAILS(fixture, "0001_a.sql", "nothing of it stands", "statement 2, line 4",
                 "already exists");
    assert_rows(fixture, tables, "");
    assert_rows(fixture, names, "");
}

static void a_migration_can_not_end_its_transaction(void **state)
{
    struct fixture *fixture = *state;
    static const char *const ends[] = {"COMMIT",      "begin", "rollback", "START TRANSACTION",
                                       "savepoint a", "end"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char sql[128];
        snprintf(sql, sizeof sql, "CREATE TABLE t (a INT);\n%s;", ends[i]);
        put(fixture, "0001_a.sql", sql);
        ASSERT_FAILS(fixture, "statement 2, line 2", "transaction");
        assert_rows(fixture, tables, "");
    }
}

static void a_migration_sets_nothing_for_the_units_of_work_after_it(void **state)
{
    struct fixture *fixture = *state;
    static const char *const sets[] = {"PRAGMA ignore_check_constraints = ON",
                                       "pragma main.Query_Only(1)", "PRAGMA user_version=5"};
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        char sql[128];
        snprintf(sql, sizeof sql, "CREATE TABLE t (a INT);\n%s;", sets[i]);
        put(fixture, "0001_a.sql", sql);
        ASSERT_FAILS(fixture, "statement 2, line 2", "sets a PRAGMA");
        assert_rows(fixture, tables, "");
    }
    put(fixture, "0001_a.sql",
        "PRAGMA foreign_keys = OFF; PRAGMA defer_foreign_keys = ON; CREATE TABLE t (a INT); PRAGMA "
        "foreign_key_check(t);");
    assert_applies(fixture, 1);
}

static void an_older_version_starts_on_what_a_newer_one_has_applied(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "0001_a.sql", "CREATE TABLE t (a INT)");
    put(fixture, "0002_b.sql", "CREATE TABLE t2 (a INT)");
    assert_applies(fixture, 2);
    drop(fixture, "0002_b.sql");
    assert_applies(fixture, 0);
    drop(fixture, "0001_a.sql");
    put(fixture, "0003_c.sql", "CREATE TABLE t3 (a INT)");
    ASSERT_FAILS(fixture, "its file is gone");
}

/* ---- Statement by statement ---- */

static const char *const progress =
    "SELECT version, done, running FROM fh_migration_open ORDER BY version";

static void what_is_done_is_not_done_again_and_the_rest_may_be_fixed(void **state)
{
    struct fixture *fixture = *state;
    fixture->sql.schema_commits = true;
    put(fixture, "0001_a.sql",
        "CREATE TABLE t (a INT);\nINSERT INTO t VALUES (1);\nCREATE TABLE t (a INT);\n");
    ASSERT_FAILS(fixture, "0001_a.sql", "statement 3, line 3", "what is before it stands",
                 "goes on with it", "already exists");
    assert_rows(fixture, progress, "1,2,0");
    assert_rows(fixture, names, "");
    ASSERT_FAILS(fixture, "statement 3, line 3");
    put(fixture, "0001_a.sql",
        "CREATE TABLE t (a INT);\nINSERT INTO t VALUES (2);\nCREATE TABLE t2 (a INT);\n");
    ASSERT_FAILS(fixture, "first 2 statements", "some have changed");
    put(fixture, "0001_a.sql", "CREATE TABLE t (a INT);\n");
    ASSERT_FAILS(fixture, "first 2 statements");
    put(fixture, "0001_a.sql",
        "CREATE TABLE t (a INT);\nINSERT INTO t VALUES (1);\nCREATE TABLE t2 (a INT);\n");
    assert_applies(fixture, 1);
    assert_rows(fixture, "SELECT a FROM t", "1");
    assert_rows(fixture, tables, "t t2");
    assert_rows(fixture, names, "1,0001_a.sql");
    assert_rows(fixture, progress, "");
}

static void a_first_statement_that_fails_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    fixture->sql.schema_commits = true;
    put(fixture, "0001_a.sql", "INSERT INTO t VALUES (1)");
    ASSERT_FAILS(fixture, "statement 1, line 1", "nothing of it stands");
    put(fixture, "0001_a.sql", "COMMIT");
    ASSERT_FAILS(fixture, "statement 1, line 1", "transaction");
    put(fixture, "0001_a.sql", "CREATE TABLE t (a INT)");
    assert_applies(fixture, 1);
}

static void a_migration_that_was_begun_may_not_go(void **state)
{
    struct fixture *fixture = *state;
    fixture->sql.schema_commits = true;
    put(fixture, "0001_a.sql", "CREATE TABLE t (a INT); CREATE TABLE t (a INT);");
    ASSERT_FAILS(fixture, "statement 2");
    drop(fixture, "0001_a.sql");
    put(fixture, "0002_b.sql", "CREATE TABLE t2 (a INT)");
    ASSERT_FAILS(fixture, "0001_a.sql was begun", "its file is gone");
}

static void what_may_have_been_done_is_repeated_only_if_it_is_noted_as_repeatable(void **state)
{
    struct fixture *fixture = *state;
    fixture->sql.schema_commits = true;
    put(fixture, "0001_a.sql", "CREATE TABLE t (a INT); CREATE TABLE t (a INT);");
    ASSERT_FAILS(fixture, "statement 2");
    /* As left by a process that died before it learned of the second one's end. */
    assert_rows(fixture, "UPDATE fh_migration_open SET running = 2", "");
    put(fixture, "0001_a.sql", "CREATE TABLE t (a INT);\nCREATE TABLE t2 (a INT);");
    ASSERT_FAILS(fixture, "0001_a.sql was cut off in statement 2, line 2",
                 "UPDATE fh_migration_open SET running = 0");
    assert_rows(fixture, tables, "t");
    put(fixture, "0001_a.sql", "CREATE TABLE t (a INT);\nCREATE TABLE IF NOT EXISTS t2 (a INT);");
    assert_applies(fixture, 1);
    assert_rows(fixture, tables, "t t2");
}

static void a_cut_off_statement_runs_again_when_an_operator_says_so(void **state)
{
    struct fixture *fixture = *state;
    fixture->sql.schema_commits = true;
    put(fixture, "0001_a.sql", "CREATE TABLE t (a INT); CREATE TABLE t (a INT);");
    ASSERT_FAILS(fixture, "statement 2");
    assert_rows(fixture, "UPDATE fh_migration_open SET running = 2", "");
    put(fixture, "0001_a.sql", "CREATE TABLE t (a INT); CREATE TABLE t2 (a INT);");
    ASSERT_FAILS(fixture, "cut off");
    assert_rows(fixture, "UPDATE fh_migration_open SET running = 0", "");
    assert_applies(fixture, 1);
    assert_rows(fixture, tables, "t t2");
}

static int outside_calls;

static enum fh_code run_outside(struct store_work *work, const char *sql, struct fh_error *error)
{
    outside_calls++;
    return sqlite_script(work, sql, error);
}

static void only_what_is_noted_so_runs_outside_of_transactions(void **state)
{
    struct fixture *fixture = *state;
    fixture->sql.outside = run_outside;
    outside_calls = 0;
    put(fixture, "0001_a.sql", "CREATE TABLE t (a INT)");
    assert_applies(fixture, 1);
    assert_int_equal(outside_calls, 0);
    put(fixture, "0002_b.sql",
        "-- freehold: alone\nCREATE INDEX ti ON t (a); INSERT INTO t VALUES (1);");
    assert_applies(fixture, 1);
    assert_int_equal(outside_calls, 1);
    assert_rows(fixture, "SELECT a FROM t", "1");
    put(fixture, "0003_c.sql", "-- freehold: alone\nCREATE TABLE t (a INT)");
    ASSERT_FAILS(fixture, "0003_c.sql", "statement 1, line 2", "nothing of it stands");
}

/* ---- The loop goes on ---- */

#define LOOP_S_MAX 60 /* on a very busy machine */

static sem_t loop_turned;
static atomic_bool awaited;

static void on_turn(struct world_timer *timer)
{
    struct world *world = timer->owner;
    if (awaited)
        sem_post(&loop_turned);
    world_timer_start(world, timer, world_in_ms(world, 1));
}

/* A SQL function: 1 if the loop has turned since it was called, else 0. */
static void await_loop(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    (void)values;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LOOP_S_MAX;
    awaited = true;
    int result;
    do
        result = sem_timedwait(&loop_turned, &until);
    while (result != 0 && errno == EINTR);
    sqlite3_result_int(context, result == 0);
}

static void the_loop_turns_while_a_migration_runs(void **state)
{
    struct fixture *fixture = *state;
    struct world *world = fixture->harness.world;
    struct world_timer timer = {.fire = on_turn, .owner = world};
    sqlite3 *db = ((struct sqlite_store *)fixture->store)->writer.db;
    assert_int_equal(sem_init(&loop_turned, 0, 0), 0);
    awaited = false;
    sqlite3_create_function(db, "await_loop", 0, SQLITE_UTF8, NULL, await_loop, NULL, NULL);
    put(fixture, "0001_a.sql", "CREATE TABLE t (a INT);\nINSERT INTO t VALUES (await_loop());");
    world_timer_start(world, &timer, world_in_ms(world, 1));
    assert_applies(fixture, 1);
    world_timer_stop(world, &timer);
    assert_rows(fixture, "SELECT a FROM t", "1");
    sem_destroy(&loop_turned);
}

int main(void)
{
#define MIGRATION_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        MIGRATION_TEST(files_are_applied_once_and_in_order_of_their_numbers),
        MIGRATION_TEST(an_engines_own_variant_wins),
        MIGRATION_TEST(wrong_files_are_named),
        MIGRATION_TEST(an_unknown_note_is_an_error),
        MIGRATION_TEST(a_note_has_its_reason),
        MIGRATION_TEST(a_failure_is_reported_with_file_statement_and_line),
        MIGRATION_TEST(a_migration_can_not_end_its_transaction),
        MIGRATION_TEST(a_migration_sets_nothing_for_the_units_of_work_after_it),
        MIGRATION_TEST(an_older_version_starts_on_what_a_newer_one_has_applied),
        MIGRATION_TEST(what_is_done_is_not_done_again_and_the_rest_may_be_fixed),
        MIGRATION_TEST(a_first_statement_that_fails_leaves_nothing),
        MIGRATION_TEST(a_migration_that_was_begun_may_not_go),
        MIGRATION_TEST(what_may_have_been_done_is_repeated_only_if_it_is_noted_as_repeatable),
        MIGRATION_TEST(a_cut_off_statement_runs_again_when_an_operator_says_so),
        MIGRATION_TEST(only_what_is_noted_so_runs_outside_of_transactions),
        MIGRATION_TEST(the_loop_turns_while_a_migration_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
