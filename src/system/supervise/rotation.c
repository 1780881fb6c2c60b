/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is durable after each step, and who has which keys then. `up` may die after any of them, and
 * so may any process, which reads its configuration when it starts:
 *
 *  begun        keys.json has `next` and a new number      nobody knows the next keys yet
 *  configured   configurations have both                   whoever starts accepts both
 *               each process is told, and says so          all accept both, all use the former
 *  learned      the same
 *  promoted     keys.json: used are the new ones, `former` all accept both
 *  signing      configurations say so                      whoever starts uses the new ones
 *               each process is told, and says so; then it says when what it had sent before has
 *               been answered
 *  settled      the same                                   nobody uses a former key any more
 *  forgotten    keys.json has the new ones alone           all still accept both
 *  ended        configurations too                         whoever starts accepts the new ones
 * alone each process is told, and says so          the former keys open nothing
 *
 * When `up` dies, its processes end. So the next one replaces at its start whatever was to be
 * replaced (keys_make): no process lives that could use a former key, and none that lacks a new
 * one.
 *
 * Nothing is remembered of whom has been told what: each process says which number it has, with
 * each of its beats, and whoever has another one is told the present keys. So a lost line, a
 * process that starts in between, and a step that is repeated all come to the same.
 *
 * The operator's commands read keys.json each time. One that has read it just before it changed is
 * refused at worst, reads it again, and repeats its request (cli/ask.c, cli/running.c).
 */

#include "system/supervise/rotation.h"

#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "system/file/nearest.h"
#include "system/supervise/rotation_decide.h"
#include "system/supervise/supervisor.h"
#include "system/supervise/upgrade.h"

#define NS_PER_MS 1000000
#define DAY_MS ((int64_t)24 * 3600 * 1000)
#define PROCESSES_MAX (PROVISION_PARTS_MAX * (SYSTEM_INSTANCES_MAX + 1))

static int64_t present_number(const struct supervisor *supervisor)
{
    return keys_number(supervisor->options->provision->keys);
}

/* ---- What is durable ---- */

static void say_rotation_trouble(struct supervisor *supervisor, const struct fh_error *error)
{
    supervisor_say(supervisor, SUPERVISE_TROUBLE, "keys-write-failed", ROTATION_NAME,
                   "the keys can't be written, and nothing changes until they can: %s",
                   error->message);
}

/* Takes `all`: it becomes the present keys if it is durable. */
static enum fh_code record_keys(struct supervisor *supervisor, json_t *all, struct fh_error *error)
{
    struct provision *provision = supervisor->options->provision;
    enum fh_code code = keys_write(&provision->state, all, error);
    if (code != FH_OK) {
        json_decref(all);
        return code;
    }
    json_decref(provision->keys);
    provision->keys = all;
    supervisor->rotation.unwritten = true;
    control_take_keys(supervisor->control, keys_of_up(json_object_get(all, "keys")),
                      keys_of_up_also(all));
    return FH_OK;
}

/* Nobody is told of keys before the configurations have them: that may take as long as a disk is
 * full, and the time that processes have for the keys begins after it. */
static bool configurations_written(struct supervisor *supervisor)
{
    struct fh_error error;
    struct rotation *rotation = &supervisor->rotation;
    if (!rotation->unwritten)
        return true;
    if (provision_configure(supervisor->options->provision, &error) != FH_OK) {
        say_rotation_trouble(supervisor, &error);
        return false;
    }
    rotation->unwritten = false;
    rotation->since_ns = world_monotonic_ns(supervisor->world);
    return true;
}

/* ---- Who has which ---- */

static size_t look_at_processes(const struct supervisor *supervisor,
                                struct rotation_process ret[static PROCESSES_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < supervisor->count; i++) {
        for (size_t j = 0; j <= SYSTEM_INSTANCES_MAX; j++) {
            const struct child *child = supervisor->all[i].children[j];
            if (child)
                ret[count++] = (struct rotation_process){child->pid != 0, child->keys_known,
                                                         child->keys_settled};
        }
    }
    return count;
}

/* The first of those that run with other keys; NULL: there is none. */
static const struct child *child_without(const struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->count; i++) {
        for (size_t j = 0; j <= SYSTEM_INSTANCES_MAX; j++) {
            const struct child *child = supervisor->all[i].children[j];
            if (child && child->pid && child->keys_known != present_number(supervisor))
                return child;
        }
    }
    return NULL;
}

/* One that is starting has read some keys, and says which when it is ready. */
static void tell_child(struct supervisor *supervisor, struct child *child)
{
    int64_t number = present_number(supervisor);
    if (!child || !child->pid || child->keys_known == 0 || child->keys_known == number ||
        child->keys_told == number)
        return;
    child->keys_told = number;
    child_tell(child, json_pack("{s:o}", "keys",
                                provision_keys(supervisor->options->provision, child->part)));
}

static void tell_children(struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->count; i++) {
        for (size_t j = 0; j <= SYSTEM_INSTANCES_MAX; j++)
            tell_child(supervisor, supervisor->all[i].children[j]);
    }
}

/* ---- The steps ---- */

static void end_rotation(struct supervisor *supervisor)
{
    struct rotation *rotation = &supervisor->rotation;
    const struct child *without = child_without(supervisor);
    char failed[sizeof rotation->failed];
    rotation->active = false;
    if (without && !*rotation->failed)
        snprintf(rotation->failed, sizeof rotation->failed,
                 "the keys are replaced, but %s, pid %d, does not say that it has forgotten the "
                 "former ones; start it again",
                 without->part->name, without->pid);
    snprintf(failed, sizeof failed, "%s", rotation->failed);
    if (*failed) {
        rotation->again_ns = world_in_ms(supervisor->world, ROTATION_AGAIN_MS);
        supervisor_say(supervisor, SUPERVISE_TROUBLE, "keys-rotation-failed", ROTATION_NAME, "%s",
                       failed);
    } else {
        supervisor_say(supervisor, SUPERVISE_DONE, "keys-rotated", ROTATION_NAME,
                       "the keys are replaced, and the former ones are no longer accepted");
    }
    control_done(supervisor->control, ROTATION_NAME, *failed ? failed : NULL);
}

static void explain_taking_back(struct supervisor *supervisor)
{
    struct rotation *rotation = &supervisor->rotation;
    const struct child *without = child_without(supervisor);
    snprintf(rotation->failed, sizeof rotation->failed,
             "%s, pid %d, %s within %d s, so all keys stay as they were",
             without ? without->part->name : "a process", without ? without->pid : 0,
             without && without->keys_known == 0
                 ? "did not get ready, or its program is of a version that can't replace keys,"
                 : "did not take the new keys",
             ROTATION_LEARN_MS_MAX / 1000);
}

/* Makes one step durable. False: not yet, or there is none to make. */
static bool make_move(struct supervisor *supervisor, enum rotation_move move)
{
    struct fh_error error;
    struct rotation *rotation = &supervisor->rotation;
    struct provision *provision = supervisor->options->provision;
    int64_t now_ms = world_wall_ms(supervisor->world);
    if (move == ROTATION_WAIT)
        return false;
    if (move == ROTATION_END) {
        end_rotation(supervisor);
        return false;
    }
    json_t *all = json_deep_copy(provision->keys);
    if (move == ROTATION_PROMOTE) {
        CRASH_POINT("rotate.learned");
        keys_promote(all, now_ms);
    } else if (move == ROTATION_TAKE_BACK) {
        explain_taking_back(supervisor);
        keys_take_back(all);
    } else {
        CRASH_POINT("rotate.settled");
        keys_forget(all);
    }
    if (record_keys(supervisor, all, &error) != FH_OK) {
        say_rotation_trouble(supervisor, &error);
        rotation->failed[0] = '\0'; /* it may still come to a good end */
        return false;
    }
    if (move == ROTATION_PROMOTE)
        CRASH_POINT("rotate.promoted");
    else if (move == ROTATION_FORGET)
        CRASH_POINT("rotate.forgotten");
    else
        end_rotation(supervisor);
    return true;
}

static void pass_configured_point(const struct supervisor *supervisor)
{
    switch (keys_phase(supervisor->options->provision->keys)) {
    case KEYS_LEARNING:
        CRASH_POINT("rotate.configured");
        break;
    case KEYS_SIGNING:
        CRASH_POINT("rotate.signing");
        break;
    case KEYS_AT_REST:
        CRASH_POINT("rotate.ended");
        break;
    }
}

void rotation_tend(struct supervisor *supervisor)
{
    static struct rotation_process processes[PROCESSES_MAX]; /* one thread, and too large for it */
    struct rotation *rotation = &supervisor->rotation;
    bool moved = true;
    if (supervisor->phase > UP || !supervisor->options->provision->keys)
        return;
    while (moved) {
        bool fresh = rotation->unwritten;
        if (!configurations_written(supervisor))
            return; /* the timer tries again */
        if (fresh)
            pass_configured_point(supervisor);
        tell_children(supervisor);
        int64_t waited_ms =
            (world_monotonic_ns(supervisor->world) - rotation->since_ns) / NS_PER_MS;
        size_t count = look_at_processes(supervisor, processes);
        moved = rotation->active &&
                make_move(supervisor,
                          rotation_decide(keys_phase(supervisor->options->provision->keys),
                                          present_number(supervisor), processes, count, waited_ms));
    }
}

/* ---- Beginning ---- */

static enum fh_code begin_rotation(struct supervisor *supervisor, const char *of,
                                   bool forgets_users, struct fh_error *error)
{
    struct rotation *rotation = &supervisor->rotation;
    if (rotation->active)
        return error_set(error, FH_CONFLICT, "Keys are being replaced; wait for the end of that.");
    if (supervisor->renewal.count)
        return error_set(error, FH_CONFLICT, "%s is being upgraded; wait for its end.",
                         upgrade_name(supervisor));
    if (supervisor->relocation.phase != RELOCATION_NONE)
        return error_set(error, FH_CONFLICT, "%s is being moved; wait for its end.",
                         supervisor->all[supervisor->relocation.service].part->name);
    if (supervisor->rebuild.phase != REBUILD_NONE)
        return rebuild_lets(supervisor, supervisor->rebuild.service, error);
    json_t *all = json_deep_copy(supervisor->options->provision->keys);
    keys_begin(all, of, forgets_users);
    enum fh_code code = record_keys(supervisor, all, error);
    if (code != FH_OK)
        return code;
    CRASH_POINT("rotate.begun");
    rotation->active = true;
    rotation->ticks = 0;
    rotation->failed[0] = '\0';
    supervisor_say(supervisor, SUPERVISE_STEP, "keys-rotating", ROTATION_NAME,
                   "replacing the keys %s%s", of ? "of " : "of all pairs of processes",
                   of ? of : "");
    rotation_tend(supervisor);
    return FH_OK;
}

static enum fh_code find_key_owner(const struct supervisor *supervisor, const char *name,
                                   struct fh_error *error)
{
    struct nearest nearest = nearest_begin(name);
    bool found = strcmp(name, KEYS_OPERATOR) == 0;
    nearest_offer(&nearest, KEYS_OPERATOR);
    for (size_t i = 0; i < supervisor->count && !found; i++) {
        found = strcmp(name, supervisor->all[i].part->name) == 0;
        nearest_offer(&nearest, supervisor->all[i].part->name);
    }
    if (found)
        return FH_OK;
    return nearest.word
               ? error_set(error, FH_NOT_FOUND,
                           "The running system has no service '%s'; did you mean '%s'?", name,
                           nearest.word)
               : error_set(error, FH_NOT_FOUND, "The running system has no service '%s'.", name);
}

enum fh_code rotation_asked(struct supervisor *supervisor, const json_t *request,
                            struct fh_error *error)
{
    const char *of = json_string_at(request, "of");
    if (supervisor->phase != UP)
        return error_set(error, FH_CONFLICT, "The system is not up; ask when it is.");
    enum fh_code code = of ? find_key_owner(supervisor, of, error) : FH_OK;
    bool forgets_users = json_is_true(json_object_get(request, "forget"));
    return code == FH_OK ? begin_rotation(supervisor, of, forgets_users, error) : code;
}

static bool is_due(const struct supervisor *supervisor)
{
    int64_t every_ms = supervisor->options->file->rotate_keys_days * DAY_MS;
    int64_t age_ms =
        world_wall_ms(supervisor->world) - keys_rotated_ms(supervisor->options->provision->keys);
    /* Of a time to come: the clock was ahead then, and must not put it off for ever. */
    return every_ms && (age_ms >= every_ms || age_ms < -DAY_MS) &&
           world_monotonic_ns(supervisor->world) >= supervisor->rotation.again_ns;
}

/* So that who asked for it does not take `up` for dead. */
static void tell_what_is_waited_for(struct supervisor *supervisor)
{
    struct rotation *rotation = &supervisor->rotation;
    const struct child *without = child_without(supervisor);
    if (!rotation->active || ++rotation->ticks % ROTATION_TICKS_TOLD != 0)
        return;
    char text[200];
    if (without)
        snprintf(text, sizeof text, "waiting for %s, pid %d, to take the new keys",
                 without->part->name, without->pid);
    else
        snprintf(text, sizeof text,
                 "waiting until requests signed with the former keys have ended");
    control_progress(supervisor->control, ROTATION_NAME, text);
}

/* Former public halves for statements of users end by themselves. */
static void end_old_user_keys(struct supervisor *supervisor)
{
    struct fh_error error;
    json_t *all = json_deep_copy(supervisor->options->provision->keys);
    if (!keys_forget_users(all, world_wall_ms(supervisor->world)))
        json_decref(all);
    else if (record_keys(supervisor, all, &error) != FH_OK)
        say_rotation_trouble(supervisor, &error);
}

static void rotation_ticked(struct world_timer *timer)
{
    struct supervisor *supervisor = timer->owner;
    struct rotation *rotation = &supervisor->rotation;
    struct fh_error error;
    world_timer_start(supervisor->world, timer, world_in_ms(supervisor->world, ROTATION_TICK_MS));
    if (supervisor->phase == UP && !rotation->active) {
        end_old_user_keys(supervisor);
        if (is_due(supervisor) && begin_rotation(supervisor, NULL, false, &error) != FH_OK)
            rotation->again_ns = world_in_ms(supervisor->world, ROTATION_TICK_MS);
    }
    rotation_tend(supervisor);
    tell_what_is_waited_for(supervisor);
}

void rotation_start(struct supervisor *supervisor)
{
    struct world_timer *timer = &supervisor->rotation.timer;
    *timer = (struct world_timer){.fire = rotation_ticked, .owner = supervisor};
    world_timer_start(supervisor->world, timer, world_in_ms(supervisor->world, ROTATION_TICK_MS));
}

void rotation_stop(struct supervisor *supervisor)
{
    world_timer_stop(supervisor->world, &supervisor->rotation.timer);
}
