/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of sorted sets: one array, in their order. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "simulate/redis/model.h"

/* "inf", "-inf" too. */
static double read_score(const char *text)
{
    return strtod(text + (*text == '('), NULL);
}

static char *write_score(double score, char text[static 32])
{
    if (isinf(score))
        snprintf(text, 32, score < 0 ? "-inf" : "inf");
    else
        snprintf(text, 32, "%.17g", score);
    return text;
}

static int compare_member(double score, const char *name, const struct served_member *other)
{
    if (score < other->score || score > other->score)
        return score < other->score ? -1 : 1;
    return strcmp(name, other->name);
}

static int find_member(const struct served_value *value, const char *name)
{
    for (int i = 0; value && i < value->count; i++) {
        if (strcmp(value->members[i].name, name) == 0)
            return i;
    }
    return -1;
}

static void take_out(struct served_value *value, int at)
{
    free(value->members[at].name);
    value->count--;
    memmove(&value->members[at], &value->members[at + 1],
            (size_t)(value->count - at) * sizeof *value->members);
}

static void put_in(struct served_value *value, double score, const char *name)
{
    if (value->count == value->capacity) {
        value->capacity = value->capacity ? value->capacity * 2 : 8;
        value->members = realloc(value->members, (size_t)value->capacity * sizeof *value->members);
        FH_ASSERT(value->members != NULL);
    }
    int at = value->count++;
    for (; at > 0 && compare_member(score, name, &value->members[at - 1]) < 0; at--)
        value->members[at] = value->members[at - 1];
    value->members[at] = (struct served_member){score, strdup(name)};
    FH_ASSERT(value->members[at].name != NULL);
}

static struct served_reply *put_sorted_member(struct served *served, int count,
                                              const char *const *words)
{
    struct served_value *value = served_make(served, words[1], SERVED_SORTED);
    if (!value)
        return served_wrong_kind();
    if (count != 4)
        return served_error("ERR the model adds one member at a time");
    int at = find_member(value, words[3]);
    if (at >= 0)
        take_out(value, at);
    put_in(value, read_score(words[2]), words[3]);
    served_log(served, count, words);
    return served_integer(at < 0);
}

static struct served_reply *take_away(struct served *served, int count, const char *const *words)
{
    struct served_value *value = served_find(served, words[1]);
    int64_t gone = 0;
    if (!served_is_kind(value, SERVED_SORTED))
        return served_wrong_kind();
    for (int i = 2; value && i < count; i++) {
        int at = find_member(value, words[i]);
        if (at >= 0)
            take_out(value, at);
        gone += at >= 0;
    }
    if (value && value->count == 0)
        served_remove(served, words[1]);
    if (gone)
        served_log(served, count, words);
    return served_integer(gone);
}

static struct served_reply *member_score(struct served *served, int count, const char *const *words)
{
    const struct served_value *value = served_find(served, words[1]);
    char text[32];
    (void)count;
    if (!served_is_kind(value, SERVED_SORTED))
        return served_wrong_kind();
    int at = find_member(value, words[2]);
    return served_string(at < 0 ? NULL : write_score(value->members[at].score, text));
}

static struct served_reply *set_size(struct served *served, int count, const char *const *words)
{
    const struct served_value *value = served_find(served, words[1]);
    (void)count;
    if (!served_is_kind(value, SERVED_SORTED))
        return served_wrong_kind();
    return served_integer(value ? value->count : 0);
}

/* ---- Ranges ---- */

struct range {
    const char *low, *high;
    bool by_bytes, last_first, scores;
    int64_t skip, most;
};

static bool is_above(const struct range *range, const struct served_member *member)
{
    if (!range->by_bytes) {
        double low = read_score(range->low);
        return *range->low == '(' ? member->score > low : member->score >= low;
    }
    int order = *range->low == '-' ? 1 : strcmp(member->name, range->low + 1);
    return *range->low == '+' ? false : order > 0 || (order == 0 && *range->low == '[');
}

static bool is_below(const struct range *range, const struct served_member *member)
{
    if (!range->by_bytes) {
        double high = read_score(range->high);
        return *range->high == '(' ? member->score < high : member->score <= high;
    }
    int order = *range->high == '+' ? -1 : strcmp(member->name, range->high + 1);
    return *range->high == '-' ? false : order < 0 || (order == 0 && *range->high == '[');
}

static struct served_reply *list_members(const struct served_value *value, struct range range)
{
    struct served_reply *list = served_list();
    char text[32];
    for (int i = 0; value && i < value->count && range.most != 0; i++) {
        const struct served_member *member =
            &value->members[range.last_first ? value->count - 1 - i : i];
        if (!is_above(&range, member) || !is_below(&range, member) || range.skip-- > 0)
            continue;
        served_list_add(list, served_string(member->name));
        if (range.scores)
            served_list_add(list, served_string(write_score(member->score, text)));
        range.most--;
    }
    return list;
}

static struct served_reply *members_between(struct served *served, int count,
                                            const char *const *words, bool by_bytes,
                                            bool last_first)
{
    const struct served_value *value = served_find(served, words[1]);
    struct range range = {
        words[last_first ? 3 : 2], words[last_first ? 2 : 3], by_bytes, last_first, false, 0, -1};
    if (!served_is_kind(value, SERVED_SORTED))
        return served_wrong_kind();
    for (int i = 4; i < count; i++) {
        if (strcmp(words[i], "WITHSCORES") == 0) {
            range.scores = true;
        } else if (strcmp(words[i], "LIMIT") == 0 && i + 2 < count) {
            range.skip = strtoll(words[i + 1], NULL, 10);
            range.most = strtoll(words[i + 2], NULL, 10);
            i += 2;
        } else {
            return served_error("ERR syntax error");
        }
    }
    return list_members(value, range);
}

static struct served_reply *by_score(struct served *served, int count, const char *const *words)
{
    return members_between(served, count, words, false, false);
}

static struct served_reply *by_score_last(struct served *served, int count,
                                          const char *const *words)
{
    return members_between(served, count, words, false, true);
}

static struct served_reply *by_bytes(struct served *served, int count, const char *const *words)
{
    return members_between(served, count, words, true, false);
}

static struct served_reply *by_bytes_last(struct served *served, int count,
                                          const char *const *words)
{
    return members_between(served, count, words, true, true);
}

const struct served_command served_sorted[] = {
    {"ZADD", 4, put_sorted_member, true},
    {"ZREM", 3, take_away, true},
    {"ZSCORE", 3, member_score, false},
    {"ZCARD", 2, set_size, false},
    {"ZRANGEBYSCORE", 4, by_score, false},
    {"ZREVRANGEBYSCORE", 4, by_score_last, false},
    {"ZRANGEBYLEX", 4, by_bytes, false},
    {"ZREVRANGEBYLEX", 4, by_bytes_last, false},
    {0},
};
