-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE gate (open INTEGER NOT NULL);
CREATE TABLE marks (number INTEGER PRIMARY KEY, parcel INTEGER NOT NULL, what TEXT NOT NULL);
