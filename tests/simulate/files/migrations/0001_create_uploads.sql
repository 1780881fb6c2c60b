-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE upload (id INTEGER PRIMARY KEY, length INTEGER NOT NULL);
