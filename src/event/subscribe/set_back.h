/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_SUBSCRIBE_SET_BACK_H
#define EVENT_SUBSCRIBE_SET_BACK_H

/*
 * How often a partition was set back: a replay or a resync pass began, so that rows may become
 * older than positions that were told before (level.h). The transaction that sets it back counts
 * that, in a third cursor, of the source "users~back", whose position is the number.
 *
 *     an instance learns a level        with the number, read no later than the cursor
 *     a partition is set back           the number rises, before any row does become older
 *     rows are read, by whichever       the number is read with them or after them: is it still
 *     instance                          that one, none of them is older than the level
 *
 *     killed before it is durable       neither is set back
 *     killed after it                   whoever reads the cursor next finds the number, too
 */

#include "event/subscribe/subscription.h"

#define SET_BACK_SUFFIX LEDGER_ASIDE "back"
#define SET_BACK_SOURCE_SIZE 160

/* In the transaction that sets it back, after the statement that has made sure of its cursor.
 * *ret: the number with this one. */
enum fh_code set_back_put(struct store_work *work, const struct subscription *subscription,
                          int64_t *ret, struct fh_error *error);
/* 0: it never was. */
enum fh_code set_back_get(struct store_work *work, const struct subscription *subscription,
                          int64_t *ret, struct fh_error *error);
/* Of all partitions of a source at once; of one that never was set back visit may not be called. */
enum fh_code set_back_each(struct store_work *work, const char *source, ledger_visit_cursor *visit,
                           void *context, struct fh_error *error);

#endif
