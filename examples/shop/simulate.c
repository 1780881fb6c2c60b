/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shop under simulation: clients order, rename and delete while everything may fail. At the
 * end the books must balance: every acknowledged order is there once and has been decided, money
 * and stock are conserved, whatever was confirmed was sent once and nothing else was, a checked-out
 * cart is emptied of exactly what was ordered, and what one service keeps of another's data, lists
 * and sums up is up to date.
 */

#include "simulate.h"

#include <string.h>

#define ACTIONS_MAX 20 /* of one client */

#define CATEGORIES 3

static const char *const categories[CATEGORIES] = {"light", "loud", "both"};

/* ---- before ---- */

static void prepare(fh_client *client)
{
    struct shop *shop = fh_client_state(client);
    char key[32], name[32];
    for (int i = 0; i < USERS; i++) {
        snprintf(key, sizeof key, "user-%d", i);
        snprintf(name, sizeof name, "User %d", i);
        json_t *body = json_pack("{s:s, s:s}", "name", name, "email", "u@example.org"), *user;
        struct fh_ask ask = {"users", "POST", "/api/users", body, key};
        int status = fh_client_insist(client, &ask, &user);
        fh_client_expect(client, status == 201, "a user was answered %d", status);
        shop->users[i] = integer_of(user, "id");
        json_decref(user);
        json_decref(body);
    }
    for (int i = 0; i < PRODUCTS; i++) {
        snprintf(key, sizeof key, "product-%d", i);
        snprintf(name, sizeof name, "p%d", i);
        shop->stock[i] = 5 + (json_int_t)fh_client_random(client, 80);
        json_t *body = json_pack("{s:s, s:s, s:i, s:I, s:s*}", "id", name, "name", name, "price",
                                 100 + (int)fh_client_random(client, 900), "stock", shop->stock[i],
                                 "category", i ? categories[i % CATEGORIES] : NULL);
        struct fh_ask ask = {"products", "POST",        "/api/products",           body,
                             key,        .user = STAFF, .grants = FH_ROLE("staff")};
        int status = fh_client_insist(client, &ask, NULL);
        fh_client_expect(client, status == 201, "a product was answered %d", status);
        json_decref(body);
    }
}

/* ---- meanwhile ---- */

const char *draw_token(fh_client *client)
{
    uint64_t drawn = fh_client_random(client, 100);
    return drawn < 10 ? "tok_declined" : drawn < 22 ? "tok_timeout" : "tok_visa";
}

/* The system file has nothing sent to Atlantis. */
const char *draw_address(fh_client *client)
{
    uint64_t drawn = fh_client_random(client, 100);
    return drawn < 12 ? "5 Coral Row, Atlantis" : drawn < 60 ? "2 Quay Street" : NULL;
}

static json_t *draw_order(fh_client *client, int *ret_user)
{
    struct shop *shop = fh_client_state(client);
    json_t *items = json_array();
    int first = (int)fh_client_random(client, PRODUCTS);
    int lines = 1 + (int)fh_client_random(client, 3);
    for (int i = 0; i < lines; i++) {
        char id[16];
        snprintf(id, sizeof id, "p%d", (first + i) % PRODUCTS);
        json_array_append_new(items, json_pack("{s:s, s:i}", "product_id", id, "quantity",
                                               1 + (int)fh_client_random(client, 9)));
    }
    *ret_user = (int)fh_client_random(client, USERS);
    return json_pack("{s:I, s:o, s:s, s:s*}", "user_id", shop->users[*ret_user], "items", items,
                     "payment_token", draw_token(client), "address", draw_address(client));
}

/* A repeat under the same key must be the same order. */
void repeat_order(fh_client *client, const struct fh_ask *ask, json_int_t id)
{
    json_t *order;
    int status = fh_client_insist(client, ask, &order);
    fh_client_expect(client, status == 202 && integer_of(order, "id") == id,
                     "a repeat of order %" JSON_INTEGER_FORMAT " was answered %d, order "
                     "%" JSON_INTEGER_FORMAT,
                     id, status, integer_of(order, "id"));
    json_decref(order);
}

/* The same key with another request is refused. */
static void misuse(fh_client *client, struct fh_ask ask)
{
    json_t *body = json_copy(ask.body);
    json_object_set_new(body, "address", json_string("another one"));
    ask.body = body;
    int status = fh_client_insist(client, &ask, NULL);
    fh_client_expect(client, status == 422, "a key with another order was answered %d", status);
    json_decref(body);
}

/* What was refused under a key stays refused, though it could be done by now. */
static void order_too_early(fh_client *client, const char *key)
{
    struct shop *shop = fh_client_state(client);
    char id[48], product_key[48], subject[SUBJECT_SIZE];
    json_int_t user = shop->users[fh_client_random(client, USERS)];
    snprintf(id, sizeof id, "late-%s", key);
    snprintf(product_key, sizeof product_key, "%s-product", key);
    json_t *order = json_pack("{s:I, s:[{s:s, s:i}], s:s}", "user_id", user, "items", "product_id",
                              id, "quantity", 1, "payment_token", "tok_visa");
    json_t *product =
        json_pack("{s:s, s:s, s:i, s:i}", "id", id, "name", id, "price", 100, "stock", 5);
    struct fh_ask too_early = {"orders", "POST", "/api/orders",
                               order,    key,    .user = subject_of(user, subject)};
    struct fh_ask create = {"products",  "POST",        "/api/products",           product,
                            product_key, .user = STAFF, .grants = FH_ROLE("staff")};
    int first = fh_client_insist(client, &too_early, NULL);
    int created = fh_client_insist(client, &create, NULL);
    int second = fh_client_insist(client, &too_early, NULL);
    fh_client_expect(client, first == 422 && created == 201 && second == 422,
                     "an order that came too early was answered %d, and then %d", first, second);
    json_decref(product);
    json_decref(order);
}

/* Nobody but its user sees an order, staff neither. */
static void pry(fh_client *client, json_int_t id, int owner)
{
    const struct shop *shop = fh_client_state(client);
    char path[40], subject[SUBJECT_SIZE];
    snprintf(path, sizeof path, "/api/orders/%" JSON_INTEGER_FORMAT, id);
    struct fh_ask ask = {"orders", "GET", path, .user = subject_of(shop->users[owner], subject)};
    int own = fh_client_insist(client, &ask, NULL);
    subject_of(shop->users[(owner + 1) % USERS], subject);
    int others = fh_client_insist(client, &ask, NULL);
    ask.user = STAFF, ask.grants = FH_ROLE("staff");
    int staffs = fh_client_insist(client, &ask, NULL);
    ask.user = ask.grants = NULL;
    int nobodys = fh_client_insist(client, &ask, NULL);
    fh_client_expect(client, own == 200 && others == 404 && staffs == 404 && nobodys == 401,
                     "an order was answered %d to its user, %d to another, %d to staff and %d to "
                     "nobody",
                     own, others, staffs, nobodys);
}

static void place(fh_client *client, const char *key)
{
    struct shop *shop = fh_client_state(client);
    int user;
    char subject[SUBJECT_SIZE];
    json_t *body = draw_order(client, &user), *order;
    struct fh_ask ask = {"orders", "POST", "/api/orders",
                         body,     key,    .user = subject_of(shop->users[user], subject)};
    int status = fh_client_insist(client, &ask, &order);
    if (status == 202 && shop->order_count < ORDERS_MAX) {
        struct order placed = {integer_of(order, "id"), integer_of(order, "total")};
        shop->orders[shop->order_count++] = placed;
        fh_client_count(client, "orders", 1);
        if (fh_client_random(client, 4) == 0) {
            repeat_order(client, &ask, placed.id);
            pry(client, placed.id, user);
        }
        if (fh_client_random(client, 8) == 0)
            misuse(client, ask);
    } else {
        fh_client_expect(client, status == 422 && shop->deleted[user],
                         "an order was answered %d: %s", status, text_of(order, "detail"));
    }
    json_decref(order);
    json_decref(body);
}

/* By the user who `subject` is, or by staff, who sometimes move a product to another category. */
static void rename_one(fh_client *client, const char *key, const char *service, const char *path,
                       const char *subject)
{
    char name[40];
    snprintf(name, sizeof name, "Name %s", key);
    bool moves = strcmp(subject, STAFF) == 0 && fh_client_random(client, 2) == 0;
    json_t *body = json_pack("{s:s, s:s*}", "name", name, "category",
                             moves ? categories[fh_client_random(client, CATEGORIES)] : NULL);
    struct fh_ask ask = {
        service, "PATCH", path, body, key, .user = subject, .grants = FH_ROLE("staff")};
    int status = fh_client_insist(client, &ask, NULL);
    fh_client_expect(client, status == 200 || status == 404, "a new name was answered %d", status);
    json_decref(body);
}

/* Goods come in and go out again: in the end there is what there was. */
static void count_shelf(fh_client *client, const char *key)
{
    char id[48], path[80], product_key[48];
    snprintf(id, sizeof id, "late-%s", key);
    snprintf(path, sizeof path, "/api/products/%s/stock", id);
    snprintf(product_key, sizeof product_key, "%s-product", key);
    json_t *product = json_pack("{s:s, s:s, s:i, s:I}", "id", id, "name", id, "price", 100, "stock",
                                (json_int_t)fh_client_random(client, 10));
    json_t *body = json_pack("{s:I}", "quantity", (json_int_t)fh_client_random(client, 10));
    struct fh_ask create = {"products",  "POST",        "/api/products",           product,
                            product_key, .user = STAFF, .grants = FH_ROLE("staff")};
    struct fh_ask set = {
        "inventory", "PUT", path, body, key, .user = STAFF, .grants = FH_ROLE("staff")};
    struct fh_ask get = {"inventory", "GET", path};
    json_t *found = NULL;
    int created = fh_client_insist(client, &create, NULL);
    int counted = fh_client_insist(client, &set, NULL);
    int read = fh_client_insist(client, &get, &found);
    /* 409: it was created a second time, and its shelf has heard only that it was gone. */
    bool lost =
        fh_client_loses(client, "products") && (counted == 404 || counted == 409 || read == 404);
    fh_client_expect(
        client,
        lost || (created == 201 && counted == 200 && read == 200 && json_equal(found, body)),
        "a shelf that was counted was answered %d, %d and %d", created, counted, read);
    json_decref(found);
    json_decref(body);
    json_decref(product);
}

static void delete_user(fh_client *client, const char *key, int user)
{
    struct shop *shop = fh_client_state(client);
    char path[64], subject[SUBJECT_SIZE];
    shop->deleted[user] = true;
    snprintf(path, sizeof path, "/api/users/%" JSON_INTEGER_FORMAT, shop->users[user]);
    struct fh_ask ask = {"users", "DELETE", path,
                         NULL,    key,      .user = subject_of(shop->users[user], subject)};
    int status = fh_client_insist(client, &ask, NULL);
    fh_client_expect(client, status == 204 || status == 404, "a deletion was answered %d", status);
}

static void act(fh_client *client, const char *key, int number)
{
    struct shop *shop = fh_client_state(client);
    uint64_t drawn = fh_client_random(client, 125);
    char path[64], subject[SUBJECT_SIZE];
    if (drawn < 70) {
        place(client, key);
    } else if (drawn < 74) {
        order_too_early(client, key);
    } else if (drawn < 78) {
        count_shelf(client, key);
    } else if (drawn < 88) {
        subject_of(shop->users[fh_client_random(client, USERS)], subject);
        snprintf(path, sizeof path, "/api/users/%s", subject);
        rename_one(client, key, "users", path, subject);
    } else if (drawn < 97) {
        snprintf(path, sizeof path, "/api/products/p%d", (int)fh_client_random(client, PRODUCTS));
        rename_one(client, key, "products", path, STAFF);
    } else if (drawn < 100) {
        delete_user(client, key, (int)fh_client_random(client, USERS));
    } else {
        use_cart(client, key, number);
    }
}

static void client(fh_client *client, int number)
{
    char key[32];
    int actions = 4 + (int)fh_client_random(client, ACTIONS_MAX - 4 + 1);
    for (int i = 0; i < actions; i++) {
        snprintf(key, sizeof key, "c%d-%d", number, i);
        act(client, key, number);
        fh_client_sleep_ms(client, (int)fh_client_random(client, 300));
    }
}

/* ---- afterwards ---- */

static void check_orders(fh_client *client, json_t *orders)
{
    const struct shop *shop = fh_client_state(client);
    size_t i;
    json_t *order;
    json_array_foreach (orders, i, order) {
        const char *status = text_of(order, "status");
        fh_client_expect(client,
                         strcmp(status, "CONFIRMED") == 0 || strcmp(status, "CANCELLED") == 0,
                         "order %" JSON_INTEGER_FORMAT " is %s", integer_of(order, "id"), status);
        int known = 0;
        for (int j = 0; j < shop->order_count; j++)
            known += shop->orders[j].id == integer_of(order, "id") &&
                     shop->orders[j].total == integer_of(order, "total");
        fh_client_expect(client, known == 1,
                         "order %" JSON_INTEGER_FORMAT " was acknowledged %d times",
                         integer_of(order, "id"), known);
    }
    fh_client_expect(client, json_array_size(orders) == (size_t)shop->order_count,
                     "%d orders were acknowledged, and %zu are there", shop->order_count,
                     json_array_size(orders));
}

/* Each confirmed order was paid once, in full; no other order was. */
static void check_money(fh_client *client, json_t *orders)
{
    json_t *payments =
        fh_client_rows(client, "payments",
                       "SELECT id, body->>'$.order_id' AS order_id, body->>'$.amount' AS amount,"
                       " body->>'$.status' AS status FROM doc_payments");
    size_t i, j;
    json_t *order, *payment;
    json_array_foreach (orders, i, order) {
        json_int_t charged = 0, count = 0;
        bool confirmed = strcmp(text_of(order, "status"), "CONFIRMED") == 0, named = false;
        json_array_foreach (payments, j, payment) {
            if (integer_of(payment, "order_id") != integer_of(order, "id") ||
                strcmp(text_of(payment, "status"), "CHARGED") != 0)
                continue;
            charged += integer_of(payment, "amount");
            named |= strcmp(text_of(payment, "id"), text_of(order, "payment_id")) == 0;
            count++;
        }
        fh_client_expect(
            client,
            confirmed ? count == 1 && named && charged == integer_of(order, "total") : count == 0,
            "order %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
            " is %s and was charged %" JSON_INTEGER_FORMAT " in %" JSON_INTEGER_FORMAT " payments",
            integer_of(order, "id"), integer_of(order, "total"), text_of(order, "status"), charged,
            count);
    }
    json_decref(payments);
}

/* Where outboxes hold few events, nobody counts them. */
static bool trimmed(fh_client *client, const char *service)
{
    json_t *rows = fh_client_rows(client, service,
                                  "SELECT count(*) AS n FROM fh_meta"
                                  " WHERE name = 'trimmed_position' AND value <> '0'");
    bool is_trimmed = integer_of(json_array_get(rows, 0), "n") > 0;
    json_decref(rows);
    return is_trimmed;
}

/* What was refunded was charged before, and told in two events. */
static void check_refunds(fh_client *client)
{
    json_t *rows = fh_client_rows(
        client, "payments",
        "SELECT (SELECT count(*) FROM doc_payments) AS payments,"
        " (SELECT count(*) FROM doc_payments WHERE body->>'$.status' = 'REFUNDED') AS refunded,"
        " (SELECT count(*) FROM fh_outbox WHERE type = 'PaymentProcessed') AS charges_told,"
        " (SELECT count(*) FROM fh_outbox WHERE type = 'PaymentRefunded') AS refunds_told");
    json_t *row = json_array_get(rows, 0);
    fh_client_expect(client,
                     trimmed(client, "payments") ||
                         (integer_of(row, "payments") == integer_of(row, "charges_told") &&
                          integer_of(row, "refunded") == integer_of(row, "refunds_told")),
                     "payments and their events do not agree");
    fh_client_count(client, "refunds", integer_of(row, "refunded"));
    json_decref(rows);
}

/* Each confirmed order was sent once, to where it said; of no other order is anything on its way.
 */
static void check_shipments(fh_client *client, json_t *orders)
{
    json_t *shipments = fh_client_rows(
        client, "shipping", "SELECT id, order_id, address FROM shipments WHERE status = 'SENT'");
    size_t i, j;
    json_t *order, *shipment;
    json_array_foreach (orders, i, order) {
        int count = 0, fitting = 0;
        bool confirmed = strcmp(text_of(order, "status"), "CONFIRMED") == 0;
        json_array_foreach (shipments, j, shipment) {
            if (integer_of(shipment, "order_id") != integer_of(order, "id"))
                continue;
            count++;
            fitting += integer_of(shipment, "id") == integer_of(order, "shipment_id") &&
                       strcmp(text_of(shipment, "address"), text_of(order, "address")) == 0;
        }
        fh_client_expect(client, confirmed ? count == 1 && fitting == 1 : count == 0,
                         "order %" JSON_INTEGER_FORMAT " is %s, and %d shipments of it were sent",
                         integer_of(order, "id"), text_of(order, "status"), count);
        fh_client_expect(client, !confirmed || !strstr(text_of(order, "address"), "Atlantis"),
                         "order %" JSON_INTEGER_FORMAT " was sent to Atlantis",
                         integer_of(order, "id"));
    }
    json_decref(shipments);
}

/* What is there and what was sold make up what there was. */
static void check_stock(fh_client *client)
{
    const struct shop *shop = fh_client_state(client);
    json_t *sold =
        fh_client_rows(client, "orders",
                       "SELECT product_id, sum(quantity) AS quantity FROM order_items JOIN orders"
                       " ON orders.id = order_id WHERE status = 'CONFIRMED' GROUP BY product_id");
    json_t *products = fh_client_rows(client, "inventory",
                                      "SELECT id, body->>'$.quantity' AS stock FROM doc_stock "
                                      "WHERE id NOT LIKE 'late-%' ORDER BY id");
    size_t i, j;
    json_t *product, *row;
    fh_client_expect(client, json_array_size(products) == PRODUCTS, "%zu products are there",
                     json_array_size(products));
    json_array_foreach (products, i, product) {
        json_int_t quantity = 0, stock = integer_of(product, "stock");
        json_array_foreach (sold, j, row) {
            if (strcmp(text_of(row, "product_id"), text_of(product, "id")) == 0)
                quantity = integer_of(row, "quantity");
        }
        fh_client_expect(client, stock >= 0 && stock + quantity == shop->stock[i],
                         "of product %s there were %" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT
                         " are left, and %" JSON_INTEGER_FORMAT " were sold",
                         text_of(product, "id"), shop->stock[i], stock, quantity);
    }
    json_decref(products);
    json_decref(sold);
}

static json_int_t confirmed_of(json_t *orders, json_int_t user)
{
    json_int_t count = 0;
    size_t i;
    json_t *order;
    json_array_foreach (orders, i, order)
        count += integer_of(order, "user_id") == user &&
                 strcmp(text_of(order, "status"), "CONFIRMED") == 0;
    return count;
}

static void check_counts(fh_client *client, json_t *orders)
{
    json_t *users = fh_client_rows(client, "users", "SELECT id, order_count FROM users"), *user;
    size_t i;
    json_array_foreach (users, i, user)
        fh_client_expect(
            client, integer_of(user, "order_count") == confirmed_of(orders, integer_of(user, "id")),
            "user %" JSON_INTEGER_FORMAT " has %" JSON_INTEGER_FORMAT " orders, and counts"
            " %" JSON_INTEGER_FORMAT,
            integer_of(user, "id"), confirmed_of(orders, integer_of(user, "id")),
            integer_of(user, "order_count"));
    json_decref(users);
}

static void check_events(fh_client *client)
{
    json_t *rows = fh_client_rows(
        client, "orders",
        "SELECT (SELECT count(*) FROM orders) AS orders,"
        " (SELECT count(*) FROM orders WHERE status = 'CONFIRMED') AS confirmed,"
        " (SELECT count(*) FROM orders WHERE status = 'CANCELLED') AS cancelled,"
        " (SELECT count(*) FROM fh_outbox WHERE type = 'OrderCreated') AS created_events,"
        " (SELECT count(*) FROM fh_outbox WHERE type = 'OrderConfirmed') AS confirmed_events,"
        " (SELECT count(*) FROM fh_outbox WHERE type = 'OrderCancelled') AS cancelled_events");
    json_t *row = json_array_get(rows, 0);
    fh_client_expect(client,
                     trimmed(client, "orders") ||
                         (integer_of(row, "orders") == integer_of(row, "created_events") &&
                          integer_of(row, "confirmed") == integer_of(row, "confirmed_events") &&
                          integer_of(row, "cancelled") == integer_of(row, "cancelled_events")),
                     "orders and their events do not agree");
    fh_client_count(client, "confirmed", integer_of(row, "confirmed"));
    json_decref(rows);
}

static void check(fh_client *client)
{
    json_t *orders = fh_client_rows(client, "orders",
                                    "SELECT id, user_id, status, total, address, payment_id,"
                                    " shipment_id FROM orders");
    check_orders(client, orders);
    check_money(client, orders);
    check_shipments(client, orders);
    check_refunds(client);
    check_stock(client);
    check_carts(client, orders);
    check_counts(client, orders);
    check_heard(client);
    check_views(client);
    check_events(client);
    json_decref(orders);
}

FH_SIMULATION(shop, .state_size = sizeof(struct shop), .clients = CLIENTS, .prepare = prepare,
              .client = client, .check = check, .resyncs = true,
              .late = {"search", "notifications", "views", "reports"}, .copied_back = {"products"});
