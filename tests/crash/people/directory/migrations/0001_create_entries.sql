-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE entries (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    changes BIGINT NOT NULL,
    applied BIGINT NOT NULL,
    out_of_order BIGINT NOT NULL
);
