/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger on MongoDB: meta, outbox, subscribers, cursors and migrations. Collections and _ids
 * (parts stand behind each other with U+001F between them; numbers have 19 digits):
 *
 *     fh_meta           "incarnation", "format", ...; "counter" (position, epoch), "trimmed"
 *     fh_outbox         the position
 *     fh_place          an event's key                      its last position
 *     fh_subscriber     name, share
 *     fh_cursor         source, share
 *     fh_parked         source, share, position, key        fh_parked_key   source, share, key
 *     fh_command        caller, key
 *     fh_caller         caller, birth                       fh_caller_newest   caller
 *     fh_saga           birth, number                       fh_saga_step    birth, number, step,
 * element fh_lease          name                                fh_migration    version
 *     fh_collection     a declared collection               fh_work         a work
 * (mongodb_commit.c)
 *     fh_round          source, share
 *     fh_applied        source, share, type, key
 *
 * Events are given positions behind the commit (mongodb_carry.c). Rows beyond the counter are in no
 * outbox that anyone reads; the counter is in memory as long as it is this process's turn, because
 * no other one moves it then.
 */

#include "store/document/mongodb_ledger.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define FORMAT "1"
#define SLICE 500 /* documents read at once */

/* ---- Small things ---------------------------------------------------------------------------- */

enum fh_code mongodb_id(char id[static MONGODB_ID_SIZE], struct fh_error *error, const char *format,
                        ...)
{
    va_list parts;
    va_start(parts, format);
    int length = vsnprintf(id, MONGODB_ID_SIZE, format, parts);
    va_end(parts);
    if (length < MONGODB_ID_SIZE)
        return FH_OK;
    return error_set(error, FH_INVALID, "A key is too long for the store's ledger.");
}

const char *mongodb_text(const json_t *document, const char *name)
{
    return json_string_value(json_object_get(document, name));
}

int64_t mongodb_integer(const json_t *document, const char *name)
{
    return json_integer_value(json_object_get(document, name));
}

const char *mongodb_copy(struct arena *arena, const char *text)
{
    return text ? arena_text(arena, text) : NULL;
}

/* Fewer where they are large: a find answers a few megabytes at the most. */
static enum fh_code slice(struct store_work *work, const char *collection,
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

enum fh_code mongodb_some(struct store_work *work, const char *collection, json_t *filter,
                          int limit, bool descending, bool looks, json_t **ret,
                          struct fh_error *error)
{
    json_t *sort = descending ? mongodb_pack("{s:i}", "id", -1) : NULL;
    struct document_find find = {.filter = filter, .sort = sort, .limit = limit};
    enum fh_code code = slice(work, collection, &find, looks, ret, error);
    json_decref(sort);
    json_decref(filter);
    return code;
}

enum fh_code mongodb_each(struct store_work *work, const char *collection, json_t *filter,
                          bool (*visit)(void *context, const json_t *document), void *context,
                          struct fh_error *error)
{
    char after[MONGODB_ID_SIZE] = "";
    enum fh_code code = FH_OK;
    bool goes_on = true;
    while (goes_on && !code) {
        struct document_find find = {
            .filter = filter, .after = *after ? after : NULL, .limit = SLICE};
        json_t *list, *document;
        size_t index;
        code = slice(work, collection, &find, false, &list, error);
        json_array_foreach (list, index, document) {
            snprintf(after, sizeof after, "%s", mongodb_text(document, "id"));
            goes_on = goes_on && visit(context, document);
        }
        goes_on = goes_on && json_array_size(list) == (size_t)find.limit;
        json_decref(list);
    }
    json_decref(filter);
    return code;
}

enum fh_code mongodb_set(struct store_work *work, const char *collection, const char *id,
                         const json_t *before, json_t *values, struct fh_error *error)
{
    struct arena *arena = json_arena_set(NULL);
    json_t *after = before ? json_deep_copy(before) : json_object();
    FH_ASSERT(after && json_object_update(after, values) == 0);
    json_decref(values);
    json_arena_set(arena);
    return mongodb_put(work, collection, id, after, error);
}

/* ---- Meta ------------------------------------------------------------------------------------ */

enum fh_code mongodb_ledger_meta_get(struct store_work *work, const char *name, char *ret,
                                     size_t size, struct fh_error *error)
{
    json_t *document;
    ret[0] = '\0';
    enum fh_code code = mongodb_get(work, MONGODB_META, name, &document, error);
    const char *value = code ? NULL : mongodb_text(document, "value");
    snprintf(ret, size, "%s", value ? value : "");
    if (!code)
        json_decref(document);
    return code;
}

enum fh_code mongodb_ledger_meta_put(struct store_work *work, const char *name, const char *value,
                                     struct fh_error *error)
{
    return mongodb_put(work, MONGODB_META, name, mongodb_pack("{s:s}", "value", value), error);
}

enum fh_code mongodb_ledger_prepare(struct store_work *work, char ret_incarnation[ID_SIZE],
                                    struct fh_error *error)
{
    char format[8];
    enum fh_code code = mongodb_ledger_meta_get(work, "format", format, sizeof format, error);
    if (!code && *format && strcmp(format, FORMAT) != 0)
        return error_set(error, FH_UNSUPPORTED,
                         "The store's ledger has format %s; this program knows format " FORMAT ".",
                         format);
    if (!code)
        code = mongodb_ledger_meta_get(work, "incarnation", ret_incarnation, ID_SIZE, error);
    if (code || *ret_incarnation)
        return code;
    unsigned char random[10];
    world_random(work->store->world, random, sizeof random);
    id_format(ret_incarnation, world_wall_ms(work->store->world), random);
    code = mongodb_ledger_meta_put(work, "format", FORMAT, error);
    return code ? code : mongodb_ledger_meta_put(work, "incarnation", ret_incarnation, error);
}

enum fh_code mongodb_ledger_position(struct store_work *work, int64_t *ret, struct fh_error *error)
{
    json_t *counter = NULL;
    *ret = mongodb_of(work->store)->position;
    if (mongodb_of(work->store)->ours)
        return FH_OK;
    enum fh_code code = mongodb_get(work, MONGODB_META, "counter", &counter, error);
    if (!code && counter)
        *ret = mongodb_integer(counter, "position");
    json_decref(counter);
    return code;
}

/* ---- Outbox ---------------------------------------------------------------------------------- */

static json_t *event_json(const struct ledger_event *event)
{
    json_t *packed = mongodb_pack("{s:s, s:s, s:i, s:s, s:I, s:s}", "id", event->id, "type",
                                  event->type, "version", event->version, "key", event->key,
                                  "time_ms", (json_int_t)event->time_ms, "data", event->data);
    struct arena *arena = json_arena_set(NULL);
    if (event->trace)
        json_object_set_new(packed, "trace", json_string(event->trace));
    json_arena_set(arena);
    return packed;
}

enum fh_code mongodb_ledger_outbox_append(struct store_work *work, struct ledger_event *events,
                                          struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (struct ledger_event *event = events; event && !code; event = event->next) {
        event->position = event->previous = 0;
        code = mongodb_add_event(work, event_json(event), error);
    }
    return code;
}

struct rows {
    struct mongodb_visit visit; /* first */
    bson_t *rows[SLICE];
    int count;
};

static bool take_row(struct mongodb_visit *visit, const bson_t *row)
{
    struct rows *rows = (struct rows *)visit;
    rows->rows[rows->count++] = mongoc.bson_copy(row);
    return rows->count < SLICE;
}

/* The rows with positions from `first` to `last`, as many as go into a slice. */
static enum fh_code read_rows(struct store_work *work, int64_t first, int64_t last,
                              struct rows *rows, struct fh_error *error)
{
    bson_t filter, options, part;
    mongoc.bson_init(&filter);
    mongoc.bson_init(&options);
    mongoc.bson_append_document_begin(&filter, "_id", -1, &part);
    mongoc.bson_append_int64(&part, "$gte", -1, first);
    mongoc.bson_append_int64(&part, "$lte", -1, last);
    mongoc.bson_append_document_end(&filter, &part);
    mongoc.bson_append_document_begin(&options, "sort", -1, &part);
    mongoc.bson_append_int64(&part, "_id", -1, 1);
    mongoc.bson_append_document_end(&options, &part);
    mongoc.bson_append_int64(&options, "limit", -1, SLICE);
    rows->visit = (struct mongodb_visit){
        .collection = MONGODB_OUTBOX, .filter = &filter, .options = &options, .visit = take_row};
    rows->count = 0;
    enum fh_code code = mongodb_visit(mongodb_of(work->store), &rows->visit, error);
    mongoc.bson_destroy(&filter);
    mongoc.bson_destroy(&options);
    return code;
}

static const char *row_text(const bson_t *row, const char *name)
{
    bson_iter_t at;
    return mongoc.bson_iter_init_find(&at, row, name) ? mongoc.bson_iter_utf8(&at, NULL) : NULL;
}

static int64_t row_integer(const bson_t *row, const char *name)
{
    bson_iter_t at;
    return mongoc.bson_iter_init_find(&at, row, name) ? mongoc.bson_iter_int64(&at) : 0;
}

struct reading {
    bool (*visit)(void *context, const struct ledger_event *event);
    void *context;
    int64_t next; /* the position that must come */
    int left;
    bool goes_on;
};

/* Positions are dense: where one is missing, it was trimmed since the reader was judged. */
static enum fh_code visit_row(struct reading *reading, const bson_t *row, struct fh_error *error)
{
    struct ledger_event event = {.position = row_integer(row, "_id"),
                                 .previous = row_integer(row, "prev"),
                                 .time_ms = row_integer(row, "time_ms"),
                                 .version = (int)row_integer(row, "version"),
                                 .id = row_text(row, "event_id"),
                                 .type = row_text(row, "type"),
                                 .key = row_text(row, "key"),
                                 .data = row_text(row, "data"),
                                 .trace = row_text(row, "trace")};
    if (event.position != reading->next)
        return error_set(error, FH_UNAVAILABLE, "The event at %" PRId64 " was trimmed meanwhile.",
                         reading->next);
    reading->next++;
    reading->goes_on = reading->visit(reading->context, &event) && --reading->left > 0;
    return FH_OK;
}

enum fh_code mongodb_ledger_outbox_read(struct store_work *work, int64_t after, int limit,
                                        bool (*visit)(void *context,
                                                      const struct ledger_event *event),
                                        void *context, struct fh_error *error)
{
    int64_t last;
    struct reading reading = {visit, context, after + 1, limit, limit > 0};
    struct rows *rows = malloc(sizeof *rows);
    FH_ASSERT(rows != NULL);
    enum fh_code code = mongodb_ledger_position(work, &last, error);
    while (!code && reading.goes_on && reading.next <= last) {
        int64_t behind = reading.next + reading.left - 1;
        code = read_rows(work, reading.next, behind < last ? behind : last, rows, error);
        if (!code && rows->count == 0)
            code = error_set(error, FH_UNAVAILABLE,
                             "The event at %" PRId64 " was trimmed meanwhile.", reading.next);
        for (int i = 0; i < rows->count; i++) {
            if (!code && reading.goes_on)
                code = visit_row(&reading, rows->rows[i], error);
            mongoc.bson_destroy(rows->rows[i]);
        }
    }
    free(rows);
    return code;
}

enum fh_code mongodb_ledger_outbox_id_at(struct store_work *work, int64_t position,
                                         char ret_id[ID_SIZE], struct fh_error *error)
{
    struct rows *rows = malloc(sizeof *rows);
    FH_ASSERT(rows != NULL);
    ret_id[0] = '\0';
    int64_t last;
    enum fh_code code = mongodb_ledger_position(work, &last, error);
    if (!code && position <= last) {
        code = read_rows(work, position, position, rows, error);
        for (int i = 0; i < rows->count; i++) {
            snprintf(ret_id, ID_SIZE, "%s", row_text(rows->rows[i], "event_id"));
            mongoc.bson_destroy(rows->rows[i]);
        }
    }
    free(rows);
    return code;
}

enum fh_code mongodb_ledger_outbox_trimmed(struct store_work *work, int64_t *ret_position,
                                           char ret_id[ID_SIZE], struct fh_error *error)
{
    json_t *trimmed;
    *ret_position = 0;
    ret_id[0] = '\0';
    enum fh_code code = mongodb_get(work, MONGODB_META, "trimmed", &trimmed, error);
    if (!code && trimmed) {
        *ret_position = mongodb_integer(trimmed, "position");
        snprintf(ret_id, ID_SIZE, "%s", mongodb_text(trimmed, "event_id"));
        json_decref(trimmed);
    }
    return code;
}

enum fh_code mongodb_ledger_outbox_trim(struct store_work *work, int64_t position, int limit,
                                        int64_t *ret_removed, struct fh_error *error)
{
    int64_t trimmed, last;
    char id[ID_SIZE];
    *ret_removed = 0;
    enum fh_code code = mongodb_ledger_position(work, &last, error);
    if (!code)
        code = mongodb_ledger_outbox_trimmed(work, &trimmed, id, error);
    if (code)
        return code;
    if (position > last)
        position = last;
    int64_t through = position - trimmed > limit ? trimmed + limit : position;
    if (code || through <= trimmed)
        return code;
    code = mongodb_ledger_outbox_id_at(work, through, id, error);
    if (!code)
        code = mongodb_put(
            work, MONGODB_META, "trimmed",
            mongodb_pack("{s:I, s:s}", "position", (json_int_t)through, "event_id", id), error);
    if (!code)
        code = mongodb_remove_range(work, MONGODB_OUTBOX,
                                    mongodb_pack("{s:{s:I}}", "_id", "$lte", (json_int_t)through),
                                    error);
    if (!code)
        *ret_removed = through - trimmed;
    return code;
}

enum fh_code mongodb_ledger_subscriber_put(struct store_work *work, const char *name,
                                           const char *share, const char *incarnation, int64_t done,
                                           int64_t seen, int64_t now_ms, struct fh_error *error)
{
    char id[MONGODB_ID_SIZE];
    json_t *known = NULL;
    enum fh_code code = mongodb_id(id, error, "%s" MONGODB_SEPARATOR "%s", name, share);
    if (!code)
        code = mongodb_get(work, "fh_subscriber", id, &known, error);
    if (code)
        return code;
    if (known && strcmp(mongodb_text(known, "incarnation"), incarnation) == 0 &&
        mongodb_integer(known, "done") > done)
        done = mongodb_integer(known, "done");
    json_decref(known);
    return mongodb_put(work, "fh_subscriber", id,
                       mongodb_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "name", name, "share", share,
                                    "incarnation", incarnation, "done", (json_int_t)done, "seen",
                                    (json_int_t)seen, "updated_ms", (json_int_t)now_ms),
                       error);
}

struct subscribers {
    bool (*visit)(void *context, const struct ledger_subscriber *subscriber);
    void *context;
};

static bool visit_subscriber(void *context, const json_t *document)
{
    const struct subscribers *to = context;
    struct ledger_subscriber subscriber = {.name = mongodb_text(document, "name"),
                                           .share = mongodb_text(document, "share"),
                                           .incarnation = mongodb_text(document, "incarnation"),
                                           .done = mongodb_integer(document, "done"),
                                           .seen = mongodb_integer(document, "seen")};
    return to->visit(to->context, &subscriber);
}

enum fh_code mongodb_ledger_subscribers_get(
    struct store_work *work,
    bool (*visit)(void *context, const struct ledger_subscriber *subscriber), void *context,
    struct fh_error *error)
{
    struct subscribers to = {visit, context};
    return mongodb_each(work, "fh_subscriber", NULL, visit_subscriber, &to, error);
}

/* ---- Migrations ------------------------------------------------------------------------------ */

struct migrations {
    bool (*visit)(void *context, int64_t version, const char *name, const char *checksum);
    void *context;
};

static bool visit_migration(void *context, const json_t *document)
{
    const struct migrations *to = context;
    return to->visit(to->context, mongodb_integer(document, "version"),
                     mongodb_text(document, "name"), mongodb_text(document, "checksum"));
}

enum fh_code mongodb_ledger_migrations_get(struct store_work *work,
                                           bool (*visit)(void *context, int64_t version,
                                                         const char *name, const char *checksum),
                                           void *context, struct fh_error *error)
{
    struct migrations to = {visit, context};
    return mongodb_each(work, "fh_migration", NULL, visit_migration, &to, error);
}

enum fh_code mongodb_ledger_migration_put(struct store_work *work, int64_t version,
                                          const char *name, const char *checksum, int64_t now_ms,
                                          struct fh_error *error)
{
    char id[32];
    json_t *present;
    snprintf(id, sizeof id, "%019" PRId64, version);
    enum fh_code code = mongodb_get(work, "fh_migration", id, &present, error);
    if (!code && present)
        code = error_set(error, FH_CONFLICT, "Migration %" PRId64 " was applied already.", version);
    json_decref(present);
    if (code)
        return code;
    return mongodb_put(work, "fh_migration", id,
                       mongodb_pack("{s:I, s:s, s:s, s:I}", "version", (json_int_t)version, "name",
                                    name, "checksum", checksum, "applied_ms", (json_int_t)now_ms),
                       error);
}

#define LEDGER_SLOT(name) .name = mongodb_ledger_##name,
const struct ledger_ops mongodb_ledger = {.snapshots = &mongodb_snapshots,
                                          LEDGER_FUNCTIONS(LEDGER_SLOT)};
#undef LEDGER_SLOT
