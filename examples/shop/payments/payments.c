/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Payments: charges an order once, and gives the money back. Owns the documents `payments`.
 *
 * The token stands for a card. Two of them misbehave, so that one can see what the shop then does:
 *   tok_declined  the bank says no
 *   tok_timeout   the bank's answer comes later than the orders wait for it. It says yes to orders
 *                 with an even number, so that these are charged after all, and no to the others
 */

#include <freehold.h>
#include <string.h>

#define BANK_IS_LATE_MS 2500 /* the orders wait for 1,000 */

static void charge(fh_work *w)
{
    json_t *wanted = fh_body(w);
    const char *token = json_string_value(json_object_get(wanted, "token"));
    if (strcmp(token, "tok_declined") == 0)
        fh_fail(w, 402, "The card was declined.");
    if (strcmp(token, "tok_timeout") == 0) {
        fh_delay_ms(w, BANK_IS_LATE_MS);
        if (json_integer_value(json_object_get(wanted, "order_id")) % 2 != 0)
            fh_fail(w, 402, "The bank did not answer in time, and has charged nothing.");
    }

    json_t *payment =
        fh_object(w, "order_id", json_object_get(wanted, "order_id"), "user_id",
                  json_object_get(wanted, "user_id"), "amount", json_object_get(wanted, "amount"),
                  "status", "CHARGED", "charged_at", fh_now(w));
    payment = fh_doc_insert(w, "payments", payment);
    fh_publish(w, "PaymentProcessed", payment);
    fh_reply(w, 201, payment);
}

/* Undoes a charge, whatever became of its answer: the runtime has found the charge by its key. */
static void refund(fh_work *w)
{
    const char *id = json_string_value(json_object_get(fh_undone_answer(w), "id"));
    json_t *payment = fh_doc_update(
        w, "payments", id, fh_object(w, "status", "CHARGED"),
        fh_object(w, "$set", fh_object(w, "status", "REFUNDED", "refunded_at", fh_now(w))));
    fh_publish(w, "PaymentRefunded", payment);
    fh_reply(w, 200, payment);
}

static void get_payment(fh_work *w)
{
    const char *id = json_string_value(json_object_get(fh_path(w), "id"));
    json_t *payment = fh_try_doc(w, "payments", id);
    fh_must_own(w, payment, "user_id");
    fh_reply(w, 200, payment);
}

/* For the books: all payments, page by page. */
static void get_payments(fh_work *w)
{
    const char *after = json_string_value(json_object_get(fh_query(w), "after"));
    json_t *limit = json_object_get(fh_query(w), "limit");
    fh_reply(
        w, 200,
        fh_docs(w, "payments", NULL, NULL, after, limit ? (int)json_integer_value(limit) : 100));
}

/* For those who begin anew with what there is (docs/guide/events.md). */
static void every_payment(fh_work *w)
{
    json_t *after = json_object_get(fh_query(w), "after");
    fh_reply(w, 200,
             fh_docs(w, "payments", fh_object(w, "order_id", fh_object(w, "$gt", after)),
                     fh_object(w, "order_id", 1), NULL, (int)fh_int(w, fh_query(w), "limit")));
}

static const fh_field charge_shape[] = {{"order_id", FH_INT, .min = 1},
                                        {"user_id", FH_INT, .min = 1},
                                        {"amount", FH_INT, .max = 9007199254740991},
                                        {"token", FH_STRING, .min = 1, .max = 200, .card = true},
                                        {0}};

static const fh_field page_shape[] = {{"limit", FH_INT, .min = 1, .max = 1000, .optional = true},
                                      {"after", FH_STRING, .optional = true},
                                      {0}};

static const fh_field payment_shape[] = {{"id", FH_STRING},
                                         {"order_id", FH_INT},
                                         {"user_id", FH_INT},
                                         {"amount", FH_INT},
                                         {"status", FH_STRING},
                                         {"charged_at", FH_STRING},
                                         {"refunded_at", FH_STRING, .optional = true},
                                         {0}};

FH_SERVICE(
    payments, .model = FH_DOCUMENT, .collections = {{"payments", {"order_id"}}},
    .routes = {{"POST", "/api/payments", charge, .body = charge_shape, .audience = FH_SERVICES,
                .answer = {201, payment_shape}, .name = "charge"},
               {"POST", "/api/payments/refund", .undo = refund, .body = charge_shape,
                .audience = FH_SERVICES, .name = "refund"},
               {"GET", "/api/payments/{id}", get_payment, .answer = {200, payment_shape},
                .auth = FH_USER, .name = "get_payment", .summary = "A payment"},
               {"GET", "/api/payments", get_payments, .query = page_shape, .audience = FH_OPERATORS,
                .answer = {200, .each = payment_shape}, .name = "get_payments"}},
    .publishes = {{"PaymentProcessed", 1, payment_shape, .key = "order_id", .state = every_payment},
                  {"PaymentRefunded", 1, payment_shape, .key = "order_id"}},
    .shapes = {{"Payment", payment_shape}});
