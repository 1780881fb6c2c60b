/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing the data left over from keys that have expired or were deleted: a slice per transaction,
 * so that none holds up others for long. No reader sees what they remove.
 *
 * Expiry goes by the wall clock, as in units of work. A slice that dies before its commit leaves no
 * trace, and the next start continues with it.
 */

#include "base/crash.h"
#include "work/batch.h"
#include "work/keyvalue.h"

static enum fh_code sweep_expired_keys(struct store_work *work, void *what, struct fh_error *error)
{
    struct store *store = work->store;
    struct keyvalue_view view = {.work = work, .now_ms = world_wall_ms(store->world)};
    int64_t *removed = what;
    *removed = 0;
    enum fh_code code = keyvalue_engine(store)->sweep(&view, removed, error);
    CRASH_POINT("sweep.recorded");
    return code;
}

enum fh_code keyvalue_sweep_slice(struct work_context *context, bool *ret_more,
                                  struct fh_error *error)
{
    int64_t removed = 0;
    *ret_more = false;
    if (context->service->model != FH_KEY_VALUE || !keyvalue_engine(context->store)->sweep)
        return FH_OK;
    enum fh_code code = work_write(context, sweep_expired_keys, &removed, -1, error);
    CRASH_POINT("sweep.durable");
    *ret_more = code == FH_OK && removed >= KEYVALUE_SWEEP_ROWS;
    return code;
}
