/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forgetting sagas that ended, long after every receiver was notified (closing.c). They are kept
 * that long because a receiver restored from a backup may have to ask, or be asked, for what it has
 * lost. A saga counts as old if both its start (age_position) and its end, by the wall clock, are
 * old: so a jump of that clock alone never forgets a saga that began recently.
 *
 *     killed between two slices    the rest is forgotten later
 */

#include "base/crash.h"
#include "saga/manager.h"
#include "store/ledger.h"
#include "work/batch.h"
#include "work/retention.h"

static enum fh_code forget_slice(struct saga_manager *manager, int64_t number_max,
                                 int64_t before_ms, struct ledger_counts *ret_removed,
                                 struct fh_error *error)
{
    struct work_context *context = manager->context;
    struct work_tries tries = {0};
    struct store_work *work;
    enum fh_code code;
    do {
        code = store_begin(context->store, tries.alone ? STORE_WRITE_EXCLUSIVE : STORE_WRITE, &work,
                           error);
        if (code != FH_OK)
            continue;
        code =
            ledger_sagas_forget(work, number_max, before_ms, SAGA_FORGET_SLICE, ret_removed, error);
        CRASH_POINT("forget.recorded");
        if (code == FH_OK)
            code = store_commit(work, error);
        else
            store_rollback(work);
        CRASH_POINT("forget.durable");
    } while (code == FH_CONFLICT && error->retryable && work_retry(context, &tries, -1));
    return code;
}

enum fh_code saga_forget(struct saga_manager *manager, const struct retention *retention,
                         struct fh_error *error)
{
    struct work_context *context = manager->context;
    struct ledger_counts removed;
    int64_t number_max, count;
    int64_t before_ms = world_wall_ms(context->world) - retention->sagas_kept_ms;
    const struct ledger_counts *counts = &manager->counts;
    if (counts->ended + counts->undone + counts->abandoned == 0 && !context->leases)
        return FH_OK;
    enum fh_code code =
        age_position(context, "sagas", retention->sagas_kept_ms, &number_max, error);
    if (code != FH_OK || number_max == 0)
        return code;
    do {
        code = forget_slice(manager, number_max, before_ms, &removed, error);
        if (code != FH_OK)
            return code;
        count = removed.ended + removed.undone + removed.abandoned;
        manager->counts.abandoned -= removed.abandoned;
        manager->counts.ended -= removed.ended;
        manager->counts.undone -= removed.undone;
        manager->forgotten += (uint64_t)count;
    } while (count == SAGA_FORGET_SLICE && !manager->stopping);
    return FH_OK;
}
