/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be said of a broker follows from its driver's table (broker/broker.h): which there are,
 * their options, whether one can be private. A new driver needs nothing here.
 *
 * A service's bus replaces the system's as a whole. Which servers are buses must be known before
 * servers are read, so that those of other profiles are not judged by what they lack here.
 */

#include "system/file/bus.h"

#include <string.h>

#include "base/json.h"
#include "broker/broker.h"
#include "carrier/driver.h"
#include "engine/engines.h"
#include "store/server.h"
#include "system/file/file.h"
#include "system/file/nearest.h"
#include "system/file/secret_file.h"
#include "system/file/servers.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- `bus` ---- */

static void read_bus_server(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                            void *into)
{
    ((struct system_bus *)into)->server = yaml_text(reader, node, what);
}

static void read_personal_type(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                               void *into)
{
    struct system_bus *bus = into;
    bus->personal[bus->personal_count] = yaml_text(reader, node, what);
    bus->personal_places[bus->personal_count] = yaml_place(reader, node);
    bus->personal_count += bus->personal[bus->personal_count] != NULL;
}

static void read_bus_personal(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                              void *into)
{
    yaml_read_list(reader, node, what, SYSTEM_BUS_PERSONAL_MAX, read_personal_type, into);
}

static void read_bus_outside(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    struct system_bus *bus = into;
    yaml_integer(reader, node, what, 0, SYSTEM_BUS_OUTSIDE_S_MAX, &bus->outside_kept_s);
    bus->outside_kept_place = yaml_place(reader, node);
}

/* A name alone, or a mapping. */
void file_read_bus(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    static const struct yaml_key keys[] = {
        {"server", read_bus_server, true, "a broker under servers; feed: none"},
        {"personal", read_bus_personal, false,
         "types of events that may go there with their personal fields"},
        {"outside_kept_s", read_bus_outside, false,
         "for how long a topic holds events for readers outside; default: 0, not at all"}};
    struct system_bus *bus = into;
    if (reader->schema) {
        yaml_describe_type(reader, "string");
        yaml_read_mapping(reader, node, what, keys, COUNT(keys), into);
        return;
    }
    *bus = (struct system_bus){.place = yaml_place(reader, node)};
    if (node->type == YAML_SCALAR_NODE)
        read_bus_server(reader, node, what, bus);
    else
        yaml_read_mapping(reader, node, what, keys, COUNT(keys), bus);
}

const struct system_bus *system_file_bus(const struct system_file *file,
                                         const struct system_service *service)
{
    return service->bus.server ? &service->bus : &file->bus;
}

struct system_server *system_file_broker(struct system_file *file,
                                         const struct system_service *service)
{
    const char *name = system_file_bus(file, service)->server;
    struct system_server *server =
        name && strcmp(name, SYSTEM_BUS_FEED) != 0 ? system_file_server(file, name) : NULL;
    return server && server->broker ? server : NULL;
}

bool file_bus_is_used(const struct system_file *file, const char *server)
{
    for (size_t i = 0; i < file->service_count; i++) {
        const char *name = system_file_bus(file, &file->services[i])->server;
        if (name && strcmp(name, server) == 0)
            return true;
    }
    for (size_t i = 0; i < file->source_count; i++) {
        const char *name = file->sources[i].server;
        if (name && strcmp(name, server) == 0)
            return true;
    }
    return false;
}

/* Nobody outside reads a topic that is not there, or that is on a private broker. */
static void settle_outside(const struct system_bus *bus, const struct system_server *server,
                           const char *whose, struct findings *findings)
{
    if (bus->outside_kept_s == 0)
        return;
    if (!server)
        findings_error(findings, bus->outside_kept_place,
                       "%s.outside_kept_s holds events on a topic, and the feed has none; in an "
                       "outbox they are held by services.NAME.retention.outside_kept_s",
                       whose);
    else if (server->broker && !server->address.host)
        findings_error(findings, bus->outside_kept_place,
                       "%s.outside_kept_s: nobody outside reads %s, which is private; expected a "
                       "broker that is there, with a host",
                       whose, server->name);
}

static void settle_bus(struct system_file *file, const struct system_bus *bus, const char *whose,
                       struct findings *findings)
{
    if (!bus->server || strcmp(bus->server, SYSTEM_BUS_FEED) == 0) {
        settle_outside(bus, NULL, whose, findings);
        return;
    }
    const struct system_server *server = system_file_server(file, bus->server);
    if (server)
        settle_outside(bus, server, whose, findings);
    if (!server)
        file_report_no_bus(file, whose, bus->server, bus->place, findings);
    else if (!server->broker && (server->engine || server->derived))
        findings_error(findings, bus->place,
                       "%s: the server '%s' is %s; a bus is a broker, as in "
                       "servers: { %s: { broker: nats } }",
                       whose, server->name, file_server_kind(&file->arena, server), server->name);
}

void file_settle_buses(struct system_file *file, struct findings *findings)
{
    settle_bus(file, &file->bus, "bus", findings);
    for (size_t i = 0; i < file->service_count; i++)
        settle_bus(file, &file->services[i].bus,
                   arena_printf(&file->arena, "services.%s.bus", file->services[i].name), findings);
}

/* ---- A broker, under `servers` ---- */

static const char *known_brokers(struct arena *arena)
{
    const char *names = NULL;
    for (const struct broker_driver *one = NULL; (one = broker_driver_next(one));)
        names = names ? arena_printf(arena, "%s, %s", names, one->name) : one->name;
    return names ? names : "none";
}

void file_read_broker(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    struct system_server *server = into;
    const char *name = yaml_text(reader, node, what);
    struct nearest nearest = nearest_begin(name ? name : "");
    server->broker = name;
    server->engine_place = reader->schema ? (struct place){0} : yaml_place(reader, node);
    bool sealed = name && !*name && reader->sealed; /* whatever it will be */
    if (!name || sealed || broker_driver_named(name))
        return;
    if (file_is_lacking(brokers_lacking, name)) {
        if (server->used)
            findings_error(reader->findings, server->engine_place,
                           "%s: the broker '%s' is not built in: install its client library (make "
                           "servers) and build freehold again (make)",
                           what, name);
        return;
    }
    for (const struct broker_driver *one = NULL; (one = broker_driver_next(one));)
        nearest_offer(&nearest, one->name);
    /* The name may come from an environment variable, so it is not shown. */
    findings_error(reader->findings, server->engine_place,
                   "%s: there is no broker of this name; this freehold has %s%s%s%s", what,
                   known_brokers(reader->arena), nearest.word ? "; did you mean '" : "",
                   nearest.word ? nearest.word : "", nearest.word ? "'?" : "");
}

void file_read_token(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    ((struct system_server *)into)->token = yaml_text(reader, node, what);
}

void file_read_token_file(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                          void *into)
{
    struct system_server *server = into;
    const char *token = file_read_secret(reader, node, what);
    if (token && server->token)
        findings_error(reader->findings, yaml_place(reader, node), "%s: the token is given already",
                       what);
    else
        server->token = token;
}

void file_read_password_file(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    struct system_address *address = into;
    const char *password = file_read_secret(reader, node, what);
    if (password && address->password)
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s: the password is given already", what);
    else if (password)
        address->password = password;
}

void file_read_partitions(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                          void *into)
{
    struct system_server *server = into;
    if (yaml_integer(reader, node, what, 1, BROKER_PARTITIONS_MAX, &server->partitions) &&
        (server->partitions & (server->partitions - 1)))
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s is %d; expected a power of two up to %d: a subscription's partitions "
                       "are parts of them",
                       what, server->partitions, BROKER_PARTITIONS_MAX);
}

void file_read_options(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    struct system_server *server = into;
    json_t *options = yaml_json(reader, node, what);
    if (reader->schema)
        return;
    json_decref(server->options);
    server->options = options;
    server->options_place = yaml_place(reader, node);
}

/* ---- Whether all of it fits together ---- */

static void check_option_names(const struct system_server *server,
                               const struct broker_driver *driver, struct findings *findings)
{
    const char *key;
    json_t *unused;
    json_object_foreach (server->options, key, unused) {
        if (strcmp(key, "token") == 0)
            findings_error(findings, server->options_place,
                           "servers.%s.options.token: a token is a key of the server itself",
                           server->name);
        else if (driver->options && !file_has_option(driver->options, key))
            findings_error(findings, server->options_place,
                           "servers.%s.options: %s has no option '%.64s'; expected one of: %s",
                           server->name, driver->title, key, driver->options);
    }
    if (server->token && driver->options && !file_has_option(driver->options, "token"))
        findings_error(findings, server->place, "servers.%s: %s knows no tokens", server->name,
                       driver->title);
}

static void check_private_broker(const struct system_server *server,
                                 const struct broker_driver *driver, struct findings *findings)
{
    const struct system_address *address = &server->address;
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    if (address->port || address->user || address->password || address->tls || server->token)
        findings_error(findings, server->place,
                       "servers.%s: without a host it is a private server, whose address and names "
                       "are made by freehold",
                       server->name);
    else if (!driver->server)
        findings_error(findings, server->place,
                       "servers.%s: freehold runs no private %s; name one that is there: host",
                       server->name, driver->title);
    else if (driver->mechanism && json_object_get(server->options, "mechanism"))
        findings_error(findings, server->options_place,
                       "servers.%s.options.mechanism: to a private server it is freehold's choice",
                       server->name);
    else if (server->used && !driver->server->programs(&arena))
        findings_error(findings, server->engine_place,
                       "servers.%s: %s is not installed: %s, or name one that is there: host",
                       server->name, driver->server->engine, driver->server->install);
    arena_release(&arena);
}

/* As the driver will be given it, and with that alone. */
static void check_by_driver(const struct system_server *server, const struct broker_driver *driver,
                            struct findings *findings)
{
    const struct system_address *address = &server->address;
    struct fh_error error = {0};
    json_t *options = server->options ? json_deep_copy(server->options) : json_object();
    json_object_set_new(options, "host", json_string(address->host ? address->host : "127.0.0.1"));
    if (address->user)
        json_object_set_new(options, "user", json_string(address->user));
    if (address->password)
        json_object_set_new(options, "password", json_string(address->password));
    if (server->token)
        json_object_set_new(options, "token", json_string(server->token));
    if (driver->check && driver->check(options, &error) != FH_OK)
        findings_error(findings, server->options ? server->options_place : server->place,
                       "servers.%s: %.*s", server->name,
                       (int)(strlen(error.message) - (strlen(error.message) > 0)), error.message);
    json_decref(options);
}

static void check_broker_address(const struct system_server *server, struct findings *findings)
{
    const struct system_address *address = &server->address;
    if (address->host[0] == '/')
        findings_error(findings, server->place,
                       "servers.%s.host is a path; a broker is reached by a name or an address",
                       server->name);
    if (address->user && !address->password)
        findings_error(findings, server->place,
                       "servers.%s names a user, who needs a password or password_file",
                       server->name);
    if (address->password && !address->user)
        findings_error(findings, server->place,
                       "servers.%s has a password, and no user whose it is", server->name);
}

void file_check_broker(const struct system_server *server, struct findings *findings)
{
    const struct broker_driver *driver =
        server->broker ? broker_driver_named(server->broker) : NULL;
    if (!server->broker && !server->derived &&
        (server->token || server->options || server->partitions))
        findings_error(findings, server->place,
                       "servers.%s: token, options and partitions are a broker's, and it is a "
                       "database server",
                       server->name);
    if (server->broker && server->engine)
        findings_error(findings, server->place,
                       "servers.%s has an engine and a broker: expected one of them", server->name);
    if (server->broker && (server->settings || server->schemas))
        findings_error(findings, server->place,
                       "servers.%s: settings and layout are a database server's, and it is a "
                       "broker, which has options",
                       server->name);
    if (server->broker && strcmp(server->name, SYSTEM_BUS_FEED) == 0)
        findings_error(findings, server->place,
                       "a broker can't be called '" SYSTEM_BUS_FEED
                       "': as a bus that stands for none");
    if (!driver)
        return;
    size_t errors = findings->errors;
    check_option_names(server, driver, findings);
    if (server->address.host)
        check_broker_address(server, findings);
    else
        check_private_broker(server, driver, findings);
    if (server->used && findings->errors == errors)
        check_by_driver(server, driver, findings);
}

/* ---- How a private one is run ---- */

static const struct server_kind *kind_of_broker(const char *name)
{
    const struct broker_driver *driver = broker_driver_named(name);
    return driver ? driver->server : NULL;
}

static const struct server_kind *kind_of_derived(const char *name)
{
    const struct carried_driver *driver = carried_driver_named(name);
    return driver ? driver->server : NULL;
}

const struct server_kind *system_server_kind(const struct system_server *server)
{
    if (server->broker)
        return kind_of_broker(server->broker);
    if (server->derived)
        return kind_of_derived(server->derived);
    return server->engine ? server_kind(server->engine) : NULL;
}

const struct server_kind *system_kind_configured(const json_t *config)
{
    const char *broker = server_text(config, "broker"), *derived = server_text(config, "derived");
    return *broker    ? kind_of_broker(broker)
           : *derived ? kind_of_derived(derived)
                      : server_kind(server_text(config, "engine"));
}
