/* SPDX-License-Identifier: Apache-2.0 */
/* Hears of things, and has a fault in how it keeps them. */

#include <freehold.h>

static void keep_thing(fh_work *w)
{
    fh_exec(w, "INSERT INTO somewhere (word) VALUES (:word)", fh_event_data(w));
}

FH_SERVICE(hearer, .model = FH_RELATIONAL,
           .subscribes = {{"faulty", "Made", keep_thing, .personal = "word"}});
