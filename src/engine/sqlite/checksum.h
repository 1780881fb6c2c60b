/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQLITE_CHECKSUM_H
#define ENGINE_SQLITE_CHECKSUM_H

/*
 * Checksums of everything SQLite reads back, as a VFS on top of the world's.
 *
 * A page of the database file ends in 8 reserved bytes: a sum of its other 4,088 bytes and of the
 * page number. A frame of the log carries SQLite's own sum, chained from the previous frame. SQLite
 * checks that only during recovery; this VFS checks it whenever a page is read from the log.
 */

#include <sqlite3.h>

#include "base/error.h"
#include "world/world.h"

#define CHECKSUM_PAGE_SIZE 4096
#define CHECKSUM_SIZE 8 /* reserved at a page's end */

/* ---- sum.c ---- */

/* A change confined to one aligned 8-byte word always changes the sum; any other change goes
 * unnoticed about once in 2^64. */
uint64_t checksum_of_page(const unsigned char page[static CHECKSUM_PAGE_SIZE], uint32_t number);
void checksum_write(unsigned char page[static CHECKSUM_PAGE_SIZE], uint32_t number);
bool checksum_holds(const unsigned char page[static CHECKSUM_PAGE_SIZE], uint32_t number);

/* The log's format: https://www.sqlite.org/fileformat2.html#walformat */
#define LOG_HEAD_SIZE 32
#define LOG_FRAME_HEAD_SIZE 24
#define LOG_FRAME_SIZE (LOG_FRAME_HEAD_SIZE + CHECKSUM_PAGE_SIZE)

struct log_sum {
    uint32_t one, other;
};

uint32_t log_integer(const unsigned char bytes[static 4]);
struct log_sum log_sum_read(const unsigned char bytes[static 8]);
struct log_sum log_sum_add(struct log_sum sum, const unsigned char *bytes, size_t length);
bool log_sum_equal(struct log_sum a, struct log_sum b);
/* The sum of a frame, where `before` is the sum up to it. */
struct log_sum log_sum_of_frame(struct log_sum before, const unsigned char *head,
                                const unsigned char *page);

/* ---- checksum.c ---- */

struct sqlite_checksum; /* the VFS */

/* On top of the VFS named `under` (NULL: the system's). Returns NULL without memory. Must outlive
 * every connection opened through it. */
struct sqlite_checksum *sqlite_checksum_new(const char *under);
void sqlite_checksum_free(struct sqlite_checksum *checksum);
const char *sqlite_checksum_name(const struct sqlite_checksum *checksum);
/* The damage most recently found through this connection, like "page 17 of users/store.db", or
 * NULL. */
const char *sqlite_checksum_damage(sqlite3 *db);

/* Whether a transaction has been committed through this connection since it was watched, whatever
 * COMMIT returned: SQLITE_NOMEM may also mean that memory ran out after it was done. */
void sqlite_commit_watch(sqlite3 *db);
bool sqlite_commit_stands(sqlite3 *db);
/* The last two components of a path: enough to identify a store. */
const char *sqlite_checksum_tail(const char *path);

/* ---- log.c ---- */

/* Call it before the log is recovered. SQLite takes a damaged frame for the end of the log and
 * silently drops every commit after it. FH_UNAVAILABLE, with a message, if frames after the first
 * wrong one show that it was durable. */
enum fh_code sqlite_log_check(struct world *world, const char *database_path,
                              struct fh_error *error);

#endif
