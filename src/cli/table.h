/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

/*
 * A table on standard output. Its columns are as wide as what stands in them, so no name is cut and
 * none pushes others aside. The last column may be sentences, which are wrapped; where even the
 * others don't fit into the terminal, each row goes on in a second line, indented.
 */

#include <stddef.h>

#define TABLE_COLUMNS_MAX 256

struct cli_table {
    const char *heads[TABLE_COLUMNS_MAX]; /* ">SINCE": numbers, at the right of their column */
    int columns;
    char **cells; /* row by row */
    size_t count, room;
};

/* `heads` ends with NULL, and is borrowed. */
void table_begin(struct cli_table *table, const char *const *heads);
/* The next cell, from left to right, row by row. */
void table_cell(struct cli_table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Prints the whole table, and releases it. */
void table_end(struct cli_table *table);

#endif
