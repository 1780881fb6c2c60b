-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE taken (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type TEXT NOT NULL,
    key TEXT NOT NULL,
    partition BIGINT,
    number BIGINT
);
