/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holding off all processes' writes while the store is copied, since Redis has no snapshot.
 *
 * The hold is a key, PREFIX:fh:hold, whose value is a token that was made for it alone. While it is
 * there, the script of the commit does nothing for anybody, and says so; whoever wants to write
 * waits and sends it again (call.c).
 *
 * - It ends by itself, and is renewed well before that.
 * - Fenced: once it has ended nobody gets it back, since a later hold has another token. So if the
 *   key still has this token when the copy is complete, nobody has written in between. A replica
 *   that took over meanwhile has the token only if it has everything from before it.
 *
 *     killed at any point       it ends by itself; others have waited no longer than they do anyway
 *     paused, and woken later   the copy is refused
 *     a message comes late      a hold that nobody knows of ends by itself; to renew or to give
 *                               back one that has ended does nothing
 *
 * Its script has a right that the commit's has not: to write although the memory is full. So a
 * store that takes nothing any more can still be backed up.
 */

#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/id.h"
#include "engine/redis/internal.h"

#define HOLD_MS                                                                                    \
    4000 /* until it ends by itself: before those give up who wait (STORE_HOLD_MS_MAX) */
#define RENEW_MS 1000
#define ASKED_MAX 3 /* times, if the answer is lost */
#define PASS_MS_MIN 10
#define PASS_MS_MAX 100

struct redis_hold {
    struct redis *redis;
    char token[ID_SIZE];
    bool ending, renewing; /* renewing: its fiber has not ended */
    struct fiber_queue wakes, ended;
};

/* ARGV: mode, prefix, token, milliseconds. Answers with the mode, or "never". */
static const char hold_script[] =
    "#!lua flags=allow-oom\n"
    "local mode, key, token, call = ARGV[1], ARGV[2] .. ':fh:hold', ARGV[3], redis.call\n"
    "local holder = call('GET', key)\n"
    "if holder ~= (mode ~= 'hold' and token) then return 'never' end\n"
    "if mode == 'release' then call('DEL', key) return mode end\n"
    "if mode == 'hold' then call('SET', key, token) end\n"
    "call('PEXPIRE', key, ARGV[4])\n"
    "return mode\n";

/* ---- Asking ---- */

/* The script's digest, from the server, which may have forgotten it. */
static enum fh_code load_hold_script(struct redis *redis, char ret[static REDIS_DIGEST_SIZE],
                                     struct fh_error *error)
{
    struct redis_words words;
    redisReply *reply;
    redis_words_init(&words);
    redis_word(&words, "SCRIPT");
    redis_word(&words, "LOAD");
    redis_word(&words, hold_script);
    enum fh_code code = redis_read_one(redis, &words, &reply, error);
    redis_words_release(&words);
    if (code != FH_OK)
        return code;
    if (redis_is(reply, REDIS_REPLY_STRING) && reply->len == REDIS_DIGEST_SIZE - 1)
        memcpy(ret, reply->str, REDIS_DIGEST_SIZE);
    else
        code = redis_refused(reply, "the script that holds the store", error);
    hiredis.freeReplyObject(reply);
    return code;
}

/* FH_CONFLICT: somebody else holds it, or (any mode but "hold") nobody. FH_OUTCOME_UNKNOWN: the
 * answer was lost. */
static enum fh_code ask_hold(struct redis *redis, const char *mode, const char *token,
                             struct fh_error *error)
{
    char digest[REDIS_DIGEST_SIZE];
    struct redis_words commands, words;
    redisReply *reply;
    enum fh_code code = load_hold_script(redis, digest, error);
    if (code != FH_OK)
        return code;
    redis_words_init(&commands);
    redis_words_init(&words);
    redis_word(&words, "EVALSHA");
    redis_word(&words, digest);
    redis_word(&words, "0");
    redis_word(&words, mode);
    redis_word(&words, redis->options.prefix);
    redis_word(&words, token);
    redis_word_number(&words, HOLD_MS);
    redis_command_of(&commands, &words);
    code = redis_ask(redis, &commands, &reply, error);
    redis_words_release(&words);
    redis_words_release(&commands);
    if (code != FH_OK)
        return code;
    if (!redis_is(reply, REDIS_REPLY_STRING))
        code = redis_refused(reply, "to hold the store", error);
    else if (strcmp(reply->str, mode) != 0)
        code = error_set(error, FH_CONFLICT, "The store is held by another process, or by none.");
    hiredis.freeReplyObject(reply);
    return code;
}

static bool may_ask_again(enum fh_code code)
{
    return code == FH_UNAVAILABLE || code == FH_OUTCOME_UNKNOWN;
}

/* "renew" says the same however often it is asked. */
static enum fh_code renew_hold(const struct redis_hold *hold, struct fh_error *error)
{
    enum fh_code code = FH_UNAVAILABLE;
    for (int i = 0; i < ASKED_MAX && may_ask_again(code); i++)
        code = ask_hold(hold->redis, "renew", hold->token, error);
    return code;
}

/* ---- Holding ---- */

static void keep_renewing(void *argument)
{
    struct redis_hold *hold = argument;
    struct world *world = hold->redis->store.world;
    while (!hold->ending) {
        fiber_wait_until(&hold->wakes, world, world_in_ms(world, RENEW_MS));
        if (!hold->ending)
            renew_hold(hold, ERROR_UNHEEDED); /* the last one, of redis_release, decides */
    }
    hold->renewing = false;
    fiber_wake_all(&hold->ended);
}

enum fh_code redis_hold(struct store *store, struct fh_error *error)
{
    struct redis *redis = redis_of(store);
    unsigned char random[10];
    struct redis_hold *hold = calloc(1, sizeof *hold);
    FH_ASSERT(hold != NULL && redis->hold == NULL);
    hold->redis = redis;
    world_random(store->world, random, sizeof random);
    id_format(hold->token, world_wall_ms(store->world), random);
    enum fh_code code = ask_hold(redis, "hold", hold->token, error);
    if (code == FH_CONFLICT)
        code = error_set(error, FH_UNAVAILABLE, "The store is being backed up already.");
    else if (code == FH_OUTCOME_UNKNOWN)
        code = error_set(error, FH_UNAVAILABLE, "The store's Redis server does not answer.");
    if (code != FH_OK) {
        free(hold);
        return code;
    }
    redis->hold = hold;
    hold->renewing = fiber_start(store->world->fibers, keep_renewing, hold);
    CRASH_POINT("hold.taken");
    return FH_OK; /* not renewed, it may end early, which redis_release tells */
}

enum fh_code redis_release(struct store *store, struct fh_error *error)
{
    struct redis *redis = redis_of(store);
    struct redis_hold *hold = redis->hold;
    struct fh_error why = {0};
    redis->hold = NULL;
    hold->ending = true;
    fiber_wake_all(&hold->wakes);
    while (hold->renewing)
        fiber_wait(&hold->ended);
    enum fh_code code = renew_hold(hold, &why);
    CRASH_POINT("hold.copied");
    ask_hold(redis, "release", hold->token, ERROR_UNHEEDED);
    free(hold);
    if (code == FH_OK)
        return FH_OK;
    return error_set(error, FH_UNAVAILABLE,
                     "The store was not held until its copy was complete, since this process or "
                     "its Redis server did not answer for %d s: other processes may have changed "
                     "it in between.",
                     HOLD_MS / 1000);
}

/* ---- Being held off ---- */

static enum fh_code look_for_hold(struct redis *redis, bool *ret_held, struct fh_error *error)
{
    char *key = redis_name(redis, "fh", "hold");
    struct redis_words words;
    redisReply *reply;
    redis_words_init(&words);
    redis_word(&words, "GET");
    redis_word(&words, key);
    enum fh_code code = redis_read_one(redis, &words, &reply, error);
    redis_words_release(&words);
    free(key);
    if (code != FH_OK)
        return code;
    *ret_held = redis_is(reply, REDIS_REPLY_STRING);
    hiredis.freeReplyObject(reply);
    return FH_OK;
}

enum fh_code redis_hold_pass(struct redis *redis, int64_t until_ns, struct fh_error *error)
{
    struct world *world = redis->store.world;
    bool held = true;
    enum fh_code code = FH_OK;
    for (int pause_ms = PASS_MS_MIN; held && code == FH_OK;
         pause_ms = pause_ms * 2 < PASS_MS_MAX ? pause_ms * 2 : PASS_MS_MAX) {
        if (world_monotonic_ns(world) >= until_ns)
            return error_set(error, FH_UNAVAILABLE,
                             "The store is being backed up, and takes no changes meanwhile.");
        fiber_sleep_until(world, world_in_ms(world, pause_ms));
        code = look_for_hold(redis, &held, error);
    }
    return code;
}
