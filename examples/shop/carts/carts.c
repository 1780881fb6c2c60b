/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carts: what each user means to buy. Owns the keys "cart:USER", each a hash of products with their
 * quantities, which expires some time after its last change.
 *
 * Users and products are others': a cart takes any of them, and it is the order that finds out
 * which are there. A cart outlives its check-out until the order is on its way; then exactly what
 * was ordered is taken out, and what was put in meanwhile stays.
 */

#include <freehold.h>
#include <string.h>

#define ITEMS_MAX 100 /* as many as an order takes */
#define PRODUCT_ID_LENGTH_MAX 200
#define KEPT_DAYS 90 /* unless the system file says otherwise */
#define DAY_S (24 * 60 * 60)

static json_t *user_id(fh_work *w)
{
    return json_object_get(fh_path(w), "user_id");
}

static const char *cart_of(fh_work *w)
{
    json_int_t user = json_integer_value(user_id(w));
    if (user < 1)
        fh_fail(w, 404, "There is no user %" JSON_INTEGER_FORMAT ".", user);
    return fh_format(w, "cart:%" JSON_INTEGER_FORMAT, user);
}

/* For what a user asks, who sees and changes this cart alone. */
static const char *own_cart(fh_work *w)
{
    fh_must_own(w, fh_path(w), "user_id");
    return cart_of(w);
}

static const char *product_id(fh_work *w)
{
    const char *id = json_string_value(json_object_get(fh_path(w), "product_id"));
    if (strlen(id) > PRODUCT_ID_LENGTH_MAX)
        fh_fail(w, 404, "There is no product with an id of more than %d bytes.",
                PRODUCT_ID_LENGTH_MAX);
    return id;
}

static json_int_t kept_ms(fh_work *w)
{
    json_t *kept_s = json_object_get(fh_settings(w), "kept_s");
    return (kept_s ? json_integer_value(kept_s) : KEPT_DAYS * DAY_S) * 1000;
}

static void reply_cart(fh_work *w, json_t *quantities)
{
    json_t *items = json_array();
    const char *product;
    json_t *quantity;
    json_object_foreach (quantities, product, quantity)
        json_array_append_new(items, fh_object(w, "product_id", product, "quantity", quantity));
    fh_reply(w, 200, fh_object(w, "user_id", user_id(w), "items", items));
}

static void get_cart(fh_work *w)
{
    reply_cart(w, fh_kv_fields(w, own_cart(w)));
}

static void put_item(fh_work *w)
{
    const char *cart = own_cart(w);
    fh_kv_field_set(w, cart, product_id(w), json_object_get(fh_body(w), "quantity"));
    json_t *quantities = fh_kv_fields(w, cart);
    if (json_object_size(quantities) > ITEMS_MAX)
        fh_fail(w, 409, "A cart holds at most %d different products.", ITEMS_MAX);
    fh_kv_expire_at(w, cart, fh_now_ms(w) + kept_ms(w));
    reply_cart(w, quantities);
}

static void delete_item(fh_work *w)
{
    if (!fh_kv_field_delete(w, own_cart(w), product_id(w)))
        fh_fail(w, 404, "There is no product %s in this cart.", product_id(w));
}

/* What was ordered goes; of what there is more of by now, the rest stays. */
static void remove_ordered(fh_work *w)
{
    const char *cart = cart_of(w);
    size_t i;
    json_t *item;
    json_array_foreach (json_object_get(fh_body(w), "items"), i, item) {
        const char *product = json_string_value(json_object_get(item, "product_id"));
        json_int_t ordered = json_integer_value(json_object_get(item, "quantity"));
        json_int_t there = json_integer_value(fh_kv_field(w, cart, product));
        if (there > ordered)
            fh_kv_field_set(w, cart, product, json_integer(there - ordered));
        else
            fh_kv_field_delete(w, cart, product);
    }
}

/* Whoever asks may say behind which order of this cart: to be told what is there now, as anybody
 * is, and not what was answered before that order (see check_out of the orders). */
static const fh_field behind_shape[] = {{"behind", FH_INT, .max = -1, .optional = true}, {0}};

static const fh_field quantity_shape[] = {{"quantity", FH_INT, .min = 1, .max = 1000000000}, {0}};

static const fh_field item_shape[] = {
    {"product_id", FH_STRING, .min = 1, .max = PRODUCT_ID_LENGTH_MAX},
    {"quantity", FH_INT, .min = 1, .max = 1000000000},
    {0}};

static const fh_field items_shape[] = {
    {"items", FH_ARRAY, .of = item_shape, .min = 1, .max = ITEMS_MAX}, {0}};

static const fh_field cart_shape[] = {
    {"user_id", FH_INT, .min = 1}, {"items", FH_ARRAY, .of = item_shape, .max = ITEMS_MAX}, {0}};

static const fh_field settings[] = {
    {"kept_s", FH_INT, .min = 1, .max = 10 * 365 * DAY_S, .optional = true}, {0}};

FH_SERVICE(
    carts, .model = FH_KEY_VALUE, .settings = settings,
    .routes = {{"GET", "/api/carts/{user_id:int}", get_cart, .query = behind_shape,
                .answer = {200, cart_shape}, .auth = FH_USER, .name = "get_cart",
                .summary = "What is in a cart"},
               {"PUT", "/api/carts/{user_id:int}/items/{product_id}", put_item,
                .body = quantity_shape, .answer = {200, cart_shape}, .auth = FH_USER,
                .name = "put_item", .summary = "Puts so many of a product into a cart"},
               {"DELETE", "/api/carts/{user_id:int}/items/{product_id}", delete_item,
                .answer = {204}, .auth = FH_USER, .name = "delete_item",
                .summary = "Takes a product out of a cart"},
               {"POST", "/api/carts/{user_id:int}/remove", remove_ordered, .body = items_shape,
                .audience = FH_SERVICES, .answer = {204}, .name = "remove_ordered"}},
    .shapes = {{"Cart", cart_shape}, {"CartItem", item_shape}, {"Quantity", quantity_shape}});
