-- SPDX-License-Identifier: Apache-2.0
-- What was heard of each order: what reports/*.sql are made of.
CREATE TABLE orders (
    id BIGINT PRIMARY KEY,
    day TEXT NOT NULL,
    outcome TEXT NOT NULL,
    refused_by TEXT,
    total BIGINT NOT NULL
);
CREATE INDEX orders_by_day ON orders (day);

CREATE TABLE order_items (
    order_id BIGINT NOT NULL,
    line BIGINT NOT NULL,
    product_id TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    price BIGINT NOT NULL,
    PRIMARY KEY (order_id, line)
);

CREATE TABLE products (
    id TEXT PRIMARY KEY,
    category TEXT
);
