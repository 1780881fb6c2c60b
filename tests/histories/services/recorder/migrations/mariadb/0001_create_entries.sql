-- SPDX-License-Identifier: Apache-2.0
-- Nothing is unique but the id: what is done twice shall be seen twice.
CREATE TABLE entries (
    id BIGINT PRIMARY KEY AUTO_INCREMENT,
    list BIGINT NOT NULL,
    number BIGINT NOT NULL,
    value TEXT NOT NULL
);
CREATE INDEX entries_list ON entries (list, number);
