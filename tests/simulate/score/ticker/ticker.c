/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ticker: a view of the goals, of one instance, so that its answers have an age. It derives each
 * team from its row, for a search, and each goal as a point, for curves. `heard` has the goals as
 * rows, to compare the points with.
 */

#include "../shown.h"

#define DAY_MS 86400000

static void heard(fh_work *w)
{
    json_t *goal = fh_event_data(w);
    keep_team(w);
    fh_exec(w, "INSERT INTO heard (team, n) VALUES (:team, :n) ON CONFLICT (team, n) DO NOTHING",
            goal);
    json_t *team = fh_row(w, "SELECT id AS team, n, most FROM team WHERE id = :team", goal);
    fh_derive(w, "teams", fh_text(w, goal, "team"), team);
    fh_fact(w, "goals", fh_int(w, goal, "n"), goal);
}

/* All of one snapshot. */
static void show(fh_work *w)
{
    const struct fh_search found = {.filter = NULL, .sort = "team", .limit = 100};
    const struct fh_series counted = {.from_ms = 0,
                                      .to_ms = DAY_MS,
                                      .every_ms = DAY_MS,
                                      .values = (const char *const[]){"count", "max n", NULL},
                                      .by = (const char *const[]){"team", NULL}};
    fh_reply(w, 200,
             fh_object(w, "teams", kept_teams(w), "found",
                       json_object_get(fh_search(w, "teams", &found), "hits"), "curves",
                       json_object_get(fh_series(w, "goals", &counted), "curves"), "heard",
                       fh_rows(w,
                               "SELECT team, count(*) AS goals, max(n) AS most FROM heard"
                               " GROUP BY team ORDER BY team",
                               NULL)));
}

static void every_team(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w,
                     "SELECT id AS key, id AS team, n, most FROM team WHERE id > :after"
                     " ORDER BY id LIMIT :limit",
                     fh_query(w)));
}

static const struct fh_derived_field team_fields[] = {{"team", FH_STRING, FH_TEXT | FH_SORTED},
                                                      {"n", FH_INT, FH_SORTED},
                                                      {"most", FH_INT, FH_SORTED},
                                                      {0}};
static const struct fh_derived_field goal_fields[] = {
    {"team", FH_STRING, FH_TAG}, {"n", FH_INT}, {0}};

FH_SERVICE(ticker, .model = FH_RELATIONAL,
           .routes = {{"GET", "/teams", show, .auth = FH_ANYONE, .of_view = true}},
           .subscribes = {{"pitch", "Scored", heard, .upsert = heard}},
           .derives = {{"teams", FH_SEARCH, team_fields, .state = every_team},
                       {"goals", FH_SERIES, goal_fields}});
