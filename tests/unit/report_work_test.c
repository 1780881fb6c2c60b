/* SPDX-License-Identifier: Apache-2.0 */
/* Reports as handlers see them: what one answers, when it may be asked, what it can't do whatever
 * it says, and what is too much. */

#include "../support/run.h"

#include <string.h>

#include "engine/engines.h"
#include "store/relational/report.h"

#define SCRIPT                                                                                     \
    "CREATE TABLE sale (day TEXT, cents INTEGER, paid BOOLEAN, extra JSON, share REAL);"           \
    "INSERT INTO sale VALUES ('d1', 700, 1, '{\"a\": 1}', 0.5), ('d1', 50, 0, NULL, 1),"           \
    " ('d2', 9007199254740993, NULL, '[]', 2);"                                                    \
    "CREATE VIEW own AS SELECT name FROM fh_migration;"                                            \
    "CREATE VIRTUAL TABLE note USING fts5(words); INSERT INTO note VALUES ('red shoes');"          \
    "CREATE VIRTUAL TABLE area USING rtree(id, x0, x1); INSERT INTO area VALUES (1, 2, 3)"

static const fh_service service = {.name = "till", .model = FH_RELATIONAL};
static const fh_service papers = {
    .name = "papers", .model = FH_DOCUMENT, .collections = {{.name = "paper"}}};

static struct report report;
static const struct reports reports = {&report, 1};

static int set_up(void **state)
{
    int failed = fixture_set_up(state, &service, SCRIPT);
    ((struct fixture *)*state)->context.reports = &reports;
    return failed;
}

static int tear_down(void **state)
{
    report_release(&report);
    return fixture_tear_down(state);
}

static void have_report(const char *text)
{
    report_release(&report);
    report = (struct report){.name = "sold"};
    snprintf(report.file, sizeof report.file, "sold.sql");
    report_read(&report, text, engine_embedded()->sql);
}

static void reply_report(fh_work *w)
{
    fh_reply(w, 200, fh_report(w, "sold", json_pack("{s:s}", "day", "d1")));
}

static struct run run_report(void **state, const char *text)
{
    have_report(text);
    return run_one(state, reply_report, true);
}

static void assert_answers(void **state, const char *text, const char *reply)
{
    struct run run = run_report(state, text);
    if (run.status != 200)
        fail_msg("%s: %s", text, run.failure);
    assert_string_equal(run.reply, reply);
}

static void assert_refused(void **state, const char *text, int status, const char *words)
{
    struct run run = run_report(state, text);
    if (run.status != status || !strstr(run.failure, words))
        fail_msg("%s: %d %s", text, run.status, run.failure);
}

/* ---- What it answers ---- */

static void rows_are_answered_as_rows_are(void **state)
{
    assert_answers(state,
                   "-- freehold: takes day text\nSELECT * FROM sale WHERE day = :day"
                   " ORDER BY cents",
                   "[{\"day\":\"d1\",\"cents\":50,\"paid\":false,\"extra\":null,\"share\":1.0},"
                   "{\"day\":\"d1\",\"cents\":700,\"paid\":true,\"extra\":{\"a\":1},"
                   "\"share\":0.5}]");
    assert_answers(state, "SELECT cents, x'0001ff' AS blob FROM sale WHERE day = 'd2'",
                   "[{\"cents\":\"9007199254740993\",\"blob\":\"AAH/\"}]");
    assert_answers(state, "SELECT day FROM sale WHERE cents = 1", "[]");
    assert_answers(state, "VALUES (1)", "[{\"column1\":1}]");
    assert_answers(state,
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3)"
                   " SELECT max(i) AS i FROM n",
                   "[{\"i\":3}]");
}

/* Each connects its virtual table anew. */
static void virtual_tables_are_read_as_well(void **state)
{
    static const char *const reports_of[][2] = {
        {"SELECT highlight(note, 0, '<', '>') AS h FROM note WHERE note MATCH 'sho*'",
         "[{\"h\":\"red <shoes>\"}]"},
        {"SELECT id FROM area WHERE x0 > 1", "[{\"id\":1}]"},
        {"SELECT value FROM json_each('[7]')", "[{\"value\":7}]"}};
    for (size_t i = 0; i < sizeof reports_of / sizeof *reports_of; i++) {
        assert_answers(state, reports_of[i][0], reports_of[i][1]);
        assert_answers(state, reports_of[i][0], reports_of[i][1]);
    }
}

static void report_table(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    json_t *answer = NULL;
    fixture->code = store_begin(fixture->context.store, STORE_READ, &work, &fixture->error);
    FH_ASSERT(fixture->code == FH_OK);
    fixture->code = report_run(work, &report, NULL, REPORT_TABLE, &answer, &fixture->error);
    store_rollback(work);
    char *text = json_text(answer);
    snprintf(fixture->error.message, sizeof fixture->error.message, "%s", text);
    json_text_free(text);
    json_decref(answer);
}

static void a_table_has_its_columns_where_it_has_no_rows(void **state)
{
    struct fixture *fixture = *state;
    have_report("SELECT day, sum(cents) AS cents FROM sale WHERE day > 'd1' GROUP BY day");
    harness_run(&fixture->harness, report_table, fixture);
    assert_string_equal(fixture->error.message, "{\"columns\":[\"day\",\"cents\"],"
                                                "\"rows\":[[\"d2\",\"9007199254740993\"]]}");
    have_report("SELECT day, cents FROM sale WHERE day > 'd9'");
    harness_run(&fixture->harness, report_table, fixture);
    assert_string_equal(fixture->error.message, "{\"columns\":[\"day\",\"cents\"],\"rows\":[]}");
}

static void what_no_answer_can_have_is_told_with_its_column(void **state)
{
    assert_refused(state, "SELECT day, day FROM sale", 500,
                   "two of its columns are called \"day\"");
    assert_refused(state, "SELECT 9e999 AS most", 500, "a number in its column most");
    assert_refused(state, "SELECT CAST(x'ff' AS TEXT) AS words", 500, "a text in its column words");
}

/* ---- When ---- */

static void ask_and_add(fh_work *w)
{
    json_t *rows = fh_report(w, "sold");
    fh_exec(w, "INSERT INTO sale (day) VALUES ('d3')");
    fh_reply(w, 200, rows);
}

static void add_and_ask(fh_work *w)
{
    fh_exec(w, "INSERT INTO sale (day) VALUES ('d3')");
    fh_reply(w, 200, fh_report(w, "sold"));
}

static void count_and_ask(fh_work *w)
{
    fh_row(w, "SELECT count(*) AS n FROM sale");
    fh_reply(w, 200, fh_report(w, "sold"));
}

static void it_is_asked_before_the_store_is_used_and_in_gets(void **state)
{
    have_report("SELECT count(*) AS n FROM sale");
    struct run run = run_one(state, add_and_ask, false);
    assert_int_equal(run.status, 500);
    assert_non_null(strstr(run.failure, "fh_report was called after the store was used"));
    assert_string_equal(run_one(state, ask_and_add, false).reply, "[{\"n\":3}]");
    assert_string_equal(run_one(state, count_and_ask, true).reply, "[{\"n\":4}]");
}

static void ask_for_another(fh_work *w)
{
    fh_reply(w, 200, fh_report(w, "bought"));
}

static void what_is_not_there_is_the_services_fault(void **state)
{
    struct run run = run_one(state, ask_for_another, true);
    assert_int_equal(run.status, 500);
    assert_non_null(strstr(run.failure, "till has no such report; expected reports/bought.sql"));
    assert_refused(state, "SELECT 1; SELECT 2", 500, "sold.sql, line 1: it is one statement");
    assert_refused(state, "-- freehold: takes week text\nSELECT :week", 500, "takes \"week\"");
    assert_refused(state, "-- freehold: takes day integer\nSELECT :day", 500, "of type integer");
    assert_refused(state, "SELECT week FROM sale", 500, "no such column: week");
    assert_refused(state, "SELEC 1", 500, "syntax error");
}

static int papers_set_up(void **state)
{
    int failed = fixture_set_up(state, &papers, NULL);
    ((struct fixture *)*state)->context.reports = &reports;
    return failed;
}

static void only_tables_have_reports(void **state)
{
    assert_refused(state, "SELECT 1", 500, "services of the relational model");
}

/* ---- What it can't do ---- */

static void whatever_it_says_it_only_reads(void **state)
{
    static const struct {
        const char *text, *words;
    } refusals[] = {
        {"INSERT INTO sale (day) VALUES ('x')", "something else than to read"},
        {"INSERT INTO sale (day) VALUES ('x') RETURNING day", "something else than to read"},
        {"WITH d AS (SELECT 1) DELETE FROM sale RETURNING day", "something else than to read"},
        {"UPDATE sale SET day = 'x' RETURNING *", "something else than to read"},
        {"CREATE TABLE x (y)", "something else than to read"},
        {"CREATE TEMP TABLE x AS SELECT 1", "something else than to read"},
        {"DROP TABLE sale", "something else than to read"},
        {"ANALYZE", "something else than to read"},
        {"REINDEX", "something else than to read"},
        {"EXPLAIN SELECT 1", "something else than to read"},
        {"UPDATE sqlite_master SET sql = 'x' RETURNING 1", ""},
        {"SELECT * FROM note_data, fh_outbox", "it reads fh_outbox"},
        {"PRAGMA query_only = 0", "something else than to read"},
        {"VACUUM INTO 'x'", "something else than to read"},
        {"ATTACH 'x.db' AS x", "something else than to read"},
        {"COMMIT", "something else than to read"},
        {"SELECT * FROM pragma_journal_mode", "it uses the pragma journal_mode"},
        {"SELECT load_extension('x')", "it calls load_extension"},
        {"SELECT Load_Extension('x', 'y')", "it calls"},
        {"SELECT readfile('/etc/passwd')", "no such function"},
        {"SELECT * FROM fh_outbox", "it reads fh_outbox, which is not the service's own"},
        {"SELECT count(*) AS n FROM FH_Command", "which is not the service's own"},
        {"SELECT * FROM (SELECT 1) WHERE EXISTS (SELECT 1 FROM main.fh_saga)", "fh_saga"},
        {"SELECT * FROM own", "it reads fh_migration"},
        {"SELECT data FROM sqlite_dbpage", "sqlite_dbpage"},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        assert_refused(state, refusals[i].text, 500, refusals[i].words);
    assert_answers(state, "SELECT count(*) AS n FROM sale", "[{\"n\":3}]");
}

static void reply_own(fh_work *w)
{
    fh_reply(w, 200, fh_rows(w, "SELECT count(*) AS n FROM fh_outbox"));
}

/* The statement is prepared for each, and what a handler may is not what a report may. */
static void a_report_is_no_handler_and_a_handler_no_report(void **state)
{
    assert_string_equal(run_one(state, reply_own, true).reply, "[{\"n\":0}]");
    assert_refused(state, "SELECT count(*) AS n FROM fh_outbox", 500, "not the service's own");
    assert_string_equal(run_one(state, reply_own, true).reply, "[{\"n\":0}]");
}

/* ---- What is too much ---- */

#define NUMBERS(most)                                                                              \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT " most ") SELECT "

static void an_answer_is_whole_or_there_is_none(void **state)
{
    have_report(NUMBERS("100001") "i FROM n");
    struct run run = run_one(state, reply_report, true);
    assert_int_equal(run.status, 422);
    assert_non_null(strstr(run.reply, "\"pointer\":\"/rows\""));
    assert_non_null(strstr(run.failure, "more than 100000 rows"));
    assert_refused(state, NUMBERS("100") "hex(zeroblob(50000)) AS t FROM n", 422, "or 8 MiB");
    assert_refused(state, NUMBERS("20") "char(1) || hex(zeroblob(300000)) AS t FROM n", 422,
                   "8 MiB");
    assert_refused(state, "SELECT zeroblob(1000000000) AS b", 422, "too large");
    assert_refused(state, "SELECT hex(zeroblob(8000000)) AS b", 422, "too large");
    assert_answers(state, "SELECT length(zeroblob(8000000)) AS n", "[{\"n\":8000000}]");
}

static void what_it_keeps_in_memory_is_bounded(void **state)
{
    assert_refused(state,
                   NUMBERS("100000") "count(*) AS n FROM (SELECT randomblob(10000) AS b FROM n"
                                     " ORDER BY b)",
                   500, "more than it may keep in memory");
    assert_refused(state, NUMBERS("100000") "length(group_concat(hex(zeroblob(4000)))) AS n FROM n",
                   422, "too large");
    assert_answers(state, "SELECT count(*) AS n FROM sale", "[{\"n\":3}]");
}

static void reply_in_time(fh_work *w)
{
    w->deadline_ns = world_monotonic_ns(w->context->world) + INT64_C(20000000);
    reply_report(w);
}

static void one_that_never_ends_is_ended(void **state)
{
    have_report("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) "
                "AS n FROM n");
    struct run run = run_one(state, reply_in_time, true);
    assert_int_equal(run.status, 503);
    store_end_questions(((struct fixture *)*state)->context.store, 1);
    run = run_one(state, reply_report, true);
    assert_int_equal(run.status, 503);
    store_end_questions(((struct fixture *)*state)->context.store, 0);
    assert_answers(state, "SELECT count(*) AS n FROM sale", "[{\"n\":3}]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_are_answered_as_rows_are, set_up, tear_down),
        cmocka_unit_test_setup_teardown(virtual_tables_are_read_as_well, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_table_has_its_columns_where_it_has_no_rows, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_no_answer_can_have_is_told_with_its_column, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(it_is_asked_before_the_store_is_used_and_in_gets, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_there_is_the_services_fault, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_tables_have_reports, papers_set_up, tear_down),
        cmocka_unit_test_setup_teardown(whatever_it_says_it_only_reads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_report_is_no_handler_and_a_handler_no_report, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_answer_is_whole_or_there_is_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_it_keeps_in_memory_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_never_ends_is_ended, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
