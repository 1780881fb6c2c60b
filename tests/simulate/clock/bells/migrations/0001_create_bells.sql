-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE bell (
    name TEXT PRIMARY KEY,
    timer TEXT NOT NULL,
    due_ms INTEGER NOT NULL,
    cancelled INTEGER NOT NULL DEFAULT 0
);
-- One row each time that a handler's work was committed.
CREATE TABLE ring (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    due_ms INTEGER NOT NULL,
    at_ms INTEGER NOT NULL
);
CREATE TABLE tick (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    schedule TEXT NOT NULL,
    due_ms INTEGER NOT NULL,
    at_ms INTEGER NOT NULL
);
CREATE TABLE curse (
    name TEXT PRIMARY KEY
);
