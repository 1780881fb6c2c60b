/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_COPY_KEYVALUE_H
#define STORE_COPY_KEYVALUE_H

/*
 * Copies a whole store of keys and values into another one, of any engines: the service's keys with
 * everything they hold and the times at which they expire, and the ledger's outbox, inbox, command
 * records and sagas. Both are prepared; what an earlier attempt left in the target is replaced.
 * Then each key is read on both sides and compared, and so is the ledger.
 */

#include "store/keyvalue/keyvalue.h"
#include "store/copy/ledger.h"

/* Keys that expire during the copy may be missing. FH_UNSUPPORTED: an engine can't be copied, or
 * can't list its store's keys. FH_CONFLICT, not retryable: a key or a table differs; says which. */
enum fh_code keyvalue_copy(const struct copy_options *options, struct copy_result *ret,
                           struct fh_error *error);
/* Whether the store has any key. */
enum fh_code keyvalue_any(struct store *store, bool *ret, struct fh_error *error);

/* ---- For engines ---- */

#define COPIED_NAMES_MAX 1000 /* in one slice */
#define COPIED_KEY_PARTS_MAX 500

struct copied_key {
    const char *name;
    enum keyvalue_kind kind;
    int64_t ends_ms; /* 0: never */
};
/* A value has one part, without a name; a hash has its fields, a sorted set its members. */
struct copied_part {
    const char *name;
    const char *text; /* JSON, of a value or a field */
    int64_t score;
};
/* What they are shown is borrowed until they return. */
typedef enum fh_code copied_names(void *context, const char *const *names, int count,
                                  struct fh_error *error);
typedef enum fh_code copied_parts(void *context, const struct copied_key *key,
                                  const struct copied_part *parts, int count,
                                  struct fh_error *error);

struct copied_keys_ops {
    /* The names of all keys that exist at now_ms, each at least once; and perhaps of some that do
     * not. */
    enum fh_code (*names)(struct store *store, int64_t now_ms, copied_names *visit, void *context,
                          struct fh_error *error);
    /* About how many there are: some may have expired. */
    enum fh_code (*count)(struct store *store, int64_t *ret, struct fh_error *error);
    /* A key's parts, in slices. FH_NOT_FOUND: it does not exist, or no longer does. */
    enum fh_code (*read)(struct store *store, const char *name, int64_t now_ms, copied_parts *visit,
                         void *context, struct fh_error *error);
    /* Removes all keys. */
    enum fh_code (*empty)(struct store *store, struct fh_error *error);
};
extern const struct copied_keys_ops copied_keys_sql;

#endif
