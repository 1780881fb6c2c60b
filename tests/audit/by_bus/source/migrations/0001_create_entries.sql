-- SPDX-License-Identifier: Apache-2.0
-- Nothing is unique but the id: what is done twice shall be seen twice.
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    series TEXT NOT NULL,
    number BIGINT NOT NULL,
    tag TEXT NOT NULL
);
CREATE INDEX entries_of_series ON entries (series, number);
