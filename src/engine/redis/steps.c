/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps of the script that commits (script.c): what a unit of work checks there, and what it
 * writes.
 */

#include <stdarg.h>
#include <string.h>

#include "engine/redis/internal.h"

void redis_steps_init(struct redis_steps *steps)
{
    text_init(&steps->shape, REDIS_WORK_SIZE_MAX);
    redis_words_init(&steps->words);
    steps->count = 0;
}

void redis_steps_release(struct redis_steps *steps)
{
    text_release(&steps->shape);
    redis_words_release(&steps->words);
}

void redis_step_at(struct redis_steps *steps, char letter, int key, int count)
{
    text_append(&steps->shape, &letter, 1);
    text_integer(&steps->shape, key);
    text_append(&steps->shape, ".", 1);
    text_integer(&steps->shape, count);
    steps->count++;
}

void redis_step(struct redis_steps *steps, char letter, int count)
{
    redis_step_at(steps, letter, 0, count);
}

void redis_needs(struct redis_work *own, const char *key, const char *kind)
{
    const char *known = map_get(&own->kinds, key);
    if (known && (strcmp(known, kind) == 0 || strcmp(kind, "any") == 0))
        return;
    map_put(&own->kinds, key, (void *)(uintptr_t)kind);
}

void redis_needs_check(struct redis_work *own)
{
    struct map_entry *entry = NULL;
    const char *key;
    void *kind;
    while (map_next(&own->kinds, &entry, &key, &kind)) {
        redis_step(&own->checks, 'W', 2);
        redis_word(&own->checks.words, key);
        redis_word(&own->checks.words, kind);
    }
}

void redis_do(struct redis_work *own, const char *kind, const char *command, const char *key, ...)
{
    va_list rest, counted;
    int count = 2;
    redis_needs(own, key, kind);
    va_start(rest, key);
    va_copy(counted, rest);
    while (va_arg(counted, const char *))
        count++;
    va_end(counted);
    redis_step(&own->operations, 'C', count);
    redis_word(&own->operations.words, command);
    redis_word(&own->operations.words, key);
    for (const char *word; (word = va_arg(rest, const char *)) != NULL;)
        redis_word(&own->operations.words, word);
    va_end(rest);
}
