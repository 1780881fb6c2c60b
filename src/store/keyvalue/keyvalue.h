/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_KEYVALUE_H
#define STORE_KEYVALUE_H

/*
 * The key-value model: keys that hold a value, a hash or a sorted set, each with a time at which
 * it expires. An engine is one `const struct keyvalue_ops`; docs/guide/keyvalue.md says what each
 * operation means to services.
 *
 * It is designed so that an engine without transactions can keep the promise too (Redis: at the
 * commit, one script checks what was read and then writes). Results of reads can be compared again
 * by value: a text, an integer, a list. Writes are plain: put this, remove that. None needs a
 * comparison on the server, and only `add` depends on a value without having read it. An engine
 * may keep writes until the commit, but all reads of the unit of work see them. Such an engine may
 * report a write's FH_CONFLICT about a key's kind at the commit.
 *
 * What holds for all engines:
 *
 * - A hash without fields and a sorted set without members do not exist, nor does their time.
 * - An expired key does not exist, whatever is still stored of it: reads don't find it, and writes
 *   start from nothing. It has expired when the view's `now_ms` has reached its time, or when the
 *   engine says so by a clock of its own.
 * - A call on a key of another kind is FH_CONFLICT, not retryable, with keyvalue_kind_error's
 *   sentence; except `put` and `remove`, which take any kind.
 * - Equal scores are ordered by the members' bytes (memcmp); highest first is the exact reverse.
 *
 * Callers (work/keyvalue.c) have checked what they pass: names by keyvalue_name_check, values by
 * keyvalue_value_text, scores, limits. Geographic places are scores: see geo.h.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

#define KEYVALUE_NAME_LENGTH_MAX 512      /* of a key, a field or a member: bytes */
#define KEYVALUE_VALUE_SIZE_MAX (1 << 20) /* of a value, as JSON text */
#define KEYVALUE_FIELDS_MAX 10000         /* that `fields` returns */
#define KEYVALUE_MEMBERS_MAX 10000        /* that `members` returns */
#define KEYVALUE_SKIP_MAX 10000           /* that `members` skips */
/* Counters, scores: integers that every JSON reader and a double hold exactly. */
#define KEYVALUE_INTEGER_MAX ((INT64_C(1) << 53) - 1)
#define KEYVALUE_SWEEP_ROWS 1000 /* that one call of `sweep` removes */

/* What every call gets: a unit of work, and the time by which keys exist or have expired. It is the
 * same throughout a unit of work: the wall clock when the handler began (fh_now_ms). */
struct keyvalue_view {
    struct store_work *work;
    int64_t now_ms;
};

enum keyvalue_kind { KEYVALUE_NONE, KEYVALUE_VALUE, KEYVALUE_HASH, KEYVALUE_SORTED };

/* Members whose scores are in min..max, both included; the first `skip` of them are skipped. */
struct keyvalue_range {
    int64_t min, max;
    bool highest_first;
    int skip;  /* 0..KEYVALUE_SKIP_MAX */
    int limit; /* 1..KEYVALUE_MEMBERS_MAX */
};

struct keyvalue_ops {
    /* Creates what the model needs and lacks, in a unit of work opened for that. NULL: nothing. */
    enum fh_code (*prepare)(struct store_work *work, struct fh_error *error);

    /* Of any kind. `ret_expires_ms`: 0: never. If the key does not exist: NONE and 0. */
    enum fh_code (*look)(const struct keyvalue_view *view, const char *key,
                         enum keyvalue_kind *ret_kind, int64_t *ret_expires_ms,
                         struct fh_error *error);
    /* FH_NOT_FOUND: no such key. From now on it expires at `at_ms` (0: never); at once if that is
     * not after now_ms. */
    enum fh_code (*expire)(const struct keyvalue_view *view, const char *key, int64_t at_ms,
                           struct fh_error *error);
    /* The whole key, of any kind. */
    enum fh_code (*remove)(const struct keyvalue_view *view, const char *key, bool *ret_existed,
                           struct fh_error *error);

    /* FH_NOT_FOUND: no such key. *ret is a new reference to the value. */
    enum fh_code (*get)(const struct keyvalue_view *view, const char *key, json_t **ret,
                        struct fh_error *error);
    /* `text` is a value as compact JSON. Replaces the key, whatever its kind, and its time; with
     * `keeps_time` the time of an existing value stays. */
    enum fh_code (*put)(const struct keyvalue_view *view, const char *key, const char *text,
                        bool keeps_time, struct fh_error *error);
    /* Adds to an integer value (missing: 0), whatever it is by then: two units of work that do so
     * do not conflict. The key's time stays. FH_CONFLICT, perhaps at the commit: the value is not
     * an integer, or the sum exceeds KEYVALUE_INTEGER_MAX in either direction (see
     * keyvalue_add). */
    enum fh_code (*add)(const struct keyvalue_view *view, const char *key, int64_t delta,
                        struct fh_error *error);

    /* FH_NOT_FOUND: no such key or field. */
    enum fh_code (*field_get)(const struct keyvalue_view *view, const char *key, const char *field,
                              json_t **ret, struct fh_error *error);
    /* All fields: an object, in the order of the fields' bytes; empty if there is no such key.
     * FH_INVALID: more than KEYVALUE_FIELDS_MAX. */
    enum fh_code (*fields)(const struct keyvalue_view *view, const char *key, json_t **ret,
                           struct fh_error *error);
    enum fh_code (*field_put)(const struct keyvalue_view *view, const char *key, const char *field,
                              const char *text, struct fh_error *error);
    enum fh_code (*field_remove)(const struct keyvalue_view *view, const char *key,
                                 const char *field, bool *ret_existed, struct fh_error *error);

    /* FH_NOT_FOUND: no such key or member. */
    enum fh_code (*score)(const struct keyvalue_view *view, const char *key, const char *member,
                          int64_t *ret, struct fh_error *error);
    /* An array of {"member", "score"}; empty if there is no such key. */
    enum fh_code (*members)(const struct keyvalue_view *view, const char *key,
                            const struct keyvalue_range *range, json_t **ret,
                            struct fh_error *error);
    enum fh_code (*member_put)(const struct keyvalue_view *view, const char *key,
                               const char *member, int64_t score, struct fh_error *error);
    enum fh_code (*member_remove)(const struct keyvalue_view *view, const char *key,
                                  const char *member, bool *ret_existed, struct fh_error *error);

    /* In a unit of work that writes: removes rows of expired keys, at most KEYVALUE_SWEEP_ROWS.
     * *ret_removed below that: nothing is left to do. NULL: the engine does it without being
     * asked. */
    enum fh_code (*sweep)(const struct keyvalue_view *view, int64_t *ret_removed,
                          struct fh_error *error);
};

extern const struct keyvalue_ops keyvalue_sql; /* on SQLite's sql_run */

/* The engine's key-value model, or NULL. */
const struct keyvalue_ops *keyvalue_engine(const struct store *store);

/* ---- Pure, shared by engines and the layer above ---- */

/* `what` is "key", "field" or "member", and becomes error->field: 1 to KEYVALUE_NAME_LENGTH_MAX
 * bytes of UTF-8. FH_INVALID. */
enum fh_code keyvalue_name_check(const char *what, const char *name, struct fh_error *error);
/* The text of a value; free it with json_text_free. FH_INVALID with the field "value": it is not a
 * value, or too large. */
enum fh_code keyvalue_value_text(const json_t *value, char **ret, struct fh_error *error);
/* FH_CONFLICT: "'cart:7' is a hash, and a sorted set is needed." */
enum fh_code keyvalue_kind_error(const char *key, enum keyvalue_kind is, enum keyvalue_kind wanted,
                                 struct fh_error *error);
/* *ret = value + delta; `value` NULL: 0. FH_CONFLICT: it is not an integer, or the sum is too
 * large; `name` is the key's or field's. */
enum fh_code keyvalue_add(const char *name, const json_t *value, int64_t delta, int64_t *ret,
                          struct fh_error *error);

#endif
