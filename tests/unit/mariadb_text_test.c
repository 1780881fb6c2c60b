/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a statement's text before MariaDB is given it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "engine/mariadb/internal.h"

static struct mariadb_texts texts;

static struct mariadb_text *get(const char *sql, const int *sizes)
{
    struct mariadb_text *text = NULL;
    struct fh_error error;
    assert_int_equal(mariadb_text_get(&texts, sql, sizes, &text, &error), FH_OK);
    return text;
}

/* "0 1 2:0 2:1", the parameter of each place, with the element of a list after a colon */
static void assert_places(const struct mariadb_text *text, const char *expected)
{
    char all[512] = "";
    size_t length = 0;
    for (int i = 0; i < text->position_count; i++) {
        const struct mariadb_position *position = &text->positions[i];
        length += (size_t)snprintf(all + length, sizeof all - length, "%s%d", i ? " " : "",
                                   position->parameter);
        if (position->element >= 0)
            length += (size_t)snprintf(all + length, sizeof all - length, ":%d", position->element);
    }
    assert_string_equal(all, expected);
}

static void assert_text(const char *sql, const char *given, const char *places)
{
    struct mariadb_text *text = get(sql, NULL);
    assert_string_equal(text->sql, given);
    assert_places(text, places);
    mariadb_text_put(text);
}

static int end(void **state)
{
    (void)state;
    mariadb_texts_release(&texts);
    return 0;
}

static void numbered_parameters_become_places_wherever_and_however_often_they_stand(void **state)
{
    (void)state;
    assert_text("SELECT ?2, ?1, ?2", "SELECT ?, ?, ?", "1 0 1");
    assert_text("SELECT ?12", "SELECT ?", "11");
    assert_text("SELECT 1", "SELECT 1", "");
}

static void quotes_and_comments_hold_no_parameters(void **state)
{
    (void)state;
    static const char *const sql =
        "SELECT '?1', \"?1\", `?1`, 'it''s ?1', '\\', ?1 /* ?1 */ -- ?1\n"
        ", ?2 # ?1";
    assert_text(sql,
                "SELECT '?1', \"?1\", `?1`, 'it''s ?1', '\\', ? /* ?1 */ -- ?1\n"
                ", ? # ?1",
                "0 1");
    assert_text("SELECT 5--?1", "SELECT 5--?", "0"); /* no comment: no blank after it */
}

static void a_list_takes_as_many_places_as_it_is_said_to_have(void **state)
{
    (void)state;
    static const char *const sql = "SELECT 1 WHERE a = ?1 AND b IN (?2...) AND c NOT IN (?3...)";
    int sizes[MARIADB_PARAMETERS_MAX] = {0, 2, 0};
    struct mariadb_text *text = get(sql, NULL), *variant = get(sql, sizes);
    assert_true(text->list);
    assert_string_equal(variant->sql, "SELECT 1 WHERE a = ? AND b IN (?,?) AND c NOT IN "
                                      "(SELECT NULL FROM DUAL WHERE FALSE)");
    assert_places(variant, "0 1:0 1:1");
    sizes[1] = 1;
    sizes[2] = 4;
    struct mariadb_text *other = get(sql, sizes);
    assert_places(other, "0 1:0 2:0 2:1 2:2 2:3");
    assert_ptr_not_equal(variant, other);
    sizes[1] = 2;
    sizes[2] = 0;
    assert_ptr_equal(get(sql, sizes), variant);
}

static void a_parameter_without_a_number_or_with_one_too_large_is_refused(void **state)
{
    (void)state;
    struct mariadb_text *text;
    struct fh_error error;
    assert_int_equal(mariadb_text_get(&texts, "SELECT ?", NULL, &text, &error), FH_UNSUPPORTED);
    assert_int_equal(mariadb_text_get(&texts, "SELECT ?0", NULL, &text, &error), FH_UNSUPPORTED);
    assert_int_equal(mariadb_text_get(&texts, "SELECT ?999", NULL, &text, &error), FH_UNSUPPORTED);
    assert_int_equal(mariadb_text_get(&texts, "SELECT ?99999999999999999999", NULL, &text, &error),
                     FH_UNSUPPORTED);
}

static void what_a_statement_begins_with_says_what_it_may_do(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        bool schema, control;
    } tries[] = {
        {"SELECT 1", false, false},
        {" (SELECT 1) UNION SELECT 2", false, false},
        {"-- CREATE\n /* x */ # y\n select 1", false, false},
        {"INSERT INTO a VALUES (1)", false, false},
        {"SELECTED", false, false},
        {"create table a (b int)", true, false},
        {"TRUNCATE a", true, false},
        {"START TRANSACTION", false, true},
        {"commit", false, true},
        {"SET autocommit = 1", false, true},
        {"XA COMMIT 'x'", false, true},
        {"/*! COMMIT */", false, true},
        {"/*M!100100 /* x */ rollback */", false, true},
        {"/*!999999 SELECT 1 */ COMMIT", false, true},
        {"/*!50000 DROP */ TABLE a", true, false},
        {"/*!50000 INSERT INTO a */ SELECT 1", false, false},
        {"/* ! COMMIT */ SELECT 1", false, false},
    };
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        struct mariadb_text *text = get(tries[i].sql, NULL);
        assert_int_equal(text->schema, tries[i].schema);
        assert_int_equal(text->control, tries[i].control);
        mariadb_text_put(text);
    }
}

static void more_texts_than_places_push_out_those_that_nobody_uses(void **state)
{
    (void)state;
    char sql[64];
    struct mariadb_text *used = get("SELECT 'used'", NULL);
    uint64_t serial = used->serial;
    for (int i = 0; i < 5 * MARIADB_TEXTS_MAX; i++) {
        snprintf(sql, sizeof sql, "SELECT %d", i); /* at one place, with another text each time */
        struct mariadb_text *text = get(sql, NULL);
        assert_string_equal(text->sql, sql);
        mariadb_text_put(text);
    }
    assert_ptr_equal(get("SELECT 'used'", NULL), used);
    assert_true(used->serial == serial);
    struct mariadb_text *again = get("SELECT 0", NULL);
    assert_true(again->serial > serial + MARIADB_TEXTS_MAX);
}

static void when_all_are_used_one_more_waits_for_none(void **state)
{
    (void)state;
    char sql[64];
    struct mariadb_text *text;
    struct fh_error error;
    for (int i = 0; i < MARIADB_TEXTS_MAX; i++) {
        snprintf(sql, sizeof sql, "SELECT %d", i);
        get(sql, NULL);
    }
    assert_int_equal(mariadb_text_get(&texts, "SELECT 'one more'", NULL, &text, &error),
                     FH_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(
            numbered_parameters_become_places_wherever_and_however_often_they_stand, end),
        cmocka_unit_test_teardown(quotes_and_comments_hold_no_parameters, end),
        cmocka_unit_test_teardown(a_list_takes_as_many_places_as_it_is_said_to_have, end),
        cmocka_unit_test_teardown(a_parameter_without_a_number_or_with_one_too_large_is_refused,
                                  end),
        cmocka_unit_test_teardown(what_a_statement_begins_with_says_what_it_may_do, end),
        cmocka_unit_test_teardown(more_texts_than_places_push_out_those_that_nobody_uses, end),
        cmocka_unit_test_teardown(when_all_are_used_one_more_waits_for_none, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
