/* SPDX-License-Identifier: Apache-2.0 */
/* Lifetimes of keys, and what all operations of keyvalue_sql read and write with (engine.c has the
 * tables). */

#include "base/json.h"
#include "store/keyvalue/engine.h"

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

static bool read_head(void *context, const struct sql_row *row)
{
    struct keyvalue_head *head = context;
    head->number = row->values[0].integer;
    head->kind = (enum keyvalue_kind)row->values[1].integer;
    head->ends_ms = row->values[2].integer; /* SQL's NULL: 0 */
    return false;
}

enum fh_code keyvalue_head_get(const struct keyvalue_view *view, const char *key,
                               struct keyvalue_head *head, struct fh_error *error)
{
    const struct sql_value value = sql_text(key);
    *head = (struct keyvalue_head){.kind = KEYVALUE_NONE};
    enum fh_code code = sql_run(view->work, "SELECT number, kind, ends FROM kv_key WHERE key = ?1",
                                &value, 1, read_head, head, NULL, error);
    head->ended = head->ends_ms && head->ends_ms <= view->now_ms;
    return code;
}

bool keyvalue_head_is_there(const struct keyvalue_head *head)
{
    return head->kind != KEYVALUE_NONE && !head->ended;
}

enum fh_code keyvalue_head_read(const struct keyvalue_view *view, const char *key,
                                enum keyvalue_kind wanted, int64_t *ret_number,
                                struct fh_error *error)
{
    struct keyvalue_head head;
    *ret_number = 0;
    enum fh_code code = keyvalue_head_get(view, key, &head, error);
    if (code || !keyvalue_head_is_there(&head))
        return code;
    if (head.kind != wanted)
        return keyvalue_kind_error(key, head.kind, wanted, error);
    *ret_number = head.number;
    return FH_OK;
}

enum fh_code keyvalue_head_bury(const struct keyvalue_view *view, const struct keyvalue_head *head,
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

enum fh_code keyvalue_head_insert(const struct keyvalue_view *view, const char *key,
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
    struct keyvalue_head head;
    enum fh_code code = keyvalue_head_get(view, key, &head, error);
    *ret_number = head.number;
    if (code)
        return code;
    if (keyvalue_head_is_there(&head))
        return head.kind == wanted ? FH_OK : keyvalue_kind_error(key, head.kind, wanted, error);
    if (head.ended)
        code = keyvalue_head_bury(view, &head, error);
    return code ? code : keyvalue_head_insert(view, key, wanted, NULL, ret_number, error);
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

struct value_read {
    json_t *value;
    enum fh_code code;
    struct fh_error *error;
};

static bool read_sql_value(void *context, const struct sql_row *row)
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
    enum fh_code code = sql_run(view->work, sql, values, count, read_sql_value, &read, NULL, error);
    if (!code)
        code = read.code;
    *ret = code ? NULL : read.value;
    return code;
}
