/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the system file that says where stores are: each service's `engine` and `store`, and
 * `servers`, which several services may share. Servers are read last, once it is known which of
 * them the chosen profile uses: environment variables of the others need not be set.
 *
 * A service on a server engine that names no server gets its own private one, named after it.
 */

#define _GNU_SOURCE
#include "system/file/servers.h"

#include <string.h>

#include "engine/engines.h"
#include "store/store.h"
#include "system/file/bus.h"
#include "system/file/derives.h"
#include "system/file/private_key.h"
#include "store/server.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define SETTING_NAME_LENGTH_MAX 64
#define STALENESS_MS_MAX 3600000
#define STATEMENT_TIMEOUT_MS_MAX 86400000
#define DATABASE_LENGTH_MAX 63 /* the smallest limit of all engines: PostgreSQL's */

/* ---- Addresses: the same keys for a server and for an existing store ---- */

void file_read_host(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    ((struct system_address *)into)->host = yaml_text(reader, node, what);
}

void file_read_port(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    yaml_integer(reader, node, what, 1, 65535, &((struct system_address *)into)->port);
}

void file_read_user(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    ((struct system_address *)into)->user = yaml_text(reader, node, what);
}

void file_read_password(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    ((struct system_address *)into)->password = yaml_text(reader, node, what);
}

static void read_tls_mode(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                          void *into)
{
    static const char *const modes[] = {"verify", "off", NULL};
    int mode = yaml_word(reader, node, what, modes, true);
    if (mode >= 0)
        json_object_set_new(into, "mode", json_string(modes[mode]));
}

static void set_tls_path(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         void *into, const char *key)
{
    const char *text = yaml_text(reader, node, what);
    if (text && text[0] != '/')
        findings_error(reader->findings, yaml_place(reader, node), "%s must be an absolute path",
                       what);
    else if (text)
        json_object_set_new(into, key, json_string(text));
}

static void read_tls_ca(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    set_tls_path(reader, node, what, into, "ca");
}

static void read_tls_certificate(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                 void *into)
{
    set_tls_path(reader, node, what, into, "certificate");
}

static void read_tls_key(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         void *into)
{
    set_tls_path(reader, node, what, into, "key");
    const char *path = json_string_value(json_object_get(into, "key"));
    if (path)
        private_key_check(reader, node, what, path);
}

void file_read_tls(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    static const struct yaml_key keys[] = {{"mode", read_tls_mode, false},
                                           {"ca", read_tls_ca, false},
                                           {"certificate", read_tls_certificate, false},
                                           {"key", read_tls_key, false}};
    struct system_address *address = into;
    json_decref(address->tls);
    address->tls = json_pack("{s:s}", "mode", "verify");
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), address->tls);
}

/* ---- Stores ---- */

void file_read_engine(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    struct system_service *service = into;
    service->engine = yaml_text(reader, node, what);
    service->engine_place = yaml_place(reader, node);
    /* A profile that puts a service on another engine does not inherit the old store's place. */
    file_store_release(&service->store);
    service->store.connections = SYSTEM_CONNECTIONS_DEFAULT;
}

static void read_store_server(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                              void *into)
{
    ((struct system_store *)into)->server = yaml_text(reader, node, what);
}

static void read_store_database(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                void *into)
{
    ((struct system_store *)into)->database = yaml_text(reader, node, what);
}

static void read_store_schema(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                              void *into)
{
    ((struct system_store *)into)->schema = yaml_text(reader, node, what);
}

static void read_store_reports(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                               void *into)
{
    static const struct yaml_key keys[] = {{"user", file_read_user, true},
                                           {"password", file_read_password, true}};
    yaml_read_mapping(reader, node, what, keys, COUNT(keys),
                      &((struct system_store *)into)->reports);
}

static void read_store_appendfsync(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                   void *into)
{
    static const char *const words[] = {"always", "everysec", NULL};
    int word = yaml_word(reader, node, what, words, true);
    ((struct system_store *)into)->appendfsync = word >= 0 ? words[word] : NULL;
}

static void read_store_connections(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                   void *into)
{
    yaml_integer(reader, node, what, 1, SYSTEM_CONNECTIONS_MAX,
                 &((struct system_store *)into)->connections);
}

static void read_staleness(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           void *into)
{
    yaml_integer(reader, node, what, 1, STALENESS_MS_MAX,
                 &((struct system_store *)into)->staleness_ms);
}

static void read_statement_timeout(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                   void *into)
{
    yaml_integer(reader, node, what, 1, STATEMENT_TIMEOUT_MS_MAX,
                 &((struct system_store *)into)->statement_timeout_ms);
}

void file_read_store(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    static const struct yaml_key keys[] = {{"host", file_read_host, false},
                                           {"port", file_read_port, false},
                                           {"user", file_read_user, false},
                                           {"password", file_read_password, false},
                                           {"tls", file_read_tls, false},
                                           {"server", read_store_server, false},
                                           {"database", read_store_database, false},
                                           {"schema", read_store_schema, false},
                                           {"reports", read_store_reports, false},
                                           {"connections", read_store_connections, false},
                                           {"appendfsync", read_store_appendfsync, false},
                                           {"replicas", file_read_replicas, false},
                                           {"staleness_ms", read_staleness, false},
                                           {"statement_timeout_ms", read_statement_timeout, false}};
    struct system_store *store = &((struct system_service *)into)->store;
    file_store_release(store);
    *store = (struct system_store){.connections = SYSTEM_CONNECTIONS_DEFAULT,
                                   .place = yaml_place(reader, node)};
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), store);
    bool given = store->address.host != NULL;
    if (given && store->server)
        findings_error(reader->findings, store->place,
                       "%s is either on a server of this file or at a host", what);
    else if (!given &&
             (store->address.port || store->address.user || store->address.password ||
              store->address.tls || store->database || store->schema || store->reports.user))
        findings_error(reader->findings, store->place,
                       "%s: without a host, its address and names are made by freehold", what);
}

void file_store_release(struct system_store *store)
{
    json_decref(store->address.tls);
    json_decref(store->replicas);
    *store = (struct system_store){0};
}

/* ---- Servers ---- */

static void read_server_engine(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                               void *into)
{
    struct system_server *server = into;
    server->engine = yaml_text(reader, node, what);
    server->engine_place = yaml_place(reader, node);
    const struct server_kind *kind = server->engine ? server_kind(server->engine) : NULL;
    bool lacking = server->engine && !kind && file_engine_is_lacking(server->engine);
    if (lacking && server->used)
        findings_error(reader->findings, server->engine_place,
                       "%s: the engine '%s' is not built in: install its client library (make "
                       "servers) and build freehold again (make)",
                       what, server->engine);
    else if (server->engine && !kind && !lacking) /* one that is not used may be known later */
        findings_error(reader->findings, server->engine_place,
                       "%s: '%.64s' is not an engine with servers that this freehold knows", what,
                       server->engine);
}

static void read_layout(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    static const char *const layouts[] = {"databases", "schemas", NULL};
    struct system_server *server = into;
    const struct server_kind *kind = server->engine ? server_kind(server->engine) : NULL;
    server->schemas = yaml_word(reader, node, what, layouts, true) == 1;
    if (server->schemas && kind && !kind->schemas)
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s: %s has no schemas inside a database", what, kind->engine);
}

/* It becomes part of an argument; which there are is the server's own to say. */
static bool is_setting_name(const char *name)
{
    return ((name[0] | 0x20) >= 'a' && (name[0] | 0x20) <= 'z') &&
           strlen(name) <= SETTING_NAME_LENGTH_MAX &&
           name[strspn(
               name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")] == '\0';
}

/* Only settings that are right are kept. */
static void read_server_settings(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                 void *into)
{
    struct system_server *server = into;
    const char *key;
    json_t *value, *settings = yaml_json(reader, node, what);
    size_t count = 0, faults = 0;
    struct place *places =
        arena_alloc(reader->arena, (json_object_size(settings) + 1) * sizeof *places);
    json_object_foreach (settings, key, value) {
        places[count++] = yaml_place(
            reader, yaml_document_get_node(&reader->document, yaml_pair(reader, node, key)->key));
        if (is_setting_name(key) && (json_is_string(value) || json_is_integer(value)))
            continue;
        findings_error(reader->findings, places[count - 1],
                       "%s.%.64s: expected a setting of the server, with a whole number or a text; "
                       "0.9 or true as a text needs quotes: \"0.9\"",
                       what, key);
        faults++;
    }
    if (count > SERVER_SETTINGS_MAX)
        findings_error(reader->findings, yaml_place(reader, node), "%s: at most %d are possible",
                       what, SERVER_SETTINGS_MAX);
    json_decref(server->settings);
    server->settings = faults || count > SERVER_SETTINGS_MAX ? NULL : json_incref(settings);
    server->setting_places = places;
    json_decref(settings);
}

static bool is_used(const struct system_file *file, const char *server)
{
    bool used = file_bus_is_used(file, server) || file_derives_is_used(file, server);
    for (size_t i = 0; i < file->service_count && !used; i++) {
        const char *wanted = file->services[i].store.server;
        used = wanted && strcmp(wanted, server) == 0;
    }
    return used;
}

static void check_server_login(const struct system_file *file, const struct system_server *server,
                               struct findings *findings)
{
    const struct system_address *address = &server->address;
    bool stores = !server->broker && !server->derived;
    if (stores && address->host && (!address->user || !address->password))
        findings_error(findings, server->place,
                       "servers.%s.host names a server that is there already; it needs a user who "
                       "may make databases and users, and his password",
                       server->name);
    if (address->host && server->settings)
        findings_error(findings, server->place,
                       "servers.%s has a host, so its settings are not freehold's to choose",
                       server->name);
    if (stores && !address->host &&
        (address->port || address->user || address->password || address->tls))
        findings_error(findings, server->place,
                       "servers.%s: without a host it is a private server, whose address and names "
                       "are made by freehold",
                       server->name);
    for (size_t i = 0; i < file->service_count; i++) {
        if (strcmp(file->services[i].name, server->name) == 0)
            findings_error(findings, server->place,
                           "a server can't have the name of a service, '%s': that is the name of "
                           "the service's private one",
                           server->name);
    }
}

static void read_server(struct yaml_reader *reader, yaml_node_t *key, const char *name,
                        yaml_node_t *value, const char *what, void *into)
{
    static const struct yaml_key keys[] = {
        {"engine", read_server_engine, false, "what stores live on: or"},
        {"broker", file_read_broker, false, "what events travel by (bus): or"},
        {"derived", file_read_derived, false, "what derived stores lie on (derives)"},
        {"host", file_read_host, false, "where it is; without one `up` makes and runs it"},
        {"port", file_read_port, false},
        {"user", file_read_user, false},
        {"password", file_read_password, false},
        {"password_file", file_read_password_file, false,
         "a file with the password on one line, mode 0600"},
        {"token", file_read_token, false, "a broker's, instead of a user"},
        {"token_file", file_read_token_file, false},
        {"tls", file_read_tls, false},
        {"partitions", file_read_partitions, false, "a broker's: of each topic; default: 8"},
        {"options", file_read_options, false,
         "a broker's, by its kind: docs/operate/brokers.md; or of one for what is derived"},
        {"layout", read_layout, false},
        {"settings", read_server_settings, false}};
    struct system_file *file = into;
    struct system_server *server = &file->servers[file->server_count++];
    *server = (struct system_server){
        .name = name, .place = yaml_place(reader, key), .used = is_used(file, name)};
    reader->sealed = !server->used || file->keyless;
    size_t errors = reader->findings->errors;
    yaml_read_mapping(reader, value, what, keys, COUNT(keys), server);
    reader->sealed = false;
    if (!server->engine && !server->broker && !server->derived &&
        reader->findings->errors == errors)
        findings_error(
            reader->findings, server->place,
            "%s is missing engine (for stores), broker (for events) or derived (for what "
            "is derived)",
            what);
    file_check_broker(server, reader->findings);
    file_check_derived(server, reader->findings);
    check_server_login(file, server, reader->findings);
}

void file_read_servers(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    yaml_read_names(reader, node, what, SYSTEM_SERVERS_DECLARED_MAX, read_server, into);
}

/* ---- Checks across values ---- */

static struct system_server *add_private(struct system_file *file, struct system_service *service)
{
    struct system_server *server = &file->servers[file->server_count++];
    *server = (struct system_server){.name = service->name,
                                     .place = service->engine_place,
                                     .engine = service->engine,
                                     .engine_place = service->engine_place,
                                     .used = true};
    service->store.server = service->name;
    return server;
}

/* The server of a service's store; NULL with a finding. */
static struct system_server *settle_server(struct system_file *file, struct system_service *service,
                                           struct findings *findings)
{
    if (!service->store.server)
        return add_private(file, service);
    struct system_server *server = system_file_server(file, service->store.server);
    if (!server)
        file_report_no_server(file, service->name, service->store.server, service->store.place,
                              findings);
    else if (server->broker)
        findings_error(findings, service->store.place,
                       "services.%s: its server '%s' is a broker, on which no store can be",
                       service->name, server->name);
    else if (server->derived)
        findings_error(findings, service->store.place,
                       "services.%s: its server '%s' is for what is derived; no store can be on it",
                       service->name, server->name);
    else if (server->engine && strcmp(server->engine, service->engine) != 0)
        findings_error(findings, service->store.place,
                       "services.%s has the engine %s, and its server '%s' is %s", service->name,
                       service->engine, server->name, server->engine);
    else
        return server;
    return NULL;
}

static void check_installed(struct system_file *file, const struct system_service *service,
                            const struct system_server *server, struct findings *findings)
{
    const struct server_kind *kind = server_kind(server->engine);
    if (!server->address.host && !kind->programs(&file->arena))
        findings_error(findings, service->engine_place,
                       "services.%s: %s is not installed: %s, or name a server under servers:",
                       service->name, kind->engine, kind->install);
}

/* For an existing server, the service itself reports at its start what the server lacks. */
static void check_promises(const struct system_service *service, const struct system_server *server,
                           struct findings *findings)
{
    const struct server_kind *kind = server_kind(server->engine);
    if (!server->address.host && kind->lacks)
        findings_warning(findings, service->engine_place, "services.%s: %s", service->name,
                         kind->lacks);
}

static void check_given(const struct system_service *service, struct findings *findings)
{
    const struct system_store *store = &service->store;
    bool users =
        store->address.user || store->address.password || !server_kind(service->engine)->userless;
    if (!store->database || (users && (!store->address.user || !store->address.password)))
        findings_error(findings, store->place,
                       "services.%s.store.host names a store that is there already; it needs "
                       "database, user and password too",
                       service->name);
}

static bool has_setting(const struct engine *engine, const char *setting)
{
    return engine->server && strstr(engine->server->settings, setting) != NULL;
}

/* A setting that only some engine has. */
static void check_store_setting(const struct system_service *service, const struct engine *engine,
                                const char *setting, struct findings *findings)
{
    const struct engine *owner = NULL;
    if (has_setting(engine, setting))
        return;
    while ((owner = engine_next(owner)) && !has_setting(owner, setting))
        ;
    findings_error(findings, service->store.place,
                   "services.%s.store.%s is a setting of %s, and the engine is %s", service->name,
                   setting, owner ? owner->title : "an engine that is not built in", engine->name);
}

static void check_store_settings(const struct system_service *service, const struct engine *engine,
                                 struct findings *findings)
{
    const char *word = service->store.appendfsync;
    if (service->store.statement_timeout_ms)
        check_store_setting(service, engine, "statement_timeout_ms", findings);
    if (word)
        check_store_setting(service, engine, "appendfsync", findings);
    if (word && has_setting(engine, "appendfsync") && strcmp(word, "everysec") == 0)
        findings_warning(findings, service->store.place,
                         "services.%s.store.appendfsync is everysec: a power failure may undo up "
                         "to a second of acknowledged writes",
                         service->name);
}

void file_settle_store(struct system_file *file, struct system_service *service,
                       struct findings *findings)
{
    const struct engine *engine = file_settle_engine(file, service, findings);
    if (!engine)
        return;
    check_store_settings(service, engine, findings);
    if (!server_kind(engine->name)) {
        if (service->store.server || service->store.address.host)
            findings_error(findings, service->store.place,
                           "services.%s: %s is embedded, it has no server", service->name,
                           engine->name);
        return;
    }
    if (service->store.address.host) {
        check_given(service, findings);
        return; /* an existing store */
    }
    if (strlen(file->name) + 1 + strlen(service->name) > DATABASE_LENGTH_MAX)
        findings_error(findings, service->place,
                       "'%s_%s' is too long for the name of a database (%d bytes at most)",
                       file->name, service->name, DATABASE_LENGTH_MAX);
    const struct system_server *server = settle_server(file, service, findings);
    if (server && server_kind(server->engine)) {
        check_installed(file, service, server, findings);
        check_promises(service, server, findings);
    }
}
