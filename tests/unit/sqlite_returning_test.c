/* SPDX-License-Identifier: Apache-2.0 */
/* An insertion gives the row that it returns in either way: read back, or by SQLite's RETURNING. */

#include "../support/embedded.h"

#include <stdio.h>
#include <string.h>

#include "engine/sqlite/internal.h"

struct fixture {
    struct harness harness;
    struct store *store;
    struct store_work *work;
    struct fh_error error;
};

struct seen {
    int rows;
    char text[512];
};

static bool see_row(void *context, const struct sql_row *row)
{
    struct seen *seen = context;
    size_t used = strlen(seen->text);
    seen->rows++;
    for (int i = 0; i < row->count; i++)
        used += (size_t)snprintf(seen->text + used, sizeof seen->text - used, "%s=%s%.0lld ",
                                 row->names[i], row->values[i].text ? row->values[i].text : "",
                                 (long long)row->values[i].integer);
    return true;
}

static void open_store(struct fixture *fixture)
{
    assert_int_equal(
        embedded_open(&fixture->harness, fixture->harness.folder, &fixture->store, &fixture->error),
        FH_OK);
}

static void begin_writing(struct fixture *fixture)
{
    assert_int_equal(store_begin(fixture->store, STORE_WRITE, &fixture->work, &fixture->error),
                     FH_OK);
}

static void commit(struct fixture *fixture)
{
    assert_int_equal(store_commit(fixture->work, &fixture->error), FH_OK);
}

static void run(struct fixture *fixture, const char *sql)
{
    assert_int_equal(sql_run(fixture->work, sql, NULL, 0, NULL, NULL, NULL, &fixture->error),
                     FH_OK);
}

static void expect(struct fixture *fixture, const char *sql, const char *row)
{
    struct seen seen = {0};
    int64_t changes = -1;
    enum fh_code code =
        sql_run(fixture->work, sql, NULL, 0, see_row, &seen, &changes, &fixture->error);
    assert_int_equal(code, FH_OK);
    assert_string_equal(seen.text, row);
}

static bool is_read_back(struct fixture *fixture, const char *sql)
{
    struct sqlite_connection *writer = &((struct sqlite_store *)fixture->store)->writer;
    struct sqlite_prepared *prepared;
    assert_int_equal(sqlite_statement_get(writer, sql, &prepared), SQLITE_OK);
    bool reads_back = prepared->insert != NULL && !writer->schema_changed;
    sqlite_statement_done(writer, sql, prepared);
    return reads_back;
}

static void make_tables(struct fixture *fixture)
{
    begin_writing(fixture);
    run(fixture, "CREATE TABLE book (id INTEGER PRIMARY KEY, Title TEXT NOT NULL,"
                 " price REAL DEFAULT 7, twice REAL AS (price * 2), UNIQUE (title))");
    run(fixture, "CREATE TABLE ignoring (id INTEGER PRIMARY KEY,"
                 " title TEXT UNIQUE ON CONFLICT IGNORE)");
    run(fixture, "CREATE TABLE keyed (title TEXT PRIMARY KEY) WITHOUT ROWID");
    run(fixture, "CREATE TABLE named (rowid TEXT, title TEXT)");
    run(fixture, "CREATE TABLE watched (id INTEGER PRIMARY KEY, title TEXT)");
    run(fixture, "CREATE TRIGGER watch AFTER INSERT ON watched BEGIN"
                 " UPDATE watched SET title = 'seen' WHERE id = new.id; END");
    run(fixture, "CREATE VIEW shown AS SELECT id, title FROM book");
    commit(fixture);
}

#define BOOK "INSERT INTO book (title) VALUES ('a) RETURNING ''b') RETURNING *"
#define PRICED                                                                                     \
    "insert into book(id, title, price)\nvalues (9, 'c', (SELECT 3))\nreturning TITLE, id"
#define IGNORED "INSERT INTO ignoring (title) VALUES ('a') RETURNING id, title"
#define WATCHED "INSERT INTO watched (title) VALUES ('a') RETURNING id, title"

static void insert_in_either_way(void *argument)
{
    struct fixture *fixture = argument;
    open_store(fixture);
    make_tables(fixture);
    begin_writing(fixture);
    assert_true(is_read_back(fixture, BOOK) && is_read_back(fixture, PRICED));
    assert_true(is_read_back(fixture, IGNORED));
    static const char *const as_written[] = {
        WATCHED,
        "INSERT INTO keyed (title) VALUES ('a') RETURNING title",
        "INSERT INTO named (title) VALUES ('a') RETURNING title",
        "INSERT INTO book (title) VALUES ('x'), ('y') RETURNING title",
        "INSERT OR IGNORE INTO book (title) VALUES ('x') RETURNING title",
        "INSERT INTO book (title) VALUES ('x') ON CONFLICT DO NOTHING RETURNING title",
        "INSERT INTO book (title) VALUES ('x') RETURNING title AS name",
        "INSERT INTO book (title) VALUES ('x') RETURNING upper(title)",
        "INSERT INTO book (title) VALUES ('x') /* why */ RETURNING title",
        "INSERT INTO book (title) SELECT 'x' RETURNING title",
        "UPDATE book SET title = 'x' WHERE id = 1 RETURNING title"};
    for (size_t i = 0; i < sizeof as_written / sizeof *as_written; i++)
        assert_false(is_read_back(fixture, as_written[i]));
    expect(fixture, BOOK, "id=1 Title=a) RETURNING 'b price= twice= ");
    expect(fixture, PRICED, "Title=c id=9 ");
    expect(fixture, IGNORED, "id=1 title=a ");
    expect(fixture, IGNORED, "");
    expect(fixture, WATCHED, "id=1 title=a ");
    struct seen seen = {0};
    assert_int_equal(sql_run(fixture->work, PRICED, NULL, 0, see_row, &seen, NULL, &fixture->error),
                     FH_CONFLICT);
    assert_int_equal(seen.rows, 0);
    store_rollback(fixture->work);
    store_close(fixture->store);
}

/* A trigger may come, and go with its unit of work. */
static void change_the_schema(void *argument)
{
    struct fixture *fixture = argument;
    open_store(fixture);
    make_tables(fixture);
    begin_writing(fixture);
    assert_true(is_read_back(fixture, BOOK));
    run(fixture, "CREATE TRIGGER watch_books AFTER INSERT ON book BEGIN"
                 " UPDATE book SET price = 8 WHERE id = new.id; END");
    assert_false(is_read_back(fixture, BOOK));
    store_rollback(fixture->work);
    begin_writing(fixture);
    assert_true(is_read_back(fixture, BOOK));
    run(fixture, "DROP TRIGGER watch");
    assert_false(is_read_back(fixture, WATCHED));
    store_rollback(fixture->work);
    begin_writing(fixture);
    assert_false(is_read_back(fixture, WATCHED));
    run(fixture, "DROP TRIGGER watch");
    commit(fixture);
    begin_writing(fixture);
    assert_true(is_read_back(fixture, WATCHED));
    expect(fixture, WATCHED, "id=1 title=a ");
    commit(fixture);
    store_close(fixture->store);
}

static bool expect_reals(void *context, const struct sql_row *row)
{
    ++*(int *)context;
    for (int i = 0; i < row->count; i++)
        assert_int_equal(row->values[i].kind, SQL_REAL);
    return true;
}

/* Whichever way, a whole number in a column of real ones is a real one. */
static void insert_whole_numbers(void *argument)
{
    struct fixture *fixture = argument;
    static const char *const ways[] = {
        "INSERT INTO book (title, price) VALUES ('x', 3) RETURNING price, twice",
        "INSERT OR IGNORE INTO book (title, price) VALUES ('y', 3) RETURNING price, twice",
        "UPDATE book SET price = 4 WHERE title = 'y' RETURNING price, twice",
        "SELECT price, twice FROM book WHERE title = 'y'"};
    open_store(fixture);
    make_tables(fixture);
    begin_writing(fixture);
    assert_true(is_read_back(fixture, ways[0]) && !is_read_back(fixture, ways[1]));
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        int rows = 0;
        assert_int_equal(
            sql_run(fixture->work, ways[i], NULL, 0, expect_reals, &rows, NULL, &fixture->error),
            FH_OK);
        assert_int_equal(rows, 1);
    }
    commit(fixture);
    store_close(fixture->store);
}

#define WIDE "INSERT INTO wide (c0) VALUES (1) RETURNING *"

/* More columns than a row may have: nothing is inserted. */
static void insert_what_cannot_be_returned(void *argument)
{
    struct fixture *fixture = argument;
    char sql[8192];
    size_t used = (size_t)snprintf(sql, sizeof sql, "CREATE TABLE wide (c0");
    for (int i = 1; i <= SQL_VALUES_MAX; i++)
        used += (size_t)snprintf(sql + used, sizeof sql - used, ", c%d", i);
    snprintf(sql + used, sizeof sql - used, ")");
    open_store(fixture);
    begin_writing(fixture);
    run(fixture, sql);
    commit(fixture);
    begin_writing(fixture);
    struct seen seen = {0};
    assert_int_not_equal(
        sql_run(fixture->work, WIDE, NULL, 0, see_row, &seen, NULL, &fixture->error), FH_OK);
    expect(fixture, "SELECT c0 FROM wide", "");
    commit(fixture);
    store_close(fixture->store);
}

static void in_a_harness(void (*body)(void *argument))
{
    struct fixture fixture = {.store = NULL};
    harness_init(&fixture.harness);
    harness_run(&fixture.harness, body, &fixture);
    harness_release(&fixture.harness);
}

static void an_inserted_row_is_read_back_where_that_gives_the_same(void **state)
{
    (void)state;
    in_a_harness(insert_in_either_way);
}

static void what_is_known_of_triggers_ends_with_the_schema(void **state)
{
    (void)state;
    in_a_harness(change_the_schema);
}

static void a_whole_number_is_returned_as_the_real_one_that_is_stored(void **state)
{
    (void)state;
    in_a_harness(insert_whole_numbers);
}

static void a_row_that_cannot_be_returned_is_not_inserted(void **state)
{
    (void)state;
    in_a_harness(insert_what_cannot_be_returned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_inserted_row_is_read_back_where_that_gives_the_same),
        cmocka_unit_test(what_is_known_of_triggers_ends_with_the_schema),
        cmocka_unit_test(a_whole_number_is_returned_as_the_real_one_that_is_stored),
        cmocka_unit_test(a_row_that_cannot_be_returned_is_not_inserted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
