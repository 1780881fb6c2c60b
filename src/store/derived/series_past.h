/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DERIVED_SERIES_PAST_H
#define STORE_DERIVED_SERIES_PAST_H

/* What a service's own store says to a question of a series with roll-ups, for a server that has
 * its points: series_past.c. */

#include "store/derived/series.h"

struct series_past {
    struct series_question question; /* as an embedded series is asked */
    int64_t points_ms;               /* from here on the server's points count, and no others */
    struct series_tally tally;       /* of all before, and of roll-ups */
};

/* NULL: `error` says why, as series_question_init. `series` outlives it. */
struct series_past *series_past_new(const struct fh_derived *declared,
                                    const struct fh_series *series, int64_t oldest_ms,
                                    struct fh_error *error);
/* For a server, of a question that was just looked at. Of all of these `past` may be NULL: of a
 * series without roll-ups. Then: its curves, before the tally is grouped, */
void series_question_past(struct series_question *question, const struct series_past *past);
enum fh_code series_past_curves(const struct series_past *past, struct series_tally *tally,
                                struct fh_error *error);
/* and after that, once, what they have. FH_INVALID with a field: too much. */
enum fh_code series_past_cells(const struct series_past *past, struct series_tally *tally,
                               struct fh_error *error);

#endif
