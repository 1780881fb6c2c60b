/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private server is in STATE/.servers/NAME-ENGINE, outside its service's folder: whoever can
 * write there is as powerful as the server's superuser, whom nothing confines. NAME is the
 * service's, or that of the server in the system file; the engine is part of the name, so that a
 * profile with another engine gets another folder and leaves this one as it is.
 */

#define _GNU_SOURCE
#include "system/servers/servers.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "engine/engines.h"
#include "service/reports.h"
#include "store/tls.h"
#include "store/server.h"
#include "system/servers/brokers.h"
#include "system/servers/derives.h"
#include "system/servers/kept.h"
#include "system/servers/privates.h"
#include "system/provision/part.h"
#include "system/servers/sockets.h"
#include "system/provision/numbers.h"
#include "system/provision/users.h"

bool servers_pass(const struct system_file *file)
{
    for (size_t i = 0; i < file->server_count && geteuid() == 0; i++) {
        if (privates_is(&file->servers[i]))
            return true;
    }
    return false;
}

static const char *store_key(struct arena *arena, const struct system_service *service,
                             const struct system_server *server)
{
    return arena_printf(arena, "%s@%s", service->name, privates_key(arena, server));
}

/* ---- Folders ---- */

/* nscd, where it runs, answers for /etc/passwd, and does not know what a process is shown. */
static bool can_have_account(const struct provision *provision)
{
    return provision->options.file->users && provision->covered &&
           access("/run/nscd/socket", F_OK) != 0;
}

enum fh_code servers_find_user(struct provision *provision, const struct server_kind *kind,
                               struct provision_part *part, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    if (geteuid() != 0)
        return FH_OK;
    /* One that is there, and that this system file does not provide for, stays whose it is. */
    if (part->folder_fd >= 0)
        code = users_of_folder(part->folder_fd, &part->user, &part->group, error);
    if (code == FH_OK && !part->user && (!kind->user || can_have_account(provision))) {
        code = users_of_server(provision, part->name, &part->user, error);
        part->group = (gid_t)part->user;
    }
    if (numbers_are_ours(part->user))
        part->account = kind->user;
    if (code != FH_OK || part->user)
        return code;
    const struct passwd *user = getpwnam(kind->user);
    if (!user)
        return error_set(
            error, FH_INVALID,
            "%s does not run as root, and there is no user %s, whom its package makes.",
            kind->engine, kind->user);
    part->user = user->pw_uid;
    part->group = user->pw_gid;
    return FH_OK;
}

static enum fh_code make_server_part(struct provision *provision, int servers_fd,
                                     const struct system_server *server, struct fh_error *error)
{
    struct provision_part *part = &provision->servers[provision->server_count++];
    const char *name = privates_key(&provision->arena, server);
    *part = part_new(
        provision, name,
        arena_printf(&provision->arena, "%s/" SERVERS_FOLDER "/%s", provision->state.folder, name));
    part->stem = "server";
    const struct server_kind *kind = system_server_kind(server);
    enum fh_code code = servers_find_user(provision, kind, part, error);
    if (code == FH_OK)
        code = sockets_make_folder(servers_fd, part->name, 0700, &part->folder_fd, error);
    part->spare = !server->engine;
    if (code == FH_OK && kind->socket)
        code = sockets_make(provision, part, error);
    else if (code == FH_OK)
        code = address_reserve(&part->listen_fd, part->address, error);
    if (code == FH_OK && !kind->socket)
        part_show_programs(provision, part);
    return code;
}

enum fh_code servers_make_parts(struct provision *provision, const struct system_file *file,
                                struct fh_error *error)
{
    bool pass = servers_pass(file) && !provision->covered;
    enum fh_code code = pass ? users_let_pass(provision,
                                              "A private database server, which root runs as its "
                                              "package's user,",
                                              error)
                             : FH_OK;
    int servers_fd = -1;
    if (code == FH_OK)
        code = sockets_make(provision, NULL, error);
    for (size_t i = 0; i < file->server_count && code == FH_OK; i++) {
        if (!privates_is(&file->servers[i]) || privates_part(provision, &file->servers[i]))
            continue;
        if (provision->server_count == SYSTEM_SERVERS_MAX)
            code = error_set(error, FH_UNSUPPORTED, "More than %d servers.", SYSTEM_SERVERS_MAX);
        if (code == FH_OK && servers_fd < 0)
            code = sockets_make_folder(provision->state.folder_fd, SERVERS_FOLDER,
                                       pass ? 0711 : 0700, &servers_fd, error);
        if (code == FH_OK)
            code = make_server_part(provision, servers_fd, &file->servers[i], error);
    }
    if (code == FH_OK && servers_fd >= 0 && fsync(servers_fd) != 0)
        code = error_set_errno(error, FH_UNAVAILABLE, errno, "Cannot sync the folder %s",
                               SERVERS_FOLDER);
    if (servers_fd >= 0)
        close(servers_fd);
    return code;
}

static enum fh_code give_server(const struct provision_part *part, struct fh_error *error)
{
    enum fh_code code = users_give(part->folder_fd, part->user, part->group, error);
    return code == FH_OK ? sockets_give(part, error) : code;
}

enum fh_code servers_give(const struct provision *provision, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < provision->server_count && code == FH_OK; i++)
        code = give_server(&provision->servers[i], error);
    return code;
}

/* ---- Stores ---- */

static json_t *address_json(const struct system_address *address, int usual_port)
{
    json_t *store = json_pack("{s:s, s:i, s:s*, s:s*}", "host", address->host, "port",
                              address->port ? address->port : usual_port, "user", address->user,
                              "password", address->password);
    json_object_set_new(store, "tls", store_tls_json(address->tls, address->host));
    return store;
}

struct configuring {
    struct provision *provision;
    const struct provision_options *options;
    struct system_file *file;
    json_t *kept;
};

static json_t *store_on(struct configuring *by, const struct system_service *service,
                        const struct system_server *server)
{
    struct arena *arena = &by->provision->arena;
    const char *user = arena_printf(arena, "%s_%s", by->file->name, service->name);
    json_t *password = kept_secret(by->kept, store_key(arena, service, server));
    struct system_address address = server->address;
    const struct server_kind *kind = server_kind(server->engine);
    address.host = address.host ? address.host : "/"; /* until it is set below */
    address.user = user;
    address.password = json_string_value(password);
    json_t *store = address_json(&address, kind->port);
    if (privates_is(server))
        sockets_set_address(&by->provision->state, store, privates_key(arena, server), kind);
    json_object_set_new(store, "database", json_string(server->schemas ? by->file->name : user));
    if (kind->reports && reports_are_there(service->reports, service->engine))
        json_object_set_new(store, "reports",
                            kept_reports_user(by->kept, store_key(arena, service, server), user));
    if (server->schemas)
        json_object_set_new(store, "schema", json_string(service->name));
    return store;
}

/* TLS is decided for each replica by its own host: one may be on another machine even if the
 * primary is not. */
static json_t *replicas_json(const json_t *places, const json_t *said)
{
    json_t *replicas = json_deep_copy(places), *replica;
    size_t i;
    json_array_foreach (replicas, i, replica)
        json_object_set_new(replica, "tls", store_tls_json(said, server_text(replica, "host")));
    return replicas;
}

static void add_store(struct configuring *by, const struct system_service *service,
                      const json_t *tls_said, json_t *store)
{
    json_object_set_new(store, "connections", json_integer(service->store.connections));
    if (service->store.appendfsync)
        json_object_set_new(store, "appendfsync", json_string(service->store.appendfsync));
    if (service->store.replicas)
        json_object_set_new(store, "replicas", replicas_json(service->store.replicas, tls_said));
    if (service->store.staleness_ms)
        json_object_set_new(store, "staleness_ms", json_integer(service->store.staleness_ms));
    if (service->store.statement_timeout_ms)
        json_object_set_new(store, "statement_timeout_ms",
                            json_integer(service->store.statement_timeout_ms));
    json_object_set_new(by->provision->stores, service->name, store);
}

/* The stores of the services on one server. */
static void add_stores(struct configuring *by, const struct system_server *server)
{
    for (size_t i = 0; i < by->file->service_count; i++) {
        const struct system_service *service = &by->file->services[i];
        if (service->store.server && strcmp(service->store.server, server->name) == 0)
            add_store(by, service, server->address.tls, store_on(by, service, server));
    }
}

static void add_given(struct configuring *by)
{
    for (size_t i = 0; i < by->file->service_count; i++) {
        const struct system_service *service = &by->file->services[i];
        if (!service->store.address.host)
            continue;
        json_t *store = address_json(&service->store.address, server_kind(service->engine)->port);
        json_object_set_new(store, "database", json_string(service->store.database));
        if (service->store.schema)
            json_object_set_new(store, "schema", json_string(service->store.schema));
        if (service->store.reports.user)
            json_object_set_new(store, "reports",
                                json_pack("{s:s, s:s*}", "user", service->store.reports.user,
                                          "password", service->store.reports.password));
        add_store(by, service, service->store.address.tls, store);
    }
}

/* New reference. */
static json_t *stores_of(const struct configuring *by, const struct system_server *server)
{
    json_t *stores = json_array();
    for (size_t i = 0; i < by->file->service_count; i++) {
        const struct system_service *service = &by->file->services[i];
        if (service->store.server && strcmp(service->store.server, server->name) == 0)
            json_array_append(stores, json_object_get(by->provision->stores, service->name));
    }
    return stores;
}

/* ---- Private servers ---- */

static enum fh_code write_supervisor(const struct configuring *by,
                                     const struct system_server *server,
                                     struct provision_part *part, struct fh_error *error)
{
    json_t *config = json_pack("{s:i, s:s, s:s, s:s, s:O, s:i, s:o}", "freehold", 1, "server",
                               part->name, "engine", server->engine, "folder", part->folder,
                               "password", kept_secret(by->kept, part->name), "control_fd", 4,
                               "stores", stores_of(by, server));
    if (server->settings)
        json_object_set(config, "settings", server->settings);
    enum fh_code code = state_write_json(part->folder_fd, "server.json", config, error);
    json_decref(config);
    part_supervise(by->provision, part);
    return code;
}

/* ---- Existing servers ---- */

static enum fh_code provide_store(const struct configuring *by, const struct system_server *server,
                                  const struct system_service *service, struct fh_error *error)
{
    struct fh_error why = {0};
    json_t *provided = json_object_get(by->kept, "provided");
    const char *key = store_key(&by->provision->arena, service, server);
    char text[400];
    const struct server_kind *kind = server_kind(server->engine);
    json_t *admin = address_json(&server->address, kind->port);
    enum fh_code code = server_provide(
        kind, admin, json_object_get(by->provision->stores, service->name), false, &why);
    json_decref(admin);
    if (code == FH_UNAVAILABLE && json_object_get(provided, key)) {
        snprintf(text, sizeof text,
                 "the server %s does not answer; going on, since %s has its store there (%s)",
                 server->name, service->name, why.message);
        by->options->say(by->options->context, "server-unanswered", text);
        return FH_OK;
    }
    if (code == FH_OK)
        json_object_set_new(provided, key, json_true());
    return code == FH_OK ? FH_OK
                         : error_set(error, code == FH_CONFLICT ? FH_INVALID : code,
                                     "servers.%s, the store of %s: %.150s", server->name,
                                     service->name, why.message);
}

static enum fh_code provide_existing(const struct configuring *by, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < by->file->service_count && code == FH_OK; i++) {
        const struct system_service *service = &by->file->services[i];
        const struct system_server *server =
            service->store.server ? system_file_server(by->file, service->store.server) : NULL;
        if (server && server->address.host)
            code = provide_store(by, server, service, error);
    }
    return code == FH_OK ? kept_write(&by->provision->state, by->kept, error) : code;
}

/* ---- The whole system ---- */

static void say_where(const struct configuring *by, const struct system_service *service)
{
    char text[512], place[SERVER_PLACE_SIZE];
    struct arena *arena = &by->provision->arena;
    const json_t *store = json_object_get(by->provision->stores, service->name);
    const struct system_server *server =
        service->store.server ? system_file_server(by->file, service->store.server) : NULL;
    const char *where = "a store that is there already";
    if (server && server->address.host)
        where = arena_printf(arena, "the server %s", server->name);
    else if (server && strcmp(server->name, service->name) == 0)
        where = "a private server";
    else if (server)
        where = arena_printf(arena, "the private server %s", server->name);
    const char *schema = server_text(store, "schema");
    snprintf(text, sizeof text, "%-12s %s, %s at %s, database %s%s%s", service->name,
             service->engine, where, server_place(store, 0, place), server_text(store, "database"),
             *schema ? ", schema " : "", schema);
    by->options->say(by->options->context, "store-located", text);
}

static enum fh_code configure_servers(struct configuring *by, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < by->file->server_count && code == FH_OK; i++) {
        const struct system_server *server = &by->file->servers[i];
        const char *key = privates_key(&by->provision->arena, server);
        if (!server->used)
            continue;
        if (privates_is(server))
            kept_secret(by->kept, key);
        add_stores(by, server);
    }
    add_given(by);
    if (code == FH_OK)
        code = brokers_configure(by->provision, by->kept, error);
    if (code == FH_OK)
        derives_configure(by->provision, by->kept);
    if (code == FH_OK)
        code = kept_write(&by->provision->state, by->kept, error);
    for (size_t i = 0; i < by->file->server_count && code == FH_OK; i++) {
        const struct system_server *server = &by->file->servers[i];
        struct provision_part *part = privates_part(by->provision, server);
        if (part && privates_is(server))
            code = server->broker ? brokers_supervise(by->provision, server, part, by->kept, error)
                   : server->derived
                       ? derives_supervise(by->provision, server, part, by->kept, error)
                       : write_supervisor(by, server, part, error);
    }
    return code == FH_OK ? provide_existing(by, error) : code;
}

static struct configuring configuring_of(struct provision *provision,
                                         const struct provision_options *options)
{
    return (struct configuring){.provision = provision, .options = options, .file = options->file};
}

enum fh_code servers_configure(struct provision *provision, const struct provision_options *options,
                               struct fh_error *error)
{
    struct configuring by = configuring_of(provision, options);
    bool any = by.file->source_count > 0;
    for (size_t i = 0; i < by.file->service_count; i++)
        any |= by.file->services[i].store.server || by.file->services[i].store.address.host ||
               by.file->services[i].derives_count ||
               system_file_broker(by.file, &by.file->services[i]);
    provision->stores = json_object();
    if (!any)
        return FH_OK;
    FH_ASSERT(sodium_init() >= 0);
    enum fh_code code = kept_read(&provision->state, &by.kept, error);
    if (code != FH_OK)
        return code;
    code = configure_servers(&by, error);
    for (size_t i = 0; i < by.file->service_count && code == FH_OK; i++) {
        if (json_object_get(provision->stores, by.file->services[i].name))
            say_where(&by, &by.file->services[i]);
    }
    if (code == FH_OK)
        derives_say(provision);
    json_decref(by.kept);
    return code;
}

/* ---- One service, while the others run ---- */

/* If the server is not running, its supervisor provisions the store at its start; otherwise it is
 * done here. */
static enum fh_code add_to_private(struct configuring *by, const struct system_service *service,
                                   const struct system_server *server, struct fh_error *error)
{
    enum fh_code code = servers_make_parts(by->provision, by->file, error);
    if (code != FH_OK)
        return code;
    struct provision_part *part = privates_part(by->provision, server);
    struct life life = provision_life(part, 0);
    bool runs = life_leads(&by->provision->lives, &life);
    json_t *password = kept_secret(by->kept, part->name);
    add_store(by, service, server->address.tls, store_on(by, service, server));
    code = runs ? FH_OK : give_server(part, error);
    if (code == FH_OK)
        code = kept_write(&by->provision->state, by->kept, error);
    if (code == FH_OK)
        code = write_supervisor(by, server, part, error);
    if (code != FH_OK || !runs)
        return code;
    const struct server_kind *kind = server_kind(server->engine);
    json_t *admin = json_pack("{s:s, s:i, s:s, s:O}", "host", part->sockets, "port", kind->port,
                              "user", SERVER_SUPERUSER, "password", password);
    code = server_provide(kind, admin, json_object_get(by->provision->stores, service->name), true,
                          error);
    json_decref(admin);
    return code;
}

static enum fh_code add_to_existing(struct configuring *by, const struct system_service *service,
                                    const struct system_server *server, struct fh_error *error)
{
    add_store(by, service, server->address.tls, store_on(by, service, server));
    enum fh_code code = kept_write(&by->provision->state, by->kept, error);
    if (code == FH_OK)
        code = provide_store(by, server, service, error);
    return code == FH_OK ? kept_write(&by->provision->state, by->kept, error) : code;
}

enum fh_code servers_configure_one(struct provision *provision,
                                   const struct system_service *service, struct fh_error *error)
{
    struct configuring by = configuring_of(provision, &provision->options);
    struct system_server *server =
        service->store.server ? system_file_server(by.file, service->store.server) : NULL;
    json_object_del(provision->stores, service->name);
    if (!server && !service->store.address.host)
        return FH_OK;
    FH_ASSERT(sodium_init() >= 0);
    enum fh_code code = kept_read(&provision->state, &by.kept, error);
    if (code != FH_OK)
        return code;
    if (!server)
        add_given(&by);
    else if (privates_is(server))
        code = add_to_private(&by, service, server, error);
    else
        code = add_to_existing(&by, service, server, error);
    if (code == FH_OK)
        say_where(&by, service);
    json_decref(by.kept);
    return code;
}

const struct provision_part *servers_part(struct provision *provision,
                                          const struct system_service *service)
{
    const struct system_server *server =
        service->store.server ? system_file_server(provision->options.file, service->store.server)
                              : NULL;
    if (!server || !privates_is(server))
        return NULL;
    return privates_part(provision, server);
}
