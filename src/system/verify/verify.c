/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files in the folders are listed at the time of the check, so that a new kind of file is tried
 * without anyone having to think of it. A path that has vanished in the meantime counts neither
 * way.
 *
 * Where the kernel has no Landlock, nothing keeps processes of one user apart. That is a warning,
 * not an error, since nobody has lifted the confinement.
 */

#define _GNU_SOURCE
#include "system/verify/verify.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "service/confine.h"
#include "system/provision/keys.h"
#include "system/servers/servers.h"
#include "system/servers/sockets.h"
#include "system/supervise/life.h"

static void add_path(json_t *paths, const char *folder, const char *name)
{
    char path[4608];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    json_array_append_new(paths, json_string(path));
}

static void add_part_paths(json_t *paths, const struct state *state, const char *part)
{
    char folder[4352];
    snprintf(folder, sizeof folder, "%s/%s", state->folder, part);
    add_path(paths, state->folder, part);
    DIR *directory = opendir(folder);
    struct dirent *entry;
    for (int i = 0; directory && i < VERIFY_FILES_MAX && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.')
            continue;
        add_path(paths, folder, entry->d_name);
        i++;
    }
    if (directory)
        closedir(directory);
}

/* Its own server's folder too: whoever can write there controls the server. */
static void add_servers(json_t *paths, const struct state *state)
{
    char folder[4352], part[320];
    snprintf(folder, sizeof folder, "%s/" SERVERS_FOLDER, state->folder);
    DIR *directory = opendir(folder);
    struct dirent *entry;
    if (!directory)
        return;
    add_path(paths, state->folder, SERVERS_FILE);
    add_path(paths, state->folder, SERVERS_FOLDER);
    add_path(paths, state->folder, SERVERS_SOCKETS);
    for (int i = 0; i < SYSTEM_SERVERS_MAX && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(part, sizeof part, SERVERS_SOCKETS "/%s", entry->d_name);
        add_path(paths, state->folder, part); /* not the sockets: no file's rights say who enters */
        snprintf(part, sizeof part, SERVERS_FOLDER "/%s", entry->d_name);
        add_part_paths(paths, state, part);
        i++;
    }
    closedir(directory);
}

json_t *verify_paths(const struct system_file *file, const struct state *state,
                     const struct system_service *service)
{
    static const char *const whole[] = {KEYS_FILE, "system.json", "up.lock"};
    json_t *paths = json_array(), *question = json_object();
    json_array_append_new(paths, json_string(state->folder));
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        add_path(paths, state->folder, whole[i]);
    for (size_t i = 0; i < file->service_count; i++) {
        if (strcmp(file->services[i].name, service->name) != 0)
            add_part_paths(paths, state, file->services[i].name);
    }
    add_part_paths(paths, state, KEYS_GATEWAY);
    add_part_paths(paths, state, LIVES_FOLDER);
    add_servers(paths, state);
    json_object_set_new(question, "paths", paths);
    return question;
}

static bool is_way_open(const json_t *tried, const char *way)
{
    const char *result = json_string_at(tried, way);
    return result && strcmp(result, "open") == 0;
}

static void add_once(json_t *list, const char *sentence)
{
    size_t i;
    json_t *item;
    json_array_foreach (list, i, item) {
        if (strcmp(json_string_value(item), sentence) == 0)
            return;
    }
    json_array_append_new(list, json_string(sentence));
}

/* The gateway's port is the public's: it has no endpoint for this. */
static void add_gaps(int abi, json_t *not_verified)
{
    for (const char *const *gap = confine_gaps(abi); *gap; gap++)
        add_once(not_verified, *gap);
    add_once(not_verified,
             "the gateway's own confinement was not tried: it has no door for operators");
}

void verify_judge(const struct system_service *service, const json_t *answer,
                  struct findings *findings, json_t *not_verified)
{
    json_int_t abi = 0;
    json_t *tried;
    size_t i, open_count = 0;
    bool confined = json_is_true(json_at(answer, "landlock.confined"));
    json_integer_at(answer, "landlock.abi", &abi);
    if (!confined && abi > 0)
        findings_error(findings, service->place,
                       "%s is not confined, though its kernel could: its confinement is lifted",
                       service->name);
    json_array_foreach (json_at(answer, "tried"), i, tried) {
        bool read = is_way_open(tried, "read"), write = is_way_open(tried, "write");
        if (!read && !write)
            continue;
        open_count++;
        if (confined || abi > 0)
            findings_error(findings, service->place, "%s can %s%s%s %s, which is not its own",
                           service->name, read ? "read" : "", read && write ? " and " : "",
                           write ? "write" : "", json_string_at(tried, "path"));
    }
    if (open_count && !confined && abi == 0)
        findings_warning(findings, service->place,
                         "%s reaches %zu files and folders that are not its own: its kernel has no "
                         "Landlock",
                         service->name, open_count);
    const char *calls = json_string_at(answer, "calls"); /* an older program says nothing of them */
    if (confined && calls && strcmp(calls, "unfiltered") == 0)
        findings_warning(findings, service->place,
                         "%s may make every system call: its kernel has no seccomp", service->name);
    if (json_array_size(json_at(answer, "tried")) == 0)
        findings_error(findings, service->place, "%s tried nothing", service->name);
    add_gaps(confined ? (int)abi : 0, not_verified);
}
