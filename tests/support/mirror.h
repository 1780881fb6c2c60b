/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_MIRROR_H
#define TESTS_MIRROR_H

/*
 * Products have items and publish their changes; search keeps a copy, and can resync with a
 * snapshot. Both on real stores in one process. A copy counts the changes that it has seen, so that
 * one that is applied twice or not at all shows. Between pages a test may do what it likes. Header
 * only.
 */

#include "service.h"

#include <ctype.h>
#include <stdlib.h>

#include "call/get.h"
#include "event/feed/feed.h"
#include "event/subscribe/parked.h"
#include "event/manager.h"
#include "event/feed/snapshot.h"
#include "event/subscribe/subscribe.h"
#include "event/subscribe/subscription.h"
#include "fake_world.h"
#include "http/path.h"

static const fh_field item_shape[] = {
    {"id", FH_INT}, {"name", FH_STRING}, {"changes", FH_INT}, {0}};
static const fh_field removed_shape[] = {{"id", FH_INT}, {0}};

static inline void every_item(fh_work *w)
{
    fh_reply(
        w, 200,
        fh_rows(w, "SELECT id, name, changes FROM item WHERE id > :after ORDER BY id LIMIT :limit",
                fh_query(w), NULL));
}

static const fh_service products = {
    .name = "products",
    .model = FH_RELATIONAL,
    .publishes = {{"ItemChanged", 1, item_shape, .key = "id", .state = every_item},
                  {"ItemRemoved", 1, removed_shape, .key = "id"}},
};

static const char *too_much; /* a name that no copy can process, neither as an event nor as a row */

static inline void bear(fh_work *w)
{
    const char *name = json_string_at(fh_event_data(w), "name");
    if (too_much && name && strcmp(name, too_much) == 0)
        fh_fail(w, 422, "the name %s is too much", name);
}

static inline void item_changed(fh_work *w)
{
    bear(w);
    fh_exec(w,
            "INSERT INTO copy (id, name, changes) VALUES (:id, :name, 1)"
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name, changes = changes + 1",
            fh_event_data(w), NULL);
}

static inline void item_removed(fh_work *w)
{
    fh_exec(w, "DELETE FROM copy WHERE id = :id", fh_event_data(w), NULL);
}

static inline void item_is(fh_work *w)
{
    bear(w);
    fh_exec(w,
            "INSERT INTO copy (id, name, changes) VALUES (:id, :name, :changes)"
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name, changes = excluded.changes",
            fh_event_data(w), NULL);
}

static inline void item_gone(fh_work *w)
{
    fh_exec(w, "DELETE FROM copy WHERE id = :key", fh_event_data(w), NULL);
}

static bool holds_from_the_start; /* `held` ignores `after` */

static inline void items_held(fh_work *w)
{
    if (holds_from_the_start)
        json_object_set_new(fh_query(w), "after", json_integer(0));
    fh_reply(w, 200,
             fh_rows(w, "SELECT id FROM copy WHERE id > :after ORDER BY id LIMIT :limit",
                     fh_query(w), NULL));
}

static const fh_service search = {
    .name = "search",
    .model = FH_RELATIONAL,
    .subscribes = {{"products", "ItemChanged", item_changed, .upsert = item_is, .gone = item_gone,
                    .held = items_held},
                   {"products", "ItemRemoved", item_removed, .covered_by = "ItemChanged"}},
};

static const fh_service *searching = &search; /* what open_search opens */

struct fixture {
    struct harness harness;
    struct fake_world world;
    struct service products, search;
    bool down;
    int pages;                             /* snapshot requests so far, beginnings included */
    int same;                              /* snapshot pages that were answered with 304 */
    bool same_unknown;                     /* by this publisher */
    int hook_at;                           /* before which of them is answered */
    void (*hook)(struct fixture *fixture); /* on the fiber that answers */
    bool hooked;                           /* while it runs */
    const char *instead;                   /* of a page's body, as of a hostile publisher */
};

/* ---- what changes ---- */

static int change_from, change_count;
static const char *change_name;

static inline void change_some(fh_work *w)
{
    for (int i = change_from; i < change_from + change_count; i++) {
        json_t *item = json_pack("{s:i, s:s}", "id", i, "name", change_name);
        json_t *row = fh_row(w,
                             "INSERT INTO item (id, name, changes) VALUES (:id, :name, 1)"
                             " ON CONFLICT (id) DO UPDATE SET name = excluded.name,"
                             " changes = changes + 1 RETURNING id, name, changes",
                             item, NULL);
        fh_publish(w, "ItemChanged", row);
    }
}

static inline void remove_some(fh_work *w)
{
    for (int i = change_from; i < change_from + change_count; i++) {
        json_t *item = json_pack("{s:i}", "id", i);
        fh_exec(w, "DELETE FROM item WHERE id = :id", item, NULL);
        fh_publish(w, "ItemRemoved", item);
    }
}

static inline void changing(int from, int count, const char *name)
{
    change_from = from;
    change_count = count;
    change_name = name;
}

static inline void change(struct fixture *fixture, int from, int count, const char *name)
{
    changing(from, count, name);
    service_must(&fixture->products, change_some);
}

static inline void remove_items(struct fixture *fixture, int from, int count)
{
    changing(from, count, NULL);
    service_must(&fixture->products, remove_some);
}

/* On a fiber: what a hook does. */
static inline void now(struct fixture *fixture, fh_handler *handler)
{
    fh_work w;
    work_init(&w, &fixture->products.context, handler);
    FH_ASSERT(work_run(&w) == FH_OK);
    work_release(&w);
}

/* ---- the world between them ---- */

struct delivery {
    struct fixture *fixture;
    struct world_request *request;
};

static inline void serve(void *argument)
{
    struct delivery delivery = *(struct delivery *)argument;
    struct fixture *fixture = delivery.fixture;
    struct feed_answer answer;
    struct world_header headers[FEED_HEADERS_MAX];
    char names[FEED_HEADERS_MAX][32];
    json_t *query;
    const char *path = delivery.request->path;
    free(argument);
    FH_ASSERT(path_query(strchr(path, '?') + 1, &query, ERROR_UNHEEDED) == FH_OK);
    bool page = strncmp(path, SNAPSHOT_PATH, sizeof SNAPSHOT_PATH - 1) == 0;
    if (page && fixture->same_unknown && json_object_get(query, "same"))
        json_object_set_new(query, "unheard-of", json_array());
    if (page && ++fixture->pages == fixture->hook_at) {
        fixture->hooked = true;
        fixture->hook(fixture);
        fixture->hooked = false;
    }
    (page ? snapshot_answer : feed_answer)(fixture->products.context.events, query, NULL, &answer);
    json_decref(query);
    for (size_t i = 0; i < answer.header_count; i++) {
        size_t j = 0;
        for (; answer.headers[i].name[j]; j++)
            names[i][j] = (char)tolower((unsigned char)answer.headers[i].name[j]);
        names[i][j] = '\0';
        headers[i] = (struct world_header){names[i], answer.headers[i].value};
    }
    bool hostile = page && fixture->instead && (answer.status == 200 || answer.status == 304);
    const char *body = hostile ? fixture->instead : answer.body;
    fixture->same += page && answer.status == 304;
    int status = hostile ? 200 : answer.status;
    fake_answer(delivery.request, fixture->down ? 0 : status, body, headers, answer.header_count);
    feed_answer_release(&answer);
}

static inline void request(struct fake_world *fake, struct world_request *request)
{
    struct fixture *fixture = fake->context;
    if (fixture->down || !fixture->products.context.events) {
        fake_answer(request, 0, NULL, NULL, 0);
        return;
    }
    struct delivery *delivery = malloc(sizeof *delivery);
    *delivery = (struct delivery){fixture, request};
    FH_ASSERT(fiber_start(fixture->harness.world->fibers, serve, delivery));
}

/* ---- opening and closing ---- */

static inline void make_items(fh_work *w)
{
    fh_exec(w,
            "CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, name TEXT NOT NULL,"
            " changes INTEGER NOT NULL)",
            NULL);
}

static inline void make_copies(fh_work *w)
{
    fh_exec(w,
            "CREATE TABLE IF NOT EXISTS copy (id INTEGER PRIMARY KEY, name TEXT NOT NULL,"
            " changes INTEGER NOT NULL)",
            NULL);
}

static inline void open_products(struct fixture *fixture)
{
    service_open(&fixture->products, &fixture->harness, &fixture->world.world, &products);
    service_must(&fixture->products, make_items);
    fixture->products.context.events = event_manager_new(&fixture->products.context);
}

static inline bool manager_ended(void *argument)
{
    return event_manager_ended(argument);
}

static inline void close_products(struct fixture *fixture)
{
    event_manager_drain(fixture->products.context.events);
    harness_until(&fixture->harness, manager_ended, fixture->products.context.events);
    event_manager_free(fixture->products.context.events);
    fixture->products.context.events = NULL;
    service_close(&fixture->products);
}

static inline void start_manager(void *argument)
{
    struct service *service = argument;
    service->code = event_manager_start(service->context.events, &service->error);
}

static inline void begin_hearing(struct service *service)
{
    service->context.events = event_manager_new(&service->context);
    service->context.calls = call_manager_new(&service->context);
    harness_run(service->harness, start_manager, service);
    assert_int_equal(service->code, FH_OK);
}

static inline void open_search(struct fixture *fixture)
{
    service_open(&fixture->search, &fixture->harness, &fixture->world.world, searching);
    service_must(&fixture->search, make_copies);
    begin_hearing(&fixture->search);
}

static inline void wait_entry(void *manager)
{
    event_manager_wait(manager);
}

static inline void end_hearing(struct fixture *fixture, struct service *service)
{
    struct event_manager *publisher = fixture->products.context.events;
    event_manager_drain(service->context.events);
    harness_run(&fixture->harness, wait_entry, service->context.events);
    if (publisher)
        event_manager_drain(publisher);
    harness_until(&fixture->harness, manager_ended, service->context.events);
    if (publisher)
        publisher->draining = false;
    event_manager_free(service->context.events);
    call_manager_free(service->context.calls);
}

static inline void close_search(struct fixture *fixture)
{
    end_hearing(fixture, &fixture->search);
    service_close(&fixture->search);
}

static inline int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    too_much = NULL;
    holds_from_the_start = false;
    harness_init(&fixture->harness);
    fake_world_init(&fixture->world, fixture->harness.world);
    fixture->world.request = request;
    fixture->world.context = fixture;
    open_products(fixture);
    *state = fixture;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *fixture = *state;
    close_products(fixture);
    harness_release(&fixture->harness);
    free(fixture);
    return 0;
}

/* ---- what is seen ---- */

static inline void trim_entry(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    int64_t removed, last;
    FH_ASSERT(store_begin(fixture->products.context.store, STORE_WRITE, &work, ERROR_UNHEEDED) ==
              FH_OK);
    FH_ASSERT(ledger_position(work, &last, ERROR_UNHEEDED) == FH_OK);
    FH_ASSERT(ledger_outbox_trim(work, last, 100000, &removed, ERROR_UNHEEDED) == FH_OK);
    FH_ASSERT(store_commit(work, ERROR_UNHEEDED) == FH_OK);
}

/* All that was published so far. */
static inline void trim(struct fixture *fixture)
{
    harness_run(&fixture->harness, trim_entry, fixture);
}

static inline struct subscription_view view_of(struct fixture *fixture)
{
    struct subscription_view view;
    subscription_view(subscription_next(fixture->search.context.events, NULL), &view);
    return view;
}

#define LAST (-2)

struct wanted {
    struct fixture *fixture;
    const char *state;
    int64_t position; /* -1: whichever; LAST: the publisher's, as it is then */
};

static inline bool is_so(void *argument)
{
    const struct wanted *wanted = argument;
    struct subscription_view view = view_of(wanted->fixture);
    return !wanted->fixture->hooked && strcmp(view.state, wanted->state) == 0 &&
           (wanted->position < 0 || view.position == wanted->position) &&
           (wanted->position != LAST ||
            view.position == wanted->fixture->products.context.events->position);
}

static inline void wait_for(struct fixture *fixture, const char *state, int64_t position)
{
    struct wanted wanted = {fixture, state, position};
    harness_until(&fixture->harness, is_so, &wanted);
}

/* Search follows, and has what products have, each change once. */
static inline void expect_same(struct fixture *fixture)
{
    static const char *const sums[] = {"count(*)", "coalesce(sum(id * length(name)), 0)",
                                       "coalesce(sum(id * changes), 0)",
                                       "coalesce(sum(id * unicode(name)), 0)"};
    wait_for(fixture, "following", LAST);
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++) {
        char here[128], there[128];
        snprintf(here, sizeof here, "SELECT %s FROM copy", sums[i]);
        snprintf(there, sizeof there, "SELECT %s FROM item", sums[i]);
        assert_int_equal(service_count(&fixture->search, here),
                         service_count(&fixture->products, there));
    }
}

/* ---- what tests of both kinds do ---- */

static inline bool one_is_parked(void *argument)
{
    return view_of(argument).parked_events == 1;
}

static inline void retry_entry(void *argument)
{
    struct fixture *fixture = argument;
    struct fh_error error;
    json_t *told = NULL;
    fixture->search.code =
        parked_retry(fixture->search.context.events, "products", "1", &told, &error);
    json_decref(told);
}

static inline void another_life(fh_work *w)
{
    fh_exec(w, "UPDATE fh_outbox SET event_id = 'of another life ' || position", NULL);
    fh_exec(w, "UPDATE item SET name = 'of another life'", NULL);
}

static inline void live_another_life(struct fixture *fixture)
{
    now(fixture, another_life);
}

#endif
