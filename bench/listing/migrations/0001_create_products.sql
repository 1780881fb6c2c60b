-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE products (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    price BIGINT NOT NULL,
    category TEXT NOT NULL
);
