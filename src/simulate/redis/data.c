/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys, and the log. A key that has ended goes when somebody looks, and its going stands in the
 * log, so that the log alone makes the same keys again at any later time.
 */

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "simulate/redis/model.h"

int64_t served_now_ms(const struct served *served)
{
    return SIMULATE_WALL_MS + served->simulate->now_ns / SIMULATE_MS + served->clock_ms;
}

static void value_free(struct served_value *value)
{
    struct map_entry *entry = NULL;
    const char *name;
    void *text;
    if (!value)
        return;
    while (map_next(&value->fields, &entry, &name, &text))
        free(text);
    map_release(&value->fields);
    for (int i = 0; value->members && i < value->count; i++)
        free(value->members[i].name);
    for (int i = 0; value->entries && i < value->count; i++) {
        for (int j = 0; j < value->entries[i].count; j++)
            free(value->entries[i].words[j]);
        free((void *)value->entries[i].words);
    }
    free(value->members);
    free(value->entries);
    free(value->text);
    free(value);
}

void served_remove(struct served *served, const char *key)
{
    value_free(map_remove(&served->data, key));
}

struct served_value *served_find(struct served *served, const char *key)
{
    struct served_value *value = map_get(&served->data, key);
    bool ended =
        value && served->logging && value->ends_ms && value->ends_ms <= served_now_ms(served);
    if (!ended)
        return value;
    served_log(served, 2, (const char *const[]){"DEL", key});
    served_remove(served, key);
    return NULL;
}

void served_remove_all(struct served *served)
{
    struct map_entry *entry = NULL;
    const char *key;
    void *value;
    while (map_next(&served->data, &entry, &key, &value))
        value_free(value);
    map_release(&served->data);
    map_init(&served->data);
}

bool served_is_kind(const struct served_value *value, enum served_kind kind)
{
    return !value || value->kind == kind;
}

struct served_value *served_make(struct served *served, const char *key, enum served_kind kind)
{
    struct served_value *value = served_find(served, key);
    if (value)
        return value->kind == kind ? value : NULL;
    value = calloc(1, sizeof *value);
    FH_ASSERT(value != NULL);
    value->kind = kind;
    map_init(&value->fields);
    map_put(&served->data, key, value);
    return value;
}

/* ---- The log ---- */

void served_log(struct served *served, int count, const char *const *words)
{
    if (!served->logging)
        return;
    served->changed = true;
    if (served->log_count == served->log_capacity) {
        served->log_capacity = served->log_capacity ? served->log_capacity * 2 : 1024;
        served->log = realloc(served->log, served->log_capacity * sizeof *served->log);
        FH_ASSERT(served->log != NULL);
    }
    struct served_change *change = &served->log[served->log_count++];
    *change =
        (struct served_change){calloc((size_t)count, sizeof(char *)), count, served->transaction};
    FH_ASSERT(change->words != NULL);
    for (int i = 0; i < count; i++) {
        change->words[i] = strdup(words[i]);
        FH_ASSERT(change->words[i] != NULL);
    }
}

static void change_free(struct served_change *change)
{
    for (int i = 0; i < change->count; i++)
        free(change->words[i]);
    free((void *)change->words);
}

void served_forget(struct served *served, size_t changes_kept)
{
    for (size_t i = changes_kept; i < served->log_count; i++)
        change_free(&served->log[i]);
    served->log_count = changes_kept;
}
