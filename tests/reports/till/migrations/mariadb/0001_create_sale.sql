-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE sale (day VARCHAR(40) NOT NULL, customer TEXT NOT NULL, cents BIGINT NOT NULL);
CREATE INDEX sale_by_day ON sale (day);
