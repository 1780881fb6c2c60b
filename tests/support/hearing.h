/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_HEARING_H
#define TESTS_HEARING_H

/* Users publish, orders subscribe: two services on real stores in one process; between them a world
 * whose requests the test loses, repeats, holds or answers itself. Header only. */

#include "service.h"

#include <ctype.h>
#include <stdlib.h>

#include "fake_world.h"
#include "call/get.h"
#include "event/feed/feed.h"
#include "event/manager.h"
#include "event/subscribe/subscribe.h"
#include "http/path.h"

#define HELD_MAX 64

/* Defined before: a test of personal data. */
#ifdef HEARING_PERSONAL
#define HEARING_MARKED true
#else
#define HEARING_PERSONAL NULL
#define HEARING_MARKED false
#endif

static const fh_field user_shape[] = {
    {"id", FH_INT}, {"name", FH_STRING, .personal = HEARING_MARKED}, {0}};

static const fh_service users = {
    .name = "users",
    .model = FH_RELATIONAL,
    .publishes = {{"UserUpdated", 1, user_shape, .key = "id"},
                  {"UserCounted", 1, user_shape, .key = "id"}},
};

static inline void user_updated(fh_work *w);

static const fh_service orders = {
    .name = "orders",
    .model = FH_RELATIONAL,
    .subscribes = {{"users", "UserUpdated", user_updated, "id,name", .personal = HEARING_PERSONAL}},
    .asks = {{"products", "/api/products/{id}"}},
};

/* How the publisher's answers come. */
enum road { ROAD_GOOD, ROAD_LOST, ROAD_DOWN, ROAD_REPEATED, ROAD_GARBAGE };

struct fixture {
    struct harness harness;
    struct fake_world world;
    struct service users, orders;
    enum road road;
    int every; /* the link is bad for each n-th answer only; 0: for all */
    int answers;
    int64_t done_seen; /* as the last request said */
    char *repeated;    /* an earlier answer's body */
    struct world_header repeated_headers[3];
    char repeated_values[3][64];
    struct world_request *held[HELD_MAX]; /* to products, while products_hold */
    int held_count;
    bool products_hold, products_down;
};

/* ---- what the handler does ---- */

static const char *poison; /* a name that it can't process */
static const char *asker;  /* a name for which it queries products */
static int attempts;       /* on the poison event */
static int heals_after;    /* so many of them fail; 0: all */

static inline void user_updated(fh_work *w)
{
    json_t *data = fh_event_data(w);
    const char *name = json_string_at(data, "name");
    if (asker && name && strcmp(name, asker) == 0)
        fh_get(w, "products", "/api/products/{id}", data);
    if (poison && name && strcmp(name, poison) == 0) {
        attempts++;
        fh_exec(w, "INSERT INTO seen (user_id, name, fields) VALUES (0, 'half done', 0)");
        if (!heals_after || attempts <= heals_after)
            fh_fail(w, 422, "the name %s is too much", name);
        fh_exec(w, "DELETE FROM seen WHERE user_id = 0");
    }
    json_object_set_new(data, "fields", json_integer((json_int_t)json_object_size(data)));
    fh_exec(w, "INSERT INTO seen (user_id, name, fields) VALUES (:id, :name, :fields)", data);
}

static inline void make_table(fh_work *w)
{
    fh_exec(w, "CREATE TABLE IF NOT EXISTS seen (n INTEGER PRIMARY KEY AUTOINCREMENT,"
               " user_id INTEGER NOT NULL, name TEXT NOT NULL, fields INTEGER)");
}

/* ---- the world between them ---- */

struct delivery {
    struct fixture *fixture;
    struct world_request *request;
};

static inline void lower(char *to, size_t size, const char *from)
{
    size_t i = 0;
    for (; from[i] && i + 1 < size; i++)
        to[i] = (char)tolower((unsigned char)from[i]);
    to[i] = '\0';
}

static inline void remember(struct fixture *fixture, const struct feed_answer *answer,
                            const struct world_header *headers)
{
    if (fixture->repeated || answer->status != 200 || answer->body_length < 3)
        return;
    fixture->repeated = strdup(answer->body);
    for (int i = 0; i < 3; i++) {
        snprintf(fixture->repeated_values[i], 64, "%s", headers[i].value);
        fixture->repeated_headers[i] = (struct world_header){i == 0   ? "freehold-incarnation"
                                                             : i == 1 ? "freehold-last"
                                                                      : "freehold-next",
                                                             fixture->repeated_values[i]};
    }
}

static inline enum road road_now(struct fixture *fixture)
{
    fixture->answers++;
    if (fixture->every && fixture->answers % fixture->every != 0)
        return ROAD_GOOD;
    return fixture->road;
}

static inline void deliver(struct fixture *fixture, struct world_request *request,
                           const struct feed_answer *answer)
{
    struct world_header headers[FEED_HEADERS_MAX];
    char names[FEED_HEADERS_MAX][32];
    for (size_t i = 0; i < answer->header_count; i++) {
        lower(names[i], sizeof names[i], answer->headers[i].name);
        headers[i] = (struct world_header){names[i], answer->headers[i].value};
    }
    switch (road_now(fixture)) {
    case ROAD_LOST:
        fake_answer(request, 0, NULL, NULL, 0);
        return;
    case ROAD_GARBAGE:
        fake_answer(request, 200, "<html>", headers, answer->header_count);
        return;
    case ROAD_REPEATED:
        if (fixture->repeated) {
            fake_answer(request, 200, fixture->repeated, fixture->repeated_headers, 3);
            return;
        }
        break;
    case ROAD_GOOD:
    case ROAD_DOWN:
        break;
    }
    remember(fixture, answer, headers);
    fake_answer(request, answer->status, answer->body, headers, answer->header_count);
}

static inline void serve_feed(void *argument)
{
    struct delivery delivery = *(struct delivery *)argument;
    struct feed_answer answer;
    json_t *query;
    free(argument);
    FH_ASSERT(path_query(strchr(delivery.request->path, '?') + 1, &query, ERROR_UNHEEDED) == FH_OK);
    feed_answer(delivery.fixture->users.context.events, query, NULL, &answer);
    json_decref(query);
    deliver(delivery.fixture, delivery.request, &answer);
    feed_answer_release(&answer);
}

static inline int64_t told(const struct world_request *request, const char *name)
{
    const char *at = strstr(request->path, name);
    return at ? atoll(at + strlen(name)) : 0;
}

static inline void request(struct fake_world *fake, struct world_request *request)
{
    struct fixture *fixture = fake->context;
    if (strcmp(request->service, "products") == 0) {
        if (fixture->products_hold)
            fixture->held[fixture->held_count++] = request;
        else
            fake_answer(request, fixture->products_down ? 0 : 200, "{}", NULL, 0);
        return;
    }
    fixture->done_seen = told(request, "&done=");
    if (fixture->road == ROAD_DOWN || !fixture->users.context.events) {
        fake_answer(request, 0, NULL, NULL, 0);
        return;
    }
    struct delivery *delivery = malloc(sizeof *delivery);
    *delivery = (struct delivery){fixture, request};
    FH_ASSERT(fiber_start(fixture->harness.world->fibers, serve_feed, delivery));
}

static inline void let_products_fail(struct fixture *fixture)
{
    fixture->products_hold = false;
    fixture->products_down = true;
    while (fixture->held_count > 0)
        fake_answer(fixture->held[--fixture->held_count], 0, NULL, NULL, 0);
}

/* ---- opening and closing ---- */

static inline void open_users(struct fixture *fixture)
{
    service_open(&fixture->users, &fixture->harness, &fixture->world.world, &users);
    fixture->users.context.events = event_manager_new(&fixture->users.context);
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

static inline void open_orders(struct fixture *fixture)
{
    service_open(&fixture->orders, &fixture->harness, &fixture->world.world, &orders);
    service_must(&fixture->orders, make_table);
    begin_hearing(&fixture->orders);
}

static inline bool manager_ended(void *argument)
{
    return event_manager_ended(argument);
}

static inline void wait_entry(void *manager)
{
    event_manager_wait(manager);
}

/* As a program ends: drain, wait for the batch under way, then all open requests fail (the
 * publisher answers its long polls at once when it drains). */
static inline void end_hearing(struct fixture *fixture, struct service *service)
{
    struct event_manager *publisher = fixture->users.context.events;
    event_manager_drain(service->context.events);
    let_products_fail(fixture);
    harness_run(&fixture->harness, wait_entry, service->context.events);
    if (publisher)
        event_manager_drain(publisher);
    harness_until(&fixture->harness, manager_ended, service->context.events);
    if (publisher)
        publisher->draining = false;
    event_manager_free(service->context.events);
    call_manager_free(service->context.calls);
    fixture->products_down = false;
}

static inline void close_orders(struct fixture *fixture)
{
    end_hearing(fixture, &fixture->orders);
    service_close(&fixture->orders);
}

static inline void close_users(struct fixture *fixture)
{
    event_manager_drain(fixture->users.context.events);
    harness_until(&fixture->harness, manager_ended, fixture->users.context.events);
    event_manager_free(fixture->users.context.events);
    fixture->users.context.events = NULL;
    service_close(&fixture->users);
}

static inline int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    poison = asker = NULL;
    attempts = heals_after = 0;
    harness_init(&fixture->harness);
    fake_world_init(&fixture->world, fixture->harness.world);
    fixture->world.request = request;
    fixture->world.context = fixture;
    open_users(fixture);
    *state = fixture;
    return 0;
}

/* Tests close what they opened of orders. */
static inline int teardown(void **state)
{
    struct fixture *fixture = *state;
    close_users(fixture);
    harness_release(&fixture->harness);
    free(fixture->repeated);
    free(fixture);
    return 0;
}

/* ---- what happens and what is seen ---- */

static int first_id, publish_count;
static const char *publish_type = "UserUpdated";
static const char *publish_name;

static inline void publish_some(fh_work *w)
{
    for (int i = first_id; i < first_id + publish_count; i++) {
        const char *name = publish_name ? publish_name : work_printf(w, "name %d", i);
        fh_publish(w, publish_type, json_pack("{s:i, s:s}", "id", i, "name", name));
    }
}

static inline void publish(struct fixture *fixture, int from, int count)
{
    first_id = from;
    publish_count = count;
    service_must(&fixture->users, publish_some);
}

static inline void publish_named(struct fixture *fixture, int id, const char *name)
{
    publish_name = name;
    publish(fixture, id, 1);
    publish_name = NULL;
}

static inline void publish_unheard(struct fixture *fixture, int count)
{
    publish_type = "UserCounted";
    publish(fixture, 1, count);
    publish_type = "UserUpdated";
}

struct view_wanted {
    struct service *service;
    int64_t position;
    const char *state;
};

static inline struct subscription_view view_of(struct service *service)
{
    struct subscription_view view;
    subscription_view(subscription_next(service->context.events, NULL), &view);
    return view;
}

static inline bool view_holds(void *argument)
{
    struct view_wanted *wanted = argument;
    struct subscription_view view = view_of(wanted->service);
    return view.position == wanted->position && strcmp(view.state, wanted->state) == 0;
}

static inline void wait_for(struct service *service, int64_t position, const char *state)
{
    struct view_wanted wanted = {service, position, state};
    harness_until(service->harness, view_holds, &wanted);
}

/* ids `from`..`to`, each once, in order, and nothing else. */
static inline void expect_seen(struct service *service, int from, int to)
{
    assert_int_equal(service_count(service, "SELECT count(*) FROM seen"), to - from + 1);
    assert_int_equal(service_count(service, "SELECT count(DISTINCT user_id) FROM seen"),
                     to - from + 1);
    assert_int_equal(service_count(service, "SELECT min(user_id) FROM seen"), from);
    assert_int_equal(service_count(service, "SELECT count(*) FROM seen a JOIN seen b ON b.n > a.n"
                                            " WHERE b.user_id < a.user_id"),
                     0);
}

static inline int64_t cursor_of(struct service *service)
{
    return service_count(service, "SELECT coalesce(max(position), 0) FROM fh_cursor");
}

/* From now on another instance has the partition of users. On the loop: with harness_run. */
static inline void take_over_entry(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    FH_ASSERT(store_begin(fixture->orders.context.store, STORE_WRITE, &work, ERROR_UNHEEDED) ==
              FH_OK);
    FH_ASSERT(ledger_cursor_take(work, "users", "0/1", 7, ERROR_UNHEEDED) == FH_OK);
    FH_ASSERT(store_commit(work, ERROR_UNHEEDED) == FH_OK);
}

/* A store that fails where the test says. */
static struct store_ops tricky;
static const struct store_ops *honest;
static int trick_begins; /* so many fail */

static inline enum fh_code tricky_begin(struct store *store, enum store_mode mode,
                                        struct store_work **ret, struct fh_error *error)
{
    if (trick_begins > 0) {
        trick_begins--;
        return error_set(error, FH_UNAVAILABLE, "The disk is away.");
    }
    return honest->begin(store, mode, ret, error);
}

static inline void make_tricky(struct service *service)
{
    honest = service->context.store->ops;
    tricky = *honest;
    tricky.begin = tricky_begin;
    service->context.store->ops = &tricky;
}

#endif
