/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the rows of key_NAME as engine.c describes them: a document's old and new keys are both
 * computed, and only the differences are written.
 */

#include <stdio.h>

#include "store/document/engine.h"

static enum fh_code key_row(struct store_work *work, const char *sql, const char *field,
                            const char *key, size_t length, const char *id, struct fh_error *error)
{
    const struct sql_value values[] = {
        sql_text(field), {.kind = SQL_BLOB, .text = key, .length = length}, sql_text(id)};
    return sql_run(work, sql, values, 3, NULL, NULL, NULL, error);
}

static enum fh_code key_insert(struct store_work *work, const char *collection, const char *field,
                               const char *key, size_t length, const char *id,
                               struct fh_error *error)
{
    char sql[ENGINE_SQL_SIZE];
    snprintf(sql, sizeof sql, "INSERT INTO key_%s (field, key, id) VALUES (?1, ?2, ?3)",
             collection);
    return key_row(work, sql, field, key, length, id, error);
}

static enum fh_code key_delete(struct store_work *work, const char *collection, const char *field,
                               const char *key, size_t length, const char *id,
                               struct fh_error *error)
{
    char sql[ENGINE_SQL_SIZE];
    snprintf(sql, sizeof sql, "DELETE FROM key_%s WHERE field = ?1 AND key = ?2 AND id = ?3",
             collection);
    return key_row(work, sql, field, key, length, id, error);
}

static const char many_key[] = {(char)DOCUMENT_KEY_MANY};

/* Replaces the old keys by the new ones. Both are ascending, so one pass over the two is enough. */
static enum fh_code keys_change(struct store_work *work, const char *collection, const char *field,
                                const char *id, const struct document_keys *old,
                                const struct document_keys *fresh, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (int i = 0, j = 0; !code && (i < old->count || j < fresh->count);) {
        int order =
            i == old->count ? 1
            : j == fresh->count
                ? -1
                : document_key_compare(document_key_bytes(old, i), old->items[i].length,
                                       document_key_bytes(fresh, j), fresh->items[j].length);
        if (order < 0)
            code = key_delete(work, collection, field, document_key_bytes(old, i),
                              old->items[i].length, id, error);
        else if (order > 0)
            code = key_insert(work, collection, field, document_key_bytes(fresh, j),
                              fresh->items[j].length, id, error);
        i += order <= 0;
        j += order >= 0;
    }
    if (!code && old->count > 1 && fresh->count <= 1)
        code = key_delete(work, collection, field, many_key, 1, id, error);
    if (!code && fresh->count > 1 && old->count <= 1)
        code = key_insert(work, collection, field, many_key, 1, id, error);
    return code;
}

enum fh_code engine_field_change(struct store_work *work, const char *collection, const char *field,
                                 const char *id, const json_t *old, const json_t *fresh,
                                 struct fh_error *error)
{
    struct document_keys old_keys = {0}, new_keys = {0};
    enum fh_code code = old ? document_keys_init(&old_keys, old, field, error) : FH_OK;
    if (!code && fresh)
        code = document_keys_init(&new_keys, fresh, field, error);
    if (!code)
        code = keys_change(work, collection, field, id, &old_keys, &new_keys, error);
    document_keys_release(&old_keys);
    document_keys_release(&new_keys);
    return code;
}

enum fh_code engine_indexes_change(struct store_work *work,
                                   const struct engine_collection *collection, const char *id,
                                   const json_t *old, const json_t *fresh, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (int i = 0; i < collection->field_count && !code; i++)
        code = engine_field_change(work, collection->name, collection->fields[i], id, old, fresh,
                                   error);
    return code;
}
