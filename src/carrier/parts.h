/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_PARTS_H
#define CARRIER_PARTS_H

/* Within the layer: the steps of a turn. Each is right at any time and by any carrier: what it
 * decides on it reads in the unit of work in which it notes it. */

#include "carrier/carrier.h"
#include "store/store.h"

/* Reads the record, and where the outbox begins and ends. */
enum fh_code carrier_look(struct derived_carrier *carrier, struct store_work *work,
                          struct carrier_look *ret, struct fh_error *error);
/* Whether a generation, one of the look's record, can go on: it is of this life and declaration,
 * whoever writes derives by that, the server has all of it, and what follows its cursor is still in
 * the outbox. */
bool carrier_goes_on(const struct derived_carrier *carrier, const struct carrier_look *look,
                     const struct carried_generation *generation);

/* A change of the record, in a unit of work of its own, which is rerun where it conflicts. *change
 * returns FH_OK with *ret_changed false if there is nothing to change. */
struct carrier_change {
    struct derived_carrier *carrier;
    enum fh_code (*change)(struct carrier_change *change, struct store_work *work,
                           struct carrier_look *look, struct fh_error *error);
    void *what;
    bool changed;
};
enum fh_code carrier_change_run(struct carrier_change *change, struct fh_error *error);

/* pages.c: sends what follows `start`, page after page; nothing if that is behind what is trimmed.
 * `send` sends one, and notes how far it is; after a page that it has not `noted`, or that was the
 * last one for now, nothing more is sent. *ret_more: there was one. */
struct carried_start;
struct carried_reading;
typedef enum fh_code carrier_send(struct derived_carrier *carrier, struct carried_reading *reading,
                                  struct fh_error *error);
enum fh_code carrier_carry_pages(struct derived_carrier *carrier, const struct carried_start *start,
                                 carrier_send *send, bool *ret_more, struct fh_error *error);

/* All of them: *ret_more becomes true if something was done. */
/* Sends what follows the generation's cursor, and notes the cursor. */
enum fh_code carrier_carry(struct derived_carrier *carrier,
                           const struct carried_generation *generation, bool *ret_more,
                           struct fh_error *error);
/* Publishes the next rows of the generation that is being filled: of the declared `state`, or of
 * the points or facts of the owner's own store. */
enum fh_code carrier_fill_state(struct derived_carrier *carrier,
                                const struct carried_generation *generation, bool *ret_more,
                                struct fh_error *error);
enum fh_code carrier_fill_facts(struct derived_carrier *carrier,
                                const struct carried_generation *generation, bool *ret_more,
                                struct fh_error *error);
/* Walks the links of a generation up to its cursor, and notes that it is lost. So many at a time:
 * *ret_over: all, and as long as it is not the next call goes on. *ret_whole: it is not lost, as
 * far as is known. */
enum fh_code carrier_walk(struct derived_carrier *carrier,
                          const struct carried_generation *generation, bool *ret_whole,
                          bool *ret_over, struct fh_error *error);
enum fh_code carrier_lose(struct derived_carrier *carrier, const struct carried_name *name,
                          struct fh_error *error);

/* set_back.c (37): the last event that the server was ever sent of a generation, as far as this
 * process knows. */
const struct carried_place *carrier_sent(struct derived_carrier *carrier,
                                         const struct carried_name *generation);
/* Before it is sent: it may come, whatever is answered. */
void carrier_note_sent(struct derived_carrier *carrier, const struct carried_name *generation,
                       const struct carried_place *end);
/* As carrier_lose, if the outbox has lost what was sent. */
enum fh_code carrier_lose_set_back(struct derived_carrier *carrier, const struct carried_name *name,
                                   const struct carried_place *missing, struct fh_error *error);
/* A generation was noted as lost for that. */
void carrier_count_set_back(struct derived_carrier *carrier);
/* While another one carries: whether the outbox still has what that had sent at the last look; if
 * so, what it has sent by now. */
enum fh_code carrier_watch(struct derived_carrier *carrier, struct fh_error *error);
/* Notes that a generation is lost of which the server has a page beyond the end of the outbox.
 * *ret_whole: it has not. */
enum fh_code carrier_look_beyond(struct derived_carrier *carrier, const struct carried_name *name,
                                 bool *ret_whole, struct fh_error *error);
/* The greatest number that the server has of generations of this incarnation: an owner that is set
 * back would give it out again (18). */
enum fh_code carrier_last_number(struct derived_carrier *carrier, int64_t *ret,
                                 struct fh_error *error);

#endif
