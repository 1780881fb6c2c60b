/* SPDX-License-Identifier: Apache-2.0 */
/* Right: deals take from it after the left, and some it refuses. */
#include "../taking.h"

static void take_right(fh_work *w)
{
    if (json_is_true(json_object_get(fh_body(w), "refused")))
        fh_fail(w, 409, "Not that one.");
    take(w, "deal");
}

FH_SERVICE(right, .model = FH_RELATIONAL,
           .routes = {{"POST", "/taken", take_right, .body = taking_shape, .audience = FH_SERVICES},
                      {"POST", "/taken/back", .undo = give_back, .body = taking_shape,
                       .audience = FH_SERVICES}},
           .publishes = {{"Taken", 1, taken_shape, .key = "token"},
                         {"Given", 1, taken_shape, .key = "token"}});
