/* SPDX-License-Identifier: Apache-2.0 */
/* Sink: keeps whatever comes of the source's entries, as it comes: events, and after a restore of
 * the source how each series is now. Owns `heard`, which is only ever added to, and `held`. */

#include <freehold.h>

static void keep_newest(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO held (series, number) VALUES (:series, :number)"
            " ON CONFLICT (series) DO UPDATE SET number = excluded.number",
            fh_event_data(w));
}

static void entry_written(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO heard (how, series, number, tag) VALUES ('event', :series, :number, :tag)",
            fh_event_data(w));
    keep_newest(w);
}

static void entry_is(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO heard (how, series, number, tag) VALUES ('state', :series, :number, :tag)",
            fh_event_data(w));
    keep_newest(w);
}

static void entry_gone(fh_work *w)
{
    fh_exec(w, "INSERT INTO heard (how, series, number, tag) VALUES ('state', :key, 0, '')",
            fh_event_data(w));
    fh_exec(w, "DELETE FROM held WHERE series = :key", fh_event_data(w));
}

static void series_held(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w,
                     "SELECT series FROM held WHERE series > :after ORDER BY series LIMIT :limit",
                     fh_query(w)));
}

FH_SERVICE(sink, .model = FH_RELATIONAL,
           .subscribes = {{"source", "EntryWritten", entry_written, "series,number,tag",
                           .upsert = entry_is, .gone = entry_gone, .held = series_held}});
