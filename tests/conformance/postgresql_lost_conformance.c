/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What PostgreSQL's stores do when something is lost: the server, the link, an instance, the
 * password, the right to connect. Kills the server that tools/servers names, which starts it again;
 * so it runs alone.
 */

#include "engine_postgresql.h"

#include <signal.h>
#include <stdlib.h>

#include "link.h"
#include "engine/engines.h"
#include "store/ledger.h"
#include "engine/postgresql/internal.h"

#define PROBLEM_MS 60000 /* whatever takes longer has failed */

static bool in_time(struct conformance *c, int64_t deadline_ns)
{
    if (world_monotonic_ns(c->harness.world) >= deadline_ns)
        return false;
    fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, 10));
    return true;
}

static enum fh_code superuser(struct conformance *c, const char *sql)
{
    return postgresql_administer(c->harness.world, sql, &c->error);
}

/* Another instance's store on the case's schema, with the differences in `change`. */
static enum fh_code open_other(struct conformance *c, json_t *change, struct store **ret)
{
    json_t *server = postgresql_server(&c->harness);
    json_object_update(server, change);
    json_decref(change);
    struct store_options options = {
        .service = "conformance", .server = server, .model = FH_RELATIONAL, .instance = "1"};
    enum fh_code code =
        engine_named("postgresql")->store->open(&options, c->harness.world, ret, &c->error);
    json_decref(server);
    return code;
}

/* ---- The server ---- */

static void kill_server(struct conformance *c)
{
    json_t *server = conformance_json(getenv("FREEHOLD_TEST_POSTGRESQL"));
    const char *path = json_string_at(server, "pid_file");
    FILE *file = path ? fopen(path, "r") : NULL;
    int pid = 0;
    bool killed = file && fscanf(file, "%d", &pid) == 1 && pid > 1 && kill(pid, SIGKILL) == 0;
    if (file)
        fclose(file);
    json_decref(server);
    if (!killed)
        conformance_note(c, __FILE__, __LINE__, "the server is killed");
}

struct writer {
    struct conformance *c;
    int number, acknowledged, unknown; /* so many are; of the last one it is not known */
    bool *ends;
    char wrong[256];
};

static enum fh_code write_one(struct writer *writer, int value, struct fh_error *error)
{
    struct store_work *work;
    struct sql_value values[] = {sql_integer(writer->number), sql_integer(value)};
    enum store_mode mode = writer->number % 2 ? STORE_WRITE : STORE_WRITE_GROUPED;
    enum fh_code code = store_begin(writer->c->store, mode, &work, error);
    int64_t changes;
    if (code != FH_OK)
        return code;
    code = sql_run(work, "INSERT INTO written (writer, value) VALUES (?1, ?2)", values, 2, NULL,
                   NULL, &changes, error);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

static void write_on(void *argument)
{
    struct writer *writer = argument;
    struct conformance *c = writer->c;
    for (int value = 1; !*writer->ends && !writer->wrong[0];) {
        struct fh_error error = {0};
        enum fh_code code = write_one(writer, value, &error);
        bool may_be = code == FH_UNAVAILABLE || code == FH_OUTCOME_UNKNOWN ||
                      (code == FH_CONFLICT && error.retryable);
        if (code == FH_OK)
            writer->acknowledged++;
        if (code == FH_OK || code == FH_OUTCOME_UNKNOWN)
            value++;
        if (code == FH_OUTCOME_UNKNOWN)
            writer->unknown++;
        if (code != FH_OK && !may_be)
            snprintf(writer->wrong, sizeof writer->wrong, "%s", error.message);
        if (code != FH_OK)
            fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, 5));
    }
}

static int acknowledged(const struct writer *writers, int count)
{
    int sum = 0;
    for (int i = 0; i < count; i++)
        sum += writers[i].acknowledged;
    return sum;
}

static void a_server_that_is_killed_and_comes_back_has_lost_nothing(struct conformance *c)
{
    enum { COUNT = 8, KILLS = 2, EACH = 200 };
    struct writer writers[COUNT];
    bool ends = false;
    EXPECT(conformance_does(c,
                            "CREATE TABLE written (writer INTEGER, value INTEGER,"
                            " PRIMARY KEY (writer, value))",
                            NULL) == FH_OK);
    int64_t deadline_ns = world_in_ms(c->harness.world, 3 * PROBLEM_MS);
    for (int i = 0; i < COUNT; i++) {
        writers[i] = (struct writer){.c = c, .number = i, .ends = &ends};
        conformance_start(c, write_on, &writers[i]);
    }
    for (int i = 0; i <= KILLS; i++) {
        int wanted = acknowledged(writers, COUNT) + EACH;
        while (acknowledged(writers, COUNT) < wanted && in_time(c, deadline_ns))
            ;
        if (i < KILLS)
            kill_server(c);
    }
    int sum = acknowledged(writers, COUNT);
    ends = true;
    conformance_join(c);
    EXPECT(sum >= (KILLS + 1) * EACH);
    EXPECT(c->store->losses >= KILLS);
    for (int i = 0; i < COUNT; i++) {
        char sql[120];
        EXPECT(!writers[i].wrong[0]);
        snprintf(sql, sizeof sql,
                 "SELECT count(*) BETWEEN %d AND %d AS ok FROM written WHERE writer = %d",
                 writers[i].acknowledged, writers[i].acknowledged + writers[i].unknown, i);
        EXPECT(conformance_reads(c, sql, "[{'ok':true}]"));
    }
}

/* ---- The link, inside COMMIT ---- */

struct linked {
    struct link link;
    struct store *store;
};

static bool linked_open(struct conformance *c, struct linked *linked)
{
    json_t *server = conformance_json(getenv("FREEHOLD_TEST_POSTGRESQL"));
    json_int_t port = 0;
    json_integer_at(server, "port", &port);
    json_decref(server);
    if (!link_open(&linked->link, c->harness.world, (int)port, "COMMIT"))
        return false;
    json_t *over = json_pack("{s:s, s:i}", "host", "127.0.0.1", "port", linked->link.port);
    return link_used(&linked->link, open_other(c, over, &linked->store) == FH_OK);
}

/* A row read and written, and a COMMIT to which the plan applies. */
static enum fh_code commit_over(struct conformance *c, struct linked *linked, enum link_cut plan)
{
    struct store_work *work;
    int64_t changes;
    enum fh_code code = store_begin(linked->store, STORE_WRITE, &work, &c->error);
    if (code != FH_OK)
        return code;
    code = sql_run(work, "INSERT INTO committed SELECT coalesce(max(n), 0) + 1 FROM committed",
                   NULL, 0, NULL, NULL, &changes, &c->error);
    if (code != FH_OK) {
        store_rollback(work);
        return code;
    }
    linked->link.next = plan;
    return store_commit(work, &c->error);
}

/* Afterwards the rows are `rows`. */
static void lose_inside_commit(struct conformance *c, struct linked *linked, enum link_cut plan,
                               enum fh_code wanted, const char *rows)
{
    EXPECT(conformance_does(c, "CREATE TABLE committed (n INTEGER)", NULL) == FH_OK);
    EXPECT(linked_open(c, linked));
    enum fh_code code = commit_over(c, linked, plan), again = code;
    struct fh_error error = c->error;
    if (plan == LINK_HELD)
        link_release(&linked->link);
    if (code == FH_CONFLICT)
        again = commit_over(c, linked, LINK_WHOLE); /* as the layers above do */
    store_close(linked->store);
    link_close(&linked->link);
    c->error = error;
    EXPECT(code == wanted && (wanted != FH_CONFLICT || error.retryable));
    EXPECT(again == FH_OK);
    conformance_reads(c, "SELECT n FROM committed", rows);
}

static void a_commit_that_never_reached_the_server_is_repeated(struct conformance *c)
{
    struct linked linked = {0};
    lose_inside_commit(c, &linked, LINK_CUT_BEFORE, FH_CONFLICT, "[{'n':1}]");
}

static void a_commit_whose_answer_was_lost_counts(struct conformance *c)
{
    struct linked linked = {0};
    lose_inside_commit(c, &linked, LINK_CUT_AFTER, FH_OK, "[{'n':1}]");
}

/* Schedule 23 */
static void
a_commit_that_reaches_the_server_when_all_is_settled_comes_to_nothing(struct conformance *c)
{
    struct linked linked = {0};
    lose_inside_commit(c, &linked, LINK_HELD, FH_CONFLICT, "[{'n':1}]");
}

static void a_commit_that_was_cut_in_two_is_not_waited_for(struct conformance *c)
{
    struct linked linked = {0};
    lose_inside_commit(c, &linked, LINK_CUT_IN, FH_CONFLICT, "[{'n':1}]");
}

/* ---- The link, while a connection is made ---- */

struct wanting {
    struct store *store;
    enum fh_code code;
    struct fh_error error;
};

static void begin_and_end(void *argument)
{
    struct wanting *wanting = argument;
    struct store_work *work;
    wanting->code = store_begin(wanting->store, STORE_WRITE, &work, &wanting->error);
    if (wanting->code == FH_OK)
        store_rollback(work);
}

/* It became free when nobody waited for it, and those that came later would have queued. */
static void
a_connection_that_can_not_be_made_is_not_waited_for_when_another_is_free(struct conformance *c)
{
    struct linked linked = {0};
    struct store_work *first = NULL;
    EXPECT(linked_open(c, &linked));
    enum fh_code code = store_begin(linked.store, STORE_WRITE, &first, &c->error);
    struct wanting wanting = {.store = linked.store, .code = FH_INVALID};
    linked.link.marker = "application_name"; /* in the first message of a new connection */
    linked.link.next = LINK_CUT_LATE;
    conformance_start(c, begin_and_end, &wanting);
    int64_t deadline_ns = world_in_ms(c->harness.world, PROBLEM_MS);
    while (linked.link.next != LINK_WHOLE && in_time(c, deadline_ns))
        ;
    bool connects = linked.link.next == LINK_WHOLE;
    if (first)
        store_rollback(first);
    linked.link.released = true;
    fiber_wake_all(&linked.link.changed);
    conformance_join(c);
    store_close(linked.store);
    link_close(&linked.link);
    EXPECT(code == FH_OK && connects);
    c->error = wanting.error;
    EXPECT(wanting.code == FH_OK);
}

/* ---- An instance ---- */

static enum fh_code touch(struct store_work *work, struct fh_error *error)
{
    int64_t changes;
    return sql_run(work, "UPDATE touched SET n = n + 1", NULL, 0, NULL, NULL, &changes, error);
}

/* Schedule 37 */
static void an_instance_that_stands_still_in_an_open_work_holds_nobody_up(struct conformance *c)
{
    struct store *other;
    struct store_work *still, *work;
    EXPECT(conformance_does(c, "CREATE TABLE touched (n INTEGER)", NULL) == FH_OK);
    EXPECT(conformance_does(c, "INSERT INTO touched VALUES (0)", NULL) == FH_OK);
    EXPECT(open_other(c, json_object(), &other) == FH_OK);
    enum fh_code held = store_begin(other, STORE_WRITE, &still, &c->error);
    if (held == FH_OK)
        held = touch(still, &c->error);
    enum fh_code code = store_begin(c->store, STORE_WRITE, &work, &c->error);
    if (code == FH_OK)
        code = touch(work, &c->error); /* waits for the server to end the other's transaction */
    if (code == FH_OK)
        code = store_commit(work, &c->error);
    struct fh_error woken = {0};
    enum fh_code late = store_commit(still, &woken);
    store_close(other);
    EXPECT(held == FH_OK && code == FH_OK);
    c->error = woken;
    EXPECT(late == FH_CONFLICT && woken.retryable);
    EXPECT(conformance_reads(c, "SELECT n FROM touched", "[{'n':1}]"));
}

static void on_heard(void *context)
{
    ++*(int *)context;
}

static enum fh_code publish_on(struct conformance *c, struct store *store, const char *id)
{
    struct store_work *work;
    struct ledger_event event = {
        .id = id, .type = "Happened", .version = 1, .key = "k", .data = "{}"};
    struct store_placed placed = {.event_id = id};
    enum fh_code code = store_begin(store, STORE_WRITE, &work, &c->error);
    if (code != FH_OK)
        return code;
    code = ledger_outbox_append(work, &event, &c->error);
    if (code != FH_OK) {
        store_rollback(work);
        return code;
    }
    code = store_commit(work, &c->error);
    return code == FH_OK ? store_sequence(store, &placed, 1, &c->error) : code;
}

static bool subscribes(struct conformance *c, const int *heard, int before)
{
    int64_t deadline_ns = world_in_ms(c->harness.world, PROBLEM_MS);
    while (*heard == before && in_time(c, deadline_ns))
        ;
    return *heard > before;
}

static void positions_that_another_instance_assigns_are_notified(struct conformance *c)
{
    struct store *other = NULL;
    int heard = 0;
    struct store_listener listener = {.heard = on_heard, .context = &heard};
    store_listen(c->store, &listener);
    bool good =
        publish_on(c, c->store, "own") == FH_OK && heard == 0; /* whoever gives them knows */
    good = good && open_other(c, json_object(), &other) == FH_OK;
    good = good && publish_on(c, other, "others") == FH_OK && subscribes(c, &heard, 0);
    /* Notifications are lost while the link is down: then it polls. */
    int before = heard;
    good = good &&
           superuser(
               c, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'") ==
               FH_OK &&
           subscribes(c, &heard, before);
    before = heard;
    good = good && publish_on(c, other, "more") == FH_OK && subscribes(c, &heard, before);
    if (other)
        store_close(other);
    store_unlisten(c->store, &listener);
    EXPECT(good);
    EXPECT(publish_on(c, c->store, "last") == FH_OK);
    EXPECT(conformance_reads(c, "SELECT count(*) AS n, max(position) AS last FROM fh_outbox",
                             "[{'n':4,'last':4}]"));
}

struct opening {
    struct conformance *c;
    struct store *store;
    enum fh_code code;
};

static void open_one(void *argument)
{
    struct opening *opening = argument;
    opening->code = open_other(opening->c, json_object(), &opening->store);
}

static void ten_instances_that_open_a_new_store_at_once_find_one(struct conformance *c)
{
    enum { COUNT = 10 };
    struct opening openings[COUNT];
    json_t *server = postgresql_server(&c->harness);
    char sql[200];
    const char *schema = json_string_at(server, "schema");
    snprintf(sql, sizeof sql, "DROP SCHEMA \"%s\" CASCADE; CREATE SCHEMA \"%s\"", schema, schema);
    json_decref(server);
    EXPECT(superuser(c, sql) == FH_OK);
    for (int i = 0; i < COUNT; i++) {
        openings[i] = (struct opening){.c = c};
        conformance_start(c, open_one, &openings[i]);
    }
    conformance_join(c);
    bool one = true;
    for (int i = 0; i < COUNT; i++)
        one = one && openings[i].code == FH_OK &&
              strcmp(openings[i].store->incarnation, openings[0].store->incarnation) == 0;
    for (int i = 0; i < COUNT; i++) {
        if (openings[i].store)
            store_close(openings[i].store);
    }
    EXPECT(one);
}

static void a_store_of_the_former_format_gets_todays_tables(struct conformance *c)
{
    struct store *store;
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    enum fh_code code =
        postgresql_script(work,
                          "DROP INDEX fh_outbox_position;"
                          "CREATE UNIQUE INDEX fh_outbox_position ON fh_outbox (position);"
                          "DROP FUNCTION fh_fence(bigint, text, bigint, bigint);"
                          "ALTER TABLE fh_counter DROP COLUMN drawn;"
                          "UPDATE fh_meta SET value = '2' WHERE name = 'format'",
                          &c->error);
    EXPECT(code == FH_OK && conformance_commit(c, work) == FH_OK);
    EXPECT(open_other(c, json_object(), &store) == FH_OK);
    store_close(store);
    EXPECT(conformance_reads(c,
                             "SELECT value, to_regprocedure('fh_fence(bigint,text,bigint,bigint)')"
                             " IS NOT NULL AS fences FROM fh_meta WHERE name = 'format'",
                             "[{'value':'5','fences':true}]"));
    EXPECT(conformance_reads(c,
                             "SELECT count(*) AS n FROM pg_indexes WHERE indexname ="
                             " 'fh_outbox_position' AND schemaname = current_schema()"
                             " AND indexdef LIKE '% WHERE %'",
                             "[{'n':1}]"));
}

static void a_store_of_the_same_format_gets_todays_functions(struct conformance *c)
{
    struct store *store;
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    enum fh_code code =
        postgresql_script(work, "ALTER FUNCTION fh_append RESET plan_cache_mode", &c->error);
    EXPECT(code == FH_OK && conformance_commit(c, work) == FH_OK);
    EXPECT(open_other(c, json_object(), &store) == FH_OK);
    store_close(store);
    EXPECT(conformance_reads(c,
                             "SELECT count(*) AS n FROM pg_proc WHERE proname = 'fh_append'"
                             " AND pronamespace = (SELECT oid FROM pg_namespace WHERE nspname ="
                             " current_schema())"
                             " AND 'plan_cache_mode=force_generic_plan' = ANY (proconfig)",
                             "[{'n':1}]"));
}

/* ---- What the server lets a user do ---- */

/* A store of a user who may do no more than use the case's database and a schema of its own. */
static bool open_as(struct conformance *c, const char *rights, json_t *change, struct store **ret)
{
    char sql[400];
    *ret = NULL;
    snprintf(sql, sizeof sql,
             "DROP SCHEMA IF EXISTS freehold_lost CASCADE; DROP ROLE IF EXISTS freehold_lost;"
             "CREATE ROLE freehold_lost LOGIN PASSWORD 'hunter2' %s;"
             "CREATE SCHEMA freehold_lost AUTHORIZATION freehold_lost",
             rights);
    if (superuser(c, sql) != FH_OK)
        return false;
    json_object_update_new(change, json_pack("{s:s, s:s, s:s}", "user", "freehold_lost", "password",
                                             "hunter2", "schema", "freehold_lost"));
    return open_other(c, change, ret) == FH_OK;
}

static void close_as(struct conformance *c, struct store *store)
{
    if (store)
        store_close(store);
    superuser(c, "DROP SCHEMA IF EXISTS freehold_lost CASCADE; DROP ROLE IF EXISTS freehold_lost");
}

struct hasty {
    struct store *store;
    enum fh_code code;
    struct fh_error error;
};

static void sleep_in_a_work(void *argument)
{
    struct hasty *hasty = argument;
    struct store_work *work;
    int64_t changes;
    hasty->code = store_begin(hasty->store, STORE_WRITE, &work, &hasty->error);
    if (hasty->code != FH_OK)
        return;
    hasty->code =
        sql_run(work, "SELECT pg_sleep(0.02)", NULL, 0, NULL, NULL, &changes, &hasty->error);
    if (hasty->code == FH_OK)
        hasty->code = store_commit(work, &hasty->error);
    else
        store_rollback(work);
}

static void units_of_work_share_the_connections_that_the_server_allows(struct conformance *c)
{
    enum { COUNT = 40 };
    struct store *store;
    struct hasty hasty[COUNT];
    json_t *change = json_pack("{s:i, s:i}", "connections", 8, "idle_ms", PROBLEM_MS);
    bool opened = open_as(c, "CONNECTION LIMIT 3", change, &store);
    for (int i = 0; i < COUNT && opened; i++) {
        hasty[i] = (struct hasty){.store = store};
        conformance_start(c, sleep_in_a_work, &hasty[i]);
    }
    conformance_join(c);
    close_as(c, store);
    EXPECT(opened);
    for (int i = 0; i < COUNT; i++) {
        c->error = hasty[i].error;
        EXPECT(hasty[i].code == FH_OK);
    }
}

static enum fh_code try_work(struct store *store, struct fh_error *error)
{
    struct hasty hasty = {.store = store};
    sleep_in_a_work(&hasty);
    *error = hasty.error;
    return hasty.code;
}

static void a_changed_password_is_reported_and_the_old_one_serves_again(struct conformance *c)
{
    struct store *store;
    struct fh_error refused = {0}, later = {0};
    bool opened = open_as(c, "", json_object(), &store);
    enum fh_code before = opened ? try_work(store, &refused) : FH_UNSUPPORTED;
    superuser(c, "ALTER ROLE freehold_lost PASSWORD 'changed'");
    superuser(c, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                 " WHERE usename = 'freehold_lost'");
    int64_t deadline_ns = world_in_ms(c->harness.world, PROBLEM_MS);
    while (opened && (try_work(store, &refused), strcmp(refused.native, "28P01") != 0) &&
           in_time(c, deadline_ns))
        ;
    superuser(c, "ALTER ROLE freehold_lost PASSWORD 'hunter2'");
    enum fh_code after = FH_UNAVAILABLE;
    while (opened && (after = try_work(store, &later)) != FH_OK && in_time(c, deadline_ns))
        ;
    close_as(c, store);
    EXPECT(opened && before == FH_OK);
    c->error = refused;
    EXPECT(refused.code == FH_UNAVAILABLE && strstr(refused.message, "password"));
    EXPECT(strstr(refused.message, "freehold_lost") && !strstr(refused.message, "hunter2"));
    EXPECT(after == FH_OK);
}

static void a_server_that_takes_no_writes_is_unavailable(struct conformance *c)
{
    struct store *store;
    struct fh_error error = {0};
    bool opened = open_as(c, "", json_object(), &store);
    superuser(c, "ALTER ROLE freehold_lost SET default_transaction_read_only = on");
    superuser(c, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                 " WHERE usename = 'freehold_lost'");
    int64_t deadline_ns = world_in_ms(c->harness.world, PROBLEM_MS);
    enum fh_code code = FH_OK;
    while (opened && in_time(c, deadline_ns) && strcmp(error.native, "25006") != 0)
        code = try_work(store, &error);
    close_as(c, store);
    EXPECT(opened && code == FH_UNAVAILABLE && error.retryable);
}

static bool is_refused(struct conformance *c, const char *rights, const char *word)
{
    struct store *store;
    bool opened = open_as(c, rights, json_object(), &store);
    bool named = strstr(c->error.message, word) != NULL;
    close_as(c, store);
    return !opened && c->error.code == FH_UNSUPPORTED && named;
}

static void settings_that_lose_units_of_work_are_refused_by_name(struct conformance *c)
{
    EXPECT(is_refused(c, "; ALTER ROLE freehold_lost SET synchronous_commit = off",
                      "synchronous_commit=off"));
    struct postgresql_connection *admin = postgresql_administrator(c->harness.world, &c->error);
    EXPECT(admin);
    postgresql_simple(admin, "ALTER SYSTEM SET fsync = off", -1, NULL, NULL, ERROR_UNHEEDED);
    postgresql_simple(admin, "SELECT pg_reload_conf()", -1, NULL, NULL, ERROR_UNHEEDED);
    struct store *store = NULL;
    int64_t deadline_ns = world_in_ms(c->harness.world, PROBLEM_MS);
    enum fh_code code;
    while ((code = open_other(c, json_object(), &store)) == FH_OK && in_time(c, deadline_ns))
        store_close(store);
    struct fh_error refused = c->error;
    postgresql_simple(admin, "ALTER SYSTEM RESET fsync", -1, NULL, NULL, ERROR_UNHEEDED);
    postgresql_simple(admin, "SELECT pg_reload_conf()", -1, NULL, NULL, ERROR_UNHEEDED);
    postgresql_administrator_free(admin);
    EXPECT(code == FH_UNSUPPORTED && strstr(refused.message, "fsync=off"));
    while (superuser(c, "SELECT 1") != FH_OK && in_time(c, deadline_ns))
        ;
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(a_commit_that_never_reached_the_server_is_repeated),
        CASE(a_commit_whose_answer_was_lost_counts),
        CASE(a_commit_that_reaches_the_server_when_all_is_settled_comes_to_nothing),
        CASE(a_commit_that_was_cut_in_two_is_not_waited_for),
        CASE(a_connection_that_can_not_be_made_is_not_waited_for_when_another_is_free),
        CASE(an_instance_that_stands_still_in_an_open_work_holds_nobody_up),
        CASE(positions_that_another_instance_assigns_are_notified),
        CASE(ten_instances_that_open_a_new_store_at_once_find_one),
        CASE(a_store_of_the_former_format_gets_todays_tables),
        CASE(a_store_of_the_same_format_gets_todays_functions),
        CASE(units_of_work_share_the_connections_that_the_server_allows),
        CASE(a_changed_password_is_reported_and_the_old_one_serves_again),
        CASE(a_server_that_takes_no_writes_is_unavailable),
        CASE(settings_that_lose_units_of_work_are_refused_by_name),
        CASE(a_server_that_is_killed_and_comes_back_has_lost_nothing),
    };
    return conformance_main_of("postgresql", FH_RELATIONAL, rows, sizeof rows / sizeof *rows);
}
