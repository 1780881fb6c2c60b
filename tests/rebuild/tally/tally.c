/* SPDX-License-Identifier: Apache-2.0 */
/* Tally: how often it was told of each slip, and how often that was filed. */

#include "../../replay/sale.h"

static void tally_slip(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO tallied (id, amount, times) VALUES (:id, :amount, 1)"
            " ON CONFLICT (id) DO UPDATE SET amount = excluded.amount, times = tallied.times + 1",
            fh_event_data(w));
}

static void file_slip(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO filed (id, times) VALUES (:id, 1)"
            " ON CONFLICT (id) DO UPDATE SET times = filed.times + 1",
            fh_body(w));
    fh_reply(w, 204, NULL);
}

static void get_tally(fh_work *w)
{
    fh_reply(w, 200,
             fh_row(w, "SELECT count(*) AS slips, coalesce(sum(amount), 0) AS amount,"
                       " coalesce(sum(times), 0) AS told,"
                       " (SELECT count(*) FROM filed) AS filed,"
                       " (SELECT coalesce(sum(times), 0) FROM filed) AS filings FROM tallied"));
}

static const fh_field filed_shape[] = {{"id", FH_INT}, {0}};

FH_SERVICE(tally, .model = FH_RELATIONAL,
           .routes = {{"GET", "/api/tally", get_tally, .auth = FH_ANYONE},
                      {"POST", "/filed", file_slip, .body = filed_shape, .audience = FH_SERVICES}},
           .subscribes = {{"slips", "SlipWritten", tally_slip}});
