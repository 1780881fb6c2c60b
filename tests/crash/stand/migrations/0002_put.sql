-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE put (id TEXT NOT NULL);
