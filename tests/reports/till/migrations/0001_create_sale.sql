-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE sale (day TEXT NOT NULL, customer TEXT NOT NULL, cents BIGINT NOT NULL);
CREATE INDEX sale_by_day ON sale (day);
