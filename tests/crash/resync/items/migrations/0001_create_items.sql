-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE items (id INTEGER PRIMARY KEY, changes INTEGER NOT NULL);
