/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a move begins: whatever can be known to be wrong with the new home is found while the service
 * still serves, and the new server is ready before the service stops. And what the next `up` does
 * about a move that was under way: it was completed, or taken back, while the service started.
 */

#include "system/move/relocate_begin.h"

#include <string.h>

#include "base/json.h"
#include "system/check/check.h"
#include "system/move/relocate.h"
#include "system/move/relocate_reach.h"
#include "system/servers/servers.h"

static enum fh_code first_error(const struct findings *findings, const char *name,
                                struct fh_error *error)
{
    for (size_t i = 0; i < findings->count; i++) {
        if (!findings->items[i].warning)
            return error_set(error, FH_INVALID, "%s can't be moved: %.200s", name,
                             findings->items[i].message);
    }
    return FH_OK;
}

/* Checks the new home, which the service already has in the file. */
static enum fh_code check_home(struct supervisor *supervisor, struct fh_error *error)
{
    struct findings findings = {0};
    const struct relocation *relocation = &supervisor->relocation;
    const struct system_service *service = relocation_service(supervisor);
    if (strcmp(relocation->from, service->engine) == 0)
        return error_set(error, FH_INVALID, "%s has its data in %s already.", service->name,
                         service->engine);
    if (relocation_instances(supervisor)->wanted > 1 && !relocation_takes_many(service->engine))
        return error_set(error, FH_INVALID,
                         "%s has %d processes, and a store on %s takes one: freehold scale %s 1, "
                         "then move it.",
                         service->name, relocation_instances(supervisor)->wanted, service->engine,
                         service->name);
    check_system(relocation_file(supervisor), &findings);
    enum fh_code code = first_error(&findings, service->name, error);
    findings_release(&findings);
    return code;
}

/* The private server that the service's store is on, according to the file; *ret NULL: none. */
static enum fh_code server_of_home(struct supervisor *supervisor, struct instances **ret,
                                   struct fh_error *error)
{
    const struct provision_part *part =
        servers_part(supervisor->options->provision, relocation_service(supervisor));
    *ret = NULL;
    if (!part)
        return FH_OK;
    *ret = supervisor_server(supervisor, part, error);
    return *ret ? FH_OK : error->code;
}

static enum fh_code settle_home(struct supervisor *supervisor, struct fh_error *error)
{
    struct relocation *relocation = &supervisor->relocation;
    struct provision *provision = supervisor->options->provision;
    enum fh_code code = check_home(supervisor, error);
    if (code == FH_OK)
        code = servers_configure_one(provision, relocation_service(supervisor), error);
    if (code == FH_OK)
        code = server_of_home(supervisor, &relocation->new_server, error);
    return code;
}

/* A shared server may hold other services' stores too, so it stays. */
static bool is_own_server(const struct relocation *relocation, const struct system_service *service)
{
    return relocation->old_server && strcmp(service->store.server, service->name) == 0;
}

static void server_reached(struct supervisor *supervisor, const struct fh_error *why)
{
    if (why)
        relocate_cancel(supervisor, why);
    else
        relocate_leave(supervisor);
}

static void start_new_server(struct supervisor *supervisor)
{
    struct relocation *relocation = &supervisor->relocation;
    struct instances *server = relocation->new_server;
    relocation->phase = RELOCATION_SERVER;
    if (!server) {
        relocation_reach(supervisor, server_reached);
        return;
    }
    relocation->started = !instances_ready(server) || !server->wanted;
    server->wanted = 1;
    server->parted = true; /* so that we are told if it does not get ready */
    supervisor_tend(supervisor, server);
}

static enum fh_code begin_move(struct supervisor *supervisor, const json_t *request,
                               struct fh_error *error)
{
    struct findings findings = {0};
    struct relocation *relocation = &supervisor->relocation;
    struct system_file *file = relocation_file(supervisor);
    struct system_service *service = relocation_service(supervisor);
    const char *to = json_string_at(request, "to"), *profile = json_string_at(request, "profile");
    enum fh_code code = server_of_home(supervisor, &relocation->old_server, error);
    if (code != FH_OK)
        return code;
    if (!is_own_server(relocation, service))
        relocation->old_server = NULL;
    if (!home_read(file, service, profile ? profile : file->profile, to, &relocation->other,
                   &findings) ||
        !home_read(file, service, file->profile, NULL, &relocation->said, &findings))
        code = first_error(&findings, service->name, error);
    findings_release(&findings);
    if (code != FH_OK)
        return code;
    relocation->other.engine_place = relocation->said.engine_place;
    relocation->from = service->engine;
    relocation->to = relocation->other.engine;
    relocation->entry = json_pack("{s:s, s:s, s:b, s:s*}", "file", relocation->said.engine, "to",
                                  relocation->to, "as_said", to == NULL, "profile", profile);
    relocation_swap(supervisor);
    code = settle_home(supervisor, error);
    if (code != FH_OK)
        relocation_swap(supervisor);
    return code;
}

/* Abandons it if it still can be; if the move turns out to be past that point, its end says so. */
static enum fh_code abandon_move(struct supervisor *supervisor, size_t service,
                                 struct fh_error *error)
{
    struct fh_error why;
    struct relocation *relocation = &supervisor->relocation;
    const char *name = supervisor->all[service].part->name;
    if (relocation->phase == RELOCATION_NONE || relocation->service != service)
        return error_set(error, FH_CONFLICT, "%s is not being moved.", name);
    error_set(&why, FH_CONFLICT, "It was abandoned.");
    if (relocation->phase == RELOCATION_SERVER)
        relocate_cancel(supervisor, &why);
    else if (relocation->phase == RELOCATION_MOVING && relocation_instances(supervisor)->alone)
        relocate_go_back(supervisor, why.message);
    else if (relocation->phase != RELOCATION_BACK)
        return error_set(error, FH_CONFLICT, "The move of %s can't be abandoned now.", name);
    return FH_OK;
}

enum fh_code relocate_asked(struct supervisor *supervisor, size_t service, const json_t *request,
                            struct fh_error *error)
{
    struct relocation *relocation = &supervisor->relocation;
    const struct instances *instances = &supervisor->all[service];
    if (json_is_true(json_object_get(request, "abandon")))
        return abandon_move(supervisor, service, error);
    if (relocation->phase != RELOCATION_NONE)
        return error_set(error, FH_CONFLICT, "%s is being moved; wait for its end.",
                         relocation_service(supervisor)->name);
    if (supervisor->renewal.count || instances->parting || instances->upgraded >= 0)
        return error_set(error, FH_CONFLICT,
                         "Something is being upgraded or restored; wait for its end.");
    *relocation = (struct relocation){.service = service};
    enum fh_code code = begin_move(supervisor, request, error);
    if (code == FH_OK)
        start_new_server(supervisor);
    else
        relocate_end(supervisor);
    return code;
}

/* ---- After `up` has died ---- */

void relocate_came_up(struct supervisor *supervisor)
{
    struct provision *provision = supervisor->options->provision;
    struct fh_error error;
    const char *name;
    json_t *entry, *all = json_deep_copy(provision->moved);
    bool changed = false;
    json_object_foreach (all, name, entry) {
        enum moved_state state = moved_state(all, name);
        struct system_service *service = system_file_service(relocation_file(supervisor), name);
        bool over = !service || state == MOVED_BACK || !service->moved_from;
        if (state == MOVED_DONE && !over)
            continue;
        changed = true;
        if (moved_record(&provision->state, provision->moved, name,
                         over ? NULL : json_incref(entry), MOVED_DONE, &error) != FH_OK)
            supervisor_say(supervisor, SUPERVISE_TROUBLE, "move-record-failed", NULL,
                           "the move of %s could not be recorded: %s", name, error.message);
        else if (service && state != MOVED_DONE)
            supervisor_say(supervisor, SUPERVISE_DONE, "move-finished", NULL,
                           "the move of %s is over: it is on %s", name, service->engine);
    }
    if (changed && provision_configure(provision, &error) != FH_OK)
        supervisor_say(supervisor, SUPERVISE_TROUBLE, "configuration-unsaved", NULL, "%s",
                       error.message);
    json_decref(all);
    for (size_t i = 0; i + 1 < supervisor->count; i++) {
        struct instances *instances = &supervisor->all[i];
        if (instances->alone) {
            instances->alone = false;
            supervisor_tend(supervisor, instances);
        }
    }
}
