/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNDECIDED_H
#define TESTS_UNDECIDED_H

/*
 * An engine whose commits are not decided until the test says so. The outcome of the unit of work
 * is settled at once, as on a server that is cut off: it is done, or it will never be; only whoever
 * commits does not learn of it. Header only, over any engine.
 */

#include "harness.h"
#include "store/store.h"

enum undecided_fate { UNDECIDED_DONE, UNDECIDED_NEVER };

static struct undecided {
    const struct store_ops *honest;
    struct store_ops ops;
    int passes; /* so many commits are decided at once, before */
    int left;   /* so many are not */
    enum undecided_fate fate;
    int held; /* now */
    struct fiber_queue decided;
} undecided;

static inline enum fh_code undecided_commit(struct store_work *work, struct fh_error *error)
{
    bool held = store_writes(work->mode) && undecided.left > 0 && undecided.passes-- <= 0;
    if (!held)
        return undecided.honest->commit(work, error);
    undecided.left--;
    enum undecided_fate fate = undecided.fate;
    if (fate == UNDECIDED_NEVER)
        undecided.honest->rollback(work);
    else if (undecided.honest->commit(work, error) != FH_OK)
        abort();
    undecided.held++;
    fiber_wait(&undecided.decided);
    undecided.held--;
    if (fate == UNDECIDED_DONE)
        return FH_OK;
    error_set(error, FH_CONFLICT, "The work never came to the server.");
    error->retryable = true;
    return FH_CONFLICT;
}

/* The store's commits after the next `passes` ones. */
static inline void undecided_begin(struct store *store, int passes, int count,
                                   enum undecided_fate fate)
{
    if (store->ops != &undecided.ops) {
        undecided.honest = store->ops;
        undecided.ops = *store->ops;
        undecided.ops.commit = undecided_commit;
        store->ops = &undecided.ops;
    }
    undecided.passes = passes;
    undecided.left = count;
    undecided.fate = fate;
}

static inline void undecided_end(void)
{
    fiber_wake_all(&undecided.decided);
}

static inline bool undecided_is_held(void *unused)
{
    (void)unused;
    return undecided.held > 0;
}

#endif
