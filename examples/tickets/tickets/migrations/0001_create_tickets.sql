-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE tickets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    subject TEXT NOT NULL,
    text TEXT NOT NULL,
    status TEXT NOT NULL,
    escalated BIGINT NOT NULL,
    longitude BIGINT,
    latitude BIGINT,
    opened_at TEXT NOT NULL,
    opened_ms BIGINT NOT NULL
);
CREATE INDEX tickets_by_owner ON tickets (owner, id);
CREATE INDEX tickets_by_age ON tickets (status, escalated, opened_ms);

CREATE TABLE comments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ticket_id BIGINT NOT NULL REFERENCES tickets (id),
    author TEXT NOT NULL,
    text TEXT NOT NULL,
    written_at TEXT NOT NULL
);
CREATE INDEX comments_by_ticket ON comments (ticket_id, id);
