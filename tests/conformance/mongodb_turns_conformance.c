/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several processes of one service on one MongoDB store: each is a store of its own here, in the
 * same folder. One at a time writes, whichever it is; nothing is lost, and there is a single order.
 */

#include "engine_mongodb.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "engine/mongodb/internal.h"
#include "store/turn.h"

#define PROCESSES 3
#define WORKS 60
#define WAIT_MS 60000 /* for a condition, on a machine that is busy */

static const struct fh_collection things = {"thing", {"v"}};

static struct store *stores[PROCESSES];

/* ---- Small things ---- */

static void close_stores(struct conformance *c)
{
    for (int i = 1; i < PROCESSES; i++) {
        if (stores[i])
            c->engine->close(stores[i]);
        stores[i] = NULL;
    }
    stores[0] = NULL; /* the case's own */
}

static enum fh_code insert(struct store_work *work, const char *id, struct fh_error *error)
{
    json_t *document = json_pack("{s:s, s:i}", "id", id, "v", 0);
    enum fh_code code = mongodb_documents.insert(work, "thing", document, error);
    json_decref(document);
    return code;
}

static bool make_thing(struct conformance *c, const char *id)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    return work && insert(work, id, &c->error) == FH_OK && conformance_commit(c, work) == FH_OK;
}

/* From here on the case's store shares, too. */
static bool open_stores(struct conformance *c)
{
    c->engine->close(c->store);
    c->store = NULL;
    if (mongodb_open_shared(c, &c->store) != FH_OK)
        return false;
    stores[0] = c->store;
    struct store_work *work = conformance_begin(c, STORE_WRITE_EXCLUSIVE);
    if (!work || mongodb_documents.prepare(work, &things, 1, &c->error) != FH_OK ||
        conformance_commit(c, work) != FH_OK || !make_thing(c, "a") || !make_thing(c, "b"))
        return false;
    for (int i = 1; i < PROCESSES; i++) {
        if (mongodb_open_shared(c, &stores[i]) != FH_OK) {
            close_stores(c); /* those before it have fibers */
            return false;
        }
    }
    return true;
}

static enum fh_code add(struct store_work *work, const char *id, struct fh_error *error)
{
    json_t *update = json_pack("{s:{s:i}}", "$inc", "v", 1), *document = NULL;
    enum fh_code code = mongodb_documents.update(work, "thing", id, NULL, update, &document, error);
    json_decref(update);
    json_decref(document);
    return code;
}

static int value_at(struct store *store, const char *id)
{
    struct store_work *work;
    json_t *document = NULL;
    if (store_begin(store, STORE_READ, &work, ERROR_UNHEEDED) != FH_OK)
        return -1;
    int value = -1;
    if (mongodb_documents.get(work, "thing", id, &document, ERROR_UNHEEDED) == FH_OK)
        value = (int)json_integer_value(json_object_get(document, "v"));
    json_decref(document);
    store_rollback(work);
    return value;
}

static int64_t position_at(struct store *store)
{
    struct store_work *work;
    int64_t position = -1;
    if (store_begin(store, STORE_READ, &work, ERROR_UNHEEDED) != FH_OK)
        return -1;
    if (ledger_position(work, &position, ERROR_UNHEEDED) != FH_OK)
        position = -1;
    store_rollback(work);
    return position;
}

/* One after the other, each after the previous one of the same key. */
static bool check_event(void *context, const struct ledger_event *event)
{
    int64_t *last = context;
    bool follows = event->position == *last + 1 && event->previous == *last;
    *last = follows ? event->position : -1000000;
    return follows;
}

static int64_t read_outbox(struct store *store)
{
    struct store_work *work;
    int64_t last = 0;
    if (store_begin(store, STORE_READ, &work, ERROR_UNHEEDED) != FH_OK)
        return -1;
    if (ledger_outbox_read(work, 0, 1000, check_event, &last, ERROR_UNHEEDED) != FH_OK)
        last = -1;
    store_rollback(work);
    return last;
}

struct writer {
    struct store *store;
    int number, tries;
    bool done;
};

static enum fh_code write_all(struct store_work *work, const struct writer *writer,
                              struct fh_error *error)
{
    char id[16];
    snprintf(id, sizeof id, "e%d", writer->number);
    struct ledger_event event = {
        .id = id, .type = "Changed", .key = "k", .version = 1, .time_ms = 1, .data = "{}"};
    enum fh_code code = add(work, writer->number % 2 ? "a" : "b", error);
    return code ? code : ledger_outbox_append(work, &event, error);
}

static void write_once(void *argument)
{
    struct writer *writer = argument;
    for (; writer->tries < 50 && !writer->done; writer->tries++) {
        struct fh_error error;
        struct store_work *work;
        enum store_mode mode = writer->tries ? STORE_WRITE_EXCLUSIVE : STORE_WRITE;
        if (store_begin(writer->store, mode, &work, &error) != FH_OK)
            continue;
        enum fh_code code = write_all(work, writer, &error);
        if (code == FH_OK)
            code = store_commit(work, &error);
        else
            store_rollback(work);
        writer->done = code == FH_OK;
    }
}

static bool wait_for(struct conformance *c, const int *count, int wanted)
{
    struct world *world = c->harness.world;
    int64_t deadline_ns = world_in_ms(world, WAIT_MS);
    while (*count < wanted && world_monotonic_ns(world) < deadline_ns)
        fiber_sleep_until(world, world_in_ms(world, 2));
    return *count >= wanted;
}

/* ---- Cases ---- */

static void write_side_by_side(struct conformance *c)
{
    struct writer writers[WORKS];
    EXPECT(open_stores(c));
    int64_t opened_ns = world_monotonic_ns(c->harness.world);
    for (int i = 0; i < WORKS; i++) {
        writers[i] = (struct writer){.store = stores[i % PROCESSES], .number = i};
        conformance_start(c, write_once, &writers[i]);
    }
    conformance_join(c);
    for (int i = 0; i < WORKS; i++)
        EXPECT(writers[i].done);
    for (int i = 0; i < PROCESSES; i++) {
        EXPECT(i == PROCESSES - 1 ||
               mongodb_of(stores[i])->turned_ns > opened_ns); /* a turn each */
        EXPECT(value_at(stores[i], "a") == WORKS / 2 && value_at(stores[i], "b") == WORKS / 2);
        EXPECT(position_at(stores[i]) == WORKS && read_outbox(stores[i]) == WORKS);
    }
}

static void several_processes_write_in_one_order_and_lose_nothing(struct conformance *c)
{
    write_side_by_side(c);
    close_stores(c);
}

static void wait_for_the_paused(struct conformance *c, struct store_turn *turn)
{
    int64_t mark;
    struct writer writer = {.store = stores[1], .number = 1};
    EXPECT(store_turn_take(turn, &mark));
    conformance_start(c, write_once, &writer);
    EXPECT(wait_for(c, &mongodb_of(stores[1])->waiting, 1));
    EXPECT(!writer.done && value_at(stores[1], "a") == 0); /* readers wait for nobody */
    store_turn_give(turn, mark);
    conformance_join(c);
    EXPECT(writer.done && value_at(stores[0], "a") == 1);
}

static void nobody(void *context)
{
    (void)context;
}

static enum fh_code open_turn(struct conformance *c, struct store_turn **ret)
{
    char path[128];
    snprintf(path, sizeof path, "%s/" TURN_FILE, c->harness.folder);
    return store_turn_open(c->harness.world, path, nobody, NULL, ret, &c->error);
}

/* Until none of ours has it; then it is taken for one that is no store. */
static void none_has_it(struct conformance *c, struct store_turn *turn)
{
    struct world *world = c->harness.world;
    int64_t deadline_ns = world_in_ms(world, WAIT_MS);
    store_turn_want(turn, true);
    while (!store_turn_is_free(turn) && world_monotonic_ns(world) < deadline_ns)
        fiber_sleep_until(world, world_in_ms(world, 2));
    store_turn_want(turn, false);
}

/* Schedule 37. */
static void works_wait_for_who_is_paused_with_the_turn(struct conformance *c)
{
    struct store_turn *turn = NULL;
    EXPECT(open_stores(c));
    if (open_turn(c, &turn) == FH_OK) {
        none_has_it(c, turn);
        wait_for_the_paused(c, turn);
        store_turn_close(turn);
    }
    conformance_join(c);
    close_stores(c);
    EXPECT(turn);
}

/* What a write of a dead process has left: a document that carries an event. */
static enum fh_code leave_run(struct mongodb_call *call, struct fh_error *error)
{
    static const char text[] =
        "{\"_id\":\"left\",\"_fh\":{\"version\":\"w1\",\"work\":{\"id\":\"w1\",\"writes\":[],"
        "\"events\":[{\"id\":\"e0\",\"type\":\"Changed\",\"version\":{\"$numberLong\":\"1\"},"
        "\"key\":\"k\",\"time_ms\":{\"$numberLong\":\"1\"},\"data\":\"{}\"}]}},\"id\":\"left\","
        "\"v\":{\"$numberLong\":\"3\"}}";
    bson_error_t why;
    bson_t *document = mongoc.bson_new_from_json((const uint8_t *)text, -1, &why);
    mongoc_collection_t *collection = mongodb_collection(call, "thing");
    bool done = mongoc.mongoc_collection_insert_one(collection, document, NULL, NULL, &why);
    mongoc.mongoc_collection_destroy(collection);
    mongoc.bson_destroy(document);
    return done ? FH_OK : mongodb_failed(&why, error);
}

static void die_with_turn(struct conformance *c, struct store_turn **turn)
{
    int64_t mark;
    struct mongodb_call call = {.run = leave_run};
    struct writer writer = {.store = stores[1], .number = 1};
    EXPECT(store_turn_take(*turn, &mark));
    EXPECT(mongodb_call(mongodb_of(stores[0]), &call, &c->error) == FH_OK);
    conformance_start(c, write_once, &writer);
    EXPECT(wait_for(c, &mongodb_of(stores[1])->waiting, 1));
    store_turn_close(*turn);
    *turn = NULL;
    conformance_join(c);
    EXPECT(writer.done && value_at(stores[0], "left") == 3);
    EXPECT(position_at(stores[2]) == 2 && read_outbox(stores[2]) == 2); /* e0 comes before e1 */
}

static void
what_one_that_died_with_the_turn_has_left_is_carried_on_by_the_next(struct conformance *c)
{
    struct store_turn *turn = NULL;
    EXPECT(open_stores(c));
    enum fh_code code = open_turn(c, &turn);
    if (code == FH_OK) {
        none_has_it(c, turn);
        die_with_turn(c, &turn);
        store_turn_close(turn);
    }
    conformance_join(c);
    close_stores(c);
    EXPECT(code == FH_OK);
}

static void hold_and_write(struct conformance *c)
{
    struct writer writer = {.store = stores[1], .number = 1};
    EXPECT(open_stores(c));
    EXPECT(store_hold(stores[0], &c->error) == FH_OK);
    writer.store = stores[1];
    conformance_start(c, write_once, &writer);
    EXPECT(wait_for(c, &mongodb_of(stores[1])->waiting, 1));
    EXPECT(!writer.done && mongodb_of(stores[0])->ours);
    EXPECT(store_release(stores[0], &c->error) == FH_OK);
    conformance_join(c);
    EXPECT(writer.done);
}

static void a_store_that_is_held_is_so_for_all_processes(struct conformance *c)
{
    hold_and_write(c);
    conformance_join(c);
    close_stores(c);
}

/* The kernel refuses writes behind this, so that no word of who wants the turn gets into the file.
 */
static void limit_files(rlim_t size)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = size;
    setrlimit(RLIMIT_FSIZE, &limit);
}

struct opening {
    struct conformance *c;
    enum fh_code code;
    bool begun, done;
};

static void open_another(void *argument)
{
    struct opening *opening = argument;
    opening->begun = true;
    opening->code = mongodb_open_shared(opening->c, &stores[1]);
    opening->done = true;
}

static void open_without_a_word(struct conformance *c, struct opening *opening)
{
    struct world *world = c->harness.world;
    c->engine->close(c->store);
    c->store = NULL;
    EXPECT(mongodb_open_shared(c, &c->store) == FH_OK);
    limit_files(1);
    conformance_start(c, open_another, opening);
    while (!opening->begun)
        fiber_sleep_until(world, world_in_ms(world, 2));
    fiber_sleep_until(world, world_in_ms(world, 200)); /* it is at the turn now */
    EXPECT(!opening->done);
}

static void who_wants_the_turn_says_so_again(struct conformance *c)
{
    struct opening opening = {.c = c};
    signal(SIGXFSZ, SIG_IGN);
    open_without_a_word(c, &opening);
    limit_files(RLIM_INFINITY);
    conformance_join(c);
    close_stores(c);
    EXPECT(opening.code == FH_OK);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(several_processes_write_in_one_order_and_lose_nothing),
        CASE(works_wait_for_who_is_paused_with_the_turn),
        CASE(what_one_that_died_with_the_turn_has_left_is_carried_on_by_the_next),
        CASE(a_store_that_is_held_is_so_for_all_processes),
        CASE(who_wants_the_turn_says_so_again),
    };
    return conformance_main_of("mongodb", FH_DOCUMENT, rows, sizeof rows / sizeof *rows);
}
