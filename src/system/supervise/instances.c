/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which processes should run follows from a few numbers (wanted, surge, upgraded). Tending compares
 * that with what runs and takes the next step, so whatever dies or fails in between is just one
 * more difference. A child's memory stays until the end, since its number may be used again.
 *
 * After a crash of `up` an upgrade is forgotten: the next `up` starts everything afresh.
 */

#include "system/supervise/instances.h"

#include <stdlib.h>
#include <unistd.h>

#include "service/process.h"

#define NS_PER_MS INT64_C(1000000)
#define LATE_MS 100 /* a timer that fires later than this: the loop itself was held up */

int instances_limit(const struct instances *instances)
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
    for (int i = 0; i < instances_limit(instances); i++) {
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

static void end_probation(struct instances *instances)
{
    world_timer_stop(instances->model.world, &instances->probation);
}

void instances_release(struct instances *instances)
{
    end_probation(instances);
    for (int i = 0; i <= SYSTEM_INSTANCES_MAX; i++) {
        if (instances->children[i])
            child_release(instances->children[i]);
        free(instances->children[i]);
        instances->children[i] = NULL;
    }
}

void instances_start(struct instances *instances)
{
    for (int i = 0; i < instances_limit(instances); i++) {
        if (child_is_over(instances->children[i]))
            child_start(instances->children[i]);
    }
}

/* ---- tending ---- */

static void tend_one(struct instances *instances, int number)
{
    struct child *child = instances->children[number];
    if (number < instances_limit(instances)) {
        if (child_is_over(child))
            child_start(child);
    } else if (!child_is_over(child)) {
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
    for (int i = instances_limit(instances); i <= SYSTEM_INSTANCES_MAX; i++) {
        if (!child_is_over(instances->children[i]))
            return false;
    }
    return instances_ready(instances);
}

static bool is_of_upgrade(const struct instances *instances, const struct child *child)
{
    return child->started_ns >= instances->upgrade_began_ns;
}

/* When it will have stayed ready for long enough. */
static int64_t proven_at_ns(const struct instances *instances, const struct child *child)
{
    return child->ready_ns + instances->probation_ms * NS_PER_MS;
}

/* The process that does not get ready, or NULL. `upgrading`: or does not stay so; then the first
 * failure counts that is its own. */
static const struct child *failing_start(const struct instances *instances, bool upgrading)
{
    for (int i = 0; i < instances_limit(instances); i++) {
        const struct child *child = instances->children[i];
        bool on_probation = upgrading && is_of_upgrade(instances, child) &&
                            child->exited_ns < proven_at_ns(instances, child);
        bool failed = child->state == CHILD_WAITING && (!child->ready_ns || on_probation);
        bool counts = (upgrading && child->at_fault) || child->failures >= INSTANCES_FAILURES_MAX;
        if (child->state == CHILD_GIVEN_UP || (failed && counts))
            return child;
    }
    return NULL;
}

static void probation_is_over(struct world_timer *timer)
{
    struct instances *instances = timer->owner;
    int64_t now = world_monotonic_ns(instances->model.world);
    if (now - timer->at_ns <= LATE_MS * NS_PER_MS)
        instances->due(instances);
    else /* we were held up: its end may wait to be noticed */
        world_timer_start(instances->model.world, timer, now + LATE_MS * NS_PER_MS);
}

/* Whether the first of the new processes, if there is one, has stayed ready. All are ready. */
static bool is_proven(struct instances *instances)
{
    int64_t first_ns = INT64_MAX, now = world_monotonic_ns(instances->model.world);
    for (int i = 0; i < instances_limit(instances); i++) {
        const struct child *child = instances->children[i];
        int64_t proven_ns = proven_at_ns(instances, child);
        if (child->exited_ns)
            return false;
        if (is_of_upgrade(instances, child) && proven_ns < first_ns)
            first_ns = proven_ns;
    }
    if (first_ns == INT64_MAX || now >= first_ns)
        return true;
    instances->probation.fire = probation_is_over;
    instances->probation.owner = instances;
    world_timer_start(instances->model.world, &instances->probation, first_ns);
    return false;
}

static void end_upgrade(struct instances *instances)
{
    end_probation(instances);
    instances->upgraded = -1;
    instances->surge = false;
    instances_came_up(instances); /* the older program has served from this store, too */
}

/* Where a store has one process, its disk had room for the trial: the fault is the program's. */
static void note_failure(struct instances *instances, const struct child *failing)
{
    instances->failure.was_ready = failing->ready_ns != 0;
    instances->failure.may_pass =
        instances->many && !failing->exit_signal && failing->exit_code == PROCESS_EXIT_UNAVAILABLE;
}

/* Replaces the next old one, or ends the upgrade. */
static void upgrade_next(struct instances *instances)
{
    while (instances->upgraded < instances->wanted &&
           is_of_upgrade(instances, instances->children[instances->upgraded]))
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
        if (!child_is_over(instances->children[i]))
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
    if (instances->parted && !instances->parting && failing_start(instances, false)) {
        instances->parted = false;
        return INSTANCES_PARTED_FAILED;
    }
    return INSTANCES_CHANGING;
}

/* One of the older program that does not get ready is no fault of the newer one, which starts in
 * its place. */
static void replace_failed_older(struct instances *instances)
{
    bool any = false;
    for (int i = 0; i < instances_limit(instances); i++) {
        struct child *child = instances->children[i];
        bool failed =
            child->state == CHILD_GIVEN_UP || (child->state == CHILD_WAITING && !child->ready_ns);
        if (failed && !is_of_upgrade(instances, child)) {
            child_stop(child);
            any = true;
        }
    }
    if (any)
        tend_all(instances);
}

enum instances_news instances_tend(struct instances *instances)
{
    instances->tend_again = true;
    if (instances->tending)
        return INSTANCES_CHANGING;
    instances->tending = true;
    tend_all(instances);
    enum instances_news news = tend_parted(instances);
    const struct child *failing = NULL;
    if (instances->upgraded >= 0)
        replace_failed_older(instances);
    if (instances->upgraded >= 0 && (failing = failing_start(instances, true))) {
        note_failure(instances, failing);
        end_upgrade(instances);
        news = INSTANCES_UPGRADE_FAILED;
        tend_all(instances);
    }
    while (instances->upgraded >= 0 && is_settled(instances) && is_proven(instances)) {
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
    for (int i = 0; i < instances_limit(instances); i++) {
        struct child *child = instances->children[i];
        if (child->state == CHILD_GIVEN_UP || child->state == CHILD_WAITING)
            child_stop(child);
    }
}

void instances_came_up(struct instances *instances)
{
    instances->terms = (struct start_terms){.keeps_schema = !instances->beside};
}

/* By how long those that run took to start. */
static int upgrade_ms(const struct instances *instances, int least, int most)
{
    int64_t ms = least;
    for (int i = 0; i <= SYSTEM_INSTANCES_MAX; i++) {
        const struct child *child = instances->children[i];
        int64_t times = child ? child->start_took_ms * INSTANCES_UPGRADE_TIMES : 0;
        ms = times > ms ? times : ms;
    }
    return ms < most ? (int)ms : most;
}

int instances_start_ms_max(const struct instances *instances)
{
    return instances->many || instances->beside
               ? CHILD_START_MS_MAX
               : upgrade_ms(instances, INSTANCES_UPGRADE_MS_MIN, CHILD_START_MS_MAX);
}

void instances_abandon_upgrade(struct instances *instances)
{
    for (int i = 0; i < instances_limit(instances) && instances->upgraded >= 0; i++) {
        if (is_of_upgrade(instances, instances->children[i]))
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
    instances->probation_ms =
        upgrade_ms(instances, INSTANCES_PROBATION_MS_MIN, INSTANCES_PROBATION_MS_MAX);
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
        FH_ASSERT(child_is_over(child));
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
    end_probation(instances);
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
    for (int i = 0; i < instances_limit(instances); i++) {
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
    for (int i = 0; i < instances_limit(instances); i++) {
        const struct child *child = instances->children[i];
        restart |= (child->state == CHILD_WAITING || child->state == CHILD_STARTING) &&
                   child->failures < INSTANCES_FAILURES_MAX;
    }
    return restart;
}

bool instances_given_up(const struct instances *instances)
{
    bool given_up = false;
    for (int i = 0; i < instances_limit(instances); i++)
        given_up |= instances->children[i]->state == CHILD_GIVEN_UP;
    return given_up;
}

bool instances_overwritten(const struct instances *instances)
{
    bool overwritten = false;
    for (int i = 0; i < instances_limit(instances); i++) {
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
