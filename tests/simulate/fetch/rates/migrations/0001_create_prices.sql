-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE price (id INTEGER PRIMARY KEY, day TEXT NOT NULL, rate INTEGER NOT NULL);
