/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shop under simulation: clients order, rename and delete while everything may fail. At the
 * end the books must balance: every acknowledged order is there once and has been decided, money
 * and stock are conserved, and what one service keeps of another's data is up to date.
 */

#include <freehold/simulate.h>
#include <string.h>

#define USERS 6
#define PRODUCTS 5
#define CLIENTS 4
#define ORDERS_MAX 400
#define ACTIONS_MAX 16 /* of one client */

struct order {
    json_int_t id, total;
};

struct shop {
    json_int_t users[USERS];
    bool deleted[USERS]; /* or about to be */
    json_int_t stock[PRODUCTS];
    struct order orders[ORDERS_MAX];
    int order_count;
};

static json_int_t integer_of(json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static const char *text_of(json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

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
        json_t *body = json_pack("{s:s, s:s, s:i, s:I}", "id", name, "name", name, "price",
                                 100 + (int)fh_client_random(client, 900), "stock", shop->stock[i]);
        struct fh_ask ask = {"products", "POST", "/api/products", body, key};
        int status = fh_client_insist(client, &ask, NULL);
        fh_client_expect(client, status == 201, "a product was answered %d", status);
        json_decref(body);
    }
}

/* ---- meanwhile ---- */

static const char *draw_token(fh_client *client)
{
    uint64_t drawn = fh_client_random(client, 100);
    return drawn < 10 ? "tok_declined" : drawn < 22 ? "tok_timeout" : "tok_visa";
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
    return json_pack("{s:I, s:o, s:s}", "user_id", shop->users[*ret_user], "items", items,
                     "payment_token", draw_token(client));
}

/* A repeat under the same key must be the same order. */
static void repeat(fh_client *client, const struct fh_ask *ask, json_int_t id)
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
    json_object_set_new(body, "payment_token", json_string("tok_other"));
    ask.body = body;
    int status = fh_client_insist(client, &ask, NULL);
    fh_client_expect(client, status == 422, "a key with another order was answered %d", status);
    json_decref(body);
}

/* What was refused under a key stays refused, though it could be done by now. */
static void order_too_early(fh_client *client, const char *key)
{
    struct shop *shop = fh_client_state(client);
    char id[48], product_key[48];
    snprintf(id, sizeof id, "late-%s", key);
    snprintf(product_key, sizeof product_key, "%s-product", key);
    json_t *order = json_pack("{s:I, s:[{s:s, s:i}], s:s}", "user_id",
                              shop->users[fh_client_random(client, USERS)], "items", "product_id",
                              id, "quantity", 1, "payment_token", "tok_visa");
    json_t *product =
        json_pack("{s:s, s:s, s:i, s:i}", "id", id, "name", id, "price", 100, "stock", 5);
    struct fh_ask too_early = {"orders", "POST", "/api/orders", order, key};
    struct fh_ask create = {"products", "POST", "/api/products", product, product_key};
    int first = fh_client_insist(client, &too_early, NULL);
    int created = fh_client_insist(client, &create, NULL);
    int second = fh_client_insist(client, &too_early, NULL);
    fh_client_expect(client, first == 422 && created == 201 && second == 422,
                     "an order that came too early was answered %d, and then %d", first, second);
    json_decref(product);
    json_decref(order);
}

static void place(fh_client *client, const char *key)
{
    struct shop *shop = fh_client_state(client);
    int user;
    json_t *body = draw_order(client, &user), *order;
    struct fh_ask ask = {"orders", "POST", "/api/orders", body, key};
    int status = fh_client_insist(client, &ask, &order);
    if (status == 202 && shop->order_count < ORDERS_MAX) {
        struct order placed = {integer_of(order, "id"), integer_of(order, "total")};
        shop->orders[shop->order_count++] = placed;
        fh_client_count(client, "orders", 1);
        if (fh_client_random(client, 4) == 0)
            repeat(client, &ask, placed.id);
        if (fh_client_random(client, 8) == 0)
            misuse(client, ask);
    } else {
        fh_client_expect(client, status == 422 && shop->deleted[user],
                         "an order was answered %d: %s", status, text_of(order, "detail"));
    }
    json_decref(order);
    json_decref(body);
}

static void rename_one(fh_client *client, const char *key, const char *service, const char *path)
{
    char name[40];
    snprintf(name, sizeof name, "Name %s", key);
    json_t *body = json_pack("{s:s}", "name", name);
    struct fh_ask ask = {service, "PATCH", path, body, key};
    int status = fh_client_insist(client, &ask, NULL);
    fh_client_expect(client, status == 200 || status == 404, "a new name was answered %d", status);
    json_decref(body);
}

static void delete_user(fh_client *client, const char *key, int user)
{
    struct shop *shop = fh_client_state(client);
    char path[64];
    shop->deleted[user] = true;
    snprintf(path, sizeof path, "/api/users/%" JSON_INTEGER_FORMAT, shop->users[user]);
    struct fh_ask ask = {"users", "DELETE", path, NULL, key};
    int status = fh_client_insist(client, &ask, NULL);
    fh_client_expect(client, status == 204 || status == 404, "a deletion was answered %d", status);
}

static void act(fh_client *client, const char *key)
{
    struct shop *shop = fh_client_state(client);
    uint64_t drawn = fh_client_random(client, 100);
    char path[64];
    if (drawn < 70) {
        place(client, key);
    } else if (drawn < 75) {
        order_too_early(client, key);
    } else if (drawn < 88) {
        snprintf(path, sizeof path, "/api/users/%" JSON_INTEGER_FORMAT,
                 shop->users[fh_client_random(client, USERS)]);
        rename_one(client, key, "users", path);
    } else if (drawn < 97) {
        snprintf(path, sizeof path, "/api/products/p%d", (int)fh_client_random(client, PRODUCTS));
        rename_one(client, key, "products", path);
    } else {
        delete_user(client, key, (int)fh_client_random(client, USERS));
    }
}

static void client(fh_client *client, int number)
{
    char key[32];
    int actions = 4 + (int)fh_client_random(client, ACTIONS_MAX - 4 + 1);
    for (int i = 0; i < actions; i++) {
        snprintf(key, sizeof key, "c%d-%d", number, i);
        act(client, key);
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

/* What is there and what was sold make up what there was. */
static void check_stock(fh_client *client)
{
    const struct shop *shop = fh_client_state(client);
    json_t *sold =
        fh_client_rows(client, "orders",
                       "SELECT product_id, sum(quantity) AS quantity FROM order_items JOIN orders"
                       " ON orders.id = order_id WHERE status = 'CONFIRMED' GROUP BY product_id");
    json_t *products = fh_client_rows(client, "products",
                                      "SELECT id, body->>'$.stock' AS stock FROM doc_products "
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

/* `kept` beside what its owner has now; an owner's row that is gone shows as "user [deleted]". */
static void check_names(fh_client *client, const char *owner, const char *owned, const char *kept)
{
    json_t *owners = fh_client_rows(client, owner, owned);
    json_t *copies = fh_client_rows(client, "orders", kept), *copy, *row;
    size_t i, j;
    json_array_foreach (copies, i, copy) {
        const char *name = "user [deleted]";
        json_array_foreach (owners, j, row) {
            if (json_equal(json_object_get(row, "id"), json_object_get(copy, "id")))
                name = text_of(row, "name");
        }
        fh_client_expect(client, strcmp(text_of(copy, "name"), name) == 0,
                         "orders calls \"%s\" what %s calls \"%s\"", text_of(copy, "name"), owner,
                         name);
    }
    json_decref(copies);
    json_decref(owners);
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
                     integer_of(row, "orders") == integer_of(row, "created_events") &&
                         integer_of(row, "confirmed") == integer_of(row, "confirmed_events") &&
                         integer_of(row, "cancelled") == integer_of(row, "cancelled_events"),
                     "orders and their events do not agree");
    fh_client_count(client, "confirmed", integer_of(row, "confirmed"));
    json_decref(rows);
}

static void check(fh_client *client)
{
    json_t *orders = fh_client_rows(client, "orders",
                                    "SELECT id, user_id, status, total, payment_id FROM orders");
    check_orders(client, orders);
    check_money(client, orders);
    check_stock(client);
    check_counts(client, orders);
    check_names(client, "users", "SELECT id, name FROM users",
                "SELECT user_id AS id, user_name AS name FROM user_names");
    check_names(client, "products", "SELECT id, body->>'$.name' AS name FROM doc_products",
                "SELECT product_id AS id, product_name AS name FROM product_names");
    check_events(client);
    json_decref(orders);
}

FH_SIMULATION(shop, .state_size = sizeof(struct shop), .clients = CLIENTS, .prepare = prepare,
              .client = client, .check = check);
