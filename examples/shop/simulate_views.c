/* SPDX-License-Identifier: Apache-2.0 */
/* What `views` and `reports` show, by their routes, is at the end what the owners have, put
 * together here once more from their stores. Where the products were put back as they were, their
 * names and categories are left out. */

#include "simulate.h"

#include <string.h>

#define LISTED_MAX 100 /* the longest page */

/* The member of the row whose `key` is `value`; NULL: there is no such row. */
static json_t *found_in(json_t *rows, const char *key, json_t *value, const char *member)
{
    size_t i;
    json_t *row;
    json_array_foreach (rows, i, row) {
        if (json_equal(json_object_get(row, key), value))
            return json_object_get(row, member);
    }
    return NULL;
}

/* New reference: a copy of what was found, or null. */
static json_t *shown(json_t *value)
{
    return value ? json_incref(value) : json_null();
}

/* ---- Views ---- */

/* Each owner's rows. */
struct owned {
    json_t *orders, *items, *users, *products, *payments, *shipments;
};

static void read_owners(fh_client *client, struct owned *owned)
{
    owned->orders = fh_client_rows(client, "orders",
                                   "SELECT id, user_id, status, total, created_at FROM orders"
                                   " ORDER BY id DESC");
    owned->items = fh_client_rows(client, "orders",
                                  "SELECT order_id, product_id, quantity, price FROM order_items"
                                  " ORDER BY order_id, line");
    owned->users = fh_client_rows(client, "users", "SELECT id, name FROM users");
    owned->products =
        fh_client_rows(client, "products",
                       "SELECT id, body->>'$.name' AS name, body->>'$.category' AS category"
                       " FROM doc_products");
    owned->payments =
        fh_client_rows(client, "payments",
                       "SELECT body->>'$.order_id' AS order_id, body->>'$.status' AS status"
                       " FROM doc_payments");
    owned->shipments = fh_client_rows(client, "shipping", "SELECT order_id, status FROM shipments");
}

static void forget_owners(struct owned *owned)
{
    json_decref(owned->orders);
    json_decref(owned->items);
    json_decref(owned->users);
    json_decref(owned->products);
    json_decref(owned->payments);
    json_decref(owned->shipments);
}

static json_t *items_of(const struct owned *owned, json_t *order, bool named)
{
    json_t *items = json_array(), *row;
    size_t i;
    json_array_foreach (owned->items, i, row) {
        if (!json_equal(json_object_get(row, "order_id"), order))
            continue;
        json_t *item = json_copy(row), *product = json_object_get(row, "product_id");
        json_object_del(item, "order_id");
        if (named)
            json_object_set_new(item, "product_name",
                                shown(found_in(owned->products, "id", product, "name")));
        json_array_append_new(items, item);
    }
    return items;
}

/* The newest orders, of one user or (0) of all, with all that belongs to them. */
static json_t *list_of(const struct owned *owned, json_int_t user, bool named)
{
    json_t *list = json_array(), *row;
    size_t i;
    json_array_foreach (owned->orders, i, row) {
        if ((user && integer_of(row, "user_id") != user) || json_array_size(list) == LISTED_MAX)
            continue;
        json_t *order = json_copy(row), *id = json_object_get(row, "id");
        json_t *owner = json_object_get(row, "user_id");
        json_object_set_new(order, "user_name", shown(found_in(owned->users, "id", owner, "name")));
        json_object_set_new(order, "payment",
                            shown(found_in(owned->payments, "order_id", id, "status")));
        json_object_set_new(order, "shipment",
                            shown(found_in(owned->shipments, "order_id", id, "status")));
        json_object_set_new(order, "items", items_of(owned, id, named));
        json_array_append_new(list, order);
    }
    return list;
}

static void leave_names_out(json_t *list)
{
    size_t i, j;
    json_t *order, *item;
    json_array_foreach (list, i, order)
        json_array_foreach (json_object_get(order, "items"), j, item)
            json_object_del(item, "product_name");
}

static void check_list(fh_client *client, const struct owned *owned, json_int_t user)
{
    char path[64] = "/api/views/orders?limit=100", subject[SUBJECT_SIZE];
    struct fh_ask ask = {"views", "GET", path, .user = STAFF, .grants = FH_ROLE("staff")};
    if (user) {
        ask.user = subject_of(user, subject), ask.grants = NULL;
        snprintf(path, sizeof path, "/api/users/%s/orders?limit=100", subject);
    }
    json_t *list, *right = list_of(owned, user, !fh_client_loses(client, "products"));
    int status = fh_client_insist(client, &ask, &list);
    if (fh_client_loses(client, "products"))
        leave_names_out(list);
    size_t i, count = json_array_size(right);
    for (i = 0; i < count && json_equal(json_array_get(list, i), json_array_get(right, i)); i++)
        continue;
    fh_client_expect(client, status == 200 && i == count && json_array_size(list) == count,
                     "%s was answered %d, with %zu orders instead of %zu; order"
                     " %" JSON_INTEGER_FORMAT " is not what its owners have of it",
                     path, status, json_array_size(list), count,
                     integer_of(json_array_get(right, i), "id"));
    json_decref(list);
    json_decref(right);
}

/* ---- Reports ---- */

static void check_report(fh_client *client, const char *name, json_t *right)
{
    char path[64];
    json_t *rows;
    snprintf(path, sizeof path, "/api/reports/%s", name);
    struct fh_ask ask = {"reports", "GET", path, .user = STAFF, .grants = FH_ROLE("staff")};
    int status = fh_client_insist(client, &ask, &rows);
    size_t i, count = json_array_size(right);
    for (i = 0; i < count && json_equal(json_array_get(rows, i), json_array_get(right, i)); i++)
        continue;
    fh_client_expect(client, status == 200 && i == count && json_array_size(rows) == count,
                     "the report %s was answered %d, with %zu rows instead of %zu, the first %zu of"
                     " which are what the orders come to",
                     name, status, json_array_size(rows), count, i);
    json_decref(rows);
    json_decref(right);
}

/* What one item adds to its category. Items come in the order of orders: each order counts once. */
static void add_item(json_t *sums, const char *category, json_t *item)
{
    json_t *sum = json_object_get(sums, category), *order = json_object_get(item, "order_id");
    json_int_t quantity = integer_of(item, "quantity"), price = integer_of(item, "price");
    bool again = sum && json_equal(json_object_get(sum, "last"), order);
    json_t *added = json_pack("{s:I, s:I, s:I, s:O}", "orders", integer_of(sum, "orders") + !again,
                              "quantity", integer_of(sum, "quantity") + quantity, "cents",
                              integer_of(sum, "cents") + quantity * price, "last", order);
    json_object_set_new(sums, category, added);
}

/* A report's rows as an object of them; one of no category is called "". */
static json_t *by_category(json_t *rows)
{
    json_t *sums = json_object(), *row;
    size_t i;
    json_array_foreach (rows, i, row) {
        json_t *sum = json_copy(row);
        json_object_del(sum, "category");
        json_object_set_new(sums, text_of(row, "category"), sum);
    }
    return sums;
}

static void check_categories(fh_client *client, const struct owned *owned)
{
    struct fh_ask ask = {"reports", "GET", "/api/reports/sales_by_category", .user = STAFF,
                         .grants = FH_ROLE("staff")};
    json_t *right = json_object(), *item, *rows, *sum;
    const char *name;
    size_t i;
    json_array_foreach (owned->items, i, item) {
        json_t *order = json_object_get(item, "order_id");
        json_t *status = found_in(owned->orders, "id", order, "status");
        json_t *category =
            found_in(owned->products, "id", json_object_get(item, "product_id"), "category");
        if (strcmp(json_string_value(status), "CONFIRMED") == 0)
            add_item(right, json_is_string(category) ? json_string_value(category) : "", item);
    }
    json_object_foreach (right, name, sum)
        json_object_del(sum, "last");
    int status = fh_client_insist(client, &ask, &rows);
    json_t *told = by_category(rows);
    fh_client_expect(client, status == 200 && json_equal(told, right),
                     "the report sales_by_category was answered %d, and its %zu sums are not those"
                     " of the orders",
                     status, json_object_size(told));
    json_decref(told);
    json_decref(rows);
    json_decref(right);
}

void check_views(fh_client *client)
{
    const struct shop *shop = fh_client_state(client);
    struct owned owned;
    read_owners(client, &owned);
    for (int i = 0; i < USERS; i++)
        check_list(client, &owned, shop->users[i]);
    check_list(client, &owned, 0);
    check_report(client, "sales_by_day",
                 fh_client_rows(client, "orders",
                                "SELECT substr(created_at, 1, 10) AS day, count(*) AS orders,"
                                " sum(total) AS cents FROM orders WHERE status = 'CONFIRMED'"
                                " GROUP BY 1 ORDER BY 1"));
    check_report(client, "outcomes",
                 fh_client_rows(client, "orders",
                                "SELECT status AS outcome,"
                                " substr(reason, 1, instr(reason, ':') - 1) AS refused_by,"
                                " count(*) AS orders, sum(total) AS cents FROM orders"
                                " GROUP BY 1, 2 ORDER BY 1, 2"));
    if (!fh_client_loses(client, "products"))
        check_categories(client, &owned);
    forget_owners(&owned);
}
