/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DERIVED_FTS5_H
#define STORE_DERIVED_FTS5_H

/*
 * Functions of our own that FTS5 calls with a match, as it does bm25() and snippet(). A connection
 * has them once they are registered: those that read a store, and those of words.c.
 *
 *     fh_rank(table, sizes, unfinished, weight, ...)    rank.c
 *     fh_excerpt(table, column)                         excerpt.c
 */

#include <sqlite3.h>

/* What FTS5 lets its extensions do; NULL: there is no FTS5. *ret: SQLite's code. */
fts5_api *derived_fts5_api(sqlite3 *db, int *ret);

/* SQLite's code. Where there is no FTS5 nothing is done: what is searched can't be created. */
int derived_fts5_register(sqlite3 *db);

void derived_rank_match(const Fts5ExtensionApi *api, Fts5Context *fts, sqlite3_context *context,
                        int count, sqlite3_value **values);
void derived_excerpt_match(const Fts5ExtensionApi *api, Fts5Context *fts, sqlite3_context *context,
                           int count, sqlite3_value **values);

#endif
