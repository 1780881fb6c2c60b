/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the MariaDB engine does when its server, or the link to it, fails: killed, cut off inside
 * COMMIT, out of connections, with another password, with settings that lose data. Run with no
 * other suite at the server.
 */

#include "engine_mariadb.h"
#include "link.h"

#include <signal.h>
#include <stdlib.h>

#include "store/ledger.h"
#include "store/relational/ledger.h"
#include "engine/mariadb/internal.h"

#define RECOVERY_MS 60000
#define OPENERS 10
#define ROUNDS 40

static bool does(struct conformance *c, const char *sql)
{
    return conformance_does(c, sql, NULL) == FH_OK;
}

static void pause_ms(struct conformance *c, int64_t ms)
{
    fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, ms));
}

static bool administer(struct conformance *c, const char *sql)
{
    return mariadb_test_administer(&c->harness, sql, NULL, NULL, &c->error) == FH_OK;
}

/* The case's own store once more, with a changed configuration. Consumes `server`. */
static enum fh_code open_as(struct conformance *c, json_t *server, struct store **ret)
{
    struct store_options options = {
        .service = "conformance", .server = server, .model = FH_RELATIONAL};
    enum fh_code code = engine_mariadb.store->open(&options, c->harness.world, ret, &c->error);
    json_decref(server);
    return code;
}

/* ---- One unit of work through another store ---- */

static enum fh_code run_as(struct store *store, const char *sql, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE, &work, error);
    if (code != FH_OK)
        return code;
    code = sql_run(work, sql, NULL, 0, NULL, NULL, NULL, error);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

/* Others may run meanwhile, with failures of their own. */
static enum fh_code run_in(struct conformance *c, struct store *store, const char *sql)
{
    struct fh_error error = {0};
    enum fh_code code = run_as(store, sql, &error);
    if (code != FH_OK)
        c->error = error;
    return code;
}

/* ---- Killed ---- */

static bool kill_server(struct conformance *c)
{
    json_t *server = mariadb_test_server(&c->harness);
    const char *path = json_string_at(server, "pid_file");
    FILE *file = path ? fopen(path, "r") : NULL;
    int pid = 0;
    bool killed = file && fscanf(file, "%d", &pid) == 1 && kill(pid, SIGKILL) == 0;
    if (file)
        fclose(file);
    json_decref(server);
    return killed;
}

static bool recovers(struct conformance *c, const char *sql)
{
    int64_t until_ns = world_in_ms(c->harness.world, RECOVERY_MS);
    enum fh_code code;
    while ((code = run_in(c, c->store, sql)) == FH_UNAVAILABLE &&
           world_monotonic_ns(c->harness.world) < until_ns)
        pause_ms(c, 20);
    return code == FH_OK;
}

static void
a_server_killed_in_a_unit_of_work_loses_all_of_it_and_is_found_again(struct conformance *c)
{
    EXPECT(does(c, "CREATE TABLE item (id INT PRIMARY KEY)"));
    EXPECT(does(c, "INSERT INTO item VALUES (1)"));
    struct store_work *open = conformance_begin(c, STORE_WRITE);
    struct store_work *snapshot = conformance_begin(c, STORE_READ);
    EXPECT(open && snapshot);
    EXPECT(conformance_exec(c, open, "INSERT INTO item VALUES (2)", NULL) == FH_OK);
    EXPECT(kill_server(c));
    EXPECT(conformance_exec(c, open, "INSERT INTO item VALUES (3)", NULL) == FH_UNAVAILABLE);
    EXPECT(conformance_exec(c, open, "INSERT INTO item VALUES (4)", NULL) == FH_UNAVAILABLE);
    EXPECT(conformance_commit(c, open) == FH_UNAVAILABLE);
    EXPECT(!conformance_rows(c, snapshot, "SELECT id FROM item", NULL));
    EXPECT(c->error.code == FH_UNAVAILABLE);
    conformance_rollback(c, snapshot);
    EXPECT(recovers(c, "INSERT INTO item VALUES (5)"));
    conformance_reads(c, "SELECT id FROM item ORDER BY id", "[{'id':1},{'id':5}]");
}

struct writing {
    struct conformance *c;
    int first, acknowledged[ROUNDS], count;
    bool stop;
};

/* Each number once, whatever happens meanwhile; notes those whose commit was acknowledged. */
static void write_numbers(void *argument)
{
    struct writing *writing = argument;
    struct conformance *c = writing->c;
    char sql[64];
    for (int i = 0; i < ROUNDS; i++) {
        int number = writing->first + i;
        snprintf(sql, sizeof sql, "INSERT INTO number VALUES (%d)", number);
        enum fh_code code;
        int64_t until_ns = world_in_ms(c->harness.world, RECOVERY_MS);
        do {
            code = run_in(c, c->store, sql);
            if (code == FH_UNAVAILABLE)
                pause_ms(c, 10);
        } while ((code == FH_UNAVAILABLE || (code == FH_CONFLICT && c->error.retryable)) &&
                 world_monotonic_ns(c->harness.world) < until_ns);
        if (code == FH_OK)
            writing->acknowledged[writing->count++] = number;
        pause_ms(c, 2);
    }
}

static void what_was_acknowledged_before_a_kill_is_there_once_after_it(struct conformance *c)
{
    enum { WRITERS = 6 };
    struct writing writings[WRITERS];
    EXPECT(does(c, "CREATE TABLE number (n INT PRIMARY KEY)"));
    for (int i = 0; i < WRITERS; i++) {
        writings[i] = (struct writing){.c = c, .first = i * 1000};
        conformance_start(c, write_numbers, &writings[i]);
    }
    pause_ms(c, 60);
    EXPECT(kill_server(c));
    conformance_join(c);
    int acknowledged = 0;
    for (int i = 0; i < WRITERS; i++)
        acknowledged += writings[i].count;
    char text[64];
    snprintf(text, sizeof text, "[{'n':%d}]", acknowledged);
    EXPECT(acknowledged == WRITERS * ROUNDS);
    conformance_reads(c, "SELECT count(*) AS n FROM number", text);
}

static void a_store_opens_when_its_server_is_only_starting(struct conformance *c)
{
    EXPECT(does(c, "CREATE TABLE item (id INT PRIMARY KEY)"));
    EXPECT(kill_server(c));
    struct store *again = NULL;
    EXPECT(open_as(c, mariadb_test_server(&c->harness), &again) == FH_OK);
    bool same = strcmp(again->incarnation, c->store->incarnation) == 0;
    enum fh_code code = run_in(c, again, "INSERT INTO item VALUES (1)");
    store_close(again);
    EXPECT(same);
    EXPECT(code == FH_OK);
}

static void a_link_that_the_server_ended_while_idle_is_replaced_unseen(struct conformance *c)
{
    EXPECT(does(c, "CREATE TABLE item (id INT PRIMARY KEY)"));
    char sql[256];
    json_t *server = mariadb_test_server(&c->harness);
    for (int i = 0; i < 2; i++) {
        snprintf(sql, sizeof sql,
                 "BEGIN NOT ATOMIC FOR one IN (SELECT id FROM information_schema.processlist WHERE"
                 " db = '%s') DO KILL CONNECTION one.id; END FOR; END",
                 json_string_at(server, "database"));
        uint64_t losses = c->store->losses;
        bool killed = administer(c, sql);
        if (!killed)
            break;
        if (i == 0)
            pause_ms(c, 20); /* only the first time may it be noticed before */
        EXPECT(run_in(c, c->store,
                      i ? "INSERT INTO item VALUES (2)" : "INSERT INTO item VALUES (1)") == FH_OK);
        EXPECT(c->store->losses > losses);
        conformance_reads(c, "SELECT count(*) >= 1 AS some FROM item", "[{'some':1}]");
    }
    json_decref(server);
    conformance_reads(c, "SELECT id FROM item ORDER BY id", "[{'id':1},{'id':2}]");
}

/* ---- Inside COMMIT ---- */

/* A unit of work of one statement over a link that is cut at its COMMIT; its rows afterwards. */
static void cut_inside_commit_of(struct conformance *c, const char *sql, enum link_cut how,
                                 enum fh_code wanted, const char *rows)
{
    struct link link;
    struct store *store = NULL;
    json_t *server = mariadb_test_server(&c->harness);
    json_int_t port = json_integer_value(json_object_get(server, "port"));
    EXPECT(link_open(&link, c->harness.world, (int)port, "COMMIT"));
    json_object_set_new(server, "port", json_integer(link.port));
    json_object_set_new(server, "host", json_string("127.0.0.1"));
    EXPECT(link_used(&link, open_as(c, server, &store) == FH_OK));
    enum fh_code before = run_in(c, store, "INSERT INTO item VALUES (1)");
    link.next = how;
    enum fh_code code = run_in(c, store, sql);
    bool retryable = c->error.retryable;
    if (how == LINK_HELD && link.next == LINK_WHOLE)
        link_release(&link);
    enum fh_code after = run_in(c, store, "INSERT INTO item VALUES (3)");
    store_close(store);
    link_close(&link);
    EXPECT(before == FH_OK);
    EXPECT(code == wanted && (code == FH_OK || retryable));
    EXPECT(after == FH_OK);
    conformance_reads(c, "SELECT id FROM item ORDER BY id", rows);
}

static void cut_inside_commit(struct conformance *c, enum link_cut how, enum fh_code wanted,
                              const char *rows)
{
    EXPECT(does(c, "CREATE TABLE item (id INT PRIMARY KEY)"));
    cut_inside_commit_of(c, "INSERT INTO item VALUES (2)", how, wanted, rows);
}

/* What a function writes is not to be seen in the SELECT that calls it. */
static void a_work_that_writes_in_a_function_is_done_once(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_MIGRATE);
    EXPECT(work);
    EXPECT(
        c->store->engine->sql->script(work,
                                      "CREATE TABLE item (id INT AUTO_INCREMENT PRIMARY KEY);"
                                      "CREATE FUNCTION add_item () RETURNS INT MODIFIES SQL DATA\n"
                                      "BEGIN\n INSERT INTO item VALUES (NULL);\n RETURN 1;\nEND;",
                                      &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    cut_inside_commit_of(c, "SELECT add_item()", LINK_CUT_AFTER, FH_OK,
                         "[{'id':1},{'id':2},{'id':3}]");
}

/* Schedule 23 */
static void a_work_whose_commit_was_answered_to_nobody_is_done(struct conformance *c)
{
    cut_inside_commit(c, LINK_CUT_AFTER, FH_OK, "[{'id':1},{'id':2},{'id':3}]");
}

static void a_unit_of_work_whose_commit_never_arrived_is_rerun(struct conformance *c)
{
    cut_inside_commit(c, LINK_CUT_BEFORE, FH_CONFLICT, "[{'id':1},{'id':3}]");
}

/* Schedule 23 */
static void a_commit_that_arrives_once_it_was_settled_does_nothing(struct conformance *c)
{
    cut_inside_commit(c, LINK_HELD, FH_CONFLICT, "[{'id':1},{'id':3}]");
}

/* ---- Left open ---- */

/* Schedule 37 */
static void the_server_ends_a_work_that_a_stopped_process_left_open(struct conformance *c)
{
    EXPECT(does(c, "CREATE TABLE item (id INT PRIMARY KEY, n INT)"));
    EXPECT(does(c, "INSERT INTO item VALUES (1, 0)"));
    struct store_work *left = conformance_begin(c, STORE_WRITE);
    EXPECT(left);
    EXPECT(conformance_exec(c, left, "UPDATE item SET n = 1", NULL) == FH_OK);
    EXPECT(run_in(c, c->store, "UPDATE item SET n = n + 10") == FH_OK); /* once the lock is free */
    EXPECT(conformance_exec(c, left, "UPDATE item SET n = 2", NULL) == FH_CONFLICT);
    EXPECT(conformance_commit(c, left) == FH_CONFLICT && c->error.retryable);
    conformance_reads(c, "SELECT n FROM item", "[{'n':10}]");
}

static bool migrations_lock_is_free(struct conformance *c)
{
    int64_t is_free = 0;
    struct store_work *work = conformance_begin(c, STORE_READ);
    if (!work)
        return false;
    enum fh_code code = ledger_integer(work, "SELECT IS_FREE_LOCK(CONCAT('fh.', MD5(DATABASE())))",
                                       NULL, 0, &is_free, &c->error);
    conformance_rollback(c, work);
    return code == FH_OK && is_free;
}

/* Schedule 37 */
static void
a_migration_that_a_stopped_process_left_open_keeps_nobody_from_the_next(struct conformance *c)
{
    struct store_work *left = conformance_begin(c, STORE_MIGRATE);
    EXPECT(left);
    bool was_free = migrations_lock_is_free(c), is_free = was_free;
    for (int waited_ms = 0; waited_ms < RECOVERY_MS && !is_free; waited_ms += 100) {
        pause_ms(c, 100);
        is_free = migrations_lock_is_free(c);
    }
    conformance_rollback(c, left);
    EXPECT(!was_free);
    EXPECT(is_free);
}

/* ---- Limits and settings ---- */

/* A user of the case's own database, named after it. */
static bool make_user(struct conformance *c, const char *options, char name[64])
{
    char sql[512];
    json_t *server = mariadb_test_server(&c->harness);
    const char *database = json_string_at(server, "database");
    snprintf(name, 64, "user_%s", database + strlen("freehold_test_"));
    snprintf(sql, sizeof sql,
             "CREATE USER '%s'@'%%' IDENTIFIED BY 'first' %s; GRANT ALL ON %s.* TO '%s'@'%%'", name,
             options, database, name);
    json_decref(server);
    return administer(c, sql);
}

static bool drop_user(struct conformance *c, const char *name)
{
    char sql[128];
    snprintf(sql, sizeof sql, "DROP USER '%s'@'%%'", name);
    return administer(c, sql);
}

static json_t *server_as(struct conformance *c, const char *user, const char *password)
{
    json_t *server = mariadb_test_server(&c->harness);
    json_object_set_new(server, "user", json_string(user));
    json_object_set_new(server, "password", json_string(password));
    return server;
}

struct one_work {
    struct conformance *c;
    struct store *store;
    int id;
    enum fh_code code;
};

static void work_a_while(void *argument)
{
    struct one_work *one = argument;
    struct conformance *c = one->c;
    char sql[64];
    struct store_work *work;
    one->code = store_begin(one->store, STORE_WRITE, &work, &c->error);
    if (one->code != FH_OK)
        return;
    snprintf(sql, sizeof sql, "INSERT INTO item VALUES (%d)", one->id);
    one->code = sql_run(work, sql, NULL, 0, NULL, NULL, NULL, &c->error);
    pause_ms(c, 5);
    if (one->code == FH_OK)
        one->code = store_commit(work, &c->error);
    else
        store_rollback(work);
}

static void a_server_that_allows_few_connections_is_used_with_those(struct conformance *c)
{
    char name[64];
    struct store *store = NULL;
    struct one_work works[16];
    EXPECT(does(c, "CREATE TABLE item (id INT PRIMARY KEY)"));
    EXPECT(make_user(c, "WITH MAX_USER_CONNECTIONS 3", name));
    EXPECT(open_as(c, server_as(c, name, "first"), &store) == FH_OK);
    for (int i = 0; i < 16; i++) {
        works[i] = (struct one_work){.c = c, .store = store, .id = i};
        conformance_start(c, work_a_while, &works[i]);
    }
    conformance_join(c);
    store_close(store);
    EXPECT(drop_user(c, name));
    for (int i = 0; i < 16; i++)
        EXPECT(works[i].code == FH_OK);
    conformance_reads(c, "SELECT count(*) AS n FROM item", "[{'n':16}]");
}

static void a_changed_password_is_reported_and_open_links_go_on(struct conformance *c)
{
    char name[64], sql[128];
    struct store *store = NULL, *other = NULL;
    EXPECT(does(c, "CREATE TABLE item (id INT PRIMARY KEY)"));
    EXPECT(make_user(c, "", name));
    EXPECT(open_as(c, server_as(c, name, "first"), &store) == FH_OK);
    EXPECT(run_in(c, store, "INSERT INTO item VALUES (1)") == FH_OK);
    snprintf(sql, sizeof sql, "ALTER USER '%s'@'%%' IDENTIFIED BY 'second'", name);
    EXPECT(administer(c, sql));
    enum fh_code going_on = run_in(c, store, "INSERT INTO item VALUES (2)");
    int64_t before_ns = world_monotonic_ns(c->harness.world);
    enum fh_code refused = open_as(c, server_as(c, name, "first"), &other);
    bool at_once = world_monotonic_ns(c->harness.world) - before_ns < 5000000000;
    bool told = strstr(c->error.message, name) && !strstr(c->error.message, "first");
    enum fh_code taken = open_as(c, server_as(c, name, "second"), &other);
    store_close(store);
    if (other)
        store_close(other);
    EXPECT(drop_user(c, name));
    EXPECT(going_on == FH_OK && taken == FH_OK);
    EXPECT(refused == FH_UNAVAILABLE && at_once && told);
}

static void a_server_that_could_lose_what_it_acknowledged_is_refused(struct conformance *c)
{
    struct store *store = NULL;
    /* Every new link is refused then, even the superuser's: an existing one resets it. */
    const struct sql_ops *sql = c->store->engine->sql;
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(sql->script(work, "SET GLOBAL innodb_flush_log_at_trx_commit = 2", &c->error) == FH_OK);
    enum fh_code code = open_as(c, mariadb_test_server(&c->harness), &store);
    bool named = strstr(c->error.message, "innodb_flush_log_at_trx_commit is 2");
    EXPECT(sql->script(work, "SET GLOBAL innodb_flush_log_at_trx_commit = 1", &c->error) == FH_OK);
    conformance_rollback(c, work);
    EXPECT(code == FH_UNSUPPORTED && named);
    EXPECT(does(c, "CREATE TABLE loose (id INT PRIMARY KEY) ENGINE = MyISAM"));
    EXPECT(open_as(c, mariadb_test_server(&c->harness), &store) == FH_UNSUPPORTED);
    EXPECT(strstr(c->error.message, "loose"));
}

/* ---- Concurrently ---- */

struct opening {
    struct conformance *c;
    json_t *server;
    struct store *store;
    struct fh_error error;
    enum fh_code code;
};

static void open_one(void *argument)
{
    struct opening *opening = argument;
    struct store_options options = {
        .service = "conformance", .server = opening->server, .model = FH_RELATIONAL};
    opening->code = engine_mariadb.store->open(&options, opening->c->harness.world, &opening->store,
                                               &opening->error);
}

static void ten_processes_that_open_a_new_store_create_it_once(struct conformance *c)
{
    struct opening openings[OPENERS] = {0};
    char sql[160];
    json_t *server = mariadb_test_server(&c->harness);
    const char *database = json_string_at(server, "database");
    snprintf(sql, sizeof sql, "DROP DATABASE %s; CREATE DATABASE %s", database, database);
    EXPECT(administer(c, sql));
    for (int i = 0; i < OPENERS; i++) {
        openings[i].c = c;
        openings[i].server = server;
        conformance_start(c, open_one, &openings[i]);
    }
    conformance_join(c);
    bool same = true;
    char incarnation[ID_SIZE] = "";
    for (int i = 0; i < OPENERS; i++) {
        if (i == 0 && openings[i].code == FH_OK)
            memcpy(incarnation, openings[i].store->incarnation, sizeof incarnation);
        same = same && openings[i].code == FH_OK &&
               strcmp(openings[i].store->incarnation, incarnation) == 0;
        if (openings[i].code != FH_OK)
            c->error = openings[i].error;
        if (openings[i].store)
            store_close(openings[i].store);
    }
    json_decref(server);
    EXPECT(same);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(a_server_killed_in_a_unit_of_work_loses_all_of_it_and_is_found_again),
        CASE(what_was_acknowledged_before_a_kill_is_there_once_after_it),
        CASE(a_store_opens_when_its_server_is_only_starting),
        CASE(a_link_that_the_server_ended_while_idle_is_replaced_unseen),
        CASE(a_work_whose_commit_was_answered_to_nobody_is_done),
        CASE(a_unit_of_work_whose_commit_never_arrived_is_rerun),
        CASE(a_work_that_writes_in_a_function_is_done_once),
        CASE(a_commit_that_arrives_once_it_was_settled_does_nothing),
        CASE(the_server_ends_a_work_that_a_stopped_process_left_open),
        CASE(a_migration_that_a_stopped_process_left_open_keeps_nobody_from_the_next),
        CASE(a_server_that_allows_few_connections_is_used_with_those),
        CASE(a_changed_password_is_reported_and_open_links_go_on),
        CASE(a_server_that_could_lose_what_it_acknowledged_is_refused),
        CASE(ten_processes_that_open_a_new_store_create_it_once),
    };
    return conformance_main_of("mariadb", FH_RELATIONAL, rows, sizeof rows / sizeof *rows);
}
