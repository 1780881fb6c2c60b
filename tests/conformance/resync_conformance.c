/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots on every engine, by the services' own handlers. As publisher: pages are read again and
 * again while others change what is on them; then each row, and each absence, is compared with the
 * events. As subscriber: it takes over a publisher's state, follows, resyncs, and syncs.
 */

#include "conformance.h"

#include <ctype.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../support/fake_world.h"
#include "call/get.h"
#include "engine/engines.h"
#include "event/manager.h"
#include "event/feed/snapshot.h"
#include "event/subscribe/subscribe.h"
#include "event/subscribe/subscription.h"
#include "event/sync/sync.h"
#include "http/path.h"
#include "store/model.h"
#include "store/relational/sql.h"
#include "work/work.h"

#define ITEMS 12
#define WRITERS 4
#define CHANGES 40 /* of each writer */
#define CHANGES_SLOW 12
#define PAGE "5"
#define SEEN_MAX 20000
#define PATIENCE_MS 60000

/* ---- Items, in each model ---- */

static const fh_field numbered_shape[] = {{"id", FH_INT}, {"changes", FH_INT}, {0}};
static const fh_field named_shape[] = {{"id", FH_STRING}, {"changes", FH_INT}, {0}};
static const fh_field removed_shape[] = {{"id", FH_INT}, {0}};
static const fh_field removed_name_shape[] = {{"id", FH_STRING}, {0}};

/* A unit of work on one item; on none: they are listed. */
struct item_work {
    fh_work w; /* first: it is cast from */
    int id, changes;
    bool removes;
};

static enum fh_model works_model(fh_work *w)
{
    return w->context->service->model;
}

static json_t *key_of(fh_work *w, int id)
{
    return works_model(w) == FH_DOCUMENT ? json_sprintf("item %03d", id) : json_integer(id);
}

static const char *place_of(fh_work *w, int id)
{
    char text[32];
    snprintf(text, sizeof text, "item %03d", id);
    return arena_text(&w->arena, text);
}

/* Leaves item `id` with so many changes; 0: not there. */
static void put_item(fh_work *w, int id, int changes)
{
    const char *place = place_of(w, id);
    json_t *item = json_pack("{s:i, s:i}", "id", id, "changes", changes);
    if (works_model(w) == FH_RELATIONAL) {
        fh_exec(w, "DELETE FROM item WHERE id = :id", item, NULL);
        if (changes)
            fh_exec(w, "INSERT INTO item (id, changes) VALUES (:id, :changes)", item, NULL);
    } else if (works_model(w) == FH_DOCUMENT) {
        json_t *there = fh_try_doc(w, "items", place);
        if (!changes)
            fh_doc_delete(w, "items", place);
        else if (there)
            fh_doc_update(w, "items", place, NULL,
                          json_pack("{s:{s:i}}", "$set", "changes", changes));
        else
            fh_doc_insert(
                w, "items",
                json_pack("{s:s, s:i, s:i}", "id", place, "number", id, "changes", changes));
    } else if (changes) {
        fh_kv_set(w, place, item);
        fh_kv_score_set(w, "items", place, id);
    } else {
        fh_kv_delete(w, place);
        fh_kv_member_delete(w, "items", place);
    }
}

static int after_of(fh_work *w)
{
    const json_t *after = json_object_get(fh_query(w), "after");
    return json_is_integer(after) && json_integer_value(after) > 0 ? (int)json_integer_value(after)
                                                                   : 0;
}

static json_t *members(fh_work *w)
{
    int limit = (int)json_integer_value(json_object_get(fh_query(w), "limit"));
    json_t *found = fh_kv_lowest(w, "items", after_of(w) + 1, FH_SCORE_MAX, 0, limit);
    json_t *list = json_array(), *member;
    size_t index;
    json_array_foreach (found, index, member) {
        json_t *item = fh_kv(w, json_string_value(json_object_get(member, "member")));
        json_array_append(list, item);
    }
    return list;
}

static void every_item(fh_work *w)
{
    json_t *query = fh_query(w), *list = json_array(), *found = NULL, *item;
    size_t index;
    if (works_model(w) == FH_RELATIONAL) {
        list = fh_rows(w, "SELECT id, changes FROM item WHERE id > :after ORDER BY id LIMIT :limit",
                       query, NULL);
    } else if (works_model(w) == FH_DOCUMENT) {
        const char *after = json_string_value(json_object_get(query, "after"));
        found = fh_docs(w, "items", NULL, NULL, after && *after ? after : NULL,
                        (int)json_integer_value(json_object_get(query, "limit")));
        json_array_foreach (found, index, item) {
            json_object_del(item, "number");
            json_array_append(list, item);
        }
    } else {
        list = members(w);
    }
    fh_reply(w, 200, list);
}

/* ---- As publisher ---- */

static int drawn; /* no two changes are alike */

static bool is_there(fh_work *w, int id)
{
    if (works_model(w) == FH_RELATIONAL)
        return fh_try_row(w, "SELECT id FROM item WHERE id = :id", json_pack("{s:i}", "id", id),
                          NULL);
    const char *place = place_of(w, id);
    return works_model(w) == FH_DOCUMENT ? fh_try_doc(w, "items", place) : fh_try_kv(w, place);
}

/* Nobody removes what is not there: that could come after something it knew nothing of. */
static void change_item(fh_work *w)
{
    const struct item_work *own = (struct item_work *)w;
    int changes = own->removes && is_there(w, own->id) ? 0 : ++drawn;
    put_item(w, own->id, changes);
    json_t *data = json_pack("{s:o}", "id", key_of(w, own->id));
    if (changes)
        json_object_set_new(data, "changes", json_integer(changes));
    fh_publish(w, changes ? "ItemChanged" : "ItemRemoved", data);
}

#define PUBLISHER(of_model, shape, gone_shape)                                                     \
    {                                                                                              \
        .name = "publisher", .model = of_model,                                                    \
        .publishes = {{"ItemChanged", 1, shape, .key = "id", .state = every_item},                 \
                      {"ItemRemoved", 1, gone_shape, .key = "id"}},                                \
        .collections = {{"items"}},                                                                \
    }
static const fh_service publishers[] = {
    PUBLISHER(FH_RELATIONAL, numbered_shape, removed_shape),
    PUBLISHER(FH_DOCUMENT, named_shape, removed_name_shape),
    PUBLISHER(FH_KEY_VALUE, numbered_shape, removed_shape),
};

static const fh_service *of_model(const fh_service *services, enum fh_model model)
{
    while (services->model != model)
        services++;
    return services;
}

/* What a service needs before its units of work, in one of its own. */
static enum fh_code prepare(struct work_context *context, struct fh_error *error)
{
    struct model_data data = model_data_of(context->service);
    struct store_work *work;
    enum fh_code code = store_begin(context->store, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code)
        return code;
    if (context->service->model == FH_RELATIONAL) {
        code = context->store->engine->sql->script(
            work, "CREATE TABLE item (id BIGINT PRIMARY KEY, changes INTEGER NOT NULL)", error);
    } else {
        code = model_of(context->service->model)->prepare(work, &data, error);
    }
    if (!code)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

static enum fh_code change(struct work_context *context, int id, bool removes,
                           struct fh_error *error)
{
    struct item_work own = {.id = id, .removes = removes};
    work_init(&own.w, context, change_item);
    own.w.deadline_ns = world_in_ms(context->world, PATIENCE_MS);
    enum fh_code code = work_run(&own.w);
    if (code)
        *error = own.w.failure;
    work_release(&own.w);
    return code;
}

/* One thing that a page reported: a row, or that there was none. */
struct seen {
    int id, changes; /* 0: absent */
    int64_t position, before, behind;
};

struct reading {
    struct conformance *c;
    struct work_context context;
    int writing; /* fibers */
    unsigned number;
    struct seen *seen;
    int count;
};

static void writer(void *argument)
{
    struct reading *reading = argument;
    struct conformance *c = reading->c;
    unsigned chance = 1 + reading->number++;
    int left = c->engine->slow ? CHANGES_SLOW : CHANGES;
    for (; left > 0 && !c->failure[0]; left--) {
        chance = chance * 1103515245u + 12345u;
        int id = 1 + (int)(chance >> 16) % (ITEMS - 1); /* the last one is never there */
        if (change(&reading->context, id, (chance >> 8) % 4 == 0, &c->error))
            conformance_note(c, __FILE__, __LINE__, "an item is changed");
    }
    reading->writing--;
}

static int64_t position_now(struct reading *reading)
{
    struct store_work *work;
    int64_t position = -1;
    if (store_begin(reading->context.store, STORE_READ, &work, &reading->c->error))
        return -1;
    ledger_position(work, &position, &reading->c->error);
    store_rollback(work);
    return position;
}

static int number_of(const char *key)
{
    return atoi(strncmp(key, "item ", 5) == 0 ? key + 5 : key);
}

static void take_rows(struct reading *reading, const json_t *body, int after, struct seen place)
{
    const char *end = json_string_value(json_object_get(body, "after"));
    int last = end ? number_of(end) : ITEMS;
    const json_t *rows = json_object_get(body, "rows");
    for (int id = after + 1; id <= last && reading->count < SEEN_MAX; id++) {
        size_t index;
        json_t *row;
        place.id = id;
        place.changes = 0;
        json_array_foreach ((json_t *)(uintptr_t)rows, index, row) {
            if (number_of(json_string_at(row, "subject")) != id)
                continue;
            place.changes =
                (int)json_integer_value(json_object_get(json_object_get(row, "data"), "changes"));
            place.position = json_integer_value(json_object_get(row, "position"));
        }
        reading->seen[reading->count++] = place;
    }
}

/* One page after `after`, and after which item the next one begins; 0: there is none; -1: it could
 * not be read (503). */
static int read_page(struct reading *reading, int after)
{
    struct feed_answer answer;
    struct fh_error error;
    json_t *query = json_pack("{s:s, s:s}", "type", "ItemChanged", "limit", PAGE), *body = NULL;
    char key[32];
    bool named = reading->context.service->model == FH_DOCUMENT;
    snprintf(key, sizeof key, named ? "item %03d" : "%d", after);
    if (after)
        json_object_set_new(query, "after", json_string(key));
    struct seen place = {.before = position_now(reading)};
    snapshot_answer(reading->context.events, query, NULL, &answer);
    json_decref(query);
    int next = -1;
    if (answer.status == 200 && json_parse(answer.body, answer.body_length, &body, &error) == 0) {
        place.behind = strtoll(answer.next, NULL, 10);
        take_rows(reading, body, after, place);
        const char *end = json_string_value(json_object_get(body, "after"));
        next = end ? number_of(end) : 0;
        json_decref(body);
    } else if (answer.status != 503) {
        conformance_note(reading->c, __FILE__, __LINE__, "a page is answered");
    }
    feed_answer_release(&answer);
    return next;
}

static void read_all(struct reading *reading)
{
    struct world *world = reading->c->harness.world;
    int after = 0, next;
    do {
        next = read_page(reading, after);
        after = next < 0 ? after : next;
        fiber_sleep_until(world, world_in_ms(world, 1)); /* others turn */
    } while (next && !reading->c->failure[0]);
}

struct told {
    int64_t position;
    int id, changes; /* 0: removed */
};

struct history {
    struct told list[2 * WRITERS * CHANGES];
    int count;
};

static bool tell(void *context, const struct ledger_event *event)
{
    struct history *history = context;
    const char *changes = strstr(event->data, "\"changes\":");
    history->list[history->count++] =
        (struct told){event->position, number_of(event->key),
                      changes ? atoi(changes + strlen("\"changes\":")) : 0};
    return history->count < 2 * WRITERS * CHANGES;
}

/* A row is what its event reported. An absent item was not there at some moment from `before` to
 * `behind`. */
static bool is_so(const struct history *history, const struct seen *seen)
{
    bool there = false, was_absent;
    for (int i = 0; i < history->count; i++) {
        const struct told *told = &history->list[i];
        if (told->id != seen->id)
            continue;
        if (seen->changes && told->position == seen->position)
            return told->changes == seen->changes;
        if (told->position <= seen->before)
            there = told->changes != 0;
    }
    was_absent = !there;
    for (int i = 0; i < history->count; i++) {
        const struct told *told = &history->list[i];
        if (told->id == seen->id && told->position > seen->before &&
            told->position <= seen->behind && !told->changes)
            was_absent = true;
    }
    return !seen->changes && was_absent;
}

static void hold_against_events(struct conformance *c, struct reading *reading)
{
    struct history history = {.count = 0};
    int rows = 0;
    EXPECT(store_sequence(c->store, NULL, 0, &c->error) == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work &&
           ledger_outbox_read(work, 0, 2 * WRITERS * CHANGES, tell, &history, &c->error) == FH_OK);
    conformance_rollback(c, work);
    EXPECT(history.count == WRITERS * (c->engine->slow ? CHANGES_SLOW : CHANGES));
    for (int i = 0; i < reading->count; i++) {
        const struct seen *seen = &reading->seen[i];
        if (!is_so(&history, seen))
            error_set(&c->error, FH_CONFLICT,
                      "item %d was told with %d changes at %lld, between %lld and %lld", seen->id,
                      seen->changes, (long long)seen->position, (long long)seen->before,
                      (long long)seen->behind);
        EXPECT(is_so(&history, seen));
        rows += seen->changes != 0;
    }
    EXPECT(rows > 0 && reading->count > rows);
}

/* Schedule 11, its first part, at random. */
static void a_page_is_what_there_was_at_one_moment(struct conformance *c)
{
    struct reading reading = {.c = c, .writing = WRITERS};
    struct work_context *context = &reading.context;
    *context = (struct work_context){
        .world = c->harness.world, .store = c->store, .service = of_model(publishers, c->model)};
    EXPECT(prepare(context, &c->error) == FH_OK);
    context->events = event_manager_new(context);
    reading.seen = calloc(SEEN_MAX, sizeof *reading.seen);
    FH_ASSERT(reading.seen != NULL);
    drawn = 0;
    for (int i = 0; i < WRITERS; i++)
        conformance_start(c, writer, &reading);
    while (reading.writing > 0 && !c->failure[0])
        read_all(&reading);
    conformance_join(c);
    read_all(&reading);
    if (!c->failure[0])
        hold_against_events(c, &reading);
    event_manager_drain(context->events);
    event_manager_free(context->events);
    free(reading.seen);
}

/* ---- As subscriber ---- */

static int id_of(fh_work *w, const char *name)
{
    const json_t *id = json_object_get(fh_event_data(w), name);
    return json_is_integer(id) ? (int)json_integer_value(id) : atoi(json_string_value(id));
}

/* Counts as the publisher does: an event on top of a row that reflects it would show. */
static void item_changed(fh_work *w)
{
    put_item(w, id_of(w, "id"),
             (int)json_integer_value(json_object_get(fh_event_data(w), "changes")));
}

static void item_removed(fh_work *w)
{
    put_item(w, id_of(w, "id"), 0);
}

static void item_gone(fh_work *w)
{
    put_item(w, id_of(w, "key"), 0);
}

static void items_held(fh_work *w)
{
    json_t *query = fh_query(w), *list = json_array(), *found, *item;
    size_t index;
    if (works_model(w) == FH_RELATIONAL) {
        list = fh_rows(w, "SELECT id, changes FROM item WHERE id > :after ORDER BY id LIMIT :limit",
                       query, NULL);
    } else if (works_model(w) == FH_DOCUMENT) {
        found = fh_docs(w, "items", json_pack("{s:{s:i}}", "number", "$gt", after_of(w)),
                        json_pack("{s:i}", "number", 1), NULL,
                        (int)json_integer_value(json_object_get(query, "limit")));
        json_array_foreach (found, index, item)
            json_array_append_new(list,
                                  json_pack("{s:O, s:O}", "id", json_object_get(item, "number"),
                                            "changes", json_object_get(item, "changes")));
    } else {
        list = members(w);
    }
    fh_reply(w, 200, list);
}

#define SUBSCRIBER(of_model)                                                                       \
    {                                                                                              \
        .name = "subscriber", .model = of_model,                                                   \
        .subscribes = {{"publisher", "ItemChanged", item_changed, .upsert = item_changed,          \
                        .gone = item_gone, .held = items_held, .sync_s = 86400},                   \
                       {"publisher", "ItemRemoved", item_removed, .covered_by = "ItemChanged"}},   \
        .collections = {{"items"}},                                                                \
    }
static const fh_service subscribers[] = {SUBSCRIBER(FH_RELATIONAL), SUBSCRIBER(FH_DOCUMENT),
                                         SUBSCRIBER(FH_KEY_VALUE)};

/* A publisher in an embedded store, and the engine's service that subscribes to it. */
struct hearing {
    struct conformance *c;
    struct fake_world fake;
    struct work_context publisher, subscriber;
    int pages;
};

struct delivery {
    struct hearing *hearing;
    struct world_request *request;
};

static void serve(void *argument)
{
    struct delivery delivery = *(struct delivery *)argument;
    struct hearing *hearing = delivery.hearing;
    struct feed_answer answer;
    struct world_header headers[FEED_HEADERS_MAX];
    char names[FEED_HEADERS_MAX][32];
    json_t *query;
    const char *path = delivery.request->path;
    free(argument);
    FH_ASSERT(path_query(strchr(path, '?') + 1, &query, ERROR_UNHEEDED) == FH_OK);
    bool page = strncmp(path, SNAPSHOT_PATH, sizeof SNAPSHOT_PATH - 1) == 0;
    hearing->pages += page;
    (page ? snapshot_answer : feed_answer)(hearing->publisher.events, query, NULL, &answer);
    json_decref(query);
    for (size_t i = 0; i < answer.header_count; i++) {
        snprintf(names[i], sizeof names[i], "%s", answer.headers[i].name);
        for (char *at = names[i]; *at; at++)
            *at = (char)tolower((unsigned char)*at);
        headers[i] = (struct world_header){names[i], answer.headers[i].value};
    }
    fake_answer(delivery.request, answer.status, answer.body, headers, answer.header_count);
    feed_answer_release(&answer);
}

static void deliver(struct fake_world *fake, struct world_request *request)
{
    struct delivery *delivery = malloc(sizeof *delivery);
    FH_ASSERT(delivery != NULL);
    *delivery = (struct delivery){fake->context, request};
    FH_ASSERT(fiber_start(fake->world.fibers, serve, delivery));
}

static enum fh_code open_publisher(struct hearing *hearing, struct fh_error *error)
{
    struct work_context *context = &hearing->publisher;
    char folder[256];
    snprintf(folder, sizeof folder, "%s/publisher", hearing->c->harness.folder);
    mkdir(folder, 0700);
    struct store_options options = {
        .service = "publisher", .folder = folder, .model = FH_RELATIONAL};
    *context = (struct work_context){.world = &hearing->fake.world, .service = &publishers[0]};
    enum fh_code code =
        engine_named("sqlite")->store->open(&options, &hearing->fake.world, &context->store, error);
    if (!code)
        code = prepare(context, error);
    if (!code)
        context->events = event_manager_new(context);
    return code;
}

static enum fh_code change_items(struct hearing *hearing, int from, int through, bool removes,
                                 struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (int id = from; id <= through && !code; id++)
        code = change(&hearing->publisher, id, removes, error);
    return code;
}

static enum fh_code trim_all(struct store *store, struct fh_error *error)
{
    struct store_work *work;
    int64_t last, removed;
    enum fh_code code = store_begin(store, STORE_WRITE, &work, error);
    if (code)
        return code;
    code = ledger_position(work, &last, error);
    if (!code)
        code = ledger_outbox_trim(work, last, 1000, &removed, error);
    if (!code)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

static void begin_hearing(struct hearing *hearing)
{
    struct conformance *c = hearing->c;
    struct work_context *context = &hearing->subscriber;
    context->events = event_manager_new(context);
    context->calls = call_manager_new(context);
    EXPECT(event_manager_start(context->events, &c->error) == FH_OK);
}

/* It follows, and has applied all that there is. */
static bool is_level(struct hearing *hearing)
{
    struct subscription_view view;
    subscription_view(subscription_next(hearing->subscriber.events, NULL), &view);
    return strcmp(view.state, "following") == 0 &&
           view.position == hearing->publisher.events->position;
}

static json_t *items_of(struct work_context *context)
{
    json_t *items = NULL;
    struct item_work own;
    work_init(&own.w, context, every_item);
    own.w.read_only = true;
    struct arena *arena = json_arena_set(&own.w.kept);
    own.w.query = json_pack("{s:s, s:i}", "after", "", "limit", 1000);
    if (context->service->model != FH_DOCUMENT)
        json_object_set_new(own.w.query, "after", json_integer(0));
    json_arena_set(arena);
    if (work_run(&own.w) == FH_OK) {
        char *text = json_text(own.w.reply_body);
        items = conformance_json(text);
        json_text_free(text);
    }
    work_release(&own.w);
    return items;
}

static bool has_the_same(struct hearing *hearing)
{
    json_t *ours = items_of(&hearing->subscriber), *theirs = items_of(&hearing->publisher), *item;
    bool same = ours && theirs && json_array_size(ours) == json_array_size(theirs);
    size_t index;
    json_array_foreach (theirs, index, item) {
        const json_t *other = json_array_get(ours, index);
        same =
            same && json_equal(json_object_get(item, "changes"), json_object_get(other, "changes"));
    }
    json_decref(ours);
    json_decref(theirs);
    return same;
}

static void expect_same(struct hearing *hearing)
{
    struct conformance *c = hearing->c;
    struct world *world = c->harness.world;
    int64_t deadline_ns = world_in_ms(world, PATIENCE_MS);
    EXPECT(subscription_next(hearing->subscriber.events, NULL) != NULL);
    while (!is_level(hearing) && world_monotonic_ns(world) < deadline_ns)
        fiber_sleep_until(world, world_in_ms(world, 5));
    EXPECT(is_level(hearing));
    EXPECT(has_the_same(hearing));
}

static void await_end(struct hearing *hearing, const struct event_manager *manager)
{
    struct world *world = hearing->c->harness.world;
    while (!event_manager_ended(manager))
        fiber_sleep_until(world, world_in_ms(world, 5));
}

static void end_hearing(struct hearing *hearing)
{
    struct event_manager *manager = hearing->subscriber.events;
    event_manager_drain(manager);
    event_manager_wait(manager);
    event_manager_drain(hearing->publisher.events); /* long polls are answered */
    await_end(hearing, manager);
    hearing->publisher.events->draining = false;
    event_manager_free(manager);
    call_manager_free(hearing->subscriber.calls);
}

/* While it follows. */
static void goes_on(struct hearing *hearing)
{
    struct conformance *c = hearing->c;
    expect_same(hearing);
    EXPECT(change_items(hearing, 4, 7, false, &c->error) == FH_OK);
    EXPECT(change_items(hearing, 8, 8, true, &c->error) == FH_OK);
    expect_same(hearing);
}

static void put_alone(fh_work *w)
{
    const struct item_work *own = (struct item_work *)w;
    put_item(w, own->id, own->changes);
}

/* Beside all events. */
static enum fh_code spoil(struct hearing *hearing, int id, int changes, struct fh_error *error)
{
    struct item_work own = {.id = id, .changes = changes};
    work_init(&own.w, &hearing->subscriber, put_alone);
    own.w.deadline_ns = world_in_ms(hearing->subscriber.world, PATIENCE_MS);
    enum fh_code code = work_run(&own.w);
    if (code)
        *error = own.w.failure;
    work_release(&own.w);
    return code;
}

/* Of each partition, as if a day had passed; returns how many keys were mended. */
static int64_t sync_now(struct hearing *hearing)
{
    struct world *world = hearing->c->harness.world;
    const struct event_manager *manager = hearing->subscriber.events;
    struct subscription *s = NULL;
    int64_t differed = 0;
    while ((s = (struct subscription *)(uintptr_t)subscription_next(manager, s))) {
        s->sync->periods[0] = -1;
        s->sync->all = (struct sync_counts){0};
        fiber_wake_all(&s->for_batches);
        while (s->sync->type >= 0 || s->sync->periods[0] == -1)
            fiber_sleep_until(world, world_in_ms(world, 5));
        differed += s->sync->all.differed;
    }
    return differed;
}

static void mends_what_is_spoiled(struct hearing *hearing)
{
    struct conformance *c = hearing->c;
    expect_same(hearing);
    EXPECT(sync_now(hearing) == 0);
    EXPECT(spoil(hearing, 1, 9999, &c->error) == FH_OK);
    EXPECT(spoil(hearing, 2, 0, &c->error) == FH_OK);
    EXPECT(spoil(hearing, 90, 1, &c->error) == FH_OK);
    EXPECT(sync_now(hearing) == 3);
    expect_same(hearing);
    EXPECT(sync_now(hearing) == 0);
}

/* Whatever was expected in vain, its fibers end before what they use. */
static void spoils_and_syncs(struct hearing *hearing)
{
    begin_hearing(hearing);
    mends_what_is_spoiled(hearing);
    end_hearing(hearing);
}

static void subscribes(struct hearing *hearing)
{
    struct conformance *c = hearing->c;
    EXPECT(trim_all(hearing->publisher.store, &c->error) == FH_OK);
    begin_hearing(hearing);
    goes_on(hearing);
    end_hearing(hearing);
}

static void hears_twice(struct hearing *hearing)
{
    struct conformance *c = hearing->c;
    EXPECT(change_items(hearing, 1, 20, false, &c->error) == FH_OK);
    EXPECT(change_items(hearing, 3, 5, true, &c->error) == FH_OK);
    subscribes(hearing);
    EXPECT(hearing->pages == 2); /* the beginning, and one */
    EXPECT(change_items(hearing, 6, 15, true, &c->error) == FH_OK);
    EXPECT(change_items(hearing, 19, 22, false, &c->error) == FH_OK);
    subscribes(hearing);
    EXPECT(hearing->pages == 4);
    spoils_and_syncs(hearing);
}

static void a_subscriber_takes_over_what_there_is_and_gives_up_what_is_gone(struct conformance *c)
{
    struct hearing hearing = {.c = c};
    fake_world_init(&hearing.fake, c->harness.world);
    hearing.fake.request = deliver;
    hearing.fake.context = &hearing;
    hearing.subscriber = (struct work_context){.world = &hearing.fake.world,
                                               .store = c->store,
                                               .service = of_model(subscribers, c->model)};
    EXPECT(prepare(&hearing.subscriber, &c->error) == FH_OK);
    EXPECT(open_publisher(&hearing, &c->error) == FH_OK);
    drawn = 0;
    hears_twice(&hearing);
    event_manager_drain(hearing.publisher.events);
    event_manager_wait(hearing.publisher.events);
    await_end(&hearing,
              hearing.publisher.events); /* where its store was away: a fiber asks it again */
    event_manager_free(hearing.publisher.events);
    store_close(hearing.publisher.store);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(a_page_is_what_there_was_at_one_moment),
        CASE(a_subscriber_takes_over_what_there_is_and_gives_up_what_is_gone),
    };
    return conformance_main_every(rows, sizeof rows / sizeof *rows);
}
