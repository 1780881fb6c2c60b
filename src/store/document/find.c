/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding documents. One of these ways, the first that fits:
 *
 *     ids      the filter names the ids: each is fetched
 *     points   it names values of an indexed field: their keys' documents, in the order of ids
 *     walk     the sort is by one indexed field: its keys in order, from and to where the filter
 *              allows; a document is taken at the key that it sorts by
 *     range    the filter bounds an indexed field: the documents with keys between
 *     scan     all documents, in the order of ids
 *
 * The evaluator decides about each candidate. Where candidates come in the order that is wanted
 * the first `limit` that match are the answer, and the statement ends there. Otherwise the best
 * `limit` seen so far are kept, so memory is bounded by the limit, whatever the collection holds.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/document/engine.h"
#include "store/document/filter.h"
#include "store/document/rank.h"

#define SCANNED_MAX 100000               /* some 10 us each, in which the loop stands still */
#define FOUND_SIZE_MAX ((size_t)8 << 20) /* of all bodies together */

struct found {
    struct text rank;
    json_t *document; /* on the heap, whatever arena the work has */
    size_t size;
};

struct finder {
    struct store_work *work;
    const struct document_find *find;
    struct engine_collection collection;
    struct plan plan;

    struct rank_order order;
    struct text after_rank; /* without data: from the beginning */
    struct text after_key;  /* of a walk: the key at which the document to go on behind stands */

    bool in_order; /* candidates come by rank */
    bool walking;  /* a row's third column is the key at which it stands */
    struct found *found;
    int count;
    size_t size;
    int scanned;
    char last_id[DOCUMENT_ID_LENGTH_MAX + 1]; /* two points of one document follow each other */

    enum fh_code code;
    struct fh_error *error;
};

/* ---- Going on behind ------------------------------------------------------------------------- */

/* Where a walk has `document`. */
static enum fh_code walk_key(const struct finder *finder, const json_t *document, struct text *key,
                             struct fh_error *error)
{
    struct document_keys keys;
    enum fh_code code = document_keys_init(&keys, document, finder->order.fields[0].path, error);
    if (code)
        return code;
    int which = finder->order.descending ? keys.count - 1 : 0;
    text_append(key, document_key_bytes(&keys, which), keys.items[which].length);
    document_keys_release(&keys);
    return FH_OK;
}

/* The document to go on behind. By id alone it need not be there any more. */
static enum fh_code read_after(struct finder *finder, struct fh_error *error)
{
    const char *after = finder->find->after;
    if (!after)
        return FH_OK;
    if (finder->order.count == 0) {
        rank_id(&finder->order, after, strlen(after), &finder->after_rank);
        return FH_OK;
    }
    json_t *document;
    enum fh_code code =
        document_sql.get(finder->work, finder->collection.name, after, &document, error);
    if (code == FH_NOT_FOUND) {
        code = error_set(error, FH_INVALID, "There is no '%.100s' in %s to go on behind.", after,
                         finder->collection.name);
        if (error)
            snprintf(error->field, sizeof error->field, "after");
    }
    if (code)
        return code;
    code = rank_document(&finder->order, document, &finder->after_rank, error);
    if (!code && finder->order.count == 1)
        code = walk_key(finder, document, &finder->after_key, error);
    json_decref(document);
    return code;
}

/* ---- Candidates ------------------------------------------------------------------------------ */

static void found_release(struct finder *finder, int index)
{
    finder->size -= finder->found[index].size;
    json_decref(finder->found[index].document);
    text_release(&finder->found[index].rank);
}

static int found_place(const struct finder *finder, const struct text *rank, bool *ret_equal)
{
    int low = 0, high = finder->count;
    *ret_equal = false;
    while (low < high) {
        int middle = (low + high) / 2;
        const struct text *other = &finder->found[middle].rank;
        int order = document_key_compare(other->data, other->length, rank->data, rank->length);
        if (order == 0)
            *ret_equal = true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static enum fh_code keep(struct finder *finder, int place, struct text *rank, json_t *document,
                         size_t size, struct fh_error *error)
{
    if (finder->count == finder->find->limit)
        found_release(finder, --finder->count);
    memmove(&finder->found[place + 1], &finder->found[place],
            (size_t)(finder->count - place) * sizeof *finder->found);
    finder->found[place] = (struct found){*rank, json_incref(document), size};
    *rank = (struct text){0};
    finder->count++;
    finder->size += size;
    if (finder->size <= FOUND_SIZE_MAX)
        return FH_OK;
    error_set(error, FH_INVALID, "The documents found have more than %zu bytes: ask for fewer.",
              FOUND_SIZE_MAX);
    if (error)
        snprintf(error->field, sizeof error->field, "limit");
    return FH_INVALID;
}

/* Keeps the document if it is one of the first of those seen so far. */
static enum fh_code take(struct finder *finder, json_t *document, size_t size,
                         struct fh_error *error)
{
    struct text rank;
    text_init(&rank, RANK_SIZE_MAX);
    if (finder->in_order)
        return keep(finder, finder->count, &rank, document, size, error);
    enum fh_code code = rank_document(&finder->order, document, &rank, error);
    const struct text *after = &finder->after_rank;
    if (!code && (!after->data ||
                  document_key_compare(rank.data, rank.length, after->data, after->length) > 0)) {
        bool equal;
        int place = found_place(finder, &rank, &equal);
        if (!equal && place < finder->find->limit)
            code = keep(finder, place, &rank, document, size, error);
    }
    text_release(&rank);
    return code;
}

/* A walk meets a document at each of its keys and takes it at one of them. */
static bool stands_here(struct finder *finder, const json_t *document, const struct sql_value *key)
{
    struct text own;
    text_init(&own, DOCUMENT_KEY_SIZE_MAX);
    bool here = walk_key(finder, document, &own, finder->error) == FH_OK &&
                document_key_compare(own.data, own.length, key->text, key->length) == 0;
    text_release(&own);
    return here;
}

/* A sql_visit: id, body, and when walking key. */
static bool candidate(void *context, const struct sql_row *row)
{
    struct finder *finder = context;
    const struct sql_value *id = &row->values[0], *body = &row->values[1];
    if (strcmp(finder->last_id, id->text) == 0)
        return true;
    snprintf(finder->last_id, sizeof finder->last_id, "%s", id->text);
    if (++finder->scanned > SCANNED_MAX) {
        finder->code = error_set(finder->error, FH_UNSUPPORTED,
                                 "A find looked at %d documents of %s: it needs an index on what "
                                 "its filter or sort names.",
                                 SCANNED_MAX, finder->collection.name);
        return false;
    }
    json_t *document = NULL;
    finder->code = json_parse(body->text, body->length, &document, finder->error);
    if (!finder->code && document_matches_checked(document, finder->find->filter) &&
        (!finder->walking || stands_here(finder, document, &row->values[2])))
        finder->code = take(finder, document, body->length, finder->error);
    json_decref(document);
    return !finder->code && !(finder->in_order && finder->count == finder->find->limit);
}

static enum fh_code run(struct finder *finder, const char *sql, const struct sql_value *values,
                        int count)
{
    struct fh_error why = {0};
    enum fh_code code = sql_run(finder->work, sql, values, count, candidate, finder, NULL, &why);
    if (code && finder->error)
        *finder->error = why;
    return code ? code : finder->code;
}

static struct sql_value blob(const char *bytes, size_t length)
{
    return (struct sql_value){.kind = SQL_BLOB, .text = bytes, .length = length};
}

/* ---- The ways -------------------------------------------------------------------------------- */

static enum fh_code find_ids(struct finder *finder)
{
    char sql[ENGINE_SQL_SIZE];
    snprintf(sql, sizeof sql, "SELECT id, body FROM doc_%s WHERE id = ?1", finder->collection.name);
    enum fh_code code = FH_OK;
    for (int i = 0; i < finder->plan.id_count && !code; i++) {
        struct sql_value value = sql_text(finder->plan.ids[i]);
        code = run(finder, sql, &value, 1);
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
    finder->in_order = finder->order.count == 0;
    for (int i = 0; i < plan->point_count; i++) {
        values[count++] = blob(plan->points[i].data, plan->points[i].length);
        text_printf(&sql,
                    "%sSELECT k.id, d.body FROM key_%s k CROSS JOIN doc_%s d ON d.id = k.id "
                    "WHERE k.field = ?1 AND k.key = ?%d",
                    i ? " UNION ALL " : "", name, name, count);
        if (finder->in_order && after)
            text_printf(&sql, " AND k.id %s ?%d", finder->order.descending ? "<" : ">",
                        plan->point_count + 2);
    }
    if (finder->in_order && after)
        values[count++] = sql_text(after);
    text_printf(&sql, " ORDER BY 1%s", finder->order.descending ? " DESC" : "");
    FH_ASSERT(!sql.overflow);
    enum fh_code code = plan->point_count ? run(finder, sql.data, values, count) : FH_OK;
    text_release(&sql);
    return code;
}

static bool see_row(void *context, const struct sql_row *row)
{
    (void)row;
    *(bool *)context = true;
    return false;
}

/* Whether any document has several keys in an index. Only where none has is it implied that one
 * key lies between both bounds of a range. */
static enum fh_code has_many(struct finder *finder, int field, bool *ret)
{
    static const char many[] = {(char)DOCUMENT_KEY_MANY};
    char sql[ENGINE_SQL_SIZE];
    const struct sql_value values[] = {sql_text(finder->collection.fields[field]), blob(many, 1)};
    *ret = false;
    snprintf(sql, sizeof sql, "SELECT 1 FROM key_%s WHERE field = ?1 AND key = ?2 LIMIT 1",
             finder->collection.name);
    return sql_run(finder->work, sql, values, 2, see_row, ret, NULL, finder->error);
}

struct bounds {
    char low_kind[1], high_kind[1];
    struct sql_value low, high; /* low <= key < high */
};

/* All keys, or what `range` leaves of its kind's. */
static void bounds_init(struct bounds *bounds, const struct plan_range *range)
{
    bounds->low_kind[0] = (char)(range && range->kind ? range->kind : DOCUMENT_KEY_EMPTY);
    bounds->high_kind[0] = (char)(range && range->kind ? range->kind + 1 : DOCUMENT_KEY_END);
    bounds->low = range && range->low.data ? blob(range->low.data, range->low.length)
                                           : blob(bounds->low_kind, 1);
    bounds->high = range && range->high.data ? blob(range->high.data, range->high.length)
                                             : blob(bounds->high_kind, 1);
}

static int compare_blobs(const struct sql_value *left, const struct text *right)
{
    return document_key_compare(left->text, left->length, right->data, right->length);
}

/* From one end to the other; ids are never empty, so (key, '') stands before all of its key. */
static enum fh_code find_between(struct finder *finder, int field, const struct bounds *bounds)
{
    char sql[ENGINE_SQL_SIZE];
    const char *name = finder->collection.name;
    bool down = finder->order.descending && finder->walking;
    const struct text *after_key = &finder->after_key;
    struct sql_value from = down ? bounds->high : bounds->low, from_id = sql_text("");
    if (finder->walking && after_key->data) {
        int order = compare_blobs(&from, after_key);
        if (down ? order > 0 : order <= 0) {
            from = blob(after_key->data, after_key->length);
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
    return run(finder, sql, values, 4);
}

static enum fh_code find_walk(struct finder *finder, int field)
{
    const struct plan_range *range = &finder->plan.ranges[field];
    struct bounds bounds;
    bool many = false;
    enum fh_code code = range->kind ? has_many(finder, field, &many) : FH_OK;
    if (code)
        return code;
    finder->in_order = finder->walking = true;
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
    finder->in_order = finder->order.count == 0;
    bool behind = finder->in_order && finder->find->after;
    snprintf(sql, sizeof sql, "SELECT id, body FROM doc_%s%s ORDER BY id%s",
             finder->collection.name,
             !behind                    ? ""
             : finder->order.descending ? " WHERE id < ?1"
                                        : " WHERE id > ?1",
             finder->order.descending ? " DESC" : "");
    return run(finder, sql, &after, behind);
}

static enum fh_code find_candidates(struct finder *finder)
{
    const struct plan *plan = &finder->plan;
    if (plan->by_id)
        return find_ids(finder);
    if (plan->points_field >= 0)
        return find_points(finder);
    if (finder->order.count == 1) {
        int field = engine_field(&finder->collection, finder->order.fields[0].path);
        if (field >= 0)
            return find_walk(finder, field);
    }
    for (int i = 0; i < ENGINE_INDEXES_MAX; i++)
        if (plan->ranges[i].kind)
            return find_range(finder, i);
    return find_scan(finder);
}

/* ---- The whole ------------------------------------------------------------------------------- */

static enum fh_code answer(const struct finder *finder, json_t **ret, struct fh_error *error)
{
    json_t *list = json_array();
    bool fits = list != NULL;
    for (int i = 0; i < finder->count && fits; i++) {
        json_t *copy = json_deep_copy(finder->found[i].document);
        fits = copy && json_array_append_new(list, copy) == 0;
    }
    if (!fits) {
        json_decref(list);
        return error_set(error, FH_NO_MEMORY, "The documents found do not fit into the work.");
    }
    *ret = list;
    return FH_OK;
}

static enum fh_code check_find(const struct document_find *find, struct fh_error *error)
{
    if (find->limit >= 1 && find->limit <= DOCUMENTS_MAX)
        return document_filter_check(find->filter, error);
    error_set(error, FH_INVALID, "A find's limit is from 1 to %d, not %d.", DOCUMENTS_MAX,
              find->limit);
    if (error)
        snprintf(error->field, sizeof error->field, "limit");
    return FH_INVALID;
}

enum fh_code engine_find(struct store_work *work, const char *name,
                         const struct document_find *find, json_t **ret, struct fh_error *error)
{
    struct finder finder = {.work = work, .find = find, .error = error};
    *ret = NULL;
    enum fh_code code = check_find(find, error);
    if (!code)
        code = engine_collection_read(work, name, &finder.collection, error);
    if (!code)
        code = rank_order_read(&finder.order, find->sort, error);
    if (code)
        return code;
    text_init(&finder.after_rank, RANK_SIZE_MAX);
    text_init(&finder.after_key, DOCUMENT_KEY_SIZE_MAX);
    finder.found = calloc((size_t)find->limit, sizeof *finder.found);
    FH_ASSERT(finder.found != NULL);
    /* Candidates are many and a work's arena is bounded, so they live on the heap. */
    struct arena *arena = json_arena_set(NULL);
    plan_init(&finder.plan, &finder.collection, find->filter);
    code = read_after(&finder, error);
    if (!code)
        code = find_candidates(&finder);
    json_arena_set(arena);
    if (!code)
        code = answer(&finder, ret, error);
    while (finder.count)
        found_release(&finder, --finder.count);
    free(finder.found);
    plan_release(&finder.plan);
    text_release(&finder.after_rank);
    text_release(&finder.after_key);
    return code;
}
