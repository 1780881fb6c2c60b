-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE products (
    id TEXT PRIMARY KEY,
    price BIGINT NOT NULL
);

INSERT INTO products (id, price) VALUES ('p-1', 2999);

CREATE TABLE order_lines (
    order_id BIGINT NOT NULL REFERENCES orders (id),
    product_id TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    price BIGINT NOT NULL,
    PRIMARY KEY (order_id, product_id)
);
