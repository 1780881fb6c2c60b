-- SPDX-License-Identifier: Apache-2.0
-- What was heard of each publisher's own, as it was told: what belongs together is joined when it is shown, so events
-- may come in any order.
CREATE TABLE orders (
    id BIGINT PRIMARY KEY,
    user_id BIGINT NOT NULL,
    status TEXT NOT NULL,
    total BIGINT NOT NULL,
    created_at TEXT NOT NULL
);
CREATE INDEX orders_by_user ON orders (user_id, id);

CREATE TABLE order_items (
    order_id BIGINT NOT NULL,
    line BIGINT NOT NULL,
    product_id TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    price BIGINT NOT NULL,
    PRIMARY KEY (order_id, line)
);

CREATE TABLE users (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL
);
CREATE TABLE products (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL
);
CREATE TABLE payments (
    order_id BIGINT PRIMARY KEY,
    status TEXT NOT NULL
);
CREATE TABLE shipments (
    order_id BIGINT PRIMARY KEY,
    status TEXT NOT NULL
);
