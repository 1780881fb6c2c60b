/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shipping: sends each order's goods off, and knows where nothing can be sent. Owns `shipments`.
 *
 * The system file says which places are refused (`settings: {refused: [Atlantis]}`): an address in
 * which one of them stands, in whatever case of a-z, is answered 409. An order without an address
 * is collected at the shop, which nothing refuses.
 *
 * A shipment that is undone stays, as CANCELLED: its order was sent nothing.
 */

#define _GNU_SOURCE
#include <freehold.h>
#include <string.h>

static void ship(fh_work *w)
{
    const char *address = json_string_value(json_object_get(fh_body(w), "address"));
    size_t i;
    json_t *refused;
    json_array_foreach (json_object_get(fh_settings(w), "refused"), i, refused) {
        if (strcasestr(address, json_string_value(refused)))
            fh_fail(w, 409, "Nothing can be sent to %s.", json_string_value(refused));
    }
    json_t *shipment =
        fh_row(w,
               "INSERT INTO shipments (order_id, user_id, address, status, created_at)"
               " VALUES (:order_id, :user_id, :address, 'SENT', :now) RETURNING *",
               fh_body(w), fh_object(w, "now", fh_now(w)));
    fh_publish(w, "ShipmentCreated", shipment);
    fh_reply(w, 201, shipment);
}

/* A shipment that was cancelled before is left as it is. */
static void cancel_one(fh_work *w, json_t *named_by)
{
    if (fh_exec_count(w,
                      "UPDATE shipments SET status = 'CANCELLED'"
                      " WHERE id = :id AND status <> 'CANCELLED'",
                      named_by) > 0)
        fh_publish(w, "ShipmentCancelled",
                   fh_row(w, "SELECT * FROM shipments WHERE id = :id", named_by));
}

/* Undoes a shipment, whatever became of its answer: the runtime has found it by its key. */
static void undo_ship(fh_work *w)
{
    cancel_one(w, fh_undone_answer(w));
}

/* A person's word, whatever became of the order. */
static void cancel_shipment(fh_work *w)
{
    fh_row(w, "SELECT id FROM shipments WHERE id = :id", fh_path(w));
    cancel_one(w, fh_path(w));
}

static void get_shipment(fh_work *w)
{
    json_t *shipment = fh_row(w, "SELECT * FROM shipments WHERE id = :id", fh_path(w));
    fh_must_own(w, shipment, "user_id");
    fh_reply(w, 200, shipment);
}

static void get_shipment_of_order(fh_work *w)
{
    json_t *shipment = fh_row(
        w, "SELECT * FROM shipments WHERE order_id = :id ORDER BY id DESC LIMIT 1", fh_path(w));
    fh_must_own(w, shipment, "user_id");
    fh_reply(w, 200, shipment);
}

/* For the books: all shipments, page by page. */
static void get_shipments(fh_work *w)
{
    json_t *page = fh_object(w, "after", 0, "limit", 100);
    fh_reply(w, 200,
             fh_rows(w, "SELECT * FROM shipments WHERE id > :after ORDER BY id LIMIT :limit",
                     fh_query(w), page));
}

/* For those who begin anew with what there is (docs/guide/events.md): an order has one at most. */
static void every_shipment(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w,
                     "SELECT * FROM shipments WHERE order_id > :after ORDER BY order_id"
                     " LIMIT :limit",
                     fh_query(w)));
}

static const fh_field ship_shape[] = {{"order_id", FH_INT, .min = 1},
                                      {"user_id", FH_INT, .min = 1},
                                      {"address", FH_STRING, .max = 1000, .personal = true},
                                      {0}};

static const fh_field page_shape[] = {{"limit", FH_INT, .min = 1, .max = 1000, .optional = true},
                                      {"after", FH_INT, .min = 0, .optional = true},
                                      {0}};

static const fh_field shipment_shape[] = {{"id", FH_INT},
                                          {"order_id", FH_INT},
                                          {"user_id", FH_INT},
                                          {"address", FH_STRING, .personal = true},
                                          {"status", FH_STRING},
                                          {"created_at", FH_STRING},
                                          {0}};

static const fh_field settings_shape[] = {
    {"refused", FH_ARRAY, .elements = FH_STRING, .max = 1000, .optional = true}, {0}};

FH_SERVICE(shipping, .model = FH_RELATIONAL, .settings = settings_shape,
           .routes = {{"POST", "/api/shipments", ship, .body = ship_shape, .audience = FH_SERVICES,
                       .answer = {201, shipment_shape}, .name = "ship"},
                      {"POST", "/api/shipments/cancel", .undo = undo_ship, .body = ship_shape,
                       .audience = FH_SERVICES, .name = "undo_ship"},
                      {"GET", "/api/shipments/{id:int}", get_shipment,
                       .answer = {200, shipment_shape}, .auth = FH_USER, .name = "get_shipment",
                       .summary = "A shipment"},
                      {"GET", "/api/orders/{id:int}/shipment", get_shipment_of_order,
                       .answer = {200, shipment_shape}, .auth = FH_USER,
                       .name = "get_shipment_of_order", .summary = "An order's shipment"},
                      {"GET", "/api/shipments", get_shipments, .query = page_shape,
                       .audience = FH_OPERATORS, .answer = {200, .each = shipment_shape},
                       .name = "get_shipments"},
                      {"DELETE", "/api/shipments/{id:int}", cancel_shipment,
                       .audience = FH_OPERATORS, .answer = {204}, .name = "cancel_shipment"}},
           .publishes = {{"ShipmentCreated", 1, shipment_shape, .key = "order_id",
                          .state = every_shipment},
                         {"ShipmentCancelled", 1, shipment_shape, .key = "order_id"}},
           .shapes = {{"Shipment", shipment_shape}});
