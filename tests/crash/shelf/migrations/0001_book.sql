-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE book (id INTEGER PRIMARY KEY, title TEXT NOT NULL);
