/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Courier: takes parcels, each of which a depot holds until its gate is open, and then delivers
 * them. Its program comes in four editions, which test what becomes of sagas under way when one
 * replaces another:
 *
 *     EDITION 1   the definition as it was at first
 *     EDITION 2   the next version, with one more step; the first is kept
 *     EDITION 3   the next version alone
 *     EDITION 4   the next version's steps under the first one's number
 */

#include <freehold.h>

#ifndef EDITION
#define EDITION 1
#endif

static void get_parcel(fh_work *w)
{
    fh_reply(w, 200, fh_row(w, "SELECT id, state FROM parcels WHERE id = :id", fh_path(w)));
}

static void take_parcel(fh_work *w)
{
    fh_exec(w, "INSERT INTO parcels (id, state) VALUES (:id, 'taken')", fh_body(w));
    fh_saga_start(w, "deliver", fh_body(w));
    fh_reply(w, 202, fh_body(w));
}

#if EDITION <= 2
static void deliver_at_first(fh_work *w)
{
    fh_exec(w, "UPDATE parcels SET state = 'delivered by 1' WHERE id = :id", fh_saga_input(w));
}

static const fh_step steps_at_first[] = {
    {"hold", .call = "depot POST /api/held/{id}", .pivot = true},
    {"deliver", .run = deliver_at_first},
    {0}};
#endif

#if EDITION >= 2
static void deliver_next(fh_work *w)
{
    fh_exec(w, "UPDATE parcels SET state = 'delivered by 2' WHERE id = :id", fh_saga_input(w));
}

static const fh_step steps_next[] = {{"hold", .call = "depot POST /api/held/{id}", .pivot = true},
                                     {"stamp", .call = "depot POST /api/stamps/{id}"},
                                     {"deliver", .run = deliver_next},
                                     {0}};
#endif

static const fh_field parcel_shape[] = {{"id", FH_INT, .min = 1}, {0}};

/* In every edition, so that the depot grants each of them the stamp: nobody starts it. */
static const fh_step steps_of_stamping[] = {
    {"stamp", .call = "depot POST /api/stamps/{id}", .pivot = true}, {0}};

#if EDITION == 1
#define NEWEST "deliver", steps_at_first
#elif EDITION == 4
#define NEWEST "deliver", steps_next
#else
#define NEWEST "deliver", steps_next, .version = 2
#endif
#if EDITION == 2
#define EARLIER "deliver", steps_at_first
#else
#define EARLIER 0
#endif

FH_SERVICE(courier, .model = FH_RELATIONAL,
           .routes = {{"GET", "/api/parcels/{id:int}", get_parcel, .auth = FH_ANYONE},
                      {"POST", "/api/parcels", take_parcel, .body = parcel_shape,
                       .auth = FH_ANYONE}},
           .sagas = {{"stamp", steps_of_stamping}, {NEWEST}, {EARLIER}});
