/* SPDX-License-Identifier: Apache-2.0 */
/* Which derived stores lie on servers: what the system file may say of it, where it is wrong, and
 * what a service is told. */

#define _GNU_SOURCE
#include "../support/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "carrier/driver.h"
#include "engine/engines.h"
#include "store/server.h"
#include "system/check/own.h"
#include "system/file/file.h"
#include "system/servers/derives.h"

/* ---- A driver ---- */

static enum fh_code check_shelf(const json_t *options, struct fh_error *error)
{
    return json_object_get(options, "boards") &&
                   !json_is_integer(json_object_get(options, "boards"))
               ? error_set(error, FH_INVALID, "The option boards is a number.")
               : FH_OK;
}

static enum fh_code open_shelf(struct world *world, const json_t *options, const char *owner,
                               struct carried_server **ret, struct fh_error *error)
{
    (void)world;
    (void)options;
    (void)owner;
    *ret = NULL;
    return error_set(error, FH_UNSUPPORTED, "It is never opened here.");
}

static void end_shelf(struct carried_server *server)
{
    (void)server;
}

static const char *shelf_programs(struct arena *arena)
{
    (void)arena;
    return getenv("NO_SHELF_HERE") ? NULL : "/nowhere";
}

static const struct server_kind shelf_server = {
    .engine = "shelf", .install = "take a plank", .port = 9321, .programs = shelf_programs};

static const struct carried_driver rack = {.name = "rack",
                                           .title = "The rack",
                                           .port = 9322,
                                           .models = 1u << FH_SEARCH,
                                           .server = &shelf_server,
                                           .check = check_shelf,
                                           .open = open_shelf,
                                           .silence = end_shelf,
                                           .close = end_shelf};

static struct carried_driver shelf = {.name = "shelf",
                                      .title = "The shelf",
                                      .models = 1u << FH_SEARCH | 1u << FH_COLUMNS,
                                      .port = 9321,
                                      .options = "boards depth",
                                      .check = check_shelf,
                                      .open = open_shelf,
                                      .silence = end_shelf,
                                      .close = end_shelf};

/* ---- A file ---- */

struct fixture {
    char path[64];
    struct findings findings;
    struct system_file *file;
};

static void read_text(struct fixture *fixture, const char *text, const char *profile)
{
    *fixture = (struct fixture){.path = "/tmp/system-derives-XXXXXX"};
    json_memory_init();
    if (!carried_driver_named("shelf")) {
        carried_driver_register(&shelf);
        carried_driver_register(&rack);
    }
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

static void assert_finding(const struct findings *findings, const char *words)
{
    for (size_t i = 0; i < findings->count; i++) {
        if (strstr(findings->items[i].message, words))
            return;
    }
    fail_msg("%zu findings, none with: %s; the first: %s", findings->count, words,
             findings->count ? findings->items[0].message : "");
}

#define SYSTEM(derives, servers)                                                                   \
    "system: mini\nservices:\n  search: {derives: " derives "}\n  orders: {}\nservers:\n" servers

#define FOUND "  found: {derived: shelf, host: shelf.example, user: u, password: p}\n"

static void a_derived_store_lies_where_the_file_says(void **state)
{
    (void)state;
    struct fixture fixture;
    read_text(&fixture,
              SYSTEM("{items: {server: found}, words: {server: found}}",
                     "  found: {derived: shelf, host: shelf.example, options: {boards: 3}}\n"
                     "  other: {derived: shelf, host: other.example, user: u, password: "
                     "\"${UNSET_HERE}\"}\n"),
              NULL);
    assert_non_null(fixture.file);
    const struct system_service *search = system_file_service(fixture.file, "search");
    assert_int_equal(search->derives_count, 2);
    assert_string_equal(search->derives[0].name, "items");
    assert_string_equal(search->derives[1].server, "found");
    assert_true(system_file_server(fixture.file, "found")->used);
    assert_false(system_file_server(fixture.file, "other")->used);
    assert_int_equal(system_file_service(fixture.file, "orders")->derives_count, 0);
    release(&fixture);
}

static void a_profile_replaces_all_of_it(void **state)
{
    static const char text[] =
        SYSTEM("{items: {server: found}}",
               FOUND) "profiles:\n"
                      "  bare: {search: {derives: {}}}\n"
                      "  wrong: {search: {derives: {items: {server: fond}}}}\n";
    (void)state;
    struct fixture fixture;
    read_text(&fixture, text, NULL);
    assert_finding(&fixture.findings, "services.search.derives.items: the file has no server "
                                      "'fond'; did you mean 'found'?");
    release(&fixture);
    char right[sizeof text];
    snprintf(right, sizeof right, "%.*s", (int)(strstr(text, "  wrong") - text), text);
    read_text(&fixture, right, "bare");
    assert_non_null(fixture.file);
    assert_int_equal(system_file_service(fixture.file, "search")->derives_count, 0);
    assert_false(system_file_server(fixture.file, "found")->used);
    release(&fixture);
}

static void what_can_t_be_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {SYSTEM("{items: {server: nowhere}}", FOUND), "the file has no server 'nowhere'"},
        {SYSTEM("{items: {}}", FOUND), "server"},
        {SYSTEM("{items: {server: found, shards: 3}}", FOUND), "shards"},
        {SYSTEM("{items: {server: found}}", "  found: {derived: shelv, host: h}\n"),
         "did you mean 'shelf'?"},
        {SYSTEM("{items: {server: found}}", "  found: {derived: shelf}\n"),
         "name one that is there"},
        {SYSTEM("{items: {server: found}}", "  found: {derived: shelf, host: /run/shelf}\n"),
         "is a path"},
        {SYSTEM("{items: {server: found}}", "  found: {derived: shelf, host: h, user: u}\n"),
         "needs a password"},
        {SYSTEM("{items: {server: found}}", "  found: {derived: shelf, host: h, token: t}\n"),
         "which has options"},
        {SYSTEM("{items: {server: found}}",
                "  found: {derived: shelf, host: h, options: {height: 2}}\n"),
         "has no option 'height'; expected one of: boards depth"},
        {SYSTEM("{items: {server: found}}",
                "  found: {derived: shelf, host: h, options: {boards: two}}\n"),
         "The option boards is a number"},
        {SYSTEM("{items: {server: found}}", "  found: {host: h}\n"),
         "derived (for what is derived)"},
        {SYSTEM("{items: {server: found}}", "  found: {derived: \"${EMPTY_HERE}\", host: h}\n"),
         "there is no server of derived stores of this name"},
        {SYSTEM("{items: {server: found}}", FOUND) "bus: found\n",
         "the server 'found' is for derived stores; a bus is a broker"},
        {SYSTEM("{items: {server: events}}", "  events: {broker: nats, host: h}\n"),
         "the server 'events' is a broker, nats; derived stores lie on one with `derived`"},
        {"system: mini\nservices:\n  orders: {engine: postgresql, store: {server: found}}\n"
         "servers:\n" FOUND,
         "no store can be on it"},
    };
    (void)state;
    setenv("EMPTY_HERE", "", 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture fixture;
        if (strstr(cases[i].text, "postgresql") && !server_kind("postgresql"))
            continue;
        read_text(&fixture, cases[i].text, NULL);
        assert_null(fixture.file);
        assert_finding(&fixture.findings, cases[i].words);
        for (size_t j = 0; j < fixture.findings.count; j++)
            assert_true(fixture.findings.items[j].place.line > 0);
        release(&fixture);
    }
}

static void other_servers_are_not_for_what_is_derived(void **state)
{
    (void)state;
    struct fixture fixture;
    if (!server_kind("postgresql"))
        SKIP_BECAUSE("PostgreSQL is not built in");
    read_text(&fixture,
              SYSTEM("{items: {server: main}}",
                     "  main: {engine: postgresql, host: h, user: u, password: p}\n"),
              NULL);
    assert_finding(&fixture.findings, "is a database server, postgresql");
    release(&fixture);
    read_text(&fixture,
              SYSTEM("{items: {server: both}}",
                     "  both: {engine: postgresql, derived: shelf, host: h, user: u, "
                     "password: p}\n"),
              NULL);
    assert_finding(&fixture.findings, "expected one of engine, broker and derived");
    release(&fixture);
}

/* ---- What the program declares ---- */

static void judge(struct fixture *fixture, const char *derives, const char *engine)
{
    char text[256];
    snprintf(text, sizeof text, SYSTEM("%s", FOUND), derives);
    read_text(fixture, text, NULL);
    assert_non_null(fixture->file);
    struct system_service *search = system_file_service(fixture->file, "search");
    search->description = json_pack(
        "{s:s, s:[{s:s, s:s, s:b}, {s:s, s:s, s:b}, {s:s, s:s, s:b}, {s:s, s:s, s:b},"
        " {s:s, s:s, s:i, s:[{s:i}]}]}",
        "model", strcmp(engine, "sqlite") == 0 ? "relational" : "keyvalue", "derives", "name",
        "items", "model", "search", "state", 1, "name", "bare", "model", "search", "state", 0,
        "name", "measured", "model", "series", "state", 0, "name", "sold", "model", "columns",
        "state", 0, "name", "rolled", "model", "columns", "state", 0, "rollups", "every_ms", 60000);
    search->engine = engine;
    own_check(fixture->file, search, &fixture->findings);
}

static void what_the_program_declares_otherwise_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    judge(&fixture, "{items: {server: found}}", "sqlite");
    assert_int_equal(fixture.findings.errors, 0);
    release(&fixture);
    judge(&fixture, "{item: {server: found}}", "sqlite");
    assert_finding(&fixture.findings, "declares no derived store 'item'; did you mean 'items'?");
    release(&fixture);
    judge(&fixture, "{bare: {server: found}}", "sqlite");
    assert_finding(&fixture.findings, "needs a `state`");
    release(&fixture);
    judge(&fixture, "{measured: {server: found}}", "sqlite");
    assert_finding(&fixture.findings,
                   "The shelf holds FH_SEARCH and FH_COLUMNS; measured is an FH_SERIES");
    release(&fixture);
    judge(&fixture, "{rolled: {server: found}}", "sqlite");
    assert_int_equal(fixture.findings.errors, 0);
    release(&fixture);
    judge(&fixture, "{sold: {server: found}}", "sqlite");
    assert_int_equal(fixture.findings.errors, 0);
    release(&fixture);
}

static void what_a_server_can_t_keep_alone_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    judge(&fixture, "{sold: {server: found, kept: true}}", "sqlite");
    assert_finding(&fixture.findings, "services.search.derives.sold.kept: its server can't be the "
                                      "only one to have it: The shelf has no names for facts");
    release(&fixture);
    shelf.keeps = 1u << FH_COLUMNS;
    judge(&fixture, "{sold: {server: found, kept: true}}", "sqlite");
    assert_int_equal(fixture.findings.errors, 0);
    release(&fixture);
    judge(&fixture, "{items: {server: found, kept: true}}", "sqlite");
    assert_finding(&fixture.findings, "is made of the service's own rows");
    release(&fixture);
    judge(&fixture, "{measured: {server: found, kept: true}}", "sqlite");
    assert_finding(&fixture.findings,
                   "could not tell what a restored service corrects from what was there before");
    release(&fixture);
    shelf.keeps = 0;
    read_text(&fixture, SYSTEM("{sold: {kept: true}}", FOUND), NULL); /* in the own store */
    assert_finding(&fixture.findings, "server");
    release(&fixture);
}

static void what_an_engine_can_t_have_in_its_own_stores_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    if (!engine_named("redis"))
        SKIP_BECAUSE("Redis is not built in");
    judge(&fixture, "{items: {server: found}}", "redis");
    assert_finding(&fixture.findings, "a store of Redis can't have any: expected sqlite, or on a "
                                      "server an FH_SEARCH");
    release(&fixture);
}

/* ---- Private servers ---- */

static void a_private_server_serves_one_service(void **state)
{
    static const char text[] =
        "system: mini\nservices:\n  search: {derives: {items: {server: own}, words: {server: "
        "own}}}\n"
        "  orders: {derives: {days: {server: %s}}}\nservers:\n  own: {derived: rack}\n"
        "  other: {derived: rack}\n";
    char file[512];
    struct fixture fixture;
    (void)state;
    snprintf(file, sizeof file, text, "other");
    read_text(&fixture, file, NULL);
    assert_non_null(fixture.file);
    assert_int_equal(fixture.findings.count, 0);
    release(&fixture);
    snprintf(file, sizeof file, text, "own");
    read_text(&fixture, file, NULL);
    assert_null(fixture.file);
    assert_int_equal(fixture.findings.errors, 1);
    assert_finding(&fixture.findings,
                   "services.orders.derives.days: the private server 'own' is for what search "
                   "derives, and The rack would not keep two services apart");
    release(&fixture);
}

static void what_can_t_be_of_a_private_one_is_refused(void **state)
{
    static const char *const keys[] = {"port: 4711", "user: u, password: p", "tls: {mode: verify}"};
    struct fixture fixture;
    char file[512];
    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        snprintf(file, sizeof file,
                 SYSTEM("{items: {server: own}}", "  own: {derived: rack, %s}\n"), keys[i]);
        read_text(&fixture, file, NULL);
        assert_null(fixture.file);
        assert_finding(&fixture.findings, "without a host it is a private server");
        release(&fixture);
    }
    read_text(&fixture, SYSTEM("{items: {server: found}}", "  found: {derived: shelf}\n"), NULL);
    assert_finding(&fixture.findings, "freehold runs no private The shelf; name one that is there");
    release(&fixture);
    setenv("NO_SHELF_HERE", "1", 1);
    read_text(&fixture, SYSTEM("{items: {server: own}}", "  own: {derived: rack}\n"), NULL);
    assert_finding(&fixture.findings, "servers.own: The rack is not installed: take a plank");
    release(&fixture);
    read_text(&fixture, SYSTEM("{}", "  own: {derived: rack}\n"), NULL);
    assert_non_null(fixture.file); /* it is not used */
    release(&fixture);
    unsetenv("NO_SHELF_HERE");
}

/* ---- What a service is told ---- */

static struct provision *provision_of(struct fixture *fixture)
{
    struct provision *provision = calloc(1, sizeof *provision);
    assert_non_null(provision);
    assert_non_null(fixture->file);
    provision->options.file = fixture->file;
    arena_init(&provision->arena, ARENA_SIZE_MAX);
    return provision;
}

static void end_provision(struct provision *provision)
{
    json_decref(provision->derives);
    arena_release(&provision->arena);
    free(provision);
}

static void a_service_is_told_where_they_are(void **state)
{
    (void)state;
    struct fixture fixture;
    struct provision_part part = {.name = "search", .folder = "/nowhere", .folder_fd = -1};
    struct fh_error error;
    read_text(&fixture,
              SYSTEM("{items: {server: found}}",
                     "  found: {derived: shelf, host: shelf.example, user: u, password: p, "
                     "tls: {mode: \"off\"}, options: {boards: 3}}\n"),
              NULL);
    struct provision *provision = provision_of(&fixture);
    json_t *config = json_object(), *kept = json_pack("{s:{}}", "passwords");
    derives_configure(provision, kept);
    assert_int_equal(json_object_size(json_object_get(kept, "passwords")), 0);
    assert_int_equal(derives_configure_service(provision, &part,
                                               system_file_service(fixture.file, "search"), config,
                                               &error),
                     FH_OK);
    json_t *expected = json_pack("{s:{s:{s:s, s:s, s:i, s:s, s:s, s:i, s:{s:s}}}}", "derives",
                                 "items", "driver", "shelf", "host", "shelf.example", "port", 9321,
                                 "user", "u", "password", "p", "boards", 3, "tls", "mode", "off");
    assert_true(json_equal(config, expected));
    json_object_clear(config);
    assert_int_equal(derives_configure_service(provision, &part,
                                               system_file_service(fixture.file, "orders"), config,
                                               &error),
                     FH_OK);
    assert_int_equal(json_object_size(config), 0);
    json_decref(expected);
    json_decref(config);
    json_decref(kept);
    end_provision(provision);
    release(&fixture);
}

static void a_service_is_told_what_its_server_alone_has(void **state)
{
    (void)state;
    struct fixture fixture;
    read_text(&fixture,
              SYSTEM("{items: {server: found}, sold: {server: found, kept: true}, "
                     "left: {server: found, kept: false}}",
                     FOUND),
              NULL);
    struct provision *provision = provision_of(&fixture);
    json_t *kept = json_pack("{s:{}}", "passwords");
    derives_configure(provision, kept);
    const json_t *search = json_object_get(provision->derives, "search");
    assert_true(json_is_true(json_object_get(json_object_get(search, "sold"), "kept")));
    assert_null(json_object_get(json_object_get(search, "items"), "kept"));
    assert_null(json_object_get(json_object_get(search, "left"), "kept"));
    json_decref(kept);
    end_provision(provision);
    release(&fixture);
}

static void a_private_one_has_a_user_for_its_service_whose_password_is_kept(void **state)
{
    (void)state;
    struct fixture fixture;
    read_text(&fixture, SYSTEM("{items: {server: own}}", "  own: {derived: rack}\n"), NULL);
    struct provision *provision = provision_of(&fixture);
    provision->servers[0] =
        (struct provision_part){.name = "own-rack", .address = "127.0.0.1:4711"};
    provision->server_count = 1;
    json_t *kept = json_pack("{s:{}}", "passwords");
    derives_configure(provision, kept);
    const char *password =
        json_string_value(json_object_get(json_object_get(kept, "passwords"), "search@own-rack"));
    assert_non_null(password);
    assert_true(strlen(password) >= 64);
    json_t *expected = json_pack("{s:{s:{s:s, s:s, s:i, s:s, s:s, s:{s:s}}}}", "search", "items",
                                 "driver", "rack", "host", "127.0.0.1", "port", 4711, "user",
                                 "mini_search", "password", password, "tls", "mode", "verify");
    assert_true(json_equal(provision->derives, expected));
    json_t *before = json_deep_copy(kept);
    derives_configure(provision, kept);
    assert_true(json_equal(provision->derives, expected) && json_equal(kept, before));
    json_decref(before);
    json_decref(expected);
    json_decref(kept);
    end_provision(provision);
    release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_derived_store_lies_where_the_file_says),
        cmocka_unit_test(a_profile_replaces_all_of_it),
        cmocka_unit_test(what_can_t_be_is_refused_with_its_place),
        cmocka_unit_test(other_servers_are_not_for_what_is_derived),
        cmocka_unit_test(what_the_program_declares_otherwise_is_refused),
        cmocka_unit_test(what_a_server_can_t_keep_alone_is_refused),
        cmocka_unit_test(a_service_is_told_what_its_server_alone_has),
        cmocka_unit_test(what_an_engine_can_t_have_in_its_own_stores_is_refused),
        cmocka_unit_test(a_private_server_serves_one_service),
        cmocka_unit_test(what_can_t_be_of_a_private_one_is_refused),
        cmocka_unit_test(a_service_is_told_where_they_are),
        cmocka_unit_test(a_private_one_has_a_user_for_its_service_whose_password_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
