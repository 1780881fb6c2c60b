/* SPDX-License-Identifier: Apache-2.0 */
/* Listener: hears every entry of the ledger and keeps them as they come. Owns `heard`. */

#include <freehold.h>

static void entry_written(fh_work *w)
{
    fh_exec(w, "INSERT INTO heard (series, number, value) VALUES (:series, :number, :value)",
            fh_event_data(w));
}

static void get_heard(fh_work *w)
{
    fh_reply(
        w, 200,
        fh_rows(w, "SELECT * FROM heard WHERE id > :after ORDER BY id LIMIT :limit", fh_query(w)));
}

static const fh_field page_shape[] = {
    {"after", FH_INT}, {"limit", FH_INT, .min = 1, .max = 10000}, {0}};

FH_SERVICE(listener, .model = FH_RELATIONAL,
           .routes = {{"GET", "/heard", get_heard, .query = page_shape, .auth = FH_ANYONE}},
           .subscribes = {{"ledger", "EntryWritten", entry_written, "series,number,value"}});
