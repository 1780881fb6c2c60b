/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users: who buys, and what each has bought. Owns `users` and `order_history`.
 *
 * Others hold a user's id and perhaps a copy of the name; UserCreated, UserUpdated and
 * UserDeleted tell them when those change. Deleting a user asks nobody: an order of a user who is
 * gone is the orders' own business, and counting one more order of such a user is no error.
 *
 * The history is what orders tell: OrderConfirmed adds an order to it. OrderCancelled is not heard,
 * since only orders that were never confirmed are cancelled. It goes with its user.
 */

#include <freehold.h>

#define ORDER_ID_MAX 9007199254740991 /* 2^53 - 1: an order's id is below it */

static void create_user(fh_work *w)
{
    json_t *none = fh_object(w, "address", "");
    json_t *user = fh_row(w,
                          "INSERT INTO users (name, email, address)"
                          " VALUES (:name, :email, :address) RETURNING *",
                          fh_body(w), none);
    fh_publish(w, "UserCreated", user);
    fh_reply(w, 201, user);
}

/* Each user's own: nobody else is told that there is one. */
static void get_user(fh_work *w)
{
    fh_must_own(w, fh_path(w), "id");
    fh_reply(w, 200, fh_row(w, "SELECT * FROM users WHERE id = :id", fh_path(w)));
}

static void get_users(fh_work *w)
{
    fh_reply(w, 200, fh_rows(w, "SELECT * FROM users WHERE id IN (:ids) ORDER BY id", fh_query(w)));
}

static void change_user(fh_work *w)
{
    fh_must_own(w, fh_path(w), "id");
    json_t *unchanged =
        fh_object(w, "name", json_null(), "email", json_null(), "address", json_null());
    fh_exec(w,
            "UPDATE users SET name = COALESCE(:name, name), email = COALESCE(:email, email),"
            " address = COALESCE(:address, address) WHERE id = :id",
            fh_path(w), fh_body(w), unchanged);
    json_t *user = fh_row(w, "SELECT * FROM users WHERE id = :id", fh_path(w));
    fh_publish(w, "UserUpdated", user);
    fh_reply(w, 200, user);
}

static void delete_user(fh_work *w)
{
    fh_must_own(w, fh_path(w), "id");
    json_t *user = fh_row(w, "SELECT id FROM users WHERE id = :id", fh_path(w));
    fh_exec(w, "DELETE FROM order_history WHERE user_id = :id", user);
    fh_exec(w, "DELETE FROM users WHERE id = :id", user);
    fh_publish(w, "UserDeleted", user);
}

/* For those who begin anew with what there is (docs/guide/events.md). */
static void every_user(fh_work *w)
{
    fh_reply(
        w, 200,
        fh_rows(w, "SELECT * FROM users WHERE id > :after ORDER BY id LIMIT :limit", fh_query(w)));
}

static void count_order(fh_work *w)
{
    fh_exec(w, "UPDATE users SET order_count = order_count + 1 WHERE id = :id", fh_path(w));
}

/* ---- What was bought ---- */

/* The newest first; the next page begins behind the order that `after` names. */
static void get_history(fh_work *w)
{
    fh_must_own(w, fh_path(w), "id");
    json_t *first = fh_object(w, "after", (json_int_t)ORDER_ID_MAX, "limit", 20);
    fh_row(w, "SELECT id FROM users WHERE id = :id", fh_path(w));
    fh_reply(w, 200,
             fh_rows(w,
                     "SELECT order_id, total, created_at FROM order_history"
                     " WHERE user_id = :id AND order_id < :after ORDER BY order_id DESC"
                     " LIMIT :limit",
                     fh_path(w), fh_query(w), first));
}

/* Heard, and as it is now for a history that begins anew: whatever was known of it before. */
static void order_confirmed(fh_work *w)
{
    fh_exec(w, "DELETE FROM order_history WHERE order_id = :id", fh_event_data(w));
    if (fh_try_row(w, "SELECT id FROM users WHERE id = :user_id", fh_event_data(w)))
        fh_exec(w, "INSERT INTO order_history VALUES (:id, :user_id, :total, :created_at)",
                fh_event_data(w));
}

static void order_gone(fh_work *w)
{
    fh_exec(w, "DELETE FROM order_history WHERE order_id = :key", fh_event_data(w));
}

static void orders_held(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w,
                     "SELECT order_id FROM order_history WHERE order_id > :after"
                     " ORDER BY order_id LIMIT :limit",
                     fh_query(w)));
}

static const fh_field user_shape[] = {
    {"name", FH_STRING, .min = 1, .max = 200, .personal = true},
    {"email", FH_STRING, .min = 3, .max = 320, .personal = true},
    {"address", FH_STRING, .max = 1000, .optional = true, .personal = true},
    {0}};

static const fh_field change_shape[] = {
    {"name", FH_STRING, .min = 1, .max = 200, .optional = true, .personal = true},
    {"email", FH_STRING, .min = 3, .max = 320, .optional = true, .personal = true},
    {"address", FH_STRING, .max = 1000, .optional = true, .personal = true},
    {0}};

static const fh_field ids_shape[] = {{"ids", FH_LIST, .min = 1, .max = 100}, {0}};

/* A user as it is kept, answered and published. */
static const fh_field kept_shape[] = {{"id", FH_INT},
                                      {"name", FH_STRING, .personal = true},
                                      {"email", FH_STRING, .personal = true},
                                      {"address", FH_STRING, .personal = true},
                                      {"order_count", FH_INT},
                                      {0}};
static const fh_field history_page[] = {
    {"after", FH_INT, .min = 1, .max = ORDER_ID_MAX, .optional = true},
    {"limit", FH_INT, .min = 1, .max = 100, .optional = true},
    {0}};
static const fh_field bought_shape[] = {
    {"order_id", FH_INT}, {"total", FH_INT}, {"created_at", FH_STRING}, {0}};
static const fh_field user_deleted[] = {{"id", FH_INT}, {0}};

FH_SERVICE(
    users, .model = FH_RELATIONAL,
    .routes = {{"POST", "/api/users", create_user, .body = user_shape, .answer = {201, kept_shape},
                .auth = FH_ANYONE, .name = "create_user", .summary = "Makes a user"},
               {"GET", "/api/users", get_users, .query = ids_shape,
                .answer = {200, .each = kept_shape}, .auth = FH_ROLE("staff"), .name = "get_users",
                .summary = "Users by their ids"},
               {"GET", "/api/users/{id:int}", get_user, .answer = {200, kept_shape},
                .auth = FH_USER, .name = "get_user", .summary = "A user"},
               {"PATCH", "/api/users/{id:int}", change_user, .body = change_shape,
                .answer = {200, kept_shape}, .auth = FH_USER, .name = "change_user",
                .summary = "Changes a user"},
               {"DELETE", "/api/users/{id:int}", delete_user, .answer = {204}, .auth = FH_USER,
                .name = "delete_user", .summary = "Removes a user"},
               {"POST", "/api/users/{id:int}/orders/increment", count_order,
                .audience = FH_SERVICES, .answer = {204}, .name = "count_order"},
               {"GET", "/api/users/{id:int}/orders/history", get_history, .query = history_page,
                .answer = {200, .each = bought_shape}, .auth = FH_USER, .name = "get_history",
                .summary = "What a user has ordered"}},
    .publishes = {{"UserCreated", 1, kept_shape, .key = "id"},
                  {"UserUpdated", 1, kept_shape, .key = "id", .state = every_user},
                  {"UserDeleted", 1, user_deleted, .key = "id"}},
    .subscribes = {{"orders", "OrderConfirmed", order_confirmed,
                    .fields = "id,user_id,total,created_at", .upsert = order_confirmed,
                    .gone = order_gone, .held = orders_held}},
    .shapes = {{"User", kept_shape},
               {"NewUser", user_shape},
               {"UserChange", change_shape},
               {"PastOrder", bought_shape}});
