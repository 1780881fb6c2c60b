-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE copy (id INTEGER PRIMARY KEY, words TEXT NOT NULL);
