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

static enum fh_code engine_prepare(struct store_work *work, struct fh_error *error)
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

enum fh_code keyvalue_run(const struct keyvalue_view *view, const char *sql,
                          const struct sql_value *values, int count, int64_t *ret_changes,
                          struct fh_error *error)
{
    return sql_run(view->work, sql, values, count, NULL, NULL, ret_changes, error);
}

enum fh_code keyvalue_run_on(const struct keyvalue_view *view, const char *sql, int64_t number,
                             int64_t *ret_changes, struct fh_error *error)
{
    const struct sql_value value = sql_integer(number);
    return keyvalue_run(view, sql, &value, 1, ret_changes, error);
}

bool keyvalue_read_integer(void *context, const struct sql_row *row)
{
    *(int64_t *)context = row->values[0].integer;
    return false;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

struct head {
    int64_t number;
    enum keyvalue_kind kind; /* NONE: there is no row, and number is 0 */
    int64_t ends_ms;         /* 0: never */
    bool ended;              /* the row exists, but the key has expired */
};

static bool read_head(void *context, const struct sql_row *row)
{
    struct head *head = context;
    head->number = row->values[0].integer;
    head->kind = (enum keyvalue_kind)row->values[1].integer;
    head->ends_ms = row->values[2].integer; /* SQL's NULL: 0 */
    return false;
}

static enum fh_code head_get(const struct keyvalue_view *view, const char *key, struct head *head,
                             struct fh_error *error)
{
    const struct sql_value value = sql_text(key);
    *head = (struct head){.kind = KEYVALUE_NONE};
    enum fh_code code = sql_run(view->work, "SELECT number, kind, ends FROM kv_key WHERE key = ?1",
                                &value, 1, read_head, head, NULL, error);
    head->ended = head->ends_ms && head->ends_ms <= view->now_ms;
    return code;
}

static bool is_there(const struct head *head)
{
    return head->kind != KEYVALUE_NONE && !head->ended;
}

enum fh_code keyvalue_head_read(const struct keyvalue_view *view, const char *key,
                                enum keyvalue_kind wanted, int64_t *ret_number,
                                struct fh_error *error)
{
    struct head head;
    *ret_number = 0;
    enum fh_code code = head_get(view, key, &head, error);
    if (code || !is_there(&head))
        return code;
    if (head.kind != wanted)
        return keyvalue_kind_error(key, head.kind, wanted, error);
    *ret_number = head.number;
    return FH_OK;
}

/* Ends a lifetime: one row, however large the key is. */
static enum fh_code bury(const struct keyvalue_view *view, const struct head *head,
                         struct fh_error *error)
{
    enum fh_code code = FH_OK;
    if (head->kind != KEYVALUE_VALUE)
        code = keyvalue_run_on(view, "INSERT INTO kv_gone (number) VALUES (?1)", head->number, NULL,
                               error);
    if (!code)
        code = keyvalue_run_on(view, "DELETE FROM kv_key WHERE number = ?1", head->number, NULL,
                               error);
    return code;
}

static enum fh_code head_insert(const struct keyvalue_view *view, const char *key,
                                enum keyvalue_kind kind, const char *text, int64_t *ret_number,
                                struct fh_error *error)
{
    const struct sql_value values[] = {sql_text(key), sql_integer(kind), sql_text(text)};
    return sql_run(view->work,
                   "INSERT INTO kv_key (key, kind, value) VALUES (?1, ?2, ?3) RETURNING number",
                   values, 3, keyvalue_read_integer, ret_number, NULL, error);
}

enum fh_code keyvalue_head_make(const struct keyvalue_view *view, const char *key,
                                enum keyvalue_kind wanted, int64_t *ret_number,
                                struct fh_error *error)
{
    struct head head;
    enum fh_code code = head_get(view, key, &head, error);
    *ret_number = head.number;
    if (code)
        return code;
    if (is_there(&head))
        return head.kind == wanted ? FH_OK : keyvalue_kind_error(key, head.kind, wanted, error);
    if (head.ended)
        code = bury(view, &head, error);
    return code ? code : head_insert(view, key, wanted, NULL, ret_number, error);
}

enum fh_code keyvalue_end_if_empty(const struct keyvalue_view *view, const char *sql,
                                   int64_t number, struct fh_error *error)
{
    const struct sql_value value = sql_integer(number);
    int64_t another = 0;
    enum fh_code code =
        sql_run(view->work, sql, &value, 1, keyvalue_read_integer, &another, NULL, error);
    if (code || another)
        return code;
    return keyvalue_run_on(view, "DELETE FROM kv_key WHERE number = ?1", number, NULL, error);
}

static enum fh_code engine_look(const struct keyvalue_view *view, const char *key,
                                enum keyvalue_kind *ret_kind, int64_t *ret_expires_ms,
                                struct fh_error *error)
{
    struct head head;
    enum fh_code code = head_get(view, key, &head, error);
    *ret_kind = is_there(&head) ? head.kind : KEYVALUE_NONE;
    *ret_expires_ms = is_there(&head) ? head.ends_ms : 0;
    return code;
}

static enum fh_code no_key(const char *key, struct fh_error *error)
{
    return error_set(error, FH_NOT_FOUND, "There is no '%.100s'.", key);
}

static enum fh_code end_now(const struct keyvalue_view *view, const char *key,
                            struct fh_error *error)
{
    struct head head;
    enum fh_code code = head_get(view, key, &head, error);
    if (code)
        return code;
    return is_there(&head) ? bury(view, &head, error) : no_key(key, error);
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
    return !code && !changes ? no_key(key, error) : code;
}

static enum fh_code engine_remove(const struct keyvalue_view *view, const char *key,
                                  bool *ret_existed, struct fh_error *error)
{
    struct head head;
    enum fh_code code = head_get(view, key, &head, error);
    *ret_existed = !code && is_there(&head);
    return *ret_existed ? bury(view, &head, error) : code;
}

/* ---- Values ---------------------------------------------------------------------------------- */

struct value_read {
    json_t *value;
    enum fh_code code;
    struct fh_error *error;
};

static bool read_value(void *context, const struct sql_row *row)
{
    struct value_read *read = context;
    read->code = json_parse(row->values[0].text, row->values[0].length, &read->value, read->error);
    return false;
}

enum fh_code keyvalue_value_of(const struct keyvalue_view *view, const char *sql,
                               const struct sql_value *values, int count, json_t **ret,
                               struct fh_error *error)
{
    struct value_read read = {.error = error};
    enum fh_code code = sql_run(view->work, sql, values, count, read_value, &read, NULL, error);
    if (!code)
        code = read.code;
    *ret = code ? NULL : read.value;
    return code;
}

static enum fh_code engine_get(const struct keyvalue_view *view, const char *key, json_t **ret,
                               struct fh_error *error)
{
    int64_t number;
    *ret = NULL;
    enum fh_code code = keyvalue_head_read(view, key, KEYVALUE_VALUE, &number, error);
    if (code)
        return code;
    if (!number)
        return no_key(key, error);
    const struct sql_value value = sql_integer(number);
    return keyvalue_value_of(view, "SELECT value FROM kv_key WHERE number = ?1", &value, 1, ret,
                             error);
}

static enum fh_code engine_put(const struct keyvalue_view *view, const char *key, const char *text,
                               bool keeps_time, struct fh_error *error)
{
    struct head head;
    int64_t number;
    enum fh_code code = head_get(view, key, &head, error);
    if (code)
        return code;
    if (is_there(&head) && head.kind == KEYVALUE_VALUE) {
        int64_t ends_ms = keeps_time ? head.ends_ms : 0;
        const struct sql_value values[] = {sql_integer(head.number), sql_text(text),
                                           ends_ms ? sql_integer(ends_ms) : sql_text(NULL)};
        return keyvalue_run(view, "UPDATE kv_key SET value = ?2, ends = ?3 WHERE number = ?1",
                            values, 3, NULL, error);
    }
    if (head.kind != KEYVALUE_NONE)
        code = bury(view, &head, error);
    return code ? code : head_insert(view, key, KEYVALUE_VALUE, text, &number, error);
}

static enum fh_code engine_add(const struct keyvalue_view *view, const char *key, int64_t delta,
                               struct fh_error *error)
{
    json_t *value;
    int64_t sum;
    char text[24];
    enum fh_code code = engine_get(view, key, &value, error);
    if (code == FH_OK || code == FH_NOT_FOUND)
        code = keyvalue_add(key, value, delta, &sum, error);
    json_decref(value);
    if (code)
        return code;
    snprintf(text, sizeof text, "%lld", (long long)sum);
    return engine_put(view, key, text, true, error);
}

const struct keyvalue_ops keyvalue_sql = {
    .prepare = engine_prepare,
    .look = engine_look,
    .expire = engine_expire,
    .remove = engine_remove,
    .get = engine_get,
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
