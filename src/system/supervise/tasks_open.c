/* SPDX-License-Identifier: Apache-2.0 */
/* Opens a system as its last `up` left it, to look into its stores. Writes nothing but the lock,
 * and ends what an `up` that was killed has left half done. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "system/move/moving.h"
#include "store/server.h"
#include "system/servers/servers.h"
#include "system/servers/sockets.h"
#include "system/supervise/rebuild_stores.h"
#include "system/supervise/tasks.h"
#include "system/provision/users.h"
#include "system/provision/part.h"

static enum fh_code open_part(struct provision *provision, size_t n, struct fh_error *error)
{
    const struct system_service *service = &provision->options.file->services[n];
    struct provision_part *part = &provision->parts[provision->part_count++];
    json_t *config = NULL;
    *part =
        part_new(provision, service->name,
                 arena_printf(&provision->arena, "%s/%s", provision->state.folder, service->name));
    int fd = openat(provision->state.folder_fd, service->name,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return FH_OK;
    if (fd < 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "Cannot open the folder %s",
                               part->folder);
    enum fh_code code = state_read_json(fd, "service.json", &config, error);
    if (code != FH_OK) {
        close(fd);
        return code == FH_NOT_FOUND ? FH_OK : code;
    }
    part->folder_fd = fd;
    code = users_of_folder(fd, &part->user, &part->group, error);
    part->moves = moving_moves(provision, service->name);
    part_show_to_service(provision, service, part);
    part->arguments[0] = service->program_path;
    part->arguments[1] = "--config";
    part->config_argument = 2;
    part->stem = "service";
    json_t *store = json_object_get(config, "store");
    sockets_readdress(&provision->state, store);
    if (store)
        json_object_set(provision->stores, service->name, store);
    if (code == FH_OK && *server_text(store, "server"))
        code = moving_keep_server(provision, provision->options.command, store, error);
    if (code == FH_OK)
        code = sockets_show(provision, service, part, error);
    json_decref(config);
    return code;
}

/* An `up` may have been killed while it gave folders to other users. */
static enum fh_code finish_giving(const struct provision *provision, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < provision->part_count && code == FH_OK; i++) {
        const struct provision_part *part = &provision->parts[i];
        if (part->folder_fd >= 0)
            code = users_give(part->folder_fd, part->user, part->group, error);
    }
    return code == FH_OK ? servers_give(provision, error) : code;
}

enum fh_code tasks_open(const struct provision_options *options, struct provision **ret,
                        pid_t *ret_holder, struct fh_error *error)
{
    struct provision *provision = calloc(1, sizeof *provision);
    FH_ASSERT(provision != NULL);
    arena_init(&provision->arena, ARENA_SIZE_MAX);
    provision->options = *options;
    provision->stores = json_object();
    *ret = NULL;
    *ret_holder = 0;
    provision->state.folder_fd = provision->state.lock_fd = provision->lives.folder_fd = -1;
    enum fh_code code = state_open(&provision->state, options->state_folder, error);
    if (code == FH_OK)
        code = state_lock(&provision->state, ret_holder, error);
    if (code == FH_OK)
        users_look(provision);
    for (size_t i = 0; i < options->file->service_count && code == FH_OK; i++)
        code = open_part(provision, i, error);
    if (code == FH_OK)
        code = provision_await(provision, error);
    if (code == FH_OK)
        code = finish_giving(provision, error);
    for (size_t i = 0; i < provision->part_count && code == FH_OK; i++)
        code = provision->parts[i].folder_fd >= 0
                   ? rebuild_recover(provision->parts[i].folder_fd, error)
                   : FH_OK;
    if (code == FH_OK)
        *ret = provision;
    else
        provision_free(provision);
    return code;
}
