/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_FEED_SNAPSHOT_H
#define EVENT_FEED_SNAPSHOT_H

/*
 * GET /_freehold/snapshot: the present state, page by page, for subscribers that resync.
 *
 *   type         one that this service publishes with a declared `state`
 *   name, share  the reader's name and partition; only that partition's keys are sent
 *   after        the page begins after this key; absent: with the first key
 *   limit        rows looked at, 0 to SNAPSHOT_ROWS_MAX; 0: only where the store stands
 *   incarnation  of the store in which the reader's resync began; absent: it begins now
 *   done         where the resync began: how far the reader has committed
 *   seen, seen_id  the highest position that its pages came from so far
 *   fields       as in the feed
 *   digests      names of fields: each row has the digest of these (event/digest.h), as "digest",
 *                instead of its data
 *   same         the digest of the page that the reader expects (event/digest.h), with `digests`
 *
 *   200  {"key": "integer" or "string", "after": the last key looked at, or null at the end,
 *         "rows": [{"type", "subject", "position", "data"}]}: `position` is that of the last event
 *         of the row's key, which the data reflects; 0 when there was none. `Freehold-Position:
 *         position,id`: where the store stood, at least, when the rows were read
 *   304  the page is as expected; with the same headers
 *   403  it was not granted that state, or those fields, or `name` is another's
 *   400, 404  a parameter is wrong; the type has no state
 *   409  another incarnation, or `seen` is not a place of this store: begin again
 *   503  the store can't be read now; or each time it was read, the page's keys changed, or their
 *        events had no positions yet
 */

#include <jansson.h>

#include "event/feed/feed.h"

#define SNAPSHOT_PATH "/_freehold/snapshot"
#define SNAPSHOT_CONTENT_TYPE "application/json"
#define SNAPSHOT_ROWS_MAX 960
#define SNAPSHOT_BODY_SIZE_MAX ((size_t)4 << 20)
#define SNAPSHOT_TRIES_MAX 40   /* attempts to read a page as of one moment, with all positions */
#define SNAPSHOT_TRIES_BESIDE 8 /* from this attempt on it excludes other writers */
#define SNAPSHOT_PAUSE_MS 5

/* On a fiber. Released by feed_answer_release. `grant` as in feed_answer. */
void snapshot_answer(struct event_manager *manager, const json_t *query,
                     const struct event_grant *grant, struct feed_answer *ret);

/* Finds errors in the declarations. Pure. */
enum fh_code snapshot_check(const fh_service *service, struct fh_error *error);

#endif
