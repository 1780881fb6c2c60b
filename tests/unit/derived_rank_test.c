/* SPDX-License-Identifier: Apache-2.0 */
/* The rank of what a search finds, against that of FTS5's own bm25, and against what is said of it
 * where it is not the same. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/searched.h"

#define ROWS 400
#define WORDS 24u
#define TEXT_SIZE 4096

/* Of words of which the first ones are in most texts; none, a few, or more than a byte counts. */
static void draw_text(char text[static TEXT_SIZE])
{
    unsigned count = searched_draw(8) ? searched_draw(12) : searched_draw(400);
    size_t length = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < count; i++)
        length += (size_t)snprintf(text + length, TEXT_SIZE - length, "w%u ",
                                   searched_draw(1 + searched_draw(WORDS)));
}

static sqlite3 *open_rows(void)
{
    sqlite3 *db = searched_open();
    sqlite3_stmt *insert;
    char one[TEXT_SIZE], other[TEXT_SIZE];
    searched_run(db, "BEGIN");
    assert_int_equal(sqlite3_prepare_v2(db, "INSERT INTO rows VALUES (?1, ?2)", -1, &insert, NULL),
                     SQLITE_OK);
    for (int i = 0; i < ROWS; i++) {
        draw_text(one);
        draw_text(other);
        sqlite3_bind_text(insert, 1, one, -1, SQLITE_STATIC);
        sqlite3_bind_text(insert, 2, other, -1, SQLITE_STATIC);
        assert_int_equal(sqlite3_step(insert), SQLITE_DONE);
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
    return db;
}

struct ranked {
    double rank, asked, bm25; /* with the sizes; without; FTS5's own */
    int count;
};

static struct ranked ranked[ROWS + 1];

static int rank_rows(sqlite3 *db, const char *match, int unfinished)
{
    sqlite3_stmt *statement;
    int found = 0;
    memset(ranked, 0, sizeof ranked);
    assert_int_equal(
        sqlite3_prepare_v2(db,
                           "SELECT rows.rowid, fh_rank(rows, d.sz, ?2, 5.0, 2.0),"
                           " fh_rank(rows, NULL, ?2, 5.0, 2.0), bm25(rows, 5.0, 2.0) FROM rows"
                           " LEFT JOIN rows_docsize AS d ON d.id = rows.rowid WHERE rows MATCH ?1",
                           -1, &statement, NULL),
        SQLITE_OK);
    sqlite3_bind_text(statement, 1, match, -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, 2, unfinished);
    for (; sqlite3_step(statement) == SQLITE_ROW; found++)
        ranked[sqlite3_column_int(statement, 0)] = (struct ranked){
            sqlite3_column_double(statement, 1), sqlite3_column_double(statement, 2),
            sqlite3_column_double(statement, 3), 1};
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    return found;
}

static bool is_about(double one, double other)
{
    return fabs(one - other) <= 1e-9 * (1 + fabs(other));
}

static void it_is_that_of_fts5_for_several_phrases(void **state)
{
    char match[80];
    int found = 0;
    (void)state;
    searched_seed = 7;
    sqlite3 *db = open_rows();
    for (int i = 0; i < 100; i++) {
        snprintf(match, sizeof match, i % 2 ? "\"w%u w%u\" \"w%u\"" : "\"w%u\" \"w%u\" \"w%u\"",
                 searched_draw(WORDS), searched_draw(WORDS), searched_draw(WORDS));
        found += rank_rows(db, match, 0);
        for (int row = 1; row <= ROWS; row++) {
            assert_true(is_about(ranked[row].rank, ranked[row].bm25));
            assert_true(is_about(ranked[row].asked, ranked[row].bm25));
        }
    }
    assert_true(found > 100);
    sqlite3_close(db);
}

/* Of one phrase: the same order. */
static void one_phrase_is_as_rare_as_any(void **state)
{
    char match[40];
    (void)state;
    searched_seed = 11;
    sqlite3 *db = open_rows();
    for (unsigned word = 0; word < WORDS; word++) {
        double factor = 0;
        snprintf(match, sizeof match, "\"w%u\"%s", word, word % 2 ? "*" : "");
        assert_true(rank_rows(db, match, word % 2) > 1);
        for (int row = 1; row <= ROWS; row++) {
            if (!ranked[row].count)
                continue;
            assert_true(ranked[row].rank < 0 && ranked[row].rank >= -2.2);
            factor = factor != 0 ? factor : ranked[row].rank / ranked[row].bm25;
            assert_true(is_about(ranked[row].rank, ranked[row].bm25 * factor));
        }
    }
    sqlite3_close(db);
}

static double rarity_of_word(sqlite3 *db, const char *match)
{
    double found = rank_rows(db, match, 0), rarity = log((ROWS - found + 0.5) / (found + 0.5));
    return rarity > 0 ? rarity : 1e-6;
}

static void an_unfinished_word_counts_as_the_rarest_other_one(void **state)
{
    struct ranked first[ROWS + 1], last[ROWS + 1];
    char match[80], one[40], other[40];
    int found = 0, rare = 0;
    (void)state;
    searched_seed = 13;
    sqlite3 *db = open_rows();
    for (unsigned word = 0; word < WORDS; word++) {
        snprintf(one, sizeof one, "\"w%u\"", word);
        snprintf(other, sizeof other, "\"w%u\"*", searched_draw(WORDS));
        snprintf(match, sizeof match, "%s %s", one, other);
        rank_rows(db, other, 1);
        memcpy(last, ranked, sizeof last);
        double rarity = rarity_of_word(db, one), most = rarity > 1 ? rarity : 1;
        memcpy(first, ranked, sizeof first);
        rare += rarity > 1;
        found += rank_rows(db, match, 2);
        for (int row = 1; row <= ROWS; row++) {
            double expected = first[row].rank * rarity + last[row].rank * most;
            assert_true(!ranked[row].count || is_about(ranked[row].rank, expected));
        }
    }
    assert_true(found > (int)WORDS && rare > 1 && rare < (int)WORDS);
    sqlite3_close(db);
}

/* FTS5 leaves out what has no word, here the last phrase: then none of the others is unfinished. */
static void a_phrase_without_a_word_is_none(void **state)
{
    (void)state;
    searched_seed = 19;
    sqlite3 *db = open_rows();
    assert_true(rank_rows(db, "\"w3\" \"w1\" \"-\"*", 3) > 1);
    for (int row = 1; row <= ROWS; row++)
        assert_true(is_about(ranked[row].rank, ranked[row].bm25));
    sqlite3_close(db);
}

/* As where its table is damaged: it is said, as FTS5 says it, and no rank is made up. */
static void assert_corrupt_after(const char *damage)
{
    searched_seed = 17;
    sqlite3 *db = open_rows();
    searched_run(db, damage);
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT fh_rank(rows, d.sz, 0) FROM rows LEFT JOIN"
                                        " rows_docsize AS d ON d.id = rows.rowid"
                                        " WHERE rows MATCH '\"w0\"'",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    int step;
    while ((step = sqlite3_step(statement)) == SQLITE_ROW)
        continue;
    assert_int_equal(step, SQLITE_CORRUPT);
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

static void a_row_whose_sizes_are_damaged_is_an_error(void **state)
{
    (void)state;
    assert_corrupt_after("DELETE FROM rows_docsize WHERE id % 2");
    assert_corrupt_after("UPDATE rows_docsize SET sz = x''");
    assert_corrupt_after("UPDATE rows_docsize SET sz = x'80'");
    assert_corrupt_after("UPDATE rows_docsize SET sz = x'0180'");
    assert_corrupt_after("UPDATE rows_docsize SET sz = x'010101'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_that_of_fts5_for_several_phrases),
        cmocka_unit_test(one_phrase_is_as_rare_as_any),
        cmocka_unit_test(an_unfinished_word_counts_as_the_rarest_other_one),
        cmocka_unit_test(a_phrase_without_a_word_is_none),
        cmocka_unit_test(a_row_whose_sizes_are_damaged_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
