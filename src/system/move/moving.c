/* SPDX-License-Identifier: Apache-2.0 */
/* What `up` does about a store whose engine is no longer the file's. The service itself does the
 * moving: service/move.c. */

#define _GNU_SOURCE
#include "system/move/moving.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "engine/engines.h"
#include "service/process.h"
#include "store/server.h"
#include "system/servers/servers.h"
#include "system/servers/sockets.h"
#include "system/provision/part.h"
#include "system/provision/users.h"

static bool is_named_to_move(const char *const *names, const char *name)
{
    for (; names && *names; names++) {
        if (strcmp(*names, name) == 0)
            return true;
    }
    return false;
}

bool moving_moves(const struct provision *provision, const char *service)
{
    enum moved_state state = moved_state(provision->moved, service);
    return state == MOVED_MOVING || state == MOVED_BACK ||
           is_named_to_move(provision->options.moving, service);
}

/* Asks whether the new server is there and lets the service in: the service's process would wait
 * long for a server that is down. A private one is started with the system, so it need not be
 * asked. */
static enum fh_code may_enter(const struct provision *provision,
                              const struct system_service *service, struct fh_error *error)
{
    struct fh_error why;
    const struct server_kind *kind = server_kind(service->engine);
    const json_t *store = json_object_get(provision->stores, service->name);
    bool is_private =
        service->store.server &&
        !system_file_server(provision->options.file, service->store.server)->address.host;
    if (!kind || !store || is_private || server_try(kind, store, &why) == FH_OK)
        return FH_OK;
    return error_set(error, why.code, "%.40s can't be moved: %s", service->name, why.message);
}

/* To the operator who asked for the move of this service. */
static void say_move_plan(const struct provision_options *options,
                          const struct system_service *service, const char *from)
{
    char text[256];
    if (!is_named_to_move(options->moving, service->name))
        return;
    if (from) {
        snprintf(text, sizeof text, "%-12s moves from %s to %s before it serves", service->name,
                 from, service->engine);
        options->say(options->context, "move-planned", text);
    } else {
        snprintf(text, sizeof text, "%-12s has its data in %s already: nothing is moved",
                 service->name, service->engine);
        options->say(options->context, "move-unneeded", text);
    }
}

enum fh_code moving_configure(const struct provision *provision,
                              const struct provision_options *options,
                              const struct provision_part *part,
                              const struct system_service *service, json_t *config,
                              struct fh_error *error)
{
    json_t *record = NULL;
    enum moved_state state = moved_state(provision->moved, service->name);
    bool abandons = (is_named_to_move(options->moving, service->name) && options->abandon) ||
                    state == MOVED_BACK;
    bool moves = is_named_to_move(options->moving, service->name) || state == MOVED_MOVING;
    if (abandons)
        json_object_set_new(config, "abandon_move", json_true());
    if (state_read_json(part->folder_fd, PROCESS_STORE_FILE, &record, ERROR_UNHEEDED) != FH_OK)
        return FH_OK; /* it has never served */
    const char *engine = json_string_at(record, "engine");
    bool elsewhere = engine && strcmp(engine, service->engine) != 0;
    enum fh_code code = FH_OK;
    if (elsewhere && (!moves || abandons)) {
        code = error_set(error, FH_INVALID,
                         "%s has its data in %s, and the system file says %s. `freehold move FILE "
                         "%s` moves them there; to leave them, say engine: %s.",
                         service->name, engine, service->engine, service->name, engine);
    } else if (elsewhere && is_named_to_move(options->moving, service->name) &&
               may_enter(provision, service, error) != FH_OK) {
        code = error->code;
    } else if (elsewhere) {
        say_move_plan(options, service, engine);
        sockets_readdress(&provision->state, json_object_get(record, "store"));
        json_t *from = json_pack("{s:s, s:s, s:O*, s:O*}", "engine", engine, "folder", part->folder,
                                 "store", json_object_get(record, "store"), "incarnation",
                                 json_object_get(record, "incarnation"));
        json_object_set_new(config, "from", from);
    } else if (!abandons) {
        say_move_plan(options, service, NULL);
    }
    json_decref(record);
    return code;
}

/* ---- Servers that the file no longer names ---- */

static bool has_server(const struct provision *provision, const char *name)
{
    for (size_t i = 0; i < provision->server_count; i++) {
        if (strcmp(provision->servers[i].name, name) == 0)
            return true;
    }
    return false;
}

/* Its supervisor's configuration remains from the last `up` that named it, and is used again. */
static enum fh_code keep_server(struct provision *provision, const char *command,
                                const char *folder_name, int folder_fd, const json_t *config,
                                struct fh_error *error)
{
    struct arena *arena = &provision->arena;
    struct provision_part *part = &provision->servers[provision->server_count];
    if (provision->server_count == SYSTEM_SERVERS_MAX)
        return error_set(error, FH_UNSUPPORTED, "More than %d servers.", SYSTEM_SERVERS_MAX);
    *part = part_new(
        provision, arena_text(arena, folder_name),
        arena_printf(arena, "%s/" SERVERS_FOLDER "/%s", provision->state.folder, folder_name));
    part->folder_fd = folder_fd;
    part_supervise(provision, part);
    part->arguments[0] = command;
    provision->server_count++;
    enum fh_code code =
        servers_find_user(provision, server_kind(server_text(config, "engine")), part, error);
    if (code == FH_OK)
        code = sockets_make(provision, part, error);
    if (code == FH_OK && part->user)
        code = users_let_pass(provision, "A private database server of before", error);
    return code;
}

/* Finds the private server that the store is on; it is in the state folder. */
enum fh_code moving_keep_server(struct provision *provision, const char *command,
                                const json_t *store, struct fh_error *error)
{
    int servers_fd = openat(provision->state.folder_fd, SERVERS_FOLDER,
                            O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *folder = servers_fd >= 0 ? fdopendir(servers_fd) : NULL;
    enum fh_code code = FH_OK;
    for (struct dirent *entry; folder && code == FH_OK && (entry = readdir(folder));) {
        json_t *config = NULL;
        if (entry->d_name[0] == '.' || has_server(provision, entry->d_name))
            continue;
        int folder_fd =
            openat(servers_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        bool kept = folder_fd >= 0 &&
                    state_read_json(folder_fd, "server.json", &config, ERROR_UNHEEDED) == FH_OK &&
                    strcmp(entry->d_name, server_text(store, "server")) == 0;
        if (kept)
            code = keep_server(provision, command, entry->d_name, folder_fd, config, error);
        else if (folder_fd >= 0)
            close(folder_fd);
        json_decref(config);
    }
    if (folder)
        closedir(folder);
    return code;
}

enum fh_code moving_keep_servers(struct provision *provision,
                                 const struct provision_options *options, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < options->file->service_count && code == FH_OK; i++) {
        const struct system_service *service = &options->file->services[i];
        json_t *record = NULL;
        if ((!is_named_to_move(options->moving, service->name) &&
             moved_state(provision->moved, service->name) != MOVED_MOVING) ||
            state_read_json(provision->parts[i].folder_fd, PROCESS_STORE_FILE, &record,
                            ERROR_UNHEEDED) != FH_OK)
            continue;
        json_t *store = json_object_get(record, "store");
        sockets_readdress(&provision->state, store);
        if (*server_text(store, "server"))
            code = moving_keep_server(provision, options->command, store, error);
        json_decref(record);
    }
    return code;
}
