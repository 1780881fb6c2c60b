/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One fiber, and a lease for it if there are several instances. What can't be done now is done at a
 * later pass; the log reports only when it begins to fail.
 */

#include "service/upkeep.h"

#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "event/outbox/trim.h"
#include "saga/run.h"
#include "service/clocks.h"
#include "service/rebuild_exchange.h"
#include "work/command.h"
#include "work/derived.h"
#include "work/keyvalue.h"
#include "work/retention.h"

#define SERIES_SLICES 100 /* of a sweep at once */

struct upkeep {
    struct runtime *runtime;
    struct retention retention;
    json_t *expected; /* declared subscribers: {name: true}; NULL: not known */
    int64_t expire_ns;
    struct series_sweep series;
    bool failing;
};

/* The services to which `up` has granted the feed. */
static json_t *expected_of(const json_t *config)
{
    json_t *callers = json_object_get(config, "callers"), *grants, *grant;
    const char *name;
    size_t i;
    if (!callers)
        return NULL;
    json_t *expected = json_object();
    json_object_foreach (callers, name, grants) {
        json_array_foreach (grants, i, grant) {
            if (json_is_string(grant) && strcmp(json_string_value(grant), UPKEEP_FEED_GRANT) == 0)
                json_object_set_new(expected, name, json_true());
        }
    }
    return expected;
}

/* Removes expired keys slice by slice, as long as this process is the one to do it. */
static enum fh_code sweep_command_keys(struct runtime *runtime, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    bool more = true;
    while (code == FH_OK && more && runtime->phase == RUNTIME_READY &&
           runtime->expiry.state == LEASE_OURS)
        code = keyvalue_sweep_slice(&runtime->context, &more, error);
    return code;
}

/* Some slices, so that all else has its turn. A series that fails keeps none of the others from
 * theirs. */
static enum fh_code sweep_series(struct upkeep *upkeep, struct fh_error *error)
{
    struct runtime *runtime = upkeep->runtime;
    enum fh_code code = FH_OK;
    for (int i = 0; i < SERIES_SLICES && !upkeep->series.done && runtime->phase == RUNTIME_READY &&
                    runtime->expiry.state == LEASE_OURS;
         i++) {
        struct fh_error why;
        enum fh_code one = work_series_sweep(&runtime->context, &upkeep->series, &why);
        if (code == FH_OK && one != FH_OK)
            *error = why;
        code = code == FH_OK ? one : code;
    }
    return code;
}

static enum fh_code sweep_expired_rows(struct upkeep *upkeep, struct fh_error *error)
{
    struct runtime *runtime = upkeep->runtime;
    int64_t removed, now_ns = world_monotonic_ns(runtime->world);
    if (now_ns < upkeep->expire_ns)
        return FH_OK;
    upkeep->expire_ns = now_ns + RUNTIME_EXPIRE_INTERVAL_MS * INT64_C(1000000);
    if (upkeep->series.done)
        upkeep->series = (struct series_sweep){0};
    enum fh_code code = command_expire(&runtime->context, &removed, error);
    service_rebuild_sweep(runtime);
    return code == FH_OK ? sweep_command_keys(runtime, error) : code;
}

/* Whether there is more to do than was done at once. */
static bool keep_up(struct upkeep *upkeep)
{
    struct runtime *runtime = upkeep->runtime;
    struct work_context *context = &runtime->context;
    struct fh_error error = {0};
    bool more = false;
    enum fh_code code = sweep_expired_rows(upkeep, &error);
    if (code == FH_OK && runtime->phase == RUNTIME_READY)
        code = event_trim(context->events, &upkeep->retention, upkeep->expected, &more, &error);
    if (code == FH_OK && runtime->phase == RUNTIME_READY)
        code = saga_forget(context->sagas, &upkeep->retention, &error);
    struct fh_error of_series = {0};
    enum fh_code swept = sweep_series(upkeep, &of_series); /* whatever else fails each time */
    if (code == FH_OK && swept != FH_OK) {
        code = swept;
        error = of_series;
    }
    if (code != FH_OK && !upkeep->failing)
        log_warning(
            "upkeep-failed",
            "Expired rows could not be removed from the store; this will be tried again: %s",
            error.message);
    upkeep->failing = code != FH_OK;
    return (more || !upkeep->series.done) && code == FH_OK;
}

static void upkeep_taken(struct lease *lease)
{
    struct runtime *runtime = lease->owner;
    fiber_wake_all(&runtime->expire_sleep);
}

static void run_upkeep(void *argument)
{
    struct runtime *runtime = argument;
    struct upkeep upkeep = {.runtime = runtime,
                            .retention = retention_of(runtime->config),
                            .expected = expected_of(runtime->config),
                            .expire_ns = world_monotonic_ns(runtime->world)};
    runtime->expiry = (struct lease){
        .name = "expiry", .taken = upkeep_taken, .ends = lease_ended, .owner = runtime};
    lease_add(runtime->context.leases, &runtime->expiry);
    while (runtime->phase == RUNTIME_READY) {
        bool more = false;
        clocks_look(runtime->clocks);
        if (runtime->phase == RUNTIME_READY)
            trouble_try(&runtime->context);
        if (runtime->phase == RUNTIME_READY && runtime->expiry.state == LEASE_OURS)
            more = keep_up(&upkeep);
        if (runtime->phase != RUNTIME_READY)
            break; /* it was woken while the store was busy */
        if (!more)
            fiber_wait_until(&runtime->expire_sleep, runtime->world,
                             world_in_ms(runtime->world, upkeep.retention.look_ms));
    }
    json_decref(upkeep.expected);
    runtime->expiring = false;
}

void upkeep_start(struct runtime *runtime)
{
    runtime->expiring = fiber_start(runtime->world->fibers, run_upkeep, runtime);
}
