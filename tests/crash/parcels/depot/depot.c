/* SPDX-License-Identifier: Apache-2.0 */
/* Depot: holds parcels and stamps them, as soon as its gate is open. Until then nobody knows. */

#include <freehold.h>

static void set_gate(fh_work *w)
{
    fh_exec(w, "DELETE FROM gate");
    fh_exec(w, "INSERT INTO gate (open) VALUES (:open)", fh_body(w));
    fh_reply(w, 204, NULL);
}

static void hold(fh_work *w)
{
    json_t *parcel = fh_path(w);
    if (json_array_size(fh_rows(w, "SELECT open FROM gate WHERE open = 1")) == 0)
        fh_fail(w, 503, "The gate is closed.");
    fh_exec(w, "INSERT INTO marks (parcel, what) VALUES (:id, 'held')", parcel);
    fh_reply(w, 200, parcel);
}

static void stamp(fh_work *w)
{
    fh_exec(w, "INSERT INTO marks (parcel, what) VALUES (:id, 'stamped')", fh_path(w));
    fh_reply(w, 200, NULL);
}

static void get_marks(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w, "SELECT what FROM marks WHERE parcel = :id ORDER BY number", fh_path(w)));
}

static const fh_field gate_shape[] = {{"open", FH_INT, .max = 1}, {0}};

FH_SERVICE(depot, .model = FH_RELATIONAL,
           .routes = {{"PUT", "/api/gate", set_gate, .body = gate_shape, .auth = FH_ANYONE},
                      {"GET", "/api/marks/{id:int}", get_marks, .auth = FH_ANYONE},
                      {"POST", "/api/held/{id:int}", hold, .audience = FH_SERVICES},
                      {"POST", "/api/stamps/{id:int}", stamp, .audience = FH_SERVICES}});
