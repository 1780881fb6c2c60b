-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE taken (token TEXT NOT NULL, what TEXT NOT NULL, times INTEGER NOT NULL, undone INTEGER NOT NULL,
                    PRIMARY KEY (token, what));
