-- SPDX-License-Identifier: Apache-2.0
-- What each user has bought, as the orders tell it.
CREATE TABLE order_history (
    order_id BIGINT PRIMARY KEY,
    user_id BIGINT NOT NULL,
    total BIGINT NOT NULL,
    created_at VARCHAR(30) NOT NULL
);
CREATE INDEX order_history_by_user ON order_history (user_id, order_id);
