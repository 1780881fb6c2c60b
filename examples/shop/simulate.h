/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHOP_SIMULATE_H
#define SHOP_SIMULATE_H

/* What the files of the shop's simulation share. */

#include <freehold/simulate.h>
#include <stdio.h>

#define USERS 6
#define PRODUCTS 5
#define CLIENTS 4
#define ORDERS_MAX 400
#define STAFF "0" /* changes products, and buys nothing */
#define SUBJECT_SIZE 24

struct order {
    json_int_t id, total;
};

/* One client's own cart, of the user of the same number: until it is checked out, some of the first
 * products are put in and taken out, and from then on some of the others. */
struct cart {
    int quantity[PRODUCTS];
    json_int_t order;  /* 0: it was not checked out */
    json_int_t former; /* checked out before that one, which must have been cancelled; 0: none */
};

struct shop {
    json_int_t users[USERS];
    bool deleted[USERS]; /* or about to be */
    json_int_t stock[PRODUCTS];
    struct order orders[ORDERS_MAX];
    int order_count;
    struct cart carts[CLIENTS];
};

static inline json_int_t integer_of(json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static inline const char *text_of(json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* By what the gateway knows this user. `into` has SUBJECT_SIZE bytes. */
static inline const char *subject_of(json_int_t user, char *into)
{
    snprintf(into, SUBJECT_SIZE, "%" JSON_INTEGER_FORMAT, user);
    return into;
}

/* simulate.c */
const char *draw_token(fh_client *client);
const char *draw_address(fh_client *client);
/* Asks again under the same key: it must be the same order. */
void repeat_order(fh_client *client, const struct fh_ask *ask, json_int_t id);

/* simulate_carts.c: one thing done with the client's own cart; and what must hold of all at the
 * end. */
void use_cart(fh_client *client, const char *key, int number);
void check_carts(fh_client *client, json_t *orders);

/* simulate_heard.c: what services keep of one another's data agrees with its owner's. */
void check_heard(fh_client *client);

/* simulate_views.c: so do the list of orders and the reports. */
void check_views(fh_client *client);

#endif
