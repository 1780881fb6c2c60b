/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_OUTBOX_LIST_H
#define EVENT_OUTBOX_LIST_H

/* The outbox as operators read it. This reader has no cursor, so it moves nothing and is recorded
 * nowhere. */

#include <jansson.h>

#include "event/manager.h"

#define EVENT_LIST_MAX 1000                   /* events in one answer */
#define EVENT_LIST_SCAN_MAX 10000             /* events looked at for it */
#define EVENT_LIST_SIZE_MAX ((size_t)4 << 20) /* of the listed events' data */

struct event_question {
    int64_t after; /* only later positions; trimmed events are left out */
    int limit;
    const char *type, *key; /* only these; NULL: any */
    bool counts;            /* counts of each type, in place of the events */
};

/* {"events": [envelope...] or "types": {"OrderCreated": 3}, "next": position scanned to, "last",
 * "trimmed", "incarnation", "after_id"}: of the store, and of the event at `after` ("": there is
 * none, or it was trimmed). There is more to see while next < last. On a fiber. New reference. */
enum fh_code event_list(struct event_manager *manager, const struct event_question *question,
                        json_t **ret, struct fh_error *error);

#endif
