/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a move in a running system, and the result if `up` dies after each:
 *
 *  the new server gets ready, or lets us in          nothing has happened
 *  the service drains and ends; its socket stays     nothing has happened
 *  moves.json says "moving"; durable                 the next `up` moves it at its start
 *  its configuration says where from and where to    the same
 *  one process moves the store (service/move.c),     the same
 *  and serves from the new one
 *  moves.json says "moved", or nothing if the        the service is there
 *  file says the new engine already
 *
 * If that process does not get ready, the service goes back, if it can:
 *
 *  moves.json says "back"; durable                   the next `up` takes the move back
 *  its configuration names the old store, and says   the same
 *  to take back what was begun there
 *  one process does so, and serves from the old one  the same
 *  moves.json has no entry                           the service is where it was
 *
 * The process refuses to take back a move that was complete: then the new store has the data, and
 * the service is started there until it gets ready. Only one process runs while a move may still be
 * taken back, so that none has served from the new store by then.
 */

#include "system/move/relocate.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/engines.h"
#include "store/store.h"
#include "system/move/relocate_reach.h"
#include "system/servers/servers.h"

static void say_move_trouble(struct supervisor *supervisor, const struct fh_error *error)
{
    const char *name = relocation_service(supervisor)->name;
    supervisor_say(supervisor, SUPERVISE_TROUBLE, "move-step-failed", name,
                   "a step of the move of %s failed: %s", name, error->message);
}

/* Copies the entry before adding the state. */
static enum fh_code record_move(struct supervisor *supervisor, enum moved_state state,
                                struct fh_error *error)
{
    struct provision *provision = supervisor->options->provision;
    json_t *entry = state == MOVED_NOT ? NULL : json_copy(supervisor->relocation.entry);
    return moved_record(&provision->state, provision->moved, relocation_service(supervisor)->name,
                        entry, state, error);
}

void relocate_end(struct supervisor *supervisor)
{
    struct relocation *relocation = &supervisor->relocation;
    relocation_reach_end(relocation);
    home_release(&relocation->other);
    home_release(&relocation->said);
    json_decref(relocation->store);
    json_decref(relocation->entry);
    *relocation = (struct relocation){0};
}

/* Servers that run as other users need to pass through the state folder; once there are none, it is
 * private again. */
static void close_folder(const struct supervisor *supervisor)
{
    const struct system_file *file = relocation_file(supervisor);
    if (!file->users && !servers_pass(file) &&
        fchmod(supervisor->options->provision->state.folder_fd, 0700) != 0)
        supervisor->options->say(supervisor->options->context, SUPERVISE_TROUBLE,
                                 "state-folder-exposed",
                                 "the state folder can't be made private again");
}

/* No store is on this server any more. */
static void stop_server(struct supervisor *supervisor, struct instances *server)
{
    if (!server)
        return;
    server->wanted = 0;
    server->parted = false;
    supervisor_tend(supervisor, server);
}

/* ---- Going there ---- */

/* While none of its processes runs. If it fails, they start with their earlier configuration. */
static enum fh_code rehouse_service(struct supervisor *supervisor, struct fh_error *error)
{
    enum fh_code code =
        instances_rehouse(relocation_instances(supervisor),
                          relocation_takes_many(relocation_service(supervisor)->engine), error);
    return code == FH_OK ? provision_configure_service(supervisor->options->provision,
                                                       supervisor->relocation.service, error)
                         : code;
}

/* The move could not begin: everything goes on as if nobody had asked. */
void relocate_cancel(struct supervisor *supervisor, const struct fh_error *why)
{
    struct relocation *relocation = &supervisor->relocation;
    const char *name = relocation_service(supervisor)->name;
    relocation_swap(supervisor);
    control_answer(supervisor->control, name,
                   json_pack("{s:o, s:b}", "error",
                             json_sprintf("%s was not moved, and goes on with %s: %s", name,
                                          relocation->from, why->message),
                             "back", 1));
    struct instances *server = relocation->started ? relocation->new_server : NULL;
    relocate_end(supervisor);
    stop_server(supervisor, server);
}

/* The service is already stopped, and starts as it was, with its earlier configuration. */
static void stay_where_it_was(struct supervisor *supervisor, const struct fh_error *why)
{
    struct fh_error error;
    struct instances *instances = relocation_instances(supervisor);
    bool many = relocation_takes_many(supervisor->relocation.from);
    instances->alone = false;
    if (instances_rehouse(instances, many, &error) != FH_OK ||
        record_move(supervisor, MOVED_NOT, &error) != FH_OK)
        say_move_trouble(supervisor, &error);
    relocate_cancel(supervisor, why);
}

static void hand_store_over(struct instances *instances)
{
    struct fh_error error;
    struct supervisor *supervisor = instances->model.owner;
    instances->alone = true;
    CRASH_POINT("relocate.stopped");
    enum fh_code code = record_move(supervisor, MOVED_MOVING, &error);
    CRASH_POINT("relocate.recorded");
    if (code == FH_OK)
        code = rehouse_service(supervisor, &error);
    CRASH_POINT("relocate.configured");
    if (code != FH_OK && supervisor->relocation.phase == RELOCATION_MOVING)
        stay_where_it_was(supervisor, &error);
    else if (code != FH_OK)
        say_move_trouble(supervisor, &error);
}

static void part_service(struct supervisor *supervisor,
                         void (*between)(struct instances *instances))
{
    struct fh_error error;
    struct instances *instances = relocation_instances(supervisor);
    instances->alone = false;
    if (instances_part(instances, between, &error) != FH_OK)
        relocate_cancel(supervisor, &error);
    else
        supervisor_tend(supervisor, instances);
}

void relocate_leave(struct supervisor *supervisor)
{
    struct relocation *relocation = &supervisor->relocation;
    const char *name = relocation_service(supervisor)->name;
    relocation->phase = RELOCATION_MOVING;
    relocation->paused_ns = world_monotonic_ns(supervisor->world);
    supervisor_say(supervisor, SUPERVISE_STEP, "move-begun", name,
                   "moving %s from %s to %s: its requests wait from now on", name, relocation->from,
                   relocation->to);
    part_service(supervisor, hand_store_over);
}

/* ---- Outcomes ---- */

static int64_t paused_ms(const struct supervisor *supervisor)
{
    return (world_monotonic_ns(supervisor->world) - supervisor->relocation.paused_ns) / 1000000;
}

static json_t *moved_answer(const struct supervisor *supervisor)
{
    const struct relocation *relocation = &supervisor->relocation;
    const struct system_service *service = relocation_service(supervisor);
    json_t *moved =
        json_pack("{s:s, s:s, s:s, s:I}", "service", service->name, "from", relocation->from, "to",
                  relocation->to, "paused_ms", (json_int_t)paused_ms(supervisor));
    if (service->moved_from)
        json_object_set_new(moved, "file",
                            json_pack("{s:s, s:i, s:s, s:s}", "path", service->engine_place.file,
                                      "line", service->engine_place.line, "says",
                                      service->moved_from, "expected", service->moved_to));
    return json_pack("{s:b, s:o}", "done", 1, "moved", moved);
}

static void finish_arrival(struct supervisor *supervisor)
{
    struct fh_error error;
    struct relocation *relocation = &supervisor->relocation;
    struct instances *instances = relocation_instances(supervisor),
                     *server = relocation->old_server;
    struct system_service *service = relocation_service(supervisor);
    struct arena *arena = &relocation_file(supervisor)->arena;
    struct system_home home = home_of(service);
    bool agrees = home_same(&relocation->said, &home);
    CRASH_POINT("relocate.moved");
    service->moved_from = agrees ? NULL : home_words(arena, service, &relocation->said);
    service->moved_to = agrees ? NULL : home_words(arena, service, &home);
    enum fh_code code = record_move(supervisor, agrees ? MOVED_NOT : MOVED_DONE, &error);
    if (code == FH_OK)
        code = provision_configure(supervisor->options->provision, &error);
    CRASH_POINT("relocate.done");
    if (code != FH_OK)
        say_move_trouble(supervisor, &error); /* the next `up` finds the service where it is */
    supervisor_say(supervisor, SUPERVISE_DONE, "move-finished", service->name,
                   "%s is on %s now; its requests waited %lld ms", service->name, service->engine,
                   (long long)paused_ms(supervisor));
    control_answer(supervisor->control, service->name, moved_answer(supervisor));
    relocate_end(supervisor);
    instances->alone = false;
    supervisor_tend(supervisor, instances);
    stop_server(supervisor, server);
}

static void finish_return(struct supervisor *supervisor)
{
    struct fh_error error;
    struct relocation *relocation = &supervisor->relocation;
    struct instances *instances = relocation_instances(supervisor);
    struct instances *server = relocation->started ? relocation->new_server : NULL;
    const char *name = relocation_service(supervisor)->name;
    CRASH_POINT("relocate.back");
    enum fh_code code = record_move(supervisor, MOVED_NOT, &error);
    if (code == FH_OK)
        code = provision_configure(supervisor->options->provision, &error);
    CRASH_POINT("relocate.ended");
    if (code != FH_OK)
        say_move_trouble(supervisor, &error);
    supervisor_say(supervisor, SUPERVISE_TROUBLE, "move-undone", name,
                   "%s was not moved, and goes on with %s; its requests waited %lld ms", name,
                   relocation->from, (long long)paused_ms(supervisor));
    control_answer(supervisor->control, name,
                   json_pack("{s:o, s:b, s:I}", "error",
                             json_sprintf("%s was not moved, and goes on with %s: %s", name,
                                          relocation->from, relocation->why),
                             "back", 1, "paused_ms", (json_int_t)paused_ms(supervisor)));
    relocate_end(supervisor);
    instances->alone = false;
    supervisor_tend(supervisor, instances);
    stop_server(supervisor, server);
}

/* ---- Going back ---- */

static void hand_store_back(struct instances *instances)
{
    struct fh_error error;
    struct supervisor *supervisor = instances->model.owner;
    struct relocation *relocation = &supervisor->relocation;
    instances->alone = true;
    CRASH_POINT("relocate.failed");
    /* A full disk may prevent even this: then the next `up` would move again, and find an old store
     * that it can move from. */
    if (record_move(supervisor, MOVED_BACK, &error) != FH_OK)
        say_move_trouble(supervisor, &error);
    CRASH_POINT("relocate.turned");
    relocation_swap(supervisor);
    if (rehouse_service(supervisor, &error) != FH_OK) {
        say_move_trouble(supervisor,
                         &error); /* then it tries to move again, until this can be written */
        relocation_swap(supervisor);
        relocation->phase = RELOCATION_MOVING;
        if (instances_rehouse(instances, relocation_takes_many(relocation->to), &error) != FH_OK ||
            record_move(supervisor, MOVED_MOVING, &error) != FH_OK)
            say_move_trouble(supervisor, &error);
    }
    CRASH_POINT("relocate.returned");
}

void relocate_go_back(struct supervisor *supervisor, const char *why)
{
    struct relocation *relocation = &supervisor->relocation;
    const char *name = relocation_service(supervisor)->name;
    snprintf(relocation->why, sizeof relocation->why, "%s", why);
    supervisor_say(supervisor, SUPERVISE_TROUBLE, "move-failed", name,
                   "%s is not moved: %s Going back to %s.", name, why, relocation->from);
    relocation->phase = RELOCATION_BACK;
    part_service(supervisor, hand_store_back);
}

static void go_forward(struct supervisor *supervisor)
{
    struct relocation *relocation = &supervisor->relocation;
    const char *name = relocation_service(supervisor)->name;
    supervisor_say(supervisor, SUPERVISE_TROUBLE, "move-recovered", name,
                   "the move of %s was over, and %s has its data: it is started there", name,
                   relocation->to);
    relocation_swap(supervisor);
    relocation->phase = RELOCATION_FORWARD;
    part_service(supervisor, hand_store_over);
}

/* The last message of the process. */
static void why_not_ready(const struct child *child, char ret[static RELOCATION_WHY_SIZE])
{
    static const char mark[] = "can't start: ";
    struct text lines;
    text_init(&lines, 4096);
    child_last_lines(child, 1, &lines);
    const char *said = lines.data ? strstr(lines.data, mark) : NULL;
    if (said)
        snprintf(ret, RELOCATION_WHY_SIZE, "%s", said + strlen(mark));
    else
        snprintf(ret, RELOCATION_WHY_SIZE, "its process %s.", child->why);
    text_release(&lines);
}

static void move_failed(struct supervisor *supervisor)
{
    char why[RELOCATION_WHY_SIZE];
    struct relocation *relocation = &supervisor->relocation;
    const struct instances *instances = relocation_instances(supervisor);
    const char *name = relocation_service(supervisor)->name;
    why_not_ready(instances->children[0], why);
    if (relocation->phase == RELOCATION_MOVING) {
        relocate_go_back(supervisor, why);
    } else if (relocation->phase == RELOCATION_BACK &&
               instances->children[0]->state == CHILD_GIVEN_UP) {
        go_forward(supervisor);
    } else { /* whichever store has the data, keep trying until it can be opened */
        supervisor_say(supervisor, SUPERVISE_TROUBLE, "moved-start-failed", name,
                       "%s does not get ready: %s", name, why);
        control_done(supervisor->control, name, why);
    }
}

static void server_failed(struct supervisor *supervisor)
{
    struct fh_error error;
    struct relocation *relocation = &supervisor->relocation;
    error_set(&error, FH_UNAVAILABLE, "The server %s %s; see its log in the state folder.",
              relocation->new_server->part->name, relocation->new_server->children[0]->why);
    relocate_cancel(supervisor, &error);
}

bool relocate_takes(struct supervisor *supervisor, struct instances *instances,
                    enum instances_news news)
{
    struct relocation *relocation = &supervisor->relocation;
    if (news == INSTANCES_SETTLED && instances->wanted == 0)
        close_folder(supervisor);
    if (relocation->phase == RELOCATION_NONE)
        return false;
    if (relocation->phase == RELOCATION_SERVER && instances == relocation->new_server) {
        if (news == INSTANCES_SETTLED)
            relocate_leave(supervisor);
        else if (news == INSTANCES_PARTED_FAILED)
            server_failed(supervisor);
        return true;
    }
    if (instances != relocation_instances(supervisor))
        return false;
    if (relocation->phase == RELOCATION_SERVER)
        return true; /* it goes on as it was; clients waiting for the move keep waiting */
    if (news == INSTANCES_PARTED_FAILED)
        move_failed(supervisor);
    else if (news == INSTANCES_SETTLED && relocation->phase == RELOCATION_BACK)
        finish_return(supervisor);
    else if (news == INSTANCES_SETTLED)
        finish_arrival(supervisor);
    return true;
}
