/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_OUTBOX_PLACE_H
#define EVENT_OUTBOX_PLACE_H

/* Whether a place that somebody remembers, a position and the id of the event there, is one of this
 * store: it may have been restored since, or trimmed. */

#include <stdint.h>

#include "store/ledger.h"

enum place {
    PLACE_HERE,
    PLACE_AHEAD,   /* the store has not come so far */
    PLACE_ANOTHER, /* another event stands there */
    PLACE_TRIMMED, /* what stood there is gone: nobody can tell */
};

/* In one snapshot with whatever depends on it; `last` is the store's position in it. */
enum fh_code place_judge(struct store_work *work, int64_t last, int64_t position, const char *id,
                         enum place *ret, struct fh_error *error);
/* The id of the event at `last`, which may be trimmed; "" when that is 0. */
enum fh_code place_id(struct store_work *work, int64_t last, char ret[ID_SIZE],
                      struct fh_error *error);
/* "I/N" in a query: false when it is none. */
bool place_share(const char *text, unsigned *ret_index, unsigned *ret_count);

#endif
