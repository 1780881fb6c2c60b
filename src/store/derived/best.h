/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DERIVED_BEST_H
#define STORE_DERIVED_BEST_H

/* One page of what a question finds: the first so many in its order, behind its cursor, of matches
 * that come in any order. */

#include "store/derived/question.h"

struct best_match {
    struct sql_value by; /* what it is ordered by; a text lies in `text` */
    int64_t id;
    char text[DERIVED_WORD_LENGTH_MAX + 1];
};

struct best {
    bool descending;
    int limit, count;
    int64_t passed; /* of the matches that come after the cursor */
    bool after;     /* there is a cursor: what the match before the page has */
    struct sql_value after_by;
    int64_t after_id;
    struct best_match *matches;
    struct best_match **heap; /* the last one of the page first; best_sort: in order */
};

/* `question` outlives it. FH_NO_MEMORY. */
enum fh_code best_init(struct best *best, const struct question *question, struct fh_error *error);
void best_release(struct best *best); /* also of one that was not initialised, but zero */
void best_offer(struct best *best, const struct sql_value *by, int64_t id);
void best_sort(struct best *best); /* once all were offered */
static inline bool best_goes_on(const struct best *best)
{
    return best->passed > best->count;
}

#endif
