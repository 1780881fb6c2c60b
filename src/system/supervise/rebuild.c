/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps, and the result if `up` dies after each:
 *
 *   a second process fills FOLDER/rebuild/store.db   nothing has happened
 *   it has all that there is, and ends in order      the same
 *   the service drains and ends; its socket stays    the same
 *   store.db is former.db, too: another link         the same
 *   rebuild/store.db is store.db, by one rename      the next `up` takes former.db back
 *   the service starts on it, and gets ready         the same
 *   former.db is removed                             the service is on the new store
 *
 * If it does not get ready there, former.db is taken back at once. Of the two it is the valid one
 * as long as it is there, and under the name store.db there is a whole store at any time. A service
 * that publishes takes what it has published over from former.db, and removes that itself, before
 * it is ready (service/rebuild_join.c): if it dies between that and being ready, it goes on with
 * the new store.
 *
 * Where the stores are on a server, the new one is beside the other one there (store/beside.h), and
 * `up` renames nothing. It leaves an order, and lets the first process of the service run alone,
 * which carries it out before it serves (service/rebuild_exchange.h). From then on there is no way
 * back; before, `up`, or the next one, removes the order, and the service starts on the store that
 * it had. What was filled in vain the service removes, later.
 */

#define _GNU_SOURCE
#include "system/supervise/rebuild.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "engine/engines.h"
#include "service/process.h"
#include "store/beside.h"
#include "system/provision/state.h"
#include "system/supervise/beside.h"
#include "system/supervise/rebuild_filler.h"
#include "system/supervise/rebuild_stores.h"
#include "system/supervise/supervisor.h"

#define REBUILD_STEM "rebuild"
#define REBUILD_LOG "rebuild.log"
#define REBUILD_FAILURES_MAX 3
#define AGAIN_MS 200
#define NS_A_MS INT64_C(1000000)

static struct instances *rebuilt_instances(struct supervisor *supervisor)
{
    return &supervisor->all[supervisor->rebuild.service];
}

static const char *rebuilt_name(const struct supervisor *supervisor)
{
    return supervisor->all[supervisor->rebuild.service].part->name;
}

/* ---- Ends ---- */

static int64_t since_ms(const struct supervisor *supervisor, int64_t ns)
{
    return (world_monotonic_ns(supervisor->world) - ns) / NS_A_MS;
}

static void end_rebuild(struct supervisor *supervisor)
{
    struct instances *instances = rebuilt_instances(supervisor);
    bool alone = instances->alone && supervisor->rebuild.on_server;
    rebuild_sweep(instances->part->folder_fd);
    supervisor->rebuild.phase = REBUILD_NONE;
    if (!alone)
        return;
    instances->alone = false;
    supervisor_tend(supervisor, instances);
}

static void tell_given_up(struct supervisor *supervisor)
{
    struct rebuild *rebuild = &supervisor->rebuild;
    const char *name = rebuilt_name(supervisor);
    json_t *said;
    if (rebuild->joined) {
        said =
            json_sprintf("%s is on its new store, and does not get ready: %s", name, rebuild->why);
        supervisor_say(supervisor, SUPERVISE_TROUBLE, "rebuild-stuck", NULL,
                       "%s is on its new store, and does not get ready: %s", name, rebuild->why);
    } else {
        said = json_sprintf("%s was not rebuilt, and keeps the store that it has: %s", name,
                            rebuild->why);
        supervisor_say(supervisor, SUPERVISE_TROUBLE, "rebuild-failed", NULL,
                       "%s was not rebuilt, and keeps the store that it has: %s", name,
                       rebuild->why);
    }
    end_rebuild(supervisor);
    control_answer(supervisor->control, name,
                   json_pack("{s:o, s:b}", "error", said, "back", !rebuild->joined));
}

static void tell_rebuilt(struct supervisor *supervisor)
{
    struct rebuild *rebuild = &supervisor->rebuild;
    const char *name = rebuilt_name(supervisor);
    int64_t paused_ms = since_ms(supervisor, rebuild->paused_ns);
    supervisor_say(supervisor, SUPERVISE_DONE, "rebuild-finished", name,
                   "%s serves from its new store; its requests waited %lld ms", name,
                   (long long)paused_ms);
    end_rebuild(supervisor);
    control_answer(supervisor->control, name,
                   json_pack("{s:b, s:{s:s, s:I, s:I, s:I}}", "done", 1, "rebuilt", "service", name,
                             "events", (json_int_t)rebuild->events, "took_ms",
                             (json_int_t)since_ms(supervisor, rebuild->began_ns), "paused_ms",
                             (json_int_t)paused_ms));
}

/* What people call a new store that was only to be filled. NULL: it can't be laid aside. */
static json_t *lay_aside(const struct rebuild *rebuild, const struct provision_part *part,
                         struct fh_error *error)
{
    json_t *config = NULL, *where = NULL;
    if (!rebuild->on_server)
        return rebuild_lay_aside(part->folder_fd, error) == FH_OK
                   ? json_sprintf("%s/" REBUILD_ASIDE, part->folder)
                   : NULL;
    if (state_read_json(part->folder_fd, "service.json", &config, error) == FH_OK) {
        const char *schema = json_string_at(config, "store.schema");
        const char *database = json_string_at(config, "store.database");
        where = json_sprintf("the schema %s" STORE_BESIDE " of the database %s",
                             schema ? schema : "public", database ? database : "of its own");
    }
    json_decref(config);
    return where;
}

static void tell_kept(struct supervisor *supervisor)
{
    struct fh_error error;
    struct rebuild *rebuild = &supervisor->rebuild;
    const struct provision_part *part = rebuilt_instances(supervisor)->part;
    json_t *where = lay_aside(rebuild, part, &error);
    if (!where) {
        snprintf(rebuild->why, sizeof rebuild->why, "%s", error.message);
        tell_given_up(supervisor);
        return;
    }
    supervisor_say(supervisor, SUPERVISE_DONE, "rebuild-kept", part->name,
                   "a new store of %s is beside the one that it serves from: %s", part->name,
                   json_string_value(where));
    end_rebuild(supervisor);
    control_answer(supervisor->control, part->name,
                   json_pack("{s:b, s:{s:s, s:I, s:I, s:o}}", "done", 1, "rebuilt", "service",
                             part->name, "events", (json_int_t)rebuild->events, "took_ms",
                             (json_int_t)since_ms(supervisor, rebuild->began_ns), "kept", where));
}

/* What it says itself, or else how it ended. */
static void say_why(const struct child *child, const char *which, char *ret, size_t size)
{
    static const char mark[] = "can't start: ";
    struct text lines;
    text_init(&lines, 4096);
    child_last_lines(child, 1, &lines);
    const char *said = lines.data ? strstr(lines.data, mark) : NULL;
    if (said && !child->exit_signal)
        snprintf(ret, size, "%s", said + strlen(mark));
    else
        snprintf(ret, size, "%s %s.", which, child->why);
    ret[strcspn(ret, "\n")] = '\0';
    text_make_plain(ret, strlen(ret));
    text_release(&lines);
}

/* ---- The exchange ---- */

static void take_new_store(struct instances *instances)
{
    struct fh_error error;
    int folder_fd = instances->part->folder_fd;
    struct rebuild *rebuild = &((struct supervisor *)instances->model.owner)->rebuild;
    CRASH_POINT("rebuild.stopped");
    instances->alone |= rebuild->on_server;
    if ((rebuild->on_server ? rebuild_order_exchange(folder_fd, rebuild->id, &error)
                            : rebuild_take(folder_fd, &error)) != FH_OK) {
        snprintf(rebuild->why, sizeof rebuild->why, "%s", error.message);
        rebuild_take_back(folder_fd, ERROR_UNHEEDED);
    }
    CRASH_POINT("rebuild.taken");
}

static void take_former_store(struct instances *instances)
{
    struct fh_error error;
    struct supervisor *supervisor = instances->model.owner;
    supervisor->rebuild.joined = !rebuild_has_former(instances->part->folder_fd);
    CRASH_POINT("rebuild.failed");
    if (rebuild_take_back(instances->part->folder_fd, &error) != FH_OK)
        snprintf(supervisor->rebuild.why, sizeof supervisor->rebuild.why, "%s", error.message);
    rebuild_sweep(instances->part->folder_fd); /* the service looks: what was filled is in vain */
    CRASH_POINT("rebuild.back");
}

/* From here on the new store is the valid one. */
static void forget_former(struct supervisor *supervisor)
{
    int folder_fd = rebuilt_instances(supervisor)->part->folder_fd;
    CRASH_POINT("rebuild.served");
    rebuild_forget_former(folder_fd);
    CRASH_POINT("rebuild.done");
}

void rebuild_ready(struct supervisor *supervisor, const struct instances *instances)
{
    const struct rebuild *rebuild = &supervisor->rebuild;
    if (rebuild->phase == REBUILD_EXCHANGE && !*rebuild->why && supervisor->phase > UP &&
        instances == rebuilt_instances(supervisor) && !instances->parting)
        forget_former(supervisor);
}

static void part_rebuilt(struct supervisor *supervisor, enum rebuild_phase phase,
                         void (*between)(struct instances *instances))
{
    struct fh_error error;
    struct rebuild *rebuild = &supervisor->rebuild;
    struct instances *instances = rebuilt_instances(supervisor);
    instances->alone = false;
    if (instances_part(instances, between, &error) != FH_OK) {
        snprintf(rebuild->why, sizeof rebuild->why, "%s", error.message);
        tell_given_up(supervisor);
        return;
    }
    /* The new store has the migrations that the former one has, and may have no others. */
    instances->terms.keeps_schema = true;
    rebuild->phase = phase;
    supervisor_tend(supervisor, instances);
}

bool rebuild_takes(struct supervisor *supervisor, struct instances *instances,
                   enum instances_news news)
{
    struct rebuild *rebuild = &supervisor->rebuild;
    if ((rebuild->phase != REBUILD_EXCHANGE && rebuild->phase != REBUILD_BACK) ||
        instances != rebuilt_instances(supervisor))
        return false;
    if (news == INSTANCES_SETTLED && *rebuild->why && !rebuild->joined) {
        tell_given_up(supervisor);
    } else if (news == INSTANCES_SETTLED) {
        forget_former(supervisor);
        tell_rebuilt(supervisor);
    } else if (news == INSTANCES_PARTED_FAILED && rebuild->phase == REBUILD_EXCHANGE &&
               !*rebuild->why) {
        say_why(instances->children[0], "On the new store its process", rebuild->why,
                sizeof rebuild->why);
        part_rebuilt(supervisor, REBUILD_BACK, take_former_store);
    } else if (news == INSTANCES_PARTED_FAILED) { /* upgrades and restores may help it again */
        size_t length = strlen(rebuild->why);
        snprintf(rebuild->why + length, sizeof rebuild->why - length, "%s",
                 rebuild->joined ? " See its log."
                                 : " It does not get ready on the former store now: see its log.");
        tell_given_up(supervisor);
    }
    return true;
}

/* ---- The second process ---- */

/* A service that was stopped on a full disk does not get ready again, on neither store. */
static enum fh_code rebuild_has_room(const struct provision_part *part, bool for_store,
                                     struct fh_error *error)
{
    struct beside_room room;
    enum fh_code code = beside_look(part, for_store, &room, error);
    if (code != FH_OK || room.there >= room.needed)
        return code;
    return error_set(error, FH_UNAVAILABLE,
                     "A rebuild of %s takes %" PRId64 " MB, and its disk has %" PRId64 " MB left.",
                     part->name, room.needed >> 20, room.there >> 20);
}

/* An upgrade restarts the service, too, or is about to: the exchange comes after it. */
static bool is_changed_otherwise(struct supervisor *supervisor)
{
    const struct instances *instances = rebuilt_instances(supervisor);
    return !*supervisor->rebuild.why &&
           (supervisor->renewal.count || instances->upgraded >= 0 || instances->parting);
}

static void report_filler(struct world_timer *timer)
{
    struct fh_error error;
    struct supervisor *supervisor = timer->owner;
    struct rebuild *rebuild = &supervisor->rebuild;
    const struct child *child = &rebuild->child;
    if (!*rebuild->why && (child->exit_code != 0 || child->exit_signal))
        snprintf(rebuild->why, sizeof rebuild->why,
                 "The process that filled the new store %s as it ended.", child->why);
    if (supervisor->phase == UP && is_changed_otherwise(supervisor)) {
        world_timer_start(supervisor->world, timer, world_in_ms(supervisor->world, AGAIN_MS));
        return;
    }
    child_release(&rebuild->child);
    rebuild->running = false;
    if (supervisor->phase != UP) {
        end_rebuild(supervisor);
        supervisor->advance(supervisor);
        return;
    }
    CRASH_POINT("rebuild.whole");
    if (!*rebuild->why &&
        rebuild_has_room(rebuilt_instances(supervisor)->part, false, &error) != FH_OK)
        snprintf(rebuild->why, sizeof rebuild->why, "%s", error.message);
    if (*rebuild->why) {
        tell_given_up(supervisor);
        return;
    }
    if (rebuild->keeps) {
        tell_kept(supervisor);
        return;
    }
    supervisor_say(supervisor, SUPERVISE_STEP, "rebuild-exchanging", rebuilt_name(supervisor),
                   "the new store of %s is complete: its requests wait from now on",
                   rebuilt_name(supervisor));
    rebuild->paused_ns = world_monotonic_ns(supervisor->world);
    part_rebuilt(supervisor, REBUILD_EXCHANGE, take_new_store);
}

static void filler_changed(struct child *child)
{
    struct rebuild *rebuild = (struct rebuild *)((char *)child - offsetof(struct rebuild, child));
    struct supervisor *supervisor = child->owner;
    bool ended = child->state == CHILD_WAITING || child->state == CHILD_GIVEN_UP;
    if (ended && rebuild->phase == REBUILD_FILLING) {
        /* Somebody killed it, or asked it to end: it goes on where it was. */
        bool again = child->exit_signal || child->exit_code == PROCESS_EXIT_UNAVAILABLE;
        if (again && child->failures < REBUILD_FAILURES_MAX)
            return;
        say_why(child, "The process that fills the new store", rebuild->why, sizeof rebuild->why);
    }
    if (ended || child->state == CHILD_READY) {
        rebuild->phase = REBUILD_LEAVING;
        child_stop(child);
    } else if (child->state == CHILD_ENDED) {
        rebuild->report = (struct world_timer){.fire = report_filler, .owner = supervisor};
        world_timer_start(child->world, &rebuild->report, world_monotonic_ns(child->world));
    }
}

static void filler_works(struct child *child, const struct course *course)
{
    struct supervisor *supervisor = child->owner;
    const char *name = rebuilt_name(supervisor);
    supervisor->rebuild.events = course->done;
    supervisor->options->works(supervisor->options->context, name, course);
    control_work(supervisor->control, name, course);
}

void rebuild_kill(struct supervisor *supervisor)
{
    struct rebuild *rebuild = &supervisor->rebuild;
    if (!rebuild->running)
        return;
    rebuild->phase = REBUILD_LEAVING;
    if (!*rebuild->why)
        snprintf(rebuild->why, sizeof rebuild->why, "The system stops.");
    child_stop(&rebuild->child);
    child_kill(&rebuild->child);
}

/* ---- Its beginning ---- */

static bool is_on_server(const struct supervisor *supervisor, size_t service)
{
    return strcmp(supervisor->options->file->services[service].engine, engine_embedded()->name) !=
           0;
}

static void name_rebuild(struct supervisor *supervisor)
{
    unsigned char random[10];
    world_random(supervisor->world, random, sizeof random);
    id_format(supervisor->rebuild.id, world_wall_ms(supervisor->world), random);
}

static enum fh_code start_filler(struct supervisor *supervisor, const struct provision_part *part,
                                 struct fh_error *error)
{
    struct rebuild *rebuild = &supervisor->rebuild;
    struct child *child = &rebuild->child;
    beside_init(child, &rebuild->part, part, &supervisor->model, REBUILD_STEM, REBUILD_LOG);
    child->terms = &rebuild->terms;
    child->changed = filler_changed;
    child->works = filler_works;
    enum fh_code code = child_init(child, error);
    if (code != FH_OK)
        return code;
    rebuild->running = true;
    rebuild->phase = REBUILD_FILLING;
    rebuild->began_ns = world_monotonic_ns(supervisor->world);
    child_start(child);
    return FH_OK;
}

static enum fh_code abandon_rebuild(struct supervisor *supervisor, size_t service,
                                    struct fh_error *error)
{
    struct rebuild *rebuild = &supervisor->rebuild;
    const char *name = supervisor->all[service].part->name;
    if (rebuild->phase == REBUILD_NONE || rebuild->service != service)
        return error_set(error, FH_CONFLICT, "%s is not being rebuilt.", name);
    if (!rebuild->running)
        return error_set(error, FH_CONFLICT,
                         "The rebuild of %s can't be given up any more; wait for its end.", name);
    snprintf(rebuild->why, sizeof rebuild->why, "It was abandoned.");
    rebuild_kill(supervisor);
    return FH_OK;
}

static enum fh_code may_rebuild(const struct supervisor *supervisor, size_t service,
                                struct fh_error *error)
{
    const struct system_service *of = &supervisor->options->file->services[service];
    const struct instances *instances = &supervisor->all[service];
    if (supervisor->rebuild.phase != REBUILD_NONE)
        return error_set(error, FH_CONFLICT, "%s is being rebuilt; wait for its end.",
                         rebuilt_name(supervisor));
    const struct engine *engine = engine_named(of->engine);
    if (!engine || (engine != engine_embedded() && !engine->beside))
        return error_set(error, FH_UNSUPPORTED,
                         "%s has its store on %s: an embedded one can be rebuilt, and one on "
                         "PostgreSQL.",
                         of->name, of->engine);
    if (!instances_ready(instances))
        return error_set(error, FH_CONFLICT, "%s is not ready; it can be rebuilt while it serves.",
                         of->name);
    if (supervisor->renewal.count || instances->parting || instances->upgraded >= 0 ||
        supervisor->rotation.active)
        return error_set(error, FH_CONFLICT,
                         "Something is being upgraded or restored, or keys are being replaced; "
                         "wait for its end.");
    return FH_OK;
}

enum fh_code rebuild_asked(struct supervisor *supervisor, size_t service, const json_t *request,
                           struct fh_error *error)
{
    const struct provision_part *part = supervisor->all[service].part;
    if (json_is_true(json_object_get(request, "abandon")))
        return abandon_rebuild(supervisor, service, error);
    enum fh_code code = may_rebuild(supervisor, service, error);
    if (code != FH_OK)
        return code;
    rebuild_sweep(part->folder_fd);
    state_remove(part->folder_fd, REBUILD_ASIDE);
    struct rebuild *rebuild = &supervisor->rebuild;
    *rebuild = (struct rebuild){.service = service,
                                .on_server = is_on_server(supervisor, service),
                                .takes_parked = json_is_true(json_object_get(request, "force")),
                                .keeps = json_is_true(json_object_get(request, "keep"))};
    name_rebuild(supervisor);
    if (rebuild_has_room(part, !rebuild->on_server, error) != FH_OK)
        return error->code;
    state_remove(part->folder_fd, REBUILD_LOG);
    code = rebuild_configure(rebuild, part, error);
    if (code == FH_OK)
        code = start_filler(supervisor, part, error);
    if (code != FH_OK) {
        rebuild_sweep(part->folder_fd);
        return code;
    }
    supervisor_say(supervisor, SUPERVISE_STEP, "rebuild-begun", part->name,
                   "%s goes on serving while its new store is filled", part->name);
    return FH_OK;
}

bool rebuild_has(const struct supervisor *supervisor, const struct instances *instances)
{
    return supervisor->rebuild.phase != REBUILD_NONE &&
           instances == &supervisor->all[supervisor->rebuild.service];
}

enum fh_code rebuild_lets(const struct supervisor *supervisor, size_t service,
                          struct fh_error *error)
{
    if (supervisor->rebuild.phase == REBUILD_NONE || supervisor->rebuild.service != service)
        return FH_OK;
    return error_set(error, FH_CONFLICT,
                     "%s is being rebuilt; wait for its end, or give it up: freehold rebuild %s "
                     "--abandon",
                     rebuilt_name(supervisor), rebuilt_name(supervisor));
}
