-- SPDX-License-Identifier: Apache-2.0
-- Nothing is unique in what was heard but the id: what is applied twice shall be seen twice.
CREATE TABLE heard (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    how TEXT NOT NULL,
    series TEXT NOT NULL,
    number BIGINT NOT NULL,
    tag TEXT NOT NULL
);
CREATE TABLE held (series TEXT PRIMARY KEY, number BIGINT NOT NULL);
