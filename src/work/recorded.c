/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a rerun of a handler sees again: the time, the randomness and the answers of other services
 * are those of its first run, so that it decides the same way.
 */

#include <sodium.h>
#include <string.h>

#include "base/json.h"
#include "work/batch.h"
#include "work/work.h"

void work_record_begin(fh_work *w)
{
    w->now_ms = world_wall_ms(w->context->world);
    world_random(w->context->world, w->seed, sizeof w->seed);
}

static void fail_without_memory(fh_work *w)
{
    struct fh_error error;
    error_set(&error, FH_NO_MEMORY, "%s", WORK_MEMORY_FAULT);
    work_fail(w, &error);
}

const json_t *work_asked_again(fh_work *w)
{
    struct work_asked *asked = w->asked_next;
    if (!asked)
        return NULL;
    w->asked_next = asked->next;
    return asked->answer;
}

void work_asked_record(fh_work *w, const json_t *answer)
{
    struct work_asked *asked = arena_try_alloc(&w->kept, sizeof *asked);
    struct arena *before = json_arena_set(&w->kept);
    json_t *copy = json_deep_copy(answer);
    json_arena_set(before);
    if (!asked || !copy)
        fail_without_memory(w);
    *asked = (struct work_asked){.answer = copy};
    struct work_asked **last = &w->asked_first;
    while (*last)
        last = &(*last)->next;
    *last = asked;
}

uint64_t work_random_at(const fh_work *w, uint64_t count)
{
    unsigned char hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, (const unsigned char *)&count, sizeof count, w->seed);
    uint64_t value;
    memcpy(&value, hash, sizeof value);
    return value;
}

uint64_t work_random(fh_work *w)
{
    return work_random_at(w, w->random_count++);
}
