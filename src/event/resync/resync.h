/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_RESYNC_RESYNC_H
#define EVENT_RESYNC_RESYNC_H

/*
 * A resync: a subscription takes over the publisher's present state, because the feed answered 409
 * or 410. (A new subscription gets 410 where the publisher has already trimmed.) For each type with
 * declared handlers (fh_subscription's `upsert`), one after the other:
 *
 *   pages    the present state: each page's rows are applied in transactions whose fence is
 *            cursor and resync
 *   sweep    keys that this service holds and the resync has not seen are given up
 *
 * Then the feed continues from where the resync began; events that the pages already reflect are
 * left out.
 */

#include "event/subscribe/subscription.h"

#define RESYNC_ROWS_MAX 960 /* on one page */

/* Whether the handlers declared for this source suffice for a resync; if not, *ret_why says what is
 * missing. */
bool resync_possible(const struct subscription *subscription, char *ret_why, size_t size);
/* Finds errors in one entry of `subscribes`. Pure. */
enum fh_code resync_check(const fh_service *service, const struct fh_subscription *subscribed,
                          struct fh_error *error);

/* On the applier's fiber, which has the partition. Reads how far the resync has got, so that an
 * unfinished one continues (subscription_resyncs). False: the subscription ends. */
bool resync_load(struct subscription *subscription);
/* One step, while subscription_resyncs says so; parks. */
void resync_step(struct subscription *subscription);

/* Of the events about to be applied, `covered` marks those that the pages already reflect. */
enum fh_code resync_compare(struct subscription *subscription, struct store_work *work,
                            const struct batch_event *events, int count, bool *covered,
                            struct fh_error *error);
/* Removes the record of applied rows once the cursor has passed the pages. False: there is nothing
 * to remove now. True: a step was made, during which the fiber was parked. */
bool resync_forget(struct subscription *subscription);

#endif
