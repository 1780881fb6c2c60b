/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_OUTBOX_H
#define EVENT_OUTBOX_H

/*
 * The publishing side: fh_publish, and fh_event and fh_event_data for handlers that hear.
 *
 * Events are checked and printed when they are published, and written into the outbox by the
 * work's last statements, all at once and in the order in which they were published.
 */

#include <stddef.h>

#define OUTBOX_EVENTS_MAX 10000                /* one work publishes */
#define OUTBOX_DATA_SIZE_MAX ((size_t)1 << 20) /* of one event, as JSON */
#define OUTBOX_KEY_LENGTH_MAX 512

#endif
