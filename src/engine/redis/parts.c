/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records read in parts: as many at once as memory holds easily, and none recorded, so that all of
 * them together may be larger than what one unit of work may read (REDIS_WORK_SIZE_MAX). For open
 * sagas, which are in several orders, for one saga's steps, and for timers. Whoever changes what
 * was found here reads it again.
 *
 * Each round reads a page of every order. Records up to the frontier, the least of the full pages'
 * last members, are visited; the next round begins after it. An order whose page was not full has
 * no more.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/redis/record.h"

#define PAGE 100 /* members of one order read at once */
#define RECORDS_AT_ONCE 8
#define ORDERS_MAX 4

struct parts {
    struct redis_work *own;
    const struct redis_parts *wanted;
    const struct redis_table *table;
    int orders;
    char low[REDIS_MEMBER_SIZE + 2];
    redisReply *pages[ORDERS_MAX];
    char *frontier; /* NULL: this is the last round */
    int visited;
    bool goes_on;
};

static enum fh_code read_pages(struct parts *parts, struct fh_error *error)
{
    struct redis_words commands;
    char count[16];
    snprintf(count, sizeof count, "%d", PAGE);
    redis_words_init(&commands);
    for (int i = 0; i < parts->orders; i++) {
        char *key = redis_name(parts->own->redis, "fh", parts->wanted->orders[i]);
        redis_command(&commands, "ZRANGEBYLEX", key, parts->low, parts->wanted->high, "LIMIT", "0",
                      count, NULL);
        free(key);
    }
    enum fh_code code = redis_read(parts->own->redis, &commands, parts->pages, error);
    redis_words_release(&commands);
    for (int i = 0; i < parts->orders && !code; i++)
        code = redis_reply_bounded(parts->pages[i], PAGE, error);
    return code;
}

static void free_pages(struct parts *parts)
{
    for (int i = 0; i < parts->orders; i++) {
        if (parts->pages[i])
            hiredis.freeReplyObject(parts->pages[i]);
        parts->pages[i] = NULL;
    }
    free(parts->frontier);
    parts->frontier = NULL;
}

static enum fh_code find_frontier(struct parts *parts, struct fh_error *error)
{
    const char *least = NULL;
    for (int i = 0; i < parts->orders; i++) {
        const redisReply *page = parts->pages[i];
        const char *last = page->elements == PAGE ? redis_at(page, page->elements - 1)->str : NULL;
        if (last && (!least || strcmp(last, least) < 0))
            least = last;
    }
    if (!least)
        return FH_OK;
    if (strlen(least) > REDIS_MEMBER_SIZE ||
        (*parts->low == '(' && strcmp(least, parts->low + 1) <= 0))
        return error_set(error, FH_UNAVAILABLE,
                         "The store's Redis server answered with members that were not asked for.");
    parts->frontier = strdup(least);
    FH_ASSERT(parts->frontier != NULL);
    return FH_OK;
}

static int compare_part_members(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* The members up to the frontier, sorted, each once: a saga may move from one order to another
 * between their pages. */
static size_t list_part_members(const struct parts *parts, const char *list[ORDERS_MAX * PAGE])
{
    size_t count = 0, kept = 0;
    for (int i = 0; i < parts->orders; i++) {
        for (size_t j = 0; j < parts->pages[i]->elements; j++) {
            const char *member = redis_at(parts->pages[i], j)->str;
            if (!parts->frontier || strcmp(member, parts->frontier) <= 0)
                list[count++] = member;
        }
    }
    qsort((void *)list, count, sizeof *list, compare_part_members);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || strcmp(list[kept - 1], list[i]) != 0)
            list[kept++] = list[i];
    }
    return kept;
}

static void visit_part(struct parts *parts, const char *id, json_t *record)
{
    struct arena *arena = json_arena_set(NULL);
    json_object_set_new(record, "id", json_string(id));
    json_arena_set(arena);
    const struct record_range *range = parts->wanted->range;
    if (!parts->goes_on || !parts->wanted->is_wanted(record, range))
        return;
    parts->goes_on = parts->wanted->visit(parts->wanted->context, record);
    if (++parts->visited == range->limit)
        parts->goes_on = false;
}

static enum fh_code visit_some(struct parts *parts, const char *const *ids, size_t count,
                               struct fh_error *error)
{
    struct redis_words commands;
    redisReply *replies[RECORDS_AT_ONCE] = {NULL};
    char *key = redis_name(parts->own->redis, "fh", parts->table->name);
    redis_words_init(&commands);
    for (size_t i = 0; i < count; i++)
        redis_command(&commands, "HGET", key, ids[i], NULL);
    enum fh_code code = redis_read(parts->own->redis, &commands, replies, error);
    bool answered = !code;
    redis_words_release(&commands);
    free(key);
    for (size_t i = 0; answered && i < count; i++) {
        json_t *record = code || !parts->goes_on
                             ? NULL
                             : redis_record_parse(parts->table, replies[i], error, &code);
        if (record) /* else it was removed since its order was read */
            visit_part(parts, ids[i], record);
        json_decref(record);
        hiredis.freeReplyObject(replies[i]);
    }
    return code;
}

static enum fh_code visit_members(struct parts *parts, struct fh_error *error)
{
    const char *list[ORDERS_MAX * PAGE];
    size_t count = list_part_members(parts, list);
    enum fh_code code = FH_OK;
    for (size_t done = 0; done < count && !code && parts->goes_on; done += RECORDS_AT_ONCE) {
        size_t some = count - done < RECORDS_AT_ONCE ? count - done : RECORDS_AT_ONCE;
        code = visit_some(parts, list + done, some, error);
    }
    return code;
}

enum fh_code redis_each_in_parts(struct store_work *work, const struct redis_parts *wanted,
                                 struct fh_error *error)
{
    struct parts parts = {.own = redis_work_of(work),
                          .wanted = wanted,
                          .table = redis_table_of(wanted->range->table),
                          .goes_on = true};
    while (wanted->orders[parts.orders])
        parts.orders++;
    FH_ASSERT(parts.orders <= ORDERS_MAX);
    snprintf(parts.low, sizeof parts.low, "%s", wanted->low);
    bool more;
    enum fh_code code;
    do {
        code = read_pages(&parts, error);
        if (!code)
            code = find_frontier(&parts, error);
        if (!code)
            code = visit_members(&parts, error);
        more = !code && parts.frontier && parts.goes_on;
        if (more)
            snprintf(parts.low, sizeof parts.low, "(%s", parts.frontier);
        free_pages(&parts);
    } while (more);
    return code;
}
