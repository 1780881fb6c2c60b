-- SPDX-License-Identifier: Apache-2.0
-- What was heard of each product: what is shown of it, and its words as they are looked for.
CREATE TABLE products (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    price BIGINT NOT NULL,
    words TEXT NOT NULL
);
