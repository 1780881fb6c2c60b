/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to Redis that come late, and servers that are away: whatever arrives when later units of
 * work, or another copy, have gone on does nothing, and a commit is decided however long that
 * takes. Why each late message loses is in docs/operate/engines/redis.md.
 */

#include "engine_redis.h"

#include <stdlib.h>

#include "copied.h"
#include "keyvalue.h"
#include "link.h"
#include "store/copy/keyvalue.h"

#define AWAY_MS 11000 /* longer than an answer is waited for on one connection */

/* ---- Over a link ---- */

/* A store of its own over a link, on the case's keys. */
struct far {
    struct conformance *c;
    struct link link;
    struct store *store;
    const char *key;
    enum fh_code code;
    struct fh_error error;
    bool ended;
};

static bool far_open(struct conformance *c, struct far *far, const char *key)
{
    json_t *server = redis_server(&c->harness);
    json_int_t port = json_integer_value(json_object_get(server, "port"));
    *far = (struct far){.c = c, .key = key};
    if (!link_open(&far->link, c->harness.world, (int)port, "EVALSHA")) {
        json_decref(server);
        return false;
    }
    json_object_set_new(server, "port", json_integer(far->link.port));
    bool opened = redis_open_with(&c->harness, server, &far->store, &c->error) == FH_OK;
    return link_used(&far->link, opened);
}

static void far_close(struct far *far)
{
    store_close(far->store);
    link_close(&far->link);
}

/* Counts without reading: nothing that it has read can keep it from being done twice. */
static enum fh_code count_once(struct far *far)
{
    struct store_work *work;
    enum fh_code code = store_begin(far->store, STORE_WRITE, &work, &far->error);
    if (code)
        return code;
    struct keyvalue_view view = {.work = work, .now_ms = world_wall_ms(far->c->harness.world)};
    code = kv(far->c)->add(&view, far->key, 1, &far->error);
    if (!code)
        return store_commit(work, &far->error);
    store_rollback(work);
    return code;
}

static void count_far(void *argument)
{
    struct far *far = argument;
    far->code = count_once(far);
    far->ended = true;
}

static void cut_next(struct far *far, enum link_cut how, bool away)
{
    far->link.refuses_behind = away;
    far->link.next = how;
}

static char *life_key(const struct far *far)
{
    char name[64];
    snprintf(name, sizeof name, "work:%s", redis_of(far->store)->life);
    return redis_name(redis_of(far->store), "fh", name);
}

/* As the end of the time for which it is kept, by a clock that was set, say. */
static bool forget_life(struct far *far)
{
    char *key = life_key(far);
    redisReply *reply = redis_tell(far->c, "DEL", key, (char *)NULL);
    bool removed = redis_is(reply, REDIS_REPLY_INTEGER) && reply->integer == 1;
    if (reply)
        hiredis.freeReplyObject(reply);
    free(key);
    return removed;
}

/* ---- The server is away in the commit ---- */

static void a_commit_is_decided_however_long_its_server_was_away(struct conformance *c)
{
    struct far done, never;
    EXPECT(far_open(c, &done, "done") && far_open(c, &never, "never"));
    EXPECT(count_once(&done) == FH_OK && count_once(&never) == FH_OK);
    cut_next(&done, LINK_CUT_AFTER, true);
    cut_next(&never, LINK_CUT_BEFORE, true);
    conformance_start(c, count_far, &done);
    conformance_start(c, count_far, &never);
    fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, AWAY_MS));
    bool waited = !done.ended && !never.ended;
    done.link.refuses = never.link.refuses = false;
    conformance_join(c);
    bool retryable = never.error.retryable;
    enum fh_code again = count_once(&never);
    far_close(&done);
    far_close(&never);
    EXPECT(waited && done.code == FH_OK);
    EXPECT(never.code == FH_CONFLICT && retryable && again == FH_OK);
    EXPECT(holds(c, "done", "2") && holds(c, "never", "2"));
}

/* ---- What is known of a process has gone ---- */

/* Schedule 23. */
static void a_call_that_comes_when_its_process_is_forgotten_does_nothing(struct conformance *c)
{
    struct far far;
    EXPECT(far_open(c, &far, "n") && count_once(&far) == FH_OK);
    cut_next(&far, LINK_HELD, false);
    enum fh_code late = count_once(&far), again = count_once(&far);
    bool forgotten = forget_life(&far);
    link_release(&far.link);
    far_close(&far);
    EXPECT(late == FH_CONFLICT && again == FH_OK && forgotten);
    EXPECT(holds(c, "n", "2"));
}

static void a_process_that_was_forgotten_continues_in_another_session(struct conformance *c)
{
    struct far far;
    EXPECT(far_open(c, &far, "n") && count_once(&far) == FH_OK);
    bool forgotten = forget_life(&far);
    enum fh_code refused = count_once(&far);
    bool retryable = far.error.retryable;
    enum fh_code again = count_once(&far);
    far_close(&far);
    EXPECT(forgotten && refused == FH_CONFLICT && retryable && again == FH_OK);
    EXPECT(holds(c, "n", "2"));
}

static int fatal_count;

static void note_fatal(struct world *world, const char *why)
{
    (void)world;
    (void)why;
    fatal_count++;
}

/* Whether it was done can't be known: as in a crash, nobody gets an answer. */
static void a_process_ends_if_the_outcome_of_its_call_is_forgotten(struct conformance *c)
{
    struct far far;
    struct world_ops ops = *c->harness.world->ops;
    const struct world_ops *honest = c->harness.world->ops;
    ops.fatal = note_fatal;
    fatal_count = 0;
    EXPECT(far_open(c, &far, "n") && count_once(&far) == FH_OK);
    cut_next(&far, LINK_CUT_AFTER, true);
    c->harness.world->ops = &ops;
    conformance_start(c, count_far, &far);
    while (!far.link.refuses)
        fiber_wait(&far.link.changed);
    bool forgotten = forget_life(&far);
    far.link.refuses = false;
    conformance_join(c);
    c->harness.world->ops = honest;
    far_close(&far);
    EXPECT(forgotten && fatal_count == 1);
}

/* Its slots' numbers say so, and nothing else has to. */
static void what_is_known_of_a_process_is_kept_as_long_as_it_writes(struct conformance *c)
{
    struct far far;
    EXPECT(far_open(c, &far, "n") && count_once(&far) == FH_OK);
    char *key = life_key(&far);
    redisReply *reply = redis_tell(c, "PEXPIRE", key, "100000", (char *)NULL);
    hiredis.freeReplyObject(reply);
    redis_of(far.store)->kept_ns -= INT64_C(25) * 3600 * 1000000000;
    enum fh_code code = count_once(&far);
    reply = redis_tell(c, "PTTL", key, (char *)NULL);
    bool kept = redis_is(reply, REDIS_REPLY_INTEGER) && reply->integer > 29 * INT64_C(86400000);
    hiredis.freeReplyObject(reply);
    free(key);
    far_close(&far);
    EXPECT(code == FH_OK && kept);
}

/* ---- Copies ---- */

struct copier {
    struct far far;
    struct store *from;
    enum fh_code code;
};

static void copy_far(void *argument)
{
    struct copier *copier = argument;
    struct copy_options options = {.from = copier->from, .to = copier->far.store};
    struct copy_result result;
    copier->code = keyvalue_copy(&options, &result, &copier->far.error);
}

static bool fill(struct conformance *c, struct store *store)
{
    char ids[3][ID_SIZE];
    struct store *own = c->store;
    c->store = store;
    bool put = puts_value(c, "copied", "1");
    c->store = own;
    return put && fill_ledger(c, store, ids);
}

static int64_t count_of(struct conformance *c, const char *command, const char *name)
{
    char *key = redis_name(redis_of(c->store), "fh", name);
    redisReply *reply = redis_tell(c, command, key, (char *)NULL);
    int64_t count = redis_is(reply, REDIS_REPLY_INTEGER) ? reply->integer : -1;
    if (reply)
        hiredis.freeReplyObject(reply);
    free(key);
    return count;
}

static bool is_empty(struct conformance *c)
{
    bool any = true;
    return keyvalue_any(c->store, &any, &c->error) == FH_OK && !any &&
           count_of(c, "HLEN", "command") == 0 && count_of(c, "XLEN", "outbox") == 0 &&
           count_of(c, "HLEN", "place") == 0 && count_of(c, "HLEN", "saga") == 0 &&
           count_of(c, "INCR", "counter") == 1 && count_of(c, "DECR", "counter") == 0;
}

/* A process that copies is cut off, as if killed, while what contains `marker` is on its way.
 * Another one has copied an empty store when that arrives. */
static void a_copy_comes_late(struct conformance *c, const char *marker)
{
    struct copier first = {0};
    struct store *none = open_embedded(c, "none");
    first.from = open_embedded(c, "from");
    EXPECT(prepare(c) && none && first.from && fill(c, first.from));
    EXPECT(far_open(c, &first.far, NULL));
    first.far.link.marker = marker;
    cut_next(&first.far, LINK_HELD, true);
    conformance_start(c, copy_far, &first);
    while (!first.far.link.refuses)
        fiber_wait(&first.far.link.changed);
    struct copy_options options = {.from = none, .to = c->store};
    struct copy_result result;
    bool copied = keyvalue_copy(&options, &result, &c->error) == FH_OK;
    bool was_empty = is_empty(c);
    link_release(&first.far.link);
    bool stays_empty = is_empty(c);
    first.far.link.refuses = false;
    conformance_join(c);
    far_close(&first.far);
    store_close(none);
    store_close(first.from);
    EXPECT(copied && was_empty && stays_empty && first.code != FH_OK && is_empty(c));
}

static void a_late_key_of_a_copy_loses(struct conformance *c)
{
    a_copy_comes_late(c, ":kv:copied");
}

static void a_late_record_of_a_copy_loses(struct conformance *c)
{
    a_copy_comes_late(c, "\"digest");
}

static void a_late_event_of_a_copy_loses(struct conformance *c)
{
    a_copy_comes_late(c, "XADD");
}

static void a_late_counter_of_a_copy_loses(struct conformance *c)
{
    a_copy_comes_late(c, ":fh:counter");
}

/* What shows that a repeated call has been done: the server forgets it by its own clock, which may
 * be set by days, as the process may be stopped for as long. Schedule 25. */
static void what_became_of_calls_outlives_days(struct conformance *c)
{
    struct keyvalue_view view;
    char works[128];
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    view = (struct keyvalue_view){.work = work, .now_ms = world_wall_ms(c->store->world)};
    EXPECT(work && keyvalue_engine(c->store)->put(&view, "a", "1", false, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    char *prefix = redis_name(redis_of(c->store), "fh", "work");
    snprintf(works, sizeof works, "%s:%s", prefix, redis_of(c->store)->life);
    free(prefix);
    redisReply *reply = redis_tell(c, "PEXPIRETIME", works, NULL);
    bool kept = redis_is(reply, REDIS_REPLY_INTEGER) &&
                reply->integer > world_wall_ms(c->store->world) + 28 * (int64_t)86400000;
    hiredis.freeReplyObject(reply);
    EXPECT(kept);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(a_late_key_of_a_copy_loses),
        CASE(a_late_record_of_a_copy_loses),
        CASE(a_late_event_of_a_copy_loses),
        CASE(a_late_counter_of_a_copy_loses),
        CASE(a_commit_is_decided_however_long_its_server_was_away),
        CASE(a_call_that_comes_when_its_process_is_forgotten_does_nothing),
        CASE(a_process_that_was_forgotten_continues_in_another_session),
        CASE(a_process_ends_if_the_outcome_of_its_call_is_forgotten),
        CASE(what_is_known_of_a_process_is_kept_as_long_as_it_writes),
        CASE(what_became_of_calls_outlives_days),
    };
    return conformance_main_of("redis", FH_KEY_VALUE, rows, sizeof rows / sizeof *rows);
}
