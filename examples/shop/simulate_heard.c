/* SPDX-License-Identifier: Apache-2.0 */
/* What the shop's services keep of one another's data, by hearing or by beginning anew: at the end
 * it is what its owner has. Where the products were put back as they were, things that others have
 * seen of them may be lost. */

#include "simulate.h"

#include <string.h>

/* The products show what the inventory has, and mark what there is little of. A stock may outlive
 * a product that was lost. */
static void check_stock_shown(fh_client *client)
{
    json_t *shown = fh_client_rows(client, "products",
                                   "SELECT id, body->>'$.stock' AS stock,"
                                   " body->>'$.low_stock' IS NOT NULL AS low FROM doc_products"
                                   " ORDER BY id"),
           *product;
    json_t *kept = fh_client_rows(client, "inventory",
                                  "SELECT id, body->>'$.quantity' AS stock,"
                                  " body->>'$.quantity' < 5 AS low FROM doc_stock"
                                  " WHERE body->>'$.quantity' IS NOT NULL ORDER BY id"),
           *stock;
    size_t i, j, agree = 0;
    json_array_foreach (shown, i, product)
        json_array_foreach (kept, j, stock)
            agree += (size_t)json_equal(product, stock);
    fh_client_expect(
        client,
        agree == json_array_size(shown) &&
            (agree == json_array_size(kept) || fh_client_loses(client, "products")),
        "of %zu products %zu show the stock that the inventory has, which knows of %zu",
        json_array_size(shown), agree, json_array_size(kept));
    json_decref(kept);
    json_decref(shown);
}

/* All that is found where no word is looked for, page by page. */
static json_t *all_found(fh_client *client)
{
    json_t *found = json_array(), *answer = NULL, *hit;
    char path[2100] = "/api/search?q=%20&sort=id&limit=100";
    size_t i;
    do {
        struct fh_ask ask = {"search", "GET", path};
        json_decref(answer);
        int status = fh_client_insist(client, &ask, &answer);
        fh_client_expect(client, status == 200, "a search was answered %d", status);
        json_array_foreach (json_object_get(answer, "hits"), i, hit)
            json_array_append_new(found,
                                  json_pack("{s:O, s:O, s:O}", "id", json_object_get(hit, "id"),
                                            "name", json_object_get(hit, "name"), "price",
                                            json_object_get(hit, "price")));
        snprintf(path, sizeof path, "/api/search?q=%%20&sort=id&limit=100&after=%s",
                 text_of(answer, "next"));
    } while (*text_of(answer, "next"));
    json_decref(answer);
    return found;
}

/* What can be found is what there is, under its present name. */
static void check_found(fh_client *client)
{
    json_t *there = fh_client_rows(client, "products",
                                   "SELECT id, body->>'$.name' AS name, body->>'$.price' AS price"
                                   " FROM doc_products ORDER BY id");
    json_t *found =
        fh_client_rows(client, "search", "SELECT id, name, price FROM products ORDER BY id");
    json_t *derived = all_found(client);
    fh_client_expect(client, json_equal(there, found),
                     "what the search has heard is not what the products have");
    fh_client_expect(client, json_equal(derived, found),
                     "what can be found is not what the search has heard");
    json_decref(derived);
    json_decref(found);
    json_decref(there);
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

/* Each confirmed order is in its user's history once, and nothing else is; that of a user who is
 * gone is gone. */
static void check_history(fh_client *client)
{
    json_t *users = fh_client_rows(client, "users", "SELECT id FROM users"), *user;
    json_t *orders = fh_client_rows(client, "orders",
                                    "SELECT id AS order_id, user_id, total, created_at FROM orders"
                                    " WHERE status = 'CONFIRMED' ORDER BY id"),
           *order;
    json_t *kept = fh_client_rows(client, "users",
                                  "SELECT order_id, user_id, total, created_at FROM order_history"
                                  " ORDER BY order_id");
    json_t *bought = json_array();
    size_t i, j;
    json_array_foreach (orders, i, order) {
        json_array_foreach (users, j, user) {
            if (integer_of(user, "id") == integer_of(order, "user_id"))
                json_array_append(bought, order);
        }
    }
    fh_client_expect(client, json_equal(bought, kept),
                     "the users' histories hold %zu orders, not the %zu that were confirmed",
                     json_array_size(kept), json_array_size(bought));
    json_decref(bought);
    json_decref(kept);
    json_decref(orders);
    json_decref(users);
}

void check_heard(fh_client *client)
{
    check_stock_shown(client);
    check_found(client);
    check_history(client);
    check_names(client, "users", "SELECT id, name FROM users",
                "SELECT user_id AS id, user_name AS name FROM user_names");
    if (!fh_client_loses(client, "products"))
        check_names(client, "products", "SELECT id, body->>'$.name' AS name FROM doc_products",
                    "SELECT product_id AS id, product_name AS name FROM product_names");
}
