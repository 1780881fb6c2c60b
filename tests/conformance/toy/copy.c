/* SPDX-License-Identifier: Apache-2.0 */
/* The store copied into another one, and out of it: records as rows, and documents. */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "store/copy/document.h"
#include "store/copy/ledger.h"

#define PREFIX_LENGTH (sizeof "fh_" - 1) /* of the collections' names, before the tables' */

static const char *table_of(const struct copied_ledger *ledger)
{
    return ledger->collection + PREFIX_LENGTH;
}

static enum fh_code finish(struct store_work *work, enum fh_code code, struct fh_error *error)
{
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

/* ---- Reading ---- */

struct slicing {
    const struct copied_ledger *ledger;
    copied_slice *slice;
    void *context;
    struct sql_value *values; /* of COPIED_ROWS_MAX rows */
    int count;
    size_t size;
    struct arena parts; /* of ids */
    enum fh_code code;
    struct fh_error error;
};

/* The part of a record's id that is this column. NULL: none is. */
static const char *part_of(struct slicing *slicing, const char *id, const char *column)
{
    for (int i = 0; i < COPIED_PARTS_MAX && slicing->ledger->id[i]; i++) {
        size_t length = strcspn(id, RECORD_SEPARATOR);
        if (strcmp(slicing->ledger->id[i], column) == 0)
            return arena_copy(&slicing->parts, id, length);
        id += length + (id[length] != '\0');
    }
    return NULL;
}

static struct sql_value value_of(struct slicing *slicing, const json_t *record,
                                 const struct copied_column *column)
{
    const json_t *field = json_object_get(record, column->name);
    if (json_is_integer(field))
        return sql_integer(json_integer_value(field));
    if (json_is_string(field))
        return sql_text(json_string_value(field));
    const char *part = part_of(slicing, record_text(record, "id"), column->name);
    return part && column->integer ? sql_integer(strtoll(part, NULL, 10)) : sql_text(part);
}

static void pass_on(struct slicing *slicing)
{
    if (slicing->count > 0 && slicing->code == FH_OK)
        slicing->code =
            slicing->slice(slicing->context, slicing->values, slicing->count, &slicing->error);
    slicing->count = 0;
    slicing->size = 0;
    arena_release(&slicing->parts);
    arena_init(&slicing->parts, ARENA_SIZE_MAX);
}

static bool add_row(void *context, json_t *record)
{
    struct slicing *slicing = context;
    int columns = copied_column_count(slicing->ledger);
    struct sql_value *row = &slicing->values[slicing->count++ * columns];
    for (int i = 0; i < columns; i++) {
        row[i] = value_of(slicing, record, &slicing->ledger->columns[i]);
        slicing->size += row[i].length;
    }
    if (slicing->count == COPIED_ROWS_MAX || slicing->size >= COPIED_SIZE_MAX)
        pass_on(slicing);
    return slicing->code == FH_OK;
}

static enum fh_code read_ledger(struct store *store, const struct copied_ledger *ledger,
                                copied_slice *slice, void *context, struct fh_error *error)
{
    struct slicing slicing = {.ledger = ledger, .slice = slice, .context = context};
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    slicing.values = calloc((size_t)COPIED_ROWS_MAX * COPIED_COLUMNS_MAX, sizeof *slicing.values);
    if (!slicing.values)
        return finish(work, error_set(error, FH_NO_MEMORY, "There is no memory to copy."), error);
    arena_init(&slicing.parts, ARENA_SIZE_MAX);
    code = records_each(work, &(struct record_range){.table = table_of(ledger)}, add_row, &slicing,
                        error);
    if (code == FH_OK) {
        pass_on(&slicing);
        code = slicing.code;
        if (code != FH_OK && error)
            *error = slicing.error;
    }
    arena_release(&slicing.parts);
    free(slicing.values);
    return finish(work, code, error);
}

static enum fh_code count_ledger(struct store *store, const struct copied_ledger *ledger,
                                 int64_t *ret, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    *ret = (int64_t)json_object_size(toy_table(work, table_of(ledger)));
    return finish(work, FH_OK, error);
}

/* ---- Writing ---- */

static enum fh_code write_row(struct store_work *work, const struct copied_ledger *ledger,
                              const struct sql_value *row, struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    enum fh_code code = copied_id(ledger, ledger->id, row, id, error);
    if (code != FH_OK)
        return code;
    struct arena *arena = json_arena_set(NULL);
    json_t *record = json_object();
    for (int i = 0; i < copied_column_count(ledger); i++) {
        if (!ledger->columns[i].in_id && row[i].kind == SQL_INTEGER)
            json_object_set_new(record, ledger->columns[i].name, json_integer(row[i].integer));
        else if (!ledger->columns[i].in_id && row[i].kind == SQL_TEXT)
            json_object_set_new(record, ledger->columns[i].name,
                                json_stringn(row[i].text, row[i].length));
    }
    json_arena_set(arena);
    return records_put(work, table_of(ledger), id, record, error);
}

static enum fh_code write_ledger(struct store *store, const struct copied_ledger *ledger,
                                 const struct sql_value *rows, int count, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code != FH_OK)
        return code;
    for (int i = 0; i < count && code == FH_OK; i++)
        code = write_row(work, ledger, rows + i * copied_column_count(ledger), error);
    return finish(work, code, error);
}

static enum fh_code number(struct store *store, int64_t position, int64_t trimmed,
                           const char *trimmed_id, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code != FH_OK)
        return code;
    code = toy_put(work, TOY_COUNTER, TOY_OUTBOX,
                   record_pack("{s:I}", "position", (json_int_t)position), error);
    if (code == FH_OK && trimmed)
        code = records_put(
            work, "meta", "trimmed",
            record_pack("{s:I, s:s}", "position", (json_int_t)trimmed, "event_id", trimmed_id),
            error);
    return finish(work, code, error);
}

static enum fh_code empty(struct store *store, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code != FH_OK)
        return code;
    for (int i = 0; i < copied_ledger_count && code == FH_OK; i++)
        code = toy_remove(work, table_of(&copied_ledgers[i]), NULL, NULL, error);
    if (code == FH_OK)
        code = toy_remove(work, TOY_COUNTER, NULL, NULL, error);
    if (code == FH_OK)
        code = records_put(work, "meta", "trimmed", NULL, error);
    return finish(work, code, error);
}

const struct copied_ops toy_copied_ledger = {
    .read = read_ledger,
    .write = write_ledger,
    .count = count_ledger,
    .empty = empty,
    .number = number,
};

/* ---- Documents ---- */

static enum fh_code count_documents(struct store *store, const char *collection, int64_t *ret,
                                    struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    char table[TOY_TABLE_SIZE];
    code = toy_documents_table(work, collection, table, error);
    if (code == FH_OK)
        *ret = (int64_t)json_object_size(toy_table(work, table));
    return finish(work, code, error);
}

static enum fh_code clear_documents(struct store *store, const char *collection,
                                    struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code != FH_OK)
        return code;
    char table[TOY_TABLE_SIZE];
    code = toy_documents_table(work, collection, table, error);
    if (code == FH_OK)
        code = toy_remove(work, table, NULL, NULL, error);
    return finish(work, code, error);
}

static enum fh_code insert_documents(struct store *store, const char *collection,
                                     const json_t *list, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code != FH_OK)
        return code;
    size_t index;
    json_t *document;
    json_array_foreach (list, index, document) {
        if (code == FH_OK)
            code = toy_documents.insert(work, collection, document, error);
    }
    return finish(work, code, error);
}

const struct copied_documents_ops toy_copied_documents = {
    .count = count_documents,
    .clear = clear_documents,
    .insert = insert_documents,
};
