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
