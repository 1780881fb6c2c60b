/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store on Redis that is held (store_hold) is so for all processes, for no longer than its holder
 * lives; and who has not held it all the time is told.
 */

#define _GNU_SOURCE
#include "engine_redis.h"

#include <stdlib.h>
#include <string.h>

#include "keyvalue.h"
#include "link.h"
#include "store/copy/copy.h"

/* Another instance: a store of its own over a link, on the case's keys. */
struct instance {
    struct conformance *c;
    struct link link;
    struct store *store;
    int looks; /* for the hold */
    enum fh_code code;
    struct fh_error error;
    bool ended;
};

static void notice_looks(void *context, const char *data, size_t length)
{
    struct instance *instance = context;
    instance->looks += memmem(data, length, "GET", 3) && memmem(data, length, ":fh:hold", 8);
}

static bool instance_open(struct conformance *c, struct instance *instance)
{
    json_t *server = redis_server(&c->harness);
    json_int_t port = json_integer_value(json_object_get(server, "port"));
    *instance = (struct instance){.c = c};
    if (!link_open(&instance->link, c->harness.world, (int)port, "EVALSHA")) {
        json_decref(server);
        return false;
    }
    instance->link.seen = notice_looks;
    instance->link.context = instance;
    json_object_set_new(server, "port", json_integer(instance->link.port));
    bool opened = redis_open_with(&c->harness, server, &instance->store, &c->error) == FH_OK;
    return link_used(&instance->link, opened);
}

static void instance_close(struct instance *instance)
{
    store_close(instance->store);
    link_close(&instance->link);
}

static void count_in(void *argument)
{
    struct instance *instance = argument;
    struct keyvalue_view view = {.now_ms = world_wall_ms(instance->c->harness.world)};
    instance->ended = false;
    instance->code = store_begin(instance->store, STORE_WRITE, &view.work, &instance->error);
    if (!instance->code) {
        instance->code = kv(instance->c)->add(&view, "n", 1, &instance->error);
        if (!instance->code)
            instance->code = store_commit(view.work, &instance->error);
        else
            store_rollback(view.work);
    }
    instance->ended = true;
}

static void await_looks(struct instance *instance, int looks)
{
    struct world *world = instance->c->harness.world;
    while (instance->looks < looks && !instance->ended)
        fiber_sleep_until(world, world_in_ms(world, 1));
}

static bool counted(struct conformance *c, const char *times)
{
    return holds(c, "n", times);
}

static bool tell(struct conformance *c, const char *command, const char *name, const char *value)
{
    char *key = redis_name(redis_of(c->store), "fh", name);
    redisReply *reply = value ? redis_tell(c, command, key, value, (char *)NULL)
                              : redis_tell(c, command, key, (char *)NULL);
    bool done = redis_is(reply, REDIS_REPLY_STATUS) ||
                (redis_is(reply, REDIS_REPLY_INTEGER) && reply->integer == 1);
    if (reply)
        hiredis.freeReplyObject(reply);
    free(key);
    return done;
}

/* As if its process had hung for so long that its key has ended. */
static bool end_holder(struct conformance *c)
{
    return tell(c, "DEL", "holder", NULL);
}

static void what_comes_while_a_store_is_held_is_done_behind_it(struct conformance *c)
{
    static struct instance other;
    EXPECT(instance_open(c, &other));
    bool held = store_hold(c->store, &c->error) == FH_OK;
    conformance_start(c, count_in, &other);
    await_looks(&other, 2);
    bool waits = !other.ended && counted(c, NULL);
    bool released = store_release(c->store, &c->error) == FH_OK;
    conformance_join(c);
    instance_close(&other);
    EXPECT(held && waits && released && other.code == FH_OK && counted(c, "1"));
}

/* Behind it, the hold has lasted for longer than its holder's key does without being renewed. */
static void what_waits_too_long_for_a_held_store_is_refused(struct conformance *c)
{
    static struct instance other;
    EXPECT(instance_open(c, &other));
    bool held = store_hold(c->store, &c->error) == FH_OK;
    count_in(&other);
    enum fh_code refused = other.code;
    bool told = strstr(other.error.message, "backed up");
    fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, STORE_HOLD_MS_MAX / 2));
    bool none = counted(c, NULL);
    bool released = store_release(c->store, &c->error) == FH_OK;
    count_in(&other);
    instance_close(&other);
    EXPECT(held && refused == FH_UNAVAILABLE && told && none && released);
    EXPECT(other.code == FH_OK && counted(c, "1"));
}

/* Behind a kill -9 both keys are there, and nobody renews the holder's. */
static void a_hold_whose_process_has_died_ends_by_itself(struct conformance *c)
{
    static struct instance other;
    EXPECT(instance_open(c, &other));
    bool held = tell(c, "SET", "hold", "dead") && tell(c, "SET", "holder", "dead") &&
                tell(c, "PEXPIRE", "holder", "1500");
    conformance_start(c, count_in, &other);
    await_looks(&other, 2);
    bool waits = !other.ended;
    conformance_join(c);
    instance_close(&other);
    EXPECT(held && waits && other.code == FH_OK && counted(c, "1"));
    EXPECT(!tell(c, "DEL", "hold", NULL)); /* who wrote has removed it */
}

static void a_hold_whose_answer_was_lost_is_known(struct conformance *c)
{
    static struct instance holder;
    EXPECT(instance_open(c, &holder));
    holder.link.next = LINK_CUT_AFTER;
    enum fh_code held = store_hold(holder.store, &holder.error);
    bool there = tell(c, "PERSIST", "holder", NULL);
    enum fh_code released = store_release(holder.store, &holder.error);
    instance_close(&holder);
    EXPECT(held == FH_OK && there && released == FH_OK);
    EXPECT(!tell(c, "DEL", "hold", NULL) && !tell(c, "DEL", "holder", NULL));
}

static void a_hold_that_never_arrived_is_taken_again(struct conformance *c)
{
    static struct instance holder;
    EXPECT(instance_open(c, &holder));
    holder.link.next = LINK_CUT_BEFORE;
    enum fh_code held = store_hold(holder.store, &holder.error);
    enum fh_code released = store_release(holder.store, &holder.error);
    instance_close(&holder);
    EXPECT(held == FH_OK && released == FH_OK);
}

/* Whoever hung has kept nobody off for a while; what counts is whether somebody has written. */
static void a_hold_stands_as_long_as_nobody_has_written(struct conformance *c)
{
    static struct instance other;
    EXPECT(instance_open(c, &other));
    EXPECT(store_hold(c->store, &c->error) == FH_OK);
    EXPECT(end_holder(c) && store_release(c->store, &c->error) == FH_OK);
    EXPECT(store_hold(c->store, &c->error) == FH_OK && end_holder(c));
    count_in(&other);
    enum fh_code released = store_release(c->store, &c->error);
    instance_close(&other);
    EXPECT(other.code == FH_OK && counted(c, "1") && released == FH_UNAVAILABLE);
    EXPECT(strstr(c->error.message, "Another process has written to it"));
    EXPECT(store_hold(c->store, &c->error) == FH_OK);
    EXPECT(store_release(c->store, &c->error) == FH_OK);
}

/* Whoever copies finds out at the next slice. */
static void a_hold_that_does_not_stand_ends_its_copy(struct conformance *c)
{
    static struct instance other;
    struct world *world = c->harness.world;
    const struct copy_options options = {.from = c->store};
    EXPECT(instance_open(c, &other));
    EXPECT(copy_stopped(&options, &c->error) == FH_OK);
    EXPECT(store_hold(c->store, &c->error) == FH_OK && end_holder(c));
    count_in(&other);
    while (copy_stopped(&options, &c->error) == FH_OK)
        fiber_sleep_until(world, world_in_ms(world, 1));
    EXPECT(store_release(c->store, &c->error) == FH_UNAVAILABLE);
    instance_close(&other);
    EXPECT(copy_stopped(&options, &c->error) == FH_OK);
}

static void a_hold_that_does_not_stand_does_not_end_the_next_one(struct conformance *c)
{
    static struct instance other;
    EXPECT(instance_open(c, &other));
    bool held = store_hold(c->store, &c->error) == FH_OK;
    enum fh_code both = store_hold(other.store, &other.error);
    bool next = end_holder(c) && store_hold(other.store, &other.error) == FH_OK;
    enum fh_code former = store_release(c->store, &c->error);
    enum fh_code released = next ? store_release(other.store, &other.error) : FH_INVALID;
    instance_close(&other);
    EXPECT(held && both == FH_UNAVAILABLE && former == FH_UNAVAILABLE && released == FH_OK);
}

static void open_other(void *argument)
{
    struct instance *other = argument;
    other->code = instance_open(other->c, other) ? FH_OK : FH_UNAVAILABLE;
    other->ended = true;
}

static void a_process_that_starts_waits_until_the_store_is_released(struct conformance *c)
{
    static struct instance other;
    struct world *world = c->harness.world;
    other = (struct instance){.c = c};
    EXPECT(store_hold(c->store, &c->error) == FH_OK);
    conformance_start(c, open_other, &other);
    fiber_sleep_until(world, world_in_ms(world, STORE_HOLD_MS_MAX + 500));
    bool waits = !other.ended;
    EXPECT(store_release(c->store, &c->error) == FH_OK);
    conformance_join(c);
    EXPECT(waits && other.code == FH_OK);
    instance_close(&other);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(what_comes_while_a_store_is_held_is_done_behind_it),
        CASE(what_waits_too_long_for_a_held_store_is_refused),
        CASE(a_hold_whose_process_has_died_ends_by_itself),
        CASE(a_hold_whose_answer_was_lost_is_known),
        CASE(a_hold_that_never_arrived_is_taken_again),
        CASE(a_hold_stands_as_long_as_nobody_has_written),
        CASE(a_hold_that_does_not_stand_ends_its_copy),
        CASE(a_hold_that_does_not_stand_does_not_end_the_next_one),
        CASE(a_process_that_starts_waits_until_the_store_is_released),
    };
    return conformance_main_of("redis", FH_KEY_VALUE, rows, sizeof rows / sizeof *rows);
}
