-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE deal (token TEXT PRIMARY KEY, status TEXT NOT NULL);
