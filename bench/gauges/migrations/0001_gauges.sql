-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE gauge (id TEXT PRIMARY KEY);
