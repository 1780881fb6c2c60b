-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE copies (id INTEGER PRIMARY KEY, changes INTEGER NOT NULL);
