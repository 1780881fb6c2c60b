/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of keys and of strings. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "simulate/redis/model.h"

#define NUMBER_SIZE 32

/* ---- Keys ---- */

static struct served_reply *type_of_key(struct served *served, int count, const char *const *words)
{
    static const char *const names[] = {"string", "hash", "zset", "stream"};
    const struct served_value *value = served_find(served, words[1]);
    (void)count;
    return served_status(value ? names[value->kind] : "none");
}

static struct served_reply *delete_key(struct served *served, int count, const char *const *words)
{
    bool there = served_find(served, words[1]) != NULL;
    if (there) {
        served_remove(served, words[1]);
        served_log(served, count, words);
    }
    return served_integer(there);
}

static struct served_reply *expire_time(struct served *served, int count, const char *const *words)
{
    const struct served_value *value = served_find(served, words[1]);
    (void)count;
    return served_integer(!value ? -2 : value->ends_ms ? value->ends_ms : -1);
}

/* It stands in the log with the time itself. */
static struct served_reply *end_at(struct served *served, const char *key, int64_t ends_ms)
{
    char number[NUMBER_SIZE];
    struct served_value *value = served_find(served, key);
    if (!value)
        return served_integer(0);
    snprintf(number, sizeof number, "%lld", (long long)ends_ms);
    if (served->logging && ends_ms <= served_now_ms(served)) {
        served_remove(served, key);
        served_log(served, 2, (const char *const[]){"DEL", key});
    } else {
        value->ends_ms = ends_ms;
        served_log(served, 3, (const char *const[]){"PEXPIREAT", key, number});
    }
    return served_integer(1);
}

static struct served_reply *expire_at(struct served *served, int count, const char *const *words)
{
    (void)count;
    return end_at(served, words[1], strtoll(words[2], NULL, 10));
}

static struct served_reply *expire_in(struct served *served, int count, const char *const *words)
{
    (void)count;
    return end_at(served, words[1], served_now_ms(served) + strtoll(words[2], NULL, 10));
}

static struct served_reply *persist_key(struct served *served, int count, const char *const *words)
{
    struct served_value *value = served_find(served, words[1]);
    bool ends = value && value->ends_ms;
    if (ends) {
        value->ends_ms = 0;
        served_log(served, count, words);
    }
    return served_integer(ends);
}

/* ---- Strings ---- */

static struct served_reply *get_string(struct served *served, int count, const char *const *words)
{
    const struct served_value *value = served_find(served, words[1]);
    (void)count;
    if (!served_is_kind(value, SERVED_STRING))
        return served_wrong_kind();
    return served_string(value ? value->text : NULL);
}

static struct served_reply *set_string(struct served *served, int count, const char *const *words)
{
    const struct served_value *before = served_find(served, words[1]);
    bool keeps = count == 4 && strcmp(words[3], "KEEPTTL") == 0;
    if (count > 3 && !keeps)
        return served_error("ERR syntax error");
    int64_t ends_ms = before && keeps ? before->ends_ms : 0;
    served_remove(served, words[1]);
    struct served_value *value = served_make(served, words[1], SERVED_STRING);
    value->text = strdup(words[2]);
    FH_ASSERT(value->text != NULL);
    value->ends_ms = ends_ms;
    served_log(served, count, words);
    return served_status("OK");
}

static struct served_reply *increase_by(struct served *served, int count, const char *const *words)
{
    struct served_value *value = served_make(served, words[1], SERVED_STRING);
    char number[NUMBER_SIZE];
    char *end = NULL;
    if (!value)
        return served_wrong_kind();
    int64_t before = value->text ? strtoll(value->text, &end, 10) : 0;
    if (end && (*end || end == value->text))
        return served_error("ERR value is not an integer or out of range");
    snprintf(number, sizeof number, "%lld", (long long)(before + strtoll(words[2], NULL, 10)));
    free(value->text);
    value->text = strdup(number);
    FH_ASSERT(value->text != NULL);
    served_log(served, count, words);
    return served_integer(strtoll(number, NULL, 10));
}

const struct served_command served_keys[] = {
    {"TYPE", 2, type_of_key, false},        {"DEL", 2, delete_key, true},
    {"PEXPIRETIME", 2, expire_time, false}, {"PEXPIREAT", 3, expire_at, true},
    {"PEXPIRE", 3, expire_in, true},        {"PERSIST", 2, persist_key, true},
    {"GET", 2, get_string, false},          {"SET", 3, set_string, true},
    {"INCRBY", 3, increase_by, true},       {0},
};
