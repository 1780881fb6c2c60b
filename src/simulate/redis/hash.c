/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of hashes. A small one is listed in the order in which its fields came, as in Redis. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "simulate/redis/model.h"

#define SMALL 128 /* fields: HSCAN answers all of them at once, however few were wanted */

static struct served_reply *hash_get(struct served *served, int count, const char *const *words)
{
    const struct served_value *value = served_find(served, words[1]);
    (void)count;
    if (!served_is_kind(value, SERVED_HASH))
        return served_wrong_kind();
    return served_string(value ? map_get(&value->fields, words[2]) : NULL);
}

static struct served_reply *hash_length(struct served *served, int count, const char *const *words)
{
    const struct served_value *value = served_find(served, words[1]);
    (void)count;
    if (!served_is_kind(value, SERVED_HASH))
        return served_wrong_kind();
    return served_integer(value ? (int64_t)value->fields.count : 0);
}

/* Fields from the `first` on; how many it was. */
static int64_t list_fields(struct served_reply *list, const struct served_value *value,
                           int64_t first, int64_t most)
{
    struct map_entry *entry = NULL;
    const char *name;
    void *text;
    int64_t at = 0, listed = 0;
    while (value && listed < most && map_next(&value->fields, &entry, &name, &text)) {
        if (at++ < first)
            continue;
        served_list_add(list, served_string(name));
        served_list_add(list, served_string(text));
        listed++;
    }
    return listed;
}

static struct served_reply *hash_all(struct served *served, int count, const char *const *words)
{
    const struct served_value *value = served_find(served, words[1]);
    (void)count;
    if (!served_is_kind(value, SERVED_HASH))
        return served_wrong_kind();
    struct served_reply *list = served_list();
    list_fields(list, value, 0, INT64_MAX);
    return list;
}

/* HSCAN key cursor COUNT n: the cursor is a place among the fields. */
static struct served_reply *hash_scan(struct served *served, int count, const char *const *words)
{
    const struct served_value *value = served_find(served, words[1]);
    char cursor[24];
    if (!served_is_kind(value, SERVED_HASH))
        return served_wrong_kind();
    if (count != 5 || strcmp(words[3], "COUNT") != 0)
        return served_error("ERR syntax error");
    int64_t size = value ? (int64_t)value->fields.count : 0, first = strtoll(words[2], NULL, 10);
    int64_t most = size <= SMALL ? size : strtoll(words[4], NULL, 10);
    struct served_reply *reply = served_list(), *pairs = served_list();
    int64_t next = first + list_fields(pairs, value, first, most);
    snprintf(cursor, sizeof cursor, "%lld", (long long)(next < size ? next : 0));
    served_list_add(reply, served_string(cursor));
    served_list_add(reply, pairs);
    return reply;
}

static struct served_reply *hash_set(struct served *served, int count, const char *const *words)
{
    struct served_value *value = served_make(served, words[1], SERVED_HASH);
    int64_t came = 0;
    if (!value)
        return served_wrong_kind();
    if (count % 2)
        return served_error("ERR wrong number of arguments for 'hset' command");
    for (int i = 2; i + 1 < count; i += 2) {
        char *before = map_get(&value->fields, words[i]), *text = strdup(words[i + 1]);
        FH_ASSERT(text != NULL);
        map_put(&value->fields, words[i], text);
        came += before == NULL;
        free(before);
    }
    served_log(served, count, words);
    return served_integer(came);
}

static struct served_reply *hash_delete(struct served *served, int count, const char *const *words)
{
    struct served_value *value = served_find(served, words[1]);
    int64_t gone = 0;
    if (!served_is_kind(value, SERVED_HASH))
        return served_wrong_kind();
    for (int i = 2; value && i < count; i++) {
        char *before = map_remove(&value->fields, words[i]);
        gone += before != NULL;
        free(before);
    }
    if (value && value->fields.count == 0)
        served_remove(served, words[1]);
    if (gone)
        served_log(served, count, words);
    return served_integer(gone);
}

const struct served_command served_hashes[] = {
    {"HGET", 3, hash_get, false},
    {"HLEN", 2, hash_length, false},
    {"HGETALL", 2, hash_all, false},
    {"HSCAN", 5, hash_scan, false},
    {"HSET", 4, hash_set, true},
    {"HDEL", 3, hash_delete, true},
    {0},
};
