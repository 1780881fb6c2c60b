/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In this order: the lock; then waiting for processes that an earlier `up` left alive, and killing
 * them if they linger (they may hold stores' locks and the gateway's address); then folders,
 * sockets, and last the configurations, which name the sockets. Doing it all again is harmless, so
 * a crash anywhere in between needs no undoing.
 */

#define _GNU_SOURCE
#include "system/provision/provision.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "engine/engines.h"
#include "store/store.h"
#include "system/backup/restore.h"
#include "system/check/callers.h"
#include "system/provision/keys.h"
#include "system/provision/links.h"
#include "system/provision/tls_files.h"
#include "system/move/moving.h"
#include "system/servers/brokers.h"
#include "system/servers/derives.h"
#include "system/servers/servers.h"
#include "system/servers/sockets.h"
#include "system/provision/users.h"
#include "system/provision/part.h"
#include "system/provision/subscribed.h"

/* ---- Folders and sockets ---- */

static enum fh_code refuse_other_system(const struct provision *provision,
                                        const struct system_file *file, struct fh_error *error)
{
    json_t *before;
    if (state_read_json(provision->state.folder_fd, "system.json", &before, ERROR_UNHEEDED) !=
        FH_OK)
        return FH_OK;
    const char *name = json_string_at(before, "system");
    enum fh_code code = FH_OK;
    if (name && strcmp(name, file->name) != 0)
        code =
            error_set(error, FH_INVALID,
                      "%s holds the state of the system '%s', not of '%s'; choose another --state.",
                      provision->state.folder, name, file->name);
    json_decref(before);
    return code;
}

static enum fh_code make_service_part(struct provision *provision, const char *name,
                                      struct fh_error *error)
{
    struct provision_part *part = &provision->parts[provision->part_count++];
    int state_fd = provision->state.folder_fd;
    *part = part_new(provision, name,
                     arena_printf(&provision->arena, "%s/%s", provision->state.folder, name));
    part->user = users_of(provision, name);
    if (!state_make_part(&provision->state, name))
        return error_set_errno(error, FH_UNAVAILABLE, errno, "Cannot make the folder %s",
                               part->folder);
    part->folder_fd = openat(state_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (part->folder_fd < 0 || fchmod(part->folder_fd, 0700) != 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "Cannot open the folder %s",
                               part->folder);
    return FH_OK;
}

static enum fh_code open_sockets(struct provision *provision,
                                 const struct provision_options *options, struct fh_error *error)
{
    for (size_t i = 0; i < provision->part_count; i++) {
        struct provision_part *part = &provision->parts[i];
        bool gateway = i + 1 == provision->part_count;
        enum fh_code code = address_listen(gateway ? options->listen : "127.0.0.1:0",
                                           &part->listen_fd, part->address, error);
        if (code == FH_OK && gateway && options->file->inside)
            code =
                address_listen(options->file->inside, &part->inside_fd, provision->inside, error);
        if (code != FH_OK)
            return code;
    }
    return FH_OK;
}

/* ---- Configurations ---- */

static json_t *peers_json(const struct provision *provision)
{
    json_t *peers = json_object();
    for (size_t i = 0; i + 1 < provision->part_count; i++)
        json_object_set_new(peers, provision->parts[i].name,
                            json_string(provision->parts[i].address));
    return peers;
}

/* Who may call whom, and the keys to authenticate them (the whole of keys.json). */
struct grants {
    json_t *matrix, *keys;
};

static json_t *config_json(const struct provision *provision, const struct system_file *file)
{
    json_t *config = json_object();
    json_object_set_new(config, "freehold", json_integer(1));
    json_object_set_new(config, "system", json_string(file->name));
    json_object_set_new(config, "listen_fd", json_integer(3));
    json_object_set_new(config, "control_fd", json_integer(4));
    json_object_set_new(config, "peers", peers_json(provision));
    return config;
}

static bool goes_outside(const struct system_service *service)
{
    size_t i, j;
    json_t *saga, *step;
    if (json_array_size(json_object_get(service->description, "fetches")) > 0)
        return true;
    json_array_foreach (json_object_get(service->description, "sagas"), i, saga) {
        json_array_foreach (json_object_get(saga, "steps"), j, step) {
            if (json_object_get(step, "outside"))
                return true;
        }
    }
    return false;
}

static void configure_outside(const struct system_service *service, json_t *config)
{
    json_t *ports = json_array();
    const struct system_outside *outside = &service->outside;
    for (size_t i = 0; i < outside->port_count; i++)
        json_array_append_new(ports, json_integer(outside->ports[i]));
    if (goes_outside(service)) {
        json_object_set_new(config, "outside",
                            json_string(outside->anywhere ? "anywhere" : "public"));
        json_object_set_new(config, "outside_http", json_boolean(outside->http));
        json_object_set(config, "outside_hosts", outside->hosts);
        json_object_set(config, "outside_keys", outside->signing);
    }
    json_object_set_new(config, "outside_ports", ports);
}

static enum fh_code write_service_config(struct provision *provision,
                                         const struct provision_options *options,
                                         struct provision_part *part,
                                         const struct system_service *service,
                                         const struct grants *grants, struct fh_error *error)
{
    json_t *config = config_json(provision, options->file);
    json_object_set_new(config, "service", json_string(service->name));
    json_object_set_new(config, "engine", json_string(service->engine));
    const struct engine *engine = engine_named(service->engine);
    if (engine && engine_can(engine, ENGINE_MANY_INSTANCES)) /* child.c passes it */
        json_object_set_new(config, "own_listen_fd", json_integer(6));
    json_object_set_new(config, "folder", json_string(part->folder));
    json_object_set_new(config, "migrations",
                        service->migrations ? json_string(service->migrations) : json_null());
    if (service->reports)
        json_object_set_new(config, "reports", json_string(service->reports));
    json_object_set(config, "settings", service->settings);
    json_object_set(config, "retention", service->retention);
    subscribed_configure(options->file, service, config);
    configure_outside(service, config);
    json_object_set_new(config, "store",
                        json_deep_copy(json_object_get(provision->stores, service->name)));
    links_configure(part, options->file, config);
    part->moves = moving_moves(provision, service->name);
    part_show_to_service(provision, service, part);
    enum fh_code code = sockets_show(provision, service, part, error);
    if (code == FH_OK)
        code = moving_configure(provision, options, part, service, config, error);
    if (code == FH_OK)
        code = tls_files_give(part, json_object_get(json_object_get(config, "store"), "tls"),
                              "store", (const char *const[]){"key", NULL}, error);
    if (code == FH_OK)
        code = brokers_configure_service(provision, part, service->name, config, error);
    if (code == FH_OK)
        code = derives_configure_service(provision, part, service, config, error);
    json_object_set_new(config, "keys",
                        keys_of_service(grants->keys, grants->matrix, service->name));
    json_object_set(config, "callers", json_object_get(grants->matrix, service->name));
    json_object_set_new(config, "events_granted", json_true());
    json_object_set_new(config, "open", json_boolean(service->open));
    json_object_set_new(config, "request_log",
                        json_string(service->logs_requests ? "all" : "failed"));
    json_object_set_new(config, "exposure", exposure_json(options->file->service_exposure));
    json_object_set_new(config, "confine", json_boolean(!service->unconfined));
    if (code == FH_OK)
        code = state_write_json(part->folder_fd, "service.json", config, error);
    json_decref(config);
    return code;
}

static const char *const door_files[] = {"certificate", "key", "ca", "revoked", NULL};

static void lend_door_files(struct provision_part *part, const struct system_file *file)
{
    part_lend_key(part, file->door_certificate);
    part_lend_key(part, file->door_key);
    part_lend_key(part, json_string_at(file->door_clients, "ca"));
    part_lend_key(part, json_string_at(file->door_clients, "revoked"));
}

static enum fh_code configure_limits(const struct provision_part *part,
                                     const struct system_file *file, json_t *config,
                                     struct fh_error *error)
{
    if (file->limits.proxy_count)
        json_object_set_new(config, "proxies", system_file_proxies(&file->limits));
    if (!file->limits.given)
        return FH_OK;
    json_t *limits = system_file_limits(&file->limits, file->name);
    json_object_set_new(config, "limits", limits);
    return tls_files_give(part, json_at(limits, "shared.tls"), "limits",
                          (const char *const[]){"certificate", "key", "ca", NULL}, error);
}

static enum fh_code write_gateway_config(const struct provision *provision,
                                         const struct provision_part *part,
                                         const struct system_file *file,
                                         const struct grants *grants, struct fh_error *error)
{
    json_t *config = config_json(provision, file);
    json_t *services = json_object(), *compose = json_array();
    for (size_t i = 0; i < file->service_count; i++) {
        const struct system_service *service = &file->services[i];
        if (callers_take(service, KEYS_GATEWAY))
            json_object_set(services, service->name, service->description);
    }
    for (size_t i = 0; i < file->composition_count; i++)
        json_array_append_new(compose, system_file_composition(&file->compositions[i]));
    json_object_set_new(config, "services", services);
    json_object_set_new(config, "compose", compose);
    json_object_set_new(config, "request_log", json_string(file->logs_requests ? "all" : "failed"));
    json_object_set_new(config, "exposure", exposure_json(file->gateway_exposure));
    if (part->inside_fd >= 0)
        json_object_set_new(config, "inside_fd", json_integer(5)); /* child.c passes it */
    json_object_set_new(config, "door", system_file_door(&file->door, provision->options.listen));
    enum fh_code code = configure_limits(part, file, config, error);
    json_object_set_new(config, "keys", keys_of_gateway(grants->keys, grants->matrix));
    links_configure(part, file, config);
    if (file->auth || file->door_clients) {
        json_t *auth = file->auth ? json_copy(file->auth) : json_object();
        if (file->door_clients)
            json_object_set(auth, "certificates", file->door_clients);
        if (json_object_get(auth, "keys"))
            json_object_set_new(
                auth, "keys",
                json_sprintf("%s/" CLIENT_KEYS_FOLDER "/" CLIENT_KEYS_NAME, part->folder));
        json_object_set_new(config, "auth", auth);
        json_object_set_new(config, "outside", json_string("anywhere"));
    }
    if (code == FH_OK && file->door_certificate) {
        json_t *door =
            json_pack("{s:s, s:s}", "certificate", file->door_certificate, "key", file->door_key);
        json_object_update(door, file->door_clients);
        json_object_set_new(config, "listen_tls", door);
        code = tls_files_give(part, door, "door", door_files, error);
    }
    if (code == FH_OK)
        code = state_write_json(part->folder_fd, "gateway.json", config, error);
    json_decref(config);
    return code;
}

static enum fh_code write_system(const struct provision *provision, const struct system_file *file,
                                 struct fh_error *error)
{
    char *path = realpath(file->path, NULL);
    const struct provision_part *gateway = &provision->parts[provision->part_count - 1];
    json_t *services = json_array(), *system = json_object();
    for (size_t i = 0; i < file->service_count; i++) {
        const struct system_service *service = &file->services[i];
        json_t *item = json_object();
        json_object_set_new(item, "name", json_string(service->name));
        json_object_set_new(item, "program", json_string(service->program_path));
        json_object_set_new(item, "engine", json_string(service->engine));
        json_object_set_new(item, "address", json_string(provision->parts[i].address));
        json_object_set(item, "description", service->description);
        json_array_append_new(services, item);
    }
    json_object_set_new(system, "freehold", json_integer(1));
    json_object_set_new(system, "system", json_string(file->name));
    json_object_set_new(system, "file", json_string(path ? path : file->path));
    json_object_set_new(system, "profile",
                        file->profile ? json_string(file->profile) : json_null());
    json_object_set_new(system, "up_pid", json_integer(getpid()));
    json_object_set_new(system, "gateway",
                        json_pack("{s:s, s:b}", "address", gateway->address, "tls",
                                  file->door_certificate != NULL));
    json_object_set_new(system, "links_tls", json_boolean(file->links_tls));
    json_object_set_new(system, "covered", json_boolean(provision->covered));
    json_object_set_new(system, "services", services);
    json_object_set(system, "backup_key", file->backup_key); /* where it is */
    free(path);
    enum fh_code code = state_write_json(provision->state.folder_fd, "system.json", system, error);
    json_decref(system);
    return code;
}

static enum fh_code write_configs(struct provision *provision,
                                  const struct provision_options *options, struct fh_error *error)
{
    struct system_file *file = options->file;
    struct grants grants = {.matrix = callers_matrix(file)};
    bool starting = !provision->granted;
    callers_add(grants.matrix, provision->granted);
    enum fh_code code = keys_make(&provision->state, file, starting, (int64_t)time(NULL) * 1000,
                                  &grants.keys, error);
    for (size_t i = 0; i < provision->part_count && code == FH_OK; i++) {
        struct provision_part *part = &provision->parts[i];
        if (i < file->service_count) {
            code =
                write_service_config(provision, options, part, &file->services[i], &grants, error);
            part->program = &file->services[i].described;
            part->arguments[0] = file->services[i].program_path;
            part->arguments[1] = "--config";
            part->arguments[2] = arena_printf(&provision->arena, "%s/service.json", part->folder);
            part->config_argument = 2;
            part->stem = "service";
        } else {
            code = write_gateway_config(provision, part, file, &grants, error);
            lend_door_files(part, file);
            part->arguments[0] = options->command;
            part->arguments[1] = "gateway";
            part->arguments[2] = "--config";
            part->arguments[3] = arena_printf(&provision->arena, "%s/gateway.json", part->folder);
            part->config_argument = 3;
            part->stem = "gateway";
            part->program = &provision->command;
            part_show_counters(provision, part);
        }
        if (code == FH_OK)
            code = users_give(part->folder_fd, part->user, part->user, error);
    }
    json_decref(provision->granted);
    provision->granted = grants.matrix;
    if (grants.keys) {
        json_decref(provision->keys);
        provision->keys = grants.keys;
    }
    return code == FH_OK ? write_system(provision, file, error) : code;
}

enum fh_code provision_system(const struct provision_options *options, struct provision **ret,
                              pid_t *ret_holder, struct fh_error *error)
{
    struct system_file *file = options->file;
    struct provision *provision = calloc(1, sizeof *provision);
    FH_ASSERT(provision != NULL);
    arena_init(&provision->arena, ARENA_SIZE_MAX);
    provision->options = *options;
    provision->lives.folder_fd = -1;
    provision->command = program_hold(options->command);
    *ret = NULL;
    *ret_holder = 0;
    enum fh_code code = state_create(&provision->state, options->state_folder, error);
    if (code == FH_OK)
        code = state_lock(&provision->state, ret_holder, error);
    if (code == FH_OK) {
        provision->moved = moved_read(&provision->state);
        code = refuse_other_system(provision, file, error);
    }
    if (code == FH_OK)
        code = users_prepare(provision, error);
    for (size_t i = 0; i < file->service_count && code == FH_OK; i++)
        code = make_service_part(provision, file->services[i].name, error);
    if (code == FH_OK)
        code = make_service_part(provision, "gateway", error);
    if (code == FH_OK)
        code = servers_make_parts(provision, file, error);
    if (code == FH_OK)
        code = moving_keep_servers(provision, options, error);
    if (code == FH_OK)
        code = provision_await(provision, error);
    for (size_t i = 0; i < file->service_count && code == FH_OK; i++)
        restore_remove_left(provision->parts[i].folder_fd);
    if (code == FH_OK)
        code = servers_give(provision, error);
    if (code == FH_OK)
        code = servers_configure(provision, options, error);
    if (code == FH_OK)
        code = open_sockets(provision, options, error);
    if (code == FH_OK)
        code = links_prepare(provision, file, error);
    if (code == FH_OK)
        code = write_configs(provision, options, error);
    const char *client_keys = json_string_at(file->auth, "keys");
    if (code == FH_OK && client_keys)
        code =
            client_keys_copy_open(&provision->client_keys,
                                  &provision->parts[provision->part_count - 1], client_keys, error);
    if (code == FH_OK)
        *ret = provision;
    else
        provision_free(provision);
    return code;
}

enum fh_code provision_configure_service(struct provision *provision, size_t service,
                                         struct fh_error *error)
{
    struct system_file *file = provision->options.file;
    struct provision_part *part = &provision->parts[service];
    struct grants grants = {provision->granted, provision->keys};
    provision->options.moving = NULL; /* see provision_configure */
    provision->options.abandon = false;
    return write_service_config(provision, &provision->options, part, &file->services[service],
                                &grants, error);
}

enum fh_code provision_configure_gateway(struct provision *provision, struct fh_error *error)
{
    const struct grants grants = {provision->granted, provision->keys};
    return write_gateway_config(provision, &provision->parts[provision->part_count - 1],
                                provision->options.file, &grants, error);
}

enum fh_code provision_configure(struct provision *provision, struct fh_error *error)
{
    provision->options.moving = NULL; /* every move asked for is done, or is under way */
    provision->options.abandon = false;
    return write_configs(provision, &provision->options, error);
}

enum fh_code provision_renew(struct provision *provision, size_t service, struct fh_error *error)
{
    struct system_file *file = provision->options.file;
    json_t *before = json_incref(provision->granted);
    enum fh_code code = provision_configure(provision, error);
    for (size_t i = 0; i < file->service_count; i++)
        provision->owed[service][i] |=
            !json_equal(json_object_get(before, file->services[i].name),
                        json_object_get(provision->granted, file->services[i].name));
    json_decref(before);
    return code;
}

json_t *provision_keys(const struct provision *provision, const struct provision_part *part)
{
    size_t n = (size_t)(part - provision->parts);
    return n + 1 == provision->part_count
               ? keys_of_gateway(provision->keys, provision->granted)
               : keys_of_service(provision->keys, provision->granted, part->name);
}

void provision_free(struct provision *provision)
{
    if (!provision)
        return;
    for (size_t i = 0; i < provision->part_count; i++)
        part_close(&provision->parts[i]);
    for (size_t i = 0; i < provision->server_count; i++)
        part_close(&provision->servers[i]);
    lives_close(&provision->lives);
    client_keys_copy_close(&provision->client_keys);
    program_release(&provision->command);
    json_decref(provision->stores);
    json_decref(provision->buses);
    json_decref(provision->derives);
    json_decref(provision->granted);
    json_decref(provision->keys);
    json_decref(provision->moved);
    json_decref(provision->numbers);
    if (provision->state.folder_fd >= 0)
        state_close(&provision->state);
    arena_release(&provision->arena);
    free(provision);
}
