/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite runs out of memory anywhere in a group of units of work: one that is said to have failed
 * has not happened, nor has it after the next start, and one that runs again happens once. */

#include "../support/embedded.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sqlite/internal.h"

#define CALLS_MAX 20000
#define UNITS 3 /* in one group */
#define ROWS 5

static sqlite3_mem_methods below;
static int calls_left = -1; /* until one fails; -1: none does */
static int failed;

static bool fails(void)
{
    if (calls_left < 0 || calls_left-- > 0)
        return false;
    failed++;
    return true;
}

static void *failing_malloc(int size)
{
    return fails() ? NULL : below.xMalloc(size);
}

static void *failing_realloc(void *memory, int size)
{
    return fails() ? NULL : below.xRealloc(memory, size);
}

struct fixture {
    struct harness harness;
    struct store *store;
    struct unit {
        struct fixture *fixture;
        bool alone;
    } units[UNITS];
    int number, running, nth;
    struct fiber_queue ended;
    bool savepoints;
    int64_t said; /* the rows of works that were said to have been done */
};

static void open_store(struct fixture *fixture)
{
    struct fh_error error;
    assert_int_equal(
        embedded_open(&fixture->harness, fixture->harness.folder, &fixture->store, &error), FH_OK);
}

static bool take_count(void *context, const struct sql_row *row)
{
    *(int64_t *)context = row->values[0].integer;
    return true;
}

static int64_t rows_there(struct fixture *fixture)
{
    struct store_work *work = NULL;
    struct fh_error error;
    int64_t count = -1;
    assert_int_equal(store_begin(fixture->store, STORE_READ, &work, &error), FH_OK);
    assert_int_equal(
        sql_run(work, "SELECT count(*) FROM books", NULL, 0, take_count, &count, NULL, &error),
        FH_OK);
    store_rollback(work);
    return count;
}

static enum fh_code run(struct store_work *work, const char *sql, struct fh_error *error)
{
    return sql_run(work, sql, NULL, 0, NULL, NULL, NULL, error);
}

static enum fh_code write_rows(struct unit *unit, struct fh_error *error)
{
    struct fixture *fixture = unit->fixture;
    struct store_work *work = NULL;
    char sql[256];
    enum fh_code code = store_begin(
        fixture->store, unit->alone ? STORE_WRITE_EXCLUSIVE : STORE_WRITE, &work, error);
    if (code != FH_OK)
        return code;
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
             "INSERT INTO books (work, text) SELECT %d, hex(randomblob(400)) FROM n",
             ROWS, fixture->number);
    code = run(work, sql, error);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

/* As a service does it: what only shared a transaction with one that failed runs again. */
static void run_unit(void *argument)
{
    struct unit *unit = argument;
    struct fixture *fixture = unit->fixture;
    struct fh_error error;
    enum fh_code code = FH_CONFLICT;
    for (int i = 0; i < 3 && code == FH_CONFLICT; i++) {
        unit->alone = i == 2;
        code = write_rows(unit, &error);
    }
    if (code == FH_OK)
        fixture->said += ROWS;
    if (--fixture->running == 0)
        fiber_wake_all(&fixture->ended);
}

static void run_units(struct fixture *fixture)
{
    ((struct sqlite_store *)fixture->store)->savepoints = fixture->savepoints ? UNITS : 0;
    fixture->number++;
    fixture->running = UNITS;
    for (int i = 0; i < UNITS; i++) {
        fixture->units[i].fixture = fixture;
        fiber_start(fixture->harness.world->fibers, run_unit, &fixture->units[i]);
    }
    while (fixture->running)
        fiber_wait(&fixture->ended);
}

static void make_table(struct fixture *fixture)
{
    struct store_work *work = NULL;
    struct fh_error failure, *error = &failure;
    assert_int_equal(store_begin(fixture->store, STORE_WRITE, &work, error), FH_OK);
    assert_int_equal(
        run(work, "CREATE TABLE books (id INTEGER PRIMARY KEY, work INTEGER, text TEXT)", error),
        FH_OK);
    assert_int_equal(store_commit(work, error), FH_OK);
}

static void fail_each_call(void *argument)
{
    struct fixture *fixture = argument;
    open_store(fixture);
    make_table(fixture);
    for (int before = -1; fixture->nth < CALLS_MAX && failed != before; fixture->nth++) {
        before = failed;
        calls_left = fixture->nth;
        run_units(fixture);
        calls_left = -1;
        if (rows_there(fixture) != fixture->said)
            fail_msg("call %d: %" PRId64 " rows, and %" PRId64 " were said", fixture->nth,
                     rows_there(fixture), fixture->said);
    }
    assert_true(failed > UNITS);
    store_close(fixture->store);
}

static void run_with(bool savepoints)
{
    struct fixture fixture = {.savepoints = savepoints};
    failed = 0;
    harness_init(&fixture.harness);
    harness_run(&fixture.harness, fail_each_call, &fixture);
    harness_release(&fixture.harness);
}

static void a_group_without_memory_is_done_once_or_not_at_all(void **state)
{
    (void)state;
    run_with(false);
}

/* Schedule 42: taking a savepoint may roll back the whole group. */
static void so_is_one_with_savepoints(void **state)
{
    (void)state;
    run_with(true);
}

/* ---- What the next start finds ---- */

/* As of a process that dies now: without the log's index, the next one reads the log. */
static int64_t rows_after_death(struct fixture *fixture)
{
    const char *path = ((struct sqlite_store *)fixture->store)->path;
    const char *folder = fixture->harness.folder;
    static char command[16384], copy[512];
    sqlite3 *db;
    sqlite3_stmt *statement;
    snprintf(copy, sizeof copy, "%s/copy.db", folder);
    snprintf(command, sizeof command, "cp '%s' '%s' && cp '%s-wal' '%s-wal'", path, copy, path,
             copy);
    assert_int_equal(system(command), 0);
    assert_int_equal(sqlite3_open(copy, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM books", -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t rows = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return rows;
}

/* The index of the log grows once in 4,000 frames, when they are in the log already. */
static void fail_as_the_index_grows(void *argument)
{
    struct fixture *fixture = argument;
    fixture->harness.world->log_frames = 1 << 20;
    open_store(fixture);
    make_table(fixture);
    for (int before = failed; failed == before;) {
        struct store_work *work = NULL;
        struct fh_error error;
        assert_int_equal(store_begin(fixture->store, STORE_WRITE, &work, &error), FH_OK);
        assert_int_equal(run(work,
                             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                             "WHERE i < 400) INSERT INTO books (work, text) "
                             "SELECT 1, hex(randomblob(400)) FROM n",
                             &error),
                         FH_OK);
        calls_left = fixture->said ? 0 : -1; /* the first one prepares the statement */
        enum fh_code code = store_commit(work, &error);
        calls_left = -1;
        assert_int_equal(code == FH_OK, failed == before);
        fixture->said += code == FH_OK ? 400 : 0;
    }
    assert_true(fixture->said > 0);
    assert_int_equal(rows_there(fixture), fixture->said);
    assert_int_equal(rows_after_death(fixture), fixture->said);
    store_close(fixture->store);
}

static void what_failed_whole_in_the_log_is_not_found_by_the_next_start(void **state)
{
    struct fixture fixture = {.said = 0};
    (void)state;
    failed = 0;
    harness_init(&fixture.harness);
    harness_run(&fixture.harness, fail_as_the_index_grows, &fixture);
    harness_release(&fixture.harness);
}

int main(void)
{
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &below), SQLITE_OK);
    sqlite3_mem_methods failing = below;
    failing.xMalloc = failing_malloc;
    failing.xRealloc = failing_realloc;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &failing), SQLITE_OK);
    /* Else small pieces come from where no call fails. */
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0), SQLITE_OK);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_without_memory_is_done_once_or_not_at_all),
        cmocka_unit_test(so_is_one_with_savepoints),
        cmocka_unit_test(what_failed_whole_in_the_log_is_not_found_by_the_next_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
