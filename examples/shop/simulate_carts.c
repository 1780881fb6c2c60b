/* SPDX-License-Identifier: Apache-2.0 */
/* Carts in the shop's simulation: each client fills its own, checks it out once (or tries to do so
 * twice, under two keys), and goes on filling it while the order is under way. */

#include "simulate.h"

#include <string.h>

#define CART_FIRST_PRODUCTS 3

static void change_cart(fh_client *client, const char *key, int number)
{
    struct shop *shop = fh_client_state(client);
    struct cart *cart = &shop->carts[number];
    int product = (int)fh_client_random(client, CART_FIRST_PRODUCTS);
    int quantity = (int)fh_client_random(client, 5);
    if (cart->order)
        product = CART_FIRST_PRODUCTS + product % (PRODUCTS - CART_FIRST_PRODUCTS);
    char path[80], subject[SUBJECT_SIZE];
    snprintf(path, sizeof path, "/api/carts/%s/items/p%d", subject_of(shop->users[number], subject),
             product);
    json_t *body = json_pack("{s:i}", "quantity", quantity);
    struct fh_ask ask = {
        "carts", quantity ? "PUT" : "DELETE", path, quantity ? body : NULL, key, .user = subject};
    int status = fh_client_insist(client, &ask, NULL);
    int right = quantity ? 200 : cart->quantity[product] ? 204 : 404;
    fh_client_expect(client, status == right, "a change of a cart was answered %d", status);
    cart->quantity[product] = quantity;
    json_decref(body);
}

static bool is_empty(const struct cart *cart)
{
    for (int i = 0; i < PRODUCTS; i++)
        if (cart->quantity[i])
            return false;
    return true;
}

/* Once more, under another key: it is an order only if the one before was cancelled. */
static void check_out_again(fh_client *client, struct fh_ask ask, const char *key, int number)
{
    struct shop *shop = fh_client_state(client);
    struct cart *cart = &shop->carts[number];
    char other[48];
    snprintf(other, sizeof other, "%s-again", key);
    json_t *order;
    ask.key = other;
    int status = fh_client_insist(client, &ask, &order);
    fh_client_expect(client,
                     status == 202 || status == 409 || (status == 422 && shop->deleted[number]),
                     "another check-out was answered %d: %s", status, text_of(order, "detail"));
    if (status == 202) {
        struct order placed = {integer_of(order, "id"), integer_of(order, "total")};
        shop->orders[shop->order_count++] = placed;
        cart->former = cart->order;
        cart->order = placed.id;
    }
    json_decref(order);
}

static void check_out(fh_client *client, const char *key, int number)
{
    struct shop *shop = fh_client_state(client);
    struct cart *cart = &shop->carts[number];
    char path[64], subject[SUBJECT_SIZE];
    snprintf(path, sizeof path, "/api/carts/%s/checkout", subject_of(shop->users[number], subject));
    json_t *body = json_pack("{s:s, s:s*}", "payment_token", draw_token(client), "address",
                             draw_address(client)),
           *order;
    struct fh_ask ask = {"orders", "POST", path, body, key, .user = subject};
    int status = fh_client_insist(client, &ask, &order);
    if (status == 202) {
        struct order placed = {integer_of(order, "id"), integer_of(order, "total")};
        shop->orders[shop->order_count++] = placed;
        cart->order = placed.id;
        fh_client_count(client, "check-outs", 1);
        if (fh_client_random(client, 3) == 0)
            repeat_order(client, &ask, placed.id); /* of a cart that may be empty by now */
        if (fh_client_random(client, 3) == 0 && shop->order_count < ORDERS_MAX)
            check_out_again(client, ask, key, number);
    } else {
        fh_client_expect(
            client, (status == 409 && is_empty(cart)) || (status == 422 && shop->deleted[number]),
            "a check-out was answered %d: %s", status, text_of(order, "detail"));
    }
    json_decref(order);
    json_decref(body);
}

void use_cart(fh_client *client, const char *key, int number)
{
    const struct shop *shop = fh_client_state(client);
    if (!shop->carts[number].order && shop->order_count < ORDERS_MAX &&
        fh_client_random(client, 3) == 0)
        check_out(client, key, number);
    else
        change_cart(client, key, number);
}

/* ---- afterwards ---- */

/* What a cart holds of a product at the end: all that was put in, but what a confirmed order took.
 * (What was put in behind the check-out is of other products.) */
static void check_cart(fh_client *client, const struct cart *cart, bool confirmed, json_t *held)
{
    for (int i = 0; i < PRODUCTS; i++) {
        char product[16];
        snprintf(product, sizeof product, "p%d", i);
        int right = confirmed && i < CART_FIRST_PRODUCTS ? 0 : cart->quantity[i];
        fh_client_expect(client, integer_of(held, product) == right,
                         "a cart that was %s holds %" JSON_INTEGER_FORMAT " of %s instead of %d",
                         confirmed ? "ordered" : "not ordered", integer_of(held, product), product,
                         right);
    }
}

void check_carts(fh_client *client, json_t *orders)
{
    const struct shop *shop = fh_client_state(client);
    json_t *rows = fh_client_rows(client, "carts",
                                  "SELECT key, field, CAST(kv_field.value AS INTEGER) AS quantity"
                                  " FROM kv_key JOIN kv_field USING (number)");
    for (int number = 0; number < CLIENTS; number++) {
        char key[40];
        json_t *held = json_object(), *row, *order;
        bool confirmed = false;
        size_t i;
        snprintf(key, sizeof key, "cart:%" JSON_INTEGER_FORMAT, shop->users[number]);
        json_array_foreach (rows, i, row) {
            if (strcmp(text_of(row, "key"), key) == 0)
                json_object_set(held, text_of(row, "field"), json_object_get(row, "quantity"));
        }
        json_array_foreach (orders, i, order) {
            if (integer_of(order, "id") == shop->carts[number].order)
                confirmed = strcmp(text_of(order, "status"), "CONFIRMED") == 0;
            if (integer_of(order, "id") == shop->carts[number].former)
                fh_client_expect(client, strcmp(text_of(order, "status"), "CANCELLED") == 0,
                                 "a cart was made into two orders, the first of which is %s",
                                 text_of(order, "status"));
        }
        check_cart(client, &shop->carts[number], confirmed, held);
        json_decref(held);
    }
    json_decref(rows);
}
