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
 * before where the chain begins; *ret_there: there is such a generation. Links before the
 * record's milestone are not walked, if all is whole from there on; but once by each carrier, and
 * then once a day. */
enum fh_code kept_look(struct derived_carrier *carrier, const struct carried_generation *serving,
                       struct carried_place *ret, bool *ret_there, struct fh_error *error);
/* Whether the server has a milestone, and links lead on from there to the cursor, which the outbox
 * has. */
enum fh_code kept_leads_on(struct derived_carrier *carrier,
                           const struct carried_generation *serving,
                           const struct carried_milestone *milestone, bool *ret,
                           struct fh_error *error);

/* kept_milestone.c: up to `place` it has settled, as a look found it that began then, on a server
 * that has been running for so long. Sends a milestone if a look has many links to walk. That is
 * never needed, so it does not fail, but is tried again later. */
void kept_send_milestone(struct derived_carrier *carrier, const struct carried_place *place,
                         int64_t began_ns, int64_t running_s);
/* A later look has found the server whole up to the cursor: notes the one that was sent. */
enum fh_code kept_note_milestone(struct derived_carrier *carrier, int64_t running_s,
                                 struct fh_error *error);

#endif
