/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_KEPT_H
#define CARRIER_KEPT_H

/* Within the layer: the turn of a carrier of facts that its server alone has (rules 23 to 30 of
 * docs/internals/carriers.md). */

#include "carrier/parts.h"

/* As carrier_turn. FH_UNSUPPORTED, too: the server has lost some that are nowhere else. */
enum fh_code kept_turn(struct derived_carrier *carrier, bool *ret_more, struct fh_error *error);

/* kept_lives.c: how many generations the server has besides the one that serves, before that has
 * anything; only counted (counters.left). */
enum fh_code kept_count_left(struct derived_carrier *carrier, struct fh_error *error);
/* Notes that the owner has another life, and what the one before has left on the server. */
enum fh_code kept_count_former(struct derived_carrier *carrier, struct fh_error *error);

/* kept_gaps.c: the server is whole up to there alone, or not `there`: notes it, and goes on from
 * there if the outbox has what follows. */
enum fh_code kept_send_again(struct derived_carrier *carrier, const struct carried_place *whole,
                             bool there, bool *ret_more, struct fh_error *error);
/* It is whole up to the cursor, as this turn's look knows it: from now on it is asked. */
enum fh_code kept_note_whole(struct derived_carrier *carrier, const struct carried_place *whole,
                             struct fh_error *error);

/* kept_look.c: how far the server is whole, up to a place of the present outbox. In any case not
 * before where the chain begins; *ret_there: there is such a generation. All links are walked, but
 * for those before the record's milestone, if the server has it. */
enum fh_code kept_look(struct derived_carrier *carrier, const struct carried_generation *serving,
                       struct carried_place *ret, bool *ret_there, struct fh_error *error);
/* The same from a milestone on. *ret_there: the server has that, too. */
enum fh_code kept_look_from(struct derived_carrier *carrier,
                            const struct carried_generation *serving,
                            const struct carried_milestone *milestone, struct carried_place *ret,
                            bool *ret_there, struct fh_error *error);

/* kept_milestone.c: up to `place` it has settled, as a look found it that began then. Places a
 * milestone there if a look has many links to walk. */
enum fh_code kept_place_milestone(struct derived_carrier *carrier,
                                  const struct carried_place *place, int64_t began_ns,
                                  struct fh_error *error);

#endif
