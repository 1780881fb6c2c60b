-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE item (id TEXT PRIMARY KEY, name TEXT NOT NULL);
