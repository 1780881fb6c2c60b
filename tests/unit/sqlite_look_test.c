/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a name is unknown to a connection, SQLite looks whether another one has changed the schema.
 * If that look fails, because the disk does, it says that there is no such table: so a statement is
 * prepared twice before that is believed. The disk here is SQLite's own, of which one read fails.
 */

#include "../support/embedded.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "store/relational/sql.h"

#define READS_MAX 40

static sqlite3_vfs disk, *under;
static sqlite3_io_methods methods[2];             /* of the store's file, and of its log */
static const sqlite3_io_methods *real_methods[2]; /* below them */
static int reads_left = -1;                       /* before one fails; -1: none does */
static int failed;                                /* reads, in all */

static int read_or_fail(sqlite3_file *file, void *buffer, int length, sqlite3_int64 at)
{
    if (reads_left >= 0 && reads_left-- == 0) {
        failed++;
        return SQLITE_IOERR_READ;
    }
    return real_methods[file->pMethods == &methods[1]]->xRead(file, buffer, length, at);
}

static int open_failing(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags,
                        int *ret_flags)
{
    int log = (flags & SQLITE_OPEN_WAL) != 0, result;
    (void)vfs;
    result = under->xOpen(under, path, file, flags, ret_flags);
    if (!file->pMethods || !(flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_DB)))
        return result;
    real_methods[log] = file->pMethods;
    methods[log] = *file->pMethods;
    methods[log].iVersion = 2; /* nothing is mapped into memory */
    methods[log].xRead = read_or_fail;
    file->pMethods = &methods[log];
    return result;
}

struct fixture {
    struct harness harness;
    struct store *store;
    struct fh_error error;
    enum fh_code codes[READS_MAX];
    int failed[READS_MAX]; /* reads, while it ran */
};

static enum fh_code run(struct fixture *fixture, enum store_mode mode, const char *sql)
{
    struct store_work *work;
    enum fh_code code = store_begin(fixture->store, mode, &work, &fixture->error);
    if (code != FH_OK)
        return code;
    code = sql_run(work, sql, NULL, 0, NULL, NULL, NULL, &fixture->error);
    if (code == FH_OK && store_writes(mode))
        return store_commit(work, &fixture->error);
    store_rollback(work);
    return code;
}

/* A reader that has not seen the table yet, while a read fails: each of the first ones in turn. */
static void look_while_a_read_fails(void *argument)
{
    struct fixture *fixture = argument;
    char sql[128];
    assert_int_equal(
        embedded_open(&fixture->harness, fixture->harness.folder, &fixture->store, &fixture->error),
        FH_OK);
    for (int i = 0; i < READS_MAX; i++) {
        snprintf(sql, sizeof sql, "CREATE TABLE late_%d (id INTEGER PRIMARY KEY)", i);
        assert_int_equal(run(fixture, STORE_WRITE, sql), FH_OK);
        snprintf(sql, sizeof sql, "SELECT id FROM late_%d", i);
        failed = 0;
        reads_left = i;
        fixture->codes[i] = run(fixture, STORE_READ, sql);
        reads_left = -1;
        fixture->failed[i] = failed;
    }
    store_close(fixture->store);
}

static void a_table_is_not_said_to_be_missing_where_the_look_for_it_failed(void **state)
{
    struct fixture fixture = {.store = NULL};
    int met = 0;
    (void)state;
    under = sqlite3_vfs_find(NULL);
    disk = *under;
    disk.zName = "failing";
    disk.xOpen = open_failing;
    disk.pNext = NULL;
    assert_int_equal(sqlite3_vfs_register(&disk, 0), SQLITE_OK);
    harness_init(&fixture.harness);
    fixture.harness.world->vfs = "failing";
    harness_run(&fixture.harness, look_while_a_read_fails, &fixture);
    harness_release(&fixture.harness);
    sqlite3_vfs_unregister(&disk);
    for (int i = 0; i < READS_MAX; i++) {
        met += fixture.failed[i];
        assert_int_not_equal(fixture.codes[i], FH_UNSUPPORTED); /* "no such table" */
        assert_true(fixture.failed[i] || fixture.codes[i] == FH_OK);
    }
    assert_true(met > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_is_not_said_to_be_missing_where_the_look_for_it_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
