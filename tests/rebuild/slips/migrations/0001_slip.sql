-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE slip (id INTEGER PRIMARY KEY, amount INTEGER NOT NULL);
