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
    struct redis_work *own = calloc(1, sizeof *own);
    FH_ASSERT(own != NULL);
    own->work = (struct store_work){.store = store, .mode = mode};
    own->redis = redis;
    map_init(&own->reads);
    map_init(&own->kinds);
    map_init(&own->records);
    map_init(&own->keys);
    redis_words_init(&own->named);
    redis_steps_init(&own->checks);
    redis_steps_init(&own->operations);
    redis_words_init(&own->events);
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
    redis_words_release(&own->named);
    redis_steps_release(&own->checks);
    redis_steps_release(&own->operations);
    redis_words_release(&own->events);
    free(own->published);
    if (redis_writes(work)) {
        redis->open--;
        redis->exclusive = false;
        fiber_wake_all(&redis->gate);
    }
    free(own);
}

/* It may have failed because of what it took from the cache. */
void redis_abandon(struct store_work *work)
{
    if (work->tentative)
        redis_keys_forget(redis_work_of(work));
    redis_rollback(work);
}
