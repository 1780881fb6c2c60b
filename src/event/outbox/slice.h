/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_OUTBOX_SLICE_H
#define EVENT_OUTBOX_SLICE_H

/* Rows of the outbox kept in memory, for the shares of a subscription, which all read the same. */

#include "event/manager.h"
#include "store/ledger.h"

#define SLICE_CHUNK_ROWS_MAX 1024 /* read at once */
#define SLICE_CHUNKS_MAX 16
#define SLICE_SIZE_MAX ((size_t)8 << 20)
#define SLICE_RESTING_SIZE_MAX ((size_t)128 << 10) /* kept while nobody reads */

/* Events whose types begin so are the runtime's own: nobody hears them, and slices leave out what
 * they hold. */
#define SLICE_INTERNAL_PREFIX "freehold."

/* As ledger_outbox_read in `work`, in whose snapshot `last` is the last position: visits events
 * behind `after`, `limit` at the most, until `visit` returns false, which must not park. */
enum fh_code slice_read(struct event_manager *manager, struct store_work *work, int64_t after,
                        int64_t last, int limit,
                        bool (*visit)(void *context, const struct ledger_event *event),
                        void *context, struct fh_error *error);
/* Someone has read all there is: gives memory back. */
void slice_rest(struct event_manager *manager);
void slice_free(struct event_manager *manager);

#endif
