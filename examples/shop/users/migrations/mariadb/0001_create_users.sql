-- SPDX-License-Identifier: Apache-2.0
-- Who buys. An id is never given out again, even when its user is gone: orders still name it.
CREATE TABLE users (
    id BIGINT PRIMARY KEY AUTO_INCREMENT,
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    address TEXT NOT NULL,
    order_count BIGINT NOT NULL DEFAULT 0
);
