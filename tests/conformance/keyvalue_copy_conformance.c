/* SPDX-License-Identifier: Apache-2.0 */
/* A whole store of keys and values copied: from an embedded one into the engine's, and from there
 * into another embedded one. What the copy has compared itself is read here once more, as the model
 * and the ledger read it. */

#include "copied.h"
#include "counted.h"
#include "keyvalue.h"

#include <stdlib.h>

#include "store/copy/keyvalue.h"

#define FIELDS 1200 /* more than two slices of a key */
#define MEMBERS 1100
#define VALUES 1100 /* more than a slice of keys */
#define HOUR_MS INT64_C(3600000)

/* ---- What is copied ---- */

static enum fh_code put_many(const struct keyvalue_ops *keys, const struct keyvalue_view *view,
                             struct fh_error *error)
{
    char name[32];
    enum fh_code code = FH_OK;
    for (int i = 0; i < FIELDS && code == FH_OK; i++) {
        snprintf(name, sizeof name, "f%04d", i);
        code = keys->field_put(view, "wide", name, i % 2 ? "\"x\"" : "{\"a\":[1,2]}", error);
    }
    for (int i = 0; i < MEMBERS && code == FH_OK; i++) { /* half of them with one score */
        snprintf(name, sizeof name, "m%04d", i);
        code = keys->member_put(view, "ranks", name, i % 2 ? i - 500 : 7, error);
    }
    for (int i = 0; i < VALUES && code == FH_OK; i++) {
        snprintf(name, sizeof name, "v%04d", i);
        code = keys->put(view, name, "[1.5,null,\"Z\xc3\xbcrich\"]", false, error);
    }
    return code;
}

static enum fh_code put_all(const struct keyvalue_ops *keys, const struct keyvalue_view *view,
                            struct fh_error *error)
{
    bool existed;
    enum fh_code code = put_many(keys, view, error);
    if (code == FH_OK)
        code = keys->add(view, "count", KEYVALUE_INTEGER_MAX - 1, error);
    if (code == FH_OK)
        code = keys->field_put(view, "cart:7", "lamp \xf0\x9f\x92\xa1", "3", error);
    if (code == FH_OK)
        code = keys->expire(view, "cart:7", view->now_ms + HOUR_MS, error);
    if (code == FH_OK)
        code = keys->member_put(view, "far", "high", KEYVALUE_INTEGER_MAX, error);
    if (code == FH_OK)
        code = keys->member_put(view, "far", "low", -KEYVALUE_INTEGER_MAX, error);
    if (code == FH_OK)
        code = keys->field_put(view, "gone", "f", "1", error);
    return code == FH_OK ? keys->remove(view, "gone", &existed, error) : code;
}

static bool fill(struct conformance *c, struct store *store, int64_t now_ms, char ids[3][ID_SIZE])
{
    struct keyvalue_view view = {.now_ms = now_ms};
    return store_begin(store, STORE_WRITE, &view.work, &c->error) == FH_OK &&
           committed(c, view.work, put_all(keyvalue_engine(store), &view, &c->error)) &&
           fill_ledger(c, store, ids);
}

/* ---- What is there afterwards ---- */

static bool has(struct conformance *c, struct store *store, const char *key, const char *text)
{
    struct store *own = c->store;
    c->store = store;
    bool well = holds(c, key, text);
    c->store = own;
    return well;
}

static size_t size_of(struct conformance *c, struct store *store, const char *key)
{
    struct keyvalue_view view = {.now_ms = world_wall_ms(c->harness.world)};
    struct store *own = c->store;
    if (store_begin(store, STORE_READ, &view.work, &c->error) != FH_OK)
        return 0;
    c->store = store;
    json_t *value = read_key(c, &view, key);
    c->store = own;
    store_rollback(view.work);
    size_t size = json_is_object(value) ? json_object_size(value) : json_array_size(value);
    json_decref(value);
    return size;
}

static void expect_keys(struct conformance *c, struct store *store, int64_t now_ms)
{
    enum keyvalue_kind kind = KEYVALUE_NONE;
    int64_t ends_ms = 0;
    EXPECT(has(c, store, "v0000", "[1.5,null,'Z\xc3\xbcrich']") &&
           has(c, store, "v1099", "[1.5,null,'Z\xc3\xbcrich']"));
    EXPECT(has(c, store, "count", "9007199254740990"));
    EXPECT(has(c, store, "cart:7", "{'lamp \xf0\x9f\x92\xa1':3}"));
    EXPECT(has(c, store, "far",
               "[{'member':'low','score':-9007199254740991},"
               "{'member':'high','score':9007199254740991}]"));
    EXPECT(has(c, store, "gone", NULL) && has(c, store, "left", NULL));
    EXPECT(size_of(c, store, "wide") == FIELDS && size_of(c, store, "ranks") == MEMBERS);
    struct keyvalue_view view = {.now_ms = now_ms};
    EXPECT(store_begin(store, STORE_READ, &view.work, &c->error) == FH_OK);
    enum fh_code code = keyvalue_engine(store)->look(&view, "cart:7", &kind, &ends_ms, &c->error);
    store_rollback(view.work);
    EXPECT(code == FH_OK && kind == KEYVALUE_HASH && ends_ms == now_ms + HOUR_MS);
}

/* ---- Cases ---- */

static void a_store_is_copied_into_the_engines_and_into_an_embedded_one(struct conformance *c)
{
    char ids[3][ID_SIZE];
    bool any = false, none = true;
    const int64_t now_ms = world_wall_ms(c->harness.world);
    struct arena arena;
    struct copy_result there, back;
    arena_init(&arena, 1 << 20);
    struct store *from = open_embedded(c, "from"), *to = open_embedded(c, "to");
    EXPECT(from && to && prepare(c) && fill(c, from, now_ms, ids));
    EXPECT(keyvalue_any(c->store, &none, &c->error) == FH_OK && !none);
    /* What an earlier attempt has left is replaced. */
    EXPECT(puts_value(c, "left", "1") && puts_field(c, "v0000", "f", "1"));
    EXPECT(keyvalue_any(c->store, &any, &c->error) == FH_OK && any);
    struct counted over = {0}, home = {0};
    struct copy_options options = {
        .from = from, .to = c->store, .told = count_step, .count = &over.count, .context = &over};
    EXPECT(keyvalue_copy(&options, &there, &c->error) == FH_OK);
    EXPECT(there.rows > VALUES);
    expect_keys(c, c->store, now_ms);
    expect_ledger(c, c->store, &arena);
    EXPECT(counts_whole(&over) && over.last.done == over.last.total);
    struct copy_options again = {
        .from = c->store, .to = to, .told = count_step, .count = &home.count, .context = &home};
    EXPECT(keyvalue_copy(&again, &back, &c->error) == FH_OK);
    EXPECT(back.rows == there.rows && back.tables == there.tables);
    EXPECT(counts_whole(&home) && home.last.done == home.last.total);
    EXPECT(home.last.guessed || c->store->engine->sql);
    expect_keys(c, to, now_ms);
    expect_ledger(c, to, &arena);
    expect_events(c, to, ids);
    expect_events(c, c->store, ids);
    arena_release(&arena);
    store_close(from);
    store_close(to);
}

/* Once more over what is there, as a move that was killed does. */
static void a_copy_that_is_repeated_leaves_the_same(struct conformance *c)
{
    char ids[3][ID_SIZE];
    const int64_t now_ms = world_wall_ms(c->harness.world);
    struct arena arena;
    struct copy_result result;
    arena_init(&arena, 1 << 20);
    struct store *from = open_embedded(c, "from");
    EXPECT(from && prepare(c) && fill(c, from, now_ms, ids));
    struct copy_options options = {.from = from, .to = c->store};
    for (int i = 0; i < 2; i++)
        EXPECT(keyvalue_copy(&options, &result, &c->error) == FH_OK);
    expect_keys(c, c->store, now_ms);
    expect_ledger(c, c->store, &arena);
    expect_events(c, c->store, ids);
    arena_release(&arena);
    store_close(from);
}

/* Between the two readings somebody writes who must not: a key that is already copied. */
struct meddling {
    struct conformance *c;
    struct store *from;
    bool done;
};

static void meddle(void *context, const struct copy_step *step)
{
    struct meddling *meddling = context;
    struct store *own = meddling->c->store;
    if (strcmp(step->course.of, "keys") != 0 || step->again || meddling->done)
        return;
    meddling->c->store = meddling->from;
    meddling->done = puts_field(meddling->c, "cart:7", "lamp", "1");
    meddling->c->store = own;
}

static void a_key_that_reads_otherwise_is_reported_by_its_name(struct conformance *c)
{
    char ids[3][ID_SIZE];
    struct copy_result result;
    struct store *from = open_embedded(c, "from");
    struct meddling meddling = {.c = c, .from = from};
    struct copy_count count = {0};
    EXPECT(from && prepare(c) && fill(c, from, world_wall_ms(c->harness.world), ids));
    struct copy_options options = {
        .from = from, .to = c->store, .told = meddle, .count = &count, .context = &meddling};
    enum fh_code code = keyvalue_copy(&options, &result, &c->error);
    store_close(from);
    EXPECT(meddling.done && code == FH_CONFLICT && !c->error.retryable);
    EXPECT(strstr(c->error.message, "cart:7 reads otherwise in"));
}

static void keys_that_end_meanwhile_are_no_difference(struct conformance *c)
{
    const int64_t now_ms = world_wall_ms(c->harness.world);
    struct copy_result result;
    struct store *from = open_embedded(c, "from"), *own = c->store;
    EXPECT(from && prepare(c));
    c->store = from;
    bool put = puts_value(c, "ended", "1") && puts_value(c, "v", "1");
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    /* Expired for whoever reads later, and not for the unit of work that set the expiry. */
    view.now_ms = now_ms - 2000;
    enum fh_code code = kv(c)->expire(&view, "ended", now_ms - 1000, &c->error);
    bool ends = conformance_commit(c, view.work) == FH_OK && code == FH_OK;
    c->store = own;
    EXPECT(put && ends);
    struct copy_options options = {.from = from, .to = c->store};
    code = keyvalue_copy(&options, &result, &c->error);
    store_close(from);
    EXPECT(code == FH_OK && holds(c, "v", "1") && holds(c, "ended", NULL));
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(a_store_is_copied_into_the_engines_and_into_an_embedded_one),
        CASE(a_copy_that_is_repeated_leaves_the_same),
        CASE(a_key_that_reads_otherwise_is_reported_by_its_name),
        CASE(keys_that_end_meanwhile_are_no_difference),
    };
    return conformance_main(FH_KEY_VALUE, rows, sizeof rows / sizeof *rows);
}
