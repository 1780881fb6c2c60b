-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE block (
    build INTEGER NOT NULL,
    level INTEGER NOT NULL,
    PRIMARY KEY (build, level)
);
-- A block that was taken from below another, or put where none was below it.
CREATE TABLE fall (
    build INTEGER NOT NULL,
    level INTEGER NOT NULL
);
-- Each name once, and how often it was asked for.
CREATE TABLE name (
    name TEXT PRIMARY KEY
);
CREATE TABLE room (
    one INTEGER PRIMARY KEY,
    taken INTEGER NOT NULL
);
INSERT INTO room VALUES (1, 0);
CREATE TABLE suite (
    room INTEGER NOT NULL REFERENCES room DEFERRABLE INITIALLY DEFERRED
);
-- Of crowns, each part as often as it was put on; and which may have their third one.
CREATE TABLE part (
    crown INTEGER NOT NULL,
    part INTEGER NOT NULL
);
CREATE TABLE oil (
    crown INTEGER PRIMARY KEY
);
