/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_BATCH_H
#define WORK_BATCH_H

/* Shared by the files that run units of work: work.c and batch.c, and below them failure.c, gate.c,
 * positions.c, recorded.c and retry.c. */

#include "base/text.h"
#include "work/work.h"

/* How a handler ended: what setjmp returns. */
enum { WORK_RAN_TO_ITS_END = 0, WORK_ENDED_BY_FAILURE, WORK_ENDED_BY_FENCE };

/* Makes `error` the answer: a problem. */
void work_set_problem(fh_work *w, const struct fh_error *error);
/* work_fail with an error made of these. */
_Noreturn void work_fail_with(fh_work *w, enum fh_code code, const char *message);

/* Draws the time and the seed that all reruns see again. */
void work_record_begin(fh_work *w);
/* Runs the handler, then the finish hooks and the fence's record; w->failure says how it went.
 * Neither commits nor rolls back. */
void work_handler_run(fh_work *w, bool *ret_by_fence);
/* What is asked of a handler that lists rows in the order of their keys. */
struct work_listing {
    const char *after; /* a key; "": from the first one on */
    bool integers;     /* the keys are */
    int limit;
};
/* Runs it in `snapshot`, which stays open; w->reply_body is what it lists, unchecked. */
enum fh_code work_list(fh_work *w, struct store_work *snapshot, const struct work_listing *listing,
                       struct fh_error *error);
/* The first member of a row of that list, as text. NULL: it is none that a key can be. */
const char *work_listed_key(const json_t *row, char digits[static TEXT_INTEGER_SIZE]);
void work_committed(fh_work *w); /* runs the hooks that follow a commit */
/* Between commit and work_committed: fetches the positions of the events that were published. */
void work_sequence(fh_work *const *works, int count);
/* The same of events that were appended without one. */
void work_sequence_events(struct work_context *context, struct ledger_event *first);
/* After that: of an event that it published. 0: it has none yet, or it is another's. */
int64_t work_position_of(const fh_work *w, const char *event_id);
/* The last of those of its events; 0: it has none that is known. */
int64_t work_last_position(const fh_work *w);

/* How often a unit of work was tried: see retry.c. Zero-initialised. */
struct work_tries {
    int count;
    bool alone; /* the next try must be exclusive */
};
static inline enum store_mode work_tries_mode(const struct work_tries *tries)
{
    return tries->alone ? STORE_WRITE_EXCLUSIVE : STORE_WRITE;
}
/* After a conflict: waits as long as necessary, and says whether to try again. */
bool work_retry(struct work_context *context, struct work_tries *tries, int64_t deadline_ns);
/* Runs `change` in a transaction without a handler, again after each conflict, until the deadline
 * (-1: none). */
typedef enum fh_code work_change(struct store_work *work, void *what, struct fh_error *error);
enum fh_code work_write(struct work_context *context, work_change *change, void *what,
                        int64_t deadline_ns, struct fh_error *error);

#endif
