/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which processes should run follows from a few numbers (wanted, surge, upgraded). Tending compares
 * that with what runs and takes the next step, so whatever dies or fails in between is just one
 * more difference. A child's memory stays until the end, since its number may be used again.
 *
 * After a crash of `up` an upgrade is forgotten: the next `up` starts everything afresh.
 */

#include "system/supervise/instances.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int limit_of(const struct instances *instances)
{
    if (instances->parting)
        return 0;
    return instances->alone ? 1 : instances->wanted + (instances->surge ? 1 : 0);
}

static enum fh_code make_child(struct instances *instances, int number, struct fh_error *error)
{
    struct child *child = calloc(1, sizeof *child);
    FH_ASSERT(child != NULL);
    *child = instances->model;
    child->part = instances->part;
    child->instance = number;
    child->addressed = instances->many;
    child->terms = &instances->terms;
    child->log_fd = child->own_fd = -1;
    instances->children[number] = child;
    return child_init(child, error);
}

static enum fh_code make_missing(struct instances *instances, struct fh_error *error)
{
    for (int i = 0; i < limit_of(instances); i++) {
        enum fh_code code = instances->children[i] ? FH_OK : make_child(instances, i, error);
        if (code != FH_OK) {
            child_release(instances->children[i]);
            free(instances->children[i]);
            instances->children[i] = NULL;
            return code;
        }
    }
    return FH_OK;
}

enum fh_code instances_init(struct instances *instances, struct fh_error *error)
{
    instances->upgraded = -1;
    return make_missing(instances, error);
}

void instances_release(struct instances *instances)
{
    for (int i = 0; i <= SYSTEM_INSTANCES_MAX; i++) {
        if (instances->children[i])
            child_release(instances->children[i]);
        free(instances->children[i]);
        instances->children[i] = NULL;
    }
}

static bool is_child_over(const struct child *child)
{
    return !child || child->state == CHILD_IDLE || child->state == CHILD_ENDED;
}

void instances_start(struct instances *instances)
{
    for (int i = 0; i < limit_of(instances); i++) {
        if (is_child_over(instances->children[i]))
            child_start(instances->children[i]);
    }
}

/* ---- tending ---- */

static void tend_one(struct instances *instances, int number)
{
    struct child *child = instances->children[number];
    if (number < limit_of(instances)) {
        if (is_child_over(child))
            child_start(child);
    } else if (!is_child_over(child)) {
        child_stop(child);
    }
}

/* Changes caused by starting and stopping are looked at once all have been tended. */
static void tend_all(struct instances *instances)
{
    do {
        instances->tend_again = false;
        for (int i = 0; i <= SYSTEM_INSTANCES_MAX; i++)
            tend_one(instances, i);
    } while (instances->tend_again);
}

static bool is_settled(const struct instances *instances)
{
    for (int i = limit_of(instances); i <= SYSTEM_INSTANCES_MAX; i++) {
        if (!is_child_over(instances->children[i]))
            return false;
    }
    return instances_ready(instances);
}

/* `at_once`: by the first failure that is its own. */
static bool start_fails(const struct instances *instances, bool at_once)
{
    bool fails = false;
    for (int i = 0; i < limit_of(instances); i++) {
        const struct child *child = instances->children[i];
        bool failed = child->state == CHILD_WAITING && !child->ready_ns;
        fails |=
            child->state == CHILD_GIVEN_UP ||
            (failed && ((at_once && child->at_fault) || child->failures >= INSTANCES_FAILURES_MAX));
    }
    return fails;
}

static void end_upgrade(struct instances *instances)
{
    instances->upgraded = -1;
    instances->surge = false;
    instances_came_up(instances); /* the older program has served from this store, too */
}

/* Replaces the next old one, or ends the upgrade. */
static void upgrade_next(struct instances *instances)
{
    while (instances->upgraded < instances->wanted &&
           instances->children[instances->upgraded]->started_ns >= instances->upgrade_began_ns)
        instances->upgraded++;
    if (instances->upgraded < instances->wanted) {
        child_stop(instances->children[instances->upgraded++]);
        return;
    }
    end_upgrade(instances);
}

static bool none_runs(const struct instances *instances)
{
    for (int i = 0; i <= SYSTEM_INSTANCES_MAX; i++) {
        if (!is_child_over(instances->children[i]))
            return false;
    }
    return true;
}

/* They start again once none runs; then they may fail to get ready. */
static enum instances_news tend_parted(struct instances *instances)
{
    if (instances->parting && none_runs(instances)) {
        instances->between(instances);
        instances->parting = false;
        tend_all(instances);
    }
    if (instances->parted && !instances->parting && start_fails(instances, false)) {
        instances->parted = false;
        return INSTANCES_PARTED_FAILED;
    }
    return INSTANCES_CHANGING;
}

enum instances_news instances_tend(struct instances *instances)
{
    instances->tend_again = true;
    if (instances->tending)
        return INSTANCES_CHANGING;
    instances->tending = true;
    tend_all(instances);
    enum instances_news news = tend_parted(instances);
    if (instances->upgraded >= 0 && start_fails(instances, true)) {
        end_upgrade(instances);
        news = INSTANCES_UPGRADE_FAILED;
        tend_all(instances);
    }
    while (instances->upgraded >= 0 && is_settled(instances)) {
        upgrade_next(instances);
        tend_all(instances);
    }
    instances->tending = false;
    if (news == INSTANCES_CHANGING && instances->upgraded < 0 && !instances->parting &&
        is_settled(instances)) {
        instances->parted = false;
        instances_came_up(instances);
        news = INSTANCES_SETTLED;
    }
    return news;
}

/* ---- Requests ---- */

static enum fh_code refuse_upgrading(const struct instances *instances, struct fh_error *error)
{
    if (instances->upgraded < 0 && !instances->parting && !instances->alone)
        return FH_OK;
    return error_set(error, FH_CONFLICT, "%s is being %s; wait for its end.", instances->part->name,
                     instances->alone     ? "moved"
                     : instances->parting ? "restored"
                                          : "upgraded");
}

enum fh_code instances_scale(struct instances *instances, int wanted, struct fh_error *error)
{
    enum fh_code code = refuse_upgrading(instances, error);
    int before = instances->wanted;
    if (code != FH_OK)
        return code;
    if (wanted < 1 || wanted > SYSTEM_INSTANCES_MAX)
        return error_set(error, FH_INVALID, "%s can have from 1 to %d instances; not %d.",
                         instances->part->name, SYSTEM_INSTANCES_MAX, wanted);
    if (wanted > 1 && !instances->many)
        return error_set(error, FH_UNSUPPORTED,
                         "%s has an embedded store, which has one process; more instances need a "
                         "server engine.",
                         instances->part->name);
    instances->wanted = wanted;
    code = make_missing(instances, error);
    if (code != FH_OK)
        instances->wanted = before;
    if (code == FH_OK)
        instances_try_again(instances);
    return code;
}

void instances_try_again(struct instances *instances)
{
    for (int i = 0; i < limit_of(instances); i++) {
        struct child *child = instances->children[i];
        if (child->state == CHILD_GIVEN_UP || child->state == CHILD_WAITING)
            child_stop(child);
    }
}

void instances_came_up(struct instances *instances)
{
    instances->terms = (struct start_terms){.keeps_schema = !instances->beside};
}

int instances_start_ms_max(const struct instances *instances)
{
    int64_t most = INSTANCES_UPGRADE_MS_MIN;
    if (instances->many || instances->beside)
        return CHILD_START_MS_MAX;
    for (int i = 0; i <= SYSTEM_INSTANCES_MAX; i++) {
        const struct child *child = instances->children[i];
        int64_t times = child ? child->start_took_ms * INSTANCES_UPGRADE_TIMES : 0;
        most = times > most ? times : most;
    }
    return most < CHILD_START_MS_MAX ? (int)most : CHILD_START_MS_MAX;
}

void instances_abandon_upgrade(struct instances *instances)
{
    for (int i = 0; i < limit_of(instances) && instances->upgraded >= 0; i++) {
        if (instances->children[i]->started_ns >= instances->upgrade_began_ns)
            child_abandon(instances->children[i]);
    }
}

enum fh_code instances_upgrade(struct instances *instances, bool migrates, struct fh_error *error)
{
    enum fh_code code = refuse_upgrading(instances, error);
    if (code != FH_OK)
        return code;
    instances->surge = instances->many || instances->beside;
    code = make_missing(instances, error);
    if (code != FH_OK) {
        instances->surge = false;
        return code;
    }
    instances->upgraded = 0;
    instances->terms = (struct start_terms){.start_ms_max = instances_start_ms_max(instances),
                                            .keeps_schema = !migrates && !instances->beside};
    instances->upgrade_began_ns = world_monotonic_ns(instances->model.world);
    instances_try_again(instances); /* failures of the older program do not count */
    return FH_OK;
}

enum fh_code instances_part(struct instances *instances,
                            void (*between)(struct instances *instances), struct fh_error *error)
{
    enum fh_code code = refuse_upgrading(instances, error);
    if (code != FH_OK)
        return code;
    instances->between = between;
    instances->terms = (struct start_terms){0}; /* it may be another store after that */
    instances->parting = instances->parted = true;
    return FH_OK;
}

enum fh_code instances_rehouse(struct instances *instances, bool many, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (int i = 0; i <= SYSTEM_INSTANCES_MAX && code == FH_OK; i++) {
        struct child *child = instances->children[i];
        if (!child)
            continue;
        FH_ASSERT(is_child_over(child));
        child->addressed = many;
        if (!many && child->own_fd >= 0) {
            close(child->own_fd);
            child->own_fd = -1;
        } else if (many && child->own_fd < 0) {
            code = address_listen("127.0.0.1:0", &child->own_fd, child->own_address, error);
        }
    }
    instances->many = many;
    return code;
}

void instances_stop(struct instances *instances)
{
    for (int i = 0; i <= SYSTEM_INSTANCES_MAX; i++) {
        if (instances->children[i])
            child_stop(instances->children[i]);
    }
}

void instances_kill(struct instances *instances)
{
    for (int i = 0; i <= SYSTEM_INSTANCES_MAX; i++) {
        if (instances->children[i])
            child_kill(instances->children[i]);
    }
}

/* ---- Reports ---- */

bool instances_ready(const struct instances *instances)
{
    for (int i = 0; i < limit_of(instances); i++) {
        if (instances->children[i]->state != CHILD_READY)
            return false;
    }
    return true;
}

bool instances_ended(const struct instances *instances)
{
    for (int i = 0; i <= SYSTEM_INSTANCES_MAX; i++) {
        const struct child *child = instances->children[i];
        if (child && child->state != CHILD_ENDED)
            return false;
    }
    return true;
}

bool instances_restart(const struct instances *instances)
{
    bool restart = false;
    for (int i = 0; i < limit_of(instances); i++) {
        const struct child *child = instances->children[i];
        restart |= (child->state == CHILD_WAITING || child->state == CHILD_STARTING) &&
                   child->failures < INSTANCES_FAILURES_MAX;
    }
    return restart;
}

bool instances_given_up(const struct instances *instances)
{
    bool given_up = false;
    for (int i = 0; i < limit_of(instances); i++)
        given_up |= instances->children[i]->state == CHILD_GIVEN_UP;
    return given_up;
}

bool instances_overwritten(const struct instances *instances)
{
    bool overwritten = false;
    for (int i = 0; i < limit_of(instances); i++) {
        if (instances->children[i]->pid)
            return false;
        overwritten |= instances->children[i]->overwritten;
    }
    return overwritten;
}

bool instances_outdated(const struct instances *instances, const struct program_file *file)
{
    for (int i = 0; i <= SYSTEM_INSTANCES_MAX; i++) {
        const struct child *child = instances->children[i];
        if (child && child->pid && !program_file_same(&child->runs, file))
            return true;
    }
    return false;
}

void instances_name(const struct instances *instances, const struct child *child, char *ret,
                    size_t size)
{
    if (child->instance == 0 && instances->wanted <= 1 && !instances->surge)
        snprintf(ret, size, "%s", instances->part->name);
    else
        snprintf(ret, size, "%s/%d", instances->part->name, child->instance);
}

static json_t *child_json(const struct child *child)
{
    json_t *item = json_object();
    int64_t now = world_monotonic_ns(child->world);
    bool ready = child->state == CHILD_READY;
    json_object_set_new(item, "instance", json_integer(child->instance));
    json_object_set_new(item, "pid", child->pid ? json_integer(child->pid) : json_null());
    if (child->own_fd >= 0)
        json_object_set_new(item, "address", json_string(child->own_address));
    json_object_set_new(item, "ready", json_boolean(ready));
    json_object_set_new(item, "phase", json_string(child_state_name(child->state)));
    json_object_set_new(item, "restarts", json_integer(child->restarts));
    json_object_set_new(item, "since_s",
                        ready ? json_integer((now - child->ready_ns) / 1000000000) : json_null());
    if (child->clock.is)
        json_object_set_new(item, "clock_ahead_ms", json_integer(child->clock.ahead_ms));
    if (*child->hang.what)
        json_object_set_new(item, "hangs",
                            json_pack("{s:s, s:I}", "what", child->hang.what, "for_s",
                                      (json_int_t)((now - child->hang.since_ns) / 1000000000)));
    json_object_set_new(item, "last_end", *child->why ? json_string(child->why) : json_null());
    return item;
}

/* The one that says most about the whole: the first that is not ready. */
static const struct child *worst_of(const struct instances *instances)
{
    for (int i = 0; i < limit_of(instances); i++) {
        if (instances->children[i]->state != CHILD_READY)
            return instances->children[i];
    }
    return instances->children[0];
}

json_t *instances_json(const struct instances *instances)
{
    json_t *whole = child_json(worst_of(instances)), *each = json_array();
    json_int_t restarts = 0;
    for (int i = 0; i <= SYSTEM_INSTANCES_MAX; i++) {
        const struct child *child = instances->children[i];
        if (i >= limit_of(instances) && is_child_over(child))
            continue;
        restarts += child->restarts;
        json_array_append_new(each, child_json(child));
    }
    json_object_del(whole, "instance");
    json_object_set_new(whole, "name", json_string(instances->part->name));
    json_object_set_new(whole, "address", json_string(instances->part->address));
    json_object_set_new(whole, "restarts", json_integer(restarts));
    json_object_set_new(whole, "instances", each);
    return whole;
}
