/* SPDX-License-Identifier: Apache-2.0 */
/* The key-value model on Redis: sorted sets. See keyvalue.c. Scores are integers that a double
 * holds exactly, as Redis keeps them; members with equal scores are in the order of their bytes
 * there too. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/redis/keyvalue.h"

static enum fh_code look_up_member(const struct keyvalue_view *view, struct redis_key *key,
                                   const char *member, bool *ret_found, int64_t *ret,
                                   struct fh_error *error)
{
    const redisReply *reply;
    bool is_served;
    *ret_found = false;
    enum fh_code code = redis_key_ahead(view, key, error, "ZSCORE", member, NULL);
    if (!code)
        code = redis_key_reads(view, key, KEYVALUE_SORTED, &is_served, error);
    const struct redis_item *item = redis_item(key, member);
    if (code || (!item && !is_served))
        return code;
    if (item) {
        *ret_found = item->there;
        *ret = item->score;
        return FH_OK;
    }
    code = redis_see_one(redis_work_of(view->work), false, &reply, error, "ZSCORE", key->server,
                         member, NULL);
    *ret_found = !code && redis_is(reply, REDIS_REPLY_STRING);
    if (*ret_found)
        *ret = (int64_t)strtod(reply->str, NULL);
    return code;
}

enum fh_code redis_score(const struct keyvalue_view *view, const char *name, const char *member,
                         int64_t *ret, struct fh_error *error)
{
    bool found;
    *ret = 0;
    enum fh_code code = look_up_member(view, redis_key(view, name), member, &found, ret, error);
    if (!code && !found)
        code = error_set(error, FH_NOT_FOUND, "'%.100s' has no member '%.100s'.", name, member);
    return code;
}

/* ---- Ranges ---- */

struct member {
    const char *name;
    int64_t score;
};

struct page {
    struct member *list;
    size_t count;
};

static enum fh_code served_members(const struct keyvalue_view *view, const struct redis_key *key,
                                   const struct keyvalue_range *range, int skip, int limit,
                                   const redisReply **ret, struct fh_error *error)
{
    char min[24], max[24], from[16], count[16];
    snprintf(min, sizeof min, "%lld", (long long)range->min);
    snprintf(max, sizeof max, "%lld", (long long)range->max);
    snprintf(from, sizeof from, "%d", skip);
    snprintf(count, sizeof count, "%d", limit);
    return range->highest_first
               ? redis_see_one(redis_work_of(view->work), false, ret, error, "ZREVRANGEBYSCORE",
                               key->server, max, min, "WITHSCORES", "LIMIT", from, count, NULL)
               : redis_see_one(redis_work_of(view->work), false, ret, error, "ZRANGEBYSCORE",
                               key->server, min, max, "WITHSCORES", "LIMIT", from, count, NULL);
}

static int lowest_first(const void *left, const void *right)
{
    const struct member *a = left, *b = right;
    return a->score != b->score ? (a->score > b->score) - (a->score < b->score)
                                : strcmp(a->name, b->name);
}

static int highest_first(const void *left, const void *right)
{
    return lowest_first(right, left);
}

/* The server's members and the unit of work's, in order. */
static void gather_members(struct page *page, const struct redis_key *key,
                           const struct keyvalue_range *range, const redisReply *reply)
{
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    size_t pairs = reply ? reply->elements / 2 : 0;
    page->list = calloc(pairs + key->items.count + 1, sizeof *page->list);
    FH_ASSERT(page->list != NULL);
    for (size_t i = 0; i < pairs; i++) {
        if (!redis_item(key, redis_at(reply, 2 * i)->str))
            page->list[page->count++] =
                (struct member){redis_at(reply, 2 * i)->str,
                                (int64_t)strtod(redis_at(reply, 2 * i + 1)->str, NULL)};
    }
    while (map_next(&key->items, &entry, &name, &value)) {
        const struct redis_item *item = value;
        if (item->there && item->score >= range->min && item->score <= range->max)
            page->list[page->count++] = (struct member){name, item->score};
    }
    qsort(page->list, page->count, sizeof *page->list,
          range->highest_first ? highest_first : lowest_first);
}

static json_t *array_of_members(const struct page *page, size_t skip, size_t limit)
{
    json_t *list = json_array();
    for (size_t i = skip; i < page->count && i - skip < limit; i++) {
        json_t *member = json_object();
        json_object_set_new(member, "member", json_string(page->list[i].name));
        json_object_set_new(member, "score", json_integer(page->list[i].score));
        json_array_append_new(list, member);
    }
    return list;
}

enum fh_code redis_members(const struct keyvalue_view *view, const char *name,
                           const struct keyvalue_range *range, json_t **ret, struct fh_error *error)
{
    struct redis_key *key = redis_key(view, name);
    const redisReply *reply = NULL;
    struct page page = {0};
    bool is_served;
    int changed = (int)key->items.count;
    *ret = NULL;
    enum fh_code code = redis_key_reads(view, key, KEYVALUE_SORTED, &is_served, error);
    if (!code && is_served) /* changed members may come before the skipped ones */
        code = served_members(view, key, range, changed ? 0 : range->skip,
                              changed ? range->skip + range->limit + changed : range->limit, &reply,
                              error);
    if (code)
        return code;
    gather_members(&page, key, range, reply);
    *ret = array_of_members(&page, is_served && !changed ? 0 : (size_t)range->skip,
                            (size_t)range->limit);
    free(page.list);
    return FH_OK;
}

/* ---- Writing ---- */

enum fh_code redis_member_put(const struct keyvalue_view *view, const char *name,
                              const char *member, int64_t score, struct fh_error *error)
{
    struct redis_key *key;
    char text[24];
    enum fh_code code = redis_key_open(view, name, &key, error);
    if (!code)
        code = redis_key_writes(key, KEYVALUE_SORTED, error);
    if (code)
        return code;
    snprintf(text, sizeof text, "%lld", (long long)score);
    redis_do(redis_work_of(view->work), redis_key_needs(key, KEYVALUE_SORTED), "ZADD", key->server,
             text, member, NULL);
    redis_item_put(key, member, NULL, score, true);
    return FH_OK;
}

/* After the removal of a member. */
static enum fh_code is_sorted_empty(const struct keyvalue_view *view, struct redis_key *key,
                                    bool *ret, struct fh_error *error)
{
    struct redis_work *own = redis_work_of(view->work);
    struct map_entry *entry = NULL;
    const char *member;
    void *value;
    const redisReply *reply;
    bool is_served;
    *ret = false;
    while (map_next(&key->items, &entry, &member, &value)) {
        if (((const struct redis_item *)value)->there)
            return FH_OK;
    }
    enum fh_code code = redis_key_reads(view, key, KEYVALUE_SORTED, &is_served, error);
    int64_t left = 0;
    if (!code && is_served) {
        code = redis_see_one(own, false, &reply, error, "ZCARD", key->server, NULL);
        left = code ? 0 : reply->integer;
    }
    for (entry = NULL; !code && left && map_next(&key->items, &entry, &member, &value);) {
        code = redis_see_one(own, false, &reply, error, "ZSCORE", key->server, member, NULL);
        left -= !code && redis_is(reply, REDIS_REPLY_STRING);
    }
    *ret = left == 0;
    return code;
}

enum fh_code redis_member_remove(const struct keyvalue_view *view, const char *name,
                                 const char *member, bool *ret_existed, struct fh_error *error)
{
    struct redis_key *key;
    int64_t score;
    bool ends;
    *ret_existed = false;
    enum fh_code code = redis_key_open(view, name, &key, error);
    if (!code)
        code = look_up_member(view, key, member, ret_existed, &score, error);
    if (code || !*ret_existed)
        return code;
    code = redis_key_writes(key, KEYVALUE_SORTED, error);
    if (code)
        return code;
    redis_do(redis_work_of(view->work), redis_key_needs(key, KEYVALUE_SORTED), "ZREM", key->server,
             member, NULL);
    redis_item_put(key, member, NULL, 0, false);
    code = is_sorted_empty(view, key, &ends, error);
    if (!code && ends)
        redis_key_ends(key);
    return code;
}
