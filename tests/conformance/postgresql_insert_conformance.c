/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows that a batch's units of work insert are written by few statements, and nobody can tell: what
 * they are, who is to blame for one that can't be, what triggers, rules, policies, defaults and
 * checks see. Where those could tell the difference, each row is written by a statement of its own.
 *
 * How many statements have written a table's rows is read from cmin, the number that each statement
 * of a transaction has.
 */

#include "engine_postgresql.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/engines.h"
#include "engine/postgresql/internal.h"
#include "link.h"
#include "store/ledger.h"
#include "work/batch.h"

#define EACH 12 /* units of work in a batch: 8 and 4 rows */
#define ADD "INSERT INTO things (id, note) VALUES (:id, :note)"
#define THINGS "CREATE TABLE things (id BIGINT PRIMARY KEY, note TEXT)"
#define THINGS_WITH "CREATE TABLE things (id BIGINT PRIMARY KEY, note TEXT, "
#define STATEMENTS "SELECT count(DISTINCT CAST(CAST(cmin AS text) AS integer)) AS n FROM things"
#define ROWS "SELECT count(*) AS n FROM things"

/* What one unit of work does. */
struct doing {
    const char *sql;
    const char *values; /* JSON; NULL: its number as id, and a note */
    const char *then;   /* another statement, of which a row is wanted */
    void (*first)(struct conformance *c);
};

struct unit {
    fh_work w; /* first: its handler casts */
    struct conformance *c;
    const struct doing *doing;
    json_t *values;
    json_int_t seen;
};

struct tried {
    enum fh_code code;
    int failed;
    uint64_t reruns;
    json_int_t seen; /* by the last that has read */
    struct fh_error error;
};

static struct work_batch_habits habits; /* of the case */

static void do_unit(fh_work *w)
{
    struct unit *unit = (struct unit *)w;
    work_store_write(w);
    if (unit->doing->first)
        unit->doing->first(unit->c);
    fh_exec(w, unit->doing->sql, unit->values);
    if (unit->doing->then)
        unit->seen = json_integer_value(json_object_get(fh_row(w, unit->doing->then, NULL), "n"));
    fh_reply(w, 200, fh_object(w, "done", json_true()));
}

static json_t *values_of(const struct doing *doing, int id)
{
    char note[32];
    snprintf(note, sizeof note, "note %d", id);
    return doing->values ? conformance_json(doing->values)
                         : json_pack("{s:i, s:s}", "id", id, "note", note);
}

static struct tried try_in(struct conformance *c, struct store *store, const struct doing *doings,
                           int count, int first_id)
{
    static const fh_service service = {.name = "things", .model = FH_RELATIONAL};
    struct work_context context = {.world = c->harness.world, .store = store, .service = &service};
    struct tried tried = {.failed = -1};
    struct unit *units = calloc((size_t)count, sizeof *units);
    fh_work **works = calloc((size_t)count, sizeof(fh_work *));
    FH_ASSERT(units && works);
    for (int i = 0; i < count; i++) {
        work_init(&units[i].w, &context, do_unit);
        units[i].c = c;
        units[i].doing = &doings[i];
        units[i].values = values_of(&doings[i], first_id + i);
        works[i] = &units[i].w;
    }
    tried.code = work_batch(&context, works, count, NULL, &habits, &tried.failed, &tried.error);
    tried.reruns = context.counters.reruns;
    for (int i = 0; i < count; i++) {
        tried.seen = doings[i].then ? units[i].seen : tried.seen;
        json_decref(units[i].values);
        work_release(&units[i].w);
    }
    free(works);
    free(units);
    c->error = tried.error;
    return tried;
}

static struct tried try_batch(struct conformance *c, const struct doing *doings, int count)
{
    return try_in(c, c->store, doings, count, 1);
}

/* All do the same; *ret: EACH of them. */
static const struct doing *all_of(struct doing doing)
{
    static struct doing doings[EACH];
    for (int i = 0; i < EACH; i++)
        doings[i] = doing;
    return doings;
}

static bool does(struct conformance *c, const char *sql)
{
    return conformance_does(c, sql, NULL) == FH_OK;
}

static bool adds_all(struct conformance *c)
{
    return does(c, "DELETE FROM things") &&
           try_batch(c, all_of((struct doing){ADD}), EACH).code == FH_OK;
}

static bool are_there(struct conformance *c, const char *sql, int n)
{
    char rows[40];
    snprintf(rows, sizeof rows, "[{'n':%d}]", n);
    return conformance_reads(c, sql, rows);
}

/* Rows of the next batches go together. */
static bool learn(struct conformance *c)
{
    habits = (struct work_batch_habits){0};
    return adds_all(c) && are_there(c, STATEMENTS, EACH) && adds_all(c) &&
           are_there(c, STATEMENTS, 2) && are_there(c, ROWS, EACH);
}

/* ---- Which are joined ---- */

static void rows_of_a_batch_are_few_statements(struct conformance *c)
{
    EXPECT(does(c, THINGS) && learn(c));
    EXPECT(conformance_reads(c, "SELECT note FROM things WHERE id = 11", "[{'note':'note 11'}]"));
    EXPECT(does(c, "DELETE FROM things") && !habits.asks);
    EXPECT(try_batch(c, all_of((struct doing){ADD}), 1).code == FH_OK && are_there(c, ROWS, 1));
}

static void a_statement_is_one_for_many_rows_by_its_text(struct conformance *c)
{
    static const struct {
        const char *text;
        bool fits;
    } all[] = {{"INSERT INTO a (b) VALUES (?1)", true},
               {" insert into \"A b\" ( \"c\" , d )\nvalues ( ?2 , 'x', NULL,?1 ) ", true},
               {"INSERT INTO a (b, c) VALUES (?1, 1)", false},
               {"INSERT INTO a (b, c) VALUES (?1, TRUE)", false},
               {"INSERT INTO a (b, c) VALUES (?1, -1)", false},
               {"INSERT INTO a (b) VALUES (?1), (?2)", false},
               {"INSERT INTO a (b) VALUES (?1) RETURNING b", false},
               {"INSERT INTO a (b) VALUES (?1) ON CONFLICT DO NOTHING", false},
               {"INSERT INTO a (b) VALUES (?1 + 1)", false},
               {"INSERT INTO a (b) VALUES (f(?1))", false},
               {"INSERT INTO a (b) VALUES (DEFAULT)", false},
               {"INSERT INTO a (b) VALUES (1)", false},
               {"INSERT INTO a (b) VALUES ('?1')", false},
               {"INSERT INTO a (b) VALUES ('it''s', ?1)", false},
               {"INSERT INTO a (b) VALUES (?1[])", false},
               {"INSERT INTO a (b) VALUES (E'\\'', ?1)", false},
               {"INSERT INTO a (b) SELECT ?1", false},
               {"INSERT INTO a VALUES (?1)", false},
               {"INSERT INTO s.a (b) VALUES (?1)", false},
               {"INSERT INTO a AS t (b) VALUES (?1)", false},
               {"INSERT INTO a (b) OVERRIDING SYSTEM VALUE VALUES (?1)", false},
               {"INSERT INTO a (b) VALUES (?1) -- all", false},
               {"INSERT INTO a (b) VALUES (?1", false},
               {"INSERTINTO a (b) VALUES (?1)", false},
               {"WITH x AS (SELECT 1) INSERT INTO a (b) VALUES (?1)", false},
               {"UPDATE a SET b = ?1", false},
               {"", false}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct postgresql_insert insert;
        postgresql_insert_read(all[i].text, &insert);
        snprintf(c->error.message, sizeof c->error.message, "%s", all[i].text);
        EXPECT((insert.table_length > 0) == all[i].fits);
    }
}

static void values_of_all_types_are_those_of_single_rows(struct conformance *c)
{
    static const char *const rows[] = {
        "{'a': null, 'b': null, 'c': null, 'd': null, 'e': null, 'f': null, 'g': null, 'h': null}",
        "{'a': {'x': [1, 'it\\u0027s']}, 'b': '12.50', 'c': 'AP8B', 'd': 'sad',"
        " 'e': ['a', null, 'c,\\u0022'],"
        " 'f': 1, 'g': 'q\\u00e9\\\\', 'h': '2026-01-31T12:00:00Z'}",
        "{'a': 'text', 'b': 7, 'c': '', 'd': 'glad', 'e': [], 'f': false, 'g': '', 'h': null}",
        "{'a': 1.5, 'b': 0.1, 'c': 'AA==', 'd': 'glad', 'e': null, 'f': '0', 'g': '{1,2}',"
        " 'h': '2026-01-31'}"};
    struct doing doings[EACH];
    for (int i = 0; i < EACH; i++)
        doings[i] = (struct doing){"INSERT INTO things (a, b, c, d, e, f, g, h)"
                                   " VALUES (:a, :b, :c, :d, :e, :f, :g, :h)",
                                   rows[i % 4], NULL, NULL};
    EXPECT(does(c, "CREATE TYPE mood AS ENUM ('sad', 'glad')") &&
           does(c, "CREATE TABLE things (a JSONB, b NUMERIC(10, 2), c BYTEA, d mood, e TEXT[],"
                   " f BOOLEAN, g VARCHAR(9), h TIMESTAMPTZ,"
                   " i UUID DEFAULT gen_random_uuid(), j BIGINT GENERATED ALWAYS AS IDENTITY,"
                   " k TEXT DEFAULT 'k', l TIMESTAMPTZ DEFAULT now(), m BIGSERIAL)"));
    habits = (struct work_batch_habits){0};
    EXPECT(try_batch(c, doings, EACH).code == FH_OK && are_there(c, STATEMENTS, EACH));
    EXPECT(does(c, "CREATE TABLE singly AS SELECT * FROM things") && does(c, "DELETE FROM things"));
    EXPECT(try_batch(c, doings, EACH).code == FH_OK && are_there(c, STATEMENTS, 2));
    EXPECT(are_there(c,
                     "SELECT count(*) AS n FROM things t JOIN singly s ON t.j = s.j + 12"
                     " AND t.m = s.m + 12 AND (t.a, t.b, t.c, t.d, t.e, t.f, t.g, t.h, t.k)"
                     " IS NOT DISTINCT FROM (s.a, s.b, s.c, s.d, s.e, s.f, s.g, s.h, s.k)",
                     EACH));
}

/* ---- Which are not ---- */

/* Each row by itself, however often. */
static bool stays_apart(struct conformance *c, const char *table, const char *with)
{
    habits = (struct work_batch_habits){0};
    if (!does(c, table) || (with && !does(c, with)))
        return false;
    for (int i = 0; i < 3; i++) {
        if (!adds_all(c) || !are_there(c, STATEMENTS, EACH))
            return false;
    }
    return does(c,
                with ? "DROP TABLE IF EXISTS one, piece CASCADE" : "DROP TABLE things CASCADE") &&
           (!with || strstr(with, "VIEW") || does(c, "DROP TABLE things CASCADE"));
}

static void what_could_tell_the_difference_is_written_row_by_row(struct conformance *c)
{
    EXPECT(does(c, "CREATE FUNCTION counted() RETURNS bigint LANGUAGE plpgsql STABLE AS"
                   " 'BEGIN RETURN (SELECT count(*) FROM things); END'"));
    EXPECT(does(c, "CREATE DOMAIN short AS TEXT CHECK (length(VALUE) < 20)"));
    EXPECT(stays_apart(c, THINGS_WITH "n BIGINT DEFAULT counted())", NULL));
    EXPECT(stays_apart(c, THINGS_WITH "CHECK (counted() < 100))", NULL));
    EXPECT(stays_apart(c, THINGS_WITH "s short)", NULL));
    EXPECT(stays_apart(c, THINGS_WITH "s short[])", NULL));
    EXPECT(stays_apart(c, THINGS_WITH "other BIGINT DEFAULT NULL REFERENCES things)", NULL));
    EXPECT(stays_apart(c, THINGS_WITH "x XML DEFAULT query_to_xml('SELECT 1', true, true, ''))",
                       NULL));
    EXPECT(stays_apart(c, "CREATE TABLE things (id BIGINT, note TEXT) PARTITION BY RANGE (id)",
                       "CREATE TABLE piece PARTITION OF things DEFAULT"));
    EXPECT(stays_apart(c, "CREATE TABLE one (id BIGINT, note TEXT)",
                       "CREATE VIEW things AS SELECT *, xmin, cmin FROM one"));
}

/* The n-th row finds n - 1. */
static bool counts_rows(struct conformance *c)
{
    return adds_all(c) && are_there(c, STATEMENTS, EACH) &&
           conformance_reads(c, "SELECT id, n FROM things WHERE id IN (1, 12) ORDER BY id",
                             "[{'id':1,'n':0},{'id':12,'n':11}]");
}

static void a_trigger_sees_the_rows_before_each(struct conformance *c)
{
    EXPECT(does(c, "CREATE TABLE things (id BIGINT PRIMARY KEY, note TEXT, n BIGINT)") && learn(c));
    EXPECT(does(c, "CREATE FUNCTION number() RETURNS trigger LANGUAGE plpgsql AS"
                   " 'BEGIN NEW.n = (SELECT count(*) FROM things); RETURN NEW; END'"));
    EXPECT(does(c, "CREATE TRIGGER numbers BEFORE INSERT ON things FOR EACH ROW"
                   " EXECUTE FUNCTION number()"));
    EXPECT(counts_rows(c) && counts_rows(c));
    EXPECT(does(c, "DROP TRIGGER numbers ON things"));
    habits = (struct work_batch_habits){0}; /* else it would take a while */
    EXPECT(learn(c));
}

static void a_rule_and_a_policy_are_noticed(struct conformance *c)
{
    EXPECT(does(c, THINGS) && learn(c));
    EXPECT(does(c, "CREATE TABLE log (n BIGINT)"));
    EXPECT(does(c, "CREATE RULE logs AS ON INSERT TO things DO ALSO"
                   " INSERT INTO log SELECT count(*) FROM things"));
    EXPECT(adds_all(c) && are_there(c, "SELECT count(DISTINCT n) AS n FROM log", EACH));
    EXPECT(does(c, "DROP TABLE things") && does(c, THINGS) && learn(c));
    EXPECT(does(c, "ALTER TABLE things ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"));
    EXPECT(does(c, "CREATE POLICY few ON things USING (true) WITH CHECK"
                   " (id > (SELECT 0))"));
    EXPECT(adds_all(c) && are_there(c, STATEMENTS, EACH));
}

/* From the middle of a batch whose rows wait. */
static enum fh_code meanwhile;
static struct fh_error meanwhile_error;

static void add_trigger(struct conformance *c)
{
    char sql[400];
    json_t *server = postgresql_server(&c->harness);
    snprintf(
        sql, sizeof sql,
        "SET lock_timeout = '50ms'; SET search_path = \"%s\"; CREATE TRIGGER late BEFORE INSERT"
        " ON things FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        json_string_at(server, "schema"));
    json_decref(server);
    meanwhile = postgresql_administer(c->harness.world, sql, &meanwhile_error);
}

static void no_trigger_can_be_added_while_rows_wait(struct conformance *c)
{
    struct doing doings[EACH];
    EXPECT(does(c, THINGS) && learn(c) && does(c, "DELETE FROM things"));
    memcpy(doings, all_of((struct doing){ADD}), sizeof doings);
    doings[5].first = add_trigger;
    EXPECT(try_batch(c, doings, EACH).code == FH_OK && are_there(c, STATEMENTS, 2));
    EXPECT(meanwhile == FH_CONFLICT && strcmp(meanwhile_error.native, "55P03") == 0);
}

/* ---- What else a batch does ---- */

static void a_row_is_there_for_whoever_reads(struct conformance *c)
{
    struct doing doings[EACH];
    memcpy(doings, all_of((struct doing){ADD}), sizeof doings);
    EXPECT(does(c, THINGS) && learn(c));
    doings[4].then = ROWS;
    for (int i = 0; i < 3; i++) { /* the first one finds out that one waits */
        EXPECT(does(c, "DELETE FROM things"));
        struct tried tried = try_batch(c, doings, EACH);
        EXPECT(tried.code == FH_OK && tried.seen == 5 && tried.reruns == 0);
        EXPECT(are_there(c, ROWS, EACH));
    }
    doings[4].then = NULL;
    doings[6] = (struct doing){"UPDATE things SET note = 'changed' WHERE id > 3", "{}", NULL, NULL};
    habits = (struct work_batch_habits){0};
    EXPECT(learn(c));
    for (int i = 0; i < 2; i++) {
        EXPECT(does(c, "DELETE FROM things"));
        EXPECT(try_batch(c, doings, EACH).code == FH_OK);
        EXPECT(are_there(c, "SELECT count(*) AS n FROM things WHERE note = 'changed'", 3));
    }
}

/* A batch fails as one whose statements went one by one, and alone only one of them does. */
static void only_one_is_to_blame(struct conformance *c, const struct doing *doings, int wrong,
                                 enum fh_code code, const char *field)
{
    struct tried tried = try_batch(c, doings, EACH);
    EXPECT(tried.code == code && !tried.error.retryable && tried.reruns == 1);
    EXPECT(strcmp(tried.error.field, field) == 0 && are_there(c, ROWS, 0));
    EXPECT(!habits.store.table[0]);
    for (int i = 0; i < EACH; i++) {
        tried = try_in(c, c->store, &doings[i], 1, 1 + i);
        EXPECT(tried.code == (i == wrong ? code : FH_OK));
    }
    EXPECT(are_there(c, ROWS, EACH - 1) && learn(c));
}

static void a_row_that_fails_fails_alone(struct conformance *c)
{
    struct doing doings[EACH];
    EXPECT(does(c, THINGS) && learn(c) && does(c, "DELETE FROM things"));
    EXPECT(does(c, "ALTER TABLE things ADD CHECK (note <> 'never')") && learn(c));
    memcpy(doings, all_of((struct doing){ADD}), sizeof doings);
    EXPECT(does(c, "DELETE FROM things"));
    doings[7].values = "{'id': 2, 'note': 'twice in one batch'}";
    only_one_is_to_blame(c, doings, 7, FH_CONFLICT, "id");
    EXPECT(does(c, "DELETE FROM things"));
    doings[7].values = "{'id': 8, 'note': 'never'}";
    only_one_is_to_blame(c, doings, 7, FH_CONFLICT, "things_note_check");
    EXPECT(does(c, "DELETE FROM things"));
    doings[7].values = "{'id': 'eight', 'note': 'no number'}";
    only_one_is_to_blame(c, doings, 7, FH_INVALID, "");
    EXPECT(does(c, "DELETE FROM things"));
    doings[7].values = "{'id': null, 'note': 'nothing'}";
    only_one_is_to_blame(c, doings, 7, FH_INVALID, "id");
}

/* It is refused where its handler runs it. */
static void a_value_that_can_not_be_sent_is_its_handlers_failure(struct conformance *c)
{
    struct doing doings[EACH];
    EXPECT(does(c, THINGS) && learn(c) && does(c, "DELETE FROM things"));
    memcpy(doings, all_of((struct doing){ADD}), sizeof doings);
    doings[9].values = "{'id': 10, 'note': 'a\\u0000b'}";
    struct tried tried = try_batch(c, doings, EACH);
    EXPECT(tried.code == FH_INVALID && tried.failed == 9 && tried.reruns == 0);
    EXPECT(are_there(c, ROWS, 0));
}

static void what_a_commit_refuses_is_refused(struct conformance *c)
{
    struct doing doings[EACH];
    EXPECT(does(c, "CREATE TABLE kinds (note TEXT PRIMARY KEY)") &&
           does(c, "INSERT INTO kinds SELECT 'note ' || i FROM generate_series(1, 12) AS i") &&
           does(c, "CREATE TABLE things (id BIGINT PRIMARY KEY, note TEXT REFERENCES kinds"
                   " DEFERRABLE INITIALLY DEFERRED)") &&
           learn(c) && does(c, "DELETE FROM things"));
    memcpy(doings, all_of((struct doing){ADD}), sizeof doings);
    doings[3].values = "{'id': 4, 'note': 'of no kind'}";
    struct tried tried = try_batch(c, doings, EACH);
    EXPECT(tried.code == FH_CONFLICT && !tried.error.retryable && tried.failed == -1);
    EXPECT(strcmp(tried.error.field, "note") == 0 && are_there(c, ROWS, 0) && learn(c));
}

static void a_table_that_has_gone_is_forgotten(struct conformance *c)
{
    struct doing doing = {"INSERT INTO others (id) VALUES (:id)", NULL, NULL, NULL};
    EXPECT(does(c, THINGS) && learn(c) && does(c, "DROP TABLE things"));
    EXPECT(does(c, "CREATE TABLE others (id BIGINT PRIMARY KEY)"));
    struct tried tried = try_batch(c, all_of(doing), EACH);
    EXPECT(tried.code == FH_OK && tried.reruns == 1);
    EXPECT(are_there(c, "SELECT count(*) AS n FROM others", EACH));
    EXPECT(strcmp(habits.store.table, "others") == 0);
}

/* The lock and the look are not worth it. */
static void two_tables_in_turn_are_written_as_before(struct conformance *c)
{
    struct doing doings[EACH];
    EXPECT(does(c, THINGS) && does(c, "CREATE TABLE others (id BIGINT)"));
    for (int i = 0; i < EACH; i++)
        doings[i].sql = i % 2 ? ADD : "INSERT INTO others (id) VALUES (:id)";
    for (int i = 0; i < EACH; i++) {
        doings[i].values = doings[i].then = NULL;
        doings[i].first = NULL;
    }
    habits = (struct work_batch_habits){0};
    for (int i = 0; i < 4; i++) {
        EXPECT(does(c, "DELETE FROM things"));
        EXPECT(try_batch(c, doings, EACH).code == FH_OK && are_there(c, ROWS, EACH / 2));
        EXPECT(are_there(c, STATEMENTS, EACH / 2));
    }
    EXPECT(habits.store.apart > 0);
}

/* ---- The link ---- */

static void commit_over(struct conformance *c, enum link_cut how, uint64_t reruns)
{
    struct link link = {0};
    struct store *store = NULL;
    json_t *options = conformance_json(getenv("FREEHOLD_TEST_POSTGRESQL"));
    json_int_t port = 0;
    json_integer_at(options, "port", &port);
    json_decref(options);
    EXPECT(does(c, "DELETE FROM things"));
    EXPECT(link_open(&link, c->harness.world, (int)port, "COMMIT"));
    json_t *server = postgresql_server(&c->harness);
    json_object_set_new(server, "host", json_string("127.0.0.1"));
    json_object_set_new(server, "port", json_integer(link.port));
    struct store_options over = {
        .service = "conformance", .server = server, .model = FH_RELATIONAL, .instance = "1"};
    enum fh_code code =
        engine_named("postgresql")->store->open(&over, c->harness.world, &store, &c->error);
    json_decref(server);
    struct tried tried = {.code = code};
    if (code == FH_OK)
        code = try_in(c, store, all_of((struct doing){ADD}), EACH, 101).code;
    if (code == FH_OK) { /* its connection has prepared all by now */
        link.next = how;
        tried = try_in(c, store, all_of((struct doing){ADD}), EACH, 1);
    }
    if (store)
        store_close(store);
    link_close(&link);
    EXPECT(code == FH_OK && tried.code == FH_OK && tried.reruns == reruns);
    EXPECT(are_there(c, ROWS, 2 * EACH));
}

static void rows_whose_commit_is_not_answered_are_there_once(struct conformance *c)
{
    EXPECT(does(c, THINGS) && learn(c));
    commit_over(c, LINK_CUT_AFTER, 0);
    EXPECT(learn(c));
    commit_over(c, LINK_CUT_BEFORE, 1);
    EXPECT(learn(c));
    commit_over(c, LINK_CUT_IN, 1);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(rows_of_a_batch_are_few_statements),
        CASE(a_statement_is_one_for_many_rows_by_its_text),
        CASE(values_of_all_types_are_those_of_single_rows),
        CASE(what_could_tell_the_difference_is_written_row_by_row),
        CASE(a_trigger_sees_the_rows_before_each),
        CASE(a_rule_and_a_policy_are_noticed),
        CASE(no_trigger_can_be_added_while_rows_wait),
        CASE(a_row_is_there_for_whoever_reads),
        CASE(a_row_that_fails_fails_alone),
        CASE(a_value_that_can_not_be_sent_is_its_handlers_failure),
        CASE(what_a_commit_refuses_is_refused),
        CASE(a_table_that_has_gone_is_forgotten),
        CASE(two_tables_in_turn_are_written_as_before),
        CASE(rows_whose_commit_is_not_answered_are_there_once),
    };
    return conformance_main_of("postgresql", FH_RELATIONAL, rows, sizeof rows / sizeof *rows);
}
