/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of the script, and what became of them: whether a call was done is always told in the end,
 * or it is never done.
 *
 * - Each call that writes has a slot of its process and a number, higher than that of the slot's
 *   call before. The script writes the number, with what became of each work, beside what it does,
 *   and does nothing under one that is not higher.
 * - When the connection dies before the answer is there, the call may have been done, may still be
 *   under way, or lost. So the script is asked to settle it: it repeats the answers, or writes the
 *   number down as one that shall never be done. Both wait in the same line, and whoever is first
 *   wins. It is asked for as long as the server is away.
 * - A process makes its life known before its first call, under an id of its own each time, and the
 *   server does nothing for a life that it does not know. It keeps what it knows of one for thirty
 *   days, and is told to go on doing so once a day. So a call that comes later than that, by
 *   whatever clock, does nothing. Who asks too late what became of a call can't be told: that
 *   process ends, as after a crash. Who only has not written for so long takes another life.
 *
 *     killed before the script ran    no trace of any of its works
 *     killed behind it                all of them stand; events have their positions
 *
 * The server keeps what a script has written in its log as one transaction, which it leaves out
 * when it is started again and the end is missing.
 */

#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "engine/redis/internal.h"

#define TRIES_MAX 3 /* to load the script again: others may flush the server's scripts */
#define KEPT_NS (INT64_C(24) * 3600 * 1000000000) /* of the thirty days for which it is kept */
#define KEPT_EACH 64     /* a call with a multiple of this as its number prolongs it */
#define SETTLE_MS_MIN 20 /* between two attempts to ask, where the server can be reached */
#define SETTLE_MS_MAX 1000

/* ---- Slots --------------------------------------------------------------------------------------
 */

static struct redis_slot *slot_take(struct redis *redis)
{
    struct redis_slot *slot = redis->slots;
    if (slot) {
        redis->slots = slot->next;
    } else {
        slot = calloc(1, sizeof *slot);
        FH_ASSERT(slot != NULL);
        slot->number = ++redis->slot_count;
    }
    slot->sequence++;
    if (world_monotonic_ns(redis->store.world) - redis->kept_ns > KEPT_NS)
        slot->sequence = (slot->sequence + KEPT_EACH - 1) / KEPT_EACH * KEPT_EACH;
    memcpy(slot->life, redis->life, sizeof slot->life);
    return slot;
}

static void slot_give(struct redis *redis, struct redis_slot *slot)
{
    slot->next = redis->slots;
    redis->slots = slot;
}

static bool is_gone(const redisReply *reply)
{
    return redis_is(reply, REDIS_REPLY_STRING) && strcmp(reply->str, "gone") == 0;
}

/* The server does nothing for a life that it has forgotten: the next call makes another known. */
static void slot_answered(struct redis *redis, struct redis_slot *slot, const redisReply *reply)
{
    if (is_gone(reply) && strcmp(slot->life, redis->life) == 0)
        redis->born = false;
    else if (redis_is(reply, REDIS_REPLY_STRING) && slot->sequence % KEPT_EACH == 0)
        redis->kept_ns = world_monotonic_ns(redis->store.world);
    redis->answered = *slot;
    slot_give(redis, slot);
}

void redis_call_stands(struct redis *redis)
{
    redis->stands = redis->answered;
}

/* ---- Calling the script -------------------------------------------------------------------------
 */

static void head(struct redis_words *call, const struct redis *redis, const char *mode,
                 const struct redis_slot *slot)
{
    redis_word(call, "EVALSHA");
    redis_word(call, redis->digest);
    redis_word(call, "0");
    redis_word(call, mode);
    redis_word(call, redis->options.prefix);
    redis_word(call, slot ? slot->life : redis->life);
    redis_word_number(call, slot ? slot->number : 0);
    redis_word_number(call, slot ? slot->sequence : 0);
}

static bool is_unknown_script(const redisReply *reply)
{
    return redis_is(reply, REDIS_REPLY_ERROR) && strncmp(reply->str, "NOSCRIPT", 8) == 0;
}

/* With the script before the call, where the server has forgotten it: then it was not run. */
static enum fh_code call_script(struct redis *redis, const struct redis_words *call,
                                redisReply **ret, struct fh_error *error)
{
    struct redis_words commands;
    redisReply *replies[2];
    enum fh_code code = FH_OK;
    bool again = false;
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        redis_words_init(&commands);
        if (again)
            redis_command(&commands, "SCRIPT", "LOAD", redis_script(), NULL);
        redis_command_of(&commands, call);
        commands.now = true;
        code = redis_ask(redis, &commands, replies, error);
        redis_words_release(&commands);
        if (code)
            return code;
        *ret = replies[again];
        if (again)
            hiredis.freeReplyObject(replies[0]);
        again = is_unknown_script(*ret);
        if (!again)
            return FH_OK;
        hiredis.freeReplyObject(*ret);
        *ret = NULL;
    }
    return error_set(error, FH_UNAVAILABLE, "The store's Redis server forgets its scripts.");
}

/* Another life at each attempt: one whose answer was lost may come to be known late, and is
 * nobody's then. */
enum fh_code redis_be_born(struct redis *redis, struct fh_error *error)
{
    struct world *world = redis->store.world;
    struct redis_slot unnumbered = {.number = 0};
    struct redis_words call;
    unsigned char random[10];
    redisReply *reply = NULL;
    world_random(world, random, sizeof random);
    id_format(unnumbered.life, world_wall_ms(world), random);
    redis_words_init(&call);
    head(&call, redis, "born", &unnumbered);
    redis_word_number(&call, 0);
    enum fh_code code = call_script(redis, &call, &reply, error);
    redis_words_release(&call);
    if (code == FH_OUTCOME_UNKNOWN)
        code = error_set(error, FH_UNAVAILABLE, "The store's Redis server does not answer.");
    else if (!code && !redis_is(reply, REDIS_REPLY_STRING))
        code = redis_refused(reply, "to know this process", error);
    if (reply)
        hiredis.freeReplyObject(reply);
    if (code)
        return code;
    memcpy(redis->life, unnumbered.life, sizeof redis->life);
    redis->kept_ns = world_monotonic_ns(world);
    redis->born = true;
    return FH_OK;
}

/* The link died in the call: what became of it, whenever that can be asked. */
static redisReply *settle(struct redis *redis, const struct redis_slot *slot)
{
    struct world *world = redis->store.world;
    struct redis_words call;
    redisReply *reply = NULL;
    redis_words_init(&call);
    head(&call, redis, "settle", slot);
    redis_word_number(&call, 0);
    for (int pause_ms = SETTLE_MS_MIN; !reply;
         pause_ms = pause_ms * 2 < SETTLE_MS_MAX ? pause_ms * 2 : SETTLE_MS_MAX) {
        if (call_script(redis, &call, &reply, NULL))
            reply = NULL;
        if (redis_is(reply, REDIS_REPLY_ERROR)) { /* it is loading, say */
            hiredis.freeReplyObject(reply);
            reply = NULL;
        }
        int64_t next_ns = world_in_ms(world, pause_ms);
        if (!reply)
            fiber_sleep_until(world, redis->failures ? redis->retry_ns : next_ns);
    }
    redis_words_release(&call);
    if (is_gone(reply))
        world_fatal(world, "the store's Redis server has forgotten this process, and can't tell "
                           "what became of its last works");
    return reply;
}

enum fh_code redis_call(struct redis *redis, bool writes, int count,
                        const struct redis_words *works, redisReply **ret, struct fh_error *error)
{
    enum fh_code code = writes && !redis->born ? redis_be_born(redis, error) : FH_OK;
    if (code)
        return code;
    struct redis_slot *slot = writes ? slot_take(redis) : NULL;
    struct redis_words call;
    redis_words_init(&call);
    head(&call, redis, slot ? "work" : "look", slot);
    redis_word_number(&call, count);
    redis_words_add(&call, works);
    code = call_script(redis, &call, ret, error);
    redis_words_release(&call);
    if (code == FH_OUTCOME_UNKNOWN && !slot)
        return error_set(error, FH_UNAVAILABLE, "The store's Redis server does not answer.");
    if (code == FH_OUTCOME_UNKNOWN) {
        *ret = settle(redis, slot);
        code = FH_OK;
    }
    if (slot)
        slot_answered(redis, slot, code ? NULL : *ret);
    return code;
}
