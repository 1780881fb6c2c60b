/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_BATCH_H
#define WORK_BATCH_H

/* Shared by the files that run units of work: work.c, batch.c, positions.c, recorded.c and
 * retry.c. */

#include "work/work.h"

/* Called by a member of a batch at its first use of the store: parks until it is the member's turn,
 * and returns the batch's one open transaction. Ends the member if the batch has failed. */
struct store_work *work_gate_pass(fh_work *w);

/* Draws the time and the seed that all reruns see again. */
void work_record_begin(fh_work *w);
/* Runs the handler, then the finish hooks and the fence's record; w->failure says how it went.
 * Neither commits nor rolls back. */
void work_handler_run(fh_work *w, bool *ret_by_fence);
void work_committed(fh_work *w); /* runs the hooks that follow a commit */
/* Between commit and work_committed: fetches the positions of the events that were published. */
void work_sequence(fh_work *const *works, int count);

/* How often a unit of work was tried: see retry.c. Zero-initialised. */
struct work_tries {
    int count;
    bool alone; /* the next try must be exclusive */
};
/* After a conflict: waits as long as is due, and says whether to try again. */
bool work_retry(struct work_context *context, struct work_tries *tries, int64_t deadline_ns);

#endif
