/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of the script, and their outcome: in the end it is always known that a call was done, or
 * it is never done.
 *
 * - Each call that writes has a slot of its process and a number, higher than that of the slot's
 *   call before. The script writes the number and the outcome of each unit of work along with its
 *   changes, and does nothing for a number that is not higher.
 * - When the connection dies before the answer arrives, the call may have been done, may still be
 *   under way, or be lost. So the script is asked to settle it: it repeats the answers, or records
 *   the number as one that must never be done. Whichever of the two the server runs first wins. It
 *   is asked for as long as the server is away.
 * - A process registers a new session id (`life`) before its first call, and the server ignores
 *   the calls of a session that it does not know. It keeps a session's records for thirty days,
 *   and is told once a day to keep them for another thirty. So a call that arrives later than
 *   that, by any clock, does nothing. A process that asks for an outcome too late can't get it,
 *   and ends, as after a crash. One that has merely not written for so long takes a new session
 *   id.
 *
 *     killed before the script ran    no trace of any of its units of work
 *     killed after it                 all of them are committed; events have their positions
 *
 * The server keeps the writes of a script in its log as one transaction, and drops it at a restart
 * if its end is missing.
 */

#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "engine/redis/internal.h"

#define TRIES_MAX 3 /* to load the script again: others may flush the server's scripts */
#define KEPT_NS (INT64_C(24) * 3600 * 1000000000) /* one of a session's thirty days */
#define KEPT_EACH 64     /* a call whose number is a multiple of this extends that */
#define SETTLE_MS_MIN 20 /* between two attempts to settle, while the server can be reached */
#define SETTLE_MS_MAX 1000

/* ---- Slots ---- */

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

static bool is_session_gone(const redisReply *reply)
{
    return redis_is(reply, REDIS_REPLY_STRING) && strcmp(reply->str, "gone") == 0;
}

static bool is_store_held(const redisReply *reply)
{
    return redis_is(reply, REDIS_REPLY_STRING) && strcmp(reply->str, "held") == 0;
}

/* The server does nothing for a session that it has forgotten: the next call registers another. */
static void slot_answered(struct redis *redis, struct redis_slot *slot, const redisReply *reply)
{
    if (is_session_gone(reply) && strcmp(slot->life, redis->life) == 0)
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

/* ---- Calling the script ---- */

static void add_call_head(struct redis_words *call, const struct redis *redis, const char *mode,
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

/* If the server has forgotten the script, the call was not run: sends the script before it. */
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

/* A new id at each attempt: one whose answer was lost may still get registered, and is then
 * unused. */
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
    add_call_head(&call, redis, "born", &unnumbered);
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

/* The connection died during the call: finds out the outcome, however long that takes. */
static redisReply *settle_call(struct redis *redis, const struct redis_slot *slot)
{
    struct world *world = redis->store.world;
    struct redis_words call;
    redisReply *reply = NULL;
    redis_words_init(&call);
    add_call_head(&call, redis, "settle", slot);
    redis_word_number(&call, 0);
    for (int pause_ms = SETTLE_MS_MIN; !reply;
         pause_ms = pause_ms * 2 < SETTLE_MS_MAX ? pause_ms * 2 : SETTLE_MS_MAX) {
        if (call_script(redis, &call, &reply, ERROR_UNHEEDED))
            reply = NULL;
        if (redis_is(reply, REDIS_REPLY_ERROR)) { /* still loading, for example */
            hiredis.freeReplyObject(reply);
            reply = NULL;
        }
        int64_t next_ns = world_in_ms(world, pause_ms);
        if (!reply)
            fiber_sleep_until(world, redis->failures ? redis->retry_ns : next_ns);
    }
    redis_words_release(&call);
    if (is_session_gone(reply))
        world_fatal(world, "the store's Redis server has forgotten this process, and can't report "
                           "what became of its last units of work");
    return reply;
}

/* While another process holds the store nothing is done, and the call keeps its number. */
static enum fh_code call_unheld(struct redis *redis, const struct redis_words *call,
                                redisReply **ret, struct fh_error *error)
{
    int64_t until_ns = world_in_ms(redis->store.world, STORE_HOLD_MS_MAX);
    enum fh_code code = call_script(redis, call, ret, error);
    while (!code && is_store_held(*ret)) {
        hiredis.freeReplyObject(*ret);
        *ret = NULL;
        code = redis_hold_pass(redis, until_ns, error);
        if (!code)
            code = call_script(redis, call, ret, error);
    }
    return code;
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
    add_call_head(&call, redis, slot ? "work" : "look", slot);
    redis_word_number(&call, count);
    redis_words_add(&call, works);
    code = call_unheld(redis, &call, ret, error);
    redis_words_release(&call);
    if (code == FH_OUTCOME_UNKNOWN && !slot)
        return error_set(error, FH_UNAVAILABLE, "The store's Redis server does not answer.");
    if (code == FH_OUTCOME_UNKNOWN) {
        *ret = settle_call(redis, slot);
        code = FH_OK;
    }
    if (slot)
        slot_answered(redis, slot, code ? NULL : *ret);
    return code;
}
