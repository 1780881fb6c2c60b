/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of streams: entries whose ids' second half is 0, as the engine gives them. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "simulate/redis/model.h"

static struct served_reply *add_stream_entry(struct served *served, int count,
                                             const char *const *words)
{
    struct served_value *value = served_make(served, words[1], SERVED_STREAM);
    int64_t id = strtoll(words[2], NULL, 10);
    if (!value)
        return served_wrong_kind();
    if (count % 2 == 0)
        return served_error("ERR wrong number of arguments for 'xadd' command");
    if (id <= value->last_id)
        return served_error("ERR The ID specified in XADD is equal or smaller than the target "
                            "stream top item");
    if (value->count == value->capacity) {
        value->capacity = value->capacity ? value->capacity * 2 : 64;
        value->entries = realloc(value->entries, (size_t)value->capacity * sizeof *value->entries);
        FH_ASSERT(value->entries != NULL);
    }
    struct served_entry *entry = &value->entries[value->count++];
    *entry = (struct served_entry){id, calloc((size_t)(count - 3), sizeof(char *)), count - 3};
    FH_ASSERT(entry->words != NULL);
    for (int i = 0; i < entry->count; i++) {
        entry->words[i] = strdup(words[3 + i]);
        FH_ASSERT(entry->words[i] != NULL);
    }
    value->last_id = id;
    served_log(served, count, words);
    return served_string(words[2]);
}

static struct served_reply *stream_length(struct served *served, int count,
                                          const char *const *words)
{
    const struct served_value *value = served_find(served, words[1]);
    (void)count;
    if (!served_is_kind(value, SERVED_STREAM))
        return served_wrong_kind();
    return served_integer(value ? value->count : 0);
}

/* XTRIM key MINID id */
static struct served_reply *trim_stream(struct served *served, int count, const char *const *words)
{
    struct served_value *value = served_find(served, words[1]);
    int gone = 0;
    if (!served_is_kind(value, SERVED_STREAM))
        return served_wrong_kind();
    if (count != 4 || strcmp(words[2], "MINID") != 0)
        return served_error("ERR syntax error");
    int64_t first = strtoll(words[3], NULL, 10);
    for (; value && gone < value->count && value->entries[gone].id < first; gone++) {
        for (int i = 0; i < value->entries[gone].count; i++)
            free(value->entries[gone].words[i]);
        free((void *)value->entries[gone].words);
    }
    if (!gone)
        return served_integer(0);
    value->count -= gone;
    memmove(value->entries, value->entries + gone, (size_t)value->count * sizeof *value->entries);
    served_log(served, count, words);
    return served_integer(gone);
}

/* XRANGE key first last COUNT n; last may be "+" */
static struct served_reply *entry_range(struct served *served, int count, const char *const *words)
{
    const struct served_value *value = served_find(served, words[1]);
    if (!served_is_kind(value, SERVED_STREAM))
        return served_wrong_kind();
    if (count != 6 || strcmp(words[4], "COUNT") != 0)
        return served_error("ERR syntax error");
    int64_t first = strtoll(words[2], NULL, 10), most = strtoll(words[5], NULL, 10);
    int64_t last = *words[3] == '+' ? INT64_MAX : strtoll(words[3], NULL, 10);
    struct served_reply *list = served_list();
    for (int i = 0; value && i < value->count && most > 0; i++) {
        const struct served_entry *entry = &value->entries[i];
        char id[32];
        if (entry->id < first || entry->id > last)
            continue;
        struct served_reply *entry_list = served_list(), *fields = served_list();
        snprintf(id, sizeof id, "%" PRId64 "-0", entry->id);
        for (int j = 0; j < entry->count; j++)
            served_list_add(fields, served_string(entry->words[j]));
        served_list_add(entry_list, served_string(id));
        served_list_add(entry_list, fields);
        served_list_add(list, entry_list);
        most--;
    }
    return list;
}

const struct served_command served_streams[] = {
    {"XADD", 5, add_stream_entry, true},
    {"XLEN", 2, stream_length, false},
    {"XTRIM", 4, trim_stream, true},
    {"XRANGE", 6, entry_range, false},
    {0},
};
