/* SPDX-License-Identifier: Apache-2.0 */
/* What a store does before it is opened, when the process before it was killed. */

#define _GNU_SOURCE
#include "../support/embedded.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/ledger.h"
#include "engine/sqlite/internal.h"

struct fixture {
    struct harness harness;
    char live[128], dead[128]; /* folders: a store in use, and what its killed process left */
    struct store *store;
    enum fh_code code;
    struct fh_error error;
    const char *folder;
    int64_t count;
};

static void open_store(void *argument)
{
    struct fixture *fixture = argument;
    fixture->code =
        embedded_open(&fixture->harness, fixture->folder, &fixture->store, &fixture->error);
}

static bool take_count(void *context, const struct sql_row *row)
{
    *(int64_t *)context = row->values[0].integer;
    return true;
}

static void count_rows(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    fixture->count = -1;
    if (store_begin(fixture->store, STORE_READ, &work, &fixture->error) != FH_OK)
        return;
    sql_run(work, "SELECT count(*) FROM note", NULL, 0, take_count, &fixture->count, NULL,
            &fixture->error);
    store_rollback(work);
}

static void write_rows(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    fixture->code = store_begin(fixture->store, STORE_WRITE, &work, &fixture->error);
    if (fixture->code != FH_OK)
        return;
    fixture->code = fixture->store->engine->sql->script(
        work, "CREATE TABLE note (text TEXT); INSERT INTO note VALUES ('a'), ('b'), ('c');",
        &fixture->error);
    fixture->code = store_commit(work, &fixture->error);
}

static void copy_file(const char *from_folder, const char *to_folder, const char *name)
{
    char command[512];
    snprintf(command, sizeof command, "cp %s/%s %s/%s", from_folder, name, to_folder, name);
    assert_int_equal(system(command), 0);
}

static ino_t inode_of(const char *folder, const char *name)
{
    char path[256];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(stat(path, &status), 0);
    assert_true(status.st_size > 0);
    return status.st_ino;
}

static void begin(struct fixture *fixture)
{
    memset(fixture, 0, sizeof *fixture);
    harness_init(&fixture->harness);
    snprintf(fixture->live, sizeof fixture->live, "%s/live", fixture->harness.folder);
    snprintf(fixture->dead, sizeof fixture->dead, "%s/dead", fixture->harness.folder);
    assert_int_equal(mkdir(fixture->live, 0700), 0);
    assert_int_equal(mkdir(fixture->dead, 0700), 0);
    fixture->folder = fixture->live;
    harness_run(&fixture->harness, open_store, fixture);
    assert_int_equal(fixture->code, FH_OK);
    harness_run(&fixture->harness, write_rows, fixture);
    assert_int_equal(fixture->code, FH_OK);
    copy_file(fixture->live, fixture->dead, "store.db");
    copy_file(fixture->live, fixture->dead, "store.db-wal");
    store_close(fixture->store);
    fixture->folder = fixture->dead;
}

static void reopened(struct fixture *fixture)
{
    harness_run(&fixture->harness, open_store, fixture);
    assert_int_equal(fixture->code, FH_OK);
    harness_run(&fixture->harness, count_rows, fixture);
    assert_int_equal(fixture->count, 3);
    store_close(fixture->store);
    harness_release(&fixture->harness);
}

/* Schedule 4. */
static void a_log_that_was_left_behind_is_written_anew_before_it_is_read(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture);
    ino_t before = inode_of(fixture.dead, "store.db-wal");
    char path[256];
    snprintf(path, sizeof path, "%s/store.db", fixture.dead);
    assert_int_equal(sqlite_make_durable(fixture.harness.world, fixture.dead, path, ERROR_UNHEEDED),
                     FH_OK);
    assert_int_not_equal(inode_of(fixture.dead, "store.db-wal"), before);
    reopened(&fixture);
}

static void a_copy_that_a_dying_start_left_is_removed(void **state)
{
    struct fixture fixture;
    char path[256];
    (void)state;
    begin(&fixture);
    snprintf(path, sizeof path, "%s/store.db-wal.copy", fixture.dead);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("half a log", file);
    fclose(file);
    harness_run(&fixture.harness, open_store, &fixture);
    assert_int_equal(fixture.code, FH_OK);
    assert_int_not_equal(access(path, F_OK), 0);
    store_close(fixture.store);
    reopened(&fixture);
}

/* In place of the kernel's. */
static int writing_back_fails;
int sync_file_range(int file, off_t at, off_t length, unsigned flags)
{
    (void)file, (void)at, (void)length, (void)flags;
    errno = writing_back_fails;
    return writing_back_fails ? -1 : 0;
}

static void a_copy_that_may_not_be_on_the_disk_is_none(void **state)
{
    static const struct {
        int fails;
        enum fh_code code;
    } cases[] = {{EIO, FH_UNAVAILABLE}, {ENOSPC, FH_UNAVAILABLE}, {EINVAL, FH_OK}, {ENOSYS, FH_OK}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture fixture;
        char path[256];
        begin(&fixture);
        ino_t before = inode_of(fixture.dead, "store.db-wal");
        writing_back_fails = cases[i].fails;
        harness_run(&fixture.harness, open_store, &fixture);
        writing_back_fails = 0;
        assert_int_equal(fixture.code, cases[i].code);
        snprintf(path, sizeof path, "%s/store.db-wal.copy", fixture.dead);
        assert_int_not_equal(access(path, F_OK), 0);
        if (fixture.code == FH_OK)
            store_close(fixture.store);
        else
            assert_int_equal(inode_of(fixture.dead, "store.db-wal"), before);
        reopened(&fixture);
    }
}

static void pages_keep_bytes_free_for_checksums(void **state)
{
    struct fixture fixture;
    unsigned char header[32];
    char path[256];
    (void)state;
    begin(&fixture);
    snprintf(path, sizeof path, "%s/store.db", fixture.dead);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t got = read(fd, header, sizeof header);
    close(fd);
    /* SQLite writes the first page when it turns the log on. */
    assert_int_equal(got, sizeof header);
    assert_int_equal(header[20], CHECKSUM_SIZE);
    reopened(&fixture);
}

static void make_format_1(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    fixture->code = store_begin(fixture->store, STORE_WRITE, &work, &fixture->error);
    if (fixture->code != FH_OK)
        return;
    fixture->code = fixture->store->engine->sql->script(
        work,
        "ALTER TABLE fh_saga DROP COLUMN start_id; ALTER TABLE fh_saga DROP COLUMN owner;"
        "UPDATE fh_meta SET value = '1' WHERE name = 'format'",
        &fixture->error);
    if (fixture->code == FH_OK)
        fixture->code = store_commit(work, &fixture->error);
}

static void start_saga(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    fixture->code = store_begin(fixture->store, STORE_WRITE, &work, &fixture->error);
    if (fixture->code != FH_OK)
        return;
    struct ledger_event event = {.id = "id",
                                 .type = "freehold.saga.started",
                                 .key = "freehold.saga",
                                 .version = 1,
                                 .data = "{}"};
    struct ledger_saga saga = {.birth = fixture->store->incarnation,
                               .name = "order",
                               .input = "{}",
                               .state = "{}",
                               .status = "running"};
    fixture->code = ledger_saga_start(work, &event, &saga, NULL, 0, &fixture->error);
    fixture->count = saga.number;
    store_rollback(work);
}

static void a_store_of_the_format_before_is_brought_up_to_date(void **state)
{
    struct fixture fixture;
    char incarnation[ID_SIZE];
    (void)state;
    begin(&fixture);
    harness_run(&fixture.harness, open_store, &fixture);
    harness_run(&fixture.harness, make_format_1, &fixture);
    assert_int_equal(fixture.code, FH_OK);
    memcpy(incarnation, fixture.store->incarnation, ID_SIZE);
    store_close(fixture.store);
    harness_run(&fixture.harness, open_store, &fixture);
    assert_int_equal(fixture.code, FH_OK);
    assert_string_equal(fixture.store->incarnation, incarnation);
    harness_run(&fixture.harness, start_saga, &fixture);
    assert_int_equal(fixture.code, FH_OK);
    assert_int_equal(fixture.count, 1);
    store_close(fixture.store);
    reopened(&fixture);
}

/* As a user to whom all is his own but the file of pages, which he may only read. */
static void open_as_reader(void *argument)
{
    bool root = geteuid() == 0;
    if (root)
        setfsuid(65534);
    open_store(argument);
    if (root)
        setfsuid(0);
}

static void a_store_that_can_only_be_read_is_not_opened(void **state)
{
    static const char *const names[] = {"", "/store.db-wal", "/store.db-shm", "/store.lock"};
    struct fixture fixture;
    char path[256];
    (void)state;
    begin(&fixture);
    fixture.folder = fixture.live;
    for (size_t i = 0; i < sizeof names / sizeof *names && geteuid() == 0; i++) {
        snprintf(path, sizeof path, "%s%s", fixture.live, names[i]);
        if (chown(path, 65534, 65534) != 0)
            assert_int_equal(errno, ENOENT);
    }
    assert_int_equal(chmod(fixture.harness.folder, 0711), 0);
    snprintf(path, sizeof path, "%s/store.db", fixture.live);
    assert_int_equal(chmod(path, 0444), 0);
    harness_run(&fixture.harness, open_as_reader, &fixture);
    assert_int_equal(fixture.code, FH_UNAVAILABLE);
    assert_non_null(strstr(fixture.error.message, "can't be opened"));
    harness_release(&fixture.harness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_that_was_left_behind_is_written_anew_before_it_is_read),
        cmocka_unit_test(a_copy_that_a_dying_start_left_is_removed),
        cmocka_unit_test(a_copy_that_may_not_be_on_the_disk_is_none),
        cmocka_unit_test(pages_keep_bytes_free_for_checksums),
        cmocka_unit_test(a_store_that_can_only_be_read_is_not_opened),
        cmocka_unit_test(a_store_of_the_format_before_is_brought_up_to_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
