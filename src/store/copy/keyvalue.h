/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_COPY_KEYVALUE_H
#define STORE_COPY_KEYVALUE_H

/*
 * A whole store of keys and values copied into another one, of whichever engines: the service's
 * keys with all they hold and the times at which they end, and the ledger's outbox, inbox, command
 * records and sagas. Both are prepared; what an earlier attempt has left in the target is replaced.
 * Afterwards each key was read on both sides and compared, and so was the ledger.
 */

#include "store/keyvalue/keyvalue.h"
#include "store/copy/ledger.h"

/* Keys that end meanwhile need not be there. FH_UNSUPPORTED: an engine can't be copied, or can't
 * say which keys its store has. FH_CONFLICT, not retryable: a key or a table is not the same on
 * both sides; says which. */
enum fh_code keyvalue_copy(const struct copy_options *options, struct copy_result *ret,
                           struct fh_error *error);
/* Whether any key is there. */
enum fh_code keyvalue_any(struct store *store, bool *ret, struct fh_error *error);

/* ---- For engines ------------------------------------------------------------------------------
 */

#define COPIED_NAMES_MAX 1000 /* in a slice */
#define COPIED_KEY_PARTS_MAX 500

struct copied_key {
    const char *name;
    enum keyvalue_kind kind;
    int64_t ends_ms; /* 0: never */
};
/* A value has one, without a name; a hash its fields, a sorted set its members. */
struct copied_part {
    const char *name;
    const char *text; /* JSON, of a value or a field */
    int64_t score;
};
/* Borrowed until they return. */
typedef enum fh_code copied_names(void *context, const char *const *names, int count,
                                  struct fh_error *error);
typedef enum fh_code copied_parts(void *context, const struct copied_key *key,
                                  const struct copied_part *parts, int count,
                                  struct fh_error *error);

struct copied_keys_ops {
    /* Of every key that is there at now_ms, each at least once; and maybe of some that are not. */
    enum fh_code (*names)(struct store *store, int64_t now_ms, copied_names *visit, void *context,
                          struct fh_error *error);
    /* About how many there are: some may have ended. */
    enum fh_code (*count)(struct store *store, int64_t *ret, struct fh_error *error);
    /* A key's parts, in slices. FH_NOT_FOUND: it is not there, or not any more. */
    enum fh_code (*read)(struct store *store, const char *name, int64_t now_ms, copied_parts *visit,
                         void *context, struct fh_error *error);
    /* All keys go. */
    enum fh_code (*empty)(struct store *store, struct fh_error *error);
};
extern const struct copied_keys_ops copied_keys_sql;

#endif
