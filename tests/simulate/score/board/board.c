/* SPDX-License-Identifier: Apache-2.0 */
/* Board: a view of the goals, of several instances, each of which applies a part of the keys. */

#include "../shown.h"

static void show(fh_work *w)
{
    fh_reply(w, 200, kept_teams(w));
}

FH_SERVICE(board, .model = FH_RELATIONAL,
           .routes = {{"GET", "/teams", show, .answer = {200, .each = team_shape},
                       .auth = FH_ANYONE, .of_view = true}},
           .subscribes = {{"pitch", "Scored", keep_team, .upsert = keep_team}});
