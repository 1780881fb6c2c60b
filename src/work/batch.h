/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_BATCH_H
#define WORK_BATCH_H

/* What work.c and batch.c share. */

#include "work/work.h"

/* A member of a batch at its first use of the store: parks until it is its turn, and returns the
 * batch's one open work. Ends the member when the batch has failed. */
struct store_work *work_gate_pass(fh_work *w);

/* The wall clock and the seed that reruns hear again. */
void work_record_begin(fh_work *w);
/* The handler, then finish hooks and the fence's record; w->failure says how it went. Neither
 * commits nor rolls back. */
void work_handler_run(fh_work *w, bool *ret_by_fence);
void work_committed(fh_work *w); /* the hooks behind a commit */
/* Between the two: the positions of what the committed works have published. */
void work_sequence(fh_work *const *works, int count);

/* Conflicts: see retry.c. Zero-initialised. */
struct work_tries {
    int count;
    bool alone;
};
/* After a conflict: waits as long as is due, and says whether to try again. */
bool work_retry(struct work_context *context, struct work_tries *tries, int64_t deadline_ns);

#endif
