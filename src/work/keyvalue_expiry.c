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

static enum fh_code sweep_once(struct work_context *context, enum store_mode mode,
                               int64_t *ret_removed, struct fh_error *error)
{
    struct keyvalue_view view = {.now_ms = world_wall_ms(context->world)};
    enum fh_code code = store_begin(context->store, mode, &view.work, error);
    if (code != FH_OK)
        return code;
    code = keyvalue_engine(context->store)->sweep(&view, ret_removed, error);
    CRASH_POINT("sweep.recorded");
    if (code == FH_OK)
        code = store_commit(view.work, error);
    else
        store_rollback(view.work);
    CRASH_POINT("sweep.durable");
    return code;
}

enum fh_code keyvalue_sweep_slice(struct work_context *context, bool *ret_more,
                                  struct fh_error *error)
{
    struct work_tries tries = {0};
    int64_t removed;
    enum fh_code code;
    *ret_more = false;
    if (context->service->model != FH_KEY_VALUE || !keyvalue_engine(context->store)->sweep)
        return FH_OK;
    do { /* again while it meets works of others */
        enum store_mode mode = tries.alone ? STORE_WRITE_EXCLUSIVE : STORE_WRITE;
        removed = 0;
        code = sweep_once(context, mode, &removed, error);
    } while (code == FH_CONFLICT && error->retryable && work_retry(context, &tries, -1));
    *ret_more = code == FH_OK && removed >= KEYVALUE_SWEEP_ROWS;
    return code;
}
