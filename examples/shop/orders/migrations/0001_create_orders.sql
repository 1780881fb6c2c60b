-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id BIGINT NOT NULL,
    status TEXT NOT NULL,
    total BIGINT NOT NULL,
    payment_id TEXT,
    reason TEXT,
    created_at TEXT NOT NULL
);
CREATE INDEX orders_by_user ON orders (user_id, id);

CREATE TABLE order_items (
    order_id BIGINT NOT NULL REFERENCES orders (id),
    line BIGINT NOT NULL,
    product_id TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    price BIGINT NOT NULL,
    PRIMARY KEY (order_id, line)
);

-- What orders keeps of others' data: the names to show. One row for each user and product, however
-- many orders name them, written with the first order and by every event that changes a name.
CREATE TABLE user_names (
    user_id BIGINT PRIMARY KEY,
    user_name TEXT NOT NULL
);
CREATE TABLE product_names (
    product_id TEXT PRIMARY KEY,
    product_name TEXT NOT NULL
);
