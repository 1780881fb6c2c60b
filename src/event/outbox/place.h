/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_OUTBOX_PLACE_H
#define EVENT_OUTBOX_PLACE_H

/* Whether a remembered place, a position and the id of the event there, is one of this store: since
 * then the store may have been restored, or trimmed. */

#include <stdint.h>

#include "store/ledger.h"

enum place {
    PLACE_HERE,
    PLACE_AHEAD,   /* the store has not got that far */
    PLACE_ANOTHER, /* another event is there */
    PLACE_TRIMMED, /* the event there is gone: nobody can tell */
    /* In another incarnation, which this store does not continue; never returned by place_judge,
     * which knows no incarnations. */
    PLACE_ELSEWHERE,
};

/* Judges a place in the same snapshot as whatever depends on the result; `last` is the store's
 * position in it. */
enum fh_code place_judge(struct store_work *work, int64_t last, int64_t position, const char *id,
                         enum place *ret, struct fh_error *error);
/* The id of the event at `last`, even if it was trimmed; "" when `last` is 0. */
enum fh_code place_id(struct store_work *work, int64_t last, char ret[ID_SIZE],
                      struct fh_error *error);

#endif
