/* SPDX-License-Identifier: Apache-2.0 */
/* What the store knows about a collection, and the documents in it (engine.c has the tables). */

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "store/document/engine.h"

enum fh_code engine_name_check(const char *name, struct fh_error *error)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (name[length] == '\0' && length >= 1 && length <= ENGINE_NAME_LENGTH_MAX &&
        strchr("0123456789_", name[0]) == NULL)
        return FH_OK;
    return error_set(
        error, FH_INVALID,
        "'%.60s' is not a name for a collection: it takes 1 to %d of a-z, 0-9 and _, and "
        "begins with a letter.",
        name, ENGINE_NAME_LENGTH_MAX);
}

struct collection_read {
    struct engine_collection *collection;
    bool found;
};

static bool read_index_field(void *context, const struct sql_row *row)
{
    struct collection_read *read = context;
    read->found = true;
    struct engine_collection *collection = read->collection;
    if (row->values[0].length == 0)
        return true;
    FH_ASSERT(collection->field_count < ENGINE_INDEXES_MAX);
    snprintf(collection->fields[collection->field_count++], ENGINE_FIELD_SIZE, "%s",
             row->values[0].text);
    return true;
}

enum fh_code engine_collection_read(struct store_work *work, const char *name,
                                    struct engine_collection *ret, struct fh_error *error)
{
    enum fh_code code = engine_name_check(name, error);
    if (code)
        return code;
    struct collection_read read = {.collection = ret};
    struct sql_value value = sql_text(name);
    ret->name = name;
    ret->field_count = 0;
    code = sql_run(work, "SELECT field FROM fh_document_index WHERE collection = ?1 ORDER BY field",
                   &value, 1, read_index_field, &read, NULL, error);
    if (!code && !read.found)
        code = error_set(error, FH_INVALID, "The service declares no collection '%s'.", name);
    return code;
}

int engine_field(const struct engine_collection *collection, const char *path)
{
    for (int i = 0; i < collection->field_count; i++)
        if (strcmp(collection->fields[i], path) == 0)
            return i;
    return -1;
}

struct body_read {
    json_t *document;
    enum fh_code code;
    struct fh_error *error;
};

static bool read_body(void *context, const struct sql_row *row)
{
    struct body_read *read = context;
    read->code =
        json_parse(row->values[0].text, row->values[0].length, &read->document, read->error);
    return false;
}

static enum fh_code no_sql_document(const char *collection, const char *id, struct fh_error *error)
{
    return error_set(error, FH_NOT_FOUND, "There is no '%.100s' in %s.", id, collection);
}

enum fh_code engine_get(struct store_work *work, const char *name, const char *id, json_t **ret,
                        struct fh_error *error)
{
    *ret = NULL;
    enum fh_code code = engine_name_check(name, error);
    if (code)
        return code;
    char sql[ENGINE_SQL_SIZE];
    struct body_read read = {.error = error};
    struct sql_value value = sql_text(id);
    snprintf(sql, sizeof sql, "SELECT body FROM doc_%s WHERE id = ?1", name);
    code = sql_run(work, sql, &value, 1, read_body, &read, NULL, error);
    if (code == FH_UNSUPPORTED) { /* no such table: report the missing collection instead */
        struct engine_collection collection;
        enum fh_code why = engine_collection_read(work, name, &collection, error);
        return why ? why : code;
    }
    if (code || read.code)
        return code ? code : read.code;
    if (!read.document)
        return no_sql_document(name, id, error);
    *ret = read.document;
    return FH_OK;
}
