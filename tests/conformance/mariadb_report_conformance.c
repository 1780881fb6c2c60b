/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports on MariaDB: that whatever one says, it reads the service's own tables and views and does
 * nothing else; what its parameters are; what is bounded; and what happens when its time is over,
 * or the server ends it.
 */

#include "engine_mariadb.h"
#include "reports.h"

#include "engine/mariadb/internal.h"
#include "store/server.h"

static void make_items(struct conformance *c)
{
    reports_make_items(c, mariadb_report_rights);
}

/* ---- What it reads ---- */

/* As the superuser, in the case's own database; what the user for reports is called is %U. */
static bool administers(struct conformance *c, const char *format)
{
    struct text sql;
    const struct mariadb_store *store = (const struct mariadb_store *)c->store;
    text_init(&sql, TEXT_LENGTH_MAX);
    for (; *format; format++) {
        if (format[0] == '%' && (format[1] == 'U' || format[1] == 'D'))
            text_add(&sql, *++format == 'U' ? store->reports_user : store->database);
        else
            text_append(&sql, format, 1);
    }
    enum fh_code code = mariadb_test_administer(&c->harness, sql.data, NULL, NULL, &c->error);
    if (code != FH_OK)
        conformance_note(c, __FILE__, __LINE__, c->error.message);
    text_release(&sql);
    return code == FH_OK;
}

static void a_report_reads_own_tables_and_views_and_no_others(struct conformance *c)
{
    static const char *const made[] = {
        "CREATE VIEW names AS SELECT name FROM item",
        "CREATE VIEW sly AS SELECT count(*) AS n FROM fh_meta",
        "CREATE VIEW slyer AS SELECT n FROM sly, names",
        "CREATE FUNCTION peek() RETURNS INT READS SQL DATA RETURN (SELECT count(*) FROM fh_meta)",
        "CREATE FUNCTION pass() RETURNS INT READS SQL DATA RETURN Peek()",
        "CREATE VIEW slyest AS SELECT pass() AS n",
        "CREATE FUNCTION plain() RETURNS INT READS SQL DATA RETURN (SELECT count(*) FROM item)",
        "CREATE VIEW counted AS SELECT plain() AS n",
        "CREATE TABLE `odd ``'name` (n INTEGER)",
        "CREATE VIEW turned AS SELECT 1 AS n"};
    make_items(c);
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        EXPECT(conformance_does(c, made[i], NULL) == FH_OK);
    EXPECT(is_refused(c, "SELECT * FROM names", FH_UNSUPPORTED, "denied"));
    EXPECT(mariadb_report_rights(c->store, &c->error) == FH_OK);
    EXPECT(finds(c, "SELECT name FROM names ORDER BY name", NULL, "[['Zaphod'],['a']]"));
    EXPECT(finds(c, "SELECT * FROM turned", NULL, "[[1]]"));
    EXPECT(finds(c, "SELECT * FROM counted", NULL, "[[2]]"));
    EXPECT(finds(c, "SELECT count(*) AS n FROM `odd ``'name`", NULL, "[[0]]"));
    EXPECT(is_refused(c, "SELECT * FROM sly", FH_UNSUPPORTED, "denied"));
    EXPECT(is_refused(c, "SELECT * FROM slyer", FH_UNSUPPORTED, "denied"));
    EXPECT(is_refused(c, "SELECT * FROM slyest", FH_UNSUPPORTED, "denied"));
    EXPECT(is_refused(c, "SELECT * FROM fh_meta", FH_UNSUPPORTED, "not the service's own"));
    EXPECT(is_refused(c, "SELECT * FROM \"fh_outbox\"", FH_UNSUPPORTED, "not the service's own"));
    EXPECT(is_refused(c, "SELECT * FROM `FH_outbox`", FH_UNSUPPORTED, "not the service's own"));
    EXPECT(is_refused(c, "SELECT * FROM mysql.global_priv", FH_UNSUPPORTED, "denied"));
    /* What it may no longer read. */
    EXPECT(conformance_does(c, "CREATE OR REPLACE VIEW turned AS SELECT 1 AS n FROM fh_meta",
                            NULL) == FH_OK);
    EXPECT(conformance_does(c, "DROP TABLE `odd ``'name`", NULL) == FH_OK);
    EXPECT(mariadb_report_rights(c->store, &c->error) == FH_OK);
    EXPECT(is_refused(c, "SELECT * FROM turned", FH_UNSUPPORTED, "denied"));
    EXPECT(conformance_does(c, "CREATE TABLE `odd ``'name` (n INTEGER)", NULL) == FH_OK);
    EXPECT(is_refused(c, "SELECT count(*) AS n FROM `odd ``'name`", FH_UNSUPPORTED, "denied"));
}

/* ---- What it does ---- */

/* Whatever each of these tries, there is a message, and nothing has happened. */
static const struct {
    const char *text, *why;
} hostile[] = {
    {"INSERT INTO item VALUES (9) RETURNING id", "else than to read"},
    {"UPDATE item SET name = 'x'", "else than to read"},
    {"DELETE FROM item RETURNING id", "else than to read"},
    {"REPLACE INTO item VALUES (1, 'x', NULL) RETURNING id", "else than to read"},
    {"SELECT id INTO @other FROM item", "else than to read"},
    {"SELECT id FROM item INTO OUTFILE '/tmp/freehold-items'", "else than to read"},
    {"CREATE TABLE other AS SELECT 1", "else than to read"},
    {"TRUNCATE item", "else than to read"},
    {"DROP TABLE item", "else than to read"},
    {"GRANT ALL ON item TO PUBLIC", "else than to read"},
    {"LOCK TABLES item READ", "else than to read"},
    {"HANDLER item OPEN", "else than to read"},
    {"EXPLAIN SELECT 1", "else than to read"},
    {"ANALYZE SELECT 1", "else than to read"},
    {"SHOW GRANTS", "else than to read"},
    {"DO SLEEP(0)", "else than to read"},
    {"CALL nothing()", "else than to read"},
    {"SET STATEMENT max_statement_time = 0 FOR SELECT 1 AS a", "else than to read"},
    {"SELECT name FROM item FOR UPDATE", "else than to read"},
    {"SELECT name FROM item PROCEDURE ANALYSE()", "else than to read"},
    {"BEGIN NOT ATOMIC DELETE FROM item; END", ""},
    {"COMMIT", ""},
    {"SET autocommit = 1", ""},
    {"KILL 1", ""},
    {"PREPARE p FROM 'SELECT 1'", ""},
    {"EXECUTE IMMEDIATE 'DELETE FROM item'", ""},
    {"SELECT 1; DELETE FROM item", "second one"},
    {"SELECT 1) AS a, (SELECT 2", "syntax error near ') AS a, (SELECT 2'"},
    {"SELECT 1 AS a) --", "syntax"},
    {"SELECT /*! GET_LOCK('a', 1) */ 1 AS a", "comment that the server runs"},
    {"SELECT /*M!100100 GET_LOCK('a', 1) */ 1 AS a", "comment that the server runs"},
    {"SELECT get_lock('a', 1) AS a", "calls get_lock"},
    {"SELECT `GET_LOCK`('a', 1) AS a", "calls GET_LOCK"},
    {"SELECT RELEASE_ALL_LOCKS() AS a", "calls RELEASE_ALL_LOCKS"},
    {"SELECT 'it''s \\', get_lock('a', 1) AS a", "calls get_lock"},
    {"SELECT LOAD_FILE('/etc/passwd') AS a", "calls LOAD_FILE"},
    {"SELECT NEXTVAL(counted) AS n", "calls NEXTVAL"},
    {"SELECT NEXT VALUE FOR counted AS n", "else than to read"},
    {"SELECT wipe() AS n", ""},
    {"SELECT * FROM wiping", "else than to read"},
    {"SELECT ? AS a", "parameter"},
};

static void a_report_changes_and_reaches_nothing(struct conformance *c)
{
    static const char wipe[] = "CREATE FUNCTION wipe() RETURNS INT MODIFIES SQL DATA BEGIN"
                               " DELETE FROM item; RETURN 1; END";
    make_items(c);
    EXPECT(conformance_does(c, "CREATE SEQUENCE counted", NULL) == FH_OK);
    EXPECT(conformance_does(c, wipe, NULL) == FH_OK);
    EXPECT(conformance_does(c, "CREATE VIEW wiping AS SELECT wipe() AS n", NULL) == FH_OK);
    EXPECT(mariadb_report_rights(c->store, &c->error) == FH_OK);
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        if (!is_refused(c, hostile[i].text, FH_UNSUPPORTED, hostile[i].why))
            return;
    }
    EXPECT(finds(c, "SELECT count(*) AS n FROM item", NULL, "[[2]]"));
    EXPECT(finds(c, "SELECT @@max_statement_time > 0 AS bounded, @@tx_read_only AS ro", NULL,
                 "[[1,1]]"));
    /* It holds no lock meanwhile. */
    EXPECT(finds(c, "SELECT count(*) AS n FROM item LOCK IN SHARE MODE", NULL, "[[2]]"));
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
        {TAKES("text") "SELECT id FROM item WHERE day >= :x", "{'x':'2025-12-31T00:00:00.000Z'}",
         "[[1]]"},
        {TAKES("number") "SELECT :x IS NULL AS a, :x + 1 AS b", "{'x':0.5}", "[[0,1.5]]"},
        {TAKES("boolean") "SELECT id FROM item WHERE :x IS NULL OR (id = 1) = :x", "{'x':true}",
         "[[1]]"},
        {TAKES("boolean") "SELECT CASE WHEN :x THEN 'yes' ELSE 'no' END AS a", "{'x':'false'}",
         "[['no']]"},
        {TAKES("integer") "SELECT id FROM item ORDER BY id LIMIT :x", "{'x':1}", "[[1]]"},
        {TAKES("text") "SELECT :x AS a", "{'x':'; DROP TABLE item --'}",
         "[['; DROP TABLE item --']]"},
    };
    make_items(c);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        if (!finds(c, taken[i].text, taken[i].given, taken[i].rows)) {
            conformance_note(c, __FILE__, (int)i, taken[i].text);
            return;
        }
    }
    EXPECT(finds(c, "SELECT count(*) AS n FROM item", NULL, "[[2]]"));
}

#define NUMBERS(most)                                                                              \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " most ") "

static void rows_come_in_their_order_with_their_types(struct conformance *c)
{
    make_items(c);
    EXPECT(conformance_does(c,
                            "CREATE TABLE kinds (a BOOLEAN, b BIGINT, c DECIMAL(5, 2), d DATE,"
                            " e JSON, f BLOB, g TEXT, \"h i\" TEXT)",
                            NULL) == FH_OK);
    EXPECT(conformance_does(c,
                            "INSERT INTO kinds VALUES (true, 9007199254740993, 1.5, '2026-01-01',"
                            " '{\"x\":[1]}', x'0102', NULL, 'ä')",
                            NULL) == FH_OK);
    EXPECT(mariadb_report_rights(c->store, &c->error) == FH_OK);
    EXPECT(finds(c, "SELECT * FROM kinds", NULL,
                 "[[true,'9007199254740993','1.50','2026-01-01',{'x':[1]},'AQI=',null,'ä']]"));
    json_t *answer = report_of(
        c, NUMBERS("30000") "SELECT i, i % 7 AS rest FROM n ORDER BY i % 7, i DESC", NULL);
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
    EXPECT(is_refused(c, "SELECT 9223372036854775807 + id AS n FROM item", FH_UNSUPPORTED,
                      "the server's error 1690"));
    EXPECT(is_refused(c, "SELECT (SELECT name FROM item) AS n", FH_UNSUPPORTED,
                      "the server's error 1242"));
    EXPECT(is_refused(c,
                      "SELECT j.x FROM item, JSON_TABLE(item.name, '$' COLUMNS"
                      " (x INT PATH '$' ERROR ON ERROR)) AS j WHERE id = 2",
                      FH_UNSUPPORTED, "the server's error "));
    EXPECT(!strstr(c->error.message, "Zaphod"));
}

/* ---- How much ---- */

static void what_is_too_much_is_refused(struct conformance *c)
{
    make_items(c);
    EXPECT(is_refused(c, NUMBERS("100001") "SELECT i FROM n", FH_INVALID, "finds more than"));
    EXPECT(strcmp(c->error.field, "rows") == 0);
    EXPECT(is_refused(c, "SELECT repeat('x', 9000000) AS a", FH_INVALID, "finds more than"));
    /* It would be NULL, and one that is cut. */
    EXPECT(is_refused(c, "SELECT repeat('x', 300000000) AS a", FH_INVALID, "too large"));
    EXPECT(is_refused(c,
                      NUMBERS("20000") "SELECT length(group_concat(repeat('x', 1000))) AS a FROM n",
                      FH_INVALID, "too large"));
    EXPECT(finds(c, NUMBERS("4000") "SELECT length(group_concat(repeat('x', 999))) AS a FROM n",
                 NULL, "[[3999999]]"));
    EXPECT(finds(c, NUMBERS("1200000") "SELECT max(i) AS n FROM n", NULL, "[[1200000]]"));
    /* Not more than anybody may. */
    EXPECT(administers(c, "SET GLOBAL tmp_disk_table_size = 8388608"));
    bool refused = is_refused(
        c, NUMBERS("9000") "SELECT DISTINCT repeat(CAST(i AS CHAR), 400) AS t FROM n LIMIT 8999, 1",
        FH_UNSUPPORTED, "tmp_disk_table_size");
    EXPECT(administers(c, "SET GLOBAL tmp_disk_table_size = DEFAULT"));
    EXPECT(refused);
    EXPECT(administers(c, "SET GLOBAL max_session_mem_used = 1000000"));
    refused = is_refused(c, NUMBERS("90000") "SELECT DISTINCT i + 1 AS t FROM n LIMIT 89999, 1",
                         FH_UNSUPPORTED, "max_session_mem_used");
    EXPECT(administers(c, "SET GLOBAL max_session_mem_used = DEFAULT"));
    EXPECT(refused);
}

/* ---- How long ---- */

/* Another session, with all of the table locked; NULL: c->error says why. */
static struct mariadb_connection *items_locked(struct conformance *c)
{
    struct mariadb_connection *link;
    struct mariadb_store *store = (struct mariadb_store *)c->store;
    if (mariadb_connection_new(store, MARIADB_SEQUENCER, &link, &c->error) != FH_OK)
        return NULL;
    if (mariadb_query(link, "LOCK TABLES item WRITE", NULL, NULL, &c->error) == FH_OK)
        return link;
    mariadb_connection_free(link);
    return NULL;
}

static void take_count(void *context, char **row)
{
    *(int *)context = atoi(row[0] ? row[0] : "-1");
}

/* Until so many of the user's run on the server. */
static bool until_there_are(struct conformance *c, int count)
{
    const struct mariadb_store *store = (const struct mariadb_store *)c->store;
    char sql[320];
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM information_schema.processlist WHERE user = '%s'"
             " AND command <> 'Sleep'",
             store->reports_user);
    for (int i = 0, found = -1; i < 1000; i++) {
        if (mariadb_test_administer(&c->harness, sql, take_count, &found, &c->error) == FH_OK &&
            found == count)
            return true;
        fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, 20));
    }
    return false;
}

static void one_that_is_late_is_ended_and_others_wait_for_their_turn(struct conformance *c)
{
    struct asking late = {.c = c, .deadline_ms = 300}, first = {.c = c, .deadline_ms = 60000};
    struct asking second = {.c = c, .deadline_ms = 60000}, third = {.c = c, .deadline_ms = 100};
    struct asking endless = {.c = c, .deadline_ms = 300, .text = "SELECT sleep(600) AS n"};
    make_items(c);
    ask_for_items(&endless);
    EXPECT(endless.code == FH_UNAVAILABLE && store_is_late(&endless.error));
    EXPECT(until_there_are(c, 0)); /* the server has ended it, too */
    struct mariadb_connection *lock = items_locked(c);
    EXPECT(lock != NULL);
    ask_for_items(&late);
    EXPECT(late.code == FH_UNAVAILABLE && store_is_late(&late.error));
    EXPECT(until_there_are(c, 0));
    conformance_start(c, ask_for_items, &first);
    EXPECT(until_there_are(c, 1));
    conformance_start(c, ask_for_items, &second);
    ask_for_items(&third);
    EXPECT(third.code == FH_UNAVAILABLE && store_is_busy(&third.error));
    EXPECT(!store_is_late(&third.error)); /* it had not begun */
    mariadb_connection_free(lock);
    conformance_join(c);
    EXPECT(first.code == FH_OK && second.code == FH_OK);
    json_decref(first.answer);
    json_decref(second.answer);
}

static void one_that_the_server_ends_says_so_and_the_store_goes_on(struct conformance *c)
{
    struct asking asking = {.c = c, .deadline_ms = 60000};
    make_items(c);
    struct mariadb_connection *lock = items_locked(c);
    EXPECT(lock != NULL);
    conformance_start(c, ask_for_items, &asking);
    EXPECT(until_there_are(c, 1));
    EXPECT(administers(c, "KILL USER '%U'"));
    conformance_join(c);
    EXPECT(asking.code == FH_UNAVAILABLE && !store_is_late(&asking.error));
    mariadb_connection_free(lock);
    EXPECT(finds(c, "SELECT count(*) AS n FROM item", NULL, "[[2]]"));
}

/* Of one of them rows are awaited that would never come: the server is told. */
static void those_under_way_end_with_the_service(struct conformance *c)
{
    struct asking first = {.c = c, .deadline_ms = 60000, .text = "SELECT sleep(600) AS n"};
    struct asking second = {.c = c, .deadline_ms = 60000};
    make_items(c);
    conformance_start(c, ask_for_items, &first);
    conformance_start(c, ask_for_items, &second);
    EXPECT(until_there_are(c, 1));
    store_end_questions(c->store, world_in_ms(c->harness.world, 1));
    conformance_join(c);
    EXPECT(store_is_busy(&first.error) && store_is_busy(&second.error));
    EXPECT(until_there_are(c, 0));
    store_end_questions(c->store, 0);
}

/* ---- Whose it is ---- */

static void a_report_reads_what_is_committed_when_it_begins(struct conformance *c)
{
    make_items(c);
    struct store_work *work = conformance_begin(c, STORE_READ);
    json_t *rows = conformance_rows(c, work, "SELECT count(*) AS n FROM item", NULL);
    EXPECT(rows && conformance_does(c, "INSERT INTO item VALUES (3, 'c', NULL)", NULL) == FH_OK);
    json_decref(rows);
    json_t *answer = report_in(c, work, "SELECT count(*) AS n FROM item", NULL);
    EXPECT(answer && conformance_is(c, json_object_get(answer, "rows"), "[[3]]"));
    json_decref(answer);
    rows = conformance_rows(c, work, "SELECT count(*) AS n FROM item", NULL);
    EXPECT(conformance_is(c, rows, "[{'n':2}]")); /* which is as it was */
    json_decref(rows);
    conformance_rollback(c, work);
    work = conformance_begin(c, STORE_WRITE);
    EXPECT(work && !report_in(c, work, "SELECT 1 AS a", NULL));
    EXPECT(c->error.code == FH_UNSUPPORTED);
    conformance_rollback(c, work);
}

static void what_can_not_be_run_is_known_before_it_is_asked_for(struct conformance *c)
{
    static const struct {
        const char *sql;
        int count;
        const char *why;
        int line;
    } tried[] = {
        {"SELECT id FROM item WHERE ?1 IS NULL OR (day >= ?1 AND name = ?2) LIMIT ?3", 3, NULL, 0},
        {"SELECT days FROM item", 0, "'days'", 0},
        {"SELECT 1 AS a, 2 AS a", 0, "two of its columns", 0},
        {"SELECT day\nFRM item", 0, "syntax error near 'item'", 2},
        {"SELECT day FROM items", 0, "denied", 0},
        {"UPDATE item SET name = ?1", 1, "else than to read", 0},
        {"SELECT * FROM sly", 0, "denied", 0},
        {"SELECT fh_x FROM item", 0, "not the service's own", 0},
        {"SELECT sleep(60) AS a", 0, NULL, 0}, /* it is not run */
        {"SELECT (", 0, "syntax error at its end", 1},
    };
    struct sql_report_trial trials[sizeof tried / sizeof *tried];
    int count = (int)(sizeof tried / sizeof *tried);
    make_items(c);
    EXPECT(conformance_does(c, "CREATE VIEW sly AS SELECT count(*) AS n FROM fh_meta", NULL) ==
           FH_OK);
    for (int i = 0; i < count; i++)
        trials[i] = (struct sql_report_trial){.sql = tried[i].sql, .count = tried[i].count};
    EXPECT(mariadb_report_try(c->store, trials, count, &c->error) == FH_OK);
    for (int i = 0; i < count; i++) {
        const struct fh_error *error = &trials[i].error;
        bool same = tried[i].why ? error->code == FH_UNSUPPORTED &&
                                       strstr(error->message, tried[i].why) != NULL
                                 : error->code == FH_OK;
        if (!same || trials[i].line != tried[i].line) {
            conformance_note(c, __FILE__, i, error->message);
            return;
        }
    }
}

static void a_user_who_is_not_let_in_is_told(struct conformance *c)
{
    struct mariadb_store *store = (struct mariadb_store *)c->store;
    struct sql_report_trial trials[] = {{.sql = "SELECT 1 AS a"}, {.sql = "SELECT 2 AS b"}};
    make_items(c);
    snprintf(store->reports_password, sizeof store->reports_password, "wrong");
    EXPECT(is_refused(c, "SELECT 1 AS a", FH_UNSUPPORTED, "does not let in its user for reports"));
    EXPECT(mariadb_report_try(c->store, trials, 2, &c->error) == FH_UNSUPPORTED);
    EXPECT(trials[0].error.code == FH_OK && trials[1].error.code == FH_OK); /* it is not theirs */
    EXPECT(conformance_reads(c, "SELECT count(*) AS n FROM item", "[{'n':2}]")); /* at once */
    store->reports_user[0] = '\0';
    EXPECT(is_refused(c, "SELECT 1 AS a", FH_UNSUPPORTED, "names no user for"));
    EXPECT(mariadb_report_rights(c->store, &c->error) == FH_UNSUPPORTED);
}

/* However he came by it: by himself, by what everybody may, or by a role. */
static void one_who_may_do_more_runs_none(struct conformance *c)
{
    static const char *const ways[][2] = {
        {"GRANT SELECT ON `%D`.* TO '%U'@'%'", "REVOKE SELECT ON `%D`.* FROM '%U'@'%'"},
        {"GRANT INSERT ON `%D`.* TO '%U'@'%'", "REVOKE INSERT ON `%D`.* FROM '%U'@'%'"},
        {"GRANT PROCESS, SELECT ON *.* TO '%U'@'%'", "REVOKE PROCESS, SELECT ON *.* FROM '%U'@'%'"},
    };
    struct mariadb_store *store = (struct mariadb_store *)c->store;
    make_items(c);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        EXPECT(finds(c, "SELECT count(*) AS n FROM item", NULL, "[[2]]"));
        EXPECT(administers(c, ways[i][0]));
        EXPECT(is_refused(c, "SELECT 1 AS a", FH_UNSUPPORTED, "may do more than to read"));
        EXPECT(mariadb_report_rights(c->store, &c->error) == FH_UNSUPPORTED);
        EXPECT(administers(c, ways[i][1]));
    }
    EXPECT(administers(c, "CREATE OR REPLACE ROLE `%D`; GRANT ALL ON `%D`.* TO `%D`;"
                          "GRANT `%D` TO '%U'@'%'; SET DEFAULT ROLE `%D` FOR '%U'@'%'"));
    EXPECT(finds(c, "SELECT count(*) AS n FROM item", NULL, "[[2]]")); /* he goes without it */
    EXPECT(administers(c, "DROP ROLE `%D`"));
    memcpy(store->reports_user, store->user, sizeof store->user);
    memcpy(store->reports_password, store->password, sizeof store->password);
    EXPECT(is_refused(c, "SELECT 1 AS a", FH_UNSUPPORTED, "may do more than to read"));
    EXPECT(mariadb_report_rights(c->store, &c->error) == FH_UNSUPPORTED);
}

/* On a server that was prepared by hand. */
static void a_service_whose_user_gives_no_rights_is_told(struct conformance *c)
{
    json_t *server = mariadb_test_server(&c->harness);
    struct store_options options = {.service = "conformance", .server = server, .model = c->model};
    struct store *store = NULL;
    make_items(c);
    EXPECT(conformance_does(c, "CREATE TABLE later (id INTEGER)", NULL) == FH_OK);
    EXPECT(administers(c, "CREATE OR REPLACE USER `%D`@'%' IDENTIFIED BY 'plain';"
                          "GRANT ALL ON `%D`.* TO `%D`@'%'"));
    json_object_set(server, "user", json_object_get(server, "database"));
    json_object_set_new(server, "password", json_string("plain"));
    EXPECT(c->store->engine->store->open(&options, c->harness.world, &store, &c->error) == FH_OK);
    EXPECT(store && mariadb_report_rights(store, &c->error) == FH_UNSUPPORTED);
    EXPECT(strstr(c->error.message, "WITH GRANT OPTION"));
    EXPECT(administers(c, "GRANT ALL ON `%D`.* TO `%D`@'%' WITH GRANT OPTION"));
    store_close_alone(store);
    EXPECT(c->store->engine->store->open(&options, c->harness.world, &store, &c->error) == FH_OK);
    EXPECT(store && mariadb_report_rights(store, &c->error) == FH_OK);
    store_close_alone(store);
    EXPECT(finds(c, "SELECT count(*) AS n FROM later", NULL, "[[0]]"));
    EXPECT(administers(c, "DROP USER `%D`@'%'"));
    json_decref(server);
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
        CASE(a_report_reads_what_is_committed_when_it_begins),
        CASE(what_can_not_be_run_is_known_before_it_is_asked_for),
        CASE(a_user_who_is_not_let_in_is_told),
        CASE(one_who_may_do_more_runs_none),
        CASE(a_service_whose_user_gives_no_rights_is_told),
    };
    return conformance_main_of("mariadb", FH_RELATIONAL, rows, sizeof rows / sizeof *rows);
}
