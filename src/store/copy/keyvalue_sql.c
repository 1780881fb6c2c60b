/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of keys and values in SQLite's tables (keyvalue/engine.c). Each slice is read in a unit of
 * work of its own and copied out of it, since its use may take long. */

#include <string.h>

#include "base/arena.h"
#include "store/copy/keyvalue.h"
#include "store/keyvalue/engine.h"

#define SLICE_SIZE_MAX ((size_t)8 << 20) /* of texts; one more may exceed it */

struct slice {
    struct arena arena;
    int count;
    size_t size;
    struct copied_part parts[COPIED_NAMES_MAX];
};

static struct slice *slice_new(void)
{
    struct slice *slice = calloc(1, sizeof *slice);
    FH_ASSERT(slice != NULL);
    arena_init(&slice->arena, SLICE_SIZE_MAX + 2 * (size_t)KEYVALUE_VALUE_SIZE_MAX);
    return slice;
}

static void slice_free(struct slice *slice)
{
    arena_release(&slice->arena);
    free(slice);
}

/* Rows of a name, and a text or a number. False stops: the slice is full. */
static bool take_key_row(void *context, const struct sql_row *row)
{
    struct slice *slice = context;
    const struct sql_value *value = row->count > 1 ? &row->values[1] : NULL;
    struct copied_part *part = &slice->parts[slice->count++];
    *part = (struct copied_part){
        .name = arena_copy(&slice->arena, row->values[0].text, row->values[0].length)};
    slice->size += row->values[0].length;
    if (value && value->kind == SQL_TEXT) {
        part->text = arena_copy(&slice->arena, value->text, value->length);
        slice->size += value->length;
    } else if (value) {
        part->score = value->integer;
    }
    return slice->count < COPIED_NAMES_MAX && slice->size < SLICE_SIZE_MAX;
}

static enum fh_code read_key_slice(struct store *store, const char *sql,
                                   const struct sql_value *values, int count, sql_visit *visit,
                                   void *context, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = sql_run(work, sql, values, count, visit, context, NULL, error);
    store_rollback(work);
    return code;
}

/* ---- Names ---- */

static enum fh_code sql_names(struct store *store, int64_t now_ms, copied_names *visit,
                              void *context, struct fh_error *error)
{
    static const char sql[] = "SELECT key FROM kv_key WHERE key > ?1 AND (ends IS NULL OR ends > "
                              "?2) ORDER BY key LIMIT ?3";
    char after[KEYVALUE_NAME_LENGTH_MAX + 1] = "";
    const char *names[COPIED_NAMES_MAX];
    struct slice *slice = slice_new();
    enum fh_code code;
    do {
        const struct sql_value values[] = {sql_text(after), sql_integer(now_ms),
                                           sql_integer(COPIED_NAMES_MAX)};
        arena_release(&slice->arena);
        slice->count = 0;
        slice->size = 0;
        code = read_key_slice(store, sql, values, 3, take_key_row, slice, error);
        for (int i = 0; i < slice->count; i++)
            names[i] = slice->parts[i].name;
        if (code == FH_OK && slice->count > 0) {
            snprintf(after, sizeof after, "%s", names[slice->count - 1]);
            code = visit(context, names, slice->count, error);
        }
    } while (code == FH_OK && slice->count > 0);
    slice_free(slice);
    return code;
}

/* ---- One key ---- */

struct head {
    struct copied_key key;
    int64_t number; /* 0: it does not exist */
    struct slice *slice;
};

static bool take_key_head(void *context, const struct sql_row *row)
{
    struct head *head = context;
    head->number = row->values[0].integer;
    head->key.kind = (enum keyvalue_kind)row->values[1].integer;
    head->key.ends_ms = row->values[3].integer; /* SQL's NULL: 0 */
    if (head->key.kind == KEYVALUE_VALUE)
        head->slice->parts[head->slice->count++].text =
            arena_copy(&head->slice->arena, row->values[2].text, row->values[2].length);
    return false;
}

/* Fields or members, slice by slice. */
static enum fh_code sql_keys_parts(struct store *store, struct head *head, copied_parts *visit,
                                   void *context, struct fh_error *error)
{
    const char *sql = head->key.kind == KEYVALUE_HASH
                          ? "SELECT field, value FROM kv_field WHERE number = ?1 AND field > ?2 "
                            "ORDER BY field LIMIT ?3"
                          : "SELECT member, score FROM kv_member WHERE number = ?1 AND member > ?2 "
                            "ORDER BY member LIMIT ?3";
    char after[KEYVALUE_NAME_LENGTH_MAX + 1] = "";
    struct slice *slice = head->slice;
    enum fh_code code;
    do {
        const struct sql_value values[] = {sql_integer(head->number), sql_text(after),
                                           sql_integer(COPIED_KEY_PARTS_MAX)};
        arena_release(&slice->arena);
        slice->count = 0;
        slice->size = 0;
        code = read_key_slice(store, sql, values, 3, take_key_row, slice, error);
        if (code == FH_OK && slice->count > 0) {
            snprintf(after, sizeof after, "%s", slice->parts[slice->count - 1].name);
            code = visit(context, &head->key, slice->parts, slice->count, error);
        }
    } while (code == FH_OK && slice->count > 0);
    return code;
}

static enum fh_code sql_keys_read(struct store *store, const char *name, int64_t now_ms,
                                  copied_parts *visit, void *context, struct fh_error *error)
{
    const struct sql_value values[] = {sql_text(name), sql_integer(now_ms)};
    struct head head = {.key = {.name = name}, .slice = slice_new()};
    enum fh_code code = read_key_slice(
        store,
        "SELECT number, kind, value, ends FROM kv_key WHERE key = ?1 AND (ends IS NULL "
        "OR ends > ?2)",
        values, 2, take_key_head, &head, error);
    if (code == FH_OK && !head.number)
        code = error_set(error, FH_NOT_FOUND, "There is no '%.100s'.", name);
    else if (code == FH_OK && head.key.kind == KEYVALUE_VALUE)
        code = visit(context, &head.key, head.slice->parts, 1, error);
    else if (code == FH_OK)
        code = sql_keys_parts(store, &head, visit, context, error);
    slice_free(head.slice);
    return code;
}

/* ---- Emptying ---- */

static enum fh_code sql_keys_empty(struct store *store, struct fh_error *error)
{
    static const char *const statements[] = {"DELETE FROM kv_key", "DELETE FROM kv_field",
                                             "DELETE FROM kv_member", "DELETE FROM kv_gone"};
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code != FH_OK)
        return code;
    for (int i = 0; i < 4 && code == FH_OK; i++)
        code = sql_run(work, statements[i], NULL, 0, NULL, NULL, NULL, error);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

/* ---- How many ---- */

static bool take_key_count(void *context, const struct sql_row *row)
{
    *(int64_t *)context = row->values[0].integer;
    return false;
}

static enum fh_code sql_keys_count(struct store *store, int64_t *ret, struct fh_error *error)
{
    *ret = 0;
    return read_key_slice(store, "SELECT count(*) FROM kv_key", NULL, 0, take_key_count, ret,
                          error);
}

const struct copied_keys_ops copied_keys_sql = {
    .names = sql_names, .count = sql_keys_count, .read = sql_keys_read, .empty = sql_keys_empty};
