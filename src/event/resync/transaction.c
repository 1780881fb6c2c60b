/* SPDX-License-Identifier: Apache-2.0 */
/* One transaction of a resync: where it stands in the store, the fence that moves it from there,
 * and what follows when it fails. */

#include "event/resync/resync.h"

#include <stdio.h>

#include "event/resync/parts.h"
#include "event/subscribe/apply.h"
#include "event/subscribe/set_back.h"
#include "world/world.h"

#define RESYNC_FAULT_MS_MIN 100
#define RESYNC_FAULT_MS_MAX (30 * 1000)

/* ---- where it stands ---- */

struct resync_places {
    struct ledger_cursor cursor;
    struct ledger_resync resync;
    int64_t set_back;
};

static enum fh_code read_resync_places(struct subscription *s, struct resync_places *ret,
                                       struct fh_error *error)
{
    const struct ledger_snapshot_ops *ops = ledger_snapshots(s->manager->context->store);
    struct store_work *work;
    enum fh_code code = store_begin(s->manager->context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = set_back_get(work, s, &ret->set_back, error);
    if (code == FH_OK)
        code = ledger_cursor_get(work, s->source, s->partition, &ret->cursor, error);
    if (code == FH_OK)
        code = ops->resync_get(work, s->source, s->partition, &ret->resync, error);
    store_rollback(work);
    return code;
}

void resync_outage(struct subscription *s, const char *why)
{
    subscription_hold(s, &s->applying_hold, SUBSCRIPTION_WAITING, why);
    subscription_pause(s, ++s->resync_tries, SUBSCRIBE_RETRY_MS_MIN, SUBSCRIBE_RETRY_MS_MAX);
}

/* The pause ends early if the partition does. */
void resync_fault(struct subscription *s, const char *why)
{
    struct world *world = subscription_world(s);
    int64_t ms = RESYNC_FAULT_MS_MIN;
    subscription_hold(s, &s->applying_hold, SUBSCRIPTION_FAILING, why);
    for (int i = 0; i < s->resync_tries && ms < RESYNC_FAULT_MS_MAX; i++)
        ms *= 2;
    s->resync_tries++;
    ms = ms < RESYNC_FAULT_MS_MAX ? ms : RESYNC_FAULT_MS_MAX;
    ms = ms / 2 + (int64_t)world_random_below(world, (uint64_t)ms / 2);
    if (subscription_goes_on(s))
        fiber_wait_until(&s->for_parking, world, world_in_ms(world, ms));
}

bool resync_load(struct subscription *s)
{
    struct fh_error error;
    struct resync_places places;
    for (int n = 1; subscription_is_ours(s) && !s->manager->draining; n++) {
        subscription_enter(s);
        enum fh_code code = read_resync_places(s, &places, &error);
        subscription_leave(s);
        if (code == FH_OK) {
            s->fenced = places.cursor.epoch != s->cursor.epoch;
            s->cursor = places.cursor;
            s->resync = places.resync;
            s->set_back = places.set_back;
            if (!s->fenced) /* nothing else might release it for a long time */
                subscription_release_hold(s, &s->applying_hold);
            return !s->fenced;
        }
        subscription_hold(s, &s->applying_hold, SUBSCRIPTION_WAITING, error.message);
        subscription_pause(s, n, SUBSCRIBE_RETRY_MS_MIN, SUBSCRIBE_RETRY_MS_MAX);
    }
    return false;
}

int resync_at_once(const struct subscription *s)
{
    return engine_can(s->manager->context->store->engine, ENGINE_ONE_DOCUMENT)
               ? 1
               : portion_size(&s->together, work_batch_size(s->manager->context, &s->habits));
}

/* ---- transactions ---- */

static enum work_verdict check_resync_fence(struct work_fence *fence, struct store_work *work,
                                            struct fh_error *error)
{
    struct resync_fence *own = (struct resync_fence *)fence;
    struct subscription *s = own->subscription;
    const struct ledger_snapshot_ops *ops = ledger_snapshots(work->store);
    enum fh_code code =
        ledger_cursor_move(work, s->source, s->partition, &s->cursor, &own->cursor, error);
    if (code == FH_OK)
        code = ops->resync_move(work, s->source, s->partition, &s->resync, &own->next, error);
    own->moved = code == FH_CONFLICT && !error->retryable;
    if (code == FH_OK && own->begins)
        code = ops->parked_clear(work, s->source, s->partition, error);
    if (code == FH_OK && own->begins)
        code = set_back_put(work, s, &own->set_back, error);
    for (int i = 0; i < own->count && code == FH_OK; i++)
        code = ops->applied_put(work, s->source, s->partition, s->resync.type, own->rows[i].key,
                                own->rows[i].position, s->resync.resync, error);
    return work_verdict_of(code, error);
}

bool resync_work(struct subscription *s, struct resync_fence *fence,
                 const struct batch_event *events, int count, fh_handler *handler)
{
    struct fh_error error = {0};
    char reason[REASON_SIZE];
    int failed = -1;
    bool is_outage = false;
    fence->fence.check = check_resync_fence;
    fence->subscription = s;
    if (!fence->begins)
        fence->cursor = s->cursor;
    fence->set_back = s->set_back;
    fence->cursor.epoch = s->cursor.epoch;
    subscription_enter(s);
    enum fh_code code =
        apply_works(s, events, count, NULL, handler, &fence->fence, &failed, &is_outage, &error);
    subscription_leave(s);
    if (code == FH_OK) {
        s->cursor = fence->cursor;
        s->resync = fence->next;
        s->set_back = fence->set_back;
        subscription_skip_none(s);
        level_moved(s);
        s->resync_tries = 0;
        portion_passed(&s->together, count);
        subscription_release_hold(s, &s->applying_hold);
        return true;
    }
    if (fence->moved) {
        resync_load(s);                 /* another process has moved it */
        subscription_pause(s, 1, 1, 1); /* its commit may be in progress */
    } else if (is_outage) {
        resync_outage(s, error.message);
    } else {
        /* The events before the failed one can succeed; if the commit failed, they may have been
         * too many. */
        if (count > 1)
            portion_failed(&s->together, failed > 0 ? failed : count / 2);
        snprintf(reason, sizeof reason, "A handler of the snapshot fails%s%s: %.200s",
                 failed >= 0 ? " for the key " : "", failed >= 0 ? events[failed].key : "",
                 error.message);
        subscription_hold(s, &s->applying_hold, SUBSCRIPTION_FAILING, reason);
        subscription_pause(s, ++s->resync_tries, SUBSCRIBE_FAILURE_MS_MIN,
                           SUBSCRIBE_FAILURE_MS_MAX);
    }
    return false;
}
