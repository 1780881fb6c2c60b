/* SPDX-License-Identifier: Apache-2.0 */
/* Files of reports: what one has to be, what it takes, and which of a folder's there are. */

#include "../support/harness.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/engines.h"
#include "service/reports.h"

static const struct sql_ops *sql_of_engine(void)
{
    return engine_embedded()->sql;
}

/* ---- One file ---- */

static void a_report_is_a_statement_and_what_it_takes(void **state)
{
    struct report report = {0};
    (void)state;
    assert_true(report_read(&report,
                            "-- freehold: takes from_day text\n"
                            "\n"
                            "--  What was sold, by day. \n"
                            "-- freehold:takes category text or null\r\n"
                            "--freehold: is no note\n"
                            "/* :nothing */\n"
                            "SELECT day, ':no' AS a, sum(cents) FROM sale -- :neither\n"
                            " WHERE day >= :from_day AND (:category IS NULL OR :category = a);\n"
                            "-- The end.\n",
                            sql_of_engine()));
    assert_string_equal(report.why, "");
    assert_string_equal(report.summary, "What was sold, by day.");
    assert_int_equal(report.line, 7);
    assert_int_equal(report.reading.count, 2);
    assert_string_equal(report.reading.names[0], "from_day");
    assert_string_equal(report.reading.names[1], "category");
    assert_false(report.optional[0]);
    assert_true(report.optional[1]);
    report_release(&report);
}

static void a_file_that_is_no_report_is_told_with_its_line(void **state)
{
    static const struct {
        const char *text;
        int line;
        const char *why;
    } files[] = {
        {"", 1, "there is no statement in it"},
        {"-- Only words.\n;\n", 1, "there is no statement in it"},
        {"SELECT 1;\nSELECT 2", 2, "this is a second one"},
        {"SELECT '\xff'", 1, "not UTF-8"},
        {"\nPRAGMA user_version = 7", 2, "something else than to read"},
        {"/* */ ATTACH 'x' AS y", 1, "something else than to read"},
        {"SELECT :day", 1, "no note says what :day is"},
        {"SELECT 1 WHERE 1 IN (:ids)", 1, "no lists"},
        {"\n-- freehold: takes day text\nSELECT 1", 2, "does not name :day"},
        {"-- freehold: takes day date\nSELECT :day", 1, "text, integer, number or boolean"},
        {"-- freehold: takes day\nSELECT :day", 1, "text, integer, number or boolean"},
        {"-- freehold: takes day text or 7\nSELECT :day", 1, "only \"or null\""},
        {"-- freehold: takes day text or null!\nSELECT :day", 1, "only \"or null\""},
        {"-- freehold: takes day text null\nSELECT :day", 1, "only \"or null\""},
        {"-- freehold: takes day text or null too\nSELECT :day", 1, "only \"or null\""},
        {"-- freehold: takes day text\n-- freehold: takes day text\nSELECT :day", 2, "day twice"},
        {"-- freehold: alone\nSELECT 1", 1, "nobody knows the note \"alone\""},
        {"-- freehold:\nSELECT 1", 1, "nobody knows the note"},
        {"SELECT 1\n-- freehold: takes day text\n", 2, "notes come before"},
        {"SELECT 1,\n-- freehold: takes day text\n2", 2, "notes come before"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct report report = {0};
        assert_false(report_read(&report, files[i].text, sql_of_engine()));
        if (!strstr(report.why, files[i].why) || report.line != files[i].line)
            fail_msg("%s: line %d: %s", files[i].text, report.line, report.why);
        report_release(&report);
    }
}

/* ---- What it takes ---- */

static const char *const taking = "-- freehold: takes t text\n-- freehold: takes i integer\n"
                                  "-- freehold: takes n number\n-- freehold: takes b boolean\n"
                                  "-- freehold: takes o integer or null\nSELECT :t, :i, :n, :b, :o";

static enum fh_code bind_text(const char *first, const char *second, struct sql_value *values,
                              struct fh_error *error)
{
    struct report report = {.name = "all_types"};
    static json_t *objects[2];
    json_decref(objects[0]);
    json_decref(objects[1]);
    objects[0] = json_loads(first, JSON_ALLOW_NUL, NULL);
    objects[1] = json_loads(second, JSON_ALLOW_NUL, NULL);
    assert_true(report_read(&report, taking, sql_of_engine()));
    enum fh_code code = report_bind(&report, objects, 2, values, error);
    report_release(&report);
    return code;
}

static void values_are_taken_as_what_they_are_or_as_texts_of_it(void **state)
{
    struct sql_value values[RELATIONAL_NAMES_MAX];
    struct fh_error error;
    (void)state;
    assert_int_equal(bind_text("{\"t\": \"a\\u0000b\", \"i\": -7, \"n\": 1.5, \"x\": 1}",
                               "{\"i\": 8, \"b\": true, \"o\": 3}", values, &error),
                     FH_OK);
    assert_int_equal(values[0].kind, SQL_TEXT);
    assert_int_equal(values[0].length, 3);
    assert_int_equal(values[1].integer, -7);
    assert_true(values[2].real == 1.5);
    assert_int_equal(values[3].integer, 1);
    assert_int_equal(values[4].integer, 3);
    assert_int_equal(bind_text("{\"t\": \"\", \"i\": \"9223372036854775807\", \"n\": \"-1e3\"}",
                               "{\"b\": \"false\", \"o\": null}", values, &error),
                     FH_OK);
    assert_int_equal(values[1].integer, INT64_MAX);
    assert_true(values[2].real == -1000);
    assert_int_equal(values[3].integer, 0);
    assert_int_equal(values[4].kind, SQL_NULL);
}

static void what_is_missing_or_of_another_type_is_told_without_the_value(void **state)
{
    static const struct {
        const char *given, *why;
    } refusals[] = {
        {"{\"i\": 1, \"n\": 1, \"b\": true}", "takes \"t\", of type text"},
        {"{\"t\": null, \"i\": 1, \"n\": 1, \"b\": true}", "\"t\" of type text"},
        {"{\"t\": 4711, \"i\": 1, \"n\": 1, \"b\": true}", "\"t\" of type text"},
        {"{\"t\": \"\", \"i\": 4711.5, \"n\": 1, \"b\": true}", "\"i\" of type integer"},
        {"{\"t\": \"\", \"i\": \"4711x\", \"n\": 1, \"b\": true}", "\"i\" of type integer"},
        {"{\"t\": \"\", \"i\": \" 4711\", \"n\": 1, \"b\": true}", "\"i\" of type integer"},
        {"{\"t\": \"\", \"i\": \"\", \"n\": 1, \"b\": true}", "\"i\" of type integer"},
        {"{\"t\": \"\", \"i\": \"-\", \"n\": 1, \"b\": true}", "\"i\" of type integer"},
        {"{\"t\": \"\", \"i\": \"1\\u0000\", \"n\": 1, \"b\": true}", "\"i\" of type integer"},
        {"{\"t\": \"\", \"i\": \"9223372036854775808\", \"n\": 1, \"b\": true}", "\"i\" of type"},
        {"{\"t\": \"\", \"i\": 1, \"n\": \"nan\", \"b\": true}", "\"n\" of type number"},
        {"{\"t\": \"\", \"i\": 1, \"n\": \"1e999\", \"b\": true}", "\"n\" of type number"},
        {"{\"t\": \"\", \"i\": 1, \"n\": \"[4711]\", \"b\": true}", "\"n\" of type number"},
        {"{\"t\": \"\", \"i\": 1, \"n\": 1, \"b\": 1}", "\"b\" of type boolean"},
        {"{\"t\": \"\", \"i\": 1, \"n\": 1, \"b\": \"yes\"}", "\"b\" of type boolean"},
    };
    struct sql_value values[RELATIONAL_NAMES_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct fh_error error;
        assert_int_equal(bind_text(refusals[i].given, "{}", values, &error), FH_UNSUPPORTED);
        if (!strstr(error.message, refusals[i].why) || strstr(error.message, "4711"))
            fail_msg("%s: %s", refusals[i].given, error.message);
    }
}

/* ---- A folder ---- */

static int folder_set_up(void **state)
{
    static struct harness harness;
    harness_init(&harness);
    *state = &harness;
    return 0;
}

static int folder_tear_down(void **state)
{
    harness_release(*state);
    return 0;
}

static void put_file(const struct harness *harness, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", harness->folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void a_folders_reports_are_there_and_the_engines_own_come_first(void **state)
{
    const struct harness *harness = *state;
    struct reports all;
    struct fh_error error;
    char own[256], name[96];
    snprintf(own, sizeof own, "%s/%s", harness->folder, engine_embedded()->name);
    assert_int_equal(mkdir(own, 0700), 0);
    assert_false(reports_are_there(harness->folder, engine_embedded()->name));
    snprintf(name, sizeof name, "%s/sold.sql", engine_embedded()->name);
    put_file(harness, name, "SELECT 'own'");
    assert_true(reports_are_there(harness->folder, engine_embedded()->name));
    assert_false(reports_are_there(harness->folder, "postgresql"));
    put_file(harness, "sold.sql", "SELECT 'all'");
    assert_true(reports_are_there(harness->folder, "postgresql"));
    put_file(harness, "bought.sql", "SELECT 1; SELECT 2");
    put_file(harness, "Bought Too.sql", "SELECT 1");
    put_file(harness, "README.md", "# Words");
    assert_int_equal(
        reports_read(harness->folder, engine_embedded()->name, sql_of_engine(), &all, &error),
        FH_OK);
    assert_int_equal(all.count, 3);
    const struct report *sold = reports_find(&all, "sold");
    assert_non_null(sold);
    assert_string_equal(sold->reading.sql, "SELECT 'own'");
    assert_string_equal(sold->file, name);
    assert_string_equal(sold->why, "");
    assert_non_null(strstr(reports_find(&all, "bought")->why, "second"));
    assert_non_null(strstr(reports_find(&all, "Bought Too")->why, "lower-case"));
    assert_null(reports_find(&all, "README"));
    assert_null(reports_find(&all, "../sold"));
    reports_release(&all);
}

/* ---- What a server is not told ---- */

/* As PostgreSQL reads it, whatever it is written like; what is quoted or commented names nothing.
 */
/* `why`: a part of what is said; NULL: it fits. */
static void must_fit(const struct engine *engine, const char *sql, const char *why)
{
    struct fh_error error = {0};
    enum fh_code code = engine->sql->report_fits(sql, &error);
    if (why ? code != FH_UNSUPPORTED || !strstr(error.message, why) : code != FH_OK)
        fail_msg("%s: %s", sql, error.message);
}

static void what_no_report_may_name_is_found(void **state)
{
    static const struct {
        const char *sql, *why; /* NULL: it fits */
    } texts[] = {
        {"SELECT 'set_config' AS a, \"a set_config\" -- set_config\n FROM x /* nextval */", NULL},
        {"SELECT $a$ set_config $b$ $a$, $$fh_outbox$$, lo_price, xfh_a, E'\\'set_config'", NULL},
        {"SELECT lo_get_price, pg_sleep(1), settings, 1e5, ?1", NULL},
        {"SELECT SET_config('a', 'b', true)", "calls set_config"},
        {"SELECT set_config /* */ ('a', 'b', true)", "calls set_config"},
        {"SELECT \"set_config\"('a', 'b', true)", "calls set_config"},
        {"SELECT pg_catalog.set_config('a', 'b', true)", "calls set_config"},
        {"SELECT U&\"set\\005fconfig\"('a', 'b', true)", "U&"},
        {"SELECT u&\"x\" FROM y", "U&"},
        {"SELECT date'\\', set_config('a', 'b', true) --'", "calls set_config"},
        {"SELECT E'\\\\', set_config('a', 'b', true) --'", "calls set_config"},
        {"SELECT 1 -- x\r, set_config('a', 'b', true)", "calls set_config"},
        {"SELECT /* /* */ ' */ set_config('a', 'b', true)", "calls set_config"},
        {"SELECT E'a'\n'\\' ' , set_config('a', 'b', true), ' '", "several parts"},
        {"SELECT e'a' --\n '\\' ' , set_config('a', 'b', true), ' '", "several parts"},
        {"SELECT 1$a$ ' $a$, set_config('a', 'b', true), ' '", "calls set_config"},
        {"SELECT x$a$y, set_config('a', 'b', true), $a$", "calls set_config"},
        {"SELECT lo_creat(-1)", "calls lo_creat"},
        {"SELECT pg_read_binary_file('x')", "calls pg_read_binary_file"},
        {"SELECT pg_advisory_xact_lock(1)", "calls pg_advisory_xact_lock"},
        {"SELECT dblink_connect('x')", "calls dblink_connect"},
        {"SELECT * FROM FH_Outbox", "fh_outbox, which is not the service's own"},
        {"SELECT * FROM \"fh_outbox", "fh_outb"},
        {"SELECT \"", NULL},
        {"SELECT 'x", NULL},
        {"", NULL},
    };
    (void)state;
    if (!engine_named("postgresql"))
        SKIP_BECAUSE("POSTGRESQL IS NOT BUILT IN");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        must_fit(engine_named("postgresql"), texts[i].sql, texts[i].why);
}

static void what_no_report_may_name_on_mariadb_is_found(void **state)
{
    static const struct {
        const char *sql, *why;
    } texts[] = {
        {"SELECT a FROM t /* get_lock */ WHERE b = 'get_lock' -- get_lock\n", NULL},
        {"SELECT a FROM t # get_lock(\n", NULL},
        {"SELECT my_get_lock, get_lock2, xfh_a, 'fh_a' FROM t", NULL},
        {"SELECT 'it''s', get_lock('a', 1)", "calls get_lock"},
        {"SELECT 'a\\', get_lock('b', 1)", "calls get_lock"},
        {"SELECT 1--get_lock('b', 1)", "calls get_lock"},
        {"SELECT \"Get_Lock\"('b', 1)", "calls Get_Lock"},
        {"SELECT `load_file`('b')", "calls load_file"},
        {"SELECT a FROM `fh_outbox`", "fh_outbox, which is not the service's own"},
        {"SELECT a FROM db.FH_Outbox", "FH_Outbox, which is not the service's own"},
        {"SELECT /*!50000 a */ FROM t", "comment that the server runs"},
        {"SELECT /*M! a */ FROM t", "comment that the server runs"},
        {"SELECT a FROM `fh_outbox", "fh_outb"},
        {"SELECT \"", NULL},
        {"SELECT `", NULL},
        {"SELECT 'x", NULL},
        {"", NULL},
    };
    (void)state;
    if (!engine_named("mariadb"))
        SKIP_BECAUSE("MARIADB IS NOT BUILT IN");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        must_fit(engine_named("mariadb"), texts[i].sql, texts[i].why);
}

static void a_folder_that_is_not_there_is_an_error_and_none_is_none(void **state)
{
    struct reports all;
    struct fh_error error;
    (void)state;
    assert_int_equal(
        reports_read("/nowhere/reports", engine_embedded()->name, sql_of_engine(), &all, &error),
        FH_INVALID);
    assert_non_null(strstr(error.message, "/nowhere/reports"));
    assert_true(reports_are_there("/nowhere/reports", engine_embedded()->name));
    assert_false(reports_are_there(NULL, engine_embedded()->name));
    assert_int_equal(reports_read(NULL, engine_embedded()->name, sql_of_engine(), &all, &error),
                     FH_OK);
    assert_int_equal(all.count, 0);
    reports_release(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_is_a_statement_and_what_it_takes),
        cmocka_unit_test(a_file_that_is_no_report_is_told_with_its_line),
        cmocka_unit_test(values_are_taken_as_what_they_are_or_as_texts_of_it),
        cmocka_unit_test(what_is_missing_or_of_another_type_is_told_without_the_value),
        cmocka_unit_test_setup_teardown(a_folders_reports_are_there_and_the_engines_own_come_first,
                                        folder_set_up, folder_tear_down),
        cmocka_unit_test(a_folder_that_is_not_there_is_an_error_and_none_is_none),
        cmocka_unit_test(what_no_report_may_name_is_found),
        cmocka_unit_test(what_no_report_may_name_on_mariadb_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
