-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE devices (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    site TEXT NOT NULL,
    active BOOLEAN NOT NULL
);
CREATE INDEX devices_site ON devices (site, id);
