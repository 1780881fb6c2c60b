/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DERIVED_RANK_H
#define STORE_DERIVED_RANK_H

struct sqlite3;
struct fts5_api;

/* What FTS5 lets its extensions do; NULL: it does not. */
struct fts5_api *derived_fts5_api(struct sqlite3 *db);

/* Gives a connection the function that orders what a search finds: each one's, before it is asked.
 * SQLite's code. */
int derived_rank_register(struct sqlite3 *db);

#endif
