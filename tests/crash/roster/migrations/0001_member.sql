-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE member (id INTEGER PRIMARY KEY, name TEXT NOT NULL, note TEXT NOT NULL);
