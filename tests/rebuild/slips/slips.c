/* SPDX-License-Identifier: Apache-2.0 */
/* Slips: of each sale one is written, told on and filed. EDITION 1 writes ten times the amount, and
 * can't write one of them; EDITION 2 is mended. */

#include "../../replay/sale.h"

#ifndef EDITION
#define EDITION 1
#endif
#define TIMES (EDITION == 1 ? 10 : 1)
#define REFUSED 5001

static void write_slip(fh_work *w)
{
    json_t *sale = fh_event_data(w);
    int64_t id = fh_int(w, sale, "id");
    json_t *slip = fh_object(w, "id", id, "amount", fh_int(w, sale, "amount") * TIMES);
    if (EDITION == 1 && id == REFUSED)
        fh_fail(w, 422, "there is no paper left");
    fh_exec(w,
            "INSERT INTO slip (id, amount) VALUES (:id, :amount)"
            " ON CONFLICT (id) DO UPDATE SET amount = excluded.amount",
            slip);
    fh_publish(w, "SlipWritten", slip);
    fh_saga_start(w, "file", fh_object(w, "id", id));
}

static void get_slips(fh_work *w)
{
    fh_reply(w, 200,
             fh_row(w, "SELECT count(*) AS slips, coalesce(sum(amount), 0) AS amount FROM slip"));
}

static const fh_step file_steps[] = {
    {"file", .call = "tally POST /filed", .body = "id", .pivot = true}, {0}};

FH_SERVICE(slips, .model = FH_RELATIONAL,
           .routes = {{"GET", "/api/slips", get_slips, .auth = FH_ANYONE}},
           .publishes = {{"SlipWritten", 1, sale_shape, .key = "id"}},
           .subscribes = {{"till", "SaleMade", write_slip}}, .sagas = {{"file", file_steps}});
