/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For those that read or write a store as a whole.
 *
 * A copier writes blindly, in units of work without reads. So each run of copying has an id of its
 * own, kept in PREFIX:fh:copy, and once a process has begun a run, each unit of work that it
 * commits checks that the id is still there. A run begins by replacing the id that it has read
 * with its own:
 *
 *     killed before that    nothing was changed
 *     killed after it       the next run begins, and empties the store. Messages of the killed one
 *                           that arrive later find another id, and do nothing; nor does a late
 *                           beginning of a run
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "engine/redis/copy.h"

#define CURSOR_SIZE 24
#define COUNT "100" /* examined by one scan; small hashes are returned whole */

/* ---- The current run ---- */

static char *run_key(const struct redis *redis)
{
    return redis_name(redis, "fh", "copy");
}

/* In the form of the script's checks: an expected answer, and its question. */
void redis_copy_check(struct redis_work *own)
{
    const char *run = own->redis->copy;
    if (!run[0])
        return;
    char *key = run_key(own->redis), expected[ID_SIZE + 24];
    snprintf(expected, sizeof expected, "$%zu:%s", strlen(run), run);
    redis_step(&own->checks, 'R', 3);
    redis_word(&own->checks.words, expected);
    redis_word(&own->checks.words, "GET");
    redis_word(&own->checks.words, key);
    free(key);
}

enum fh_code redis_copy_commit(struct store_work *work, enum fh_code code, struct fh_error *error)
{
    if (code != FH_OK) {
        store_rollback(work);
        return code;
    }
    code = store_commit(work, error);
    if (code == FH_CONFLICT) /* or the call never arrived: either way, all is copied again */
        code = error_set(error, FH_UNAVAILABLE,
                         "Another process has begun to copy into the store, or the store's Redis "
                         "server could not be reached.");
    return code;
}

enum fh_code redis_copy_begin(struct store *store, struct fh_error *error)
{
    struct redis *redis = redis_of(store);
    struct store_work *work;
    unsigned char random[10];
    char run[ID_SIZE], *key = run_key(redis);
    const redisReply *former;
    world_random(store->world, random, sizeof random);
    id_format(run, world_wall_ms(store->world), random);
    redis->copy[0] = '\0';
    enum fh_code code = store_begin(store, STORE_WRITE, &work, error);
    if (code == FH_OK) {
        code = redis_see_one(redis_work_of(work), false, &former, error, "GET", key, NULL);
        if (code == FH_OK)
            redis_do(redis_work_of(work), "string", "SET", key, run, NULL);
        code = redis_copy_commit(work, code, error);
    }
    free(key);
    if (code == FH_OK)
        snprintf(redis->copy, sizeof redis->copy, "%s", run);
    return code;
}

/* ---- Reading ---- */

enum fh_code redis_copy_scan(struct store *store, const char *key, redis_copy_pairs *visit,
                             void *context, struct fh_error *error)
{
    char cursor[CURSOR_SIZE] = "0";
    enum fh_code code;
    do {
        struct redis_words words;
        redisReply *reply;
        redis_words_init(&words);
        redis_command(&words, "HSCAN", key, cursor, "COUNT", COUNT, NULL);
        code = redis_read(redis_of(store), &words, &reply, error);
        redis_words_release(&words);
        if (code != FH_OK)
            return code;
        if (redis_is(reply, REDIS_REPLY_ARRAY) && reply->elements == 2) {
            snprintf(cursor, sizeof cursor, "%s", redis_at(reply, 0)->str);
            code = visit(context, redis_at(reply, 1), error);
        } else {
            code = redis_refused(reply, "to list what it keeps", error);
        }
        hiredis.freeReplyObject(reply);
    } while (code == FH_OK && strcmp(cursor, "0") != 0);
    return code;
}

enum fh_code redis_copy_count(struct store *store, const char *command, const char *name,
                              int64_t *ret, struct fh_error *error)
{
    char *key = redis_name(redis_of(store), "fh", name);
    struct redis_words words;
    redisReply *reply;
    redis_words_init(&words);
    redis_command(&words, command, key, NULL);
    enum fh_code code = redis_read(redis_of(store), &words, &reply, error);
    redis_words_release(&words);
    free(key);
    *ret = 0;
    if (code != FH_OK)
        return code;
    if (redis_is(reply, REDIS_REPLY_INTEGER))
        *ret = reply->integer;
    else
        code = redis_refused(reply, "to count what it keeps", error);
    hiredis.freeReplyObject(reply);
    return code;
}
