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

struct forgetting {
    int64_t number_max, before_ms;
    struct ledger_counts removed;
};

static enum fh_code forget_slice(struct store_work *work, void *what, struct fh_error *error)
{
    struct forgetting *forgetting = what;
    enum fh_code code = ledger_sagas_forget(work, forgetting->number_max, forgetting->before_ms,
                                            SAGA_FORGET_SLICE, &forgetting->removed, error);
    CRASH_POINT("forget.recorded");
    return code;
}

enum fh_code saga_forget(struct saga_manager *manager, const struct retention *retention,
                         struct fh_error *error)
{
    struct work_context *context = manager->context;
    struct forgetting forgetting = {.before_ms =
                                        world_wall_ms(context->world) - retention->sagas_kept_ms};
    const struct ledger_counts *removed = &forgetting.removed;
    int64_t count;
    const struct ledger_counts *counts = &manager->counts;
    if (counts->ended + counts->undone + counts->abandoned == 0 && !context->leases)
        return FH_OK;
    enum fh_code code =
        age_position(context, "sagas", retention->sagas_kept_ms, &forgetting.number_max, error);
    if (code != FH_OK || forgetting.number_max == 0)
        return code;
    do {
        code = work_write(context, forget_slice, &forgetting, -1, error);
        CRASH_POINT("forget.durable");
        if (code != FH_OK)
            return code;
        count = removed->ended + removed->undone + removed->abandoned;
        manager->counts.abandoned -= removed->abandoned;
        manager->counts.ended -= removed->ended;
        manager->counts.undone -= removed->undone;
        manager->forgotten += (uint64_t)count;
    } while (count == SAGA_FORGET_SLICE && !manager->stopping);
    return FH_OK;
}
