/* SPDX-License-Identifier: Apache-2.0 */
/* Copies and stamps notes; what it does with torn ones, and sealing, have a fault. */

#include <freehold.h>

static void copy_note(fh_work *w)
{
    fh_exec(w, "INSERT INTO copy (id, words) VALUES (:id, :words)", fh_event_data(w));
}

static void copy_torn(fh_work *w)
{
    fh_exec(w, "INSERT INTO copy (id, wrods) VALUES (:id, :words)", fh_event_data(w));
}

static void stamp(fh_work *w)
{
    fh_exec(w, "INSERT INTO copy (id, words) VALUES (100, 'stamped')");
}

static void unstamp(fh_work *w)
{
    fh_exec(w, "DELETE FROM copy WHERE id = 100");
}

static void seal(fh_work *w)
{
    fh_exec(w, "UPDATE copies SET words = 'sealed' WHERE id = 100");
}

FH_SERVICE(press, .model = FH_RELATIONAL,
           .routes = {{"POST", "/stamps", stamp, .audience = FH_SERVICES},
                      {"POST", "/stamps/off", .undo = unstamp, .audience = FH_SERVICES},
                      {"POST", "/seals", seal, .audience = FH_SERVICES}},
           .subscribes = {{"clerk", "NoteWritten", copy_note}, {"clerk", "NoteTorn", copy_torn}});
