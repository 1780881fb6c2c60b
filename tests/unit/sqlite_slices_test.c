/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is removed in slices: a slice costs what it removes, however much there is besides. SQLite
 * says how many steps of its machine that takes; a plan that looks through a whole table takes more
 * of them, the more there is.
 */

#include "../support/embedded.h"

#include <stdio.h>
#include <string.h>

#include "engine/sqlite/internal.h"
#include "store/ledger.h"
#include "store/ledger_snapshot.h"

#define FEW 2000
#define TIMES 16
#define SLICE 100
#define EVERY 10 /* steps */

struct slice {
    const char *fill; /* INSERT INTO this, for the rows i of n */
    enum fh_code (*remove)(struct store_work *work, int64_t *ret_removed, struct fh_error *error);
};

struct fixture {
    struct harness harness;
    struct store *store;
    const struct slice *slice;
    int rows;
    enum fh_code code;
    struct fh_error error;
    int64_t removed, steps;
};

static enum fh_code remove_applied(struct store_work *work, int64_t *ret_removed,
                                   struct fh_error *error)
{
    return ledger_snapshots(work->store)
        ->applied_clear(work, "orders", "0/1", SLICE, ret_removed, error);
}

static enum fh_code remove_commands(struct store_work *work, int64_t *ret_removed,
                                    struct fh_error *error)
{
    return ledger_commands_expire(work, INT64_MAX, SLICE, ret_removed, error);
}

static enum fh_code remove_events(struct store_work *work, int64_t *ret_removed,
                                  struct fh_error *error)
{
    return ledger_outbox_trim(work, INT64_MAX, SLICE, ret_removed, error);
}

static const struct slice applied = {
    "fh_applied SELECT 'orders', '0/1', i % 3, 'key-' || i, i, 1 FROM n", remove_applied};
static const struct slice commands = {
    "fh_command (caller, key, birth, number, attempt, created_ms, outcome, digest)"
    " SELECT '', 'key-' || i, '', 0, 0, i, 'done', '' FROM n",
    remove_commands};
static const struct slice events = {
    "fh_outbox SELECT i, 'id-' || i, 'OrderCreated', 1, 'key-' || i, 0, i, '{}', NULL FROM n;"
    "UPDATE fh_counter SET position = (SELECT max(position) FROM fh_outbox)",
    remove_events};

static void open_store(void *argument)
{
    struct fixture *fixture = argument;
    fixture->code =
        embedded_open(&fixture->harness, fixture->harness.folder, &fixture->store, &fixture->error);
}

static void close_store(void *argument)
{
    struct fixture *fixture = argument;
    store_close(fixture->store);
}

static void fill_store(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    char sql[512];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO %s",
             fixture->rows, fixture->slice->fill);
    fixture->code = store_begin(fixture->store, STORE_WRITE, &work, &fixture->error);
    if (fixture->code == FH_OK)
        fixture->code = work->store->engine->sql->script(work, sql, &fixture->error);
    if (fixture->code == FH_OK)
        fixture->code = store_commit(work, &fixture->error);
}

static int count_steps(void *argument)
{
    struct fixture *fixture = argument;
    fixture->steps += EVERY;
    return 0;
}

static void remove_slice(void *argument)
{
    struct fixture *fixture = argument;
    sqlite3 *db = ((struct sqlite_store *)fixture->store)->writer.db;
    struct store_work *work;
    fixture->code = store_begin(fixture->store, STORE_WRITE, &work, &fixture->error);
    if (fixture->code != FH_OK)
        return;
    fixture->steps = 0;
    sqlite3_progress_handler(db, EVERY, count_steps, fixture);
    fixture->code = fixture->slice->remove(work, &fixture->removed, &fixture->error);
    sqlite3_progress_handler(db, 0, NULL, NULL);
    store_rollback(work);
}

static void run(struct fixture *fixture, void (*entry)(void *))
{
    harness_run(&fixture->harness, entry, fixture);
    if (fixture->code != FH_OK)
        fail_msg("%s", fixture->error.message);
}

static int64_t steps_with(const struct slice *slice, int rows)
{
    struct fixture fixture = {.slice = slice, .rows = rows};
    harness_init(&fixture.harness);
    run(&fixture, open_store);
    run(&fixture, fill_store);
    run(&fixture, remove_slice);
    assert_int_equal(fixture.removed, SLICE);
    run(&fixture, close_store);
    harness_release(&fixture.harness);
    return fixture.steps;
}

static void expect_flat(const struct slice *slice)
{
    int64_t few = steps_with(slice, FEW), many = steps_with(slice, FEW * TIMES);
    assert_true(few > 0);
    assert_in_range(many, 0, few + few / 2);
}

static void what_a_resync_has_applied(void **state)
{
    (void)state;
    expect_flat(&applied);
}

static void records_of_clients_commands(void **state)
{
    (void)state;
    expect_flat(&commands);
}

static void events_that_nobody_needs(void **state)
{
    (void)state;
    expect_flat(&events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_resync_has_applied),
        cmocka_unit_test(records_of_clients_commands),
        cmocka_unit_test(events_that_nobody_needs),
    };
    return cmocka_run_group_tests_name("sqlite_slices", tests, NULL, NULL);
}
