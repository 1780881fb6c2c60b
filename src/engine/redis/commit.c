/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commits: the units of work of this process that reach it in the same turn of the loop go to the
 * server in one call of the script, each with all its reads and writes, and share the cost of a
 * call. Each succeeds or fails on its own, and they are executed in the order in which they came.
 * The outcome of a call is always known in the end: call.c.
 *
 *     GATHERING (redis->gathering) --turn of the loop, or full--> CALLED --answer--> ended
 *
 * The unit of work that fills the group, or else the first one, makes the call for all.
 */

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "engine/redis/copy.h"

#define GROUP_MAX 32
#define GROUP_MAX_IDLE 12 /* if the server has none: it works while others are prepared */
#define GROUP_SIZE ((size_t)4 << 10)      /* of most groups, about */
#define GROUP_SIZE_MAX ((size_t)64 << 10) /* a larger unit of work goes on its own */

/* A unit of work in its group; it is on its fiber's stack. */
struct member {
    struct redis_work *own;
    struct fiber *fiber;
    struct fh_error *error; /* or NULL */
    enum fh_code code;
    bool ended;
    struct member *next;
};

struct redis_group {
    struct redis *redis;
    struct redis_words works; /* one after the other */
    int count;
    bool writes;
    struct member *first, **end;
    struct world_turn turn;
    bool turned, called;
};

/* ---- The answer ---- */

static const char *word_at(const redisReply *reply, size_t index)
{
    bool there = redis_is(reply, REDIS_REPLY_ARRAY) && index < reply->elements &&
                 redis_is(redis_at(reply, index), REDIS_REPLY_STRING);
    return there ? redis_at(reply, index)->str : "";
}

static enum keyvalue_kind server_kind_of(const char *word)
{
    return strcmp(word, "string") == 0 ? KEYVALUE_VALUE
           : strcmp(word, "hash") == 0 ? KEYVALUE_HASH
           : strcmp(word, "zset") == 0 ? KEYVALUE_SORTED
                                       : KEYVALUE_NONE;
}

/* The service's key, or the full name if it is another's. */
static const char *service_key_of(const struct redis *redis, const char *name)
{
    size_t length = strlen(redis->options.prefix);
    bool own =
        strncmp(name, redis->options.prefix, length) == 0 && strncmp(name + length, ":kv:", 4) == 0;
    return own ? name + length + 4 : name;
}

static enum fh_code fail_with_conflict(struct fh_error *error)
{
    return error_retry(error, FH_CONFLICT, "What the unit of work has read was changed meanwhile.");
}

static enum fh_code wrong_kind(const struct redis *redis, const redisReply *reply,
                               struct fh_error *error)
{
    const char *name = word_at(reply, 1), *key = service_key_of(redis, name);
    if (key == name || !server_kind_of(word_at(reply, 2)))
        return error_set(error, FH_UNSUPPORTED,
                         "The store's key %.120s is a %s, and a %s is needed: somebody else has "
                         "written there.",
                         name, word_at(reply, 2), word_at(reply, 3));
    return keyvalue_kind_error(key, server_kind_of(word_at(reply, 2)),
                               server_kind_of(word_at(reply, 3)), error);
}

static enum fh_code not_done(const struct redis *redis, const redisReply *reply,
                             struct fh_error *error)
{
    const char *word = word_at(reply, 0);
    if (strcmp(word, "again") == 0 || strcmp(word, "never") == 0)
        return fail_with_conflict(error);
    if (strcmp(word, "kind") == 0)
        return wrong_kind(redis, reply, error);
    if (strcmp(word, "number") == 0)
        return error_set(error, FH_CONFLICT, "'%.120s' is not an integer, and can't be counted.",
                         service_key_of(redis, word_at(reply, 1)));
    if (strcmp(word, "sum") == 0)
        return error_set(error, FH_CONFLICT, "'%.120s' would be beyond 2^53 - 1.",
                         service_key_of(redis, word_at(reply, 1)));
    if (strcmp(word, "right") == 0)
        return error_set(error, FH_UNSUPPORTED,
                         "The store's user on its Redis server has no right to %.20s.",
                         word_at(reply, 1));
    return redis_refused(reply, "a work", error);
}

static void take_positions(struct redis_work *own, int64_t first)
{
    struct redis *redis = own->redis;
    for (int i = 0; i < own->event_count; i++) {
        struct redis_placed *placed = &redis->placed[redis->placed_count++ % REDIS_PLACED_MAX];
        *placed = own->published[i];
        placed->position = first + i;
    }
}

static enum fh_code work_outcome(struct redis_work *own, const redisReply *answer,
                                 struct fh_error *error)
{
    if (own->work.tentative && strcmp(word_at(answer, 0), "again") == 0)
        redis_memory_mistaken(&own->redis->memory);
    if (strcmp(word_at(answer, 0), "done") != 0)
        return not_done(own->redis, answer, error);
    take_positions(own, strtoll(word_at(answer, 1), NULL, 10));
    return FH_OK;
}

/* The answers of a call, one after the other. */
struct answers {
    const redisReply *reply;
    const char *told; /* NULL: each is an element, or all are the same error */
    size_t next;
};

static struct answers answers_of(const redisReply *reply)
{
    bool told = redis_is(reply, REDIS_REPLY_STRING);
    return (struct answers){reply, told ? strchrnul(reply->str, ' ') : NULL, 0};
}

/* " done 12 never 0": units of work beyond its end must never be done. */
static enum fh_code outcome_reported(struct redis_work *own, const char **told,
                                     struct fh_error *error)
{
    bool done = strncmp(*told, " done ", 6) == 0;
    const char *number = *told + strcspn(*told, "0123456789");
    char *end;
    int64_t first = strtoll(number, &end, 10);
    *told = end;
    if (!done)
        return fail_with_conflict(error);
    take_positions(own, first);
    return FH_OK;
}

static enum fh_code outcome_next(struct redis_work *own, struct answers *answers,
                                 struct fh_error *error)
{
    const redisReply *reply = answers->reply;
    if (answers->told)
        return outcome_reported(own, &answers->told, error);
    if (!redis_is(reply, REDIS_REPLY_ARRAY))
        return work_outcome(own, reply, error);
    size_t at = answers->next++;
    return at < reply->elements ? work_outcome(own, redis_at(reply, at), error)
                                : fail_with_conflict(error);
}

/* ---- Committing ---- */

static char *put_shape_text(char *at, const struct text *text)
{
    return text->length ? mempcpy(at, text->data, text->length) : at;
}

static char *put_shape_number(char *at, int number)
{
    char digits[TEXT_INTEGER_SIZE];
    return stpcpy(at, text_of_integer(number, digits));
}

static void add_work(struct redis_words *works, const struct redis_work *own)
{
    const struct text *checks = &own->checks.shape, *operations = &own->operations.shape;
    char keys[TEXT_INTEGER_SIZE + 1], events[2 * (TEXT_INTEGER_SIZE + 1)], *end;
    size_t before = (size_t)(stpcpy(put_shape_number(keys, own->named.count), ";") - keys);
    *events = ';';
    end = put_shape_number(events + 1, own->event_count);
    *end++ = ';';
    size_t behind = (size_t)(put_shape_number(end, own->events.count) - events);
    char *at = redis_word_open(works, before + checks->length + 1 + operations->length + behind);
    if (at) {
        at = put_shape_text(mempcpy(at, keys, before), checks);
        *at++ = ';';
        memcpy(put_shape_text(at, operations), events, behind);
    }
    redis_word_number(works, own->now_ms);
    redis_words_add(works, &own->named);
    redis_words_add(works, &own->checks.words);
    redis_words_add(works, &own->operations.words);
    redis_words_add(works, &own->events);
}

static bool has_writes(const struct redis_work *own)
{
    return own->operations.count > 0 || own->event_count > 0;
}

static void run_group(struct redis_group *group)
{
    struct fh_error error = {0};
    redisReply *reply = NULL;
    group->called = true;
    if (group->redis->gathering == group)
        group->redis->gathering = NULL;
    group->redis->calling++;
    CRASH_POINT("redis.unwritten");
    enum fh_code code =
        redis_call(group->redis, group->writes, group->count, &group->works, &reply, &error);
    if (!code)
        CRASH_POINT("redis.written");
    group->redis->calling--;
    struct answers answers = answers_of(code ? NULL : reply);
    bool wrote = false;
    for (struct member *member = group->first, *next; member; member = next) {
        next = member->next; /* `member` belongs to a fiber that goes on */
        if (code && member->error)
            *member->error = error;
        member->code = code ? code : outcome_next(member->own, &answers, member->error);
        if (member->code)
            redis_keys_forget(member->own);
        wrote = wrote || (!member->code && has_writes(member->own));
        member->ended = true;
        if (member->fiber != fiber_self())
            fiber_ready(member->fiber);
    }
    if (wrote)
        redis_call_stands(group->redis);
    if (!code)
        hiredis.freeReplyObject(reply);
}

static void on_commit_turn(struct world_turn *turn)
{
    struct redis_group *group = turn->owner;
    group->turned = true;
    fiber_ready(group->first->fiber);
}

static void join_group(struct redis_group *group, struct member *member)
{
    const struct redis_work *own = member->own;
    add_work(&group->works, own);
    redis_keys_remember(member->own);
    group->count++;
    group->writes = group->writes || has_writes(own);
    *group->end = member;
    group->end = &member->next;
}

static void lead_group(struct redis *redis, struct member *member)
{
    struct redis_group group = {.redis = redis, .end = &group.first};
    group.turn = (struct world_turn){.run = on_commit_turn, .owner = &group};
    redis_words_init(&group.works);
    text_reserve(&group.works.text, GROUP_SIZE);
    join_group(&group, member);
    redis->gathering = &group;
    world_turn(redis->store.world, &group.turn);
    while (!group.turned)
        fiber_park();
    if (!group.called)
        run_group(&group);
    while (!member->ended)
        fiber_park();
    redis_words_release(&group.works);
}

static bool has_room(const struct redis_group *group, size_t size)
{
    return group && group->count < GROUP_MAX && group->works.text.length + size <= GROUP_SIZE_MAX;
}

static enum fh_code commit_in_group(struct redis_work *own, struct fh_error *error)
{
    struct redis *redis = own->redis;
    struct member member = {.own = own, .fiber = fiber_self(), .error = error};
    redis_records_write(own);
    int found_anyway = redis_keys_check(own), checks = found_anyway + own->checks.count;
    redis_needs_check(own);
    if (has_writes(own))
        redis_copy_check(own);
    if (!has_writes(own) && checks < 2 && !own->work.tentative)
        return FH_OK; /* a single question was answered at a single moment */
    const struct redis_words *parts[] = {&own->named, &own->checks.words, &own->operations.words,
                                         &own->events};
    size_t size = 0;
    int count = 0;
    bool overflow = false;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        size += parts[i]->text.length;
        count += parts[i]->count;
        overflow = overflow || parts[i]->text.overflow;
    }
    bool large = overflow || size > REDIS_WORK_SIZE_MAX || count > REDIS_ARGUMENTS_MAX;
    if (large && own->work.tentative)
        return fail_with_conflict(error); /* it may be smaller when rerun without cached reads */
    if (large)
        return error_set(error, FH_INVALID,
                         "One unit of work can't read and write more than %zu MiB on Redis.",
                         REDIS_WORK_SIZE_MAX >> 20);
    if (!has_room(redis->gathering, size)) {
        lead_group(redis, &member);
        return member.code;
    }
    join_group(redis->gathering, &member);
    if (redis->gathering->count >= (redis->calling ? GROUP_MAX : GROUP_MAX_IDLE))
        run_group(redis->gathering);
    while (!member.ended)
        fiber_park();
    return member.code;
}

enum fh_code redis_commit(struct store_work *work, struct fh_error *error)
{
    enum fh_code code = redis_writes(work) ? commit_in_group(redis_work_of(work), error) : FH_OK;
    redis_rollback(work);
    return code;
}

/* ---- Looking up positions ---- */

static int64_t placed_position(const struct redis *redis, const char *event_id)
{
    uint64_t known = redis->placed_count;
    uint64_t oldest = known > REDIS_PLACED_MAX ? known - REDIS_PLACED_MAX : 0;
    for (uint64_t place = known; place > oldest; place--) {
        const struct redis_placed *placed = &redis->placed[(place - 1) % REDIS_PLACED_MAX];
        if (strcmp(placed->event_id, event_id) == 0)
            return placed->position;
    }
    return 0;
}

/* The script has given them; the answers told this process those of its own units of work. */
enum fh_code redis_sequence(struct store *store, struct store_placed *placed, int count,
                            struct fh_error *error)
{
    for (int i = 0; i < count; i++) {
        placed[i].position = placed_position(redis_of(store), placed[i].event_id);
        if (!placed[i].position)
            return error_set(error, FH_UNAVAILABLE, "The event's position is not remembered.");
    }
    return FH_OK;
}
