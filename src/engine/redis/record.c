/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of the ledger. A table is a hash: id → JSON text. Records that have to be found by
 * anything other than their id are in sorted sets too, all with score 0, so that members are in the
 * order of their bytes: an "order". A member is an id, or a prefix, U+001E, and an id.
 *
 * A unit of work keeps the records that it changes; at the commit they become operations of the
 * script.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/redis/record.h"

/* ---- Orders of each table ---- */

static void take_member(struct redis_members *members, const char *order, const char *id,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));
static void take_member(struct redis_members *members, const char *order, const char *id,
                        const char *format, ...)
{
    char text[REDIS_MEMBER_SIZE];
    va_list parts;
    va_start(parts, format);
    int length = vsnprintf(text, sizeof text, format, parts);
    va_end(parts);
    FH_ASSERT(length >= 0 && (size_t)length + strlen(id) + 2 < sizeof text);
    snprintf(text + length, sizeof text - (size_t)length, "%s%s", length ? REDIS_MEMBER_END : "",
             id);
    members->take(members, order, text);
}

/* Those of external clients by age, those of services by the saga's number, except pending ones. */
static void command_members(const char *id, const json_t *record, struct redis_members *members)
{
    const char *birth = record_text(record, "birth");
    if (!*birth)
        take_member(members, "command:created", id, "%019lld",
                    (long long)record_integer(record, "created_ms"));
    else if (strcmp(record_text(record, "outcome"), "pending") != 0)
        take_member(
            members, "command:closable", id, "%s" RECORD_SEPARATOR "%s" RECORD_SEPARATOR "%019lld",
            record_text(record, "caller"), birth, (long long)record_integer(record, "number"));
}

static void saga_members(const char *id, const json_t *record, struct redis_members *members)
{
    char order[64];
    const char *status = record_text(record, "status"), *start = record_text(record, "start_id");
    bool ended = record_saga_is_over(status);
    snprintf(order, sizeof order, "saga:%s", status);
    members->take(members, order, id);
    if (ended && record_integer(record, "closed") == 0)
        members->take(members, "saga:unclosed", id);
    if (ended && record_integer(record, "closed") == 1)
        take_member(members, "saga:closed", id, "%s", strrchr(id, *RECORD_SEPARATOR) + 1);
    if (start && *start)
        take_member(members, "saga:start", id, "%s" RECORD_SEPARATOR "%s",
                    record_text(record, "birth"), start);
}

/* In tables whose members depend only on the id, nothing needs to be read before a write. */
static const struct redis_table tables[] = {
    {.name = "meta"},
    {.name = "caller"},
    {.name = "caller_newest"},
    {.name = "cursor", .by_id = "cursor:ids"},
    {.name = "lease", .by_id = "lease:ids"},
    {.name = "migration", .by_id = "migration:ids"},
    {.name = "subscriber", .by_id = "subscriber:ids"},
    {.name = "parked_key", .by_id = "parked_key:ids"},
    {.name = "parked", .by_id = "parked:ids"},
    {.name = "round"},
    {.name = "applied", .by_id = "applied:ids"},
    {.name = "saga_step", .by_id = "saga_step:ids"},
    {.name = "timer", .by_id = "timer:ids"},
    {.name = "command", .members = command_members},
    {.name = "saga", .members = saga_members},
};

void redis_each_member(const struct redis_record *record, const json_t *content,
                       struct redis_members *members)
{
    if (record->table->by_id)
        members->take(members, record->table->by_id, record->id);
    else if (record->table->members && content)
        record->table->members(record->id, content, members);
}

const struct redis_table *redis_table_of(const char *name)
{
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (strcmp(tables[i].name, name) == 0)
            return &tables[i];
    }
    error_assertion_failed("the ledger has such a table", __FILE__, __LINE__);
}

/* ---- One record ---- */

static char *record_name(const struct redis_table *table, const char *id)
{
    struct text text;
    text_init(&text, RECORD_ID_SIZE * 2);
    text_printf(&text, "%s %s", table->name, id);
    return text_take(&text);
}

struct redis_record *redis_changed(const struct redis_work *own, const struct redis_table *table,
                                   const char *id)
{
    char *name = record_name(table, id);
    struct redis_record *record = map_get(&own->records, name);
    free(name);
    return record;
}

json_t *redis_record_parse(const struct redis_table *table, const redisReply *reply,
                           struct fh_error *error, enum fh_code *ret_code)
{
    struct arena *arena = json_arena_set(NULL);
    json_t *value = NULL;
    if (redis_is(reply, REDIS_REPLY_STRING) &&
        json_parse(reply->str, reply->len, &value, error) != FH_OK)
        *ret_code = error_set(error, FH_UNAVAILABLE, "A record of the store's ledger is not JSON.");
    json_arena_set(arena);
    enum fh_code sound = value ? record_check(table->name, value, error) : FH_OK;
    if (sound == FH_OK)
        return value;
    *ret_code = sound;
    json_decref(value);
    return NULL;
}

enum fh_code redis_fetch(struct redis_work *own, const struct redis_table *table, const char *id,
                         bool looks, json_t **ret, struct fh_error *error)
{
    const redisReply *reply;
    char *key = redis_name(own->redis, "fh", table->name);
    enum fh_code code = redis_see_one(own, looks, &reply, error, "HGET", key, id, NULL);
    free(key);
    *ret = code ? NULL : redis_record_parse(table, reply, error, &code);
    return code;
}

enum fh_code redis_get(struct store_work *work, const char *table, const char *id, json_t **ret,
                       struct fh_error *error)
{
    struct redis_work *own = redis_work_of(work);
    const struct redis_record *record = redis_changed(own, redis_table_of(table), id);
    *ret = record ? json_incref(record->fresh) : NULL;
    return record ? FH_OK : redis_fetch(own, redis_table_of(table), id, false, ret, error);
}

enum fh_code redis_put(struct store_work *work, const char *table, const char *id, json_t *record,
                       struct fh_error *error)
{
    struct redis_work *own = redis_work_of(work);
    const struct redis_table *of = redis_table_of(table);
    struct redis_record *change = redis_changed(own, of, id);
    enum fh_code code = FH_OK;
    if (!change) {
        json_t *old = NULL;
        if (of->members)
            code = redis_fetch(own, of, id, false, &old, error);
        if (code) {
            json_decref(record);
            return code;
        }
        char *name = record_name(of, id);
        change = calloc(1, sizeof *change);
        FH_ASSERT(change != NULL);
        *change = (struct redis_record){.table = of, .id = strdup(id), .old = old};
        FH_ASSERT(change->id != NULL);
        map_put(&own->records, name, change);
        free(name);
    }
    json_decref(change->fresh);
    change->fresh = record;
    return FH_OK;
}

enum fh_code redis_clear(struct store_work *work, const char *table, const char *within,
                         struct fh_error *error)
{
    struct redis_work *own = redis_work_of(work);
    const struct redis_table *of = redis_table_of(table);
    char low[RECORD_ID_SIZE + 3], high[RECORD_ID_SIZE + 3];
    (void)error;
    FH_ASSERT(of->by_id != NULL);
    char *hash = redis_name(own->redis, "fh", table);
    char *order = redis_name(own->redis, "fh", of->by_id);
    snprintf(low, sizeof low, "[%s" RECORD_SEPARATOR, within);
    snprintf(high, sizeof high, "(%s" RECORD_SEPARATOR "\xff", within);
    redis_needs(own, hash, "hash");
    redis_needs(own, order, "zset");
    const char *const words[] = {hash, order, low, high};
    redis_step(&own->operations, 'P', 4);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        redis_word(&own->operations.words, words[i]);
    free(hash);
    free(order);
    return FH_OK;
}

/* ---- The commit ---- */

/* Members of a record's old or new content; those in both are left alone. */
struct differing {
    struct redis_members members; /* first */
    struct redis_work *own;
    const char *command;
    const struct redis_record *record;
    const json_t *other;
};

struct having {
    struct redis_members members; /* first */
    const char *order, *member;
    bool has;
};

static void has_member(struct redis_members *members, const char *order, const char *text)
{
    struct having *having = (struct having *)members;
    having->has =
        having->has || (strcmp(order, having->order) == 0 && strcmp(text, having->member) == 0);
}

static void write_member(struct redis_members *members, const char *order, const char *text)
{
    struct differing *differing = (struct differing *)members;
    const struct redis_record *record = differing->record;
    struct having having = {.members = {has_member}, .order = order, .member = text};
    if (differing->other)
        redis_each_member(record, differing->other, &having.members);
    if (having.has)
        return;
    char *key = redis_name(differing->own->redis, "fh", order);
    if (strcmp(differing->command, "ZADD") == 0)
        redis_do(differing->own, "zset", "ZADD", key, "0", text, NULL);
    else
        redis_do(differing->own, "zset", "ZREM", key, text, NULL);
    free(key);
}

static void write_record(struct redis_work *own, const struct redis_record *record)
{
    struct differing differing = {.members = {write_member}, .own = own, .record = record};
    char *key = redis_name(own->redis, "fh", record->table->name);
    if (record->fresh) {
        char *text = json_text(record->fresh);
        redis_do(own, "hash", "HSET", key, record->id, text, NULL);
        json_text_free(text);
    } else {
        redis_do(own, "hash", "HDEL", key, record->id, NULL);
    }
    free(key);
    differing.command = "ZREM";
    differing.other = record->fresh;
    redis_each_member(record, record->old, &differing.members);
    differing.command = "ZADD";
    differing.other = record->old;
    if (record->fresh)
        redis_each_member(record, record->fresh, &differing.members);
}

void redis_records_write(struct redis_work *own)
{
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    struct arena *arena = json_arena_set(NULL);
    while (map_next(&own->records, &entry, &name, &value))
        write_record(own, value);
    json_arena_set(arena);
}

void redis_records_free(struct redis_work *own)
{
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    while (map_next(&own->records, &entry, &name, &value)) {
        struct redis_record *record = value;
        json_decref(record->old);
        json_decref(record->fresh);
        free(record->id);
        free(record);
    }
    map_release(&own->records);
}
