/* SPDX-License-Identifier: Apache-2.0 */
/* A bit that is flipped in a store's files is never served: in the database, in the log that a
 * killed process left, and in both while the store is open. */

#define _GNU_SOURCE
#include "../support/embedded.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/sqlite/internal.h"

#define WORKS 6
#define ROWS_A_WORK 40
#define FILE_SIZE_MAX (128 << 20)
#define STRIDE 397 /* bytes between two that are flipped, where not all are */

struct image {
    unsigned char *bytes;
    size_t size;
};

struct fixture {
    struct harness harness;
    char folder[128];
    struct image database, log; /* as a killed process leaves them; a closed store has no log */
    struct store *store;
    enum fh_code code;
    struct fh_error error;
    int64_t rows, wrong; /* as read: all, and those that differ from what was written */
    int work;
};

static void open_store(void *argument)
{
    struct fixture *fixture = argument;
    fixture->code =
        embedded_open(&fixture->harness, fixture->folder, &fixture->store, &fixture->error);
}

static void close_store(void *argument)
{
    struct fixture *fixture = argument;
    store_close(fixture->store);
    fixture->store = NULL;
}

static void write_rows(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    fixture->code = store_begin(fixture->store, STORE_WRITE, &work, &fixture->error);
    if (fixture->code != FH_OK)
        return;
    char sql[512];
    snprintf(sql, sizeof sql,
             "CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, text TEXT);"
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO note SELECT %d + i, printf('note %%050d', %d + i) FROM n;",
             ROWS_A_WORK, fixture->work * ROWS_A_WORK, fixture->work * ROWS_A_WORK);
    fixture->code = work->store->engine->sql->script(work, sql, &fixture->error);
    if (fixture->code == FH_OK)
        fixture->code = store_commit(work, &fixture->error);
    else
        store_rollback(work);
}

static bool take_row(void *context, const struct sql_row *row)
{
    struct fixture *fixture = context;
    char text[64];
    fixture->rows++;
    snprintf(text, sizeof text, "note %050lld", (long long)row->values[0].integer);
    bool right = row->values[0].integer == fixture->rows && row->values[1].text &&
                 strcmp(row->values[1].text, text) == 0;
    fixture->wrong += !right;
    return true;
}

static void read_rows(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    fixture->rows = fixture->wrong = 0;
    fixture->code = store_begin(fixture->store, STORE_READ, &work, &fixture->error);
    if (fixture->code != FH_OK)
        return;
    fixture->code = sql_run(work, "SELECT id, text FROM note ORDER BY id", NULL, 0, take_row,
                            fixture, NULL, &fixture->error);
    store_rollback(work);
}

static void path_of(const struct fixture *fixture, const char *name, char path[static 256])
{
    snprintf(path, 256, "%s/%s", fixture->folder, name);
}

static struct image load(const struct fixture *fixture, const char *name)
{
    char path[256];
    path_of(fixture, name, path);
    struct image image = {.bytes = malloc(FILE_SIZE_MAX)};
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(image.bytes);
    image.size = fread(image.bytes, 1, FILE_SIZE_MAX, file);
    fclose(file);
    return image;
}

static void save(const struct fixture *fixture, const char *name, const struct image *image)
{
    char path[256];
    path_of(fixture, name, path);
    unlink(path);
    if (image->size == 0)
        return;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(image->bytes, 1, image->size, file), image->size);
    assert_int_equal(fclose(file), 0);
}

static void restore(const struct fixture *fixture)
{
    save(fixture, "store.db", &fixture->database);
    save(fixture, "store.db-wal", &fixture->log);
    save(fixture, "store.db-shm", &(struct image){0});
}

/* Flips a bit in the file, while the store may be open. */
static void flip_in_place(const struct fixture *fixture, const char *name, size_t at)
{
    char path[256];
    unsigned char byte;
    path_of(fixture, name, path);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

static size_t find(const struct image *image, const char *text)
{
    const unsigned char *found = memmem(image->bytes, image->size, text, strlen(text));
    assert_non_null(found);
    return (size_t)(found - image->bytes);
}

/* A store with WORKS commits in its log (killed), or in its database (closed). Left open. */
static void begin(struct fixture *fixture, bool closed)
{
    memset(fixture, 0, sizeof *fixture);
    harness_init(&fixture->harness);
    snprintf(fixture->folder, sizeof fixture->folder, "%s/books", fixture->harness.folder);
    assert_int_equal(mkdir(fixture->folder, 0700), 0);
    harness_run(&fixture->harness, open_store, fixture);
    assert_int_equal(fixture->code, FH_OK);
    for (fixture->work = 0; fixture->work < WORKS; fixture->work++) {
        harness_run(&fixture->harness, write_rows, fixture);
        assert_int_equal(fixture->code, FH_OK);
    }
    if (closed) {
        harness_run(&fixture->harness, close_store, fixture);
        harness_run(&fixture->harness, open_store, fixture);
        assert_int_equal(fixture->code, FH_OK);
    }
    fixture->database = load(fixture, "store.db");
    fixture->log = load(fixture, "store.db-wal");
}

static void end(struct fixture *fixture)
{
    if (fixture->store)
        harness_run(&fixture->harness, close_store, fixture);
    free(fixture->database.bytes);
    free(fixture->log.bytes);
    harness_release(&fixture->harness);
}

/* Opens and reads the store. True: it was refused, with the sentence. */
static bool is_refused(struct fixture *fixture)
{
    harness_run(&fixture->harness, open_store, fixture);
    if (fixture->code == FH_OK) {
        harness_run(&fixture->harness, read_rows, fixture);
        enum fh_code code = fixture->code;
        harness_run(&fixture->harness, close_store, fixture);
        fixture->code = code;
    }
    assert_int_equal(fixture->wrong, 0);
    if (fixture->code == FH_OK)
        return false;
    assert_int_equal(fixture->code, FH_UNAVAILABLE);
    assert_non_null(strstr(fixture->error.message, "damaged"));
    assert_non_null(strstr(fixture->error.message, "books/store.db"));
    return true;
}

static void a_bit_flipped_anywhere_in_a_page_changes_its_sum(void **state)
{
    unsigned char page[CHECKSUM_PAGE_SIZE];
    (void)state;
    for (size_t i = 0; i < sizeof page; i++)
        page[i] = (unsigned char)(i * i >> 3);
    checksum_write(page, 7);
    assert_true(checksum_holds(page, 7));
    assert_false(checksum_holds(page, 8)); /* it was written for another place */
    for (size_t bit = 0; bit < sizeof page * 8; bit++) {
        page[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_false(checksum_holds(page, 7));
        page[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    memset(page, 0, sizeof page);
    assert_false(checksum_holds(page, 1)); /* nor is a page that was lost */
}

static void a_bit_flipped_in_a_closed_store_is_refused_or_not_needed(void **state)
{
    struct fixture fixture;
    int refused = 0, not_needed = 0;
    (void)state;
    begin(&fixture, true);
    harness_run(&fixture.harness, close_store, &fixture);
    fixture.log.size = 0;
    assert_false(is_refused(&fixture));
    assert_int_equal(fixture.rows, WORKS * ROWS_A_WORK);
    for (size_t at = 0; at < fixture.database.size; at += at < 100 ? 1 : STRIDE) {
        unsigned char *page = fixture.database.bytes + at / CHECKSUM_PAGE_SIZE * CHECKSUM_PAGE_SIZE;
        bool holds_notes = memmem(page, CHECKSUM_PAGE_SIZE, "note 000", 8) != NULL;
        unsigned char bit = (unsigned char)(1 << at % 8);
        fixture.database.bytes[at] ^= bit;
        restore(&fixture);
        fixture.database.bytes[at] ^= bit;
        if (is_refused(&fixture)) {
            refused++;
            continue;
        }
        assert_false(holds_notes);
        assert_true(at >= CHECKSUM_PAGE_SIZE); /* the first page is needed by everything */
        assert_int_equal(fixture.rows, WORKS * ROWS_A_WORK);
        not_needed++;
    }
    assert_true(refused > 100);
    print_message("%d refused, %d in pages that were not read\n", refused, not_needed);
    end(&fixture);
}

static void each_reserved_byte_of_a_page_is_looked_at(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture, true);
    harness_run(&fixture.harness, close_store, &fixture);
    fixture.log.size = 0;
    size_t page = find(&fixture.database, "note 000") / CHECKSUM_PAGE_SIZE * CHECKSUM_PAGE_SIZE;
    for (size_t at = page + CHECKSUM_PAGE_SIZE - CHECKSUM_SIZE; at < page + CHECKSUM_PAGE_SIZE;
         at++) {
        fixture.database.bytes[at] ^= 1;
        restore(&fixture);
        fixture.database.bytes[at] ^= 1;
        assert_true(is_refused(&fixture));
    }
    end(&fixture);
}

static void a_database_that_was_cut_off_is_refused(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture, true);
    harness_run(&fixture.harness, close_store, &fixture);
    fixture.log.size = 0;
    size_t whole = fixture.database.size;
    for (fixture.database.size = CHECKSUM_PAGE_SIZE; fixture.database.size < whole;
         fixture.database.size += CHECKSUM_PAGE_SIZE / 2) {
        restore(&fixture);
        bool refused = is_refused(&fixture);
        assert_true(refused || fixture.rows == WORKS * ROWS_A_WORK);
        assert_true(refused || fixture.database.size > whole / 2);
    }
    end(&fixture);
}

/* From here on the files are a copy of those that the open store has, as if it had been killed.
 * Returns that store, which is to be closed in the end. */
static struct store *leave_dead(struct fixture *fixture)
{
    struct store *killed = fixture->store;
    free(fixture->database.bytes);
    free(fixture->log.bytes);
    fixture->database = load(fixture, "store.db");
    fixture->log = load(fixture, "store.db-wal");
    snprintf(fixture->folder, sizeof fixture->folder, "%s/dead", fixture->harness.folder);
    assert_int_equal(mkdir(fixture->folder, 0700), 0);
    strcat(fixture->folder, "/books");
    assert_int_equal(mkdir(fixture->folder, 0700), 0);
    restore(fixture);
    return killed;
}

/* Where the last commit but one ends. */
static size_t last_transaction(const struct image *log)
{
    size_t last = LOG_HEAD_SIZE, before = LOG_HEAD_SIZE;
    for (size_t at = LOG_HEAD_SIZE; at + LOG_FRAME_SIZE <= log->size; at += LOG_FRAME_SIZE) {
        if (log_integer(log->bytes + at + 4) != 0) {
            before = last;
            last = at + LOG_FRAME_SIZE;
        }
    }
    assert_true(before > LOG_HEAD_SIZE);
    return before;
}

static void a_bit_flipped_in_a_log_that_a_crash_left_is_refused(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture, false);
    struct store *killed = leave_dead(&fixture);
    assert_false(is_refused(&fixture));
    assert_int_equal(fixture.rows, WORKS * ROWS_A_WORK);
    size_t last = last_transaction(&fixture.log);
    for (size_t at = 0; at < fixture.log.size; at++) {
        size_t in_frame = at < LOG_HEAD_SIZE ? 0 : (at - LOG_HEAD_SIZE) % LOG_FRAME_SIZE;
        if (in_frame >= LOG_FRAME_HEAD_SIZE && in_frame % STRIDE != 0)
            continue;
        unsigned char bit = (unsigned char)(1 << at % 8);
        fixture.log.bytes[at] ^= bit;
        restore(&fixture);
        fixture.log.bytes[at] ^= bit;
        bool refused = is_refused(&fixture);
        assert_true(refused || at >= last); /* the last transaction is taken for torn */
        assert_true(refused || fixture.rows == (WORKS - 1) * ROWS_A_WORK);
    }
    fixture.store = killed;
    end(&fixture);
}

static void a_bit_flipped_in_the_log_of_an_open_store_is_not_served(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture, false);
    /* The newest image of the page with the first rows is the last that holds them. */
    size_t at = find(&fixture.log, "note 000"), next = at;
    const unsigned char *found;
    do {
        at = next;
        found = memmem(fixture.log.bytes + at + 1, fixture.log.size - at - 1, "note 000", 8);
        next = found ? (size_t)(found - fixture.log.bytes) : 0;
    } while (next);
    flip_in_place(&fixture, "store.db-wal", at);
    harness_run(&fixture.harness, read_rows, &fixture);
    assert_int_equal(fixture.code, FH_UNAVAILABLE);
    assert_int_equal(fixture.wrong, 0);
    assert_non_null(strstr(fixture.error.message, "frame "));
    assert_non_null(strstr(fixture.error.message, "of books/store.db-wal"));
    flip_in_place(&fixture, "store.db-wal", at);
    harness_run(&fixture.harness, read_rows, &fixture);
    assert_int_equal(fixture.code, FH_OK);
    end(&fixture);
}

static void create_other(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    fixture->code = store_begin(fixture->store, STORE_WRITE, &work, &fixture->error);
    if (fixture->code != FH_OK)
        return;
    fixture->code =
        work->store->engine->sql->script(work, "CREATE TABLE other (id INTEGER);", &fixture->error);
    if (fixture->code == FH_OK)
        fixture->code = store_commit(work, &fixture->error);
    else
        store_rollback(work);
}

static void a_damaged_page_fails_what_needs_it_and_nothing_else(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture, true);
    size_t at = find(&fixture.database, "note 000");
    flip_in_place(&fixture, "store.db", at);
    harness_run(&fixture.harness, read_rows, &fixture);
    assert_int_equal(fixture.code, FH_UNAVAILABLE);
    assert_int_equal(fixture.wrong, 0);
    char named[64];
    snprintf(named, sizeof named, "page %zu of books/store.db ", at / CHECKSUM_PAGE_SIZE + 1);
    assert_non_null(strstr(fixture.error.message, named));
    harness_run(&fixture.harness, create_other, &fixture);
    assert_int_equal(fixture.code, FH_OK);
    flip_in_place(&fixture, "store.db", at);
    harness_run(&fixture.harness, read_rows, &fixture);
    assert_int_equal(fixture.code, FH_OK);
    assert_int_equal(fixture.rows, WORKS * ROWS_A_WORK);
    end(&fixture);
}

/* One of several units of work of one group, which together outgrow the cache; `again` fails. */
struct spilling {
    struct fixture *fixture;
    const char *sql;
    bool again;
    enum fh_code code;
};

static void spill(void *argument)
{
    struct spilling *spilling = argument;
    struct store_work *work;
    struct fixture *fixture = spilling->fixture;
    spilling->code = store_begin(fixture->store, STORE_WRITE, &work, &fixture->error);
    if (spilling->code != FH_OK)
        return;
    spilling->code = work->store->engine->sql->script(work, spilling->sql, &fixture->error);
    if (spilling->code == FH_OK && !spilling->again)
        spilling->code = store_commit(work, &fixture->error);
    else
        store_rollback(work);
}

static bool take_count(void *context, const struct sql_row *row)
{
    ((struct fixture *)context)->rows = row->values[0].integer;
    return true;
}

static void count_wide(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    fixture->code = store_begin(fixture->store, STORE_READ, &work, &fixture->error);
    if (fixture->code != FH_OK)
        return;
    fixture->code = sql_run(
        work, "SELECT count(*) FROM wide WHERE text = printf('%03900d', id + 1 + 2 * (id % 3 = 0))",
        NULL, 0, take_count, fixture, NULL, &fixture->error);
    store_rollback(work);
}

static void a_unit_of_work_that_outgrows_the_cache_reads_back_what_it_wrote(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture, false);
    struct spilling works[] = {
        {.sql = "CREATE TABLE wide (id INTEGER PRIMARY KEY, text TEXT);"
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)"
                " INSERT INTO wide SELECT i, printf('%03900d', i) FROM n;"},
        {.sql = "UPDATE wide SET text = printf('%03900d', id + 2);", .again = true},
        {.sql = "UPDATE wide SET text = printf('%03900d', id + 1);"},
        {.sql = "UPDATE wide SET text = printf('%03900d', id + 3);", .again = true},
        {.sql = "UPDATE wide SET text = printf('%03900d', id + 3) WHERE id % 3 = 0;"},
    };
    /* After a first one has taken its group with it, each has a savepoint. */
    struct spilling before[] = {
        {.fixture = &fixture, .sql = "CREATE TABLE one (id INTEGER);"},
        {.fixture = &fixture, .sql = "CREATE TABLE two (id INTEGER);", .again = true}};
    harness_run_all(&fixture.harness, spill, (void *[]){&before[0], &before[1]}, 2);
    assert_int_equal(before[0].code, FH_CONFLICT);
    void *arguments[sizeof works / sizeof works[0]];
    int count = (int)(sizeof works / sizeof works[0]);
    for (int i = 0; i < count; i++) {
        works[i].fixture = &fixture;
        arguments[i] = &works[i];
    }
    harness_run_all(&fixture.harness, spill, arguments, count);
    for (int i = 0; i < count; i++)
        assert_int_equal(works[i].code, FH_OK);
    harness_run(&fixture.harness, count_wide, &fixture);
    assert_int_equal(fixture.code, FH_OK);
    assert_int_equal(fixture.rows, 4000);
    struct store *killed = leave_dead(&fixture);
    harness_run(&fixture.harness, open_store, &fixture);
    assert_int_equal(fixture.code, FH_OK);
    harness_run(&fixture.harness, count_wide, &fixture);
    assert_int_equal(fixture.code, FH_OK);
    assert_int_equal(fixture.rows, 4000);
    harness_run(&fixture.harness, close_store, &fixture);
    fixture.store = killed;
    end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bit_flipped_anywhere_in_a_page_changes_its_sum),
        cmocka_unit_test(a_bit_flipped_in_a_closed_store_is_refused_or_not_needed),
        cmocka_unit_test(each_reserved_byte_of_a_page_is_looked_at),
        cmocka_unit_test(a_database_that_was_cut_off_is_refused),
        cmocka_unit_test(a_bit_flipped_in_a_log_that_a_crash_left_is_refused),
        cmocka_unit_test(a_bit_flipped_in_the_log_of_an_open_store_is_not_served),
        cmocka_unit_test(a_damaged_page_fails_what_needs_it_and_nothing_else),
        cmocka_unit_test(a_unit_of_work_that_outgrows_the_cache_reads_back_what_it_wrote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
