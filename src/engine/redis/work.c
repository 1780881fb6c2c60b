/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A unit of work on Redis. The server has no interactive transactions: reads go to it one by one,
 * or to the cache of keys (known.h), and are recorded with their answers (reads.c); writes become
 * steps of a script (steps.c). At the commit that script checks that everything read is unchanged,
 * and then does all the writes (script.c). So units of work are serializable, in the order in which
 * their scripts run, whichever process they belong to. A read that is repeated gets the same
 * answer.
 *
 * Until its commit a unit of work may have seen two different moments. Then its commit fails: it is
 * rerun. After some attempts it runs as the only one of its process that writes.
 */

#include <stdlib.h>

#include "engine/redis/internal.h"

/* ---- The gate ---- */

static enum fh_code enter_gate(struct redis *redis, bool exclusive, struct fh_error *error)
{
    struct world *world = redis->store.world;
    int64_t deadline_ns = world_in_ms(world, REDIS_WAIT_MS);
    redis->exclusive_waiting += exclusive;
    while (redis->exclusive || (exclusive ? redis->open > 0 : redis->exclusive_waiting > 0)) {
        if (!fiber_wait_until(&redis->gate, world, deadline_ns)) {
            redis->exclusive_waiting -= exclusive;
            fiber_wake_all(&redis->gate);
            return error_set(error, FH_UNAVAILABLE,
                             "Units of work in the store's way did not end within %d s.",
                             REDIS_WAIT_MS / 1000);
        }
    }
    redis->exclusive_waiting -= exclusive;
    redis->exclusive = exclusive;
    redis->open++;
    return FH_OK;
}

/* ---- Memory ---- */

#define SPARE_MAX 64
#define SPARE_TEXT_MAX 4096 /* of one of its texts */

/* Most of a unit of work's memory is that of its texts: so those that have ended are kept. */
static struct redis_work *work_take(struct redis *redis)
{
    struct redis_work *own = redis->spare;
    if (own) {
        redis->spare = own->next;
        redis->spare_count--;
    } else {
        own = calloc(1, sizeof *own);
        FH_ASSERT(own != NULL);
        redis_words_init(&own->named);
        redis_steps_init(&own->checks);
        redis_steps_init(&own->operations);
        redis_words_init(&own->events);
    }
    map_init(&own->reads);
    map_init(&own->kinds);
    map_init(&own->records);
    map_init(&own->keys);
    return own;
}

static void work_free(struct redis_work *own)
{
    redis_words_release(&own->named);
    redis_steps_release(&own->checks);
    redis_steps_release(&own->operations);
    redis_words_release(&own->events);
    free(own);
}

static bool words_keep(struct redis_words *words)
{
    text_clear(&words->text);
    words->count = 0;
    return words->text.capacity <= SPARE_TEXT_MAX;
}

static bool steps_keep(struct redis_steps *steps)
{
    text_clear(&steps->shape);
    steps->count = 0;
    return words_keep(&steps->words) && steps->shape.capacity <= SPARE_TEXT_MAX;
}

static void work_give(struct redis *redis, struct redis_work *own)
{
    bool small = words_keep(&own->named) && steps_keep(&own->checks) &&
                 steps_keep(&own->operations) && words_keep(&own->events);
    if (!small || redis->spare_count >= SPARE_MAX) {
        work_free(own);
        return;
    }
    own->read_size = 0;
    own->now_ms = 0;
    own->event_count = 0;
    own->published = NULL;
    own->next = redis->spare;
    redis->spare = own;
    redis->spare_count++;
}

void redis_works_free(struct redis *redis)
{
    while (redis->spare) {
        struct redis_work *own = redis->spare;
        redis->spare = own->next;
        work_free(own);
    }
}

/* ---- Beginning and ending ---- */

static bool is_exclusive(enum store_mode mode)
{
    return mode & (STORE_EXCLUSIVE | STORE_MIGRATES);
}

enum fh_code redis_begin(struct store *store, enum store_mode mode, struct store_work **ret,
                         struct fh_error *error)
{
    struct redis *redis = redis_of(store);
    enum fh_code code = store_writes(mode) ? enter_gate(redis, is_exclusive(mode), error) : FH_OK;
    if (code)
        return code;
    struct redis_work *own = work_take(redis);
    own->work = (struct store_work){.store = store, .mode = mode};
    own->redis = redis;
    *ret = &own->work;
    return FH_OK;
}

void redis_rollback(struct store_work *work)
{
    struct redis_work *own = redis_work_of(work);
    struct redis *redis = own->redis;
    redis_reads_free(own);
    map_release(&own->kinds);
    redis_records_free(own);
    redis_keys_free(own);
    free(own->published);
    if (redis_writes(work)) {
        redis->open--;
        redis->exclusive = false;
        fiber_wake_all(&redis->gate);
    }
    work_give(redis, own);
}

/* It may have failed because of what it took from the cache. */
void redis_abandon(struct store_work *work)
{
    if (work->tentative)
        redis_keys_forget(redis_work_of(work));
    redis_rollback(work);
}
