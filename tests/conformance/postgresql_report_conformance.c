/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports on PostgreSQL: that whatever one says, it reads the service's own tables and views and
 * does nothing else; what its parameters are; what is bounded; and what happens when its time is
 * over, or the server ends it.
 */

#include "engine_postgresql.h"
#include "reports.h"

#include "engine/postgresql/internal.h"
#include "store/server.h"

static void make_items(struct conformance *c)
{
    reports_make_items(c, postgresql_report_rights);
}

/* ---- What it reads ---- */

static void a_report_reads_own_tables_and_views_and_no_others(struct conformance *c)
{
    static const char *const views[] = {
        "CREATE VIEW names AS SELECT name FROM item",
        "CREATE MATERIALIZED VIEW kept AS SELECT count(*) AS n FROM names",
        "CREATE VIEW sly AS SELECT count(*) AS n FROM fh_meta",
        "CREATE VIEW slyer AS SELECT n FROM sly, names", "CREATE VIEW turned AS SELECT 1 AS n"};
    /* After a rebuild it is one that nobody else was let into. */
    static const char another_schema[] =
        "DO $$BEGIN EXECUTE format('REVOKE USAGE ON SCHEMA %I FROM %I', current_schema(),"
        " current_schema() || '.reports'); END$$";
    make_items(c);
    for (size_t i = 0; i < sizeof views / sizeof *views; i++)
        EXPECT(conformance_does(c, views[i], NULL) == FH_OK);
    EXPECT(is_refused(c, "SELECT * FROM names", FH_UNSUPPORTED, "names"));
    EXPECT(conformance_does(c, another_schema, NULL) == FH_OK);
    EXPECT(is_refused(c, "SELECT 1 AS n", FH_UNSUPPORTED, ".reports may use"));
    EXPECT(postgresql_report_rights(c->store, &c->error) == FH_OK);
    EXPECT(finds(c, "SELECT name FROM names ORDER BY name", NULL, "[['Zaphod'],['a']]"));
    EXPECT(finds(c, "TABLE kept", NULL, "[[2]]"));
    EXPECT(finds(c, "TABLE turned", NULL, "[[1]]"));
    EXPECT(is_refused(c, "SELECT * FROM sly", FH_UNSUPPORTED, "permission denied"));
    EXPECT(is_refused(c, "SELECT * FROM slyer", FH_UNSUPPORTED, "permission denied"));
    EXPECT(is_refused(c, "SELECT * FROM fh_meta", FH_UNSUPPORTED, "not the service's own"));
    EXPECT(is_refused(c, "SELECT * FROM \"fh_outbox\"", FH_UNSUPPORTED, "not the service's own"));
    EXPECT(is_refused(c, "SELECT * FROM pg_authid", FH_UNSUPPORTED, "permission denied"));
    /* What it may no longer read. */
    EXPECT(conformance_does(c, "CREATE OR REPLACE VIEW turned AS SELECT 1 AS n FROM fh_meta",
                            NULL) == FH_OK);
    EXPECT(postgresql_report_rights(c->store, &c->error) == FH_OK);
    EXPECT(is_refused(c, "SELECT * FROM turned", FH_UNSUPPORTED, "permission denied"));
    EXPECT(conformance_does(c, "GRANT SELECT ON sly TO PUBLIC", NULL) == FH_OK);
    EXPECT(postgresql_report_rights(c->store, &c->error) == FH_OK);
    EXPECT(is_refused(c, "SELECT * FROM sly", FH_UNSUPPORTED, "permission denied"));
}

/* ---- What it does ---- */

/* Whatever each of these tries, there is a message, and nothing has happened. */
static const struct {
    const char *text, *why;
} hostile[] = {
    {"INSERT INTO item VALUES (9) RETURNING id", "else than to read"},
    {"UPDATE item SET name = 'x' RETURNING id", "else than to read"},
    {"WITH gone AS (DELETE FROM item RETURNING id) SELECT id FROM gone", "else than to read"},
    {"SELECT id INTO other FROM item", "else than to read"},
    {"CREATE TABLE other AS SELECT 1", "else than to read"},
    {"TRUNCATE item", "else than to read"},
    {"DROP TABLE item", "else than to read"},
    {"GRANT ALL ON item TO PUBLIC", "else than to read"},
    {"LOCK TABLE item", "else than to read"},
    {"EXPLAIN SELECT 1", "else than to read"},
    {"EXPLAIN ANALYZE DELETE FROM item", "else than to read"},
    {"SHOW ALL", "else than to read"},
    {"DO $$BEGIN DELETE FROM item; END$$", "else than to read"},
    {"CALL nothing()", "does not exist"},
    {"VACUUM", "else than to read"},
    {"SELECT name FROM item FOR UPDATE", "else than to read"},
    {"COPY item TO STDOUT", ""},
    {"COPY (SELECT 1) TO PROGRAM 'true'", ""},
    {"BEGIN", ""},
    {"COMMIT", ""},
    {"SET ROLE postgres", ""},
    {"RESET ALL", ""},
    {"LISTEN x", ""},
    {"PREPARE p AS SELECT 1", ""},
    {"SELECT 1; DELETE FROM item", "second one"},
    {"SELECT 1) AS a, (SELECT 2", "syntax"},
    {"SELECT 1) AS fh_report WHERE true --", ""},
    {"SELECT set_config('statement_timeout', '0', false)", "calls set_config"},
    {"SELECT SET_CONFIG('role', 'none', false)", "calls set_config"},
    {"SELECT pg_catalog.\"set_config\"('role', 'none', false)", "calls set_config"},
    {"SELECT U&\"set\\005fconfig\"('role', 'none', false)", "U&"},
    {"SELECT date'\\', set_config('a.b', 'c', false) AS b --'", "calls set_config"},
    {"SELECT E'a'\n'\\' ' , set_config('a.b', 'c', false) AS b, ' '", "several parts"},
    {"SELECT 1$a$ ' $a$ AS t, set_config('a.b', 'c', false) AS b, ' '", ""},
    {"SELECT /* /* */ ' */ set_config('a.b', 'c', false)", "calls set_config"},
    {"SELECT pg_terminate_backend(pg_backend_pid())", "calls pg_terminate_backend"},
    {"SELECT pg_cancel_backend(1)", "calls pg_cancel_backend"},
    {"SELECT pg_advisory_lock(1)", "calls pg_advisory_lock"},
    {"SELECT query_to_xml('SELECT pg_advisory_lock(1)', true, true, '')", "calls query_to_xml"},
    {"SELECT pg_read_file('/etc/passwd')", "calls pg_read_file"},
    {"SELECT lo_import('/etc/passwd')", "calls lo_import"},
    {"SELECT lo_creat(-1)", "calls lo_creat"},
    {"SELECT * FROM dblink('host=127.0.0.1', 'SELECT 1') AS t(a int)", "calls dblink"},
    {"SELECT nextval('counted')", "calls nextval"},
    {"SELECT wipe()", "permission denied"},
    {"SELECT clear()", "else than to read"},
    {"SELECT settle()", ""},
};

static void a_report_changes_and_reaches_nothing(struct conformance *c)
{
    make_items(c);
    EXPECT(conformance_does(c, "CREATE SEQUENCE counted", NULL) == FH_OK);
    EXPECT(conformance_does(c,
                            "CREATE FUNCTION wipe() RETURNS int LANGUAGE sql SECURITY DEFINER AS"
                            " 'DELETE FROM item RETURNING 1'",
                            NULL) == FH_OK);
    EXPECT(conformance_does(c,
                            "CREATE FUNCTION clear() RETURNS int LANGUAGE sql AS"
                            " 'DELETE FROM item RETURNING 1'",
                            NULL) == FH_OK);
    EXPECT(conformance_does(c,
                            "CREATE FUNCTION settle() RETURNS text LANGUAGE sql AS $$SELECT"
                            " set_config('transaction_read_only', 'off', false)$$",
                            NULL) == FH_OK);
    EXPECT(postgresql_report_rights(c->store, &c->error) == FH_OK);
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        if (!is_refused(c, hostile[i].text, FH_UNSUPPORTED, hostile[i].why))
            return;
    }
    EXPECT(finds(c, "SELECT count(*) AS n FROM item", NULL, "[[2]]"));
    EXPECT(finds(c, "SELECT current_setting('statement_timeout') <> '0' AS bounded", NULL,
                 "[[true]]"));
}

/* ---- What it takes, and finds ---- */

static void parameters_have_the_types_that_they_are_used_as(struct conformance *c)
{
#define TAKES(type) "-- freehold: takes x " type " or null\n"
    static const struct {
        const char *text, *given, *rows;
    } taken[] = {
        {TAKES("integer") "SELECT id FROM item WHERE id = :x", "{'x':'2'}", "[[2]]"},
        {TAKES("integer") "SELECT id FROM item WHERE :x IS NULL OR id = :x ORDER BY id", "{'x':2}",
         "[[2]]"},
        {TAKES("integer") "SELECT id FROM item WHERE :x IS NULL OR id = :x ORDER BY id", "{}",
         "[[1],[2]]"},
        {TAKES("text") "SELECT id FROM item WHERE :x IS NULL OR name = :x ORDER BY id",
         "{'x':'Zaphod'}", "[[2]]"},
        {TAKES("text") "SELECT id FROM item WHERE :x IS NULL OR day >= :x", "{'x':'2025-12-31'}",
         "[[1]]"},
        {TAKES("text") "SELECT id FROM item WHERE :x IS NULL OR day >= :x ORDER BY id", NULL,
         "[[1],[2]]"},
        {TAKES("number") "SELECT :x IS NULL AS a, :x + 1 AS b", "{'x':0.5}", "[[false,1.5]]"},
        {TAKES("boolean") "SELECT id FROM item WHERE :x IS NULL OR (id = 1) = :x", "{'x':true}",
         "[[1]]"},
        {TAKES("boolean") "SELECT CASE WHEN :x THEN 'yes' ELSE 'no' END AS a", "{'x':'false'}",
         "[['no']]"},
        {TAKES("text") "SELECT :x AS a", "{'x':\"'; DROP TABLE item --\"}", NULL},
        {TAKES("integer") "SELECT id FROM item ORDER BY id LIMIT :x", "{'x':1}", "[[1]]"},
    };
    make_items(c);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        if (taken[i].rows && !finds(c, taken[i].text, taken[i].given, taken[i].rows)) {
            conformance_note(c, __FILE__, (int)i, taken[i].text);
            return;
        }
    }
    EXPECT(is_refused(c, TAKES("integer") "SELECT :x IS NULL OR name = day", FH_UNSUPPORTED,
                      "does not exist"));
    EXPECT(is_refused(c, "SELECT $1 AS a", FH_UNSUPPORTED, "parameter"));
}

static void rows_come_in_their_order_with_their_types(struct conformance *c)
{
    json_t *answer;
    make_items(c);
    EXPECT(finds(c,
                 "SELECT true AS a, 9007199254740993 AS b, 1.50::numeric AS c, day AS d,"
                 " '{\"x\":[1]}'::jsonb AS e, '\\x0102'::bytea AS f, NULL AS g, 'ä' AS \"h i\""
                 " FROM item WHERE id = 1",
                 NULL,
                 "[[true,'9007199254740993','1.50','2026-01-01',{'x':[1]},'AQI=',null,'ä']]"));
    answer = report_of(c,
                       "SELECT i, i % 7 AS rest FROM generate_series(1, 30000) AS i"
                       " ORDER BY i % 7, i DESC",
                       NULL);
    json_t *rows = json_object_get(answer, "rows");
    EXPECT(json_array_size(rows) == 30000);
    for (size_t i = 1; i < 30000; i++) {
        json_int_t before = json_integer_value(json_array_get(json_array_get(rows, i - 1), 0));
        json_int_t after = json_integer_value(json_array_get(json_array_get(rows, i), 0));
        EXPECT(before % 7 < after % 7 || (before % 7 == after % 7 && before > after));
    }
    json_decref(answer);
}

static void no_message_has_a_value_in_it(struct conformance *c)
{
    make_items(c);
    EXPECT(is_refused(c, "SELECT CAST(name AS integer) AS n FROM item WHERE id = 2", FH_UNSUPPORTED,
                      "22P02"));
    EXPECT(!strstr(c->error.message, "Zaphod"));
    EXPECT(is_refused(c, "SELECT to_tsquery(name || ' x') AS q FROM item", FH_UNSUPPORTED,
                      "the server's error 42601"));
    EXPECT(is_refused(c, "SELECT CAST(name AS regclass) AS r FROM item WHERE id = 2",
                      FH_UNSUPPORTED, "the server's error 42P01"));
    EXPECT(is_refused(c, "SELECT id / (id - id) AS n FROM item", FH_UNSUPPORTED, "22012"));
}

/* ---- How much ---- */

static void what_is_too_much_is_refused(struct conformance *c)
{
    make_items(c);
    EXPECT(is_refused(c, "SELECT i FROM generate_series(1, 100001) AS i", FH_INVALID,
                      "finds more than"));
    EXPECT(strcmp(c->error.field, "rows") == 0);
    EXPECT(is_refused(c, "SELECT repeat('x', 9000000) AS a", FH_INVALID, "finds more than"));
    EXPECT(is_refused(c, "SELECT repeat('x', 30000000) AS a", FH_INVALID, "too large"));
    EXPECT(is_refused(c, "SELECT repeat(name, 30000000) AS fh_a, 1 AS r FROM item WHERE id = 1",
                      FH_UNSUPPORTED, "fh_a"));
    EXPECT(is_refused(c, "SELECT repeat(name, 30000000) AS r FROM item WHERE id = 1", FH_INVALID,
                      "too large"));
    EXPECT(finds(c, "SELECT length(repeat('x', 8000000)) AS n", NULL, "[[8000000]]"));
    char sql[200];
    const struct postgresql_store *store = (const struct postgresql_store *)c->store;
    snprintf(sql, sizeof sql, "ALTER ROLE \"%s\" SET temp_file_limit = '64kB'",
             store->options.reports_user);
    EXPECT(postgresql_administer(c->harness.world, sql, &c->error) == FH_OK);
    EXPECT(is_refused(c,
                      "SELECT max(t) AS m FROM (SELECT md5(CAST(i AS text)) AS t"
                      " FROM generate_series(1, 100000) AS i ORDER BY 1 OFFSET 0) AS s",
                      FH_UNSUPPORTED, "temp_file_limit"));
}

/* ---- How long ---- */

static bool locks_items(struct conformance *c, struct postgresql_connection *administrator)
{
    char sql[200];
    json_t *server = postgresql_server(&c->harness);
    snprintf(sql, sizeof sql, "BEGIN; LOCK TABLE \"%s\".item IN ACCESS EXCLUSIVE MODE",
             json_string_at(server, "schema"));
    json_decref(server);
    return postgresql_simple(administrator, sql, -1, NULL, NULL, &c->error) == FH_OK;
}

static bool unlocks_items(struct conformance *c, struct postgresql_connection *administrator)
{
    return postgresql_simple(administrator, "ROLLBACK", -1, NULL, NULL, &c->error) == FH_OK;
}

#define THEIRS                                                                                     \
    "FROM pg_stat_activity WHERE usename = (SELECT s.nspname || '.reports' FROM pg_namespace s"    \
    " WHERE s.nspname = current_schema())"

/* Until so many run on the server, or wait there. */
static bool until_there_are(struct conformance *c, int count)
{
    char text[32];
    snprintf(text, sizeof text, "[{'n':%d}]", count);
    for (int i = 0; i < 2000; i++) {
        struct store_work *work = conformance_begin(c, STORE_READ_COMMITTED);
        json_t *rows = conformance_rows(
            c, work, "SELECT count(*) AS n " THEIRS " AND wait_event_type = 'Lock'", NULL);
        int64_t found = json_integer_value(json_object_get(json_array_get(rows, 0), "n"));
        json_decref(rows);
        conformance_rollback(c, work);
        if (found == count)
            return true;
        fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, 20));
    }
    return false;
}

static void one_that_is_late_is_ended_and_others_wait_for_their_turn(struct conformance *c)
{
    struct asking late = {.c = c, .deadline_ms = 300}, first = {.c = c, .deadline_ms = 60000};
    struct asking second = {.c = c, .deadline_ms = 60000}, third = {.c = c, .deadline_ms = 100};
    make_items(c);
    struct postgresql_connection *administrator =
        postgresql_administrator(c->harness.world, &c->error);
    EXPECT(administrator && locks_items(c, administrator));
    ask_for_items(&late);
    EXPECT(late.code == FH_UNAVAILABLE && store_is_late(&late.error));
    EXPECT(until_there_are(c, 0)); /* the server has ended it, too */
    conformance_start(c, ask_for_items, &first);
    EXPECT(until_there_are(c, 1));
    conformance_start(c, ask_for_items, &second);
    ask_for_items(&third);
    EXPECT(third.code == FH_UNAVAILABLE && store_is_busy(&third.error));
    EXPECT(!store_is_late(&third.error)); /* it had not begun */
    EXPECT(unlocks_items(c, administrator));
    conformance_join(c);
    EXPECT(first.code == FH_OK && second.code == FH_OK);
    json_decref(first.answer);
    json_decref(second.answer);
    postgresql_administrator_free(administrator);
}

static void one_that_the_server_ends_says_so_and_the_store_goes_on(struct conformance *c)
{
    struct asking asking = {.c = c, .deadline_ms = 60000};
    make_items(c);
    struct postgresql_connection *administrator =
        postgresql_administrator(c->harness.world, &c->error);
    EXPECT(administrator && locks_items(c, administrator));
    conformance_start(c, ask_for_items, &asking);
    EXPECT(until_there_are(c, 1));
    EXPECT(
        conformance_reads(c, "SELECT count(pg_terminate_backend(pid)) AS n " THEIRS, "[{'n':1}]"));
    conformance_join(c);
    EXPECT(asking.code == FH_UNAVAILABLE && !store_is_late(&asking.error));
    EXPECT(unlocks_items(c, administrator));
    postgresql_administrator_free(administrator);
    EXPECT(finds(c, "SELECT count(*) AS n FROM item", NULL, "[[2]]"));
}

static void those_under_way_end_with_the_service(struct conformance *c)
{
    struct asking first = {.c = c, .deadline_ms = 60000}, second = {.c = c, .deadline_ms = 60000};
    make_items(c);
    struct postgresql_connection *administrator =
        postgresql_administrator(c->harness.world, &c->error);
    EXPECT(administrator && locks_items(c, administrator));
    conformance_start(c, ask_for_items, &first);
    conformance_start(c, ask_for_items, &second);
    EXPECT(until_there_are(c, 1));
    store_end_questions(c->store, world_in_ms(c->harness.world, 1));
    conformance_join(c);
    EXPECT(store_is_busy(&first.error) && store_is_busy(&second.error));
    store_end_questions(c->store, 0);
    EXPECT(unlocks_items(c, administrator));
    postgresql_administrator_free(administrator);
}

/* ---- Whose it is ---- */

static void a_report_reads_what_its_unit_of_work_reads(struct conformance *c)
{
    make_items(c);
    struct store_work *work = conformance_begin(c, STORE_READ);
    json_t *rows = conformance_rows(c, work, "SELECT count(*) AS n FROM item", NULL);
    EXPECT(rows && conformance_does(c, "INSERT INTO item VALUES (3)", NULL) == FH_OK);
    json_t *answer = report_in(c, work, "SELECT count(*) AS n FROM item", NULL);
    EXPECT(answer && conformance_is(c, json_object_get(answer, "rows"), "[[2]]"));
    json_decref(answer);
    json_decref(rows);
    rows = conformance_rows(c, work, "SELECT count(*) AS n FROM item", NULL);
    EXPECT(conformance_is(c, rows, "[{'n':2}]"));
    json_decref(rows);
    conformance_rollback(c, work);
    EXPECT(finds(c, "SELECT count(*) AS n FROM item", NULL, "[[3]]"));
    work = conformance_begin(c, STORE_WRITE);
    EXPECT(work && !report_in(c, work, "SELECT 1 AS a", NULL));
    EXPECT(c->error.code == FH_UNSUPPORTED);
}

static void what_can_not_be_run_is_known_before_it_is_asked_for(struct conformance *c)
{
    static const struct {
        const char *sql;
        int count;
        const char *why;
    } tried[] = {
        {"SELECT id FROM item WHERE ?1 IS NULL OR (day >= ?1 AND name = ?2) LIMIT ?3", 3, NULL},
        {"SELECT days FROM item", 0, "\"days\" does not exist"},
        {"SELECT 1 AS a, 2 AS a", 0, "two of its columns"},
        {"SELECT day FROM items", 0, "\"items\" does not exist"},
        {"UPDATE item SET name = ?1 RETURNING id", 1, "else than to read"},
        {"SELECT * FROM sly", 0, "permission denied"},
        {"SELECT fh_x FROM item", 0, "not the service's own"},
        /* It is not run; and what it would take is not null. */
        {"SELECT pg_sleep(60)", 0, NULL},
        {"SELECT array_fill(0, ARRAY[CAST(?1 AS integer)]) AS a", 1, NULL},
    };
    struct sql_report_trial trials[sizeof tried / sizeof *tried];
    int count = (int)(sizeof tried / sizeof *tried);
    make_items(c);
    EXPECT(conformance_does(c, "CREATE VIEW sly AS SELECT count(*) AS n FROM fh_meta", NULL) ==
           FH_OK);
    for (int i = 0; i < count; i++)
        trials[i] = (struct sql_report_trial){.sql = tried[i].sql, .count = tried[i].count};
    EXPECT(postgresql_report_try(c->store, trials, count, &c->error) == FH_OK);
    for (int i = 0; i < count; i++) {
        const struct fh_error *error = &trials[i].error;
        bool same = tried[i].why ? error->code == FH_UNSUPPORTED &&
                                       strstr(error->message, tried[i].why) != NULL
                                 : error->code == FH_OK;
        if (!same) {
            conformance_note(c, __FILE__, i, error->message);
            return;
        }
    }
}

static void a_user_who_is_not_let_in_is_told(struct conformance *c)
{
    struct postgresql_store *store = (struct postgresql_store *)c->store;
    struct sql_report_trial trials[] = {{.sql = "SELECT 1 AS a"}, {.sql = "SELECT 2 AS b"}};
    make_items(c);
    snprintf(store->options.reports_password, sizeof store->options.reports_password, "wrong");
    EXPECT(is_refused(c, "SELECT 1 AS a", FH_UNSUPPORTED, "does not let in its user for reports"));
    EXPECT(postgresql_report_try(c->store, trials, 2, &c->error) == FH_UNSUPPORTED);
    EXPECT(trials[0].error.code == FH_OK && trials[1].error.code == FH_OK); /* it is not theirs */
    EXPECT(conformance_reads(c, "SELECT count(*) AS n FROM item", "[{'n':2}]")); /* at once */
    store->options.reports_user[0] = '\0';
    EXPECT(is_refused(c, "SELECT 1 AS a", FH_UNSUPPORTED, "names no user for"));
    EXPECT(postgresql_report_rights(c->store, &c->error) == FH_UNSUPPORTED);
}

/* What would be taken from him would be taken from the service. */
static void one_who_may_do_all_that_the_service_may_runs_none(struct conformance *c)
{
    struct postgresql_options *options = &((struct postgresql_store *)c->store)->options;
    make_items(c);
    EXPECT(finds(c, "SELECT count(*) AS n FROM item", NULL, "[[2]]"));
    memcpy(options->reports_user, options->user, sizeof options->user);
    memcpy(options->reports_password, options->password, sizeof options->password);
    EXPECT(is_refused(c, "SELECT 1 AS a", FH_UNSUPPORTED, "whatever the service's may"));
    EXPECT(postgresql_report_rights(c->store, &c->error) == FH_UNSUPPORTED);
    EXPECT(strstr(c->error.message, "whatever the service's may"));
}

static void a_server_on_which_the_user_can_not_be_made_is_told_of_him(struct conformance *c)
{
    json_t *store = postgresql_server(&c->harness);
    json_t *admin = json_copy(store);
    json_object_update(admin, json_object_get(store, "reports")); /* who makes nobody */
    json_object_set_new(store, "reports",
                        json_pack("{s:s, s:s}", "user", "nobody.reports", "password", "p4711"));
    enum fh_code code = server_provide(c->store->engine->server, admin, store, false, &c->error);
    json_decref(admin);
    json_decref(store);
    EXPECT(code == FH_CONFLICT && !strstr(c->error.message, "p4711"));
    EXPECT(strstr(c->error.message, "The user nobody.reports can't be made: PostgreSQL: "));
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(a_report_reads_own_tables_and_views_and_no_others),
        CASE(a_report_changes_and_reaches_nothing),
        CASE(parameters_have_the_types_that_they_are_used_as),
        CASE(rows_come_in_their_order_with_their_types),
        CASE(no_message_has_a_value_in_it),
        CASE(what_is_too_much_is_refused),
        CASE(one_that_is_late_is_ended_and_others_wait_for_their_turn),
        CASE(one_that_the_server_ends_says_so_and_the_store_goes_on),
        CASE(those_under_way_end_with_the_service),
        CASE(a_report_reads_what_its_unit_of_work_reads),
        CASE(what_can_not_be_run_is_known_before_it_is_asked_for),
        CASE(a_user_who_is_not_let_in_is_told),
        CASE(one_who_may_do_all_that_the_service_may_runs_none),
        CASE(a_server_on_which_the_user_can_not_be_made_is_told_of_him),
    };
    return conformance_main_of("postgresql", FH_RELATIONAL, rows, sizeof rows / sizeof *rows);
}
