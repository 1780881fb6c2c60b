-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE book (id BIGINT PRIMARY KEY, title TEXT NOT NULL);
