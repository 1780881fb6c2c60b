/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger's records on Redis as rows, for copying a store: as they are stored. Reads bypass
 * units of work; writes are units of work that check only whose run it is (copy_ask.c). Nobody else
 * uses the store during that time, and nothing written here is used before the move declares the
 * copy complete.
 *
 * A table's columns are the fields of its records, by their names, except numbers that are only in
 * the record's id. The outbox is a stream, and keys' last positions are not records.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/redis/copy.h"
#include "engine/redis/record.h"

#define NUMBER_SIZE 24
#define COUNT "100" /* events read at once */

/* ---- Ids ---- */

/* The order of parts that the files of the ledger use. */
static const char *const *parts_of(const struct copied_ledger *ledger)
{
    static const char *const parked[COPIED_PARTS_MAX] = {"source", "share", "key", "position"};
    return strcmp(ledger->table, "fh_parked") == 0 ? parked : ledger->id;
}

static bool stands_in_id(const struct copied_ledger *ledger, const struct copied_column *column)
{
    bool of_saga = strncmp(ledger->table, "fh_saga", 7) == 0;
    return column->in_id || (of_saga && strcmp(column->name, "number") == 0);
}

/* The number in an id; no part before it may contain a separator. */
static int64_t number_in(const struct copied_ledger *ledger, const char *name, const char *id)
{
    const char *const *parts = parts_of(ledger);
    for (int i = 0; id && strcmp(parts[i], name) != 0; i++) {
        id = strchr(id, *RECORD_SEPARATOR);
        id = id ? id + 1 : NULL;
    }
    return id ? strtoll(id, NULL, 10) : 0;
}

/* ---- Rows ---- */

struct rows {
    const struct copied_ledger *ledger;
    copied_slice *use;
    void *context;
    int width, count;
    struct sql_value values[COPIED_ROWS_MAX * COPIED_COLUMNS_MAX];
    json_t *records[COPIED_ROWS_MAX]; /* that own their texts */
};

static struct rows *rows_new(const struct copied_ledger *ledger, copied_slice *use, void *context)
{
    struct rows *rows = calloc(1, sizeof *rows);
    FH_ASSERT(rows != NULL);
    rows->ledger = ledger;
    rows->use = use;
    rows->context = context;
    rows->width = copied_column_count(ledger);
    return rows;
}

static enum fh_code rows_use(struct rows *rows, struct fh_error *error)
{
    enum fh_code code =
        rows->count ? rows->use(rows->context, rows->values, rows->count, error) : FH_OK;
    for (int i = 0; i < rows->count; i++) {
        json_decref(rows->records[i]);
        rows->records[i] = NULL;
    }
    rows->count = 0;
    return code;
}

static struct sql_value column_value_of(const struct copied_ledger *ledger,
                                        const struct copied_column *column, const char *id,
                                        const json_t *record)
{
    const json_t *value = json_object_get(record, column->name);
    if (!stands_in_id(ledger, column))
        return json_is_integer(value) ? sql_integer(json_integer_value(value))
                                      : sql_text(json_string_value(value));
    return column->integer ? sql_integer(number_in(ledger, column->name, id)) : sql_text(id);
}

static enum fh_code take_records(void *context, const redisReply *pairs, struct fh_error *error)
{
    struct rows *rows = context;
    enum fh_code code = FH_OK;
    struct arena *arena = json_arena_set(NULL);
    for (size_t i = 0; i + 1 < pairs->elements && code == FH_OK; i += 2) {
        json_t *record = NULL;
        const redisReply *text = redis_at(pairs, i + 1);
        code = json_parse(text->str, text->len, &record, error);
        struct sql_value *values = &rows->values[rows->count * rows->width];
        for (int j = 0; j < rows->width && code == FH_OK; j++)
            values[j] = column_value_of(rows->ledger, &rows->ledger->columns[j],
                                        redis_at(pairs, i)->str, record);
        rows->records[rows->count] = record;
        rows->count += code == FH_OK;
        if (rows->count == COPIED_ROWS_MAX)
            code = rows_use(rows, error);
    }
    if (code == FH_OK) /* the answer owns their ids */
        code = rows_use(rows, error);
    json_arena_set(arena);
    return code;
}

static enum fh_code take_places(void *context, const redisReply *pairs, struct fh_error *error)
{
    struct rows *rows = context;
    enum fh_code code = FH_OK;
    for (size_t i = 0; i + 1 < pairs->elements && code == FH_OK; i += 2) {
        struct sql_value *values = &rows->values[2 * rows->count++];
        values[0] = sql_text(redis_at(pairs, i)->str);
        values[1] = sql_integer(strtoll(redis_at(pairs, i + 1)->str, NULL, 10));
        if (rows->count == COPIED_ROWS_MAX)
            code = rows_use(rows, error);
    }
    return code == FH_OK ? rows_use(rows, error) : code;
}

/* ---- The stream ---- */

static const char *field_named(const redisReply *entry, const char *name)
{
    const redisReply *fields = redis_at(entry, 1);
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        if (strcmp(redis_at(fields, i)->str, name) == 0)
            return redis_at(fields, i + 1)->str;
    }
    return NULL;
}

static const char *record_field_of(const struct copied_column *column)
{
    return strcmp(column->name, "event_id") == 0 ? "id" : column->name;
}

static enum fh_code read_stream(struct store *store, struct rows *rows, struct fh_error *error)
{
    char *key = redis_name(redis_of(store), "fh", "outbox"), next[NUMBER_SIZE] = "0";
    enum fh_code code = FH_OK;
    for (bool more = true; more && code == FH_OK;) {
        struct redis_words words;
        redisReply *reply;
        redis_words_init(&words);
        redis_command(&words, "XRANGE", key, next, "+", "COUNT", COUNT, NULL);
        code = redis_read(redis_of(store), &words, &reply, error);
        redis_words_release(&words);
        if (code != FH_OK)
            break;
        code = redis_reply_bounded(reply, COPIED_ROWS_MAX, error);
        more = code == FH_OK && reply->elements > 0;
        for (size_t i = 0; more && i < reply->elements; i++) {
            const redisReply *entry = redis_at(reply, i);
            int64_t position = strtoll(redis_at(entry, 0)->str, NULL, 10);
            for (int j = 0; j < rows->width; j++) {
                const struct copied_column *column = &rows->ledger->columns[j];
                const char *text = field_named(entry, record_field_of(column));
                rows->values[rows->count * rows->width + j] =
                    column->in_id     ? sql_integer(position)
                    : column->integer ? sql_integer(strtoll(text ? text : "0", NULL, 10))
                                      : sql_text(text);
            }
            rows->count++;
            snprintf(next, sizeof next, "%" PRId64, position + 1);
        }
        if (more)
            code = rows_use(rows, error);
        hiredis.freeReplyObject(reply);
    }
    free(key);
    return code;
}

static enum fh_code records_read(struct store *store, const struct copied_ledger *ledger,
                                 copied_slice *use, void *context, struct fh_error *error)
{
    const char *table = redis_copy_table(ledger);
    struct rows *rows = rows_new(ledger, use, context);
    char *key = redis_name(redis_of(store), "fh", table);
    enum fh_code code = strcmp(table, "outbox") == 0 ? read_stream(store, rows, error)
                        : strcmp(table, "place") == 0
                            ? redis_copy_scan(store, key, take_places, rows, error)
                            : redis_copy_scan(store, key, take_records, rows, error);
    for (int i = 0; i < rows->count; i++)
        json_decref(rows->records[i]);
    free(key);
    free(rows);
    return code;
}

/* ---- Writing ---- */

struct member_command {
    struct redis_members members; /* first */
    struct redis_work *own;
    bool removes;
};

static void add_member(struct redis_members *members, const char *order, const char *member)
{
    struct member_command *command = (struct member_command *)members;
    char *key = redis_name(command->own->redis, "fh", order);
    if (command->removes)
        redis_do(command->own, "zset", "ZREM", key, member, NULL);
    else
        redis_do(command->own, "zset", "ZADD", key, "0", member, NULL);
    free(key);
}

/* The record's members in the orders. */
static void member_commands(struct redis_work *own, const char *table, const char *id,
                            json_t *content, bool removes)
{
    struct redis_record record = {
        .table = redis_table_of(table), .id = (char *)(uintptr_t)id, .fresh = content};
    struct member_command command = {{add_member}, own, removes};
    redis_each_member(&record, content, &command.members);
}

static json_t *record_of(const struct copied_ledger *ledger, const struct sql_value *row)
{
    json_t *record = json_object();
    for (int i = 0; i < copied_column_count(ledger); i++) {
        const struct copied_column *column = &ledger->columns[i];
        if (stands_in_id(ledger, column))
            continue;
        json_object_set_new(record, column->name,
                            row[i].kind == SQL_INTEGER ? json_integer(row[i].integer)
                            : row[i].kind == SQL_TEXT  ? json_stringn(row[i].text, row[i].length)
                                                       : json_null());
    }
    return record;
}

static enum fh_code add_record(struct redis_work *own, const struct copied_ledger *ledger,
                               const struct sql_value *row, struct fh_error *error)
{
    const char *table = redis_copy_table(ledger);
    char id[RECORD_ID_SIZE], *key = redis_name(own->redis, "fh", table);
    enum fh_code code = copied_id(ledger, parts_of(ledger), row, id, error);
    struct arena *arena = json_arena_set(NULL);
    json_t *record = record_of(ledger, row);
    char *text = json_text(record);
    if (code == FH_OK) {
        redis_do(own, "hash", "HSET", key, id, text, NULL);
        member_commands(own, table, id, record, false);
    }
    json_text_free(text);
    json_decref(record);
    json_arena_set(arena);
    free(key);
    return code;
}

static void add_place(struct redis_work *own, const struct copied_ledger *ledger,
                      const struct sql_value *row)
{
    char *key = redis_name(own->redis, "fh", redis_copy_table(ledger)), number[NUMBER_SIZE];
    snprintf(number, sizeof number, "%" PRId64, row[1].integer);
    redis_do(own, "hash", "HSET", key, row[0].text, number, NULL);
    free(key);
}

static void add_outbox_row(struct redis_work *own, const struct copied_ledger *ledger,
                           const struct sql_value *row)
{
    char *key = redis_name(own->redis, "fh", "outbox"), number[NUMBER_SIZE];
    struct redis_words words;
    redis_words_init(&words);
    redis_word(&words, "XADD");
    redis_word(&words, key);
    snprintf(number, sizeof number, "%" PRId64 "-0",
             copied_value(ledger, row, "position")->integer);
    redis_word(&words, number);
    for (int i = 0; i < copied_column_count(ledger); i++) {
        if (ledger->columns[i].in_id || row[i].kind == SQL_NULL)
            continue;
        redis_word(&words, record_field_of(&ledger->columns[i]));
        if (row[i].kind == SQL_INTEGER)
            redis_word_number(&words, row[i].integer);
        else
            redis_word_of(&words, row[i].text, row[i].length);
    }
    redis_needs(own, key, "stream");
    redis_step(&own->operations, 'C', words.count);
    redis_words_add(&own->operations.words, &words);
    redis_words_release(&words);
    free(key);
}

static enum fh_code records_write(struct store *store, const struct copied_ledger *ledger,
                                  const struct sql_value *rows, int count, struct fh_error *error)
{
    const char *table = redis_copy_table(ledger);
    int width = copied_column_count(ledger);
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE, &work, error);
    if (code != FH_OK)
        return code;
    for (int i = 0; i < count && code == FH_OK; i++) {
        if (strcmp(table, "outbox") == 0)
            add_outbox_row(redis_work_of(work), ledger, &rows[i * width]);
        else if (strcmp(table, "place") == 0)
            add_place(redis_work_of(work), ledger, &rows[i * width]);
        else
            code = add_record(redis_work_of(work), ledger, &rows[i * width], error);
    }
    return redis_copy_commit(work, code, error);
}

/* ---- Emptying ---- */

struct removing {
    struct store *store;
    const char *table, *key;
};

static enum fh_code remove_records(void *context, const redisReply *pairs, struct fh_error *error)
{
    const struct removing *removing = context;
    struct store_work *work;
    enum fh_code code = store_begin(removing->store, STORE_WRITE, &work, error);
    if (code != FH_OK)
        return code;
    struct arena *arena = json_arena_set(NULL);
    for (size_t i = 0; i + 1 < pairs->elements && code == FH_OK; i += 2) {
        json_t *record = NULL;
        const char *id = redis_at(pairs, i)->str;
        code = json_parse(redis_at(pairs, i + 1)->str, redis_at(pairs, i + 1)->len, &record, error);
        if (code == FH_OK) {
            member_commands(redis_work_of(work), removing->table, id, record, true);
            redis_do(redis_work_of(work), "hash", "HDEL", removing->key, id, NULL);
        }
        json_decref(record);
    }
    json_arena_set(arena);
    return redis_copy_commit(work, code, error);
}

static enum fh_code remove_ledger_key(struct store *store, const char *key, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE, &work, error);
    if (code != FH_OK)
        return code;
    redis_do(redis_work_of(work), "any", "DEL", key, NULL);
    return redis_copy_commit(work, code, error);
}

static enum fh_code records_empty(struct store *store, struct fh_error *error)
{
    enum fh_code code = redis_copy_begin(store, error);
    for (int i = 0; i < copied_ledger_count && code == FH_OK; i++) {
        const char *table = redis_copy_table(&copied_ledgers[i]);
        char *key = redis_name(redis_of(store), "fh", table);
        struct removing removing = {store, table, key};
        code = strcmp(table, "outbox") == 0 || strcmp(table, "place") == 0
                   ? remove_ledger_key(store, key, error)
                   : redis_copy_scan(store, key, remove_records, &removing, error);
        free(key);
    }
    return code;
}

/* ---- Numbers ---- */

static enum fh_code records_number(struct store *store, int64_t position, int64_t trimmed,
                                   const char *trimmed_id, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE, &work, error);
    if (code != FH_OK)
        return code;
    char *counter = redis_name(redis_of(store), "fh", "counter");
    char *meta = redis_name(redis_of(store), "fh", "meta"), number[NUMBER_SIZE];
    json_t *record =
        record_pack("{s:I, s:s}", "position", (json_int_t)trimmed, "event_id", trimmed_id);
    struct arena *arena = json_arena_set(NULL);
    char *text = json_text(record);
    snprintf(number, sizeof number, "%" PRId64, position);
    redis_do(redis_work_of(work), "string", "SET", counter, number, NULL);
    redis_do(redis_work_of(work), "hash", "HSET", meta, "trimmed", text, NULL);
    code = redis_copy_commit(work, code, error);
    json_text_free(text);
    json_decref(record);
    json_arena_set(arena);
    free(counter);
    free(meta);
    return code;
}

static enum fh_code records_count(struct store *store, const struct copied_ledger *ledger,
                                  int64_t *ret, struct fh_error *error)
{
    const char *table = redis_copy_table(ledger);
    return redis_copy_count(store, strcmp(table, "outbox") == 0 ? "XLEN" : "HLEN", table, ret,
                            error);
}

const struct copied_ops redis_copied_ledger = {.read = records_read,
                                               .write = records_write,
                                               .count = records_count,
                                               .empty = records_empty,
                                               .number = records_number};
