-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE team (id TEXT PRIMARY KEY, n BIGINT NOT NULL, most BIGINT NOT NULL);
