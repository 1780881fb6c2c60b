/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holding off all processes' writes while the store is copied, since Redis has no snapshot.
 *
 * The hold is a key, PREFIX:fh:hold, whose value is a token that was made for it alone. While
 * another one is there, PREFIX:fh:holder, the script of the commit does nothing for anybody, and
 * says so; whoever wants to write waits and sends it again (call.c). The holder's key ends by
 * itself, and is renewed well before that. Who finds the hold without its holder removes it, and
 * writes.
 *
 * So if the hold still has this token when the copy is complete, nobody has written since it was
 * taken: whoever does removes it, and no later one has the same. Neither a clock nor a server that
 * was away for long decides that. A replica that took over meanwhile has the token only if it has
 * everything from before it.
 *
 *     killed at any point       others have waited no longer than they do anyway
 *     paused, and woken later   the copy stands, if nobody has written
 *     a hold comes late         nobody renews it, and who writes next removes it
 *     a renewal, or an end      of one that is not there any more: it does nothing
 *
 * Its script has a right that the commit's has not: to write although the memory is full. So a
 * store that takes nothing any more can still be copied. So can one whose server refuses all writes
 * otherwise: there is no hold then, and the server must refuse it each time that it is asked, and
 * at the end.
 */

#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/id.h"
#include "engine/redis/internal.h"

#define NS_A_MS INT64_C(1000000)
#define HOLDER_MS 4000 /* until its key ends: before those give up who wait (STORE_HOLD_MS_MAX) */
#define RENEW_MS 1000
#define REFUSED_MS (3 * RENEW_MS)  /* from one refusal of all writes to the next, at the most */
#define AWAIT_MS 60000             /* for a process that starts: then it goes on */
#define TRIED_MS STORE_HOLD_MS_MAX /* to take a hold; to be told at the end whether it stands */
#define TRY_MS 100                 /* between two attempts */
#define PASS_MS_MIN 10
#define PASS_MS_MAX 100

struct redis_hold {
    struct redis *redis;
    char token[ID_SIZE];
    bool unneeded;         /* the server takes no writes at all */
    int64_t refused_ns;    /* when it last said so */
    bool ending, renewing; /* renewing: its fiber has not ended */
    struct fiber_queue wakes, ended;
};

/* ARGV: mode, prefix, token, milliseconds. Answers with the mode, or "never". */
static const char hold_script[] =
    "#!lua flags=allow-oom\n"
    "local mode, hold, holder = ARGV[1], ARGV[2] .. ':fh:hold', ARGV[2] .. ':fh:holder'\n"
    "local token, call = ARGV[3], redis.call\n"
    "if mode == 'hold' then\n"
    "  if call('GET', hold) and call('GET', holder) then return 'never' end\n"
    "elseif call('GET', hold) ~= token then\n"
    "  return 'never'\n"
    "elseif mode == 'release' then\n"
    "  call('DEL', hold, holder)\n"
    "  return mode\n"
    "end\n"
    "call('SET', holder, token, 'PX', ARGV[4])\n"
    "if mode == 'hold' then call('SET', hold, token) end\n"
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

/* An answer that says that nobody can write to the server now. */
static bool is_read_only(const redisReply *reply)
{
    return redis_is(reply, REDIS_REPLY_ERROR) &&
           (strncmp(reply->str, "MISCONF ", 8) == 0 || strncmp(reply->str, "NOREPLICAS ", 11) == 0);
}

/* FH_CONFLICT: somebody else holds the store, or ("renew", "release") somebody has written since.
 * FH_OUTCOME_UNKNOWN: the answer was lost. `*ret_refused`: the server takes no writes. */
static enum fh_code ask_hold(struct redis_hold *hold, const char *mode, bool *ret_refused,
                             struct fh_error *error)
{
    struct redis *redis = hold->redis;
    char digest[REDIS_DIGEST_SIZE];
    struct redis_words commands, words;
    redisReply *reply;
    *ret_refused = false;
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
    redis_word(&words, hold->token);
    redis_word_number(&words, HOLDER_MS);
    redis_command_of(&commands, &words);
    code = redis_ask(redis, &commands, &reply, error);
    redis_words_release(&words);
    redis_words_release(&commands);
    if (code != FH_OK)
        return code;
    *ret_refused = is_read_only(reply);
    if (!redis_is(reply, REDIS_REPLY_STRING))
        code = redis_refused(reply, "to hold the store", error);
    else if (strcmp(reply->str, mode) != 0)
        code = error_set(error, FH_CONFLICT, "%s",
                         strcmp(mode, "hold") == 0 ? "The store is being backed up already."
                                                   : "Another process has written to it.");
    hiredis.freeReplyObject(reply);
    return code;
}

static bool may_ask_again(enum fh_code code)
{
    return code == FH_UNAVAILABLE || code == FH_OUTCOME_UNKNOWN;
}

/* "renew" says the same however often it is asked. */
static enum fh_code renew_until_told(struct redis_hold *hold, bool *ret_refused,
                                     struct fh_error *error)
{
    struct world *world = hold->redis->store.world;
    int64_t until_ns = world_in_ms(world, TRIED_MS);
    enum fh_code code = ask_hold(hold, "renew", ret_refused, error);
    while (may_ask_again(code) && !*ret_refused && world_monotonic_ns(world) < until_ns) {
        fiber_sleep_until(world, world_in_ms(world, TRY_MS));
        code = ask_hold(hold, "renew", ret_refused, error);
    }
    return code;
}

/* ---- Holding ---- */

/* After a long gap nobody can know whether it took writes in the meantime. So the gap is counted
 * from before the last refusal was asked for. */
static bool is_still_refused(struct redis_hold *hold)
{
    struct world *world = hold->redis->store.world;
    bool refused;
    int64_t now_ns = world_monotonic_ns(world), gap_ns = now_ns - hold->refused_ns;
    ask_hold(hold, "hold", &refused, ERROR_UNHEEDED);
    hold->refused_ns = now_ns;
    return refused && gap_ns < REFUSED_MS * NS_A_MS;
}

static void keep_renewing(void *argument)
{
    struct redis_hold *hold = argument;
    struct redis *redis = hold->redis;
    struct world *world = redis->store.world;
    bool refused;
    while (!hold->ending && !redis->store.hold.lost) {
        fiber_wait_until(&hold->wakes, world, world_in_ms(world, RENEW_MS));
        if (hold->ending)
            break;
        if (hold->unneeded)
            redis->store.hold.lost = !is_still_refused(hold);
        else
            redis->store.hold.lost =
                ask_hold(hold, "renew", &refused, ERROR_UNHEEDED) == FH_CONFLICT;
    }
    hold->renewing = false;
    fiber_wake_all(&hold->ended);
}

/* If the answer is lost, the hold may be there. If it is not, it may still come: so the next
 * attempt has another token, and waits until that one has ended. */
static enum fh_code try_hold(struct redis_hold *hold, struct fh_error *error)
{
    struct world *world = hold->redis->store.world;
    unsigned char random[10];
    world_random(world, random, sizeof random);
    id_format(hold->token, world_wall_ms(world), random);
    hold->refused_ns = world_monotonic_ns(world);
    bool refused;
    enum fh_code code = ask_hold(hold, "hold", &hold->unneeded, error);
    if (hold->unneeded)
        return FH_OK;
    return code == FH_OUTCOME_UNKNOWN ? renew_until_told(hold, &refused, error) : code;
}

enum fh_code redis_hold(struct store *store, struct fh_error *error)
{
    struct redis *redis = redis_of(store);
    struct world *world = store->world;
    int64_t until_ns = world_in_ms(world, TRIED_MS);
    struct redis_hold *hold = calloc(1, sizeof *hold);
    FH_ASSERT(hold != NULL && redis->hold == NULL);
    hold->redis = redis;
    enum fh_code code = try_hold(hold, error);
    while (code == FH_CONFLICT && world_monotonic_ns(world) < until_ns) {
        fiber_sleep_until(world, world_in_ms(world, TRY_MS));
        code = try_hold(hold, error);
    }
    if (code == FH_CONFLICT || code == FH_OUTCOME_UNKNOWN)
        code = error_set(error, FH_UNAVAILABLE, "%s",
                         code == FH_CONFLICT ? "The store is being backed up already."
                                             : "The store's Redis server does not answer.");
    if (code != FH_OK) {
        free(hold);
        return code;
    }
    redis->hold = hold;
    hold->renewing = fiber_start(world->fibers, keep_renewing, hold); /* else it ends early */
    CRASH_POINT("hold.taken");
    return FH_OK;
}

/* Whether the key is there, with the value `token` (NULL: any). */
static enum fh_code read_hold(struct redis *redis, const char *name, const char *token,
                              bool *ret_is, struct fh_error *error)
{
    char *key = redis_name(redis, "fh", name);
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
    *ret_is = redis_is(reply, REDIS_REPLY_STRING) && (!token || strcmp(reply->str, token) == 0);
    hiredis.freeReplyObject(reply);
    return FH_OK;
}

/* Whether nobody can have written since it was taken. */
static enum fh_code hold_stands(struct redis_hold *hold, struct fh_error *error)
{
    struct redis *redis = hold->redis;
    bool refused, stands = false;
    if (hold->unneeded) {
        stands = !redis->store.hold.lost && is_still_refused(hold);
        return stands
                   ? FH_OK
                   : error_set(error, FH_CONFLICT, "The server accepted writes in the meantime.");
    }
    enum fh_code code = renew_until_told(hold, &refused, error);
    /* If the server has begun to refuse writes, what it has can still be read. */
    if (refused && read_hold(redis, "hold", hold->token, &stands, ERROR_UNHEEDED) == FH_OK &&
        stands)
        return FH_OK;
    return code;
}

enum fh_code redis_release(struct store *store, struct fh_error *error)
{
    struct redis *redis = redis_of(store);
    struct redis_hold *hold = redis->hold;
    struct fh_error why = {0};
    bool refused;
    redis->hold = NULL;
    hold->ending = true;
    fiber_wake_all(&hold->wakes);
    while (hold->renewing)
        fiber_wait(&hold->ended);
    enum fh_code code = hold_stands(hold, &why);
    CRASH_POINT("hold.copied");
    ask_hold(hold, "release", &refused, ERROR_UNHEEDED);
    free(hold);
    if (code == FH_OK)
        return FH_OK;
    return error_set(error, FH_UNAVAILABLE,
                     "The store may have changed while it was copied: %.200s", why.message);
}

/* ---- Being held off ---- */

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
        code = read_hold(redis, "holder", NULL, &held, error);
    }
    return code;
}

enum fh_code redis_hold_await(struct redis *redis, struct fh_error *error)
{
    bool held = false;
    enum fh_code code = read_hold(redis, "holder", NULL, &held, error);
    if (code == FH_OK && held)
        redis_hold_pass(redis, world_in_ms(redis->store.world, AWAIT_MS), ERROR_UNHEEDED);
    return code;
}
