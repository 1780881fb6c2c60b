/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_FEED_FEED_H
#define EVENT_FEED_FEED_H

/*
 * GET /_freehold/feed: the outbox, read in order over HTTP by subscribers.
 *
 *   incarnation  of the store in which the reader's cursor lies; absent before the first contact
 *   after, id    the position read up to, and the id of the event there; absent: from the beginning
 *   done         how far the reader has committed: only this allows trimming
 *   name, share  the reader's name and partition, recorded with `done`: "orders" and "0/1"
 *   seen, seen_id  while a snapshot's rows lie ahead of the cursor: the highest position that they
 *                came from, judged as `after` is
 *   types        a list, absent: all that were granted; fields: see fields.h, absent: all
 *   versions     which version of a type the reader reads, "Type:2"; absent: whichever there is
 *   limit        events at most, 1 to FEED_LIMIT_MAX; wait: seconds to wait for something new
 *
 *   200  application/cloudevents-batch+json (envelope.h), `Freehold-Next: position,id` (scanned to,
 *        also past other types), `Freehold-Last: position`
 *   409  another incarnation, a cursor ahead, or another id at that position: resync
 *   410  what follows `after` was trimmed: resync
 *   403  it was not granted what it asks for, or `name` is another's (grant.h)
 *   400  a parameter is wrong; 503 the store can't be read now, or an event is in a version that
 * only the next program knows
 *
 * Every answer for which the store was read carries `Freehold-Incarnation`. If the cursor is of an
 * earlier incarnation, but the store was moved whole, so that its events up to there are the same,
 * the answer carries that incarnation in `Freehold-Continues`, and the reader goes on in the
 * present one.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "event/feed/grant.h"
#include "event/manager.h"
#include "http/server.h"
#include "shape/problem.h"

#define FEED_PATH "/_freehold/feed"
#define FEED_CONTENT_TYPE "application/cloudevents-batch+json"
#define FEED_LIMIT_MAX 1000
#define FEED_LIMIT_DEFAULT 256
#define FEED_WAIT_S_MAX 30
/* An answer's body never exceeds this, except that one event is always sent. */
#define FEED_BODY_SIZE_MAX ((size_t)1 << 20)

/* How long after it was published an event in a version that this program does not know is left to
 * other instances. */
#define FEED_NEWER_MS_MAX ((int64_t)10 * 60 * 1000)
#define FEED_CASTS_TOLD_A_SECOND 10 /* lines about events that could not be cast */

#define FEED_HEADERS_MAX 6
#define FEED_WHY_LENGTH_MAX ((size_t)4 << 10) /* of a refusal */

struct feed_answer {
    int status;
    const char *content_type;
    char *body;
    size_t body_length;
    struct http_header headers[FEED_HEADERS_MAX];
    size_t header_count;
    bool logged; /* why it failed is in the log */
    /* The headers point into these. */
    char incarnation[64], continues[64], next[64], own[64], last[24];
};

/* `query` is path_query's object; `grant` NULL: the caller may have everything. Runs on a fiber,
 * and parks it while waiting. */
void feed_answer(struct event_manager *manager, const json_t *query,
                 const struct event_grant *grant, struct feed_answer *ret);
void feed_answer_release(struct feed_answer *answer);

/* Within the layer: adds a header, whose texts must live as long as the answer; answers with a
 * problem, taking ownership of it. */
void feed_header(struct feed_answer *answer, const char *name, const char *value);
void feed_problem(struct feed_answer *answer, json_t *problem);
/* Answers 403 with why the caller may not have this. */
void feed_refuse(struct feed_answer *answer, const struct text *why);
/* Answers that it could not be read, and why, if that is of no handler; whoever calls it has
 * logged it. */
void feed_failed(struct feed_answer *answer, const struct fh_error *error, bool by_handler);
/* With status 503 if another try may succeed, also after the store's server aborted a reading
 * transaction: the client asks again. Else 500. */
enum problem_type feed_failure(const struct fh_error *error);

#endif
