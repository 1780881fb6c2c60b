/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of the ledger as documents: a table is a collection with fh_ before its name, an id the
 * document's _id. A unit of work reads them through mongodb_get and mongodb_find, and so sees its
 * own changes. A range is one find with a filter, or several if all are wanted.
 */

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "engine/mongodb/internal.h"

#define SLICE 500 /* documents read at once */
#define NAME_SIZE 64

static void collection_name(char collection[static NAME_SIZE], const char *table)
{
    snprintf(collection, NAME_SIZE, "fh_%s", table);
}

static enum fh_code mongodb_record_get(struct store_work *work, const char *table, const char *id,
                                       json_t **ret, struct fh_error *error)
{
    char collection[NAME_SIZE];
    collection_name(collection, table);
    return mongodb_get(work, collection, id, ret, error);
}

static enum fh_code mongodb_record_put(struct store_work *work, const char *table, const char *id,
                                       json_t *record, struct fh_error *error)
{
    char collection[NAME_SIZE];
    collection_name(collection, table);
    return mongodb_put(work, collection, id, record, error);
}

static enum fh_code mongodb_record_get_ahead(struct store_work *work, const char *table,
                                             const char *const *ids, int count,
                                             struct fh_error *error)
{
    char collection[NAME_SIZE];
    collection_name(collection, table);
    return mongodb_get_ahead(work, collection, ids, count, error);
}

/* ---- Filters ---- */

static const struct {
    const char *statuses[5];
    bool tells_closed;
    int closed;
} sagas_of[RECORDS_OF_SERVICE + 1] = {
    [RECORDS_OPEN] = {.statuses = {"running", "compensating", "parked"}},
    [RECORDS_OVER] = {.statuses = {"ended", "undone", "abandoned"}},
    [RECORDS_AT_REST] = {.statuses = {"ended", "undone", "parked", "abandoned"}},
    [RECORDS_UNCLOSED] = {{"ended", "undone", "abandoned"}, true, 0},
    [RECORDS_CLOSED] = {{"ended", "undone", "abandoned"}, true, 1},
};

/* Ids that begin with `within` and a separator. */
static json_t *ids_within(const char *within)
{
    char low[RECORD_ID_SIZE + 2], high[RECORD_ID_SIZE + 2];
    snprintf(low, sizeof low, "%s" RECORD_SEPARATOR, within);
    snprintf(high, sizeof high, "%s ", within);
    return record_pack("{s:s, s:s}", "$gt", low, "$lt", high);
}

static void add_equal(json_t *filter, const struct record_field *field)
{
    if (field->value)
        json_object_set_new(filter, field->name, json_string(field->value));
}

static json_t *statuses_in(enum record_list list)
{
    json_t *statuses = json_array();
    for (int i = 0; sagas_of[list].statuses[i]; i++)
        json_array_append_new(statuses, json_string(sagas_of[list].statuses[i]));
    return statuses;
}

/* NULL: all. */
static json_t *filter_of(const struct record_range *range)
{
    struct arena *arena = json_arena_set(NULL);
    json_t *filter = json_object();
    bool of_client = range->list == RECORDS_OF_CLIENT;
    if (range->within)
        json_object_set_new(filter, "id", ids_within(range->within));
    if (sagas_of[range->list].statuses[0])
        json_object_set_new(filter, "status", json_pack("{s:o}", "$in", statuses_in(range->list)));
    if (sagas_of[range->list].tells_closed)
        json_object_set_new(filter, "closed", json_integer(sagas_of[range->list].closed));
    if (of_client)
        json_object_set_new(filter, "birth", json_string(""));
    if (range->list == RECORDS_OF_SERVICE)
        json_object_set_new(filter, "birth", json_pack("{s:s}", "$ne", ""));
    for (int i = 0; i < 3; i++)
        add_equal(filter, &range->fields[i]);
    add_equal(filter, &range->also);
    if (range->below)
        json_object_set_new(filter, of_client ? "created_ms" : "number",
                            json_pack("{s:I}", "$lt", (json_int_t)range->below));
    if (range->before_ms)
        json_object_set_new(filter, "updated_ms",
                            json_pack("{s:I}", "$lt", (json_int_t)range->before_ms));
    if (json_object_size(filter) == 0) {
        json_decref(filter);
        filter = NULL;
    }
    json_arena_set(arena);
    return filter;
}

/* ---- Finding ---- */

/* Reads fewer if they are large: a find returns a few megabytes at most. */
static enum fh_code read_record_slice(struct store_work *work, const char *collection,
                                      struct document_find *find, bool looks, json_t **ret,
                                      struct fh_error *error)
{
    struct arena *arena = json_arena_set(NULL);
    struct fh_error why;
    enum fh_code code;
    for (;;) {
        code = looks ? mongodb_look(work, collection, find, ret, &why)
                     : mongodb_find(work, collection, find, ret, &why);
        if (code != FH_INVALID || strcmp(why.field, "limit") != 0 || find->limit == 1)
            break;
        find->limit = (find->limit + 3) / 4;
    }
    json_arena_set(arena);
    if (code && error)
        *error = why;
    return code;
}

/* `most`: as many as are wanted; 0: all. What is sorted otherwise than by ids ends with one slice.
 */
static enum fh_code visit_slices(struct store_work *work, const char *collection,
                                 struct document_find *find, bool looks, int most,
                                 bool (*visit)(void *context, json_t *record), void *context,
                                 struct fh_error *error)
{
    char after[RECORD_ID_SIZE];
    enum fh_code code;
    bool goes_on = true;
    int seen = 0;
    do {
        json_t *list, *document;
        size_t index;
        if (most && most - seen < find->limit)
            find->limit = most - seen;
        code = read_record_slice(work, collection, find, looks, &list, error);
        json_array_foreach (list, index, document) {
            snprintf(after, sizeof after, "%s", record_text(document, "id"));
            goes_on = goes_on && visit(context, document);
        }
        seen += (int)json_array_size(list);
        goes_on =
            goes_on && seen != most && !find->sort && json_array_size(list) == (size_t)find->limit;
        find->after = after;
        json_decref(list);
    } while (goes_on && !code);
    return code;
}

static enum fh_code mongodb_record_each(struct store_work *work, const struct record_range *range,
                                        bool (*visit)(void *context, json_t *record), void *context,
                                        struct fh_error *error)
{
    char collection[NAME_SIZE];
    json_t *filter = filter_of(range),
           *sort = range->last_first ? record_pack("{s:i}", "id", -1) : NULL;
    struct document_find find = {.filter = filter,
                                 .sort = sort,
                                 .after = range->after,
                                 .limit = range->limit ? range->limit : SLICE};
    collection_name(collection, range->table);
    enum fh_code code =
        visit_slices(work, collection, &find, range->looks, range->limit, visit, context, error);
    json_decref(sort);
    json_decref(filter);
    return code;
}

/* ---- Removing ---- */

static enum fh_code mongodb_record_clear(struct store_work *work, const char *table,
                                         const char *within, struct fh_error *error)
{
    char collection[NAME_SIZE];
    collection_name(collection, table);
    return mongodb_remove_range(work, collection, record_pack("{s:o}", "_id", ids_within(within)),
                                error);
}

/* A retry of a parked event reads its key's document first: so keys are removed one by one, for the
 * two to conflict; and the events of the keys as one range. */
static enum fh_code mongodb_parked_clear(struct store_work *work, const char *source,
                                         const char *share, struct fh_error *error)
{
    struct record_range range = {.table = "parked_key",
                                 .fields = {{"source", source}, {"share", share}}};
    json_t *keys, *key;
    size_t index;
    enum fh_code code = records_gather(work, &range, &keys, error);
    json_array_foreach (keys, index, key) {
        if (!code)
            code = mongodb_record_put(work, "parked_key", record_text(key, "id"), NULL, error);
    }
    if (!code && json_array_size(keys) > 0)
        code = mongodb_remove_range(
            work, "fh_parked", record_pack("{s:s, s:s}", "source", source, "share", share), error);
    json_decref(keys);
    return code;
}

/* In the server's terms: the server removes them, once the closing is committed. */
static enum fh_code mongodb_commands_close(struct store_work *work, const char *caller,
                                           const char *birth, int64_t through,
                                           const json_t *still_open, struct fh_error *error)
{
    json_t *commands = record_pack("{s:s, s:s, s:{s:s}, s:{s:I, s:O}}", "caller", caller, "birth",
                                   birth, "outcome", "$ne", "pending", "number", "$lte",
                                   (json_int_t)through, "$nin", still_open);
    return mongodb_remove_range(work, MONGODB_COMMANDS, commands, error);
}

static enum fh_code mongodb_outbox_clear(struct store_work *work, int64_t through,
                                         struct fh_error *error)
{
    return mongodb_remove_range(
        work, MONGODB_OUTBOX, record_pack("{s:{s:I}}", "_id", "$lte", (json_int_t)through), error);
}

const struct record_ops mongodb_records = {.numbers_steps = true,
                                           .get = mongodb_record_get,
                                           .get_ahead = mongodb_record_get_ahead,
                                           .put = mongodb_record_put,
                                           .each = mongodb_record_each,
                                           .clear = mongodb_record_clear,
                                           .outbox_clear = mongodb_outbox_clear,
                                           .commands_close = mongodb_commands_close,
                                           .key_places = mongodb_key_places,
                                           .parked_clear = mongodb_parked_clear};
