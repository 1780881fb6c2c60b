/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only PostgreSQL has: its types, how its SQL is read, its errors, its isolation, statements
 * prepared before the schema changed, results that are never held whole.
 */

#include "engine_postgresql.h"

#include <malloc.h>
#include <stdlib.h>

#include "base/text.h"
#include "engine/postgresql/internal.h"

#define PATIENCE_MS 60000 /* whatever takes longer has failed */

/* The rows of a query, in a snapshot of its own, and on a shared connection, are `text`. */
static bool selects(struct conformance *c, const char *sql, const char *names, const char *text)
{
    static const enum store_mode modes[] = {STORE_READ, STORE_READ_COMMITTED};
    for (int i = 0; i < 2; i++) {
        struct store_work *work = conformance_begin(c, modes[i]);
        if (!work)
            return false;
        json_t *rows = conformance_rows(c, work, sql, names);
        conformance_rollback(c, work);
        bool same = conformance_is(c, rows, text);
        json_decref(rows);
        if (!same)
            return false;
    }
    return true;
}

/* ---- Types ---- */

struct typed {
    const char *type, *written, *read; /* JSON */
};

static bool comes_back(struct conformance *c, const struct typed *typed, int i)
{
    char sql[160], names[200], text[200];
    snprintf(sql, sizeof sql, "CREATE TABLE typed_%d (value %s)", i, typed->type);
    if (conformance_does(c, sql, NULL) != FH_OK)
        return false;
    snprintf(sql, sizeof sql, "INSERT INTO typed_%d VALUES (:value), (NULL)", i);
    snprintf(names, sizeof names, "{'value': %s}", typed->written);
    if (conformance_does(c, sql, names) != FH_OK)
        return false;
    snprintf(sql, sizeof sql, "SELECT value FROM typed_%d", i);
    snprintf(text, sizeof text, "[{'value':%s},{'value':null}]", typed->read);
    return selects(c, sql, NULL, text);
}

static void every_type_is_written_and_read_exactly(struct conformance *c)
{
    static const struct typed all[] = {
        {"BOOLEAN", "true", "true"},
        {"BOOLEAN", "0", "false"},
        {"SMALLINT", "-32768", "-32768"},
        {"INTEGER", "'17'", "17"},
        {"BIGINT", "'9223372036854775807'", "'9223372036854775807'"},
        {"NUMERIC(20, 4)", "'123456789012.3400'", "'123456789012.3400'"},
        {"NUMERIC", "'0.1'", "'0.1'"},
        {"NUMERIC(10, 2)", "19.99", "'19.99'"},
        {"NUMERIC(10, 2)", "5", "'5.00'"},
        {"NUMERIC", "'NaN'", "'NaN'"},
        {"REAL", "0.25", "0.25"},
        {"DOUBLE PRECISION", "1e300", "1e300"},
        {"DOUBLE PRECISION", "'Infinity'", "'Infinity'"},
        {"TEXT", "'\\u00e9\\u4e2d\\ud83d\\ude00 \\\\ \\u0001'",
         "'\\u00e9\\u4e2d\\ud83d\\ude00 \\\\ \\u0001'"},
        {"TEXT", "7", "'7'"},
        {"VARCHAR(3)", "'abc'", "'abc'"},
        {"TEXT", "'[1,2]'", "'[1,2]'"},
        {"UUID", "'0190F5FE-7C7A-7C7A-8C7A-0123456789AB'",
         "'0190f5fe-7c7a-7c7a-8c7a-0123456789ab'"},
        {"DATE", "'2026-02-28'", "'2026-02-28'"},
        {"TIMESTAMPTZ", "'2026-01-31T12:00:00.5+02:00'", "'2026-01-31T10:00:00.500Z'"},
        {"TIMESTAMPTZ", "'2026-01-31T12:00:00Z'", "'2026-01-31T12:00:00.000Z'"},
        {"TIMESTAMPTZ", "'2026-01-31T12:00:00.123456Z'", "'2026-01-31T12:00:00.123456Z'"},
        {"TIMESTAMPTZ", "'infinity'", "'infinity'"},
        {"TIMESTAMP", "'2026-01-31 12:00:00.12'", "'2026-01-31T12:00:00.120Z'"},
        {"TIME", "'12:00:01'", "'12:00:01'"},
        {"INTERVAL", "'1 day 2 hours'", "'P1DT2H'"},
        {"JSONB", "{'b':[1,null],'a':{'x':'y'}}", "{'a':{'x':'y'},'b':[1,null]}"},
        {"JSONB", "'just text'", "'just text'"},
        {"JSON", "[]", "[]"},
        {"BYTEA", "'AAH/IA=='", "'AAH/IA=='"},
        {"BYTEA", "''", "''"},
        {"INTEGER[]", "[1,'2',null]", "[1,2,null]"},
        {"BIGINT[]", "['9007199254740993']", "['9007199254740993']"},
        {"TEXT[]", "['a','b,c','{','\\\\','null','\\u00e9 ','']",
         "['a','b,c','{','\\\\','null','\\u00e9 ','']"},
        {"TEXT[]", "[]", "[]"},
        {"INTEGER[]", "[[1,2],[3,4]]", "[[1,2],[3,4]]"},
        {"BOOLEAN[]", "[true,false]", "[true,false]"},
        {"NUMERIC(4, 1)[]", "['1.5']", "['1.5']"},
        {"TIMESTAMPTZ[]", "['2026-01-31T12:00:00Z']", "['2026-01-31T12:00:00.000Z']"},
        {"UUID[]", "['0190f5fe-7c7a-7c7a-8c7a-0123456789ab']",
         "['0190f5fe-7c7a-7c7a-8c7a-0123456789ab']"},
        {"JSONB[]", "[{'a':1}]", "[{'a':1}]"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        EXPECT(comes_back(c, &all[i], (int)i));
}

static void sums_and_counts_are_numbers(struct conformance *c)
{
    EXPECT(conformance_does(c, "CREATE TABLE n (i INTEGER, b BIGINT, m NUMERIC(8, 2))", NULL) ==
           FH_OK);
    EXPECT(conformance_does(c, "INSERT INTO n VALUES (1, 2, 2.50), (3, 4, 2.50)", NULL) == FH_OK);
    EXPECT(selects(c, "SELECT count(*), sum(i) AS i, sum(b) AS b, sum(m) AS m FROM n", NULL,
                   "[{'count':2,'i':4,'b':6,'m':'5.00'}]"));
    EXPECT(selects(c, "SELECT sum(b) AS b FROM n WHERE i > 9", NULL, "[{'b':null}]"));
}

static void a_value_that_does_not_fit_is_invalid_and_not_shown(struct conformance *c)
{
    EXPECT(conformance_does(c,
                            "CREATE TABLE fitting (i INTEGER, t VARCHAR(3), u UUID, b BYTEA,"
                            " d TIMESTAMPTZ)",
                            NULL) == FH_OK);
    static const char *const wrong[][2] = {
        {"INSERT INTO fitting (i) VALUES (:v)", "{'v':'hunter2'}"},
        {"INSERT INTO fitting (i) VALUES (:v)", "{'v':99999999999}"},
        {"INSERT INTO fitting (t) VALUES (:v)", "{'v':'hunter2'}"},
        {"INSERT INTO fitting (u) VALUES (:v)", "{'v':'hunter2'}"},
        {"INSERT INTO fitting (b) VALUES (:v)", "{'v':'hunter2!'}"},
        {"INSERT INTO fitting (d) VALUES (:v)", "{'v':'hunter2'}"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        EXPECT(conformance_does(c, wrong[i][0], wrong[i][1]) == FH_INVALID);
        EXPECT(!strstr(c->error.message, "hunter2") && c->error.message[0]);
    }
    EXPECT(conformance_does(c, "INSERT INTO fitting (i) VALUES (:v)", "{'v':7}") == FH_OK);
}

/* ---- SQL ---- */

static void flags_are_compared_with_booleans(struct conformance *c)
{
    EXPECT(conformance_does(c, "CREATE TABLE flag (id INTEGER, active BOOLEAN)", NULL) == FH_OK);
    EXPECT(conformance_does(c, "INSERT INTO flag VALUES (1, true), (2, false)", NULL) == FH_OK);
    static const char *const by_flag = "SELECT id FROM flag WHERE active = :flag";
    EXPECT(selects(c, by_flag, "{'flag':true}", "[{'id':1}]"));
    EXPECT(selects(c, by_flag, "{'flag':false}", "[{'id':2}]"));
    EXPECT(selects(c, by_flag, "{'flag':1}", "[{'id':1}]"));
}

static void lists_match_whatever_their_elements_are_written_as(struct conformance *c)
{
    EXPECT(conformance_does(c,
                            "CREATE TABLE listed (id INTEGER, big BIGINT, name TEXT,"
                            " at TIMESTAMPTZ)",
                            NULL) == FH_OK);
    EXPECT(conformance_does(c,
                            "INSERT INTO listed VALUES (1, 9007199254740993, 'a''\"b', "
                            "'2026-01-01T00:00:00Z'), (2, 2, 'c', NULL), (3, 3, NULL, NULL)",
                            NULL) == FH_OK);
    static const char *const rows[][3] = {
        {"SELECT id FROM listed WHERE id IN (:ids) ORDER BY id", "{'ids':['1','3','9']}",
         "[{'id':1},{'id':3}]"},
        {"SELECT id FROM listed WHERE id IN (:ids) ORDER BY id", "{'ids':[2,'3']}",
         "[{'id':2},{'id':3}]"},
        {"SELECT id FROM listed WHERE id IN (:ids)", "{'ids':[]}", "[]"},
        {"SELECT id FROM listed WHERE big IN (:ids)", "{'ids':['9007199254740993']}", "[{'id':1}]"},
        {"SELECT id FROM listed WHERE name IN (:names)", "{'names':['c',5]}", "[{'id':2}]"},
        {"SELECT id FROM listed WHERE id NOT IN (:ids) AND NOT id IN (:ids)", "{'ids':[1,2]}",
         "[{'id':3}]"},
        {"SELECT id FROM listed WHERE id not  in ( :ids )AND 1 = 1", "{'ids':['2']}",
         "[{'id':1},{'id':3}]"},
        {"SELECT id FROM listed WHERE id IN (:ids) AND name IN (:names)",
         "{'ids':[2],'names':['c']}", "[{'id':2}]"},
        {"SELECT id FROM listed WHERE at IN (:times)", "{'times':['2026-01-01T00:00:00Z']}",
         "[{'id':1}]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        EXPECT(selects(c, rows[i][0], rows[i][1], rows[i][2]));
}

static void a_list_element_is_never_read_as_a_part_of_the_list(struct conformance *c)
{
    json_t *names = json_pack("{s:[s, s, s]}", "names", "a\"b", "c\\", "{d,e}"), *rows = NULL;
    EXPECT(conformance_does(c, "CREATE TABLE odd (name TEXT)", NULL) == FH_OK);
    EXPECT(conformance_does(c, "INSERT INTO odd VALUES ('a\"b'), ('c\\'), ('{d,e}'), ('d')",
                            NULL) == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    relational_run(work, "SELECT count(*) AS n FROM odd WHERE name IN (:names)", &names, 1, 10,
                   &rows, NULL, &c->error);
    json_decref(names);
    conformance_is(c, rows, "[{'n':3}]");
    json_decref(rows);
}

static void question_marks_and_colons_in_texts_stay(struct conformance *c)
{
    EXPECT(selects(c,
                   "SELECT length('?1 :a') AS a, length(E'\\'?1') AS b, length($x$?1 '$x$) AS c,"
                   " :a + 0 AS d /* ?1 /* :a */ ' */ -- ?1 '",
                   "{'a':1}", "[{'a':5,'b':3,'c':4,'d':1}]"));
    EXPECT(selects(c, "SELECT '{\"a\":1}'::jsonb ? 'a' AS has, '5'::text AS five", NULL,
                   "[{'has':true,'five':'5'}]"));
}

static void what_would_end_the_transaction_or_change_the_session_is_refused(struct conformance *c)
{
    static const char *const refused[] = {"SET search_path = public", "ABORT",  "START TRANSACTION",
                                          "PREPARE x AS SELECT 1",    "COMMIT", " /* */ LISTEN x",
                                          "SELECT 1; SELECT 2"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        EXPECT(conformance_does(c, refused[i], NULL) == FH_UNSUPPORTED);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(postgresql_script(work, "CREATE TABLE s (i INTEGER); COMMIT; BEGIN", &c->error) ==
           FH_UNSUPPORTED);
    conformance_rollback(c, work);
    EXPECT(selects(c,
                   "SELECT count(*) AS n FROM pg_class WHERE relname = 's' AND relnamespace ="
                   " (SELECT oid FROM pg_namespace WHERE nspname = current_schema())",
                   NULL, "[{'n':0}]"));
}

/* ---- Constraints ---- */

static void constraints_name_their_field_and_no_value(struct conformance *c)
{
    EXPECT(conformance_does(c,
                            "CREATE TABLE owner (id INTEGER PRIMARY KEY, a TEXT, b TEXT,"
                            " \"Mixed\" TEXT UNIQUE, UNIQUE (a, b))",
                            NULL) == FH_OK);
    EXPECT(conformance_does(c,
                            "CREATE TABLE owned (owner_id INTEGER REFERENCES owner (id),"
                            " during INT4RANGE, EXCLUDE USING gist (during WITH &&))",
                            NULL) == FH_OK);
    EXPECT(conformance_does(c, "CREATE UNIQUE INDEX owner_lower ON owner (lower(a))", NULL) ==
           FH_OK);
    EXPECT(conformance_does(c, "INSERT INTO owner VALUES (1, 'hunter2', 'y', 'm')", NULL) == FH_OK);
    static const struct {
        const char *sql, *field;
    } broken[] = {
        {"INSERT INTO owner VALUES (2, 'hunter2', 'y', 'n')", "a"},
        {"INSERT INTO owner VALUES (2, 'Hunter2', 'y', 'n')", "owner_lower"},
        {"INSERT INTO owner VALUES (2, 'z', 'z', 'm')", "Mixed"},
        {"INSERT INTO owned VALUES (99, NULL)", "owner_id"},
        {"INSERT INTO owned VALUES (1, '[1,5)'), (1, '[2,3)')", "owned_during_excl"},
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        EXPECT(conformance_does(c, broken[i].sql, NULL) == FH_CONFLICT);
        EXPECT(!c->error.retryable && !strstr(c->error.message, "unter2"));
        EXPECT(strcmp(c->error.field, broken[i].field) == 0 &&
               strncmp(c->error.native, "23", 2) == 0);
    }
    EXPECT(conformance_does(c, "INSERT INTO owned VALUES (1, NULL)", NULL) == FH_OK);
    EXPECT(conformance_does(c, "DELETE FROM owner", NULL) == FH_CONFLICT);
    EXPECT(strstr(c->error.message, "referred to"));
}

/* ---- Isolation ---- */

/* Each reads both rows and, while the sum allows it, takes from one: the other's is not seen. */
static enum fh_code take_from(struct conformance *c, struct store_work *work, int id)
{
    char sql[80];
    json_t *rows = conformance_rows(c, work, "SELECT sum(amount) AS n FROM account", NULL);
    json_decref(rows);
    snprintf(sql, sizeof sql, "UPDATE account SET amount = amount - 100 WHERE id = %d", id);
    return conformance_exec(c, work, sql, NULL);
}

/* Schedule 15 */
static void of_two_works_that_read_what_the_other_writes_one_runs_again(struct conformance *c)
{
    EXPECT(conformance_does(c, "CREATE TABLE account (id INTEGER PRIMARY KEY, amount INTEGER)",
                            NULL) == FH_OK);
    EXPECT(conformance_does(c, "INSERT INTO account VALUES (1, 60), (2, 60)", NULL) == FH_OK);
    struct store_work *one = conformance_begin(c, STORE_WRITE);
    struct store_work *two = conformance_begin(c, STORE_WRITE);
    EXPECT(one && two);
    EXPECT(take_from(c, one, 1) == FH_OK);
    enum fh_code second = take_from(c, two, 2);
    EXPECT(conformance_commit(c, one) == FH_OK);
    if (second == FH_OK)
        second = conformance_commit(c, two);
    EXPECT(second == FH_CONFLICT && c->error.retryable);
    EXPECT(strcmp(c->error.native, "40001") == 0);
    EXPECT(selects(c, "SELECT sum(amount) AS n FROM account", NULL, "[{'n':20}]"));
}

/* So many serializable transactions of others, in one message. */
static enum fh_code others_commit(struct conformance *c, int count)
{
    json_t *options = postgresql_server(&c->harness);
    const char *schema = json_string_at(options, "schema");
    struct text sql;
    text_init(&sql, TEXT_LENGTH_MAX);
    text_add(&sql, "SET synchronous_commit = off;");
    for (int i = 0; i < count; i++)
        text_printf(&sql,
                    "BEGIN ISOLATION LEVEL SERIALIZABLE;"
                    "INSERT INTO \"%s\".others VALUES (%d); COMMIT;",
                    schema, i);
    char *all = text_take(&sql);
    enum fh_code code = postgresql_administer(c->harness.world, all, &c->error);
    free(all);
    json_decref(options);
    return code;
}

static enum fh_code count_and_insert(struct conformance *c, struct store_work *work, bool inserts)
{
    json_decref(conformance_rows(c, work, "SELECT count(*) AS n FROM list", NULL));
    return inserts ? conformance_exec(c, work, "INSERT INTO list VALUES (1)", NULL) : FH_OK;
}

/* One that has counted stays open while another counts, inserts and commits, and then `others`:
 * what becomes of its own insert. */
static enum fh_code stood_open(struct conformance *c, int others)
{
    struct store_work *one = conformance_begin(c, STORE_WRITE);
    struct store_work *two = conformance_begin(c, STORE_WRITE);
    if (!one || !two)
        return FH_INVALID;
    enum fh_code code = count_and_insert(c, one, false);
    if (code == FH_OK)
        code = count_and_insert(c, two, true);
    enum fh_code second = conformance_commit(c, two);
    if (code == FH_OK && second == FH_OK)
        code = others_commit(c, others);
    if (code == FH_OK && second == FH_OK)
        code = conformance_exec(c, one, "INSERT INTO list VALUES (1)", NULL);
    if (code == FH_OK && second == FH_OK)
        return conformance_commit(c, one);
    conformance_rollback(c, one);
    return code == FH_OK ? second : code;
}

/* Schedule 41: the server summarizes finished transactions when it has about ten times
 * max_connections of them, and detects no conflicts with these any more. */
static void a_work_that_stood_open_while_too_many_others_ended_runs_again(struct conformance *c)
{
    EXPECT(conformance_does(c, "CREATE TABLE list (n INTEGER)", NULL) == FH_OK);
    EXPECT(conformance_does(c, "CREATE TABLE others (n INTEGER)", NULL) == FH_OK);
    EXPECT(stood_open(c, 100) == FH_CONFLICT && c->error.retryable);
    EXPECT(stood_open(c, 3000) == FH_CONFLICT && c->error.retryable);
    EXPECT(strcmp(c->error.native, "40001") == 0);
    EXPECT(selects(c, "SELECT count(*) AS n FROM list", NULL, "[{'n':2}]"));
}

/* ... and one that met no others does not. */
static void a_unit_of_work_that_met_no_other_is_done(struct conformance *c)
{
    EXPECT(conformance_does(c, "CREATE TABLE list (n INTEGER)", NULL) == FH_OK);
    EXPECT(conformance_does(c, "CREATE TABLE others (n INTEGER)", NULL) == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work != NULL && count_and_insert(c, work, true) == FH_OK);
    EXPECT(others_commit(c, 500) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
}

struct crossing {
    struct conformance *c;
    struct store_work *work;
    const char *sql;
    enum fh_code code;
    struct fh_error error;
};

static void cross(void *argument)
{
    struct crossing *crossing = argument;
    json_t *none = NULL;
    int64_t changes;
    crossing->code = relational_run(crossing->work, crossing->sql, &none, 0, 0, NULL, &changes,
                                    &crossing->error);
}

static void of_two_units_of_work_that_wait_for_each_other_one_is_rerun(struct conformance *c)
{
    EXPECT(conformance_does(c, "CREATE TABLE lockable (id INTEGER PRIMARY KEY, n INTEGER)", NULL) ==
           FH_OK);
    EXPECT(conformance_does(c, "INSERT INTO lockable VALUES (1, 0), (2, 0)", NULL) == FH_OK);
    struct store_work *works[] = {conformance_begin(c, STORE_WRITE),
                                  conformance_begin(c, STORE_WRITE)};
    static const char *const updates[] = {"UPDATE lockable SET n = n + 1 WHERE id = 1",
                                          "UPDATE lockable SET n = n + 1 WHERE id = 2"};
    EXPECT(works[0] && works[1]);
    EXPECT(conformance_exec(c, works[0], updates[0], NULL) == FH_OK);
    EXPECT(conformance_exec(c, works[1], updates[1], NULL) == FH_OK);
    struct crossing crossings[] = {{c, works[0], updates[1]}, {c, works[1], updates[0]}};
    conformance_start(c, cross, &crossings[0]);
    conformance_start(c, cross, &crossings[1]);
    conformance_join(c);
    int lost = crossings[0].code == FH_OK;
    EXPECT(crossings[!lost].code == FH_OK);
    EXPECT(crossings[lost].code == FH_CONFLICT && crossings[lost].error.retryable);
    conformance_rollback(c, works[lost]);
    EXPECT(conformance_commit(c, works[!lost]) == FH_OK);
    EXPECT(selects(c, "SELECT sum(n) AS n FROM lockable", NULL, "[{'n':2}]"));
}

/* ---- Large results ---- */

struct measured {
    int rows, rows_max;
    size_t most;
};

static bool measure(void *context, const struct sql_row *row)
{
    struct measured *measured = context;
    struct mallinfo2 used = mallinfo2();
    size_t size = used.uordblks + used.hblkhd;
    if (size > measured->most)
        measured->most = size;
    return row->count == 1 && ++measured->rows < measured->rows_max;
}

static void a_result_is_never_held_whole(struct conformance *c)
{
    enum { ROWS = 10000, ROOM = 16 << 20 };
    static const enum store_mode modes[] = {STORE_WRITE, STORE_READ, STORE_READ_COMMITTED};
    static const char *const hundred_megabytes =
        "SELECT repeat('x', 10000) AS x FROM generate_series(1, 10000)";
    for (int i = 0; i < 3; i++) {
        struct mallinfo2 used = mallinfo2();
        struct measured measured = {.rows_max = ROWS + 1};
        struct store_work *work = conformance_begin(c, modes[i]);
        EXPECT(work);
        EXPECT(sql_run(work, hundred_megabytes, NULL, 0, measure, &measured, NULL, &c->error) ==
               FH_OK);
        conformance_rollback(c, work);
        EXPECT(measured.rows == ROWS);
        EXPECT(measured.most < used.uordblks + used.hblkhd + ROOM);
    }
}

static void a_visit_that_has_enough_ends_only_its_statement(struct conformance *c)
{
    static const enum store_mode modes[] = {STORE_WRITE, STORE_READ_COMMITTED};
    for (int i = 0; i < 2; i++) {
        struct measured measured = {.rows_max = 3};
        struct store_work *work = conformance_begin(c, modes[i]);
        EXPECT(work);
        EXPECT(sql_run(work, "SELECT n FROM generate_series(1, 5000) AS n", NULL, 0, measure,
                       &measured, NULL, &c->error) == FH_OK);
        EXPECT(measured.rows == 3);
        json_t *rows = conformance_rows(c, work, "SELECT 1 AS one", NULL);
        conformance_is(c, rows, "[{'one':1}]");
        json_decref(rows);
        conformance_rollback(c, work);
    }
}

struct nested {
    struct store_work *work;
    struct fh_error error;
    int64_t sum;
    int rows;
};

static bool add_inner(void *context, const struct sql_row *row)
{
    ((struct nested *)context)->sum += row->values[0].integer;
    return true;
}

static bool run_inner(void *context, const struct sql_row *row)
{
    struct nested *nested = context;
    struct sql_value value[] = {sql_integer(row->values[0].integer)};
    nested->rows++;
    return sql_run(nested->work, "SELECT CAST(?1 AS BIGINT) * 2", value, 1, add_inner, nested, NULL,
                   &nested->error) == FH_OK;
}

static void a_visitor_may_run_statements_of_its_own(struct conformance *c)
{
    static const enum store_mode modes[] = {STORE_WRITE, STORE_READ_COMMITTED};
    for (int i = 0; i < 2; i++) {
        struct nested nested = {.work = conformance_begin(c, modes[i])};
        EXPECT(nested.work);
        EXPECT(sql_run(nested.work, "SELECT n FROM generate_series(1, 100) AS n", NULL, 0,
                       run_inner, &nested, NULL, &c->error) == FH_OK);
        conformance_rollback(c, nested.work);
        EXPECT(nested.rows == 100 && nested.sum == 10100);
    }
}

/* ---- Shared connections ---- */

struct reading {
    struct conformance *c;
    const char *sql;
    struct fiber_queue *ended;
    int *order, place;
    bool good;
    enum fh_code code;
};

static void read_shared(void *argument)
{
    struct reading *reading = argument;
    struct store_work *work;
    struct fh_error error;
    json_t *rows = NULL, *none = NULL;
    reading->code = store_begin(reading->c->store, STORE_READ_COMMITTED, &work, &error);
    if (reading->code != FH_OK)
        return;
    reading->code = relational_run(work, reading->sql, &none, 0, 10, &rows, NULL, &error);
    store_rollback(work);
    reading->good = json_array_size(rows) == 1;
    json_decref(rows);
    reading->place = ++*reading->order;
}

static void a_reader_that_fails_costs_the_others_nothing(struct conformance *c)
{
    enum { READERS = 300 };
    struct reading readings[READERS];
    int order = 0;
    for (int i = 0; i < READERS; i++) {
        readings[i] = (struct reading){.c = c, .sql = "SELECT 1 AS one", .order = &order};
        if (i % 7 == 3)
            readings[i].sql = "SELECT CAST('x' || CAST(now() AS TEXT) AS INTEGER) AS n";
        if (i % 7 == 5)
            readings[i].sql = "SELEC 1";
        conformance_start(c, read_shared, &readings[i]);
    }
    conformance_join(c);
    for (int i = 0; i < READERS; i++) {
        enum fh_code wanted = i % 7 == 3 ? FH_INVALID : i % 7 == 5 ? FH_UNSUPPORTED : FH_OK;
        EXPECT(readings[i].code == wanted && readings[i].good == (wanted == FH_OK));
    }
}

static enum fh_code open_with(struct conformance *c, json_t *server, struct store **ret)
{
    struct store_options options = {
        .service = "conformance", .model = FH_RELATIONAL, .server = server};
    enum fh_code code = engine_postgresql.store->open(&options, c->harness.world, ret, &c->error);
    json_decref(server);
    return code;
}

/* How many wait for the lock that `holder` has. */
static int64_t waiting(struct store_work *holder)
{
    json_t *rows = NULL, *none = NULL;
    struct fh_error error;
    relational_run(holder,
                   "SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND objid = 7"
                   " AND NOT granted",
                   &none, 0, 1, &rows, NULL, &error);
    int64_t count = json_integer_value(json_object_get(json_array_get(rows, 0), "n"));
    json_decref(rows);
    return count;
}

/* The slow ones wait for a lock, which is released when all others have read. */
static void nobody_waits_behind_slow_readers(struct conformance *c)
{
    enum { SLOW = 6, QUICK = 20 };
    static const char *const slow = "SELECT 1 AS one FROM pg_advisory_xact_lock_shared(7)";
    struct reading readings[SLOW + QUICK];
    struct world *world = c->harness.world;
    struct store *other = NULL;
    struct store_work *holder = NULL;
    int order = 0;
    EXPECT(open_with(c, postgresql_server(&c->harness), &other) == FH_OK);
    enum fh_code held = store_begin(other, STORE_WRITE, &holder, &c->error);
    if (held == FH_OK)
        held = other->engine->sql->script(holder, "SELECT pg_advisory_xact_lock(7)", &c->error);
    for (int i = 0; i < SLOW + QUICK; i++)
        readings[i] =
            (struct reading){.c = c, .sql = i < SLOW ? slow : "SELECT 1 AS one", .order = &order};
    int64_t began_ns = world_monotonic_ns(world), until_ns = world_in_ms(world, PATIENCE_MS);
    if (held == FH_OK)
        waiting(holder);
    int64_t quick_ms = (world_monotonic_ns(world) - began_ns) / 1000000;
    for (int i = 0; i < SLOW; i++) { /* each is under way for longer than a quick one would be */
        conformance_start(c, read_shared, &readings[i]);
        while (held == FH_OK && waiting(holder) <= i && world_monotonic_ns(world) < until_ns)
            fiber_sleep_until(world, world_in_ms(world, 5));
        fiber_sleep_until(world, world_in_ms(world, 40 + 10 * (int)quick_ms));
    }
    for (int i = SLOW; i < SLOW + QUICK; i++)
        conformance_start(c, read_shared, &readings[i]);
    while (order < QUICK && world_monotonic_ns(world) < until_ns)
        fiber_sleep_until(world, world_in_ms(world, 5));
    if (holder)
        store_rollback(holder);
    conformance_join(c);
    c->engine->close(other);
    EXPECT(held == FH_OK);
    for (int i = 0; i < SLOW + QUICK; i++)
        EXPECT(readings[i].code == FH_OK && (i < SLOW || readings[i].place <= QUICK));
}

static void a_schema_may_change_under_prepared_statements(struct conformance *c)
{
    static const char *const all = "SELECT * FROM growing WHERE id = :id";
    EXPECT(conformance_does(c, "CREATE TABLE growing (id INTEGER)", NULL) == FH_OK);
    EXPECT(conformance_does(c, "INSERT INTO growing VALUES (1)", NULL) == FH_OK);
    EXPECT(selects(c, all, "{'id':'1'}", "[{'id':1}]"));
    EXPECT(conformance_does(c, "ALTER TABLE growing ADD COLUMN name TEXT", NULL) == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_READ_COMMITTED);
    json_t *rows = conformance_rows(c, work, all, "{'id':'1'}");
    conformance_rollback(c, work);
    conformance_is(c, rows, "[{'id':1,'name':null}]");
    json_decref(rows);
    EXPECT(!c->failure[0]);
    /* A unit of work that has a transaction loses it, and is rerun. */
    EXPECT(conformance_does(c, "ALTER TABLE growing ALTER COLUMN id TYPE TEXT", NULL) == FH_OK);
    work = conformance_begin(c, STORE_WRITE);
    rows = conformance_rows(c, work, all, "{'id':'1'}");
    bool again = !rows && c->error.code == FH_CONFLICT && c->error.retryable;
    json_decref(rows);
    conformance_rollback(c, work);
    EXPECT(again);
    EXPECT(selects(c, all, "{'id':'1'}", "[{'id':'1','name':null}]"));
}

static enum fh_code sleeps(struct store *store, enum store_mode mode, const char *sql,
                           struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, mode, &work, error);
    if (code != FH_OK)
        return code;
    code = store->engine->sql->script(work, sql, error);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

/* After the migration, too, which had its connection to itself for a while. */
static void a_statement_takes_as_long_as_the_configuration_says(struct conformance *c)
{
    static const char *const query = "SELECT pg_sleep(60)";
    struct store *store = NULL;
    json_t *server = postgresql_server(&c->harness);
    json_object_set_new(server, "statement_timeout_ms", json_integer(1000));
    json_object_set_new(server, "connections", json_integer(1));
    enum fh_code opened = open_with(c, server, &store);
    struct fh_error first, migrating, second;
    enum fh_code codes[3] = {FH_OK, FH_INVALID, FH_OK};
    if (opened == FH_OK) {
        codes[0] = sleeps(store, STORE_WRITE, query, &first);
        codes[1] = sleeps(store, STORE_MIGRATE, "SELECT pg_sleep(2)", &migrating);
        codes[2] = sleeps(store, STORE_WRITE, query, &second);
        c->engine->close(store);
    }
    EXPECT(opened == FH_OK);
    EXPECT(codes[0] == FH_UNAVAILABLE && strcmp(first.native, "57014") == 0);
    EXPECT(codes[1] == FH_OK);
    EXPECT(codes[2] == FH_UNAVAILABLE && strcmp(second.native, "57014") == 0);
}

static void session_is(struct conformance *c, struct store_work *work, const char *text)
{
    json_t *rows = conformance_rows(c, work,
                                    "SELECT current_setting('synchronous_commit') AS waits,"
                                    " current_setting('TimeZone') AS zone",
                                    NULL);
    conformance_rollback(c, work);
    conformance_is(c, rows, text);
    json_decref(rows);
}

/* pg_dump's files begin with such lines. */
static void what_a_migration_sets_is_met_by_no_unit_of_work(struct conformance *c)
{
    static const char script[] = "SET synchronous_commit = off; SET TimeZone = 'Europe/Berlin'";
    struct store_work *work = conformance_begin(c, STORE_MIGRATE);
    EXPECT(work);
    EXPECT(postgresql_script(work, script, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT((work = conformance_begin(c, STORE_MIGRATE))); /* a file's statements may come so */
    session_is(c, work, "[{'waits':'off','zone':'Europe/Berlin'}]");
    for (int i = 0; i < 3; i++) {
        EXPECT((work = conformance_begin(c, STORE_WRITE)));
        session_is(c, work, "[{'waits':'on','zone':'UTC'}]");
    }
}

static void more_statements_than_are_kept_are_prepared_in_turn(struct conformance *c)
{
    enum { ROUNDS = 2, STATEMENTS = POSTGRESQL_STATEMENTS_MAX + 100 };
    for (int round = 0; round < ROUNDS; round++) {
        struct store_work *work = conformance_begin(c, STORE_WRITE);
        EXPECT(work);
        for (int i = 0; i < STATEMENTS; i++) {
            char sql[40], text[40];
            snprintf(sql, sizeof sql, "SELECT %d AS n", i);
            snprintf(text, sizeof text, "[{'n':%d}]", i);
            json_t *rows = conformance_rows(c, work, sql, NULL);
            conformance_is(c, rows, text);
            json_decref(rows);
            EXPECT(!c->failure[0]);
        }
        json_t *rows = conformance_rows(
            c, work, "SELECT count(*) <= 512 AS bounded FROM pg_prepared_statements", NULL);
        conformance_is(c, rows, "[{'bounded':true}]");
        json_decref(rows);
        conformance_rollback(c, work);
        EXPECT(!c->failure[0]);
    }
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(every_type_is_written_and_read_exactly),
        CASE(sums_and_counts_are_numbers),
        CASE(a_value_that_does_not_fit_is_invalid_and_not_shown),
        CASE(flags_are_compared_with_booleans),
        CASE(lists_match_whatever_their_elements_are_written_as),
        CASE(a_list_element_is_never_read_as_a_part_of_the_list),
        CASE(question_marks_and_colons_in_texts_stay),
        CASE(what_would_end_the_transaction_or_change_the_session_is_refused),
        CASE(constraints_name_their_field_and_no_value),
        CASE(of_two_works_that_read_what_the_other_writes_one_runs_again),
        CASE(a_work_that_stood_open_while_too_many_others_ended_runs_again),
        CASE(a_unit_of_work_that_met_no_other_is_done),
        CASE(of_two_units_of_work_that_wait_for_each_other_one_is_rerun),
        CASE(a_result_is_never_held_whole),
        CASE(a_visit_that_has_enough_ends_only_its_statement),
        CASE(a_visitor_may_run_statements_of_its_own),
        CASE(a_reader_that_fails_costs_the_others_nothing),
        CASE(nobody_waits_behind_slow_readers),
        CASE(a_schema_may_change_under_prepared_statements),
        CASE(a_statement_takes_as_long_as_the_configuration_says),
        CASE(what_a_migration_sets_is_met_by_no_unit_of_work),
        CASE(more_statements_than_are_kept_are_prepared_in_turn),
    };
    return conformance_main_of("postgresql", FH_RELATIONAL, rows, sizeof rows / sizeof *rows);
}
