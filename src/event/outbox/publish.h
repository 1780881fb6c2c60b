/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_OUTBOX_PUBLISH_H
#define EVENT_OUTBOX_PUBLISH_H

/*
 * The publishing side: fh_publish; also fh_event and fh_event_data, for handlers of events.
 *
 * Events are checked and printed when they are published. The last statements of the transaction
 * write them into the outbox, all at once and in the order in which they were published.
 */

#include <jansson.h>
#include <stddef.h>

#include "freehold.h"

#define OUTBOX_EVENTS_MAX 10000                /* in one unit of work */
#define OUTBOX_DATA_SIZE_MAX ((size_t)1 << 20) /* of one event, as JSON */
#define OUTBOX_KEY_LENGTH_MAX 512

/* For handlers; each ends the handler on an error, mostly with 500. Checks data against its type's
 * declared shape; and returns its key, on the arena of the unit of work or within the data. */
void outbox_check_data(fh_work *w, const struct fh_published *published, const json_t *data);
const char *outbox_key(fh_work *w, const struct fh_published *published, const json_t *data);

#endif
