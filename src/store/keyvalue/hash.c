/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes of keyvalue_sql: see engine.c. */

#include "base/json.h"
#include "store/keyvalue/engine.h"

enum fh_code keyvalue_field_get(const struct keyvalue_view *view, const char *key,
                                const char *field, json_t **ret, struct fh_error *error)
{
    int64_t number;
    *ret = NULL;
    enum fh_code code = keyvalue_head_read(view, key, KEYVALUE_HASH, &number, error);
    if (code)
        return code;
    const struct sql_value values[] = {sql_integer(number), sql_text(field)};
    if (number)
        code =
            keyvalue_value_of(view, "SELECT value FROM kv_field WHERE number = ?1 AND field = ?2",
                              values, 2, ret, error);
    if (!code && !*ret)
        code = error_set(error, FH_NOT_FOUND, "'%.100s' has no field '%.100s'.", key, field);
    return code;
}

struct fields_read {
    const struct keyvalue_view *view;
    const char *key;
    json_t *fields;
    enum fh_code code;
    struct fh_error *error;
};

static enum fh_code add_field(struct fields_read *read, const struct sql_value *field,
                              const struct sql_value *text)
{
    json_t *value;
    if (json_object_size(read->fields) == KEYVALUE_FIELDS_MAX)
        return error_set(read->error, FH_INVALID, "The hash has more than %d fields.",
                         KEYVALUE_FIELDS_MAX);
    enum fh_code code = json_parse(text->text, text->length, &value, read->error);
    if (!code && json_object_set_new(read->fields, field->text, value) != 0)
        code = error_set(read->error, FH_NO_MEMORY,
                         "The hash does not fit into the unit of work's memory.");
    return code;
}

/* kind, ends, field, value */
static bool read_hash_field(void *context, const struct sql_row *row)
{
    struct fields_read *read = context;
    enum keyvalue_kind kind = (enum keyvalue_kind)row->values[0].integer;
    int64_t ends_ms = row->values[1].integer;
    if (ends_ms && ends_ms <= read->view->now_ms)
        return false;
    if (kind != KEYVALUE_HASH)
        read->code = keyvalue_kind_error(read->key, kind, KEYVALUE_HASH, read->error);
    else
        read->code = add_field(read, &row->values[2], &row->values[3]);
    return read->code == FH_OK;
}

/* One statement for key and fields: reading a whole hash is the most frequent operation. */
enum fh_code keyvalue_fields(const struct keyvalue_view *view, const char *key, json_t **ret,
                             struct fh_error *error)
{
    struct fields_read read = {.view = view, .key = key, .fields = json_object(), .error = error};
    const struct sql_value value = sql_text(key);
    *ret = NULL;
    enum fh_code code = sql_run(view->work,
                                "SELECT kind, ends, field, kv_field.value FROM kv_key LEFT JOIN "
                                "kv_field USING (number) WHERE key = ?1 ORDER BY field",
                                &value, 1, read_hash_field, &read, NULL, error);
    if (!code)
        code = read.code;
    if (code)
        json_decref(read.fields);
    else
        *ret = read.fields;
    return code;
}

enum fh_code keyvalue_field_put(const struct keyvalue_view *view, const char *key,
                                const char *field, const char *text, struct fh_error *error)
{
    int64_t number;
    enum fh_code code = keyvalue_head_make(view, key, KEYVALUE_HASH, &number, error);
    if (code)
        return code;
    const struct sql_value values[] = {sql_integer(number), sql_text(field), sql_text(text)};
    return keyvalue_run(view,
                        "INSERT INTO kv_field (number, field, value) VALUES (?1, ?2, ?3) "
                        "ON CONFLICT (number, field) DO UPDATE SET value = excluded.value",
                        values, 3, NULL, error);
}

enum fh_code keyvalue_field_remove(const struct keyvalue_view *view, const char *key,
                                   const char *field, bool *ret_existed, struct fh_error *error)
{
    int64_t number, removed = 0;
    *ret_existed = false;
    enum fh_code code = keyvalue_head_read(view, key, KEYVALUE_HASH, &number, error);
    if (code || !number)
        return code;
    const struct sql_value values[] = {sql_integer(number), sql_text(field)};
    code = keyvalue_run(view, "DELETE FROM kv_field WHERE number = ?1 AND field = ?2", values, 2,
                        &removed, error);
    *ret_existed = removed > 0;
    if (code || !removed)
        return code;
    return keyvalue_end_if_empty(view, "SELECT number FROM kv_field WHERE number = ?1 LIMIT 1",
                                 number, error);
}
