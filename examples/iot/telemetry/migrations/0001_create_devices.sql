-- SPDX-License-Identifier: Apache-2.0
-- What was heard of the devices; their points are in the series.
CREATE TABLE devices (
    id TEXT PRIMARY KEY,
    site TEXT NOT NULL,
    active BOOLEAN NOT NULL
);
