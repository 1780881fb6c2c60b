/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_FEED_H
#define EVENT_FEED_H

/*
 * GET /_freehold/feed: the outbox, read in order over HTTP by those who subscribe.
 *
 *   incarnation  of the store that the reader's cursor stands in; absent before the first contact
 *   after, id    the position read up to, and the id of the event there; absent: from the beginning
 *   done         what the reader has committed: only this will allow trimming
 *   name, share  who reads: recorded with `done`, "orders" and "0/1"
 *   types        a list, absent: all; fields: see fields.h, absent: all
 *   limit        events at most, 1 to FEED_LIMIT_MAX; wait: seconds to wait for something new
 *
 *   200  application/cloudevents-batch+json (envelope.h), `Freehold-Next: position,id` (scanned to,
 *        also past other types), `Freehold-Last: position`
 *   409  another incarnation, a cursor ahead, or another id at that position: resynchronise
 *   410  what follows `after` was trimmed: resynchronise
 *   400  a parameter is wrong; 503 the store can't be read now
 *
 * Every answer that read the store carries `Freehold-Incarnation`.
 */

#include <jansson.h>
#include <stddef.h>

#include "event/room.h"
#include "http/server.h"

#define FEED_PATH "/_freehold/feed"
#define FEED_CONTENT_TYPE "application/cloudevents-batch+json"
#define FEED_LIMIT_MAX 1000
#define FEED_LIMIT_DEFAULT 256
#define FEED_WAIT_S_MAX 30
/* An answer's body ends before it would pass this; one event is always sent. */
#define FEED_BODY_SIZE_MAX ((size_t)1 << 20)
#define FEED_SCAN_MAX 4096        /* outbox rows looked at in one snapshot */
#define FEED_READERS_MAX 1024     /* long polls; what comes beyond is answered at once */
#define FEED_SUBSCRIBERS_MAX 1024 /* names and shares remembered in memory */
#define FEED_SHARES_MAX 256
/* Only events of other types came: told after this long, so that a busy neighbour's every commit
 * does not become an answer. */
#define FEED_SKIPPED_HOLD_MS 1000
/* `done` is written down this often at the most. */
#define FEED_RECORD_INTERVAL_MS 1000

#define FEED_HEADERS_MAX 4

struct feed_answer {
    int status;
    const char *content_type;
    char *body;
    size_t body_length;
    struct http_header headers[FEED_HEADERS_MAX];
    size_t header_count;
    char incarnation[64], next[64], last[24]; /* what headers point to */
};

/* `query` is path_query's object. On a fiber, which it parks while it waits. */
void feed_answer(struct event_room *room, const json_t *query, struct feed_answer *ret);
void feed_answer_release(struct feed_answer *answer);

/* Within the room: forgets what subscribers have told. */
void feed_release(struct event_room *room);

#endif
