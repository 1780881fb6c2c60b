-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE tally (number BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(64) NOT NULL, what VARCHAR(64) NOT NULL);
CREATE INDEX tally_name ON tally (name, what);
