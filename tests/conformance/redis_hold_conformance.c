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

/* As if it had ended by itself. */
static bool end_hold(struct conformance *c)
{
    char *key = redis_name(redis_of(c->store), "fh", "hold");
    redisReply *reply = redis_tell(c, "DEL", key, (char *)NULL);
    bool removed = redis_is(reply, REDIS_REPLY_INTEGER) && reply->integer == 1;
    if (reply)
        hiredis.freeReplyObject(reply);
    free(key);
    return removed;
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

/* Behind it, the hold has lasted for longer than it does without being renewed. */
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

/* Whose fiber that renews it is not there any more, as behind a kill -9. */
static void a_hold_whose_process_has_died_ends_by_itself(struct conformance *c)
{
    static struct instance dead;
    EXPECT(instance_open(c, &dead));
    dead.link.next = LINK_CUT_AFTER; /* it holds the store, and never gets to know that */
    enum fh_code code = store_hold(dead.store, &dead.error);
    instance_close(&dead);
    EXPECT(code == FH_UNAVAILABLE);
    struct instance own = {.c = c, .store = c->store};
    count_in(&own);
    EXPECT(own.code == FH_OK && counted(c, "1"));
}

static void a_hold_that_has_ended_is_told(struct conformance *c)
{
    static struct instance other;
    EXPECT(instance_open(c, &other));
    bool held = store_hold(c->store, &c->error) == FH_OK;
    bool ended = end_hold(c);
    count_in(&other);
    enum fh_code released = store_release(c->store, &c->error);
    instance_close(&other);
    EXPECT(held && ended && other.code == FH_OK && released == FH_UNAVAILABLE);
    EXPECT(strstr(c->error.message, "other processes may have changed it"));
    EXPECT(counted(c, "1") && store_hold(c->store, &c->error) == FH_OK);
    EXPECT(store_release(c->store, &c->error) == FH_OK);
}

static void a_hold_that_has_ended_does_not_end_the_next_one(struct conformance *c)
{
    static struct instance other;
    EXPECT(instance_open(c, &other));
    bool held = store_hold(c->store, &c->error) == FH_OK;
    enum fh_code both = store_hold(other.store, &other.error);
    bool next = end_hold(c) && store_hold(other.store, &other.error) == FH_OK;
    enum fh_code former = store_release(c->store, &c->error);
    enum fh_code released = next ? store_release(other.store, &other.error) : FH_INVALID;
    instance_close(&other);
    EXPECT(held && both == FH_UNAVAILABLE && former == FH_UNAVAILABLE && released == FH_OK);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(what_comes_while_a_store_is_held_is_done_behind_it),
        CASE(what_waits_too_long_for_a_held_store_is_refused),
        CASE(a_hold_whose_process_has_died_ends_by_itself),
        CASE(a_hold_that_has_ended_is_told),
        CASE(a_hold_that_has_ended_does_not_end_the_next_one),
    };
    return conformance_main_of("redis", FH_KEY_VALUE, rows, sizeof rows / sizeof *rows);
}
