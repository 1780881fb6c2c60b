/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private server's socket is apart from its data, to which no service may have a way. Its path
 * follows from the state folder's and the server's name alone, so an address of before can be
 * replaced by the present one.
 */

#define _GNU_SOURCE
#include "system/servers/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "engine/engines.h"
#include "system/servers/servers.h"

/* ---- Folders ---- */

enum fh_code sockets_make_folder(int parent_fd, const char *name, mode_t mode,
                                 const struct provision_part *part, int *ret_fd,
                                 struct fh_error *error)
{
    if (mkdirat(parent_fd, name, 0700) != 0 && errno != EEXIST)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "Cannot make the folder %s", name);
    *ret_fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*ret_fd < 0 || fchmod(*ret_fd, mode) != 0 ||
        (part->user && fchown(*ret_fd, part->user, part->group) != 0))
        return error_set_errno(error, FH_UNAVAILABLE, errno, "Cannot open the folder %s", name);
    return FH_OK;
}

enum fh_code sockets_make(const struct state *state, struct arena *arena,
                          struct provision_part *part, struct fh_error *error)
{
    const struct provision_part whole = {0};
    mode_t mode = geteuid() == 0 ? 0711 : 0700;
    int all_fd = -1, own_fd = -1;
    enum fh_code code =
        sockets_make_folder(state->folder_fd, SERVERS_SOCKETS, mode, &whole, &all_fd, error);
    if (code == FH_OK && part)
        code = sockets_make_folder(all_fd, part->name, mode, part, &own_fd, error);
    if (code == FH_OK && part) {
        part->sockets = arena_printf(arena, "%s/" SERVERS_SOCKETS "/%s", state->folder, part->name);
        snprintf(part->address, sizeof part->address, SERVERS_SOCKETS "/%s", part->name);
    }
    if (own_fd >= 0)
        close(own_fd);
    if (all_fd >= 0)
        close(all_fd);
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
