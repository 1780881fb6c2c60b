/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store beside the one that serves, in a schema of its own: it is made for one rebuild, takes
 * over what was published, and takes the other one's place; what runs in it reaches nothing else,
 * and what would be removed with the other one keeps it.
 */

#include "engine_postgresql.h"

#include <stdlib.h>

#include "base/text.h"
#include "engine/engines.h"
#include "engine/postgresql/internal.h"
#include "service/rebuild_exchange.h"
#include "store/beside.h"
#include "store/ledger.h"

#define PATIENCE_MS 60000 /* whatever takes longer has failed */

/* `schema`: NULL is the case's own; `beside`: NULL is the store that serves there. */
static struct store *open_schema(struct conformance *c, const char *schema,
                                 const struct store_beside *beside)
{
    struct store *store = NULL;
    json_t *server = postgresql_server(&c->harness);
    struct store_options options = {
        .service = "conformance", .server = server, .model = FH_RELATIONAL, .beside = beside};
    if (schema)
        json_object_set_new(server, "schema", json_string(schema));
    enum fh_code code =
        engine_named("postgresql")->store->open(&options, c->harness.world, &store, &c->error);
    json_decref(server);
    return code == FH_OK ? store : NULL;
}

static struct store *open_beside(struct conformance *c, const char *id, bool makes)
{
    struct store_beside beside = {.id = id, .makes = makes};
    return open_schema(c, NULL, &beside);
}

static const struct beside_ops *ops_of(const struct store *store)
{
    return store->engine->beside;
}

static void fall_idle(struct conformance *c)
{
    fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, 1));
}

static void leave(struct conformance *c, struct store *store)
{
    fall_idle(c);
    store_close(store);
}

/* No process has the store that serves open any more. */
static void leave_serving(struct conformance *c)
{
    leave(c, c->store);
    c->store = NULL;
}

static enum fh_code run_in(struct conformance *c, struct store *store, const char *sql)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_MIGRATE, &work, &c->error);
    if (code != FH_OK)
        return code;
    code = store->engine->sql->script(work, sql, &c->error);
    if (code == FH_OK)
        return store_commit(work, &c->error);
    store_rollback(work);
    return code;
}

/* With the name of the schema that serves for each @. */
static void write_schema(struct conformance *c, const char *pattern, struct text *ret)
{
    json_t *server = postgresql_server(&c->harness);
    text_init(ret, 2048);
    text_add(ret, "");
    for (const char *at = pattern; *at;) {
        size_t length = strcspn(at, "@");
        text_append(ret, at, length);
        at += length;
        if (*at++)
            text_add(ret, json_string_at(server, "schema"));
        else
            break;
    }
    json_decref(server);
}

/* As the superuser. */
static enum fh_code administer(struct conformance *c, const char *pattern)
{
    struct text sql;
    write_schema(c, pattern, &sql);
    enum fh_code code = postgresql_administer(c->harness.world, sql.data, &c->error);
    text_release(&sql);
    return code;
}

/* The store that serves now. */
static bool serves_again(struct conformance *c)
{
    return c->engine->open(&c->harness, c->model, &c->store, &c->error) == FH_OK;
}

/* The cases' own schema is removed by the suite; this one is not. */
static void remove_beside(struct conformance *c)
{
    if (administer(c, "DROP SCHEMA IF EXISTS \"@" STORE_BESIDE "\" CASCADE") != FH_OK)
        conformance_note(c, __FILE__, __LINE__, "the schema is removed");
}

static bool says(const struct conformance *c, enum fh_code code, const char *what)
{
    if (c->error.code == code && strstr(c->error.message, what))
        return true;
    fprintf(stderr, "%s\n", c->error.message);
    return false;
}

static void it_takes_the_place_of_the_one_that_serves(struct conformance *c)
{
    bool leads = true;
    EXPECT(conformance_does(c, "CREATE TABLE slip (n INTEGER)", NULL) == FH_OK);
    EXPECT(conformance_does(c, "INSERT INTO slip VALUES (1)", NULL) == FH_OK);
    struct store *beside = open_beside(c, "r1", true);
    EXPECT(beside && strcmp(beside->incarnation, c->store->incarnation) != 0);
    EXPECT(run_in(c, beside, "CREATE TABLE slip (n INTEGER); INSERT INTO slip VALUES (2)") ==
           FH_OK);
    EXPECT(ops_of(beside)->leads(beside, &leads, &c->error) == FH_OK && !leads);
    EXPECT(run_in(c, beside, "INSERT INTO fh_cursor VALUES ('a', '0/1', 'i', 5, 'e', 1)") == FH_OK);
    EXPECT(ops_of(beside)->leads(beside, &leads, &c->error) == FH_OK && leads);
    EXPECT(conformance_does(c, "INSERT INTO fh_cursor VALUES ('a', '0/1', 'i', 5, 'e', 1)", NULL) ==
           FH_OK);
    EXPECT(ops_of(beside)->leads(beside, &leads, &c->error) == FH_OK && !leads);
    EXPECT(conformance_reads(c, "SELECT n FROM slip", "[{'n':1}]"));
    leave_serving(c);
    EXPECT(ops_of(beside)->take(beside, &c->error) == FH_OK);
    leave(c, beside);
    EXPECT(serves_again(c));
    EXPECT(conformance_reads(c, "SELECT n FROM slip", "[{'n':2}]"));
    EXPECT(!open_beside(c, "r1", false) && says(c, FH_CONFLICT, "was taken already"));
    EXPECT(!open_beside(c, "r2", false) && says(c, FH_NOT_FOUND, "is gone"));
    beside = open_beside(c, "r2", true);
    EXPECT(beside);
    leave(c, beside);
    remove_beside(c);
}

static void it_is_there_again_for_its_own_rebuild_alone(struct conformance *c)
{
    struct store *beside = open_beside(c, "r1", true);
    EXPECT(beside && run_in(c, beside, "CREATE TABLE slip (n INTEGER)") == FH_OK);
    EXPECT(ops_of(c->store)->sweep(c->store, &c->error) == FH_OK); /* it is in use */
    leave(c, beside);
    beside = open_beside(c, "r1", true);
    EXPECT(beside && run_in(c, beside, "INSERT INTO slip VALUES (1)") == FH_OK);
    leave(c, beside);
    beside = open_beside(c, "r2", true);
    EXPECT(beside && run_in(c, beside, "CREATE TABLE slip (n INTEGER)") == FH_OK);
    EXPECT(ops_of(beside)->keep(beside, &c->error) == FH_OK);
    leave(c, beside);
    EXPECT(ops_of(c->store)->sweep(c->store, &c->error) == FH_OK);
    EXPECT(administer(c, "SELECT n FROM \"@" STORE_BESIDE "\".slip") == FH_OK); /* it was kept */
    beside = open_beside(c, "r3", true);
    EXPECT(beside && run_in(c, beside, "CREATE TABLE slip (n INTEGER)") == FH_OK);
    leave(c, beside);
    int64_t until_ns = world_in_ms(c->harness.world, PATIENCE_MS);
    while (administer(c, "SELECT n FROM \"@" STORE_BESIDE "\".slip") == FH_OK) {
        EXPECT(ops_of(c->store)->sweep(c->store, &c->error) == FH_OK);
        EXPECT(world_monotonic_ns(c->harness.world) < until_ns);
        fall_idle(c); /* the server still ends its connections */
    }
    EXPECT(!open_beside(c, "r3", false) && says(c, FH_NOT_FOUND, "is gone"));
    EXPECT(!open_beside(c, "r'3", true) && says(c, FH_UNSUPPORTED, "beside which there is none"));
    EXPECT(!open_beside(c, "", true));
    EXPECT(administer(c, "CREATE SCHEMA \"@" STORE_BESIDE "\"") == FH_OK);
    EXPECT(!open_beside(c, "r3", true) && says(c, FH_UNSUPPORTED, "which no rebuild has made"));
    remove_beside(c);
}

static void what_runs_in_it_names_no_other(struct conformance *c)
{
    static const struct {
        const char *sql; /* @: the schema that serves */
        bool allowed;
    } all[] = {
        {"INSERT INTO @.slip VALUES (1)", false},
        {"INSERT INTO \"@\".slip VALUES (1)", false},
        {"INSERT INTO \"@\" . slip VALUES (1)", false},
        {"DO $$ BEGIN DELETE FROM @.slip; END $$", false},
        {"CREATE FUNCTION f() RETURNS void LANGUAGE sql SET search_path = '@' AS ''", false},
        {"SET search_path = \"@\"", false},
        {"SELECT set_config('search_path', '@', true)", false},
        {"INSERT INTO @ /* its */ -- own\n .slip VALUES (1)", false},
        {"SET LOCAL SCHEMA '@'; INSERT INTO slip VALUES (1)", false},
        {"CREATE TABLE moved (n INTEGER); ALTER TABLE moved SET SCHEMA @", false},
        {"DROP SCHEMA IF EXISTS \"@\" CASCADE", false},
        {"INSERT INTO \"@" STORE_BESIDE "\".slip VALUES (1)", true},
        {"INSERT INTO slip VALUES (1) -- @", true},
        {"INSERT INTO slip VALUES (length('@x.y'))", true},
    };
    EXPECT(conformance_does(c, "CREATE TABLE slip (n INTEGER)", NULL) == FH_OK);
    struct store *beside = open_beside(c, "r1", true);
    EXPECT(beside && run_in(c, beside, "CREATE TABLE slip (n INTEGER)") == FH_OK);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct text sql;
        struct store_work *work;
        write_schema(c, all[i].sql, &sql);
        enum fh_code migrated = run_in(c, beside, sql.data);
        EXPECT(store_begin(beside, STORE_WRITE, &work, &c->error) == FH_OK);
        enum fh_code handled =
            beside->engine->sql->run(work, sql.data, NULL, 0, NULL, NULL, NULL, &c->error);
        store_rollback(work);
        if ((migrated == FH_OK) != all[i].allowed || (handled == FH_OK) != all[i].allowed)
            fprintf(stderr, "%s: %d, %d: %s\n", sql.data, migrated, handled, c->error.message);
        text_release(&sql);
        EXPECT((migrated == FH_OK) == all[i].allowed && (handled == FH_OK) == all[i].allowed);
    }
    leave(c, beside);
    EXPECT(conformance_reads(c, "SELECT count(*) FROM slip", "[{'count':0}]"));
    remove_beside(c);
}

static void what_would_be_removed_with_the_other_one_keeps_it(struct conformance *c)
{
    EXPECT(conformance_does(c, "CREATE TABLE slip (n INTEGER)", NULL) == FH_OK);
    EXPECT(conformance_does(c, "CREATE VIEW own AS SELECT n FROM slip", NULL) == FH_OK);
    EXPECT(administer(c, "ALTER DEFAULT PRIVILEGES IN SCHEMA \"@\" GRANT SELECT ON TABLES TO"
                         " PUBLIC") == FH_OK);
    struct store *beside = open_beside(c, "r1", true);
    EXPECT(beside);
    /* Of the schema, where the server knows such ones. */
    EXPECT(administer(c, "DO $$ BEGIN EXECUTE 'CREATE PUBLICATION \"@\" FOR ' ||"
                         " CASE WHEN CAST(current_setting('server_version_num') AS integer)"
                         " < 150000 THEN 'TABLE \"@\".slip' ELSE 'TABLES IN SCHEMA \"@\"' END;"
                         " END $$") == FH_OK);
    EXPECT(!open_beside(c, "r2", true) && says(c, FH_INVALID, "in publication"));
    EXPECT(administer(c, "DROP PUBLICATION \"@\"") == FH_OK);
    EXPECT(administer(c, "CREATE SCHEMA \"@~reports\"; CREATE VIEW \"@~reports\".slips AS"
                         " SELECT n FROM \"@\".slip") == FH_OK);
    EXPECT(!open_beside(c, "r2", true) && says(c, FH_INVALID, "depends on it"));
    leave_serving(c);
    EXPECT(ops_of(beside)->take(beside, &c->error) == FH_INVALID);
    EXPECT(says(c, FH_INVALID, "depends on it, and would be removed with it: ") &&
           says(c, FH_INVALID, "slips"));
    EXPECT(serves_again(c));
    EXPECT(conformance_reads(c, "SELECT count(*) FROM own", "[{'count':0}]"));
    leave_serving(c);
    EXPECT(administer(c, "DROP SCHEMA \"@~reports\" CASCADE") == FH_OK);
    EXPECT(administer(c, "CREATE EXTENSION lo SCHEMA \"@\"") == FH_OK);
    EXPECT(!open_beside(c, "r2", true) && says(c, FH_UNSUPPORTED, "The extension lo is in"));
    EXPECT(administer(c, "DROP EXTENSION lo") == FH_OK);
    EXPECT(ops_of(beside)->take(beside, &c->error) == FH_OK);
    leave(c, beside);
    EXPECT(serves_again(c));
    EXPECT(conformance_does(c, "SELECT n FROM slip", NULL) != FH_OK);
}

/* What is longer than a name may be the server cuts off, and only says so. */
static void what_serves_is_not_taken_for_what_is_beside_it(struct conformance *c)
{
    static const int lengths[] = {55, 63};
    json_t *server = postgresql_server(&c->harness);
    size_t prefix = strlen(json_string_at(server, "schema"));
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char schema[64], sql[256];
        struct store_beside wanted = {.id = "r1", .makes = true};
        memset(schema, 'a', (size_t)lengths[i]);
        memcpy(schema, json_string_at(server, "schema"), prefix);
        schema[lengths[i]] = '\0';
        snprintf(sql, sizeof sql,
                 "CREATE SCHEMA \"%s\"; COMMENT ON SCHEMA \"%s\" IS 'freehold rebuild r0'", schema,
                 schema);
        EXPECT(administer(c, sql) == FH_OK);
        struct store *serving = open_schema(c, schema, NULL);
        EXPECT(serving);
        struct store *beside = open_schema(c, schema, &wanted);
        bool told = beside || says(c, FH_UNSUPPORTED, "beside which there is none");
        EXPECT(told && (beside != NULL) == (lengths[i] == 55));
        EXPECT(ops_of(serving)->sweep(serving, &c->error) == FH_OK);
        leave(c, serving);
        EXPECT(!beside || ops_of(beside)->take(beside, &c->error) == FH_OK);
        if (beside)
            leave(c, beside);
        snprintf(sql, sizeof sql, "SELECT FROM \"%s\".fh_meta; DROP SCHEMA \"%s\" CASCADE", schema,
                 schema);
        EXPECT(administer(c, sql) == FH_OK);
    }
    json_decref(server);
}

struct taking {
    struct conformance *c;
    struct store *beside;
    enum fh_code code;
    struct fh_error error;
};

static void take_entry(void *argument)
{
    struct taking *taking = argument;
    taking->code = ops_of(taking->beside)->take(taking->beside, &taking->error);
}

static bool waits_for_lock(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_READ);
    json_t *rows = work ? conformance_rows(c, work,
                                           "SELECT count(*) AS n FROM pg_locks WHERE locktype ="
                                           " 'advisory' AND NOT granted AND database = (SELECT oid"
                                           " FROM pg_database WHERE datname = current_database())"
                                           " AND ((CAST(classid AS bigint) << 32)"
                                           " | CAST(objid AS bigint)) = " POSTGRESQL_LISTENERS,
                                           NULL)
                        : NULL;
    json_int_t count = 0;
    json_integer_at(json_array_get(rows, 0), "n", &count);
    json_decref(rows);
    conformance_rollback(c, work);
    return count > 0;
}

static void no_process_has_the_other_one_open_when_it_is_removed(struct conformance *c)
{
    struct taking taking = {.c = c, .beside = open_beside(c, "r1", true)};
    EXPECT(taking.beside);
    conformance_start(c, take_entry, &taking);
    int64_t until_ns = world_in_ms(c->harness.world, PATIENCE_MS);
    while (!waits_for_lock(c)) {
        EXPECT(world_monotonic_ns(c->harness.world) < until_ns);
        fall_idle(c);
    }
    leave_serving(c);
    conformance_join(c);
    EXPECT(taking.code == FH_OK);
    leave(c, taking.beside);
    EXPECT(serves_again(c));
}

static void what_was_published_goes_over_as_it_is(struct conformance *c)
{
    struct store_work *work;
    char incarnation[ID_SIZE];
    static const char published[] =
        "INSERT INTO fh_outbox (seq, position, event_id, type, version, key, prev, time_ms, data)"
        " OVERRIDING SYSTEM VALUE VALUES (7, 3, 'e3', 'Sold', 1, 'k', 2, 5, '{}'),"
        " (9, NULL, 'e4', 'Sold', 1, 'k', 0, 6, '{}');"
        "SELECT setval('fh_outbox_seq_seq', 9); UPDATE fh_counter SET position = 3;"
        "INSERT INTO fh_place VALUES ('k', 3);"
        "INSERT INTO fh_subscriber VALUES ('search', '0/1', 'i', 2, 3, 4);"
        "INSERT INTO fh_saga VALUES ('b', 3, 'pay', '{}', '{}', 'running', 2, 0, 0, 0, 's', 'o');"
        "INSERT INTO fh_saga_step VALUES ('b', 3, 0, 0, 1, 'm', '{}', 'sent', NULL, NULL, 0);"
        "INSERT INTO fh_meta VALUES ('peers', '{}'), ('unfinished', '')";
    memcpy(incarnation, c->store->incarnation, sizeof incarnation);
    EXPECT(run_in(c, c->store, published) == FH_OK);
    struct store *beside = open_beside(c, "r1", true);
    EXPECT(beside && run_in(c, beside,
                            "INSERT INTO fh_meta VALUES ('" LEDGER_UNFINISHED "', '" LEDGER_REBUILT
                            "')") == FH_OK);
    for (int times = 0; times < 2; times++) {
        EXPECT(store_begin(beside, STORE_MIGRATE, &work, &c->error) == FH_OK);
        EXPECT(ops_of(beside)->hold(work, &c->error) == FH_OK);
        EXPECT(ops_of(beside)->copy_published(work, &c->error) == FH_OK);
        EXPECT(store_commit(work, &c->error) == FH_OK);
    }
    leave_serving(c);
    EXPECT(ops_of(beside)->take(beside, &c->error) == FH_OK);
    leave(c, beside);
    EXPECT(serves_again(c));
    EXPECT(strcmp(c->store->incarnation, incarnation) == 0);
    EXPECT(conformance_reads(c,
                             "SELECT value FROM fh_meta WHERE name IN ('" LEDGER_UNFINISHED
                             "', 'peers') ORDER BY name",
                             "[{'value':'{}'},{'value':'" LEDGER_REBUILT "'}]"));
    EXPECT(
        conformance_reads(c, "SELECT key, position FROM fh_place", "[{'key':'k','position':3}]"));
    EXPECT(conformance_reads(c, "SELECT done FROM fh_subscriber", "[{'done':2}]"));
    EXPECT(conformance_reads(c,
                             "SELECT s.epoch, t.attempt FROM fh_saga s JOIN fh_saga_step t"
                             " USING (birth, number)",
                             "[{'epoch':2,'attempt':1}]"));
    EXPECT(store_sequence(c->store, NULL, 0, &c->error) == FH_OK);
    EXPECT(conformance_reads(c, "SELECT position, event_id, prev FROM fh_outbox ORDER BY position",
                             "[{'position':3,'event_id':'e3','prev':2},"
                             "{'position':4,'event_id':'e4','prev':3}]"));
    EXPECT(conformance_reads(
        c, "SELECT position, (SELECT last_value FROM fh_outbox_seq_seq) AS seq FROM fh_counter",
        "[{'position':4,'seq':9}]"));
}

static void reports_may_read_the_one_that_was_taken(struct conformance *c)
{
    struct text sql;
    EXPECT(conformance_does(c, "CREATE TABLE slip (n INTEGER)", NULL) == FH_OK);
    struct store *beside = open_beside(c, "r1", true);
    EXPECT(beside && run_in(c, beside, "CREATE TABLE slip (n INTEGER)") == FH_OK);
    leave_serving(c);
    EXPECT(ops_of(beside)->take(beside, &c->error) == FH_OK);
    leave(c, beside);
    c->store = open_schema(c, NULL, NULL);
    EXPECT(c->store && postgresql_report_rights(c->store, &c->error) == FH_OK);
    write_schema(c,
                 "SELECT CAST(has_schema_privilege('@.reports', '@', 'USAGE') AND"
                 " has_table_privilege('@.reports', 'slip', 'SELECT') AS text) AS reads",
                 &sql);
    bool reads = conformance_reads(c, sql.data, "[{'reads':'true'}]");
    text_release(&sql);
    EXPECT(reads);
}

/* The superuser may do all; a service's user may not. */
static void a_user_who_may_make_no_schema_is_told(struct conformance *c)
{
    EXPECT(administer(c, "DROP ROLE IF EXISTS \"@_owner\"") == FH_OK);
    EXPECT(administer(c, "CREATE ROLE \"@_owner\" LOGIN PASSWORD 'owner'") == FH_OK);
    EXPECT(administer(c, "GRANT USAGE, CREATE ON SCHEMA \"@\" TO \"@_owner\"") == FH_OK);
    json_t *server = postgresql_server(&c->harness);
    json_object_set_new(server, "user", json_sprintf("%s_owner", json_string_at(server, "schema")));
    json_object_set_new(server, "password", json_string("owner"));
    struct store_beside wanted = {.id = "r1", .makes = true};
    struct store_options options = {
        .service = "conformance", .server = server, .model = FH_RELATIONAL, .beside = &wanted};
    const struct store_ops *ops = engine_named("postgresql")->store;
    struct store *store;
    bool told = ops->open(&options, c->harness.world, &store, &c->error) == FH_UNSUPPORTED &&
                says(c, FH_UNSUPPORTED, "GRANT CREATE ON DATABASE");
    enum fh_code code = administer(c, "GRANT CREATE ON DATABASE postgres TO \"@_owner\"");
    told = told && code == FH_OK &&
           ops->open(&options, c->harness.world, &store, &c->error) == FH_UNSUPPORTED &&
           says(c, FH_UNSUPPORTED, "ALTER SCHEMA");
    json_decref(server);
    EXPECT(told);
    EXPECT(administer(c, "REVOKE ALL ON DATABASE postgres FROM \"@_owner\"; REVOKE ALL ON SCHEMA"
                         " \"@\" FROM \"@_owner\"") == FH_OK);
    EXPECT(administer(c, "DROP ROLE \"@_owner\"") == FH_OK);
}

/* ---- As a service does it ---- */

static void note_user(fh_work *w)
{
    (void)w;
}

static const fh_service hearing = {.name = "conformance",
                                   .model = FH_RELATIONAL,
                                   .subscribes = {{"users", "UserUpdated", note_user}}};

static bool put_order(struct conformance *c, const char *text)
{
    char path[300];
    snprintf(path, sizeof path, "%s/" REBUILD_ORDER, c->harness.folder);
    const struct world_files *files = c->harness.world->files;
    return files->replace(c->harness.world, path, text, strlen(text)) == 0;
}

static bool has_order(struct conformance *c)
{
    char path[300];
    int64_t size;
    snprintf(path, sizeof path, "%s/" REBUILD_ORDER, c->harness.folder);
    return c->harness.world->files->size(c->harness.world, path, &size) == 0;
}

static enum fh_code exchange_as(struct conformance *c, const char *instance)
{
    json_t *config =
        json_pack("{s:s, s:s, s:s, s:o}", "engine", "postgresql", "folder", c->harness.folder,
                  "instance", instance, "store", postgresql_server(&c->harness));
    enum fh_code code = service_rebuild_exchange(&hearing, config, c->harness.world, &c->error);
    json_decref(config);
    return code;
}

struct exchanging {
    struct conformance *c;
    enum fh_code code;
};

static void exchange_entry(void *argument)
{
    struct exchanging *exchanging = argument;
    exchanging->code = exchange_as(exchanging->c, "0");
}

static void note_truth(void *context, PGresult *result)
{
    if (postgresql_pq.PQntuples(result) == 1)
        *(bool *)context = *postgresql_pq.PQgetvalue(result, 0, 0) == 't';
}

static bool tell(struct conformance *c, struct postgresql_connection *administrator,
                 const char *pattern, bool *ret)
{
    struct text sql;
    write_schema(c, pattern, &sql);
    enum fh_code code = postgresql_simple(administrator, sql.data, -1, note_truth, ret, &c->error);
    text_release(&sql);
    return code == FH_OK;
}

/* That of a process that was killed: the server goes on with what it was sent. */
static void an_exchange_that_is_under_way_is_waited_for(struct conformance *c)
{
    bool waits = false, heeded;
    struct exchanging exchanging = {.c = c, .code = FH_UNAVAILABLE};
    struct store *beside = open_beside(c, "r1", true);
    EXPECT(beside);
    leave(c, beside);
    leave_serving(c);
    struct postgresql_connection *administrator =
        postgresql_administrator(c->harness.world, &c->error);
    EXPECT(administrator);
    EXPECT(tell(c, administrator,
                "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0;"
                " SELECT pg_advisory_xact_lock(hashtextextended('freehold.listeners.@', 0));"
                " DROP SCHEMA \"@\" CASCADE;"
                " ALTER SCHEMA \"@" STORE_BESIDE "\" RENAME TO \"@\"",
                &heeded));
    EXPECT(put_order(c, "{\"rebuild\": \"r1\"}"));
    conformance_start(c, exchange_entry, &exchanging);
    int64_t until_ns = world_in_ms(c->harness.world, PATIENCE_MS);
    while (!waits) {
        EXPECT(tell(c, administrator,
                    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT"
                    " granted AND ((CAST(classid AS bigint) << 32) | CAST(objid AS bigint)) ="
                    " hashtextextended('freehold.listeners.@', 0))",
                    &waits));
        EXPECT(world_monotonic_ns(c->harness.world) < until_ns);
        fall_idle(c);
    }
    EXPECT(tell(c, administrator, "COMMIT", &heeded));
    conformance_join(c);
    EXPECT(exchanging.code == FH_OK && !has_order(c));
    postgresql_administrator_free(administrator);
    EXPECT(serves_again(c));
}

static void an_order_is_carried_out_once_by_the_first_instance(struct conformance *c)
{
    struct store *beside = open_beside(c, "r1", true);
    EXPECT(beside && run_in(c, beside, "CREATE TABLE slip (n INTEGER)") == FH_OK);
    leave(c, beside);
    leave_serving(c);
    EXPECT(exchange_as(c, "0") == FH_OK); /* there is none */
    EXPECT(put_order(c, "[]") && exchange_as(c, "0") == FH_INVALID);
    EXPECT(says(c, FH_INVALID, "expected a \"rebuild\""));
    EXPECT(put_order(c, "{\"rebuild\": \"r1") && exchange_as(c, "0") == FH_INVALID);
    EXPECT(put_order(c, "{\"rebuild\": \"r2\"}") && exchange_as(c, "0") == FH_INVALID);
    EXPECT(says(c, FH_INVALID, "The new store is gone") && has_order(c));
    EXPECT(put_order(c, "{\"rebuild\": \"r1\"}") && exchange_as(c, "1") == FH_UNAVAILABLE);
    EXPECT(administer(c, "CREATE FUNCTION \"@" STORE_BESIDE "\".stop() RETURNS trigger LANGUAGE"
                         " plpgsql AS $$ BEGIN RAISE EXCEPTION 'No.'; END $$;"
                         " CREATE TRIGGER stop BEFORE INSERT ON \"@" STORE_BESIDE "\".fh_opening"
                         " EXECUTE FUNCTION \"@" STORE_BESIDE "\".stop()") == FH_OK);
    EXPECT(has_order(c) && exchange_as(c, "0") == FH_CONFLICT && has_order(c));
    EXPECT(administer(c, "DROP FUNCTION \"@" STORE_BESIDE "\".stop() CASCADE") == FH_OK);
    EXPECT(has_order(c) && exchange_as(c, "0") == FH_OK && !has_order(c));
    EXPECT(serves_again(c) && conformance_reads(c, "SELECT n FROM slip", "[]"));
    EXPECT(put_order(c, "{\"rebuild\": \"r1\"}")); /* killed before it was removed */
    EXPECT(exchange_as(c, "0") == FH_OK && !has_order(c));
    EXPECT(conformance_reads(c, "SELECT n FROM slip", "[]"));
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(it_takes_the_place_of_the_one_that_serves),
        CASE(it_is_there_again_for_its_own_rebuild_alone),
        CASE(what_runs_in_it_names_no_other),
        CASE(what_would_be_removed_with_the_other_one_keeps_it),
        CASE(what_serves_is_not_taken_for_what_is_beside_it),
        CASE(no_process_has_the_other_one_open_when_it_is_removed),
        CASE(what_was_published_goes_over_as_it_is),
        CASE(reports_may_read_the_one_that_was_taken),
        CASE(a_user_who_may_make_no_schema_is_told),
        CASE(an_exchange_that_is_under_way_is_waited_for),
        CASE(an_order_is_carried_out_once_by_the_first_instance),
    };
    return conformance_main_of("postgresql", FH_RELATIONAL, rows, sizeof rows / sizeof *rows);
}
