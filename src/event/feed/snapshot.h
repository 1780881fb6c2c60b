/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_FEED_SNAPSHOT_H
#define EVENT_FEED_SNAPSHOT_H

/*
 * GET /_freehold/snapshot: what there is now, page by page, for subscribers that begin anew.
 *
 *   type         one that this service publishes with a declared `state`
 *   name, share  who reads; only keys of that share are sent
 *   after        the key behind which the page begins; absent: from the first
 *   limit        rows looked at, 0 to SNAPSHOT_ROWS_MAX; 0: nothing but where the store stands
 *   incarnation  of the store that the reader's round began in; absent: it begins
 *   done         where the round began: as far as the reader has committed
 *   seen, seen_id  the highest position that its pages came from so far
 *   fields       as in the feed
 *
 *   200  {"key": "integer" or "string", "after": the last key looked at, or null at the end,
 *         "rows": [{"type", "subject", "position", "data"}]}: `position` is that of the last event
 *         of its key, which the data reflects, 0 when it never had one. `Freehold-Position:
 *         position,id`: where the store stood, at least, when the rows were read
 *   400, 404  a parameter is wrong; the type has no state
 *   409  another incarnation, or `seen` is no place of this store: begin anew
 *   503  the store can't be read now; or the page's keys changed, or their events waited for
 *        positions, each time that it was read
 */

#include <jansson.h>

#include "event/feed/feed.h"

#define SNAPSHOT_PATH "/_freehold/snapshot"
#define SNAPSHOT_CONTENT_TYPE "application/json"
#define SNAPSHOT_ROWS_MAX 960
#define SNAPSHOT_BODY_SIZE_MAX ((size_t)4 << 20)
#define SNAPSHOT_TRIES_MAX 40   /* to read a page as it was at one moment, with all positions */
#define SNAPSHOT_TRIES_BESIDE 8 /* of these, so many beside works that write */
#define SNAPSHOT_PAUSE_MS 5

/* On a fiber. Released by feed_answer_release. */
void snapshot_answer(struct event_manager *manager, const json_t *query, struct feed_answer *ret);

/* What is declared wrongly. Pure. */
enum fh_code snapshot_check(const fh_service *service, struct fh_error *error);

#endif
