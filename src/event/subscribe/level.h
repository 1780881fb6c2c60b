/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_SUBSCRIBE_LEVEL_H
#define EVENT_SUBSCRIBE_LEVEL_H

/*
 * How far a service has got with others' events, for answers that say how old they are and for
 * requests that wait (docs/guide/views.md).
 *
 * A partition's level is the place up to which every event is applied and committed, parked, or not
 * for this service. A publisher's is the least of its partitions'; where these are of different
 * incarnations, or one is not known, there is none.
 *
 *     lost      nothing is known: the cursor is not read yet, or the publisher's state is being
 *               taken over, of which the cursor says nothing, or events are applied again, so that
 *               the rows are as they were at the time of these
 *     cursor    after each commit that moves it
 *     skipped   once nothing that was fetched is left to apply; only then: what ends in the middle
 *               of a batch leaves its rest unapplied, however far the reader has got
 *
 * An incarnation that continues another one (Freehold-Continues) has the same events up to where
 * the level was then. Beyond that, and of any other former incarnation, nobody here knows what
 * became of an event: so it is never said to be applied.
 *
 * Partitions that other instances have are looked up in the store. Their age is not known here.
 * Sources outside the system have no level.
 *
 * A level says nothing of rows that are read after its partition was set back, by whichever
 * instance (set_back.h). So an answer takes the levels, reads its rows, and then asks whether the
 * levels still stand: if one does not, it is lost here, and the answer is made anew.
 */

#include "base/arena.h"
#include "base/as_of.h"
#include "event/manager.h"

#define LEVEL_WAITERS_MAX 256 /* in one process */
#define LEVEL_LOOK_MS_MIN 10  /* between two looks at others' partitions, during a wait */
#define LEVEL_LOOK_MS_MAX 200
#define LEVEL_LOOK_MS 1000 /* how old what is known of others' partitions may be otherwise */

struct subscription;

/* Of a partition. */
struct level {
    char incarnation[ID_SIZE]; /* "": lost */
    int64_t position;
    char former[ID_SIZE]; /* "": none; this has the same events up to there */
    int64_t former_position;
    int64_t current_ns; /* it had all that there was then; 0: not known */
    int64_t set_back;   /* how often it had been, by then */
};

/* What an answer is to have. */
struct level_taken {
    struct as_of as_of;
    int64_t *set_back; /* of each partition in the manager's order; -1: its level is not known */
};

enum level_verdict {
    LEVEL_REACHED,
    LEVEL_BEHIND,   /* the deadline came first */
    LEVEL_FORMER,   /* a place is of an incarnation that the publisher's store no longer has */
    LEVEL_UNKNOWN,  /* nothing subscribes to a named service */
    LEVEL_CROWDED,  /* too many wait already */
    LEVEL_DRAINING, /* this process ends */
};

/* For whoever changes the subscription: its cursor, what is queued, or what was skipped, is another
 * now. Wakes those who wait for that. */
void level_moved(struct subscription *s);
/* What was known is not so any more. */
void level_lost(struct subscription *s);
/* Everything that the publisher had at that time is applied; 0: nobody knows. */
void level_current(struct subscription *s, int64_t asked_ns);
/* Those who wait have to look anew: the process ends, or another instance has a partition now. */
void level_wake(struct event_manager *manager);

/* All of the following on a fiber, since others' partitions may have to be looked up. */

/* Until all places are reached. `begins` is called if that is not so at once; may be NULL. With
 * LEVEL_UNKNOWN *ret_name is the service, of `wanted`. */
enum level_verdict level_wait(struct event_manager *manager, const struct as_of *wanted,
                              int64_t deadline_ns, void (*begins)(void *owner), void *owner,
                              const char **ret_name);
/* The levels of all publishers that are known; of those in `only` alone, if that is not NULL. */
void level_as_of(struct event_manager *manager, const struct as_of *only, struct as_of *ret);
/* The same of all, for an answer whose rows are read from now on; on the arena. False: a place of
 * `wanted` was reached, and is not any more. */
bool level_take(struct event_manager *manager, struct arena *arena, const struct as_of *wanted,
                struct level_taken *ret);
/* Whether rows that were read in `work`, or before, have all that was taken. */
enum fh_code level_stands(struct event_manager *manager, const struct level_taken *taken,
                          struct store_work *work, bool *ret, struct fh_error *error);
/* When the least current partition had all that there was; 0: not known of each. */
int64_t level_current_ns(const struct event_manager *manager);

#endif
