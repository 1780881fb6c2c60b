/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One fiber for each derived store on a server. After a turn that has left something it takes the
 * next one at once; else it waits until something is committed, or CARRIERS_LOOK_MS. After a
 * failure it rests, longer each time: a server that is away is not asked by each unit of work. So
 * it does after a loss, until there is nothing left to do: what a server loses as soon as it has it
 * would be published again and again, without a pause.
 *
 * Nothing here is remembered: whatever a turn needs to know is in the ledger. Killed anywhere, the
 * next process goes on from there.
 */

#include "service/carriers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "event/manager.h"

#define CARRIERS_LOOK_MS 10000
#define CARRIERS_LOOK_BESIDE_MS 2000 /* other instances may have been asked for something */
#define CARRIERS_PAUSE_MS 50
#define CARRIERS_REST_MS_MIN 100
#define CARRIERS_REST_MS_MAX 30000

/* ---- What units of work need of them ---- */

/* These events are not for others, so they do not count as published. */
static void derived_committed(struct work_context *context, int64_t position, int count)
{
    (void)count;
    event_manager_committed(context->events, position, 0);
    carriers_wake(carriers_of(context));
}

static enum fh_code carried_all_needed(struct work_context *context, struct store_work *work,
                                       int64_t *ret, int64_t *ret_held, struct fh_error *error)
{
    const struct carriers *carriers = carriers_of(context);
    enum fh_code code = FH_OK;
    *ret = *ret_held = INT64_MAX;
    for (int i = 0; i < carriers->count && code == FH_OK; i++) {
        const struct derived_carrier *carrier = &carriers->fibers[i].carrier;
        int64_t needed, held = INT64_MAX;
        code = carried_needed(work, carrier->declared->name, &needed, error);
        if (code == FH_OK && carrier->kept)
            code = carried_kept_settled(work, carrier->declared->name, &held, error);
        if (code == FH_OK && held < *ret_held)
            *ret_held = held;
        if (code == FH_OK && needed < *ret)
            *ret = needed;
    }
    return code;
}

static enum fh_code ask_carrying_server(struct work_context *context,
                                        const struct fh_derived *declared, const void *question,
                                        int64_t deadline_ns, json_t **ret, struct fh_error *error)
{
    struct carriers *carriers = carriers_of(context);
    struct carrying_fiber *fiber = carriers->fibers;
    while (fiber->carrier.declared != declared)
        fiber++;
    if (!context->serves)
        return error_retry(error, FH_UNAVAILABLE,
                           "The derived store %s can't be asked before the service serves.",
                           declared->name);
    enum fh_code code = carrier_ask(&fiber->carrier, question, deadline_ns, ret, error);
    if (code == FH_UNAVAILABLE) /* perhaps it is lost */
        carriers_wake(carriers);
    return code;
}

/* ---- A fiber ---- */

static void tell_kept_lives(const struct carrying_fiber *fiber,
                            const struct carrier_counters *before)
{
    const struct carrier_counters *now = &fiber->carrier.counters;
    const char *name = fiber->carrier.declared->name, *title = fiber->driver->title;
    if (now->left > before->left)
        log_warning("derived-left",
                    "%s has earlier generations of the derived store %s, which the service's store "
                    "does not know: they stay there, and are not asked",
                    title, name);
    if (now->formers > before->formers)
        log_warning("derived-former",
                    "%s has some of the derived store %s of a life that was lost when a backup "
                    "was restored: it stays; `freehold derive %s %s` says how much",
                    title, name, fiber->carriers->runtime->service->name, name);
}

static void tell_carried_losses(const struct carrying_fiber *fiber,
                                const struct carrier_counters *before)
{
    const struct carrier_counters *now = &fiber->carrier.counters;
    const char *name = fiber->carrier.declared->name, *title = fiber->driver->title;
    if (now->set_back > before->set_back)
        log_warning("derived-set-back",
                    "%s still holds some of the derived store %s that the service's own store has "
                    "lost; %s",
                    title, name, fiber->carrier.kept ? "that stays there" : "it is made anew");
    if (now->lost > before->lost && fiber->carrier.kept)
        log_error("derived-facts-lost",
                  "%s has lost some of the derived store %s that nobody else has: `freehold derive "
                  "%s %s` says what",
                  title, name, fiber->carriers->runtime->service->name, name);
    else if (now->lost > before->lost && now->set_back == before->set_back)
        log_warning("derived-lost",
                    "%s has lost something of the derived store %s, which is made anew", title,
                    name);
}

/* What a turn has done that an operator may want to know. */
static void tell_turn(struct carrying_fiber *fiber, const struct carrier_counters *before)
{
    int64_t now_ns = world_monotonic_ns(fiber->carriers->runtime->world);
    unsigned more;
    const struct carrier_counters *now = &fiber->carrier.counters;
    const char *name = fiber->carrier.declared->name, *title = fiber->driver->title;
    tell_carried_losses(fiber, before);
    if (now->resent > before->resent)
        log_warning("derived-resent",
                    "%s has lost some of the derived store %s that the outbox has: it is sent "
                    "again",
                    title, name);
    if (fiber->carrier.kept)
        tell_kept_lives(fiber, before);
    else if (now->begun > before->begun)
        log_info("derived-begun", "making the derived store %s anew on %s", name, title);
    if (now->switched > before->switched)
        log_info("derived-switched", "the derived store %s is complete on %s", name, title);
    if (now->refused > before->refused && log_pause_passes(&fiber->refused, now_ns, &more))
        log_warning("derived-refused",
                    "%s refuses values of the derived store %s: `freehold status` names their keys",
                    title, name);
}

static bool is_final(enum fh_code code)
{
    return code != FH_UNAVAILABLE && code != FH_OUTCOME_UNKNOWN && code != FH_CONFLICT &&
           code != FH_NO_MEMORY;
}

static void note_carrying_failure(struct carrying_fiber *fiber, enum fh_code code,
                                  const struct fh_error *error)
{
    const char *name = fiber->carrier.declared->name;
    bool final = is_final(code);
    if (final && !fiber->stopped)
        log_error("derived-stopped", "Nothing is carried to the derived store %s: %s", name,
                  error->message);
    else if (!final && !fiber->failures)
        log_warning("derived-delayed",
                    "What is derived for %s can't be carried now, and is tried again: %s", name,
                    error->message);
    fiber->stopped = final;
    fiber->failures++;
    fiber->failed++;
    snprintf(fiber->why, sizeof fiber->why, "%s", error->message);
}

static void note_carrying_success(struct carrying_fiber *fiber)
{
    if (fiber->failures)
        log_info("derived-resumed", "What is derived for %s is carried again",
                 fiber->carrier.declared->name);
    fiber->failures = 0;
    fiber->stopped = false;
    fiber->why[0] = '\0';
}

/* After so many failures, or losses, in a row. */
static int64_t rest_until_ns(struct world *world, int times)
{
    int64_t most = CARRIERS_REST_MS_MIN;
    for (int i = 1; i < times && most < CARRIERS_REST_MS_MAX; i++)
        most *= 2;
    most = most < CARRIERS_REST_MS_MAX ? most : CARRIERS_REST_MS_MAX;
    return world_in_ms(world, most / 2 + (int64_t)world_random_below(world, (uint64_t)most / 2));
}

/* After a turn that has passed: its look was the first thing of it. The cursor of one that can't be
 * asked, since the server has lost it or it is of a former life, says nothing. */
static void note_level(struct carrying_fiber *fiber, int64_t began_ns, bool more)
{
    const struct carrier_look *look = &fiber->carrier.look;
    if (carrier_may_be_asked(&fiber->carrier, look, &look->record.serving) &&
        look->record.serving.cursor >= fiber->seen_position)
        fiber->level_ns = fiber->seen_ns;
    if (!more && look->alike)
        fiber->level_ns = began_ns;
    fiber->seen_ns = began_ns;
    fiber->seen_position = look->position;
}

static int64_t look_ms(const struct carrying_fiber *fiber)
{
    return fiber->carrier.alike ? CARRIERS_LOOK_BESIDE_MS : CARRIERS_LOOK_MS;
}

/* After a turn that has passed. */
static void rest_after_turn(struct carrying_fiber *fiber, bool lost, bool more)
{
    struct carriers *carriers = fiber->carriers;
    struct world *world = carriers->runtime->world;
    if (lost) {
        fiber->losses++;
        fiber_wait_until(&carriers->resting, world, rest_until_ns(world, fiber->losses));
    } else if (!more) {
        fiber->losses = 0;
        if (fiber->carrier.alike) /* it is woken by all that any instance commits */
            fiber_wait_until(&carriers->resting, world, world_in_ms(world, CARRIERS_PAUSE_MS));
        if (!fiber->woken)
            fiber_wait_until(&carriers->idle, world, world_in_ms(world, look_ms(fiber)));
    }
}

/* The lease went while a turn was under way: what that does is right under no lease, too. */
static void end_turn(struct carrying_fiber *fiber)
{
    fiber->busy = false;
    lease_ended(&fiber->lease);
}

static void take_carrier_turn(struct carrying_fiber *fiber)
{
    struct carriers *carriers = fiber->carriers;
    struct world *world = carriers->runtime->world;
    const struct carrier_counters before = fiber->carrier.counters;
    int64_t began_ns = world_monotonic_ns(world);
    struct fh_error error = {0};
    bool more = false;
    fiber->woken = false;
    fiber->busy = true;
    enum fh_code code = carrier_turn(&fiber->carrier, &more, &error);
    end_turn(fiber);
    if (fiber->carrier.look.record.serving.name.number) /* it could be read */
        fiber->settled = fiber->carrier.look.record.serving.kept.settled;
    if (code == FH_OK && fiber->carrier.alike)
        carriers_alike_looked(carriers->runtime, fiber->carrier.look.alike);
    tell_turn(fiber, &before);
    if (carriers->runtime->phase != RUNTIME_READY)
        return;
    if (code != FH_OK) {
        note_carrying_failure(fiber, code, &error);
        fiber_wait_until(&carriers->resting, world, rest_until_ns(world, fiber->failures));
        return;
    }
    note_carrying_success(fiber);
    note_level(fiber, began_ns, more);
    rest_after_turn(fiber, fiber->carrier.counters.lost > before.lost, more);
}

/* Another instance carries: how far that is stands in the store. */
static void look_on(struct carrying_fiber *fiber)
{
    struct carriers *carriers = fiber->carriers;
    struct world *world = carriers->runtime->world;
    struct carrier_counters before = fiber->carrier.counters;
    struct fh_error error;
    if (carrier_look_again(&fiber->carrier, &error) == FH_OK) {
        tell_carried_losses(fiber, &before);
        fiber->settled = fiber->carrier.look.record.serving.kept.settled;
        carriers_alike_looked(carriers->runtime, fiber->carrier.look.alike);
    }
    fiber->level_ns = fiber->seen_ns = world_monotonic_ns(world);
    fiber->seen_position = INT64_MAX;
    if (carriers->runtime->phase == RUNTIME_READY && fiber->lease.state != LEASE_OURS)
        fiber_wait_until(&carriers->resting, world, world_in_ms(world, look_ms(fiber)));
}

static void run_carrier(void *argument)
{
    struct carrying_fiber *fiber = argument;
    while (fiber->carriers->runtime->phase == RUNTIME_READY) {
        if (fiber->lease.state == LEASE_OURS)
            take_carrier_turn(fiber);
        else
            look_on(fiber);
    }
    fiber->running = false;
}

static void carrier_lease_taken(struct lease *lease)
{
    const struct carrying_fiber *fiber = lease->owner;
    fiber_wake_all(&fiber->carriers->resting);
}

static void carrier_lease_ends(struct lease *lease)
{
    const struct carrying_fiber *fiber = lease->owner;
    if (!fiber->busy)
        lease_ended(lease);
}

/* Others of these instances have committed something. */
static void heard_of_commits(void *context)
{
    carriers_wake(context);
}

/* ---- The configuration ---- */

unsigned carriers_declared(const fh_service *service, const json_t *config)
{
    const json_t *derives = json_object_get(config, "derives");
    unsigned declared = 0;
    for (int i = 0; i < derived_count(service); i++) {
        if (json_object_get(derives, service->derives[i].name))
            declared |= 1u << i;
    }
    return declared;
}

static bool is_kept(const json_t *config, const struct fh_derived *declared)
{
    const json_t *options = json_object_get(json_object_get(config, "derives"), declared->name);
    return json_is_true(json_object_get(options, "kept"));
}

bool carriers_needs_own(const fh_service *service, const json_t *config)
{
    unsigned declared = carriers_declared(service, config);
    for (int i = 0; i < derived_count(service); i++) {
        if (!(declared >> i & 1) ||
            (service->derives[i].model != FH_SEARCH && !is_kept(config, &service->derives[i])))
            return true;
    }
    return false;
}

static enum fh_code open_server(struct carriers *carriers, const struct fh_derived *declared,
                                struct fh_error *error)
{
    struct runtime *runtime = carriers->runtime;
    struct carrying_fiber *fiber = &carriers->fibers[carriers->count];
    const json_t *options =
        json_object_get(json_object_get(runtime->config, "derives"), declared->name);
    const char *driver = json_string_at(options, "driver");
    const char *system = json_string_at(runtime->config, "system");
    char owner[CARRIED_OWNER_SIZE];
    if (declared->model == FH_SEARCH && !declared->state)
        return error_set(error, FH_INVALID,
                         "The derived store %s can't lie on a server: an FH_SEARCH needs a `state` "
                         "there.",
                         declared->name);
    fiber->driver = driver ? carried_driver_named(driver) : NULL;
    if (!fiber->driver)
        return error_set(error, FH_INVALID, "There is no driver '%.32s' for the derived store %s.",
                         driver ? driver : "", declared->name);
    if (!(fiber->driver->models >> declared->model & 1))
        return error_set(
            error, FH_INVALID,
            "The derived store %s is an %s, and %s holds none: expected another server.",
            declared->name, derived_model_name(declared->model), fiber->driver->title);
    bool kept = is_kept(runtime->config, declared);
    if (kept && carriers_kept_check(fiber->driver, declared, error) != FH_OK)
        return error->code;
    snprintf(owner, sizeof owner, "%s.%s", system ? system : "alone", runtime->service->name);
    fiber->carriers = carriers;
    fiber->carrier =
        (struct derived_carrier){.context = &runtime->context, .declared = declared, .kept = kept};
    if (kept)
        carriers->carried.kept |= 1u << (declared - runtime->service->derives);
    enum fh_code code =
        fiber->driver->open(runtime->world, options, owner, &fiber->carrier.server, error);
    if (code == FH_OK)
        carriers->count++;
    return code;
}

enum fh_code carriers_take(struct runtime *runtime, struct fh_error *error)
{
    const fh_service *service = runtime->service;
    unsigned declared = carriers_declared(service, runtime->config);
    enum fh_code code = FH_OK;
    if (!declared)
        return FH_OK;
    struct carriers *carriers = calloc(1, sizeof *carriers);
    if (!carriers)
        return error_set(error, FH_NO_MEMORY, "There is no memory for carriers.");
    carriers->carried = (struct work_carried){.declared = declared,
                                              .committed = derived_committed,
                                              .takes = carriers_kept_take,
                                              .needed = carried_all_needed,
                                              .ask = ask_carrying_server};
    carriers->runtime = runtime;
    runtime->context.carried = &carriers->carried;
    for (int i = 0; i < derived_count(service) && code == FH_OK; i++) {
        if (declared >> i & 1)
            code = open_server(carriers, &service->derives[i], error);
    }
    return code;
}

enum fh_code carriers_prepare(struct runtime *runtime, struct fh_error *error)
{
    struct store *store = runtime->context.store;
    const struct carriers *carriers = carriers_of(&runtime->context);
    const char *names[CARRIERS_MAX + 1] = {NULL};
    enum fh_code code = carriers_kept_prepare(runtime, false, error);
    if (code != FH_OK || engine_can(store->engine, ENGINE_MANY_INSTANCES))
        return code;
    for (int i = 0; carriers && i < carriers->count; i++)
        names[i] = carriers->fibers[i].carrier.declared->name;
    return carried_names_settle(store, names, error);
}

/* ---- Beginning and ending ---- */

enum fh_code carriers_start(struct runtime *runtime, struct fh_error *error)
{
    struct carriers *carriers = carriers_of(&runtime->context);
    for (int i = 0; carriers && runtime->context.serves && i < carriers->count; i++) {
        struct carrying_fiber *fiber = &carriers->fibers[i];
        if (!fiber_start(runtime->world->fibers, run_carrier, fiber))
            return error_set(error, FH_NO_MEMORY,
                             "There is no fiber left to carry what is derived for %s.",
                             fiber->carrier.declared->name);
        fiber->running = true;
        fiber->level_ns = fiber->seen_ns = world_monotonic_ns(runtime->world);
        fiber->seen_position = INT64_MAX;
        fiber->lease = (struct lease){
            .taken = carrier_lease_taken, .ends = carrier_lease_ends, .owner = fiber};
        snprintf(fiber->lease.name, sizeof fiber->lease.name, "carrier %.80s",
                 fiber->carrier.declared->name);
        lease_add(runtime->context.leases, &fiber->lease);
    }
    if (carriers && runtime->context.leases) {
        carriers->listener =
            (struct store_listener){.heard = heard_of_commits, .context = carriers};
        store_listen(runtime->context.store, &carriers->listener);
    }
    return FH_OK;
}

void carriers_drain(struct runtime *runtime)
{
    struct carriers *carriers = carriers_of(&runtime->context);
    if (!carriers)
        return;
    fiber_wake_all(&carriers->idle);
    fiber_wake_all(&carriers->resting);
}

void carriers_silence(struct runtime *runtime)
{
    struct carriers *carriers = carriers_of(&runtime->context);
    for (int i = 0; carriers && i < carriers->count; i++)
        carriers->fibers[i].driver->silence(carriers->fibers[i].carrier.server);
}

bool carriers_ended(const struct runtime *runtime)
{
    const struct carriers *carriers = carriers_of(&runtime->context);
    for (int i = 0; carriers && i < carriers->count; i++) {
        if (carriers->fibers[i].running)
            return false;
    }
    return !runtime->alike.running;
}

void carriers_free(struct runtime *runtime)
{
    struct carriers *carriers = carriers_of(&runtime->context);
    carriers_alike_free(runtime);
    if (carriers && carriers->listener.heard)
        store_unlisten(runtime->context.store, &carriers->listener);
    for (int i = 0; carriers && i < carriers->count; i++)
        carriers->fibers[i].driver->close(carriers->fibers[i].carrier.server);
    free(carriers);
    runtime->context.carried = NULL;
}
