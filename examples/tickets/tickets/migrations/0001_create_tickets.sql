-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE tickets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    subject TEXT NOT NULL,
    text TEXT NOT NULL,
    place JSON,
    status TEXT NOT NULL,
    escalated BOOLEAN NOT NULL,
    timer TEXT,
    opened_at TEXT NOT NULL
);
CREATE INDEX tickets_by_owner ON tickets (owner, id);
CREATE INDEX tickets_by_status ON tickets (status);

CREATE TABLE comments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ticket_id BIGINT NOT NULL REFERENCES tickets (id),
    author TEXT NOT NULL,
    text TEXT NOT NULL,
    written_at TEXT NOT NULL
);
CREATE INDEX comments_by_ticket ON comments (ticket_id, id);
