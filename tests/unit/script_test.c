/* SPDX-License-Identifier: Apache-2.0 */
/* What ends a statement, and what only looks as if it did. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../support/dialect.h"
#include "store/relational/script.h"

/* "LINE:statement|LINE:statement": how the text is read. */
static void assert_statements(const struct sql_dialect *dialect, const char *text,
                              const char *expected)
{
    struct script script = script_begin(text, dialect);
    struct script_statement statement;
    char all[4096] = "";
    size_t length = 0;
    int number = 0;
    while (script_next(&script, &statement)) {
        assert_int_equal(statement.number, ++number);
        length +=
            (size_t)snprintf(all + length, sizeof all - length, "%s%d:%.*s", length ? "|" : "",
                             statement.line, (int)statement.length, statement.text);
        assert_true(statement.text + statement.length <= text + statement.end);
    }
    assert_string_equal(all, expected);
}

static void assert_everywhere(const char *text, const char *expected)
{
    for (const struct engine *engine = NULL; (engine = dialect_next(engine));)
        assert_statements(engine->sql->dialect, text, expected);
}

static void semicolons_end_statements_and_lines_are_counted(void **state)
{
    (void)state;
    assert_everywhere("", "");
    assert_everywhere(" \n;; -- nothing\n/* at\nall */ ;", "");
    assert_everywhere("SELECT 1", "1:SELECT 1");
    assert_everywhere("-- first\n\nSELECT 1;\n\n SELECT\n 2 ;SELECT 3",
                      "3:SELECT 1|5:SELECT\n 2|6:SELECT 3");
    assert_everywhere("SELECT 1 -- one; and\n, 2; SELECT 3",
                      "1:SELECT 1 -- one; and\n, 2|2:SELECT 3");
}

static void what_is_quoted_ends_nothing(void **state)
{
    (void)state;
    assert_everywhere("SELECT 'a;''b;' ;SELECT \"c;\"\"d\"",
                      "1:SELECT 'a;''b;'|1:SELECT \"c;\"\"d\"");
    assert_everywhere("SELECT /* ; */ 1;SELECT 2", "1:SELECT /* ; */ 1|1:SELECT 2");
    assert_everywhere("SELECT 'never closed; SELECT 2", "1:SELECT 'never closed; SELECT 2");
    assert_statements(dialect_of("sqlite"), "SELECT [a;b];SELECT `c;`",
                      "1:SELECT [a;b]|1:SELECT `c;`");
    assert_statements(dialect_of("postgresql"), "SELECT a[1];SELECT 2", "1:SELECT a[1]|1:SELECT 2");
}

static void each_dialect_has_its_own_quotes_and_comments(void **state)
{
    (void)state;
    assert_statements(dialect_of("postgresql"), "SELECT $$a;b$$; SELECT $x$ $$;$x $x$;SELECT $1;",
                      "1:SELECT $$a;b$$|1:SELECT $x$ $$;$x $x$|1:SELECT $1");
    assert_statements(dialect_of("postgresql"), "SELECT E'a\\';b'; SELECT 'a\\'; SELECT 2",
                      "1:SELECT E'a\\';b'|1:SELECT 'a\\'|1:SELECT 2");
    assert_statements(dialect_of("postgresql"), "/* a /* b */ ; */ SELECT 1; SELECT 2",
                      "1:SELECT 1|1:SELECT 2");
    assert_statements(dialect_of("mariadb"), "SELECT 'a\\'; SELECT 'b''; '; # c;\nSELECT `d;`",
                      "1:SELECT 'a\\'|1:SELECT 'b''; '|2:SELECT `d;`");
    assert_statements(dialect_of("mariadb"), "/*!40101 SET NAMES utf8 */; SELECT 1--1; SELECT 2",
                      "1:/*!40101 SET NAMES utf8 */|1:SELECT 1--1|1:SELECT 2");
}

static void bodies_keep_their_semicolons(void **state)
{
    (void)state;
    static const char *const trigger =
        "CREATE TRIGGER t AFTER UPDATE ON a BEGIN\n"
        "  UPDATE b SET c = CASE WHEN d THEN 1 ELSE 2 END;\n  DELETE FROM e;\nEND";
    char text[512], expected[512];
    snprintf(text, sizeof text, "%s;\nSELECT 1;", trigger);
    snprintf(expected, sizeof expected, "1:%s|5:SELECT 1", trigger);
    assert_everywhere(text, expected);

    static const char *const procedure =
        "CREATE OR REPLACE PROCEDURE p() BEGIN DECLARE i INT; WHILE i < 3 DO SET i = i + 1; END "
        "WHILE; IF i THEN SELECT 1; ELSE BEGIN SELECT 2; END; END IF; CASE i WHEN 1 THEN SELECT "
        "3; END CASE; END";
    snprintf(text, sizeof text, "%s; SELECT 4", procedure);
    snprintf(expected, sizeof expected, "1:%s|1:SELECT 4", procedure);
    assert_statements(dialect_of("mariadb"), text, expected);
    assert_statements(dialect_of("mariadb"), "BEGIN NOT ATOMIC SELECT 1; SELECT 2; END; SELECT 3",
                      "1:BEGIN NOT ATOMIC SELECT 1; SELECT 2; END|1:SELECT 3");
    assert_statements(dialect_of("postgresql"),
                      "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT "
                      "2; END; SELECT 3",
                      "1:CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; "
                      "SELECT 2; END|1:SELECT 3");
}

static void a_table_may_be_named_as_what_has_a_body(void **state)
{
    (void)state;
    assert_everywhere("CREATE TABLE event (begin INT); SELECT 1",
                      "1:CREATE TABLE event (begin INT)|1:SELECT 1");
    assert_everywhere("CREATE INDEX event ON function (begin); SELECT 1",
                      "1:CREATE INDEX event ON function (begin)|1:SELECT 1");
}

static void words_are_those_outside_of_quotes_and_comments(void **state)
{
    (void)state;
    char word[SCRIPT_WORD_SIZE];
    struct script script = script_begin(
        "Create /* or */ Index \"if\" 'x' ON a_very_long_name_that_is_cut", dialect_of("sqlite"));
    struct script_statement statement;
    assert_true(script_next(&script, &statement));
    script_word(&statement, dialect_of("sqlite"), 0, word);
    assert_string_equal(word, "CREATE");
    script_word(&statement, dialect_of("sqlite"), 1, word);
    assert_string_equal(word, "INDEX");
    script_word(&statement, dialect_of("sqlite"), 3, word);
    assert_string_equal(word, "A_VERY_LONG_NAME_THAT_I");
    script_word(&statement, dialect_of("sqlite"), 4, word);
    assert_string_equal(word, "");
    assert_true(script_has_word(&statement, dialect_of("sqlite"), "ON"));
    assert_false(script_has_word(&statement, dialect_of("sqlite"), "IF"));
    assert_false(script_has_word(&statement, dialect_of("sqlite"), "OR"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(semicolons_end_statements_and_lines_are_counted),
        cmocka_unit_test(what_is_quoted_ends_nothing),
        cmocka_unit_test(each_dialect_has_its_own_quotes_and_comments),
        cmocka_unit_test(bodies_keep_their_semicolons),
        cmocka_unit_test(a_table_may_be_named_as_what_has_a_body),
        cmocka_unit_test(words_are_those_outside_of_quotes_and_comments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
