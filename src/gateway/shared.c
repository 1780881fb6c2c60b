/* SPDX-License-Identifier: Apache-2.0 */
/*
 *     IDLE --a take--> WAITING (timer) --its time, or enough of them--> TELLING (fiber) --+
 *      ^                  ^                                                               |
 *      +--nothing more----+--there were takes meanwhile-----------------------------------+
 *
 * A standing is as of when the batch was sent: what came back since is the client's, and what was
 * taken here since is added, for the server does not know of it yet. The server applied the batch
 * later than that, so a client may get what comes back in a round trip too much, and not more.
 */

#include "gateway/shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "engine/engines.h"
#include "store/store.h"

#define MS_NS INT64_C(1000000)

_Static_assert(TALLY_CLIENTS_MAX <= COUNTERS_TAKES_MAX, "a tally is one call");

struct shared {
    struct world *world;
    const struct counters_ops *ops;
    struct counters *counters;
    const struct shared_kind *kinds;
    struct world_timer timer;
    struct tally *pending, *sent;
    struct counter_take *takes;
    int64_t began_ns; /* the first of what is pending */
    int64_t retry_ns; /* nothing is told before */
    bool telling;
    bool away;
    bool stopped;
};

/* ---- Opening ---- */

static enum fh_code find_counters(const json_t *shared, const struct engine **ret,
                                  struct fh_error *error)
{
    const char *name = json_string_at(shared, "engine");
    const struct engine *engine = name ? engine_named(name) : NULL;
    *ret = engine;
    return engine && engine->counters
               ? FH_OK
               : error_set(error, FH_INVALID,
                           "\"limits\": \"shared\" needs an \"engine\" that has counters and is "
                           "built in.");
}

enum fh_code shared_load(const json_t *shared, struct fh_error *error)
{
    const struct engine *engine;
    if (!shared)
        return FH_OK;
    enum fh_code code = find_counters(shared, &engine, error);
    return code == FH_OK && engine->store->load ? engine->store->load(error) : code;
}

enum fh_code shared_open(struct world *world, const json_t *shared, const struct shared_kind *kinds,
                         struct shared **ret, struct fh_error *error)
{
    const struct engine *engine;
    struct counters *counters;
    struct fh_error why = {0};
    *ret = NULL;
    enum fh_code code = find_counters(shared, &engine, error);
    if (code != FH_OK)
        return code;
    code = engine->counters->open(shared, world, &counters, &why);
    if (code != FH_OK)
        return error_set(error, FH_INVALID, "\"limits\": \"shared\": %.150s", why.message);
    *ret = shared_new(world, engine->counters, counters, kinds);
    return FH_OK;
}

static void begin_to_tell(struct shared *shared);

static void on_shared_timer(struct world_timer *timer)
{
    begin_to_tell(timer->owner);
}

static struct tally *new_tally(void)
{
    struct tally *tally = calloc(1, sizeof *tally);
    FH_ASSERT(tally != NULL);
    tally_init(tally);
    return tally;
}

struct shared *shared_new(struct world *world, const struct counters_ops *ops,
                          struct counters *counters, const struct shared_kind *kinds)
{
    struct shared *shared = calloc(1, sizeof *shared);
    FH_ASSERT(shared != NULL);
    *shared = (struct shared){.world = world,
                              .ops = ops,
                              .counters = counters,
                              .kinds = kinds,
                              .timer = {.fire = on_shared_timer, .owner = shared},
                              .pending = new_tally(),
                              .sent = new_tally(),
                              .takes = calloc(TALLY_CLIENTS_MAX, sizeof *shared->takes)};
    FH_ASSERT(shared->takes != NULL);
    return shared;
}

static void free_tally(struct tally *tally)
{
    tally_release(tally);
    free(tally);
}

bool shared_stop(struct shared *shared)
{
    shared->stopped = true;
    world_timer_stop(shared->world, &shared->timer);
    return !shared->telling;
}

void shared_free(struct shared *shared)
{
    if (!shared)
        return;
    FH_ASSERT(shared_stop(shared));
    shared->ops->close(shared->counters);
    free_tally(shared->pending);
    free_tally(shared->sent);
    free(shared->takes);
    free(shared);
}

/* ---- Telling ---- */

static void set_takes(struct shared *shared)
{
    for (size_t i = 0; i < shared->sent->count; i++) {
        const struct tally_entry *entry = &shared->sent->entries[i];
        const struct shared_kind *kind = &shared->kinds[entry->kind];
        struct counter_take *take = &shared->takes[i];
        *take = (struct counter_take){.quota = kind->table->quota,
                                      .window_us = kind->table->window_us,
                                      .units = entry->units};
        /* Gateways with other numbers, as during an upgrade, count apart. */
        snprintf(take->name, sizeof take->name, "%s:%lld:%lld:%s", kind->name,
                 (long long)take->quota, (long long)(take->window_us / 1000000), entry->name);
    }
}

static void take_over_debts(struct shared *shared, int64_t sent_us)
{
    int64_t now_us = world_monotonic_ns(shared->world) / 1000;
    for (size_t i = 0; i < shared->sent->count; i++) {
        const struct tally_entry *entry = &shared->sent->entries[i];
        struct bucket_table *table = shared->kinds[entry->kind].table;
        int64_t debt = shared->takes[i].debt, most = bucket_debt_max(table);
        int64_t since = tally_units(shared->pending, entry->kind, entry->name);
        bucket_owe(table, entry->client, since < most - debt ? debt + since : most, sent_us,
                   now_us);
    }
}

/* Once for each outage: the next one can't begin before SHARED_RETRY_MS have passed. */
static void note_server(struct shared *shared, enum fh_code code, const struct fh_error *error)
{
    if (code != FH_OK && !shared->away)
        log_warning("limits-unshared",
                    "The counters that gateways share (gateway.limits.shared) are away, and until "
                    "they are back this gateway counts for itself. %s",
                    error->message);
    if (code == FH_OK && shared->away)
        log_info("limits-shared", "Gateways count together again (gateway.limits.shared).");
    shared->away = code != FH_OK;
    if (shared->away) {
        tally_clear(shared->pending);
        shared->retry_ns = world_in_ms(shared->world, SHARED_RETRY_MS);
    }
}

/* *ret_told: the server has answered, or not. */
static enum fh_code tell_pending(struct shared *shared, bool *ret_told, struct fh_error *error)
{
    enum fh_code code = shared->ops->connect(shared->counters, error);
    int64_t now_ns = world_monotonic_ns(shared->world);
    if (now_ns - shared->began_ns > SHARED_OLD_MS * MS_NS)
        tally_clear(shared->pending);
    *ret_told = code != FH_OK || shared->pending->count > 0;
    if (code != FH_OK || !*ret_told)
        return code;
    struct tally *sent = shared->pending;
    shared->pending = shared->sent;
    shared->sent = sent;
    set_takes(shared);
    code = shared->ops->take(shared->counters, shared->takes, sent->count, error);
    if (code == FH_OK)
        take_over_debts(shared, now_ns / 1000);
    tally_clear(sent);
    return code;
}

static void set_shared_timer(struct shared *shared)
{
    int delay_ms = shared->pending->takes < SHARED_TAKES ? SHARED_DELAY_MS : 0;
    world_timer_stop(shared->world, &shared->timer);
    world_timer_start(shared->world, &shared->timer, world_in_ms(shared->world, delay_ms));
}

static void tell_in_fiber(void *argument)
{
    struct shared *shared = argument;
    struct fh_error error = {0};
    bool told;
    enum fh_code code = tell_pending(shared, &told, &error);
    shared->telling = false;
    if (told)
        note_server(shared, code, &error);
    if (shared->pending->count && !shared->stopped)
        set_shared_timer(shared);
}

static void begin_to_tell(struct shared *shared)
{
    FH_ASSERT(!shared->telling);
    shared->telling = fiber_start(shared->world->fibers, tell_in_fiber, shared);
    if (!shared->telling) /* all fibers are busy; the next take sets the timer again */
        tally_clear(shared->pending);
}

void shared_take(struct shared *shared, int kind, const char *client,
                 const char name[static TALLY_NAME_SIZE], int64_t units)
{
    struct tally *pending = shared->pending;
    int64_t now_ns = world_monotonic_ns(shared->world);
    if (units <= 0 || shared->stopped || (shared->away && now_ns < shared->retry_ns))
        return;
    if (pending->count == 0)
        shared->began_ns = now_ns;
    bool first = pending->takes == 0;
    bool added = tally_add(pending, kind, client, name, units);
    if (added && !shared->telling && (first || pending->takes == SHARED_TAKES))
        set_shared_timer(shared);
}

bool shared_stands(const struct shared *shared)
{
    return !shared->away;
}
