/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notifications: tells programs outside of the shop what becomes of orders, by webhooks. Owns
 * `webhooks` and `deliveries`.
 *
 * Each event that a webhook wants is a delivery, and each delivery a saga of one step: it asks with
 * growing pauses until the other side says 2xx, for three days at the most; then a person finds it
 * among the parked (`freehold saga list notifications`). A 410 says that nobody is there any more,
 * and ends the webhook. So a receiver is told everything at least once, and knows by the event's id
 * what it has been told already.
 *
 * Operators alone name URLs: whoever may name one lets this service send requests there.
 */

#include <freehold.h>

#define GIVEN_UP_S (3 * 24 * 3600)
/* What leaves the shop: not where somebody lives. */
#define TOLD "id,user_id,status,total,payment_id,shipment_id,reason,created_at"

static void create_webhook(fh_work *w)
{
    const char *refusal = fh_url_refusal(w, json_string_value(json_object_get(fh_body(w), "url")));
    if (refusal)
        fh_fail_at(w, 422, "/url", "The URL %s.", refusal);
    json_t *webhook = fh_row(w,
                             "INSERT INTO webhooks (url, type, active, created_at)"
                             " VALUES (:url, :type, TRUE, :now) RETURNING *",
                             fh_body(w), fh_object(w, "now", fh_now(w)));
    fh_reply(w, 201, webhook);
}

static void get_webhooks(fh_work *w)
{
    fh_reply(w, 200, fh_page_rows(w, "SELECT * FROM webhooks"));
}

/* What is under way to it goes on. */
static void delete_webhook(fh_work *w)
{
    if (fh_exec_count(w, "DELETE FROM webhooks WHERE id = :id", fh_path(w)) == 0)
        fh_fail(w, 404, "There is no such webhook.");
}

static void get_deliveries(fh_work *w)
{
    fh_reply(
        w, 200,
        fh_page_rows(w, "SELECT * FROM deliveries WHERE webhook_id = :webhook_id", fh_query(w)));
}

static void tell_webhooks(fh_work *w)
{
    json_t *event = fh_event(w), *webhook;
    json_t *now = fh_object(w, "now", fh_now(w));
    size_t i;
    json_t *webhooks =
        fh_rows(w, "SELECT id, url FROM webhooks WHERE type = :type AND active ORDER BY id", event);
    json_array_foreach (webhooks, i, webhook) {
        json_t *delivery =
            fh_row(w,
                   "INSERT INTO deliveries (webhook_id, event_id, status, created_at)"
                   " VALUES (:webhook_id, :id, 'PENDING', :now) RETURNING id",
                   fh_object(w, "webhook_id", json_object_get(webhook, "id")), event, now);
        fh_saga_start(w, "deliver",
                      fh_object(w, "id", json_object_get(delivery, "id"), "webhook_id",
                                json_object_get(webhook, "id"), "url",
                                json_object_get(webhook, "url"), "event", event));
    }
}

/* What there is when a subscription begins anew is no news: nobody is told of old orders again. */
static void nothing_to_tell(fh_work *w)
{
    (void)w;
}

static void end_delivery(fh_work *w, const char *status)
{
    fh_exec(w, "UPDATE deliveries SET status = :status, ended_at = :now WHERE id = :id",
            fh_saga_input(w), fh_object(w, "status", status, "now", fh_now(w)));
}

static void note_delivered(fh_work *w)
{
    end_delivery(w, "DELIVERED");
}

/* 410: nobody is there any more. */
static void end_webhook(fh_work *w)
{
    end_delivery(w, "REFUSED");
    fh_exec(w, "UPDATE webhooks SET active = FALSE WHERE id = :webhook_id", fh_saga_input(w));
}

static const fh_step deliver_steps[] = {
    {"post", .outside = "url",
     .body = "id=event.id,type=event.type,time=event.time,data=event.data", .pivot = true},
    {"note", .run = note_delivered},
    {0}};

static const char *const types[] = {"OrderCreated", "OrderConfirmed", "OrderCancelled", NULL};
static const fh_field webhook_shape[] = {
    {"url", FH_STRING, .min = 8, .max = 2048}, {"type", FH_STRING, .one_of = types}, {0}};
static const fh_field deliveries_shape[] = {{"webhook_id", FH_INT, .min = 1}, {0}};

static const fh_field kept_webhook_shape[] = {
    {"id", FH_INT},      {"url", FH_STRING},        {"type", FH_STRING},
    {"active", FH_BOOL}, {"created_at", FH_STRING}, {0}};
static const fh_field delivery_shape[] = {{"id", FH_INT},
                                          {"webhook_id", FH_INT},
                                          {"event_id", FH_STRING},
                                          {"status", FH_STRING},
                                          {"created_at", FH_STRING},
                                          {"ended_at", FH_STRING, .nullable = true},
                                          {0}};

FH_SERVICE(notifications, .model = FH_RELATIONAL,
           .routes = {{"POST", "/api/webhooks", create_webhook, .body = webhook_shape,
                       .audience = FH_OPERATORS, .answer = {201, kept_webhook_shape}},
                      {"GET", "/api/webhooks", get_webhooks, .page = {"id"},
                       .audience = FH_OPERATORS, .answer = {200, .each = kept_webhook_shape}},
                      {"DELETE", "/api/webhooks/{id:int}", delete_webhook, .audience = FH_OPERATORS,
                       .answer = {204}},
                      {"GET", "/api/deliveries", get_deliveries, .query = deliveries_shape,
                       .page = {"id"}, .audience = FH_OPERATORS,
                       .answer = {200, .each = delivery_shape}}},
           .subscribes = {{"orders", "OrderCreated", tell_webhooks, .fields = TOLD,
                           .covered_by = "OrderConfirmed"},
                          {"orders", "OrderConfirmed", tell_webhooks, .fields = TOLD,
                           .upsert = nothing_to_tell},
                          {"orders", "OrderCancelled", tell_webhooks, .fields = TOLD,
                           .covered_by = "OrderConfirmed"}},
           .sagas = {{"deliver", deliver_steps, .deadline_s = GIVEN_UP_S, .undone = end_webhook}});
