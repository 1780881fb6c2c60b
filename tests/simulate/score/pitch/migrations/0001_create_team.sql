-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE team (id TEXT PRIMARY KEY, n INTEGER NOT NULL);
