-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE secrets (id INTEGER PRIMARY KEY, value TEXT NOT NULL);
