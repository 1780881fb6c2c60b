/* SPDX-License-Identifier: Apache-2.0 */
/* What processes see is taken from the system file alone: whatever is in a service's folder, a
 * service may have written. */

#define _GNU_SOURCE
#include "system/check/programs.h"
#include "system/provision/part.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"

struct provision_part part_new(const struct provision *provision, const char *name,
                               const char *folder)
{
    return (struct provision_part){.name = name,
                                   .folder = folder,
                                   .folder_fd = -1,
                                   .listen_fd = -1,
                                   .inside_fd = -1,
                                   .covered = provision->covered ? provision->state.folder : NULL};
}

void part_close(struct provision_part *part)
{
    const int held[] = {part->listen_fd, part->inside_fd, part->folder_fd};
    for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
        if (held[i] >= 0)
            close(held[i]);
    }
}

void part_supervise(const struct provision *provision, struct provision_part *part)
{
    struct arena *arena = (struct arena *)(uintptr_t)&provision->arena;
    part->program = &provision->command;
    part->arguments[0] = provision->options.command;
    part->arguments[1] = "keep";
    part->arguments[2] = "--config";
    part->arguments[3] = arena_printf(arena, "%s/server.json", part->folder);
}

/* A service that has moved often still sees the certificates of its last servers. */
static void add_read(const char *list[PROVISION_READS_MAX + 1], const char *path)
{
    size_t count = 0;
    if (!path)
        return;
    for (; list[count]; count++) {
        if (strcmp(list[count], path) == 0)
            return;
    }
    if (count == PROVISION_READS_MAX)
        memmove(list, list + 1, --count * sizeof *list);
    list[count] = path;
}

void part_show(struct provision_part *part, const char *path)
{
    add_read(part->reads, path);
}

void part_open(struct provision_part *part, const char *path)
{
    add_read(part->writes, path);
}

void part_lend_key(struct provision_part *part, const char *path)
{
    add_read(part->keys, path);
}

/* PREFIX/bin stands for PREFIX, whose libraries and data programs find by themselves; not for a
 * home. */
static const char *installed_prefix(struct arena *arena, const struct provision *provision,
                                    const char *folder)
{
    const char *slash = strrchr(folder, '/'), *home = getenv("HOME");
    if (!slash || slash == folder || (strcmp(slash, "/bin") != 0 && strcmp(slash, "/sbin") != 0))
        return folder;
    const char *prefix = arena_printf(arena, "%.*s", (int)(slash - folder), folder);
    bool whole =
        (home && strcmp(prefix, home) == 0) || namespace_is_below(provision->state.folder, prefix);
    return whole ? folder : prefix;
}

void part_show_programs(const struct provision *provision, struct provision_part *part)
{
    struct arena *arena = (struct arena *)(uintptr_t)&provision->arena;
    const char *at = getenv("PATH"), *own = programs_servers_folder(arena);
    if (provision->covered && own && !namespace_is_below(provision->state.folder, own))
        part_show(part, own);
    /* What is closed even to root's other users stays closed to them. */
    while (provision->covered && geteuid() != 0 && at && *at) {
        size_t length = strcspn(at, ":");
        const char *folder = arena_printf(arena, "%.*s", (int)length, at);
        if (*folder == '/' && !namespace_is_below(provision->state.folder, folder))
            part_show(part, installed_prefix(arena, provision, folder));
        at += length + (at[length] != '\0');
    }
}

/* As the system file has them: never as a service's folder does. */
static void let_use_tls(const struct provision *provision, struct provision_part *part,
                        const json_t *tls)
{
    static const char *const names[] = {"ca", "certificate", "key"};
    struct arena *arena = (struct arena *)(uintptr_t)&provision->arena;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *path = json_string_at(tls, names[i]);
        if (path)
            part_lend_key(part, arena_text(arena, path));
    }
}

/* One that moves its store is also where it was before, which only its own folder says: so it sees
 * the certificates of all servers. */
void part_show_to_service(const struct provision *provision, const struct system_service *service,
                          struct provision_part *part)
{
    const struct system_file *file = provision->options.file;
    part_show(part, service->migrations);
    part_show(part, service->reports);
    for (size_t i = 0; i < service->read_count; i++) {
        if (!namespace_is_below(service->reads[i].path, provision->state.folder))
            part_show(part, service->reads[i].path);
    }
    for (size_t i = 0; i < file->server_count; i++) {
        const struct system_server *server = &file->servers[i];
        if (part->moves ||
            (service->store.server && strcmp(server->name, service->store.server) == 0))
            let_use_tls(provision, part, server->address.tls);
    }
    let_use_tls(provision, part, service->store.address.tls);
}

/* The folder with the socket, since a server that is started again makes a new one; the socket, if
 * that folder is one of those in which all of the system is. */
static void let_reach_socket(const struct provision *provision, struct provision_part *part,
                             const char *host)
{
    struct arena *arena = (struct arena *)(uintptr_t)&provision->arena;
    struct stat status;
    const char *slash = strrchr(host, '/');
    bool folder = stat(host, &status) == 0 && S_ISDIR(status.st_mode);
    const char *path =
        folder || slash == host ? host : arena_printf(arena, "%.*s", (int)(slash - host), host);
    part_show(part, namespace_is_below(provision->state.folder, path) ? host : path);
}

void part_show_counters(const struct provision *provision, struct provision_part *part)
{
    const struct system_address *shared = &provision->options.file->limits.shared.address;
    let_use_tls(provision, part, shared->tls);
    if (shared->host && shared->host[0] == '/')
        let_reach_socket(provision, part, shared->host);
}

enum fh_code part_plan_mounts(const struct provision_part *part, int program_fd,
                              char *const *environment, struct mount_plan **ret,
                              struct fh_error *error)
{
    const struct namespace_options options = {.state = part->covered,
                                              .folder = part->folder,
                                              .program = part->arguments[0],
                                              .program_fd = program_fd,
                                              .reads = part->reads,
                                              .writes = part->writes,
                                              .keys = part->keys,
                                              .environment = environment ? environment : environ,
                                              .user = part->user,
                                              .account = part->account};
    *ret = NULL;
    return part->covered ? namespace_plan(&options, ret, error) : FH_OK;
}
