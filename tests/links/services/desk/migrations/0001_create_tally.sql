-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE tally (number INTEGER PRIMARY KEY, name TEXT NOT NULL, what TEXT NOT NULL);
CREATE INDEX tally_name ON tally (name, what);
