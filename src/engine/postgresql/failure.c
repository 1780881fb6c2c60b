/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a unit of work fails by the calls it sent: the first failure ends its transaction on the
 * server, and everything after it fails with that error.
 */

#include <stdio.h>
#include <string.h>

#include "engine/postgresql/internal.h"

enum fh_code postgresql_call_error(const struct postgresql_call *call, struct fh_error *error)
{
    if (call->code != FH_OK)
        return postgresql_pass_on(&call->error, error);
    if (call->aborted)
        return error_set(error, FH_CONFLICT, "A statement before it failed.");
    if (call->wide)
        return error_set(error, FH_UNSUPPORTED, "A statement returns more than %d columns.",
                         POSTGRESQL_COLUMNS_MAX);
    return FH_OK;
}

enum fh_code postgresql_work_fail(struct postgresql_work *work, const struct fh_error *why,
                                  struct fh_error *error)
{
    if (!work->failed) {
        work->failed = true;
        work->error = *why;
    }
    return postgresql_pass_on(&work->error, error);
}

static bool was_idle(const struct postgresql_work *work)
{
    return work->connection && strcmp(work->connection->farewell, "25P03") == 0;
}

enum fh_code postgresql_work_lost(struct postgresql_work *work, struct fh_error *error)
{
    struct fh_error why;
    if (was_idle(work))
        postgresql_idle_error(&why);
    else
        postgresql_lost_error(&why);
    work->lost = true;
    return postgresql_work_fail(work, &why, error);
}

void postgresql_work_ended(struct postgresql_work *work, const struct postgresql_call *call)
{
    struct fh_error why;
    if (call->lost)
        work->lost = true;
    if (work->failed || postgresql_call_error(call, &why) == FH_OK)
        return;
    if (call->crossed)
        postgresql_turn_learn(work);
    if (call->lost && was_idle(work)) {
        postgresql_idle_error(&why);
    } else if (call->stale) {
        error_retry(&why, FH_CONFLICT, "The store's schema has changed meanwhile.");
    } else if (call->joins && !call->lost) {
        error_retry(&why, FH_CONFLICT,
                    "A statement for rows of several units of work failed: each runs its own.");
    } else if (strcmp(why.native, "25006") == 0 && store_writes(work->base.mode)) {
        error_retry(&why, FH_UNAVAILABLE,
                    "The store's server takes no writes: it is a standby, or was made read-only.");
        snprintf(why.native, sizeof why.native, "25006");
    }
    why.statement = call->number;
    postgresql_work_fail(work, &why, ERROR_UNHEEDED);
}
