-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE people (
    id BIGINT PRIMARY KEY,
    given TEXT NOT NULL,
    family TEXT NOT NULL,
    changes BIGINT NOT NULL
);
