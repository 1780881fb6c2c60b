/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a text that a hit shows: of a short one all, marked as FTS5 marks it; of a long one
 * so many words, about what was found; of any one at once, however often it was found. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/searched.h"

#define TEXT_SIZE 1024

/* That alone. */
static void put_row(sqlite3 *db, const char *one, const char *other)
{
    sqlite3_stmt *insert;
    searched_run(db, "DELETE FROM rows");
    assert_int_equal(sqlite3_prepare_v2(db, "INSERT INTO rows VALUES (?1, ?2)", -1, &insert, NULL),
                     SQLITE_OK);
    sqlite3_bind_text(insert, 1, one, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 2, other, -1, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(insert), SQLITE_DONE);
    sqlite3_finalize(insert);
}

/* The column of a row that matches: of "fh_excerpt(rows, 1)", say. "": none does. Until the next.
 */
static const char *shown(sqlite3 *db, const char *column, const char *match)
{
    static char text[(size_t)1 << 16];
    char sql[256];
    sqlite3_stmt *statement;
    snprintf(sql, sizeof sql, "SELECT %s FROM rows WHERE rows MATCH ?1", column);
    text[0] = '\0';
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    sqlite3_bind_text(statement, 1, match, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) == SQLITE_ROW)
        snprintf(text, sizeof text, "%s", (const char *)sqlite3_column_text(statement, 0));
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    for (char *at = text; *at; at++)
        *at = (char)(*at == '\2' ? '[' : *at == '\3' ? ']' : *at);
    return text;
}

static void draw_words(char text[static TEXT_SIZE], unsigned count)
{
    static const char *const between[] = {" ", ", ", "-", " (", "; "};
    size_t length = (size_t)snprintf(text, TEXT_SIZE, "%s", searched_draw(3) ? "" : "(");
    for (unsigned i = 0; i < count; i++)
        length += (size_t)snprintf(text + length, TEXT_SIZE - length, "%s%c%c",
                                   searched_draw(3) ? "é" : "", 'a' + (int)searched_draw(4), ' ');
    for (unsigned i = 0; i < 3 && length; i++)
        length +=
            (size_t)snprintf(text + length, TEXT_SIZE - length, "%s", between[searched_draw(5)]);
}

/* Marks, and what is around words, as highlight() has them: of several words in a row, of phrases
 * that overlap, of words that may go on. */
static void a_short_text_is_marked_as_fts5_marks_it(void **state)
{
    static const char *const questions[] = {
        "a",           "a b", "\"a b\"",      "\"a b\" \"b a\"", "\"a a\"",
        "\"a b a\" b", "é*",  "a \"éb c\" c", "\"a\"* \"b\"",    "d \"c d\""};
    sqlite3 *db = searched_open();
    char one[TEXT_SIZE], other[TEXT_SIZE], expected[TEXT_SIZE * 4];
    int found = 0;
    (void)state;
    searched_seed = 5;
    for (int i = 0; i < 400; i++) {
        draw_words(one, searched_draw(4));
        draw_words(other, searched_draw(33));
        put_row(db, one, other);
        for (size_t j = 0; j < sizeof questions / sizeof *questions; j++) {
            snprintf(expected, sizeof expected, "%s",
                     shown(db, "highlight(rows, 1, char(2), char(3))", questions[j]));
            assert_string_equal(shown(db, "fh_excerpt(rows, 1)", questions[j]), expected);
            found += expected[0] != '\0';
        }
    }
    assert_true(found > 500);
    sqlite3_close(db);
}

/* `count` words n0 n1 ..., but for some of them. */
static char *numbered(int count, int at, const char *word, int at_too, const char *word_too)
{
    char *text = malloc((size_t)count * 8 + 64);
    size_t length = 0;
    assert_non_null(text);
    for (int i = 0; i < count; i++) {
        char number[16];
        snprintf(number, sizeof number, "n%d", i);
        length += (size_t)sprintf(text + length, "%s%s", i ? " " : "",
                                  i == at       ? word
                                  : i == at_too ? word_too
                                                : number);
    }
    return text;
}

static void assert_begins_and_ends(const char *text, const char *begins, const char *ends)
{
    assert_memory_equal(text, begins, strlen(begins));
    assert_string_equal(text + strlen(text) - strlen(ends), ends);
}

static void of_a_long_one_the_part_is_shown_in_which_most_was_found(void **state)
{
    sqlite3 *db = searched_open();
    (void)state;
    char *text = numbered(200, 100, "red", 103, "shoe");
    put_row(db, "", text);
    assert_begins_and_ends(shown(db, "fh_excerpt(rows, 1)", "red"), "…n85 n86 ",
                           " n99 [red] n101 n102 shoe n104 n105 n106 n107 n108 n109 n110 n111 n112"
                           " n113 n114 n115 n116…");
    assert_non_null(strstr(shown(db, "fh_excerpt(rows, 1)", "red shoe"), "[red] n101 n102 [shoe]"));
    free(text);
    text = numbered(200, 0, "red", 150, "red");
    put_row(db, "", text);
    assert_begins_and_ends(shown(db, "fh_excerpt(rows, 1)", "red"), "[red] n1 ", " n30 n31…");
    assert_begins_and_ends(shown(db, "fh_excerpt(rows, 1)", "n199"), "…n168 ", " n198 [n199]");
    assert_non_null(strstr(shown(db, "fh_excerpt(rows, 1)", "red n151"), "[red] [n151]"));
    free(text);
    text = numbered(40, 50, "", 50, "");
    put_row(db, "red", text); /* found elsewhere alone */
    assert_begins_and_ends(shown(db, "fh_excerpt(rows, 1)", "red"), "n0 n1 ", " n31…");
    assert_string_equal(shown(db, "fh_excerpt(rows, 0)", "red"), "[red]");
    free(text);
    sqlite3_close(db);
}

/* A phrase that the part cuts off is closed where that ends. */
static void each_mark_is_closed(void **state)
{
    sqlite3 *db = searched_open();
    char match[1024] = "\"n10";
    char *text = numbered(100, 200, "", 200, "");
    (void)state;
    for (int i = 11; i < 60; i++)
        snprintf(match + strlen(match), sizeof match - strlen(match), " n%d", i);
    strcat(match, "\"");
    put_row(db, "", text);
    const char *part = shown(db, "fh_excerpt(rows, 1)", match);
    assert_begins_and_ends(part, "…[n10 ", " n41]…");
    free(text);
    sqlite3_close(db);
}

/* As many pairs as snippet() would look at have no end within a test's time. */
static void what_is_found_a_hundred_thousand_times_is_shown_at_once(void **state)
{
    sqlite3 *db = searched_open();
    char *text = malloc(400001);
    (void)state;
    assert_non_null(text);
    for (int i = 0; i < 200000; i++)
        memcpy(text + 2 * i, "a ", 3);
    put_row(db, "", text);
    const char *part = shown(db, "fh_excerpt(rows, 1)", "a a a a \"a a\" \"a a a\" a*");
    assert_begins_and_ends(part, "[a a a", "a]…");
    free(text);
    sqlite3_close(db);
}

static void there_is_no_such_column(void **state)
{
    static const char *const wrong[] = {"SELECT fh_excerpt(rows, -1) FROM rows('a')",
                                        "SELECT fh_excerpt(rows, 2) FROM rows('a')"};
    sqlite3 *db = searched_open();
    (void)state;
    put_row(db, "a", "a");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(sqlite3_exec(db, wrong[i], NULL, NULL, NULL), SQLITE_RANGE);
    sqlite3_close(db);
}

static void a_damaged_table_is_an_error(void **state)
{
    sqlite3 *db = searched_open();
    sqlite3_stmt *statement;
    (void)state;
    put_row(db, "", "a b c");
    searched_run(db, "UPDATE rows_docsize SET sz = x'00ffff7f'");
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT fh_excerpt(rows, 1) FROM rows('a')", -1, &statement, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_CORRUPT);
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_text_is_marked_as_fts5_marks_it),
        cmocka_unit_test(of_a_long_one_the_part_is_shown_in_which_most_was_found),
        cmocka_unit_test(each_mark_is_closed),
        cmocka_unit_test(what_is_found_a_hundred_thousand_times_is_shown_at_once),
        cmocka_unit_test(there_is_no_such_column),
        cmocka_unit_test(a_damaged_table_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
