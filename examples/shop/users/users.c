/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users: who buys. Owns `users`.
 *
 * Others hold a user's id and perhaps a copy of the name; UserUpdated and UserDeleted tell them
 * when those change. Deleting a user asks nobody: an order of a user who is gone is the orders'
 * own business, and counting one more order of such a user is no error.
 */

#include <freehold.h>

static void create_user(fh_work *w)
{
    json_t *none = json_pack("{s:s}", "address", "");
    json_t *user = fh_row(w,
                          "INSERT INTO users (name, email, address)"
                          " VALUES (:name, :email, :address) RETURNING *",
                          fh_body(w), none);
    fh_reply(w, 201, user);
}

static void get_user(fh_work *w)
{
    fh_reply(w, 200, fh_row(w, "SELECT * FROM users WHERE id = :id", fh_path(w)));
}

static void get_users(fh_work *w)
{
    fh_reply(w, 200, fh_rows(w, "SELECT * FROM users WHERE id IN (:ids) ORDER BY id", fh_query(w)));
}

static void change_user(fh_work *w)
{
    json_t *unchanged = json_pack("{s:n, s:n, s:n}", "name", "email", "address");
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
    json_t *user = fh_row(w, "SELECT id FROM users WHERE id = :id", fh_path(w));
    fh_exec(w, "DELETE FROM users WHERE id = :id", user);
    fh_publish(w, "UserDeleted", user);
}

static void count_order(fh_work *w)
{
    fh_exec(w, "UPDATE users SET order_count = order_count + 1 WHERE id = :id", fh_path(w));
}

static const fh_field user_shape[] = {{"name", FH_STRING, .min = 1, .max = 200},
                                      {"email", FH_STRING, .min = 3, .max = 320},
                                      {"address", FH_STRING, .max = 1000, .optional = true},
                                      {0}};

static const fh_field change_shape[] = {
    {"name", FH_STRING, .min = 1, .max = 200, .optional = true},
    {"email", FH_STRING, .min = 3, .max = 320, .optional = true},
    {"address", FH_STRING, .max = 1000, .optional = true},
    {0}};

static const fh_field ids_shape[] = {{"ids", FH_LIST, .min = 1, .max = 100}, {0}};

static const fh_field user_updated[] = {{"id", FH_INT},          {"name", FH_STRING},
                                        {"email", FH_STRING},    {"address", FH_STRING},
                                        {"order_count", FH_INT}, {0}};
static const fh_field user_deleted[] = {{"id", FH_INT}, {0}};

FH_SERVICE(users, .model = FH_RELATIONAL,
           .routes = {{"POST", "/api/users", create_user, .body = user_shape},
                      {"GET", "/api/users", get_users, .query = ids_shape},
                      {"GET", "/api/users/{id:int}", get_user},
                      {"PATCH", "/api/users/{id:int}", change_user, .body = change_shape},
                      {"DELETE", "/api/users/{id:int}", delete_user},
                      {"POST", "/api/users/{id:int}/orders/increment", count_order,
                       .audience = FH_SERVICES}},
           .publishes = {{"UserUpdated", 1, user_updated, .key = "id"},
                         {"UserDeleted", 1, user_deleted, .key = "id"}});
