/* SPDX-License-Identifier: Apache-2.0 */
/* What the stores of all engines have in common. */

#include "store/store.h"

#include <stdio.h>
#include <string.h>

#include "store/notifier.h"
#include "store/ledger.h"
#include "store/relational/relational.h"
#include "store/sequence.h"

void store_init(struct store *store, const struct engine *engine,
                const struct store_options *options, struct world *world)
{
    *store = (struct store){
        .engine = engine, .ops = engine->store, .world = world, .model = options->model};
    snprintf(store->instance, sizeof store->instance, "%s",
             options->instance ? options->instance : "0");
}

/* ---- modes ---- */

/* All modes. One with an ability is known only to engines that have it; on others it is
 * STORE_WRITE. */
static const struct {
    enum store_mode mode;
    enum engine_ability ability;
} modes[] = {
    {STORE_READ, 0},
    {STORE_READ_COMMITTED, 0},
    {STORE_WRITE, 0},
    {STORE_WRITE_GUARDED, ENGINE_GUARDED},
    {STORE_WRITE_EXCLUSIVE, 0},
    {STORE_WRITE_GROUPED, ENGINE_GROUPED},
    {STORE_MIGRATE, 0},
};

enum store_mode store_mode_of(const struct engine *engine, enum store_mode mode)
{
    size_t i = 0;
    while (i < sizeof modes / sizeof modes[0] && modes[i].mode != mode)
        i++;
    FH_ASSERT(i < sizeof modes / sizeof modes[0]);
    bool known = !modes[i].ability || engine_can(engine, modes[i].ability);
    return known ? mode : STORE_WRITE;
}

/* ---- provisioning ---- */

static enum fh_code provision_once(struct store *store, enum store_mode mode,
                                   struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, mode, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_prepare(work, store->incarnation, error);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

enum fh_code store_provision(struct store *store, enum store_mode mode, struct fh_error *error)
{
    struct fh_error own;
    enum fh_code code;
    do
        code = provision_once(store, mode, &own);
    while (code == FH_CONFLICT && own.retryable);
    if (code != FH_OK && error)
        *error = own;
    return code;
}

/* ---- committing ---- */

enum fh_code store_commit(struct store_work *work, struct fh_error *error)
{
    struct store *store = work->store;
    if (!store_writes(work->mode))
        return store->ops->commit(work, error);
    struct store_committing own = {.fiber = fiber_self(),
                                   .began_ns = world_monotonic_ns(store->world),
                                   .next = store->committing,
                                   .at = &store->committing};
    if (own.next)
        own.next->at = &own.next;
    store->committing = &own;
    enum fh_code code = store->ops->commit(work, error);
    *own.at = own.next;
    if (own.next)
        own.next->at = own.at;
    store_hold_ended(store);
    return code;
}

int64_t store_committing_since(const struct store *store, const struct fiber *fiber)
{
    const struct store_committing *each = store->committing;
    while (each && each->fiber != fiber)
        each = each->next;
    return each ? each->began_ns : 0;
}

/* ---- holding writes off ---- */

static void hold_ends(struct store_hold *hold)
{
    hold->held = hold->lost = false;
    fiber_wake_all(&hold->waiting);
}

enum fh_code store_hold(struct store *store, struct fh_error *error)
{
    struct store_hold *hold = &store->hold;
    int64_t until = world_in_ms(store->world, STORE_HOLD_MS_MAX);
    if (hold->held)
        return error_set(error, FH_UNAVAILABLE, "The store's transactions are held already.");
    hold->held = true;
    bool in_time = true;
    while (in_time && hold->writing > 0)
        in_time = fiber_wait_until(&hold->quiet, store->world, until);
    enum fh_code code = FH_OK;
    if (!in_time)
        code = error_set(error, FH_UNAVAILABLE,
                         "The store's transactions did not end within %d s, so it was not held.",
                         STORE_HOLD_MS_MAX / 1000);
    else if (store->ops->hold)
        code = store->ops->hold(store, error);
    if (code != FH_OK)
        hold_ends(hold);
    return code;
}

enum fh_code store_release(struct store *store, struct fh_error *error)
{
    bool held = store->hold.held;
    enum fh_code code = held && store->ops->release ? store->ops->release(store, error) : FH_OK;
    hold_ends(&store->hold);
    return code;
}

enum fh_code store_hold_pass(struct store *store, struct fh_error *error)
{
    struct store_hold *hold = &store->hold;
    int64_t until = world_in_ms(store->world, STORE_HOLD_MS_MAX);
    while (hold->held) {
        if (!fiber_self() || !fiber_wait_until(&hold->waiting, store->world, until))
            return error_set(error, FH_UNAVAILABLE,
                             "The store is being backed up, and takes no changes meanwhile.");
    }
    return FH_OK;
}

void store_hold_ended(struct store *store)
{
    if (--store->hold.writing == 0)
        fiber_wake_all(&store->hold.quiet);
}

/* ---- closing ---- */

void store_close_alone(struct store *store)
{
    store_sequencer_close(store);
    store_notifier_close(store);
    relational_cache_free(store->relational);
    store->ops->close(store);
}
