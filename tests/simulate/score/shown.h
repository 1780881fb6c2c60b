/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_SCORE_SHOWN_H
#define SIMULATE_SCORE_SHOWN_H

/* What both views keep of a team: `n` as the event says that was applied last, which an event that
 * is applied again sets back, and the most that any has said, which none does. */

#include <freehold.h>

static const fh_field team_shape[] = {{"team", FH_STRING}, {"n", FH_INT}, {"most", FH_INT}, {0}};

#define FAILS 6
#define FAILURES_MAX 4 /* of one event: a fifth would park it */
#define EVENTS_MAX 1024

/* One in so many fails, and is tried again: so events that are applied again come in several
 * transactions, with pauses between them. What all processes of a run have counted is the same each
 * time. */
static inline bool fails_now(fh_work *w)
{
    static int applied;
    static unsigned char failures[EVENTS_MAX];
    const char *team = fh_text(w, fh_event_data(w), "team");
    int64_t event = fh_int(w, fh_event_data(w), "n") * 4 + (team[1] - '0');
    return ++applied % FAILS == 0 && failures[event % EVENTS_MAX] < FAILURES_MAX &&
           ++failures[event % EVENTS_MAX];
}

static inline void keep_team(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO team (id, n, most) VALUES (:team, :n, :n) ON CONFLICT (id) DO UPDATE SET"
            " n = excluded.n,"
            " most = CASE WHEN excluded.n > team.most THEN excluded.n ELSE team.most END",
            fh_event_data(w));
    if (fails_now(w))
        fh_fail(w, 409, "Not now.");
}

static inline json_t *kept_teams(fh_work *w)
{
    return fh_rows(w, "SELECT id AS team, n, most FROM team ORDER BY id", NULL);
}

#endif
