/* SPDX-License-Identifier: Apache-2.0 */
/* Pitch: counts each team's goals, and publishes each. */

#include <freehold.h>

static void score(fh_work *w)
{
    json_t *team = fh_row(w,
                          "INSERT INTO team (id, n) VALUES (:team, 1) ON CONFLICT (id) DO UPDATE"
                          " SET n = team.n + 1 RETURNING id AS team, n",
                          fh_body(w));
    fh_publish(w, "Scored", team);
    fh_reply(w, 201, team);
}

static void every_team(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w, "SELECT id AS team, n FROM team WHERE id > :after ORDER BY id LIMIT :limit",
                     fh_query(w)));
}

static const fh_field goal_shape[] = {{"team", FH_STRING, .max = 8}, {0}};
static const fh_field scored_shape[] = {{"team", FH_STRING}, {"n", FH_INT}, {0}};

FH_SERVICE(pitch, .model = FH_RELATIONAL,
           .routes = {{"POST", "/goals", score, .body = goal_shape, .answer = {201, scored_shape},
                       .auth = FH_ANYONE}},
           .publishes = {{"Scored", 1, scored_shape, .key = "team", .state = every_team}});
