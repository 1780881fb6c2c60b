-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE build (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    status TEXT NOT NULL
);
-- How many blocks each build has by what was heard: an event that is applied twice, or not, shows.
CREATE TABLE heard (
    build INTEGER PRIMARY KEY,
    blocks INTEGER NOT NULL,
    events INTEGER NOT NULL
);
-- Builds whose events can't be heard, until the curse is lifted.
CREATE TABLE curse (
    build INTEGER PRIMARY KEY,
    lifted INTEGER NOT NULL DEFAULT 0
);
-- Events that were applied out of their order.
CREATE TABLE disorder (
    build INTEGER NOT NULL,
    level INTEGER NOT NULL
);
CREATE TABLE crown (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    status TEXT NOT NULL
);
-- What operators have written into events: which of their words was heard with which event.
CREATE TABLE blessing (
    position INTEGER PRIMARY KEY,
    word INTEGER NOT NULL
);
