/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process's cache of its keys on Redis: units of work that read from it are as right as those
 * that read from the server, and what is stale, whoever has changed it, makes them rerun.
 */

#include "engine_redis.h"

#include <stdlib.h>

#include "base/json.h"
#include "keyvalue.h"

#define KEYS 4
#define RANDOM_WORKS 600

static struct keyvalue_view begin_grouped(struct conformance *c)
{
    return begin(c, STORE_WRITE_GROUPED, 0);
}

/* Reads a key, so that it is cached. */
static bool looks_at(struct conformance *c, const char *key, const char *text)
{
    struct keyvalue_view view = begin_grouped(c);
    bool well = view.work && shows(c, &view, key, text);
    return well && kv(c)->put(&view, "other", "1", false, &c->error) == FH_OK &&
           conformance_commit(c, view.work) == FH_OK;
}

static int64_t commands_asked(struct conformance *c, const char *command)
{
    char wanted[64];
    redisReply *reply = redis_tell(c, "INFO", "commandstats", NULL);
    snprintf(wanted, sizeof wanted, "cmdstat_%s:calls=", command);
    const char *at = reply && reply->str ? strstr(reply->str, wanted) : NULL;
    int64_t calls = at ? strtoll(at + strlen(wanted), NULL, 10) : 0;
    hiredis.freeReplyObject(reply);
    return calls;
}

/* Another process: the server's key is written behind the store's back. */
static bool another_writes(struct conformance *c, const char *key, const char *text)
{
    char *name = redis_name(redis_of(c->store), "kv", key);
    redisReply *reply = redis_tell(c, "SET", name, text, NULL);
    bool well = redis_is(reply, REDIS_REPLY_STATUS);
    hiredis.freeReplyObject(reply);
    free(name);
    return well;
}

static void what_the_process_has_written_is_not_read_again(struct conformance *c)
{
    EXPECT(puts_field(c, "h", "a", "1") && looks_at(c, "h", "{\"a\": 1}"));
    int64_t asked = commands_asked(c, "hscan");
    for (int i = 0; i < 3; i++) {
        struct keyvalue_view view = begin_grouped(c);
        EXPECT(view.work && shows(c, &view, "h", i ? "{\"a\": 1, \"b\": 2}" : "{\"a\": 1}"));
        EXPECT(view.work->tentative);
        EXPECT(kv(c)->field_put(&view, "h", "b", "2", &c->error) == FH_OK);
        EXPECT(conformance_commit(c, view.work) == FH_OK);
    }
    EXPECT(commands_asked(c, "hscan") == asked && holds(c, "h", "{\"a\": 1, \"b\": 2}"));
}

static void units_of_work_that_only_read_or_are_rerun_ask_the_server(struct conformance *c)
{
    EXPECT(puts_value(c, "v", "1") && looks_at(c, "v", "1") && another_writes(c, "v", "2"));
    EXPECT(holds(c, "v", "2"));
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    EXPECT(view.work && shows(c, &view, "v", "2") && !view.work->tentative);
    conformance_rollback(c, view.work);
}

static void one_that_has_read_a_stale_cache_fails(struct conformance *c)
{
    EXPECT(puts_value(c, "v", "1") && looks_at(c, "v", "1") && another_writes(c, "v", "5"));
    struct keyvalue_view view = begin_grouped(c);
    EXPECT(view.work && shows(c, &view, "v", "1") && view.work->tentative);
    EXPECT(kv(c)->put(&view, "v", "2", true, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, view.work) == FH_CONFLICT && c->error.retryable);
    view = begin_grouped(c); /* it was dropped */
    EXPECT(view.work && shows(c, &view, "v", "5") && !view.work->tentative);
    EXPECT(kv(c)->put(&view, "v", "6", true, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, view.work) == FH_OK && holds(c, "v", "6"));
}

static void a_unit_of_work_that_changes_nothing_conflicts_too(struct conformance *c)
{
    EXPECT(puts_value(c, "v", "1") && looks_at(c, "v", "1"));
    struct keyvalue_view view = begin_grouped(c);
    EXPECT(view.work && shows(c, &view, "v", "1") && conformance_commit(c, view.work) == FH_OK);
    EXPECT(another_writes(c, "v", "2"));
    view = begin_grouped(c);
    EXPECT(view.work && shows(c, &view, "v", "1"));
    EXPECT(conformance_commit(c, view.work) == FH_CONFLICT && c->error.retryable);
}

/* ---- Concurrent units of work ---- */

struct counting {
    struct conformance *c;
    int done, conflicts;
};

static void count_once(void *argument)
{
    struct counting *counting = argument;
    struct conformance *c = counting->c;
    struct fh_error error = {0};
    struct keyvalue_view view = {NULL, world_wall_ms(c->harness.world)};
    json_t *fields = NULL;
    char text[24];
    if (store_begin(c->store, STORE_WRITE_GROUPED, &view.work, &error) != FH_OK)
        return;
    enum fh_code code = kv(c)->fields(&view, "h", &fields, &error);
    snprintf(text, sizeof text, "%lld",
             json_integer_value(json_object_get(fields, "n")) + INT64_C(1));
    json_decref(fields);
    if (code || kv(c)->field_put(&view, "h", "n", text, &error)) {
        store_rollback(view.work);
        return;
    }
    code = store_commit(view.work, &error);
    counting->done += code == FH_OK;
    counting->conflicts += code == FH_CONFLICT && error.retryable;
}

static void units_of_work_see_what_those_before_them_will_have_left(struct conformance *c)
{
    struct counting counting = {.c = c};
    EXPECT(puts_field(c, "h", "n", "0") && looks_at(c, "h", "{\"n\": 0}"));
    for (int i = 0; i < 30; i++)
        conformance_start(c, count_once, &counting);
    conformance_join(c);
    EXPECT(counting.done == 30 && holds(c, "h", "{\"n\": 30}"));
}

static void one_that_has_seen_a_failed_unit_of_work_fails(struct conformance *c)
{
    struct counting counting = {.c = c};
    EXPECT(puts_field(c, "h", "n", "0") && looks_at(c, "h", "{\"n\": 0}"));
    char *name = redis_name(redis_of(c->store), "kv", "h");
    redisReply *reply = redis_tell(c, "HSET", name, "n", "7", NULL);
    hiredis.freeReplyObject(reply);
    free(name);
    for (int i = 0; i < 5; i++)
        conformance_start(c, count_once, &counting);
    conformance_join(c);
    EXPECT(counting.done == 0 && counting.conflicts == 5 && holds(c, "h", "{\"n\": 7}"));
    conformance_start(c, count_once, &counting);
    conformance_join(c);
    EXPECT(counting.done == 1 && holds(c, "h", "{\"n\": 8}"));
}

/* ---- Whatever units of work do ---- */

static unsigned draw(unsigned *seed, unsigned below)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % below;
}

/* A change that a key of another kind refuses is none. */
static void change(struct conformance *c, const struct keyvalue_view *view, unsigned *seed)
{
    char key[8], field[8], text[24];
    bool existed;
    unsigned number = draw(seed, KEYS);
    snprintf(key, sizeof key, "k%u", number);
    snprintf(field, sizeof field, "f%u", draw(seed, 4));
    snprintf(text, sizeof text, "%u", draw(seed, 1000));
    /* Each key has changes that suit it, and now and then others. */
    switch (draw(seed, 6) ? (number < 2    ? 2 + draw(seed, 6)
                             : number == 2 ? draw(seed, 2)
                                           : 8)
                          : draw(seed, 9)) {
    case 0:
        kv(c)->put(view, key, text, false, &c->error);
        break;
    case 1:
        kv(c)->put(view, key, text, true, &c->error);
        break;
    case 2:
    case 3:
    case 4:
        kv(c)->field_put(view, key, field, text, &c->error);
        break;
    case 5:
        kv(c)->field_remove(view, key, field, &existed, &c->error);
        break;
    case 6:
        kv(c)->remove(view, key, &existed, &c->error);
        break;
    case 7:
        kv(c)->expire(view, key, draw(seed, 3) ? view->now_ms + 1000000 : 0, &c->error);
        break;
    default:
        kv(c)->member_put(view, key, field, draw(seed, 9), &c->error);
    }
}

static char *all_keys(struct conformance *c, enum store_mode mode)
{
    struct keyvalue_view view = begin(c, mode, 0);
    json_t *all = json_array();
    for (int i = 0; i < KEYS; i++) {
        char key[8];
        enum keyvalue_kind kind;
        int64_t expires_ms;
        snprintf(key, sizeof key, "k%d", i);
        kv(c)->look(&view, key, &kind, &expires_ms, &c->error);
        json_t *value = read_key(c, &view, key);
        json_array_append_new(all,
                              json_pack("[i, I, o*]", (int)kind, (json_int_t)expires_ms, value));
    }
    if (conformance_commit(c, view.work) != FH_OK) /* what it has cached is stale */
        json_array_clear(all);
    char *text = json_text(all);
    json_decref(all);
    return text;
}

static void what_is_cached_is_what_is_there_whatever_is_done(struct conformance *c)
{
    unsigned seed = 7;
    int refused = 0, took = 0;
    for (int i = 0; i < RANDOM_WORKS; i++) {
        struct keyvalue_view view = begin_grouped(c);
        EXPECT(view.work != NULL);
        for (unsigned changes = 1 + draw(&seed, 4); changes; changes--) {
            if (draw(&seed, 2))
                json_decref(read_key(c, &view,
                                     (const char *[]){"k0", "k1", "k2", "k3"}[draw(&seed, KEYS)]));
            change(c, &view, &seed);
        }
        took += view.work->tentative;
        enum fh_code code = conformance_commit(c, view.work);
        EXPECT(code == FH_OK || (code == FH_CONFLICT && !c->error.retryable));
        refused += code != FH_OK;
        char *known = all_keys(c, STORE_WRITE_GROUPED), *there = all_keys(c, STORE_WRITE);
        bool same = strcmp(known, there) == 0;
        json_text_free(known);
        json_text_free(there);
        EXPECT(same);
    }
    EXPECT(refused < RANDOM_WORKS / 2 && took > RANDOM_WORKS / 10);
}

/* ---- Hashes that were read whole ---- */

/* That it is a hash is known by its comparison alone; nothing else asks for that. */
static struct keyvalue_view begin_with_fields(struct conformance *c, const char *text)
{
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    FH_ASSERT(view.work && shows(c, &view, "h", text));
    return view;
}

static void a_hash_that_became_something_else_is_not_written(struct conformance *c)
{
    bool existed;
    EXPECT(puts_field(c, "h", "a", "1"));
    struct keyvalue_view put = begin_with_fields(c, "{\"a\": 1}");
    struct keyvalue_view removed = begin_with_fields(c, "{\"a\": 1}");
    EXPECT(kv(c)->field_put(&put, "h", "b", "2", &c->error) == FH_OK);
    EXPECT(kv(c)->field_remove(&removed, "h", "a", &existed, &c->error) == FH_OK && existed);
    EXPECT(another_writes(c, "h", "5"));
    EXPECT(conformance_commit(c, put.work) == FH_CONFLICT && c->error.retryable);
    EXPECT(conformance_commit(c, removed.work) == FH_CONFLICT && c->error.retryable);
    EXPECT(holds(c, "h", "5"));
}

/* In the list of all keys. A key that is not listed has none, which is shown as -1. */
static double score_of(struct conformance *c, const char *key)
{
    char *names = redis_name(redis_of(c->store), "fh", "keys");
    redisReply *reply = redis_tell(c, "ZSCORE", names, key, NULL);
    double score = redis_is(reply, REDIS_REPLY_STRING) ? strtod(reply->str, NULL) : -1;
    hiredis.freeReplyObject(reply);
    free(names);
    return score;
}

static void a_hash_that_was_read_stays_listed_as_it_is_left(struct conformance *c)
{
    bool existed;
    EXPECT(puts_field(c, "h", "a", "1") && score_of(c, "h") > 1e15);
    struct keyvalue_view view = begin_with_fields(c, "{\"a\": 1}");
    int64_t ends_ms = view.now_ms + 500000;
    EXPECT(kv(c)->expire(&view, "h", ends_ms, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, view.work) == FH_OK && score_of(c, "h") <= (double)ends_ms);
    view = begin_with_fields(c, "{\"a\": 1}");
    EXPECT(kv(c)->expire(&view, "h", ends_ms - 100000, &c->error) == FH_OK);
    EXPECT(kv(c)->field_put(&view, "h", "b", "2", &c->error) == FH_OK);
    EXPECT(conformance_commit(c, view.work) == FH_OK);
    EXPECT(score_of(c, "h") <= (double)(ends_ms - 100000) && score_of(c, "h") > 0);
    view = begin_with_fields(c, "{\"a\": 1, \"b\": 2}");
    EXPECT(kv(c)->remove(&view, "h", &existed, &c->error) == FH_OK && existed);
    EXPECT(kv(c)->member_put(&view, "h", "m", 3, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, view.work) == FH_OK && score_of(c, "h") > 1e15);
    view = begin(c, STORE_WRITE, 0);
    EXPECT(kv(c)->remove(&view, "h", &existed, &c->error) == FH_OK && existed);
    EXPECT(conformance_commit(c, view.work) == FH_OK && score_of(c, "h") < 0);
}

/* ---- The memory itself ---- */

static void fill(struct redis_memory *memory, int first, int last)
{
    static char text[2000];
    memset(text, 'a', sizeof text - 1);
    for (int i = first; i < last; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        struct redis_known *known = redis_known_new(KEYVALUE_VALUE, -1, &(const char *){text}, 1);
        redis_memory_put(memory, key, known);
        redis_known_unref(known);
    }
}

static bool remembers(struct redis_memory *memory, const char *key)
{
    struct redis_known *known = redis_memory_get(memory, key);
    redis_known_unref(known);
    return known != NULL;
}

static void what_was_not_used_for_longest_is_forgotten(struct conformance *c)
{
    struct redis_memory memory;
    redis_memory_init(&memory);
    fill(&memory, 0, 100);
    EXPECT(remembers(&memory, "0") && remembers(&memory, "1"));
    for (int i = 100; i < 20000; i += 100) {
        fill(&memory, i, i + 100);
        EXPECT(remembers(&memory, "0"));
    }
    EXPECT(!remembers(&memory, "1") && remembers(&memory, "19999"));
    EXPECT(memory.size <= (size_t)8 << 20 && memory.keys.count < 5000);
    redis_memory_put(&memory, "0", NULL);
    EXPECT(!remembers(&memory, "0"));
    redis_memory_release(&memory);
}

static void while_much_of_the_cache_is_stale_everything_is_read(struct conformance *c)
{
    struct redis_memory memory;
    int asked = 0;
    redis_memory_init(&memory);
    fill(&memory, 0, 1);
    for (int i = 0; i < 100 && remembers(&memory, "0"); i++)
        redis_memory_mistaken(&memory);
    EXPECT(!remembers(&memory, "0"));
    while (asked < 100000 && !remembers(&memory, "0"))
        asked++;
    EXPECT(asked > 10 && asked < 100000);
    redis_memory_release(&memory);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(what_the_process_has_written_is_not_read_again),
        CASE(units_of_work_that_only_read_or_are_rerun_ask_the_server),
        CASE(one_that_has_read_a_stale_cache_fails),
        CASE(a_unit_of_work_that_changes_nothing_conflicts_too),
        CASE(units_of_work_see_what_those_before_them_will_have_left),
        CASE(one_that_has_seen_a_failed_unit_of_work_fails),
        CASE(what_is_cached_is_what_is_there_whatever_is_done),
        CASE(a_hash_that_became_something_else_is_not_written),
        CASE(a_hash_that_was_read_stays_listed_as_it_is_left),
        CASE(what_was_not_used_for_longest_is_forgotten),
        CASE(while_much_of_the_cache_is_stale_everything_is_read),
    };
    return conformance_main_of("redis", FH_KEY_VALUE, rows, sizeof rows / sizeof *rows);
}
