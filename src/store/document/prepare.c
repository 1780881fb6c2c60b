/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a store's collections and indexes match what the service declares, in the one unit of work
 * that the layer above has opened for it: a crash leaves them as they were.
 */

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "store/document/engine.h"
#include "store/document/value.h"

struct next_document {
    char id[DOCUMENT_ID_LENGTH_MAX + 1];
    json_t *document;
    enum fh_code code;
    struct fh_error *error;
};

static bool read_next(void *context, const struct sql_row *row)
{
    struct next_document *next = context;
    const struct sql_value *body = &row->values[1];
    snprintf(next->id, sizeof next->id, "%s", row->values[0].text);
    next->code = json_parse(body->text, body->length, &next->document, next->error);
    return false;
}

/* Adds the keys of all existing documents, one document at a time, so that memory does not depend
 * on their number. */
static enum fh_code index_build(struct store_work *work, const char *name, const char *field,
                                struct fh_error *error)
{
    char sql[ENGINE_SQL_SIZE];
    struct next_document next = {.error = error};
    snprintf(sql, sizeof sql, "SELECT id, body FROM doc_%s WHERE id > ?1 ORDER BY id LIMIT 1",
             name);
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = FH_OK;
    while (!code) {
        struct sql_value after = sql_text(next.id);
        next.document = NULL;
        code = sql_run(work, sql, &after, 1, read_next, &next, NULL, error);
        if (!code)
            code = next.code;
        if (code || !next.document)
            break;
        code = engine_field_change(work, name, field, next.id, NULL, next.document, error);
        json_decref(next.document);
    }
    json_arena_set(arena);
    return code;
}

static enum fh_code catalogue_row(struct store_work *work, const char *sql, const char *name,
                                  const char *field, struct fh_error *error)
{
    const struct sql_value values[] = {sql_text(name), sql_text(field)};
    return sql_run(work, sql, values, 2, NULL, NULL, NULL, error);
}

static enum fh_code index_add(struct store_work *work, const char *name, const char *field,
                              struct fh_error *error)
{
    struct fh_error why;
    if (document_path_check(field, &why))
        return error_set(error, FH_INVALID, "Wrong index on '%.60s' of %s: %.120s", field, name,
                         why.message);
    if (strlen(field) >= ENGINE_FIELD_SIZE || strcmp(field, "id") == 0)
        return error_set(error, FH_INVALID,
                         "Wrong index on '%.60s' of %s: a path takes at most %d bytes, and 'id' "
                         "has its index already.",
                         field, name, ENGINE_FIELD_SIZE - 1);
    enum fh_code code =
        catalogue_row(work, "INSERT INTO fh_document_index (collection, field) VALUES (?1, ?2)",
                      name, field, error);
    return code ? code : index_build(work, name, field, error);
}

static enum fh_code index_drop(struct store_work *work, const char *name, const char *field,
                               struct fh_error *error)
{
    char sql[ENGINE_SQL_SIZE];
    struct sql_value value = sql_text(field);
    snprintf(sql, sizeof sql, "DELETE FROM key_%s WHERE field = ?1", name);
    enum fh_code code = sql_run(work, sql, &value, 1, NULL, NULL, NULL, error);
    return code ? code
                : catalogue_row(work,
                                "DELETE FROM fh_document_index WHERE collection = ?1 AND "
                                "field = ?2",
                                name, field, error);
}

static enum fh_code collection_make(struct store_work *work, const char *name,
                                    struct fh_error *error)
{
    char sql[ENGINE_SQL_SIZE];
    enum fh_code code = engine_name_check(name, error);
    if (code)
        return code;
    snprintf(sql, sizeof sql,
             "CREATE TABLE IF NOT EXISTS doc_%s (id TEXT PRIMARY KEY NOT NULL, body TEXT NOT NULL)",
             name);
    code = sql_run(work, sql, NULL, 0, NULL, NULL, NULL, error);
    snprintf(sql, sizeof sql,
             "CREATE TABLE IF NOT EXISTS key_%s (field TEXT NOT NULL, key BLOB NOT NULL, "
             "id TEXT NOT NULL, PRIMARY KEY (field, key, id)) WITHOUT ROWID",
             name);
    if (!code)
        code = sql_run(work, sql, NULL, 0, NULL, NULL, NULL, error);
    if (!code)
        code = catalogue_row(work,
                             "INSERT INTO fh_document_index (collection, field) VALUES (?1, ?2) "
                             "ON CONFLICT DO NOTHING",
                             name, "", error);
    return code;
}

static bool is_index_declared(const struct fh_collection *declared, const char *field)
{
    for (int i = 0; i < ENGINE_INDEXES_MAX && declared->indexes[i]; i++)
        if (strcmp(declared->indexes[i], field) == 0)
            return true;
    return false;
}

static enum fh_code sql_collection_prepare(struct store_work *work,
                                           const struct fh_collection *declared,
                                           struct fh_error *error)
{
    struct engine_collection present;
    enum fh_code code = collection_make(work, declared->name, error);
    if (!code)
        code = engine_collection_read(work, declared->name, &present, error);
    for (int i = 0; !code && i < present.field_count; i++)
        if (!is_index_declared(declared, present.fields[i]))
            code = index_drop(work, declared->name, present.fields[i], error);
    for (int i = 0; !code && i < ENGINE_INDEXES_MAX && declared->indexes[i]; i++)
        if (engine_field(&present, declared->indexes[i]) < 0)
            code = index_add(work, declared->name, declared->indexes[i], error);
    return code;
}

enum fh_code engine_prepare(struct store_work *work, const struct fh_collection *collections,
                            int count, struct fh_error *error)
{
    enum fh_code code = sql_run(work,
                                "CREATE TABLE IF NOT EXISTS fh_document_index (collection TEXT NOT "
                                "NULL, field TEXT NOT NULL, PRIMARY KEY (collection, field)) "
                                "WITHOUT ROWID",
                                NULL, 0, NULL, NULL, NULL, error);
    for (int i = 0; i < count && !code; i++)
        code = sql_collection_prepare(work, &collections[i], error);
    return code;
}
