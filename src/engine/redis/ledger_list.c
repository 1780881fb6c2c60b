/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger on Redis: all commands of services, in the order of their ids, and all closings of
 * each caller. Both are needed rarely, when a boundary is restored or moved, so the records have no
 * extra order for them: units of work would pay for it. The whole hash is scanned for the ids, and
 * the records are then read as the visit reaches them.
 *
 * A unit of work that writes depends on how many commands there are: if another is added after the
 * listing, it is rerun.
 */

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/redis/copy.h"
#include "engine/redis/record.h"

#define COMMANDS "command"
#define CALLERS "caller"
#define PAGE 500 /* records read at once */

/* ---- Listing commands ---- */

struct listing {
    const char *after; /* lists the ids after this one */
    struct map ids;
};

static void list_one(struct listing *listing, const char *id, const json_t *record)
{
    const char *birth = record_text(record, "birth");
    if (birth && *birth && strcmp(id, listing->after) > 0)
        map_put(&listing->ids, id, listing);
}

static enum fh_code list_some(void *context, const redisReply *pairs, struct fh_error *error)
{
    struct listing *listing = context;
    enum fh_code code = FH_OK;
    struct arena *arena = json_arena_set(NULL);
    for (size_t i = 0; i + 1 < pairs->elements && !code; i += 2) {
        json_t *record =
            redis_record_parse(redis_table_of("command"), redis_at(pairs, i + 1), error, &code);
        if (record)
            list_one(listing, redis_at(pairs, i)->str, record);
        json_decref(record);
    }
    json_arena_set(arena);
    return code;
}

static int compare_ids(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* Borrows the listing's names. */
static const char **in_order(const struct listing *listing)
{
    const char **list = calloc(listing->ids.count + 1, sizeof *list), *id;
    struct map_entry *entry = NULL;
    void *value;
    size_t count = 0;
    FH_ASSERT(list != NULL);
    while (map_next(&listing->ids, &entry, &id, &value))
        list[count++] = id;
    qsort((void *)list, count, sizeof *list, compare_ids);
    return list;
}

static enum fh_code list_all(struct redis_work *own, struct listing *listing,
                             struct fh_error *error)
{
    const struct redis_table *table = redis_table_of(COMMANDS);
    char *key = redis_name(own->redis, "fh", COMMANDS);
    const redisReply *reply;
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    enum fh_code code = redis_see_one(own, false, &reply, error, "HLEN", key, NULL);
    if (!code)
        code = redis_copy_scan(own->work.store, key, list_some, listing, error);
    free(key);
    while (!code && map_next(&own->records, &entry, &name, &value)) {
        const struct redis_record *change = value;
        if (change->table != table)
            continue;
        map_remove(&listing->ids, change->id);
        if (change->fresh)
            list_one(listing, change->id, change->fresh);
    }
    return code;
}

/* ---- Reading them ---- */

/* Bypasses the recorded reads, whose size is limited. */
static enum fh_code fetch_listed(struct redis_work *own, const char *const *ids, int count,
                                 redisReply **replies, struct fh_error *error)
{
    struct redis_words commands;
    char *key = redis_name(own->redis, "fh", COMMANDS);
    redis_words_init(&commands);
    for (int i = 0; i < count; i++)
        redis_command(&commands, "HGET", key, ids[i], NULL);
    enum fh_code code = redis_read(own->redis, &commands, replies, error);
    redis_words_release(&commands);
    free(key);
    return code;
}

struct telling {
    struct redis_work *own;
    int left;
    bool (*visit)(void *context, const struct ledger_command *command);
    void *context;
};

static void report_record(struct telling *telling, const json_t *record)
{
    struct ledger_command command = record_command(record);
    telling->left--;
    if (!telling->visit(telling->context, &command))
        telling->left = 0;
}

static enum fh_code report_listed(struct telling *telling, const char *id, const redisReply *reply,
                                  struct fh_error *error)
{
    json_t *record = NULL;
    enum fh_code code = FH_OK;
    const struct redis_record *change = redis_changed(telling->own, redis_table_of(COMMANDS), id);
    struct arena *arena = json_arena_set(NULL);
    if (change)
        record = json_incref(change->fresh);
    else if (redis_is(reply, REDIS_REPLY_STRING)) /* else it was removed since it was listed */
        code = json_parse(reply->str, reply->len, &record, error);
    json_arena_set(arena);
    if (record)
        report_record(telling, record);
    json_decref(record);
    return code;
}

static enum fh_code report_page(struct telling *telling, const char *const *ids, int count,
                                struct fh_error *error)
{
    redisReply *replies[PAGE];
    enum fh_code code = fetch_listed(telling->own, ids, count, replies, error);
    bool answered = !code;
    for (int i = 0; answered && i < count; i++) {
        if (!code && telling->left > 0)
            code = report_listed(telling, ids[i], replies[i], error);
        hiredis.freeReplyObject(replies[i]);
    }
    return code;
}

enum fh_code redis_commands_read(struct store_work *work, const char *caller, const char *key,
                                 int limit,
                                 bool (*visit)(void *context, const struct ledger_command *command),
                                 void *context, struct fh_error *error)
{
    char after[RECORD_ID_SIZE];
    struct listing listing = {.after = after};
    struct telling telling = {redis_work_of(work), limit, visit, context};
    enum fh_code code = record_id(after, error, "%s" RECORD_SEPARATOR "%s", caller, key);
    if (code)
        return code;
    map_init(&listing.ids);
    code = list_all(telling.own, &listing, error);
    const char **ids = in_order(&listing);
    for (size_t at = 0; at < listing.ids.count && telling.left > 0 && !code; at += PAGE) {
        size_t rest = listing.ids.count - at;
        code = report_page(&telling, ids + at, rest < PAGE ? (int)rest : PAGE, error);
    }
    free((void *)ids);
    map_release(&listing.ids);
    return code;
}

/* ---- Callers ---- */

/* Skips the server's records that the unit of work has changed. */
static enum fh_code gather_callers(struct redis_work *own, json_t *callers, struct fh_error *error)
{
    const struct redis_table *table = redis_table_of(CALLERS);
    char *key = redis_name(own->redis, "fh", CALLERS);
    const redisReply *reply;
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    enum fh_code code = redis_see_one(own, false, &reply, error, "HGETALL", key, NULL);
    free(key);
    for (size_t i = 0; !code && i + 1 < reply->elements; i += 2) {
        if (redis_changed(own, table, redis_at(reply, i)->str))
            continue;
        json_t *record = redis_record_parse(table, redis_at(reply, i + 1), error, &code);
        if (record)
            json_array_append_new(callers, record);
    }
    while (!code && map_next(&own->records, &entry, &name, &value)) {
        const struct redis_record *change = value;
        if (change->table == table && change->fresh)
            json_array_append(callers, change->fresh);
    }
    return code;
}

enum fh_code redis_callers_read(struct store_work *work,
                                bool (*visit)(void *context, const char *caller, const char *birth,
                                              const struct ledger_caller *closed),
                                void *context, struct fh_error *error)
{
    json_t *callers = record_pack("[]"), *record;
    size_t index;
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = gather_callers(redis_work_of(work), callers, error);
    json_arena_set(arena);
    json_array_foreach (callers, index, record) {
        struct ledger_caller closed = record_caller(record);
        if (code ||
            !visit(context, record_text(record, "caller"), record_text(record, "birth"), &closed))
            break;
    }
    json_decref(callers);
    return code;
}
