-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE order_copies (
    id BIGINT PRIMARY KEY,
    user_id BIGINT NOT NULL,
    product_id TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    total BIGINT NOT NULL
);
