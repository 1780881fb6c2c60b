/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_REDIS_LEDGER_H
#define STORE_REDIS_LEDGER_H

/* The ledger's functions on Redis, as records: redis_ledger.c says which. */

#include "base/arena.h"
#include "store/keyvalue/redis.h"

#define LEDGER_SLOT(name) __typeof__(ledger_##name) redis_ledger_##name;
LEDGER_FUNCTIONS(LEDGER_SLOT)
#undef LEDGER_SLOT
extern const struct ledger_snapshot_ops redis_snapshots;

#define REDIS_NUMBER "%019" PRId64

const char *redis_copy(struct arena *arena, const char *text); /* NULL stays NULL */
/* Visits the records of a range; visit's false ends. */
enum fh_code redis_each(struct store_work *work, const char *table, const struct redis_range *range,
                        bool (*visit)(void *context, const json_t *record), void *context,
                        struct fh_error *error);

/* A saga's number stands in its record's id. */
int64_t redis_saga_number(const json_t *record);
/* The sagas that have not ended, in the order of their ids, as an array on the heap; `birth` NULL:
 * of all. NULL when it fails. */
enum fh_code redis_sagas_open(struct store_work *work, const char *birth, json_t **ret,
                              struct fh_error *error);
/* Whether the array of numbers has it. */
bool redis_names(const json_t *numbers, int64_t number);

#endif
