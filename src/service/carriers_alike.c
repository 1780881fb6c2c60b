/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of a service of which several instances write: tells the others what this one derives for
 * servers, and settles (carrier/alike.h) when it has joined them, whenever one comes or goes, and
 * until all derive alike. One that was taken for dead, and has joined again, settles as when it
 * began. So does a service that derives nothing: others of it may.
 */

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "carrier/alike.h"
#include "service/carriers.h"

#define PLACE_SIZE 512

/* A declaration's digest, and which server has it: what is carried to another is no longer there.
 */
static void write_alike(const struct runtime *runtime, const struct carrying_fiber *fiber,
                        char ret[static PLACE_SIZE])
{
    const struct fh_derived *declared = fiber->carrier.declared;
    const json_t *options =
        json_object_get(json_object_get(runtime->config, "derives"), declared->name);
    const char *host = json_string_at(options, "host");
    char digest[DERIVED_DIGEST_SIZE];
    derived_digest(declared, digest);
    snprintf(ret, PLACE_SIZE, "%s %s %.256s:%lld", digest, fiber->carrier.server->ops->name,
             host ? host : "", (long long)json_integer_value(json_object_get(options, "port")));
}

static json_t *derived_alike(const struct runtime *runtime)
{
    const struct carriers *carriers = carriers_of(&runtime->context);
    json_t *own = json_object();
    for (int i = 0; carriers && i < carriers->count; i++) {
        const struct carrying_fiber *fiber = &carriers->fibers[i];
        char text[PLACE_SIZE];
        write_alike(runtime, fiber, text);
        json_object_set_new(own, fiber->carrier.declared->name, json_string_lossy(text));
    }
    return own;
}

static json_t *tell_alike(void *context)
{
    const struct runtime *runtime = context;
    return carried_alike_told(runtime->alike.own);
}

/* ---- Settling ---- */

/* Whether what it derives is what all derive, as was just read. */
static void note_alike(struct runtime *runtime, bool noted)
{
    struct alike_keeper *keeper = &runtime->alike;
    struct carriers *carriers = carriers_of(&runtime->context);
    if (keeper->noted && !noted && carriers)
        log_info("derived-waits",
                 "nothing is carried to derived stores now: some running instances of %s may "
                 "declare them differently",
                 runtime->service->name);
    if (!keeper->noted && noted && carriers)
        carriers_wake(carriers);
    keeper->noted = noted;
}

void carriers_alike_looked(struct runtime *runtime, bool noted)
{
    note_alike(runtime, noted);
    runtime->alike.settled &= noted;
}

static enum fh_code settle_now(struct runtime *runtime, struct fh_error *error)
{
    struct alike_keeper *keeper = &runtime->alike;
    bool noted = false, settled = false, begins = keeper->begins;
    keeper->begins = false;
    enum fh_code code =
        carried_alike_settle(&runtime->context, keeper->own, begins, &noted, &settled, error);
    if (code != FH_OK) {
        keeper->begins |= begins;
        return code;
    }
    keeper->settled = settled;
    note_alike(runtime, noted);
    return FH_OK;
}

static void run_settling(void *argument)
{
    struct runtime *runtime = argument;
    struct alike_keeper *keeper = &runtime->alike;
    struct fh_error error;
    bool failed = settle_now(runtime, &error) != FH_OK;
    if (failed && !keeper->failed)
        log_warning("derived-unsettled",
                    "Whether all running instances declare the same derived stores can't be read "
                    "now, and will be tried again: %s",
                    error.message);
    keeper->failed = failed;
    keeper->running = false;
}

/* At each look of the lease manager. */
static void keeper_looked(void *context, bool changed)
{
    struct runtime *runtime = context;
    struct alike_keeper *keeper = &runtime->alike;
    keeper->due |= changed || !keeper->settled || keeper->begins;
    if (!keeper->due || keeper->running || !keeper->joined || runtime->phase == RUNTIME_DRAINING)
        return;
    keeper->running = fiber_start(runtime->world->fibers, run_settling, runtime);
    keeper->due = !keeper->running;
}

static void keeper_lost(void *context)
{
    struct runtime *runtime = context;
    runtime->alike.begins = true;
}

/* ---- Beginning and ending ---- */

void carriers_alike_watch(struct runtime *runtime)
{
    struct alike_keeper *keeper = &runtime->alike;
    struct carriers *carriers = carriers_of(&runtime->context);
    if (!runtime->context.leases)
        return;
    struct arena *arena = json_arena_set(NULL);
    *keeper = (struct alike_keeper){.own = derived_alike(runtime), .begins = true};
    json_arena_set(arena);
    keeper->watcher = (struct lease_watcher){
        .looked = keeper_looked, .lost = keeper_lost, .tell = tell_alike, .context = runtime};
    lease_watch(runtime->context.leases, &keeper->watcher);
    for (int i = 0; carriers && i < carriers->count; i++)
        carriers->fibers[i].carrier.alike = keeper->own;
}

enum fh_code carriers_alike_join(struct runtime *runtime, struct fh_error *error)
{
    if (!runtime->alike.own)
        return FH_OK;
    runtime->alike.noted = true; /* else it is told */
    enum fh_code code = settle_now(runtime, error);
    runtime->alike.joined = code == FH_OK;
    return code;
}

void carriers_alike_free(struct runtime *runtime)
{
    json_decref(runtime->alike.own);
    runtime->alike.own = NULL;
}
