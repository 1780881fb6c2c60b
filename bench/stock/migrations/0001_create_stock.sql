-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE heard (
    order_id BIGINT PRIMARY KEY,
    quantity BIGINT NOT NULL
);
CREATE TABLE reservations (
    order_id BIGINT PRIMARY KEY,
    product_id TEXT NOT NULL,
    quantity BIGINT NOT NULL
);
CREATE TABLE charges (
    order_id BIGINT PRIMARY KEY,
    total BIGINT NOT NULL
);
