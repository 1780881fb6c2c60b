-- SPDX-License-Identifier: Apache-2.0
-- The order that each user's cart was made into last, and whether what it ordered may still be in the cart.
CREATE TABLE cart_orders (
    user_id BIGINT PRIMARY KEY,
    order_id BIGINT NOT NULL,
    under_way BOOLEAN NOT NULL
);
