/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_RESYNC_RESYNC_H
#define EVENT_RESYNC_RESYNC_H

/*
 * A round: a subscription begins anew with the publisher's present state, because the feed told it
 * 409 or 410, or because it is new and the publisher has trimmed. For each type whose handlers are
 * declared (fh_heard's `upsert`), one after the other:
 *
 *   pages    what there is now, each page's rows in works whose fence is cursor and round
 *   sweep    keys that this service holds and the round has not seen are given up
 *
 * and then the feed from where the round began, each event compared with what the pages brought:
 * what they reflect already is left out.
 */

#include "event/subscribe/subscription.h"

#define RESYNC_ROWS_MAX 960 /* of one page */

/* Whether the handlers declared for this source are enough for a round; else the sentence that says
 * what is missing. */
bool resync_possible(const struct subscription *subscription, char *ret_why, size_t size);
/* What is declared wrongly of one entry of `hears`. Pure. */
enum fh_code resync_check(const fh_service *service, const struct fh_subscription *subscribed,
                          struct fh_error *error);

/* On the applier's fiber, which has the share. Reads where the round stands: it goes on with one
 * that was under way (subscription_rounds). False: the subscription ends. */
bool resync_load(struct subscription *subscription);
/* One step of it, as long as subscription_rounds says so; parks. */
void resync_step(struct subscription *subscription);

/* Of events that are to be applied: those that pages brought already are left out. */
enum fh_code resync_compare(struct subscription *subscription, struct store_work *work,
                            const struct batch_event *events, int count, bool *covered,
                            struct fh_error *error);
/* What was noted of pages is not needed behind them. False: there is nothing to forget now. True: a
 * step was made, during which the fiber was parked. */
bool resync_forget(struct subscription *subscription);

#endif
