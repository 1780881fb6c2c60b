/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_OUTBOX_PUBLISH_H
#define EVENT_OUTBOX_PUBLISH_H

/*
 * The publishing side: fh_publish, and fh_event and fh_event_data for handlers that hear.
 *
 * Events are checked and printed when they are published, and written into the outbox by the
 * work's last statements, all at once and in the order in which they were published.
 */

#include <jansson.h>
#include <stddef.h>

#include "freehold.h"

#define OUTBOX_EVENTS_MAX 10000                /* one work publishes */
#define OUTBOX_DATA_SIZE_MAX ((size_t)1 << 20) /* of one event, as JSON */
#define OUTBOX_KEY_LENGTH_MAX 512

/* For handlers; ends them with 500. Data that does not fit its type's declared shape; and its key,
 * on the work's arena or in the data. */
void outbox_check_data(fh_work *w, const struct fh_published *published, const json_t *data);
const char *outbox_key(fh_work *w, const struct fh_published *published, const json_t *data);

#endif
