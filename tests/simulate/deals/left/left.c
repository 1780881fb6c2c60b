/* SPDX-License-Identifier: Apache-2.0 */
/* Left: deals take from it first, and are noted on it in the end. */
#include "../taking.h"

static void take_left(fh_work *w)
{
    take(w, "deal");
}

static void note(fh_work *w)
{
    take(w, "note");
}

FH_SERVICE(left, .model = FH_RELATIONAL,
           .routes = {{"POST", "/taken", take_left, .body = taking_shape, .audience = FH_SERVICES},
                      {"POST", "/taken/back", .undo = give_back, .body = taking_shape,
                       .audience = FH_SERVICES},
                      {"POST", "/notes", note, .body = taking_shape, .audience = FH_SERVICES}},
           .publishes = {{"Taken", 1, taken_shape, .key = "token"},
                         {"Given", 1, taken_shape, .key = "token"}});
