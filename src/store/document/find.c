/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds documents, in the first of these ways that fits:
 *
 *     ids      the filter names the ids: each is fetched
 *     points   it names values of an indexed field: their keys' documents, in the order of ids
 *     walk     the sort is by one indexed field: its keys in order, within the filter's bounds;
 *              a document is taken at the key that it sorts by
 *     range    the filter bounds an indexed field: the documents with keys within the bounds
 *     scan     all documents, in the order of ids
 *
 * The evaluator decides on each candidate. Where candidates come in the wanted order, the first
 * `limit` that match are the result, and the statement is stopped there. Otherwise the best `limit`
 * seen so far are kept, so memory is bounded by the limit, whatever the collection holds.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/document/engine.h"
#include "store/document/filter.h"
#include "store/document/page.h"

struct finder {
    struct store_work *work;
    const struct document_find *find;
    struct engine_collection collection;
    struct plan plan;

    struct page page;
    struct text after_key; /* in a walk: the key of the document to continue after */
    bool walking;          /* a row's third column is the key at which it was found */
    char last_id[DOCUMENT_ID_LENGTH_MAX + 1]; /* one document's rows may be consecutive */

    enum fh_code code;
    struct fh_error *error;
};

/* ---- Continuing after a document ---- */

/* The key at which a walk takes `document`. */
static enum fh_code walk_key(const struct finder *finder, const json_t *document, struct text *key,
                             struct fh_error *error)
{
    struct document_keys keys;
    enum fh_code code =
        document_keys_init(&keys, document, finder->page.order.fields[0].path, error);
    if (code)
        return code;
    int which = finder->page.order.descending ? keys.count - 1 : 0;
    text_append(key, document_key_bytes(&keys, which), keys.items[which].length);
    document_keys_release(&keys);
    return FH_OK;
}

/* Reads the document to continue after. If only ids are compared, it need not exist any more. */
static enum fh_code read_after_sql(struct finder *finder, struct fh_error *error)
{
    const char *after = finder->find->after;
    page_after_id(&finder->page);
    if (!after || finder->page.order.count == 0)
        return FH_OK;
    json_t *document = NULL;
    enum fh_code code = engine_get(finder->work, finder->collection.name, after, &document, error);
    if (!code || code == FH_NOT_FOUND)
        code = page_after(&finder->page, finder->collection.name, document, error);
    if (!code && finder->page.order.count == 1)
        code = walk_key(finder, document, &finder->after_key, error);
    json_decref(document);
    return code;
}

/* ---- Candidates ---- */

/* A walk meets a document at each of its keys and takes it only at the one it sorts by. */
static bool stands_here(struct finder *finder, const json_t *document, const struct sql_value *key)
{
    struct text own;
    text_init(&own, DOCUMENT_KEY_SIZE_MAX);
    bool here = walk_key(finder, document, &own, finder->error) == FH_OK &&
                document_key_compare(own.data, own.length, key->text, key->length) == 0;
    text_release(&own);
    return here;
}

/* A sql_visit: id, body, and in a walk the key. */
static bool see_candidate(void *context, const struct sql_row *row)
{
    struct finder *finder = context;
    const struct sql_value *id = &row->values[0], *body = &row->values[1];
    if (strcmp(finder->last_id, id->text) == 0)
        return true;
    snprintf(finder->last_id, sizeof finder->last_id, "%s", id->text);
    finder->code = page_scanned(&finder->page, finder->collection.name, finder->error);
    if (finder->code)
        return false;
    json_t *document = NULL;
    finder->code = json_parse(body->text, body->length, &document, finder->error);
    if (!finder->code && document_matches_checked(document, finder->find->filter) &&
        (!finder->walking || stands_here(finder, document, &row->values[2])))
        finder->code = page_take(&finder->page, document, body->length, finder->error);
    json_decref(document);
    return !finder->code && !page_is_full(&finder->page);
}

static enum fh_code finder_run(struct finder *finder, const char *sql,
                               const struct sql_value *values, int count)
{
    struct fh_error why = {0};
    enum fh_code code =
        sql_run(finder->work, sql, values, count, see_candidate, finder, NULL, &why);
    if (code && finder->error)
        *finder->error = why;
    return code ? code : finder->code;
}

static struct sql_value sql_blob(const char *bytes, size_t length)
{
    return (struct sql_value){.kind = SQL_BLOB, .text = bytes, .length = length};
}

/* ---- The ways ---- */

static enum fh_code find_ids(struct finder *finder)
{
    char sql[ENGINE_SQL_SIZE];
    snprintf(sql, sizeof sql, "SELECT id, body FROM doc_%s WHERE id = ?1", finder->collection.name);
    enum fh_code code = FH_OK;
    for (int i = 0; i < finder->plan.id_count && !code; i++) {
        struct sql_value value = sql_text(finder->plan.ids[i]);
        code = finder_run(finder, sql, &value, 1);
    }
    return code;
}

static enum fh_code find_points(struct finder *finder)
{
    const struct plan *plan = &finder->plan;
    const char *name = finder->collection.name, *after = finder->find->after;
    struct sql_value values[PLAN_POINTS_MAX + 2];
    struct text sql;
    int count = 0;
    text_init(&sql, ENGINE_SQL_SIZE);
    values[count++] = sql_text(finder->collection.fields[plan->points_field]);
    finder->page.in_order = finder->page.order.count == 0;
    for (int i = 0; i < plan->point_count; i++) {
        values[count++] = sql_blob(plan->points[i].data, plan->points[i].length);
        text_printf(&sql,
                    "%sSELECT k.id, d.body FROM key_%s k CROSS JOIN doc_%s d ON d.id = k.id "
                    "WHERE k.field = ?1 AND k.key = ?%d",
                    i ? " UNION ALL " : "", name, name, count);
        if (finder->page.in_order && after)
            text_printf(&sql, " AND k.id %s ?%d", finder->page.order.descending ? "<" : ">",
                        plan->point_count + 2);
    }
    if (finder->page.in_order && after)
        values[count++] = sql_text(after);
    text_printf(&sql, " ORDER BY 1%s", finder->page.order.descending ? " DESC" : "");
    FH_ASSERT(!sql.overflow);
    enum fh_code code = plan->point_count ? finder_run(finder, sql.data, values, count) : FH_OK;
    text_release(&sql);
    return code;
}

static bool note_found_row(void *context, const struct sql_row *row)
{
    (void)row;
    *(bool *)context = true;
    return false;
}

/* Whether any document has several keys in an index. Only if none has must one key lie within both
 * bounds of a range. */
static enum fh_code has_many(struct finder *finder, int field, bool *ret)
{
    static const char many[] = {(char)DOCUMENT_KEY_MANY};
    char sql[ENGINE_SQL_SIZE];
    const struct sql_value values[] = {sql_text(finder->collection.fields[field]),
                                       sql_blob(many, 1)};
    *ret = false;
    snprintf(sql, sizeof sql, "SELECT 1 FROM key_%s WHERE field = ?1 AND key = ?2 LIMIT 1",
             finder->collection.name);
    return sql_run(finder->work, sql, values, 2, note_found_row, ret, NULL, finder->error);
}

struct bounds {
    char low_kind[1], high_kind[1];
    struct sql_value low, high; /* low <= key < high */
};

/* The bounds of all keys, or of `range` and the keys of its kind. */
static void bounds_init(struct bounds *bounds, const struct plan_range *range)
{
    bounds->low_kind[0] = (char)(range && range->kind ? range->kind : DOCUMENT_KEY_EMPTY);
    bounds->high_kind[0] = (char)(range && range->kind ? range->kind + 1 : DOCUMENT_KEY_END);
    bounds->low = range && range->low.data ? sql_blob(range->low.data, range->low.length)
                                           : sql_blob(bounds->low_kind, 1);
    bounds->high = range && range->high.data ? sql_blob(range->high.data, range->high.length)
                                             : sql_blob(bounds->high_kind, 1);
}

static int compare_blobs(const struct sql_value *left, const struct text *right)
{
    return document_key_compare(left->text, left->length, right->data, right->length);
}

/* From one bound to the other; ids are never empty, so (key, '') comes before all rows of its
 * key. */
static enum fh_code find_between(struct finder *finder, int field, const struct bounds *bounds)
{
    char sql[ENGINE_SQL_SIZE];
    const char *name = finder->collection.name;
    bool down = finder->page.order.descending && finder->walking;
    const struct text *after_key = &finder->after_key;
    struct sql_value from = down ? bounds->high : bounds->low, from_id = sql_text("");
    if (finder->walking && after_key->data) {
        int order = compare_blobs(&from, after_key);
        if (down ? order > 0 : order <= 0) {
            from = sql_blob(after_key->data, after_key->length);
            from_id = sql_text(finder->find->after);
        }
    }
    snprintf(sql, sizeof sql,
             "SELECT k.id, d.body, k.key FROM key_%s k CROSS JOIN doc_%s d ON d.id = k.id WHERE "
             "k.field = ?1 AND (k.key, k.id) %s (?2, ?3) AND k.key %s ?4 ORDER BY k.key%s, k.id%s",
             name, name, down ? "<" : ">", down ? ">=" : "<", down ? " DESC" : "",
             down ? " DESC" : "");
    const struct sql_value values[] = {sql_text(finder->collection.fields[field]), from, from_id,
                                       down ? bounds->low : bounds->high};
    return finder_run(finder, sql, values, 4);
}

static enum fh_code find_walk(struct finder *finder, int field)
{
    const struct plan_range *range = &finder->plan.ranges[field];
    struct bounds bounds;
    bool many = false;
    enum fh_code code = range->kind ? has_many(finder, field, &many) : FH_OK;
    if (code)
        return code;
    finder->page.in_order = finder->walking = true;
    bounds_init(&bounds, many ? NULL : range);
    return find_between(finder, field, &bounds);
}

static enum fh_code find_range(struct finder *finder, int field)
{
    struct plan_range range = finder->plan.ranges[field];
    struct bounds bounds;
    bool many = false;
    enum fh_code code = range.low.data && range.high.data ? has_many(finder, field, &many) : FH_OK;
    if (code)
        return code;
    if (many)
        range.high = (struct text){0};
    bounds_init(&bounds, &range);
    return find_between(finder, field, &bounds);
}

static enum fh_code find_scan(struct finder *finder)
{
    char sql[ENGINE_SQL_SIZE];
    struct sql_value after = sql_text(finder->find->after);
    finder->page.in_order = finder->page.order.count == 0;
    bool continues = finder->page.in_order && finder->find->after;
    snprintf(sql, sizeof sql, "SELECT id, body FROM doc_%s%s ORDER BY id%s",
             finder->collection.name,
             !continues                      ? ""
             : finder->page.order.descending ? " WHERE id < ?1"
                                             : " WHERE id > ?1",
             finder->page.order.descending ? " DESC" : "");
    return finder_run(finder, sql, &after, continues);
}

static enum fh_code find_candidates(struct finder *finder)
{
    const struct plan *plan = &finder->plan;
    if (plan->by_id)
        return find_ids(finder);
    if (plan->points_field >= 0)
        return find_points(finder);
    if (finder->page.order.count == 1) {
        int field = engine_field(&finder->collection, finder->page.order.fields[0].path);
        if (field >= 0)
            return find_walk(finder, field);
    }
    for (int i = 0; i < ENGINE_INDEXES_MAX; i++)
        if (plan->ranges[i].kind)
            return find_range(finder, i);
    return find_scan(finder);
}

/* ---- Everything ---- */

enum fh_code engine_find(struct store_work *work, const char *name,
                         const struct document_find *find, json_t **ret, struct fh_error *error)
{
    struct finder finder = {.work = work, .find = find, .error = error};
    *ret = NULL;
    enum fh_code code = page_init(&finder.page, find, error);
    if (!code)
        code = engine_collection_read(work, name, &finder.collection, error);
    if (code) {
        page_release(&finder.page);
        return code;
    }
    text_init(&finder.after_key, DOCUMENT_KEY_SIZE_MAX);
    /* There are many candidates, and a unit of work's arena is bounded, so they are on the heap. */
    struct arena *arena = json_arena_set(NULL);
    plan_init(&finder.plan, &finder.collection, find->filter);
    code = read_after_sql(&finder, error);
    if (!code)
        code = find_candidates(&finder);
    json_arena_set(arena);
    if (!code)
        code = page_answer(&finder.page, ret, error);
    page_release(&finder.page);
    plan_release(&finder.plan);
    text_release(&finder.after_key);
    return code;
}
