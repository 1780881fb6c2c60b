/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks a running system from outside: whether it is the one the file describes, who may read the
 * files in its state folder, and whether each process was given exactly its own keys and grants.
 * What can only be verified by trying from inside is in verify.c.
 */

#include "system/verify/live.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "event/feed/grant.h"
#include "system/check/callers.h"
#include "system/supervise/child.h"
#include "system/provision/instance.h"
#include "system/provision/keys.h"
#include "system/servers/servers.h"
#include "system/servers/sockets.h"
#include "system/supervise/life.h"
#include "system/verify/processes.h"

static const json_t *item_named(const json_t *list, const char *name)
{
    size_t i;
    json_t *item;
    json_array_foreach ((json_t *)(uintptr_t)list, i, item) {
        const char *other = json_string_at(item, "name");
        if (other && strcmp(other, name) == 0)
            return item;
    }
    return NULL;
}

/* `also` is the mode it has while something ends; 0: none. */
static void check_either_mode(const struct state *state, struct place place, const char *name,
                              mode_t expected, mode_t also, struct findings *findings)
{
    struct stat status;
    if (fstatat(state->folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        findings_error(findings, place, "%s/%s is not there", state->folder, name);
    else if ((status.st_mode & 0777) != expected && (status.st_mode & 0777) != also)
        findings_error(findings, place,
                       "%s/%s has the mode %04o; expected %04o, or others reach it", state->folder,
                       name, (unsigned)status.st_mode & 0777, (unsigned)expected);
}

static void check_mode(const struct state *state, struct place place, const char *name,
                       mode_t expected, struct findings *findings)
{
    check_either_mode(state, place, name, expected, 0, findings);
}

/* A part's folder and the files that must be there; and the store, if it is in the folder. */
static void check_modes(const struct state *state, struct place place, const char *part,
                        const char *const *files, struct findings *findings)
{
    char name[128];
    check_mode(state, place, part, 0700, findings);
    for (; *files; files++) {
        snprintf(name, sizeof name, "%s/%s", part, *files);
        check_mode(state, place, name, 0600, findings);
    }
    snprintf(name, sizeof name, "%s/store.db", part);
    if (faccessat(state->folder_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        check_mode(state, place, name, 0600, findings);
}

/* ---- Keys and grants ---- */

/* Whether any text in `value` equals `key`. */
static bool value_holds_key(const json_t *value, const char *key)
{
    const char *text = json_string_value(value), *unused;
    json_t *item;
    json_object_foreach ((json_t *)(uintptr_t)value, unused, item) {
        if (value_holds_key(item, key))
            return true;
    }
    return text && strcmp(text, key) == 0;
}

static void check_keys_held(struct place place, const char *part, const json_t *config,
                            const json_t *keys, struct findings *findings)
{
    const char *caller, *receiver;
    json_t *receivers, *key;
    json_object_foreach ((json_t *)(uintptr_t)keys, caller, receivers) {
        json_object_foreach (receivers, receiver, key) {
            bool mine = strcmp(caller, part) == 0 || strcmp(receiver, part) == 0;
            if (!mine && json_is_string(key) &&
                value_holds_key(json_object_get(config, "keys"), json_string_value(key)))
                findings_error(findings, place, "%s holds the key by which %s calls %s", part,
                               caller, receiver);
        }
    }
}

/* `all`: keys.json. */
static void check_caller_keys(struct place place, const char *part, const json_t *config,
                              const json_t *all, struct findings *findings)
{
    static const char *const kinds[] = {"keys", "next", "former"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        check_keys_held(place, part, config, json_object_get(all, kinds[i]), findings);
}

static void check_grants(const struct system_service *service, const json_t *config,
                         const json_t *matrix, struct findings *findings)
{
    const char *caller;
    json_t *grants, *grant;
    size_t i;
    const json_t *granted = json_object_get(matrix, service->name);
    json_object_foreach (json_object_get(config, "callers"), caller, grants) {
        json_array_foreach (grants, i, grant) {
            const char *what = json_string_value(grant);
            if (!what || !grant_covers(json_object_get(granted, caller), what))
                findings_error(findings, service->place,
                               "%s lets %s have '%s', which is not granted to it; stop the system "
                               "and start it again",
                               service->name, caller,
                               what ? what : "something that is not a string");
        }
    }
    if (json_is_true(json_object_get(config, "open")))
        findings_warning(
            findings, service->place,
            "%s is open: its public routes take requests from anybody who reaches its port",
            service->name);
}

static void check_configs(struct system_file *file, const struct state *state,
                          struct findings *findings)
{
    struct fh_error error;
    json_t *keys = NULL, *config, *matrix = callers_matrix(file);
    char name[64];
    if (keys_read_all(state, &keys, &error) != FH_OK)
        findings_error(findings, (struct place){file->path, 0, 0}, "%s", error.message);
    for (size_t i = 0; i < file->service_count; i++) {
        const struct system_service *service = &file->services[i];
        snprintf(name, sizeof name, "%s/service.json", service->name);
        if (state_read_json(state->folder_fd, name, &config, ERROR_UNHEEDED) != FH_OK)
            continue; /* checking its mode has already reported that it is missing */
        check_caller_keys(service->place, service->name, config, keys, findings);
        check_grants(service, config, matrix, findings);
        json_decref(config);
    }
    if (state_read_json(state->folder_fd, "gateway/gateway.json", &config, ERROR_UNHEEDED) ==
        FH_OK) {
        check_caller_keys(file->listen_place, KEYS_GATEWAY, config, keys, findings);
        json_decref(config);
    }
    json_decref(matrix);
    json_decref(keys);
}

/* The configurations of a service's other instances, which hold the same secrets. */
static void check_instances(const struct system_service *service, const struct state *state,
                            const json_t *process, struct findings *findings)
{
    char file[INSTANCE_FILE_SIZE], name[128];
    size_t i;
    json_t *instance;
    json_array_foreach (json_at(process, "instances"), i, instance) {
        int number = (int)json_integer_value(json_at(instance, "instance"));
        instance_file(file, "service", number, ".json");
        snprintf(name, sizeof name, "%s/%s", service->name, file);
        if (number)
            check_mode(state, service->place, name, 0600, findings);
    }
}

static void check_live_service(const struct system_service *service, const struct state *state,
                               const json_t *status, const json_t *recorded, struct walls walls,
                               struct findings *findings)
{
    const json_t *process = item_named(json_at(status, "services"), service->name);
    const json_t *then = item_named(json_at(recorded, "services"), service->name);
    if (!process) {
        findings_error(findings, service->place,
                       "%s is not part of the running system; stop it and start it again",
                       service->name);
        return;
    }
    if (!json_is_true(json_at(process, "ready")))
        findings_error(findings, service->place, "%s is not ready (%s)", service->name,
                       json_string_at(process, "phase"));
    if (!json_equal(json_at(then, "description"), service->description))
        findings_error(
            findings, service->place,
            "%s runs another version than %s: what the program says of itself has changed "
            "since up; stop the system and start it again",
            service->name, service->program_path);
    static const char *const files[] = {"service.json", NULL};
    check_modes(state, service->place, service->name, files, findings);
    check_instances(service, state, process, findings);
    processes_check(process, service->place, service->name, walls, findings);
}

static void check_servers(const struct system_file *file, const struct state *state,
                          const json_t *status, struct walls walls, struct findings *findings)
{
    static const char *const files[] = {"server.json", NULL};
    struct place whole = {file->path, 0, 0};
    char part[128];
    size_t i;
    json_t *process;
    json_array_foreach (json_at(status, "servers"), i, process) {
        const char *name = json_string_at(process, "name");
        const char *phase = json_string_at(process, "phase");
        bool leaving = phase && strcmp(phase, child_state_name(CHILD_STOPPING)) == 0;
        if (leaving) /* what was on it has been moved away */
            continue;
        if (!json_is_true(json_at(process, "ready")))
            findings_error(findings, whole, "the server %s is not ready (%s)", name,
                           json_string_at(process, "phase"));
        snprintf(part, sizeof part, SERVERS_FOLDER "/%s", name);
        check_modes(state, whole, part, files, findings);
        snprintf(part, sizeof part, SERVERS_SOCKETS "/%s", name);
        const char *address = json_string_at(process, "address");
        if (address && strcmp(address, part) == 0) /* a broker listens on a port */
            check_either_mode(state, whole, part, geteuid() == 0 ? 0710 : 0700,
                              geteuid() == 0 ? 0711 : 0, findings);
        processes_check(process, whole, name, walls, findings);
    }
    check_mode(state, whole, SERVERS_SOCKETS, geteuid() == 0 ? 0711 : 0700, findings);
    if (i)
        check_mode(state, whole, SERVERS_FILE, 0600, findings);
}

void live_check(struct system_file *file, const struct state *state, const json_t *status,
                struct findings *findings, json_t *not_verified)
{
    struct place whole = {file->path, 0, 0};
    struct fh_error error;
    json_t *recorded, *process;
    size_t i;
    if (state_read_json(state->folder_fd, "system.json", &recorded, &error) != FH_OK) {
        findings_error(findings, whole, "%s", error.message);
        return;
    }
    if (strcmp(json_string_at(status, "system"), file->name) != 0)
        findings_error(findings, whole, "the system that runs there is '%s', not '%s'",
                       json_string_at(status, "system"), file->name);
    if (!json_is_true(json_at(status, "gateway.ready")))
        findings_error(findings, whole, "the gateway is not ready (%s)",
                       json_string_at(status, "gateway.phase"));
    static const char *const gateway_files[] = {"gateway.json", NULL};
    check_modes(state, whole, "gateway", gateway_files, findings);
    check_mode(state, whole, LIVES_FOLDER, 0700, findings);
    /* Servers that were still stopping when `status` was made pass through it until they end. */
    bool ending = geteuid() == 0 && json_array_size(json_at(status, "servers"));
    bool covered = json_is_true(json_at(recorded, "covered"));
    const struct walls walls = {.users = file->users && geteuid() == 0, .namespaces = covered};
    processes_check(json_at(status, "gateway"), whole, "the gateway", walls, findings);
    bool passed = !covered && (file->users || servers_pass(file));
    if (!covered)
        json_array_append_new(
            not_verified,
            json_string(
                "what there is in closed folders can be seen: the processes run in no mount "
                "namespaces"));
    check_either_mode(state, whole, ".", passed ? 0711 : 0700, ending ? 0711 : 0, findings);
    check_servers(file, state, status, walls, findings);
    check_mode(state, whole, KEYS_FILE, 0600, findings);
    check_configs(file, state, findings);
    for (i = 0; i < file->service_count; i++)
        check_live_service(&file->services[i], state, status, recorded, walls, findings);
    json_array_foreach (json_at(status, "services"), i, process) {
        const char *name = json_string_at(process, "name");
        if (!system_file_service(file, name))
            findings_error(findings, whole, "%s runs, but the file no longer has it", name);
    }
    json_decref(recorded);
}
