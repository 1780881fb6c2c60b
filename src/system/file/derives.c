/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be said of a server of derived stores follows from its driver's table
 * (carrier/driver.h): which there are, their options, and whether `up` runs private ones. A new
 * driver needs nothing here.
 */

#include "system/file/derives.h"

#include <string.h>

#include "base/json.h"
#include "carrier/driver.h"
#include "store/server.h"
#include "store/tls.h"
#include "system/file/file.h"
#include "system/file/nearest.h"
#include "system/file/servers.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- `derives` of a service ---- */

static void read_derives_server(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                void *into)
{
    struct system_derives *derives = into;
    derives->server = yaml_text(reader, node, what);
    derives->server_place = yaml_place(reader, node);
}

static void read_derives_kept(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                              void *into)
{
    struct system_derives *derives = into;
    yaml_bool(reader, node, what, &derives->kept);
    derives->kept_place = yaml_place(reader, node);
}

static void read_one_derived(struct yaml_reader *reader, yaml_node_t *key, const char *name,
                             yaml_node_t *value, const char *what, void *into)
{
    static const struct yaml_key keys[] = {
        {"server", read_derives_server, true, "one under servers, with derived"},
        {"kept", read_derives_kept, false}};
    struct system_service *service = into;
    struct system_derives *derives = &service->derives[service->derives_count++];
    *derives = (struct system_derives){.name = name, .place = yaml_place(reader, key)};
    yaml_read_mapping(reader, value, what, keys, COUNT(keys), derives);
}

void file_read_derives(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    ((struct system_service *)into)->derives_count = 0;
    yaml_read_names(reader, node, what, SYSTEM_DERIVES_MAX, read_one_derived, into);
}

bool file_derives_is_used(const struct system_file *file, const char *server)
{
    for (size_t i = 0; i < file->service_count; i++) {
        const struct system_service *service = &file->services[i];
        for (size_t j = 0; j < service->derives_count; j++) {
            const char *named = service->derives[j].server;
            if (named && strcmp(named, server) == 0)
                return true;
        }
    }
    return false;
}

static void settle_derives(struct system_file *file, const struct system_service *service,
                           const struct system_derives *derives, struct findings *findings)
{
    const struct system_server *server =
        derives->server ? system_file_server(file, derives->server) : NULL;
    if (derives->server && !server)
        file_report_no_derived(file, service->name, derives, findings);
    else if (server && !server->derived && (server->engine || server->broker))
        findings_error(findings, derives->server_place,
                       "services.%s.derives.%s: the server '%s' is %s; derived stores lie on one "
                       "with `derived`",
                       service->name, derives->name, server->name,
                       file_server_kind(&file->arena, server));
}

/* The first service that has something on the server. */
static const struct system_service *first_on(const struct system_file *file,
                                             const struct system_server *server)
{
    for (size_t i = 0; i < file->service_count; i++) {
        const struct system_service *service = &file->services[i];
        for (size_t j = 0; j < service->derives_count; j++) {
            const char *named = service->derives[j].server;
            if (named && strcmp(named, server->name) == 0)
                return service;
        }
    }
    return NULL;
}

/* Whoever gets in there gets to all of it. */
static void settle_alone(struct system_file *file, const struct system_service *service,
                         const struct system_derives *derives, struct findings *findings)
{
    const struct system_server *server =
        derives->server ? system_file_server(file, derives->server) : NULL;
    const struct carried_driver *driver =
        server && server->derived ? carried_driver_named(server->derived) : NULL;
    if (!driver || server->address.host)
        return;
    const struct system_service *first = first_on(file, server);
    if (first != service)
        findings_error(
            findings, derives->server_place,
            "services.%s.derives.%s: the private server '%s' is for what %s derives, and "
            "%s would not keep two services apart; declare another one under servers",
            service->name, derives->name, server->name, first->name, driver->title);
}

void file_settle_derives(struct system_file *file, struct findings *findings)
{
    for (size_t i = 0; i < file->service_count; i++) {
        const struct system_service *service = &file->services[i];
        for (size_t j = 0; j < service->derives_count; j++) {
            settle_derives(file, service, &service->derives[j], findings);
            settle_alone(file, service, &service->derives[j], findings);
        }
    }
}

/* A text from the environment is empty here (struct yaml_reader's `sealed`). */
void file_mention_derives(struct system_file *file, const struct system_service *service)
{
    for (size_t i = 0; i < service->derives_count; i++) {
        const struct system_derives *derives = &service->derives[i];
        if (!derives->server || !*derives->server)
            continue;
        struct system_mention *mention = arena_alloc(&file->arena, sizeof *mention);
        *mention = (struct system_mention){.service = service->name,
                                           .derives = derives->name,
                                           .server = derives->server,
                                           .place = derives->server_place,
                                           .next = file->mentioned};
        file->mentioned = mention;
    }
}

/* ---- A server of derived stores, under `servers` ---- */

static const char *known_derived(struct arena *arena)
{
    const char *names = NULL;
    for (const struct carried_driver *one = NULL; (one = carried_driver_next(one));)
        names = names ? arena_printf(arena, "%s, %s", names, one->name) : one->name;
    return names ? names : "none";
}

void file_read_derived(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    struct system_server *server = into;
    const char *name = yaml_text(reader, node, what);
    struct nearest nearest = nearest_begin(name ? name : "");
    server->derived = name;
    server->engine_place = reader->schema ? (struct place){0} : yaml_place(reader, node);
    bool sealed = name && !*name && reader->sealed; /* whatever it will be */
    if (!name || sealed || carried_driver_named(name))
        return;
    if (file_is_lacking(carried_drivers_lacking, name)) {
        if (server->used)
            findings_error(reader->findings, server->engine_place,
                           "%s: '%s' is not built in: install its client library (make servers) "
                           "and build freehold again (make)",
                           what, name);
        return;
    }
    for (const struct carried_driver *one = NULL; (one = carried_driver_next(one));)
        nearest_offer(&nearest, one->name);
    /* The name may come from an environment variable, so it is not shown. */
    findings_error(reader->findings, server->engine_place,
                   "%s: there is no server of derived stores of this name; this freehold has "
                   "%s%s%s%s",
                   what, known_derived(reader->arena), nearest.word ? "; did you mean '" : "",
                   nearest.word ? nearest.word : "", nearest.word ? "'?" : "");
}

static void check_derived_options(const struct system_server *server,
                                  const struct carried_driver *driver, struct findings *findings)
{
    const char *key;
    json_t *unused;
    json_object_foreach (server->options, key, unused) {
        if (!file_has_option(driver->options, key))
            findings_error(findings, server->options_place,
                           "servers.%s.options: %s has no option '%.64s'; expected one of: %s",
                           server->name, driver->title, key,
                           driver->options ? driver->options : "none");
    }
}

/* As the driver will be given it, and with that alone. */
static void check_by_carried_driver(const struct system_server *server,
                                    const struct carried_driver *driver, struct findings *findings)
{
    const struct system_address *address = &server->address;
    struct fh_error error = {0};
    json_t *options = server->options ? json_deep_copy(server->options) : json_object();
    json_object_set_new(options, "host", json_string(address->host ? address->host : "127.0.0.1"));
    json_object_set_new(options, "port",
                        json_integer(address->port ? address->port : driver->port));
    if (address->host)
        json_object_set_new(options, "tls", store_tls_json(address->tls, address->host));
    if (address->user)
        json_object_set_new(options, "user", json_string(address->user));
    if (address->password)
        json_object_set_new(options, "password", json_string(address->password));
    if (driver->check(options, &error) != FH_OK)
        findings_error(findings, server->options ? server->options_place : server->place,
                       "servers.%s: %.*s", server->name,
                       (int)(strlen(error.message) - (strlen(error.message) > 0)), error.message);
    json_decref(options);
}

static void check_private_derived(const struct system_server *server,
                                  const struct carried_driver *driver, struct findings *findings)
{
    const struct system_address *address = &server->address;
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    if (!driver->server)
        findings_error(findings, server->place,
                       "servers.%s: freehold runs no private %s; name one that is there: host",
                       server->name, driver->title);
    else if (address->port || address->user || address->password || address->tls)
        findings_error(findings, server->place,
                       "servers.%s: without a host it is a private server, whose address and names "
                       "are made by freehold",
                       server->name);
    else if (server->used && !driver->server->programs(&arena))
        findings_error(findings, server->engine_place,
                       "servers.%s: %s is not installed: %s, or name one that is there: host",
                       server->name, driver->title, driver->server->install);
    else if (server->used && driver->server->lacks)
        findings_warning(findings, server->engine_place, "servers.%s: %s", server->name,
                         driver->server->lacks);
    arena_release(&arena);
}

static void check_derived_address(const struct system_server *server,
                                  const struct carried_driver *driver, struct findings *findings)
{
    const struct system_address *address = &server->address;
    if (address->host[0] == '/')
        findings_error(findings, server->place,
                       "servers.%s.host is a path; %s is reached by a name or an address",
                       server->name, driver->title);
    if (!address->user != !address->password)
        findings_error(findings, server->place, "servers.%s: %s", server->name,
                       address->user ? "its user needs a password or password_file"
                                     : "it has a password, and no user whose it is");
}

void file_check_derived(const struct system_server *server, struct findings *findings)
{
    const struct carried_driver *driver =
        server->derived ? carried_driver_named(server->derived) : NULL;
    size_t errors = findings->errors;
    if (!server->derived)
        return;
    if (server->engine || server->broker)
        findings_error(findings, server->place,
                       "servers.%s: expected one of engine, broker and derived", server->name);
    if (server->settings || server->schemas || server->token || server->partitions)
        findings_error(findings, server->place,
                       "servers.%s: settings and layout are a database server's, token and "
                       "partitions a broker's, and it is one of derived stores, which has options",
                       server->name);
    if (!driver)
        return;
    check_derived_options(server, driver, findings);
    if (server->address.host)
        check_derived_address(server, driver, findings);
    else
        check_private_derived(server, driver, findings);
    if (server->used && findings->errors == errors)
        check_by_carried_driver(server, driver, findings);
}
