-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE booking (
    stay INTEGER PRIMARY KEY,
    guest TEXT NOT NULL,
    undone_for TEXT
);
CREATE TABLE heard (
    stay INTEGER PRIMARY KEY,
    actor TEXT NOT NULL
);
