/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_REDIS_COPY_H
#define ENGINE_REDIS_COPY_H

/* Shared by copy.c (the ledger), copy_keys.c and copy_ask.c. */

#include "engine/redis/internal.h"
#include "store/copy/ledger.h"

/* Begins a run of copying into the store: from here on no unit of work of another run takes effect,
 * and none of this process does once another run has begun. */
enum fh_code redis_copy_begin(struct store *store, struct fh_error *error);
/* For the commit of any unit of work: the check that makes it fail in that case. */
void redis_copy_check(struct redis_work *own);
/* Commits if `code` is FH_OK, else rolls back. */
enum fh_code redis_copy_commit(struct store_work *work, enum fh_code code, struct fh_error *error);
/* A hash's fields and values, in slices as the server returns them: field, value, field, value.
 * Pairs that change during the scan may be seen or not, and pairs may come twice. */
typedef enum fh_code redis_copy_pairs(void *context, const redisReply *pairs,
                                      struct fh_error *error);
enum fh_code redis_copy_scan(struct store *store, const char *key, redis_copy_pairs *visit,
                             void *context, struct fh_error *error);
/* The size of one of Freehold's keys, by its command: HLEN, XLEN, ZCARD. */
enum fh_code redis_copy_count(struct store *store, const char *command, const char *name,
                              int64_t *ret, struct fh_error *error);
static inline const char *redis_copy_table(const struct copied_ledger *ledger)
{
    return ledger->collection + sizeof "fh_" - 1;
}

#endif
