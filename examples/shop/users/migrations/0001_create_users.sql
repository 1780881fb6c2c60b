-- SPDX-License-Identifier: Apache-2.0
-- Who buys. An id is never given out again, even when its user is gone: orders still name it.
CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    address TEXT NOT NULL,
    order_count INTEGER NOT NULL DEFAULT 0
);
