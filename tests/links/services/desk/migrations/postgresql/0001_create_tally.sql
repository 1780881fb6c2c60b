-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE tally (number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name TEXT NOT NULL, what TEXT NOT NULL);
CREATE INDEX tally_name ON tally (name, what);
