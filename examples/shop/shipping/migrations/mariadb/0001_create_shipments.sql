-- SPDX-License-Identifier: Apache-2.0
-- What was sent, of which order and where to.
CREATE TABLE shipments (
    id BIGINT PRIMARY KEY AUTO_INCREMENT,
    order_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    address TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at TEXT NOT NULL
);
CREATE INDEX shipments_by_order ON shipments (order_id, id);
