/* SPDX-License-Identifier: Apache-2.0 */
/* Where stores are: what the system file may say of servers, and where it is wrong. The programs of
 * PostgreSQL and MariaDB need not be installed: what would run them has a host here, or says so. */

#define _GNU_SOURCE
#include "../support/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "engine/engines.h"
#include "system/file/file.h"
#include "store/server.h"

struct fixture {
    char path[64];
    struct findings findings;
    struct system_file *file;
};

static void read_text(struct fixture *fixture, const char *text, const char *profile)
{
    *fixture = (struct fixture){.path = "/tmp/system-servers-XXXXXX"};
    json_memory_init();
    int fd = mkstemp(fixture->path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    fixture->file = system_file_read(fixture->path, profile, &fixture->findings);
}

static void release(struct fixture *fixture)
{
    unlink(fixture->path);
    system_file_free(fixture->file);
    findings_release(&fixture->findings);
}

static void need_engine(void)
{
    if (!server_kind("postgresql"))
        SKIP_BECAUSE("PostgreSQL is not built in");
}

#define MAIN                                                                                       \
    "servers:\n  main: {engine: postgresql, host: db.example, user: admin, password: secret}\n"

/* A finding contains these words; `rest` follows a system whose orders are on PostgreSQL. */
static void assert_refused(const char *store, const char *rest, const char *words)
{
    struct fixture fixture;
    char text[1024];
    bool found = false;
    snprintf(text, sizeof text,
             "system: mini\nservices:\n  orders: {engine: postgresql%s%s}\n  users: {}\n%s",
             *store ? ", store: " : "", store, rest);
    read_text(&fixture, text, NULL);
    assert_null(fixture.file);
    for (size_t i = 0; i < fixture.findings.count; i++)
        found |= strstr(fixture.findings.items[i].message, words) != NULL;
    if (!found)
        print_message("%s\n", fixture.findings.items[0].message);
    assert_true(found);
    release(&fixture);
}

static void a_store_may_be_on_a_server_that_is_there_already(void **state)
{
    (void)state;
    need_engine();
    struct fixture fixture;
    setenv("SERVERS_TEST_PASSWORD", "secret", 1);
    read_text(&fixture,
              "system: mini\n"
              "services:\n"
              "  orders: {engine: postgresql, store: {server: main, connections: 4, "
              "statement_timeout_ms: 5000}}\n"
              "  users: {}\n"
              "servers:\n"
              "  main:\n"
              "    engine: postgresql\n"
              "    host: db.example\n"
              "    port: 5433\n"
              "    user: admin\n"
              "    password: ${SERVERS_TEST_PASSWORD}\n"
              "    tls: {ca: /etc/ca.pem}\n",
              NULL);
    assert_non_null(fixture.file);
    const struct system_server *server = system_file_server(fixture.file, "main");
    assert_non_null(server);
    assert_true(server->used);
    assert_string_equal(server->address.host, "db.example");
    assert_int_equal(server->address.port, 5433);
    assert_string_equal(server->address.password, "secret");
    assert_string_equal(json_string_at(server->address.tls, "mode"), "verify");
    const struct system_service *orders = system_file_service(fixture.file, "orders");
    assert_string_equal(orders->store.server, "main");
    assert_int_equal(orders->store.connections, 4);
    assert_int_equal(orders->store.statement_timeout_ms, 5000);
    /* The password is for its server alone: no process inherits it. */
    assert_int_equal(fixture.file->variable_count, 1);
    release(&fixture);
}

static void a_store_may_be_given_as_it_is(void **state)
{
    (void)state;
    need_engine();
    struct fixture fixture;
    read_text(&fixture,
              "system: mini\nservices:\n"
              "  orders: {engine: postgresql, store: {host: db, database: o, user: u, password: p, "
              "schema: s, reports: {user: r, password: q}}}\n",
              NULL);
    assert_non_null(fixture.file);
    const struct system_store *store = &fixture.file->services[0].store;
    assert_null(store->server);
    assert_string_equal(store->address.host, "db");
    assert_string_equal(store->database, "o");
    assert_string_equal(store->schema, "s");
    assert_string_equal(store->reports.user, "r");
    assert_string_equal(store->reports.password, "q");
    assert_int_equal(store->connections, SYSTEM_CONNECTIONS_DEFAULT);
    assert_int_equal(fixture.file->server_count, 0);
    release(&fixture);
}

static void a_server_that_the_profile_does_not_use_needs_no_environment(void **state)
{
    (void)state;
    need_engine();
    static const char text[] =
        "system: mini\nservices:\n  orders: {}\n"
        "profiles:\n  big:\n    orders: {engine: postgresql, store: {server: main}}\n"
        "servers:\n  main: {engine: postgresql, host: h, user: u, password: "
        "'${SERVERS_TEST_NOT_SET}'}\n";
    struct fixture fixture;
    read_text(&fixture, text, NULL);
    assert_non_null(fixture.file);
    assert_false(fixture.file->servers[0].used);
    release(&fixture);
    read_text(&fixture, text, "big");
    assert_null(fixture.file);
    assert_non_null(strstr(fixture.findings.items[0].message, "SERVERS_TEST_NOT_SET"));
    release(&fixture);
}

static void a_profile_that_moves_a_service_does_not_keep_it_where_it_was(void **state)
{
    (void)state;
    need_engine();
    struct fixture fixture;
    read_text(
        &fixture,
        "system: mini\nservices:\n  orders: {engine: postgresql, store: {server: main}}\n" MAIN
        "profiles:\n  small:\n    orders: {engine: sqlite}\n",
        "small");
    assert_non_null(fixture.file);
    assert_null(fixture.file->services[0].store.server);
    assert_false(fixture.file->servers[0].used);
    release(&fixture);
}

static void what_is_wrong_with_a_store_is_reported(void **state)
{
    (void)state;
    need_engine();
    assert_refused("{server: mian}", MAIN, "the file has no server 'mian'; did you mean 'main'?");
    assert_refused("{server: main}", "servers:\n  main: {engine: nothing}\n",
                   "'nothing' is not an engine with servers that this freehold knows");
    assert_refused("{host: db}", "", "it needs database, user and password too");
    assert_refused("{server: main, host: db, database: d, user: u, password: p}", MAIN,
                   "is either on a server of this file or at a host");
    assert_refused("{server: main, user: u}", MAIN, "its address and names are made by freehold");
    assert_refused("{server: main, connections: 0}", MAIN, "expected a whole number from 1 to 64");
    assert_refused("{server: main, statement_timeout_ms: 0}", MAIN,
                   "expected a whole number from 1 to 86400000");
    assert_refused("{host: db, tls: {mode: maybe}}", "",
                   "expected 'verify' (the default) or 'off'");
    assert_refused("{host: db, tls: {ca: here.pem}}", "", "must be an absolute path");
}

static void what_is_wrong_with_a_server_is_reported(void **state)
{
    (void)state;
    need_engine();
    assert_refused("{server: main}", "servers:\n  main: {engine: postgresql, host: db}\n",
                   "it needs a user who may make databases and users, and his password");
    assert_refused("{server: main}", "servers:\n  main: {engine: postgresql, port: 1}\n",
                   "without a host it is a private server");
    assert_refused("{server: users}", "servers:\n  users: {engine: postgresql}\n",
                   "a server can't have the name of a service, 'users'");
    assert_refused("{server: main}", "servers:\n  main: {engine: postgresql, layout: tables}\n",
                   "expected 'databases' (the default) or 'schemas'");
    assert_refused("{server: main}",
                   "servers:\n  main: {engine: postgresql, host: h, user: u, password: p, "
                   "settings: {work_mem: 1}}\n",
                   "its settings are not freehold's to choose");
    if (server_kind("mariadb")) {
        assert_refused("{server: main}",
                       "servers:\n  main: {engine: mariadb, host: h, user: u, password: p}\n",
                       "orders has the engine postgresql, and its server 'main' is mariadb");
        assert_refused("{server: main}", "servers:\n  main: {engine: mariadb, layout: schemas}\n",
                       "mariadb has no schemas inside a database");
    }
}

static void an_embedded_store_is_on_no_server(void **state)
{
    (void)state;
    need_engine();
    struct fixture fixture;
    read_text(&fixture, "system: mini\nservices:\n  users: {store: {server: main}}\n" MAIN, NULL);
    assert_null(fixture.file);
    assert_non_null(
        strstr(fixture.findings.items[0].message, "sqlite is embedded, it has no server"));
    release(&fixture);
}

static void refuse_mongodb(const char *service, const char *servers, const char *expected)
{
    struct fixture fixture;
    char text[512];
    snprintf(text, sizeof text, "system: mini\nservices:\n  orders: {engine: mongodb%s}\n%s",
             service, servers);
    read_text(&fixture, text, NULL);
    assert_null(fixture.file);
    assert_non_null(strstr(fixture.findings.items[0].message, expected));
    release(&fixture);
}

static void a_store_on_mongodb_may_have_no_user(void **state)
{
    (void)state;
    struct fixture fixture;
    if (!server_kind("mongodb"))
        SKIP_BECAUSE("MongoDB is not built in");
    refuse_mongodb(", store: {host: db}", "", "it needs database, user and password too");
    refuse_mongodb(", store: {host: db, database: o, user: u}", "", "user and password too");
    setenv("PATH", "/nowhere", 1);
    refuse_mongodb("", "", "mongodb is not installed: put FerretDB 1.x's ferretdb on the PATH, or");
    read_text(&fixture,
              "system: mini\nservices:\n"
              "  orders: {engine: mongodb, store: {host: db, database: o}}\n",
              NULL);
    assert_non_null(fixture.file); /* a server without access control has no users */
    release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_on_mongodb_may_have_no_user),
        cmocka_unit_test(a_store_may_be_on_a_server_that_is_there_already),
        cmocka_unit_test(a_store_may_be_given_as_it_is),
        cmocka_unit_test(a_server_that_the_profile_does_not_use_needs_no_environment),
        cmocka_unit_test(a_profile_that_moves_a_service_does_not_keep_it_where_it_was),
        cmocka_unit_test(what_is_wrong_with_a_store_is_reported),
        cmocka_unit_test(what_is_wrong_with_a_server_is_reported),
        cmocka_unit_test(an_embedded_store_is_on_no_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
