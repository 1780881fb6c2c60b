/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removes in slices what is stored of keys that no longer exist: first expired keys, whose
 * lifetimes end with that, then what ended lifetimes have left, the oldest first. A slice is one
 * unit of work; after a crash between two the next one continues.
 */

#include "store/keyvalue/engine.h"

/* Rows that one key's end changes: its own, those of two indexes, and that of kv_gone. */
#define KEY_ROWS 4
#define SWEPT_KEYS (KEYVALUE_SWEEP_ROWS / KEY_ROWS)
_Static_assert(SWEPT_KEYS *KEY_ROWS == KEYVALUE_SWEEP_ROWS, "a slice of keys alone is a full one");

/* Ends the lifetimes of expired keys: the same keys in both statements. */
static enum fh_code sweep_expired(const struct keyvalue_view *view, int64_t *ret_ended,
                                  struct fh_error *error)
{
    static const char bury[] = "INSERT INTO kv_gone (number) SELECT number FROM (SELECT number, "
                               "kind FROM kv_key WHERE ends <= ?1 ORDER BY ends, number LIMIT ?2) "
                               "WHERE kind <> ?3";
    static const char end[] = "DELETE FROM kv_key WHERE number IN (SELECT number FROM kv_key "
                              "WHERE ends <= ?1 ORDER BY ends, number LIMIT ?2)";
    const struct sql_value values[] = {sql_integer(view->now_ms), sql_integer(SWEPT_KEYS),
                                       sql_integer(KEYVALUE_VALUE)};
    enum fh_code code = keyvalue_run(view, bury, values, 3, NULL, error);
    return code ? code : keyvalue_run(view, end, values, 2, ret_ended, error);
}

static enum fh_code sweep_rows(const struct keyvalue_view *view, const char *sql, int64_t number,
                               int64_t *removed, struct fh_error *error)
{
    const struct sql_value values[] = {sql_integer(number),
                                       sql_integer(KEYVALUE_SWEEP_ROWS - *removed)};
    int64_t changes = 0;
    enum fh_code code = keyvalue_run(view, sql, values, 2, &changes, error);
    *removed += changes;
    return code;
}

/* Removes what one ended lifetime has left, as far as the slice allows. */
static enum fh_code sweep_life(const struct keyvalue_view *view, int64_t number, int64_t *removed,
                               struct fh_error *error)
{
    enum fh_code code = sweep_rows(view,
                                   "DELETE FROM kv_field WHERE number = ?1 AND field IN (SELECT "
                                   "field FROM kv_field WHERE number = ?1 LIMIT ?2)",
                                   number, removed, error);
    if (!code)
        code = sweep_rows(view,
                          "DELETE FROM kv_member WHERE number = ?1 AND member IN (SELECT "
                          "member FROM kv_member WHERE number = ?1 LIMIT ?2)",
                          number, removed, error);
    if (code || *removed == KEYVALUE_SWEEP_ROWS)
        return code;
    (*removed)++;
    return keyvalue_run_on(view, "DELETE FROM kv_gone WHERE number = ?1", number, NULL, error);
}

enum fh_code keyvalue_sweep(const struct keyvalue_view *view, int64_t *ret_removed,
                            struct fh_error *error)
{
    int64_t ended = 0;
    *ret_removed = 0;
    enum fh_code code = sweep_expired(view, &ended, error);
    int64_t removed = ended * KEY_ROWS;
    while (!code && removed < KEYVALUE_SWEEP_ROWS) {
        int64_t number = 0;
        code = sql_run(view->work, "SELECT number FROM kv_gone ORDER BY number LIMIT 1", NULL, 0,
                       keyvalue_read_integer, &number, NULL, error);
        if (code || !number)
            break;
        code = sweep_life(view, number, &removed, error);
    }
    *ret_removed = removed;
    return code;
}
