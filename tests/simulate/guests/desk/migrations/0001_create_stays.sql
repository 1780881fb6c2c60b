-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE stay (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    guest TEXT NOT NULL,
    status TEXT NOT NULL,
    ended_for TEXT
);
CREATE TABLE price (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    set_by TEXT NOT NULL,
    amount REAL NOT NULL
);
