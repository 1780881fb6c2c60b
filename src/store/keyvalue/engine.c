/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyvalue_sql: keys and values in SQLite, through sql_run.
 *
 *     kv_key      number, key, kind, value, ends     one row per key that exists or has expired
 *     kv_field    number, field, value               the fields of hashes
 *     kv_member   number, member, score              the members of sorted sets
 *     kv_gone     number                             ended lifetimes whose rows are still there
 *
 * Fields and members belong to a number, not to a key: to one lifetime of the key. Numbers are
 * never reused (AUTOINCREMENT). So a key of any size is removed by one row: its own is deleted and
 * its number goes to kv_gone. From then on nobody can read what it held, and `sweep` removes that
 * in slices, as it does with expired keys.
 *
 * Invariants: a hash or sorted set in kv_key has at least one field or member; a row of kv_field or
 * kv_member has its number in kv_key or in kv_gone. Everything changes in the one unit of work that
 * changes the key, so a crash leaves all or nothing.
 */

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "store/keyvalue/engine.h"

static enum fh_code keyvalue_engine_prepare(struct store_work *work, struct fh_error *error)
{
    static const char *const statements[] = {
        "CREATE TABLE IF NOT EXISTS kv_key (number INTEGER PRIMARY KEY AUTOINCREMENT, "
        "key TEXT NOT NULL UNIQUE, kind INTEGER NOT NULL, value TEXT, ends INTEGER)",
        "CREATE INDEX IF NOT EXISTS kv_key_ends ON kv_key (ends) WHERE ends IS NOT NULL",
        "CREATE TABLE IF NOT EXISTS kv_field (number INTEGER NOT NULL, field TEXT NOT NULL, "
        "value TEXT NOT NULL, PRIMARY KEY (number, field)) WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS kv_member (number INTEGER NOT NULL, member TEXT NOT NULL, "
        "score INTEGER NOT NULL, PRIMARY KEY (number, member)) WITHOUT ROWID",
        "CREATE UNIQUE INDEX IF NOT EXISTS kv_member_score ON kv_member (number, score, member)",
        "CREATE TABLE IF NOT EXISTS kv_gone (number INTEGER PRIMARY KEY)",
    };
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < sizeof statements / sizeof *statements && !code; i++)
        code = sql_run(work, statements[i], NULL, 0, NULL, NULL, NULL, error);
    return code;
}

/* ---- Keys ---- */

static enum fh_code engine_look(const struct keyvalue_view *view, const char *key,
                                enum keyvalue_kind *ret_kind, int64_t *ret_expires_ms,
                                struct fh_error *error)
{
    struct keyvalue_head head;
    enum fh_code code = keyvalue_head_get(view, key, &head, error);
    *ret_kind = keyvalue_head_is_there(&head) ? head.kind : KEYVALUE_NONE;
    *ret_expires_ms = keyvalue_head_is_there(&head) ? head.ends_ms : 0;
    return code;
}

static enum fh_code no_sql_key(const char *key, struct fh_error *error)
{
    return error_set(error, FH_NOT_FOUND, "There is no '%.100s'.", key);
}

static enum fh_code end_now(const struct keyvalue_view *view, const char *key,
                            struct fh_error *error)
{
    struct keyvalue_head head;
    enum fh_code code = keyvalue_head_get(view, key, &head, error);
    if (code)
        return code;
    return keyvalue_head_is_there(&head) ? keyvalue_head_bury(view, &head, error)
                                         : no_sql_key(key, error);
}

static enum fh_code engine_expire(const struct keyvalue_view *view, const char *key, int64_t at_ms,
                                  struct fh_error *error)
{
    if (at_ms && at_ms <= view->now_ms)
        return end_now(view, key, error);
    const struct sql_value values[] = {sql_text(key), at_ms ? sql_integer(at_ms) : sql_text(NULL),
                                       sql_integer(view->now_ms)};
    int64_t changes = 0;
    enum fh_code code = keyvalue_run(
        view, "UPDATE kv_key SET ends = ?2 WHERE key = ?1 AND (ends IS NULL OR ends > ?3)", values,
        3, &changes, error);
    return !code && !changes ? no_sql_key(key, error) : code;
}

static enum fh_code sql_key_remove(const struct keyvalue_view *view, const char *key,
                                   bool *ret_existed, struct fh_error *error)
{
    struct keyvalue_head head;
    enum fh_code code = keyvalue_head_get(view, key, &head, error);
    *ret_existed = !code && keyvalue_head_is_there(&head);
    return *ret_existed ? keyvalue_head_bury(view, &head, error) : code;
}

/* ---- Values ---- */

static enum fh_code keyvalue_engine_get(const struct keyvalue_view *view, const char *key,
                                        json_t **ret, struct fh_error *error)
{
    int64_t number;
    *ret = NULL;
    enum fh_code code = keyvalue_head_read(view, key, KEYVALUE_VALUE, &number, error);
    if (code)
        return code;
    if (!number)
        return no_sql_key(key, error);
    const struct sql_value value = sql_integer(number);
    return keyvalue_value_of(view, "SELECT value FROM kv_key WHERE number = ?1", &value, 1, ret,
                             error);
}

static enum fh_code engine_put(const struct keyvalue_view *view, const char *key, const char *text,
                               bool keeps_time, struct fh_error *error)
{
    struct keyvalue_head head;
    int64_t number;
    enum fh_code code = keyvalue_head_get(view, key, &head, error);
    if (code)
        return code;
    if (keyvalue_head_is_there(&head) && head.kind == KEYVALUE_VALUE) {
        int64_t ends_ms = keeps_time ? head.ends_ms : 0;
        const struct sql_value values[] = {sql_integer(head.number), sql_text(text),
                                           ends_ms ? sql_integer(ends_ms) : sql_text(NULL)};
        return keyvalue_run(view, "UPDATE kv_key SET value = ?2, ends = ?3 WHERE number = ?1",
                            values, 3, NULL, error);
    }
    if (head.kind != KEYVALUE_NONE)
        code = keyvalue_head_bury(view, &head, error);
    return code ? code : keyvalue_head_insert(view, key, KEYVALUE_VALUE, text, &number, error);
}

static enum fh_code engine_add(const struct keyvalue_view *view, const char *key, int64_t delta,
                               struct fh_error *error)
{
    json_t *value;
    int64_t sum;
    char text[24];
    enum fh_code code = keyvalue_engine_get(view, key, &value, error);
    if (code == FH_OK || code == FH_NOT_FOUND)
        code = keyvalue_add(key, value, delta, &sum, error);
    json_decref(value);
    if (code)
        return code;
    snprintf(text, sizeof text, "%lld", (long long)sum);
    return engine_put(view, key, text, true, error);
}

const struct keyvalue_ops keyvalue_sql = {
    .prepare = keyvalue_engine_prepare,
    .look = engine_look,
    .expire = engine_expire,
    .remove = sql_key_remove,
    .get = keyvalue_engine_get,
    .put = engine_put,
    .add = engine_add,
    .field_get = keyvalue_field_get,
    .fields = keyvalue_fields,
    .field_put = keyvalue_field_put,
    .field_remove = keyvalue_field_remove,
    .score = keyvalue_score,
    .members = keyvalue_members,
    .member_put = keyvalue_member_put,
    .member_remove = keyvalue_member_remove,
    .sweep = keyvalue_sweep,
};
