/* SPDX-License-Identifier: Apache-2.0 */
/* A file that can't be read counts as empty: the stores themselves know which of them may serve. */

#define _GNU_SOURCE
#include "system/move/moved.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "system/move/home.h"

static const char *const state_names[] = {
    [MOVED_NOT] = "", [MOVED_MOVING] = "moving", [MOVED_BACK] = "back", [MOVED_DONE] = "moved"};

json_t *moved_read(const struct state *state)
{
    json_t *moved = NULL;
    if (state_read_json(state->folder_fd, MOVED_FILE, &moved, ERROR_UNHEEDED) == FH_OK &&
        json_is_object(moved))
        return moved;
    json_decref(moved);
    return json_object();
}

static enum moved_state state_of_entry(const json_t *entry)
{
    const char *name = json_string_at(entry, "state");
    for (enum moved_state state = MOVED_MOVING; name && state <= MOVED_DONE; state++) {
        if (strcmp(state_names[state], name) == 0)
            return state;
    }
    return MOVED_NOT;
}

enum moved_state moved_state(const json_t *moved, const char *service)
{
    return state_of_entry(json_object_get(moved, service));
}

static enum fh_code forget_all(const struct state *state, struct fh_error *error)
{
    if ((unlinkat(state->folder_fd, MOVED_FILE, 0) == 0 || errno == ENOENT) &&
        fsync(state->folder_fd) == 0)
        return FH_OK;
    return error_set_errno(error, FH_UNAVAILABLE, errno, MOVED_FILE " can't be removed");
}

enum fh_code moved_record(const struct state *state, json_t *moved, const char *service,
                          json_t *entry, enum moved_state to, struct fh_error *error)
{
    if (!entry && !json_object_get(moved, service))
        return FH_OK;
    if (entry) {
        json_object_set_new(entry, "state", json_string(state_names[to]));
        json_object_set_new(moved, service, entry);
    } else {
        json_object_del(moved, service);
    }
    /* Removing the file needs no room on a full disk. */
    return json_object_size(moved) ? state_write_durable(state->folder_fd, MOVED_FILE, moved, error)
                                   : forget_all(state, error);
}

static bool is_asked_to_move(const char *const *names, const char *name)
{
    for (; names && *names; names++) {
        if (strcmp(*names, name) == 0)
            return true;
    }
    return false;
}

static void apply_one(struct system_file *file, struct system_service *service, const json_t *entry,
                      enum moved_state state, struct findings *findings)
{
    const char *says = json_string_at(entry, "file"), *to = json_string_at(entry, "to");
    bool as_said = json_is_true(json_object_get(entry, "as_said"));
    const char *profile = as_said ? json_string_at(entry, "profile") : NULL;
    struct place place = service->engine_place;
    struct system_home home, before = home_of(service);
    struct findings unused = {0};
    bool agrees = to && strcmp(to, service->engine) == 0;
    if (!says || !to || (!agrees && strcmp(says, service->engine) != 0))
        return; /* the file wins */
    bool read = home_read(file, service, profile ? profile : file->profile, as_said ? NULL : to,
                          &home, agrees ? &unused : findings);
    findings_release(&unused);
    if (!read)
        return;
    if (home_same(&before, &home)) {
        home_release(&home); /* the file agrees by now */
        return;
    }
    service->moved_from = home_words(&file->arena, service, &before);
    service->moved_to = home_words(&file->arena, service, &home);
    home_swap(file, service, &home);
    home_release(&home);
    service->engine_place = place;
    if (state == MOVED_DONE)
        findings_warning(
            findings, place,
            "%s has its data in %s since `freehold move`, and the file says %s: say %s",
            service->name, service->engine, service->moved_from, service->moved_to);
    else
        findings_warning(findings, place,
                         "%s is being moved, and the file says %s: the next `freehold up` goes on; "
                         "then say %s",
                         service->name, service->moved_from, service->moved_to);
}

void moved_apply(struct system_file *file, const char *state_folder, const char *const *leave,
                 bool abandon, struct findings *findings)
{
    struct state state;
    const char *name;
    json_t *entry;
    if (state_open(&state, state_folder, ERROR_UNHEEDED) != FH_OK)
        return;
    json_t *moved = moved_read(&state);
    state_close(&state);
    json_object_foreach (moved, name, entry) {
        struct system_service *service = system_file_service(file, name);
        enum moved_state is = state_of_entry(entry);
        bool left = is_asked_to_move(leave, name) && (is == MOVED_DONE || abandon);
        if (service && !left && (is == MOVED_MOVING || is == MOVED_DONE))
            apply_one(file, service, entry, is, findings);
    }
    json_decref(moved);
}
