/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SEARCHED_H
#define TESTS_SEARCHED_H

/* A table of FTS5 in memory, on a connection that has our functions, and numbers from a seed, for
 * what is put into it. Header only. */

#include <sqlite3.h>
#include <stdint.h>

#include "store/derived/fts5.h"

static uint64_t searched_seed; /* not 0 */

static inline unsigned searched_draw(unsigned below)
{
    searched_seed ^= searched_seed << 13; /* xorshift */
    searched_seed ^= searched_seed >> 7;
    searched_seed ^= searched_seed << 17;
    return (unsigned)(searched_seed % below);
}

static inline void searched_run(sqlite3 *db, const char *sql)
{
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* rows(one, other), and nothing in it. */
static inline sqlite3 *searched_open(void)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(derived_fts5_register(db), SQLITE_OK);
    searched_run(db, "CREATE VIRTUAL TABLE rows USING fts5(one, other)");
    return db;
}

#endif
