/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sagas in a service with several instances. Each instance runs the sagas it has started, and each
 * row names the session that runs it. The instance with the lease "sagas" looks for rows of
 * sessions that are over (their instances died, left, or were taken for dead), makes them its own
 * with the next epoch, and loads them; it also notifies receivers of ended sagas (closing.c). The
 * epoch is the fence: a former owner that is still alive can store nothing more of them.
 *
 * A death between adopting and loading leaves rows of one more session that is over. A saga whose
 * definition this program lacks may be one of another instance's: handover.c.
 */

#include <inttypes.h>

#include "base/crash.h"
#include "base/log.h"
#include "saga/manager.h"
#include "work/batch.h"

/* Rows can also come late, when the sequencer numbers sagas that a dead instance has started. */
#define ADOPT_INTERVAL_MS 5000

static enum fh_code adopt_sagas_once(struct saga_manager *manager, int64_t *ret_adopted,
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

/* True: there may be more, and it need not wait. */
static bool adopt_sagas(struct saga_manager *manager)
{
    struct fh_error error;
    struct work_tries tries = {0};
    int64_t adopted = 0;
    enum fh_code code;
    do {
        error = (struct fh_error){0};
        code = adopt_sagas_once(manager, &adopted, &error);
    } while (code == FH_CONFLICT && error.retryable && !manager->stopping &&
             work_retry(manager->context, &tries, -1));
    if (code)
        log_warning("saga-adoption-failed",
                    "Dead instances' sagas could not be searched for; this will be tried again: %s",
                    error.message);
    if (!code && adopted == 0)
        return false;
    if (!code)
        log_info("sagas-adopted", "%" PRId64 " sagas of instances that have ended were taken over.",
                 adopted);
    saga_manager_reread(manager);
    return !code;
}

static void run_adopter(void *argument)
{
    struct saga_manager *manager = argument;
    while (!manager->stopping && manager->lease.state == LEASE_OURS) {
        bool more = adopt_sagas(manager);
        saga_manager_refill(manager);
        if (more)
            continue;
        fiber_wait_until(&manager->adoptable, manager->context->world,
                         world_in_ms(manager->context->world, ADOPT_INTERVAL_MS));
    }
    manager->adopting = false;
    saga_lease_left(manager);
    saga_manager_fiber_ended(manager);
}

static void begin_duties(struct saga_manager *manager)
{
    if (manager->stopping || manager->lease.state != LEASE_OURS)
        return;
    if (!manager->adopting)
        manager->adopting = fiber_start(manager->context->world->fibers, run_adopter, manager);
    saga_closing_take(manager);
}

static void lease_taken(struct lease *lease)
{
    begin_duties(lease->owner);
}

static void lease_ends(struct lease *lease)
{
    struct saga_manager *manager = lease->owner;
    fiber_wake_all(&manager->adoptable);
    fiber_wake_all(&manager->closable);
    saga_lease_left(manager);
}

static void reload_sagas(struct saga_manager *manager)
{
    if (manager->refilling || manager->stopping)
        return;
    manager->reload = false;
    if (!manager->strangers)
        manager->stranger_at_ns = 0;
    manager->looked_at_ns = world_monotonic_ns(manager->context->world);
    saga_manager_reread(manager);
    saga_manager_refill(manager);
}

static void instances_looked(void *context, bool changed)
{
    struct saga_manager *manager = context;
    manager->away = false;
    if (changed)
        fiber_wake_all(&manager->adoptable);
    manager->reload |= saga_handover_news(manager, changed);
    if (manager->reload)
        reload_sagas(manager);
    begin_duties(manager); /* again, in case no fiber could be started for it */
}

/* What we ran belongs to other instances by now, or soon will: what memory has of it is useless. A
 * unit of work still in progress may complete one transition, as long as no instance has taken its
 * saga over; until then we don't load it either, and least of all under our former session. */
static void session_lost(void *context)
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
    manager->watcher = (struct lease_watcher){.looked = instances_looked,
                                              .lost = session_lost,
                                              .tell = saga_handover_tell,
                                              .context = manager};
    lease_watch(manager->context->leases, &manager->watcher);
    manager->lease =
        (struct lease){.name = "sagas", .taken = lease_taken, .ends = lease_ends, .owner = manager};
    lease_add(manager->context->leases, &manager->lease);
}

void saga_takeover_stop(struct saga_manager *manager)
{
    fiber_wake_all(&manager->adoptable);
}
