/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds out whether the store serves again, for a service that gets no requests. The read is of the
 * ledger's counter, from wherever GETs are read; the write is to a row of its meta, so that it
 * needs what any transaction needs: a lock, room on the disk, a commit. The row holds the time, but
 * nobody reads it: it does not matter which instance wrote it last, or whether the process died
 * before or after writing.
 *
 * A failure here does not count as a failed unit of work, and leaves the trouble as it was
 * reported. A conflict proves nothing: another process's transaction may have committed or not.
 */

#include <inttypes.h>
#include <stdio.h>

#include "store/ledger.h"
#include "work/work.h"

#define TRIED "tried"

static enum fh_code try_read(struct work_context *context, struct fh_error *error)
{
    struct store_work *work;
    int64_t unused;
    enum fh_code code = store_begin_anywhere(context->store, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_position(work, &unused, error);
    store_rollback(work);
    return code;
}

static enum fh_code write_trial_mark(struct work_context *context, struct fh_error *error)
{
    char now[24];
    struct store_work *work;
    enum fh_code code = store_begin(context->store, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code != FH_OK)
        return code;
    snprintf(now, sizeof now, "%" PRId64, world_wall_ms(context->world));
    code = ledger_meta_put(work, TRIED, now, error);
    if (code != FH_OK) {
        store_rollback(work);
        return code;
    }
    return store_commit(work, error);
}

void trouble_try(struct work_context *context)
{
    static enum fh_code (*const tries[TROUBLE_KINDS])(struct work_context *, struct fh_error *) = {
        [TROUBLE_READS] = try_read, [TROUBLE_WRITES] = write_trial_mark};
    for (int kind = 0; kind < TROUBLE_KINDS; kind++) {
        const struct trouble *trouble = &context->troubles[kind];
        struct fh_error unheeded;
        if (!trouble->failures ||
            world_monotonic_ns(context->world) - trouble->last_ns < TROUBLE_TRY_NS)
            continue;
        if (tries[kind](context, &unheeded) == FH_OK)
            trouble_note(context->troubles, (enum trouble_kind)kind, context->world, FH_OK, NULL);
    }
}
