/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_OUTBOX_SLICE_H
#define EVENT_OUTBOX_SLICE_H

/* Rows of the outbox kept in memory, because all partitions of a subscription read the same
 * rows. */

#include "event/manager.h"
#include "store/ledger.h"

#define SLICE_CHUNK_ROWS_MAX 1024 /* read at once */
#define SLICE_CHUNKS_MAX 16
#define SLICE_SIZE_MAX ((size_t)8 << 20)
#define SLICE_RESTING_SIZE_MAX ((size_t)128 << 10) /* kept while there are no readers */

/* Types with this prefix are the runtime's own events: no subscriber gets them, and slices keep no
 * data for them. */
#define SLICE_INTERNAL_PREFIX "freehold."

/* Like ledger_outbox_read in `work`, in whose snapshot `last` is the last position: visits events
 * after `after`, at most `limit`, until `visit` returns false. `visit` must not park. */
enum fh_code slice_read(struct event_manager *manager, struct store_work *work, int64_t after,
                        int64_t last, int limit,
                        bool (*visit)(void *context, const struct ledger_event *event),
                        void *context, struct fh_error *error);
/* A reader has reached the end: gives memory back. */
void slice_rest(struct event_manager *manager);
void slice_free(struct event_manager *manager);

#endif
