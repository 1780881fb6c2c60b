/* SPDX-License-Identifier: Apache-2.0 */
/* Those that read in one turn of the loop share a snapshot; one whose read fails may end it. */

#include "../support/embedded.h"

#include <stdio.h>
#include <string.h>

#include "engine/sqlite/internal.h"

struct fixture {
    struct harness harness;
    struct store *store;
    struct fh_error error;
};

static bool take_count(void *context, const struct sql_row *row)
{
    *(int64_t *)context = row->values[0].integer;
    return true;
}

static enum fh_code count_rows(struct fixture *fixture, struct store_work *work)
{
    int64_t count = -1;
    enum fh_code code = sql_run(work, "SELECT count(*) FROM fh_meta", NULL, 0, take_count, &count,
                                NULL, &fixture->error);
    assert_true(code != FH_OK || count > 0);
    return code;
}

static struct store_work *begin_reading(struct fixture *fixture)
{
    struct store_work *work = NULL;
    assert_int_equal(store_begin(fixture->store, STORE_READ, &work, &fixture->error), FH_OK);
    assert_int_equal(count_rows(fixture, work), FH_OK); /* its snapshot opens */
    return work;
}

static sqlite3 *snapshot_of(struct store_work *work)
{
    return ((struct sqlite_work *)work)->connection->db;
}

static void open_store(struct fixture *fixture)
{
    assert_int_equal(
        embedded_open(&fixture->harness, fixture->harness.folder, &fixture->store, &fixture->error),
        FH_OK);
}

/* As SQLite does it where a read lacks memory or the disk fails. */
static void end_under_two_that_share(void *argument)
{
    struct fixture *fixture = argument;
    open_store(fixture);
    struct store_work *one = begin_reading(fixture), *other = begin_reading(fixture);
    assert_ptr_equal(snapshot_of(one), snapshot_of(other));
    assert_int_equal(sqlite3_exec(snapshot_of(one), "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(count_rows(fixture, other), FH_UNAVAILABLE);
    assert_string_equal(fixture->error.message, "The store failed while it was read.");
    struct store_work *later = begin_reading(fixture);
    assert_ptr_not_equal(snapshot_of(later), snapshot_of(other));
    store_rollback(one);
    store_rollback(other);
    store_rollback(later);
    store_rollback(begin_reading(fixture));
    store_close(fixture->store);
}

static void nobody_reads_on_in_a_snapshot_that_has_ended(void **state)
{
    struct fixture fixture = {.store = NULL};
    (void)state;
    harness_init(&fixture.harness);
    harness_run(&fixture.harness, end_under_two_that_share, &fixture);
    harness_release(&fixture.harness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_reads_on_in_a_snapshot_that_has_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
