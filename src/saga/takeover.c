/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sagas in a service with several instances. Each instance runs the sagas it has started, and each
 * row names the session that runs it. The instance with the lease "sagas" looks for rows of
 * sessions that are over (their instances died, left, or were taken for dead), makes them its own
 * with the next epoch, and loads them; it also notifies receivers of ended sagas (closing.c). The
 * epoch is the fence: a former owner that is still alive can store nothing more of them.
 *
 * A death between adopting and loading leaves rows of one more session that is over.
 *
 * During an upgrade, instances of an older and a newer program run side by side, and one may adopt
 * a saga whose definition only the other's program has. Each tells the others which definitions it
 * has, so the saga is handed over: the row gets the other's session and the next epoch. An instance
 * that learns of a handover, or that an instance came or went, looks for rows of its own that it
 * does not know: so a death after the handover loses nothing either. If no instance has the
 * definition, one that has it may be about to restart; after STRANGERS_MS_MAX the saga is parked.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "saga/manager.h"
#include "work/batch.h"

/* Rows can also come late, when the sequencer numbers sagas that a dead instance has started. */
#define ADOPT_INTERVAL_MS 5000
#define STRANGERS_MS_MAX 30000
#define STRANGERS_LOOK_MS 2000

const char *saga_takeover_owner(const struct saga_manager *manager)
{
    return manager->context->leases ? manager->context->store->instance : NULL;
}

static enum fh_code adopt_once(struct saga_manager *manager, int64_t *ret_adopted,
                               struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(manager->context->store, STORE_WRITE, &work, error);
    if (code)
        return code;
    code = ledger_sagas_adopt(work, manager->context->store->instance, ret_adopted, error);
    CRASH_POINT("lease.adopting");
    if (code) {
        store_rollback(work);
        return code;
    }
    code = store_commit(work, error);
    CRASH_POINT("lease.adopted");
    return code;
}

static void adopt(struct saga_manager *manager)
{
    struct fh_error error;
    struct work_tries tries = {0};
    int64_t adopted = 0;
    enum fh_code code;
    do {
        error = (struct fh_error){0};
        code = adopt_once(manager, &adopted, &error);
    } while (code == FH_CONFLICT && error.retryable && !manager->stopping &&
             work_retry(manager->context, &tries, -1));
    if (code)
        log_warning("Dead instances' sagas could not be searched for; this will be tried again: %s",
                    error.message);
    if (!code && adopted == 0)
        return;
    if (!code)
        log_info("%" PRId64 " sagas of instances that are no more go on here.", adopted);
    manager->crowded = true; /* the store has something of ours that is not in memory */
}

static void give_up_ended(struct saga_manager *manager)
{
    if (!manager->adopting && !manager->closing_fiber)
        lease_ended(&manager->lease);
}

static void adopter(void *argument)
{
    struct saga_manager *manager = argument;
    while (!manager->stopping && manager->lease.state == LEASE_OURS) {
        adopt(manager);
        saga_manager_refill(manager);
        fiber_wait_until(&manager->adoptable, manager->context->world,
                         world_in_ms(manager->context->world, ADOPT_INTERVAL_MS));
    }
    manager->adopting = false;
    give_up_ended(manager);
    saga_manager_fiber_ended(manager);
}

static void begin(struct saga_manager *manager)
{
    if (manager->stopping || manager->lease.state != LEASE_OURS)
        return;
    if (!manager->adopting)
        manager->adopting = fiber_start(manager->context->world->fibers, adopter, manager);
    saga_closing_take(manager);
}

static void taken(struct lease *lease)
{
    begin(lease->owner);
}

static void ends(struct lease *lease)
{
    struct saga_manager *manager = lease->owner;
    fiber_wake_all(&manager->adoptable);
    fiber_wake_all(&manager->closable);
    give_up_ended(manager);
}

void saga_takeover_told(struct saga_manager *manager)
{
    give_up_ended(manager);
}

/* ---- Definitions that other instances have --------------------------------------------------- */

static json_t *tell(void *context)
{
    struct saga_manager *manager = context;
    json_t *has = json_array();
    for (int i = 0; i < manager->type_count; i++) {
        char tag[SAGA_TYPE_TAG_SIZE];
        saga_type_tag(&manager->types[i], tag);
        json_array_append_new(has, json_string(tag));
    }
    return json_pack("{s:s, s:o, s:I}", "saga_life", manager->context->store->instance, "has", has,
                     "handed", (json_int_t)manager->handed);
}

struct search {
    char tag[SAGA_TYPE_TAG_SIZE];
    const char *life; /* of an instance that has it; NULL: none */
};

static void find_life(void *context, const json_t *told)
{
    struct search *search = context;
    const char *life = json_string_at(told, "saga_life");
    size_t i;
    json_t *tag;
    json_array_foreach (json_object_get(told, "has"), i, tag) {
        if (life && json_is_string(tag) && strcmp(json_string_value(tag), search->tag) == 0)
            search->life = life;
    }
}

/* NULL: none that we know of. */
static const char *life_with(const struct saga_manager *manager, const struct ledger_saga *row)
{
    struct search search = {.life = NULL};
    json_t *state = NULL;
    json_int_t version = 0;
    if (json_parse(row->state, strlen(row->state), &state, ERROR_UNHEEDED) != FH_OK)
        return NULL;
    const char *digest = json_string_at(state, "digest");
    if (digest && json_integer_at(state, "version", &version)) {
        snprintf(search.tag, sizeof search.tag, "%s %lld %s", row->name, (long long)version,
                 digest);
        lease_told(manager->context->leases, find_life, &search);
    }
    json_decref(state);
    return search.life;
}

static enum fh_code hand_over(struct saga_manager *manager, const struct ledger_saga *row,
                              const char *life, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(manager->context->store, STORE_WRITE, &work, error);
    if (code)
        return code;
    code = ledger_saga_take(work, row->birth, row->number, life, error);
    CRASH_POINT("handing.given");
    if (code) {
        store_rollback(work);
        return code;
    }
    code = store_commit(work, error);
    CRASH_POINT("handing.durable");
    return code;
}

bool saga_takeover_leave(struct saga_manager *manager, const struct ledger_saga *row)
{
    struct fh_error error;
    if (!manager->context->leases)
        return false;
    const char *life = life_with(manager, row);
    if (life && hand_over(manager, row, life, &error) == FH_OK) {
        log_info("saga %s %s.%lld goes on at another instance (%s): this program has not the "
                 "definition that it began with.",
                 row->name, row->birth, (long long)row->number, life);
        manager->handed++;
        return true;
    }
    int64_t now_ns = world_monotonic_ns(manager->context->world);
    if (!manager->stranger_at_ns)
        manager->stranger_at_ns = now_ns;
    if (now_ns - manager->stranger_at_ns >= STRANGERS_MS_MAX * INT64_C(1000000))
        return false;
    manager->strangers++;
    return true;
}

static void add_handed(void *context, const json_t *told)
{
    json_int_t handed = 0;
    json_integer_at(told, "handed", &handed);
    *(int64_t *)context += handed;
}

/* Does the store have anything of ours that may be new to us? */
static bool has_news(struct saga_manager *manager, bool changed)
{
    int64_t handed = 0;
    lease_told(manager->context->leases, add_handed, &handed);
    bool due =
        manager->strangers && world_monotonic_ns(manager->context->world) - manager->looked_at_ns >=
                                  STRANGERS_LOOK_MS * INT64_C(1000000);
    bool news = changed || handed != manager->handed_seen || due;
    manager->handed_seen = handed;
    return news;
}

static void reload(struct saga_manager *manager)
{
    if (manager->refilling || manager->stopping)
        return;
    manager->reload = false;
    if (!manager->strangers)
        manager->stranger_at_ns = 0;
    manager->looked_at_ns = world_monotonic_ns(manager->context->world);
    manager->crowded = true;
    saga_manager_refill(manager);
}

static void looked(void *context, bool changed)
{
    struct saga_manager *manager = context;
    manager->away = false;
    if (changed)
        fiber_wake_all(&manager->adoptable);
    manager->reload |= has_news(manager, changed);
    if (manager->reload)
        reload(manager);
    begin(manager); /* again, in case no fiber could be started for it */
}

/* What we ran belongs to other instances by now, or soon will: what memory has of it is useless. A
 * unit of work still in progress may complete one transition, as long as no instance has taken its
 * saga over; until then we don't load it either, and least of all under our former session. */
static void lost(void *context)
{
    struct saga_manager *manager = context;
    struct map_entry *entry;
    const char *reference;
    void *run;
    if (manager->stopping)
        return;
    manager->away = true;
    manager->deaths++;
    manager->read_by_former = manager->reading > 0;
    saga_unnumbered_free(manager);
    while (entry = NULL, map_next(&manager->runs, &entry, &reference, &run))
        saga_manager_remove(manager, run);
}

void saga_takeover_start(struct saga_manager *manager)
{
    manager->watcher =
        (struct lease_watcher){.looked = looked, .lost = lost, .tell = tell, .context = manager};
    lease_watch(manager->context->leases, &manager->watcher);
    manager->lease =
        (struct lease){.name = "sagas", .taken = taken, .ends = ends, .owner = manager};
    lease_add(manager->context->leases, &manager->lease);
}

void saga_takeover_stop(struct saga_manager *manager)
{
    fiber_wake_all(&manager->adoptable);
}
