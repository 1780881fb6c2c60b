-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE books (
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    shelf TEXT NOT NULL,
    year INTEGER NOT NULL
);
