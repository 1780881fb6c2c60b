/* SPDX-License-Identifier: Apache-2.0 */
/* The filter of commands rules out none that has a record: late, written, of an earlier process. */

#define _GNU_SOURCE
#include "../support/embedded.h"

#include <stdio.h>
#include <string.h>

#include "engine/sqlite/internal.h"
#include "store/ledger.h"

#define CALLER "client POST /orders"
#define FEW 10       /* none of them beside key-2500 */
#define SOME 200     /* more than are read with one look */
#define MANY 30000   /* more than the smallest filter is made for */
#define UNUSED 10000 /* keys */

struct fixture {
    struct harness harness;
    struct store *store;
    struct store_work *work;
    struct fh_error error;
};

static struct sqlite_filter *filter_of(struct fixture *fixture)
{
    return &((struct sqlite_store *)fixture->store)->filter;
}

static void open_store(struct fixture *fixture)
{
    assert_int_equal(
        embedded_open(&fixture->harness, fixture->harness.folder, &fixture->store, &fixture->error),
        FH_OK);
    assert_int_equal(store_begin(fixture->store, STORE_WRITE, &fixture->work, &fixture->error),
                     FH_OK);
}

static void begin_again(struct fixture *fixture)
{
    assert_int_equal(store_commit(fixture->work, &fixture->error), FH_OK);
    assert_int_equal(store_begin(fixture->store, STORE_WRITE, &fixture->work, &fixture->error),
                     FH_OK);
}

static void close_store(struct fixture *fixture)
{
    assert_int_equal(store_commit(fixture->work, &fixture->error), FH_OK);
    store_close(fixture->store);
}

static const char *key_of(int number)
{
    static char key[32];
    snprintf(key, sizeof key, "key-%d", number);
    return key;
}

static bool is_recorded(struct fixture *fixture, const char *key)
{
    struct ledger_command record;
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    enum fh_code code =
        ledger_command_get(fixture->work, &arena, CALLER, key, &record, &fixture->error);
    assert_true(code == FH_OK || code == FH_NOT_FOUND);
    arena_release(&arena);
    return code == FH_OK;
}

static void put(struct fixture *fixture, int from, int until)
{
    for (int i = from; i < until; i++) {
        struct ledger_command record = {.caller = CALLER,
                                        .key = key_of(i),
                                        .birth = "",
                                        .created_ms = 1,
                                        .outcome = LEDGER_DONE,
                                        .digest = "",
                                        .answer = "{\"status\":204}"};
        assert_int_equal(ledger_command_put(fixture->work, &record, &fixture->error), FH_OK);
    }
}

static void fill(struct fixture *fixture)
{
    for (int i = 0; i < MANY; i++) {
        assert_false(is_recorded(fixture, "another"));
        if (filter_of(fixture)->whole.words && !filter_of(fixture)->next.words)
            return;
    }
    fail_msg("The filter is never whole.");
}

static void expect_recorded(struct fixture *fixture, int count)
{
    for (int i = 0; i < count; i++) {
        assert_false(sqlite_filter_rules_out(filter_of(fixture), CALLER, key_of(i)));
        assert_true(is_recorded(fixture, key_of(i)));
    }
}

static int ruled_out(struct fixture *fixture)
{
    int count = 0;
    for (int i = 0; i < UNUSED; i++)
        count += sqlite_filter_rules_out(filter_of(fixture), "another", key_of(i));
    return count;
}

static void look_at_some(void *argument)
{
    struct fixture *fixture = argument;
    open_store(fixture);
    assert_int_equal(ruled_out(fixture), 0);
    fill(fixture);
    assert_int_equal(ruled_out(fixture), UNUSED);
    put(fixture, 0, SOME / 2);
    expect_recorded(fixture, SOME / 2); /* while they are late rows */
    begin_again(fixture);
    put(fixture, SOME / 2, SOME);
    expect_recorded(fixture, SOME);
    assert_true(ruled_out(fixture) > UNUSED * 9 / 10);
    close_store(fixture);

    open_store(fixture);
    assert_int_equal(ruled_out(fixture), 0);
    expect_recorded(fixture, SOME); /* which fills it */
    assert_true(ruled_out(fixture) > UNUSED * 9 / 10);
    expect_recorded(fixture, SOME);
    assert_int_equal(sql_run(fixture->work, "DELETE FROM fh_command WHERE key = 'key-1'", NULL, 0,
                             NULL, NULL, NULL, &fixture->error),
                     FH_OK);
    assert_true(ruled_out(fixture) > UNUSED * 9 / 10);
    assert_int_equal(sql_run(fixture->work,
                             "UPDATE fh_command SET key = 'key-1' WHERE key = 'key-2'", NULL, 0,
                             NULL, NULL, NULL, &fixture->error),
                     FH_OK);
    assert_int_equal(ruled_out(fixture), 0);
    assert_true(is_recorded(fixture, "key-1") && !is_recorded(fixture, "key-2"));
    close_store(fixture);
}

/* It is filled anew, with records that are not in the table yet. */
static void look_at_many(void *argument)
{
    struct fixture *fixture = argument;
    open_store(fixture);
    fill(fixture);
    size_t blocks = filter_of(fixture)->whole.blocks;
    put(fixture, 0, MANY / 2);
    begin_again(fixture);
    put(fixture, MANY / 2, MANY);
    fill(fixture);
    begin_again(fixture);
    assert_true(filter_of(fixture)->whole.blocks > blocks);
    expect_recorded(fixture, MANY);
    assert_true(ruled_out(fixture) > UNUSED * 9 / 10);
    close_store(fixture);
    open_store(fixture);
    fill(fixture);
    expect_recorded(fixture, MANY);
    assert_true(ruled_out(fixture) > UNUSED * 9 / 10);
    close_store(fixture);
}

/* What a unit of work has removed is there again once that is rolled back, whatever the filter has
 * read meanwhile: with its transaction, and alone. */
static void look_at_removed(void *argument)
{
    struct fixture *fixture = argument;
    for (int savepoints = 0; savepoints < 2; savepoints++) {
        open_store(fixture);
        put(fixture, 0, SOME);
        close_store(fixture);
        open_store(fixture);
        store_rollback(fixture->work);
        ((struct sqlite_store *)fixture->store)->savepoints = savepoints;
        assert_int_equal(store_begin(fixture->store, STORE_WRITE, &fixture->work, &fixture->error),
                         FH_OK);
        assert_int_equal(sql_run(fixture->work, "DELETE FROM fh_command", NULL, 0, NULL, NULL, NULL,
                                 &fixture->error),
                         FH_OK);
        fill(fixture);
        assert_int_equal(ruled_out(fixture), UNUSED);
        store_rollback(fixture->work);
        assert_int_equal(store_begin(fixture->store, STORE_WRITE, &fixture->work, &fixture->error),
                         FH_OK);
        expect_recorded(fixture, SOME);
        close_store(fixture);
    }
}

/* What is no command's, whoever wrote it, is passed over. */
static void look_beside_blobs(void *argument)
{
    struct fixture *fixture = argument;
    static const char *const blobs[] = {"'a', x''", "'a', x'6b'", "x'61', 'k'", "x'', x''"};
    open_store(fixture);
    put(fixture, 0, SOME);
    for (size_t i = 0; i < sizeof blobs / sizeof *blobs; i++) {
        char sql[256];
        snprintf(sql, sizeof sql,
                 "INSERT INTO fh_command (caller, key, birth, number, attempt, created_ms, outcome,"
                 " digest) VALUES (%s, '', 0, 0, 1, 'done', '')",
                 blobs[i]);
        assert_int_equal(sql_run(fixture->work, sql, NULL, 0, NULL, NULL, NULL, &fixture->error),
                         FH_OK);
    }
    close_store(fixture);
    open_store(fixture);
    fill(fixture);
    assert_true(ruled_out(fixture) > UNUSED * 9 / 10);
    expect_recorded(fixture, SOME);
    close_store(fixture);
}

#define LEAF 10 /* SQLite's number of such a page of a table without rowids */

/* Spoils the page of the table that has the record, and others beside it. */
static void damage(const struct fixture *fixture, const char *key)
{
    char path[256];
    unsigned char page[CHECKSUM_PAGE_SIZE];
    snprintf(path, sizeof path, "%s/store.db", fixture->harness.folder);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    while (fread(page, sizeof page, 1, file) == 1) {
        if (page[0] != LEAF || !memmem(page, sizeof page, key, strlen(key)) ||
            !memmem(page, sizeof page, "204}", 4))
            continue;
        page[CHECKSUM_PAGE_SIZE / 2] ^= 1;
        assert_int_equal(fseek(file, -(long)sizeof page, SEEK_CUR), 0);
        assert_int_equal(fwrite(page, sizeof page, 1, file), 1);
        assert_int_equal(fclose(file), 0);
        return;
    }
    fail_msg("No page has the record.");
}

/* A page of their table is damaged: others are found, and told from those that are not there. */
static void look_beside_damage(void *argument)
{
    struct fixture *fixture = argument;
    open_store(fixture);
    put(fixture, 1000, 3000);
    close_store(fixture);
    damage(fixture, "key-2500");
    open_store(fixture);
    for (int i = 0; i < SOME; i++) {
        assert_true(is_recorded(fixture, "key-1000"));
        assert_false(is_recorded(fixture, "another"));
    }
    /* SQLite commits no transaction that met damage: its units of work run again, once. */
    assert_int_equal(store_commit(fixture->work, &fixture->error), FH_CONFLICT);
    assert_true(fixture->error.retryable);
    assert_int_equal(store_begin(fixture->store, STORE_WRITE, &fixture->work, &fixture->error),
                     FH_OK);
    for (int i = 0; i < SOME; i++)
        assert_false(is_recorded(fixture, "another"));
    put(fixture, 0, FEW);
    begin_again(fixture);
    expect_recorded(fixture, FEW);
    close_store(fixture);
}

static void in_a_harness(void (*body)(void *argument))
{
    struct fixture fixture = {.store = NULL};
    harness_init(&fixture.harness);
    harness_run(&fixture.harness, body, &fixture);
    harness_release(&fixture.harness);
}

static void no_record_is_ruled_out(void **state)
{
    (void)state;
    in_a_harness(look_at_some);
}

static void it_grows_without_losing_one(void **state)
{
    (void)state;
    in_a_harness(look_at_many);
}

static void none_that_comes_back_is_ruled_out(void **state)
{
    (void)state;
    in_a_harness(look_at_removed);
}

static void what_is_no_text_is_no_record(void **state)
{
    (void)state;
    in_a_harness(look_beside_blobs);
}

static void damage_elsewhere_does_not_matter(void **state)
{
    (void)state;
    in_a_harness(look_beside_damage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_record_is_ruled_out),
        cmocka_unit_test(it_grows_without_losing_one),
        cmocka_unit_test(none_that_comes_back_is_ruled_out),
        cmocka_unit_test(what_is_no_text_is_no_record),
        cmocka_unit_test(damage_elsewhere_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
