/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private server's socket is apart from its data, to which no service may have a way. Its path
 * follows from the state folder's and the server's name alone, so an address of before can be
 * replaced by the present one.
 */

#define _GNU_SOURCE
#include "system/servers/sockets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "engine/engines.h"
#include "system/provision/part.h"
#include "system/servers/servers.h"

/* ---- Folders ---- */

enum fh_code sockets_make_folder(int parent_fd, const char *name, mode_t mode, int *ret_fd,
                                 struct fh_error *error)
{
    if (mkdirat(parent_fd, name, 0700) != 0 && errno != EEXIST)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "Cannot make the folder %s", name);
    *ret_fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*ret_fd < 0 || (mode && fchmod(*ret_fd, mode) != 0))
        return error_set_errno(error, FH_UNAVAILABLE, errno, "Cannot open the folder %s", name);
    return FH_OK;
}

enum fh_code sockets_make(struct provision *provision, struct provision_part *part,
                          struct fh_error *error)
{
    const struct state *state = &provision->state;
    int all_fd = -1, own_fd = -1;
    enum fh_code code = sockets_make_folder(state->folder_fd, SERVERS_SOCKETS,
                                            geteuid() == 0 ? 0711 : 0700, &all_fd, error);
    if (code == FH_OK && part)
        code = sockets_make_folder(all_fd, part->name, 0, &own_fd, error);
    if (code == FH_OK && part) {
        part->sockets =
            arena_printf(&provision->arena, "%s/" SERVERS_SOCKETS "/%s", state->folder, part->name);
        snprintf(part->address, sizeof part->address, SERVERS_SOCKETS "/%s", part->name);
        part_open(part, part->sockets);
        part_show_programs(provision, part);
    }
    if (own_fd >= 0)
        close(own_fd);
    if (all_fd >= 0)
        close(all_fd);
    return code;
}

static void remove_sockets(int folder_fd)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    for (const struct dirent *entry; folder && (entry = readdir(folder));)
        unlinkat(folder_fd, entry->d_name, 0);
    if (folder)
        closedir(folder);
}

enum fh_code sockets_give(const struct provision_part *part, struct fh_error *error)
{
    struct stat status;
    if (geteuid() != 0 || !part->sockets)
        return FH_OK;
    int fd = open(part->sockets, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool given = fd >= 0 && fstat(fd, &status) == 0;
    if (given && status.st_uid != part->user) {
        remove_sockets(fd);
        given = fchmod(fd, 0700) == 0 && fchown(fd, part->user, part->group) == 0;
    }
    int number = errno;
    if (fd >= 0)
        close(fd);
    return given ? FH_OK
                 : error_set_errno(error, FH_UNAVAILABLE, number,
                                   "The folder %s can't be given to its server", part->sockets);
}

/* ---- Who gets to them ---- */

/* Whether it is the own server, or one of before, of another service: of those a name begins with
 * the service's. A service that names one in its folder is not believed. */
static bool is_anothers_own(const struct system_file *file, const char *server,
                            const struct system_service *service)
{
    bool anothers = false;
    for (size_t i = 0; i < file->service_count; i++) {
        const char *name = file->services[i].name;
        size_t length = strlen(name);
        if (strncmp(server, name, length) != 0 || server[length] != '-' ||
            !server_kind(server + length + 1))
            continue;
        if (&file->services[i] == service)
            return false;
        anothers = true;
    }
    return anothers;
}

static bool service_uses(const struct provision *provision, const struct system_service *service,
                         const struct provision_part *part, const struct provision_part *server)
{
    const json_t *store = json_object_get(provision->stores, service->name);
    return (part->moves || strcmp(server_text(store, "server"), server->name) == 0) &&
           !is_anothers_own(provision->options.file, server->name, service);
}

/* The group of its folder: the user of the only service that uses it; 0: all pass. */
static gid_t group_of_users(const struct provision *provision, const struct provision_part *server)
{
    const struct system_file *file = provision->options.file;
    size_t count = 0;
    gid_t group = 0;
    for (size_t i = 0; i < file->service_count && i < provision->part_count; i++) {
        const struct system_service *service = &file->services[i];
        if (!service_uses(provision, service, &provision->parts[i], server))
            continue;
        group = provision->parts[i].user;
        count++;
    }
    return count == 1 ? group : 0;
}

static enum fh_code let_in(const struct provision *provision, const struct provision_part *server,
                           struct fh_error *error)
{
    if (geteuid() != 0)
        return FH_OK;
    gid_t group = group_of_users(provision, server);
    int fd = open(server->sockets, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool let = fd >= 0 && fchown(fd, server->user, group ? group : server->group) == 0 &&
               fchmod(fd, group ? 0710 : 0711) == 0;
    int number = errno;
    if (fd >= 0)
        close(fd);
    return let ? FH_OK
               : error_set_errno(error, FH_UNAVAILABLE, number,
                                 "The folder %s can't be opened to its service", server->sockets);
}

enum fh_code sockets_show(struct provision *provision, const struct system_service *service,
                          struct provision_part *part, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < provision->server_count && code == FH_OK; i++) {
        const struct provision_part *server = &provision->servers[i];
        if (!server->sockets || !service_uses(provision, service, part, server))
            continue;
        part_show(part, server->sockets);
        code = let_in(provision, server, error);
    }
    return code;
}

/* ---- Addresses ---- */

void sockets_set_address(const struct state *state, json_t *store, const char *key,
                         const struct server_kind *kind)
{
    json_object_set_new(store, "server", json_string(key));
    json_object_set_new(store, "host",
                        json_sprintf("%s/" SERVERS_SOCKETS "/%s", state->folder, key));
    json_object_set_new(store, "port", json_integer(kind->port));
}

static const char *key_of_port(const json_t *kept, int port)
{
    const char *key;
    json_t *one;
    json_object_foreach (json_object_get(kept, "ports"), key, one) {
        if (port > 0 && json_integer_value(one) == port)
            return key;
    }
    return NULL;
}

void sockets_readdress(const struct state *state, json_t *store)
{
    json_t *kept = NULL, *config = NULL;
    char path[512];
    const char *key = json_string_at(store, "server");
    if (!store || (!key && strcmp(server_text(store, "host"), "127.0.0.1") != 0))
        return;
    if (!key && state_read_json(state->folder_fd, SERVERS_FILE, &kept, ERROR_UNHEEDED) == FH_OK)
        key = key_of_port(kept, server_port(store, 0));
    snprintf(path, sizeof path, SERVERS_FOLDER "/%s/server.json", key ? key : "");
    const struct server_kind *kind =
        key && state_read_json(state->folder_fd, path, &config, ERROR_UNHEEDED) == FH_OK
            ? server_kind(server_text(config, "engine"))
            : NULL;
    if (kind) {
        char *name = strdup(key); /* it may be the store's, and is replaced */
        FH_ASSERT(name != NULL);
        sockets_set_address(state, store, name, kind);
        free(name);
    }
    json_decref(config);
    json_decref(kept);
}
