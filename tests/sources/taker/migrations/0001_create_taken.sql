-- SPDX-License-Identifier: Apache-2.0
-- Nothing is unique but the id: what is applied twice shall be seen twice.
CREATE TABLE taken (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    type TEXT NOT NULL,
    key TEXT NOT NULL,
    partition BIGINT,
    number BIGINT
);
