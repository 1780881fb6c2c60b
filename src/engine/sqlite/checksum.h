/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQLITE_CHECKSUM_H
#define ENGINE_SQLITE_CHECKSUM_H

/*
 * Checksums of what SQLite reads back: a VFS of the store's own over the world's.
 *
 * A page of the database file ends in 8 reserved bytes: a sum of the other 4,088 and of the page's
 * number. A frame of the log carries SQLite's own sum, chained from the frame before, which SQLite
 * looks at only when it recovers; here it is looked at whenever a page is read from the log.
 */

#include <sqlite3.h>

#include "base/error.h"
#include "world/world.h"

#define CHECKSUM_PAGE_SIZE 4096
#define CHECKSUM_SIZE 8 /* reserved at a page's end */

/* ---- sum.c ---- */

/* Any change within one aligned word of 8 bytes gives another sum, for certain; any other does but
 * once in about 2^64. */
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
/* What a frame's sum is when `before` was the sum of what precedes it. */
struct log_sum log_sum_of_frame(struct log_sum before, const unsigned char *head,
                                const unsigned char *page);

/* ---- checksum.c ---- */

struct sqlite_checksum; /* the VFS */

/* Over the VFS of that name (NULL: the system's). NULL: no memory. Lives longer than any
 * connection that was opened through it. */
struct sqlite_checksum *sqlite_checksum_new(const char *under);
void sqlite_checksum_free(struct sqlite_checksum *checksum);
const char *sqlite_checksum_name(const struct sqlite_checksum *checksum);
/* What the connection has found damaged last, "page 17 of users/store.db", or NULL. */
const char *sqlite_checksum_damage(sqlite3 *db);
/* The last two parts of a path: enough to know a store by. */
const char *sqlite_checksum_tail(const char *path);

/* ---- log.c ---- */

/* Before the log is recovered: SQLite would take a damaged frame for the log's end, and all that
 * was committed behind it would be gone in silence. FH_UNAVAILABLE with a sentence when frames
 * behind the first wrong one show that it had been durable. */
enum fh_code sqlite_log_check(struct world *world, const char *database_path,
                              struct fh_error *error);

#endif
