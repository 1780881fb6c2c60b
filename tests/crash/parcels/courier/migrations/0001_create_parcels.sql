-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE parcels (id INTEGER PRIMARY KEY, state TEXT NOT NULL);
