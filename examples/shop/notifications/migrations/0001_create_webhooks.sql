-- SPDX-License-Identifier: Apache-2.0
-- Who wants to be told of what, and what they were told. An id is never given out again: deliveries
-- outlive their webhook.
CREATE TABLE webhooks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    url TEXT NOT NULL,
    type TEXT NOT NULL,
    active BOOLEAN NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (type, url)
);

-- One row for each event that one webhook is told.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook_id INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at TEXT NOT NULL,
    ended_at TEXT,
    UNIQUE (webhook_id, event_id)
);
