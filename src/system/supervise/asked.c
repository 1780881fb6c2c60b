/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers what can be answered at once, and begins what takes time: that one is answered by whoever
 * sees its end (upgrade.c, rebuild.c, move/relocate.c, and asked_not_restored).
 */

#include "system/supervise/asked.h"

#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "system/backup/restore.h"
#include "system/file/nearest.h"
#include "system/move/relocate_begin.h"
#include "system/supervise/scale.h"
#include "system/supervise/upgrade.h"

static const char *const phase_names[] = {"starting", "starting", "starting", "up",
                                          "stopping", "stopping", "stopping", "stopped"};

/* What the system file says of the store instead; null: the file agrees. */
static json_t *moved_json(const struct system_service *service)
{
    if (!service->moved_from)
        return json_null();
    return json_pack("{s:s, s:i, s:s, s:s}", "path", service->engine_place.file, "line",
                     service->engine_place.line, "says", service->moved_from, "expected",
                     service->moved_to);
}

static json_t *status_json(void *context)
{
    struct supervisor *supervisor = context;
    const struct system_file *file = supervisor->options->file;
    json_t *all = json_object(), *services = json_array(), *servers = json_array();
    for (size_t i = 0; i + 1 < supervisor->count; i++) {
        json_t *service = instances_json(&supervisor->all[i]);
        json_object_set_new(service, "program", watch_json(supervisor, i));
        json_object_set_new(service, "upgrading", json_boolean(watch_upgrades(supervisor, i)));
        json_object_set_new(service, "rebuilding",
                            json_boolean(rebuild_lets(supervisor, i, ERROR_UNHEEDED) != FH_OK));
        json_object_set_new(service, "engine", json_string(file->services[i].engine));
        json_object_set_new(service, "file", moved_json(&file->services[i]));
        json_array_append_new(services, service);
    }
    for (size_t i = 0; i < supervisor->server_count; i++) {
        const struct instances *server = &supervisor->servers[i];
        if (server->wanted || !instances_ended(server)) /* otherwise its store was moved away */
            json_array_append_new(servers, instances_json(server));
    }
    json_object_set_new(all, "system", json_string(file->name));
    json_object_set_new(all, "profile", file->profile ? json_string(file->profile) : json_null());
    json_object_set_new(all, "phase", json_string(phase_names[supervisor->phase]));
    json_object_set_new(all, "up_pid", json_integer(getpid()));
    json_t *gateway = instances_json(supervisor_gateway(supervisor));
    json_object_set_new(gateway, "program", watch_json(supervisor, supervisor->count - 1));
    json_object_set_new(gateway, "upgrading",
                        json_boolean(watch_upgrades(supervisor, supervisor->count - 1)));
    json_object_set_new(gateway, "tls", json_boolean(file->door_certificate != NULL));
    json_object_set_new(all, "gateway", gateway);
    json_object_set_new(all, "services", services);
    json_object_set_new(all, "servers", servers);
    return all;
}

static enum fh_code begin_scale(struct supervisor *supervisor, struct instances *instances,
                                const json_t *request, struct fh_error *error)
{
    struct system_service *service =
        system_file_service(supervisor->options->file, instances->part->name);
    json_int_t wanted;
    if (!json_integer_at(request, "instances", &wanted))
        return error_set(error, FH_INVALID,
                         "The request does not say how many instances %s is to have.",
                         service->name);
    int count = wanted < 1 || wanted > SYSTEM_INSTANCES_MAX ? 0 : (int)wanted;
    int before = instances->wanted;
    enum fh_code code = instances_scale(instances, count, error);
    if (code != FH_OK)
        return code;
    code = scale_record(&supervisor->options->provision->state, service, count, error);
    if (code != FH_OK)
        instances->wanted = before;
    return code;
}

/* The upgrade was started automatically or at another client's request: its end answers this
 * request too. */
static bool is_under_way(const struct supervisor *supervisor, size_t service)
{
    const struct provision_part *part = supervisor->all[service].part;
    struct program_file now = program_file_look(part->arguments[0]);
    return supervisor->renewal.count && supervisor->renewal.service == service &&
           program_file_same(&now, &supervisor->renewal.taken);
}

/* While none of the service's processes runs: from here on the restore is durably ordered, for the
 * next `up` too. */
static void order_restore(struct instances *instances)
{
    struct fh_error error;
    struct supervisor *supervisor = instances->model.owner;
    if (restore_order(instances->part->folder_fd, &error) != FH_OK)
        supervisor_say(supervisor, SUPERVISE_TROUBLE, "restore-order-failed", instances->part->name,
                       "%s: %s", instances->part->name, error.message);
}

static enum fh_code begin_restore(struct supervisor *supervisor, struct instances *instances,
                                  struct fh_error *error)
{
    if (supervisor->renewal.count)
        return error_set(error, FH_CONFLICT, "%s is being upgraded; wait for its end.",
                         upgrade_name(supervisor));
    return instances_part(instances, order_restore, error);
}

static enum fh_code not_there(const struct supervisor *supervisor, const char *name,
                              struct fh_error *error)
{
    struct nearest nearest = nearest_begin(name);
    for (size_t i = 0; i + 1 < supervisor->count; i++)
        nearest_offer(&nearest, supervisor->all[i].part->name);
    if (nearest.word)
        return error_set(error, FH_NOT_FOUND,
                         "The running system has no service '%s'; did you mean '%s'?", name,
                         nearest.word);
    return error_set(error, FH_NOT_FOUND, "The running system has no service '%s'.", name);
}

static enum fh_code change_asked(void *context, const char *command, const char *name,
                                 const json_t *request, struct fh_error *error)
{
    struct supervisor *supervisor = context;
    bool upgrade = strcmp(command, "upgrade") == 0;
    if (strcmp(command, "rotate-keys") == 0)
        return rotation_asked(supervisor, request, error);
    /* The gateway, the last part, is not a service, but has a program too. */
    size_t parts = supervisor->count - (upgrade ? 0 : 1), service = 0;
    while (service < parts && strcmp(supervisor->all[service].part->name, name) != 0)
        service++;
    if (service == parts)
        return not_there(supervisor, name, error);
    if (supervisor->phase != UP)
        return error_set(error, FH_CONFLICT, "The system is %s; ask when it is up.",
                         phase_names[supervisor->phase]);
    if (strcmp(command, "move") == 0)
        return rebuild_lets(supervisor, service, error) == FH_OK
                   ? relocate_asked(supervisor, service, request, error)
                   : error->code;
    if (supervisor->relocation.phase != RELOCATION_NONE &&
        supervisor->relocation.service == service)
        return error_set(error, FH_CONFLICT, "%s is being moved; wait for its end.", name);
    if (strcmp(command, "rebuild") == 0)
        return rebuild_asked(supervisor, service, request, error);
    if (rebuild_lets(supervisor, service, error) != FH_OK)
        return error->code;
    bool force = json_is_true(json_object_get(request, "force"));
    if (upgrade && upgrade_supersede(supervisor, service, force))
        return FH_OK;
    if (upgrade && is_under_way(supervisor, service))
        return FH_OK;
    if (upgrade)
        return upgrade_begin(supervisor, service, force, error);
    struct instances *instances = &supervisor->all[service];
    enum fh_code code = strcmp(command, "restore") == 0
                            ? begin_restore(supervisor, instances, error)
                            : begin_scale(supervisor, instances, request, error);
    if (code == FH_OK)
        supervisor_tend(supervisor, instances);
    return code;
}

/* What is still undone of the restore stays in the service's folder. */
void asked_not_restored(struct supervisor *supervisor, struct instances *instances)
{
    supervisor_say(supervisor, SUPERVISE_TROUBLE, "restored-start-failed", instances->part->name,
                   "%s does not get ready after its restore; see its log", instances->part->name);
    control_done(supervisor->control, instances->part->name,
                 "it does not get ready; see its log in the state folder");
}

static void act_unrecorded(void *context, const char *error)
{
    supervisor_say(context, SUPERVISE_TROUBLE, "audit-entry-lost", NULL,
                   "the end of an operator's act could not be recorded in the audit log: %s",
                   error);
}

struct control_handler asked_handler(struct supervisor *supervisor, void (*stop)(void *supervisor))
{
    return (struct control_handler){status_json, stop, change_asked, act_unrecorded, supervisor};
}
