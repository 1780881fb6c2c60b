/* SPDX-License-Identifier: Apache-2.0 */
/* The inventory alone: what it does before it has heard what the products say already. */

#include <freehold/test.h>

#define STOCK "PUT /api/products/mug/stock"

static json_t *mug(fh_test *t)
{
    return fh_object(t, "id", "mug", "name", "Mug", "price", 1200, "category", "kitchen", "stock",
                     0);
}

FH_TEST_OF(inventory, a_stock_is_set_again_once_the_new_product_is_heard_of)
{
    fh_test_login(t, "1", FH_ROLE("staff"), NULL);
    fh_test_stub(t, "products", "GET /api/products/mug", 200, mug(t));
    fh_test_publish(t, "products", "ProductDeleted", fh_object(t, "id", "mug"));
    fh_test_rest(t);
    fh_test_request(t, 409, "inventory", STOCK, fh_object(t, "quantity", 5));
    fh_test_publish(t, "products", "ProductCreated", mug(t));
    fh_test_rest(t);
    fh_test_request(t, 200, "inventory", STOCK, fh_object(t, "quantity", 5));
    json_t *stock = fh_test_request(t, 200, "inventory", "GET /api/products/mug/stock", NULL);
    fh_test_expect_json(t, stock, fh_object(t, "quantity", 5));
}
