/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a unit of work again after a conflict. On an embedded store one that has met a second one
 * runs exclusively: then there is nothing left to conflict with. On a server other processes go on,
 * and transactions that collided once would collide again: so each waits for a random time below a
 * bound that doubles. After a few tries it also asks to be exclusive within its process, so that a
 * long one can finish.
 */

#include "work/batch.h"

#define EMBEDDED_TRIES_MAX 5
#define SERVER_TRIES_MAX 60 /* at most half a minute of waiting, where no deadline ends it */
#define SHARED_TRIES_MAX 8  /* of these, before it asks to be exclusive */
#define PAUSE_MS_MIN 2
#define PAUSE_MS_MAX 1000

static int64_t retry_pause_ns(struct world *world, int tries)
{
    int64_t bound_ns = (int64_t)PAUSE_MS_MIN * 1000000;
    for (int i = 1; i < tries && bound_ns < (int64_t)PAUSE_MS_MAX * 1000000; i++)
        bound_ns *= 2;
    if (bound_ns > (int64_t)PAUSE_MS_MAX * 1000000)
        bound_ns = (int64_t)PAUSE_MS_MAX * 1000000;
    uint64_t drawn;
    world_random(world, &drawn, sizeof drawn);
    return (int64_t)(drawn % (uint64_t)bound_ns);
}

bool work_retry(struct work_context *context, struct work_tries *tries, int64_t deadline_ns)
{
    tries->count++;
    if (!context->store->ops->sequence) { /* one writer: nothing else can conflict */
        tries->alone = tries->count > 1;
        return tries->count <= EMBEDDED_TRIES_MAX;
    }
    int64_t until_ns =
        world_monotonic_ns(context->world) + retry_pause_ns(context->world, tries->count);
    if (tries->count > SERVER_TRIES_MAX || (deadline_ns >= 0 && until_ns >= deadline_ns))
        return false;
    tries->alone = tries->count > SHARED_TRIES_MAX;
    fiber_sleep_until(context->world, until_ns);
    return true;
}

enum fh_code work_write(struct work_context *context, work_change *change, void *what,
                        int64_t deadline_ns, struct fh_error *error)
{
    struct work_tries tries = {0};
    struct store_work *work;
    enum fh_code code;
    do {
        *error = (struct fh_error){0};
        code = store_begin(context->store, work_tries_mode(&tries), &work, error);
        if (code != FH_OK)
            continue;
        code = change(work, what, error);
        if (code == FH_OK)
            code = store_commit(work, error);
        else
            store_rollback(work);
    } while (code == FH_CONFLICT && error->retryable && work_retry(context, &tries, deadline_ns));
    return code;
}
