/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subscriptions against a real feed, both on real stores in one process; between them a world
 * whose requests the test loses, repeats, holds or answers itself. Whatever happens, each event
 * takes effect once, in order, and `done` never passes what is committed.
 */

#include "../support/service.h"

#include <ctype.h>
#include <stdlib.h>

#include "../support/fake_world.h"
#include "call/get.h"
#include "event/feed.h"
#include "event/room.h"
#include "event/subscribe.h"
#include "http/path.h"

#define HELD_MAX 64

static const fh_field user_shape[] = {{"id", FH_INT}, {"name", FH_STRING}, {0}};

static const fh_service users = {
    .name = "users",
    .model = FH_RELATIONAL,
    .publishes = {{"UserUpdated", 1, user_shape, .key = "id"},
                  {"UserCounted", 1, user_shape, .key = "id"}},
};

static void user_updated(fh_work *w);

static const fh_service orders = {
    .name = "orders",
    .model = FH_RELATIONAL,
    .hears = {{"users", "UserUpdated", user_updated, "id,name"}},
    .asks = {{"products", "/api/products/{id}"}},
};

/* How the publisher's answers come. */
enum road { ROAD_GOOD, ROAD_LOST, ROAD_DOWN, ROAD_REPEATED, ROAD_GARBAGE };

struct fixture {
    struct harness harness;
    struct fake_world world;
    struct service users, orders;
    enum road road;
    int every; /* the road is bad for each n-th answer only; 0: for all */
    int answers;
    int64_t done_seen; /* as the last request told */
    char *repeated;    /* an earlier answer's body */
    struct world_header repeated_headers[3];
    char repeated_values[3][64];
    struct world_request *held[HELD_MAX]; /* to products, while products_hold */
    int held_count;
    bool products_hold, products_down;
};

/* ---- what the handler does ---- */

static const char *poison; /* a name that it can't bear */
static const char *asker;  /* a name for which it asks products */
static int attempts;       /* on the poison */

static void user_updated(fh_work *w)
{
    json_t *data = fh_event_data(w);
    const char *name = json_string_at(data, "name");
    if (asker && name && strcmp(name, asker) == 0)
        fh_get(w, "products", "/api/products/{id}", data);
    if (poison && name && strcmp(name, poison) == 0) {
        attempts++;
        fh_exec(w, "INSERT INTO seen (user_id, name, fields) VALUES (0, 'half done', 0)");
        fh_fail(w, 422, "the name %s is too much", name);
    }
    json_object_set_new(data, "fields", json_integer((json_int_t)json_object_size(data)));
    fh_exec(w, "INSERT INTO seen (user_id, name, fields) VALUES (:id, :name, :fields)", data);
}

static void make_table(fh_work *w)
{
    fh_exec(w, "CREATE TABLE IF NOT EXISTS seen (n INTEGER PRIMARY KEY AUTOINCREMENT,"
               " user_id INTEGER NOT NULL, name TEXT NOT NULL, fields INTEGER)");
}

/* ---- the world between them ---- */

struct delivery {
    struct fixture *fixture;
    struct world_request *request;
};

static void lower(char *to, size_t size, const char *from)
{
    size_t i = 0;
    for (; from[i] && i + 1 < size; i++)
        to[i] = (char)tolower((unsigned char)from[i]);
    to[i] = '\0';
}

static void remember(struct fixture *fixture, const struct feed_answer *answer,
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

static enum road road_now(struct fixture *fixture)
{
    fixture->answers++;
    if (fixture->every && fixture->answers % fixture->every != 0)
        return ROAD_GOOD;
    return fixture->road;
}

static void deliver(struct fixture *fixture, struct world_request *request,
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

static void serve_feed(void *argument)
{
    struct delivery delivery = *(struct delivery *)argument;
    struct feed_answer answer;
    json_t *query;
    free(argument);
    FH_ASSERT(path_query(strchr(delivery.request->path, '?') + 1, &query, NULL) == FH_OK);
    feed_answer(delivery.fixture->users.context.events, query, &answer);
    json_decref(query);
    deliver(delivery.fixture, delivery.request, &answer);
    feed_answer_release(&answer);
}

static int64_t told(const struct world_request *request, const char *name)
{
    const char *at = strstr(request->path, name);
    return at ? atoll(at + strlen(name)) : 0;
}

static void request(struct fake_world *fake, struct world_request *request)
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

static void let_products_fail(struct fixture *fixture)
{
    fixture->products_hold = false;
    fixture->products_down = true;
    while (fixture->held_count > 0)
        fake_answer(fixture->held[--fixture->held_count], 0, NULL, NULL, 0);
}

/* ---- opening and closing ---- */

static void open_users(struct fixture *fixture)
{
    service_open(&fixture->users, &fixture->harness, &fixture->world.world, &users);
    fixture->users.context.events = event_room_new(&fixture->users.context);
}

static void start_room(void *argument)
{
    struct service *service = argument;
    service->code = event_room_start(service->context.events, &service->error);
}

static void begin_hearing(struct service *service)
{
    service->context.events = event_room_new(&service->context);
    service->context.calls = call_room_new(&service->context);
    harness_run(service->harness, start_room, service);
    assert_int_equal(service->code, FH_OK);
}

static void open_orders(struct fixture *fixture)
{
    service_open(&fixture->orders, &fixture->harness, &fixture->world.world, &orders);
    service_must(&fixture->orders, make_table);
    begin_hearing(&fixture->orders);
}

static bool room_ended(void *argument)
{
    return event_room_ended(argument);
}

static void wait_entry(void *room)
{
    event_room_wait(room);
}

/* As a program ends: drain, wait for the batch under way, then all open requests fail (the
 * publisher answers its long polls at once when it drains). */
static void end_hearing(struct fixture *fixture, struct service *service)
{
    struct event_room *publisher = fixture->users.context.events;
    event_room_drain(service->context.events);
    let_products_fail(fixture);
    harness_run(&fixture->harness, wait_entry, service->context.events);
    if (publisher)
        event_room_drain(publisher);
    harness_until(&fixture->harness, room_ended, service->context.events);
    if (publisher)
        publisher->draining = false;
    event_room_free(service->context.events);
    call_room_free(service->context.calls);
    fixture->products_down = false;
}

static void close_orders(struct fixture *fixture)
{
    end_hearing(fixture, &fixture->orders);
    service_close(&fixture->orders);
}

static void close_users(struct fixture *fixture)
{
    event_room_drain(fixture->users.context.events);
    harness_until(&fixture->harness, room_ended, fixture->users.context.events);
    event_room_free(fixture->users.context.events);
    fixture->users.context.events = NULL;
    service_close(&fixture->users);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    poison = asker = NULL;
    attempts = 0;
    harness_init(&fixture->harness);
    fake_world_init(&fixture->world, fixture->harness.world);
    fixture->world.request = request;
    fixture->world.context = fixture;
    open_users(fixture);
    *state = fixture;
    return 0;
}

/* Tests close what they opened of orders. */
static int teardown(void **state)
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

static void publish_some(fh_work *w)
{
    for (int i = first_id; i < first_id + publish_count; i++) {
        const char *name = publish_name ? publish_name : work_printf(w, "name %d", i);
        fh_publish(w, publish_type, json_pack("{s:i, s:s}", "id", i, "name", name));
    }
}

static void publish(struct fixture *fixture, int from, int count)
{
    first_id = from;
    publish_count = count;
    service_must(&fixture->users, publish_some);
}

static void publish_named(struct fixture *fixture, int id, const char *name)
{
    publish_name = name;
    publish(fixture, id, 1);
    publish_name = NULL;
}

static void publish_unheard(struct fixture *fixture, int count)
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

static struct subscription_view view_of(struct service *service)
{
    struct subscription_view view;
    subscription_view(subscription_next(service->context.events, NULL), &view);
    return view;
}

static bool view_holds(void *argument)
{
    struct view_wanted *wanted = argument;
    struct subscription_view view = view_of(wanted->service);
    return view.position == wanted->position && strcmp(view.state, wanted->state) == 0;
}

static void wait_for(struct service *service, int64_t position, const char *state)
{
    struct view_wanted wanted = {service, position, state};
    harness_until(service->harness, view_holds, &wanted);
}

/* ids `from`..`to`, each once, in order, and nothing else. */
static void expect_seen(struct service *service, int from, int to)
{
    assert_int_equal(service_count(service, "SELECT count(*) FROM seen"), to - from + 1);
    assert_int_equal(service_count(service, "SELECT count(DISTINCT user_id) FROM seen"),
                     to - from + 1);
    assert_int_equal(service_count(service, "SELECT min(user_id) FROM seen"), from);
    assert_int_equal(service_count(service, "SELECT count(*) FROM seen a JOIN seen b ON b.n > a.n"
                                            " WHERE b.user_id < a.user_id"),
                     0);
}

static int64_t cursor_of(struct service *service)
{
    return service_count(service, "SELECT coalesce(max(position), 0) FROM fh_cursor");
}

/* ---- tests ---- */

static void events_are_applied_once_and_in_order(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 1, 600);
    open_orders(fixture);
    wait_for(&fixture->orders, 600, "following");
    publish(fixture, 601, 1);
    publish(fixture, 602, 100);
    wait_for(&fixture->orders, 701, "following");
    expect_seen(&fixture->orders, 1, 701);
    assert_int_equal(cursor_of(&fixture->orders), 701);
    struct subscription_view view = view_of(&fixture->orders);
    assert_int_equal(view.depth, 0);
    assert_int_equal(view.lag_ms, 0);
    assert_int_equal(view.applied, 701);
    close_orders(fixture);
}

static void only_the_fields_that_are_heard_arrive(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 1, 1);
    open_orders(fixture);
    wait_for(&fixture->orders, 1, "following");
    assert_int_equal(service_count(&fixture->orders, "SELECT fields FROM seen"), 2);
    close_orders(fixture);
}

static void a_restart_goes_on_behind_what_was_applied(void **state)
{
    struct fixture *fixture = *state;
    open_orders(fixture);
    for (int i = 0; i < 3; i++) {
        publish(fixture, 1 + 50 * i, 50);
        wait_for(&fixture->orders, 50 * (i + 1), "following");
        close_orders(fixture);
        open_orders(fixture);
    }
    publish(fixture, 151, 10);
    wait_for(&fixture->orders, 160, "following");
    expect_seen(&fixture->orders, 1, 160);
    close_orders(fixture);
}

static void the_publisher_may_come_later(void **state)
{
    struct fixture *fixture = *state;
    fixture->road = ROAD_DOWN;
    open_orders(fixture);
    wait_for(&fixture->orders, 0, "unreachable");
    assert_non_null(strstr(view_of(&fixture->orders).reason, "users can't be reached"));
    publish(fixture, 1, 5);
    fixture->road = ROAD_GOOD;
    wait_for(&fixture->orders, 5, "following");
    expect_seen(&fixture->orders, 1, 5);
    close_orders(fixture);
}

static void lost_answers_are_asked_for_again(void **state)
{
    struct fixture *fixture = *state;
    fixture->road = ROAD_LOST;
    fixture->every = 2;
    publish(fixture, 1, 1000);
    open_orders(fixture);
    wait_for(&fixture->orders, 1000, "following");
    expect_seen(&fixture->orders, 1, 1000);
    close_orders(fixture);
}

static void an_answer_that_comes_twice_is_applied_once(void **state)
{
    struct fixture *fixture = *state;
    fixture->road = ROAD_REPEATED;
    fixture->every = 2;
    publish(fixture, 1, 1000);
    open_orders(fixture);
    wait_for(&fixture->orders, 1000, "following");
    expect_seen(&fixture->orders, 1, 1000);
    close_orders(fixture);
}

static void garbage_moves_no_cursor(void **state)
{
    struct fixture *fixture = *state;
    fixture->road = ROAD_GARBAGE;
    publish(fixture, 1, 3);
    open_orders(fixture);
    wait_for(&fixture->orders, 0, "unreachable");
    assert_non_null(strstr(view_of(&fixture->orders).reason, "what can't be read"));
    fixture->road = ROAD_GOOD;
    wait_for(&fixture->orders, 3, "following");
    expect_seen(&fixture->orders, 1, 3);
    close_orders(fixture);
}

static void the_cursor_passes_what_nobody_hears(void **state)
{
    struct fixture *fixture = *state;
    publish_unheard(fixture, 300);
    open_orders(fixture);
    wait_for(&fixture->orders, 300, "following");
    assert_int_equal(cursor_of(&fixture->orders), 300);
    publish_unheard(fixture, 10);
    publish(fixture, 1, 1);
    publish_unheard(fixture, 10);
    wait_for(&fixture->orders, 321, "following");
    expect_seen(&fixture->orders, 1, 1);
    close_orders(fixture);
}

/* ---- failures and outages ---- */

static void an_event_that_fails_is_alone_in_failing_and_said(void **state)
{
    struct fixture *fixture = *state;
    poison = "poison";
    publish(fixture, 1, 3);
    publish_named(fixture, 4, "poison");
    publish(fixture, 5, 3);
    open_orders(fixture);
    wait_for(&fixture->orders, 3, "failing");
    struct subscription_view view = view_of(&fixture->orders);
    assert_non_null(strstr(view.reason, "UserUpdated"));
    assert_non_null(strstr(view.reason, "the name poison is too much"));
    assert_true(view.failures >= 1);
    assert_int_equal(view.depth, 4);
    expect_seen(&fixture->orders, 1, 3); /* and nothing half done */
    poison = NULL;                       /* the handler is mended */
    wait_for(&fixture->orders, 7, "following");
    expect_seen(&fixture->orders, 1, 7);
    close_orders(fixture);
}

static bool attempts_are_many(void *argument)
{
    (void)argument;
    return attempts >= 4;
}

static void a_poison_outlives_a_restart_and_is_never_skipped(void **state)
{
    struct fixture *fixture = *state;
    poison = "poison";
    publish_named(fixture, 1, "poison");
    publish(fixture, 2, 2);
    open_orders(fixture);
    harness_until(&fixture->harness, attempts_are_many, NULL);
    close_orders(fixture);
    open_orders(fixture);
    wait_for(&fixture->orders, 0, "failing");
    poison = NULL;
    wait_for(&fixture->orders, 3, "following");
    expect_seen(&fixture->orders, 1, 3);
    close_orders(fixture);
}

/* Schedule 14. */
static void a_batch_whose_second_event_asks_another_service_is_applied_in_order(void **state)
{
    struct fixture *fixture = *state;
    asker = "asker";
    publish(fixture, 1, 1);
    publish_named(fixture, 2, "asker");
    publish(fixture, 3, 3);
    open_orders(fixture);
    wait_for(&fixture->orders, 5, "following");
    expect_seen(&fixture->orders, 1, 5);
    close_orders(fixture);
}

static void an_outage_of_a_service_that_is_asked_is_no_poison(void **state)
{
    struct fixture *fixture = *state;
    asker = "asker";
    fixture->products_down = true;
    publish(fixture, 1, 1);
    publish_named(fixture, 2, "asker");
    publish(fixture, 3, 1);
    open_orders(fixture);
    wait_for(&fixture->orders, 0, "waiting");
    assert_non_null(strstr(view_of(&fixture->orders).reason, "products can't be reached"));
    fixture->products_down = false;
    wait_for(&fixture->orders, 3, "following");
    assert_int_equal(view_of(&fixture->orders).failures, 0);
    expect_seen(&fixture->orders, 1, 3);
    close_orders(fixture);
}

/* A store that fails where the test says. */
static struct store_ops tricky;
static const struct store_ops *honest;
static int trick_begins, trick_commits; /* so many fail */
static bool trick_after;                /* the commit that "fails" has happened */

static enum fh_code tricky_begin(struct store *store, enum store_mode mode, struct store_work **ret,
                                 struct fh_error *error)
{
    if (trick_begins > 0) {
        trick_begins--;
        return error_set(error, FH_UNAVAILABLE, "The disk is away.");
    }
    return honest->begin(store, mode, ret, error);
}

static enum fh_code tricky_commit(struct store_work *work, struct fh_error *error)
{
    if (work->mode == STORE_READ || trick_commits == 0)
        return honest->commit(work, error);
    trick_commits--;
    if (trick_after)
        FH_ASSERT(honest->commit(work, error) == FH_OK);
    else
        honest->rollback(work);
    return error_set(error, FH_OUTCOME_UNKNOWN, "The connection died inside COMMIT.");
}

static void make_tricky(struct service *service)
{
    honest = service->context.store->ops;
    tricky = *honest;
    tricky.begin = tricky_begin;
    tricky.commit = tricky_commit;
    service->context.store->ops = &tricky;
}

/* Schedule 27, in short. */
static void an_outage_of_the_store_is_no_poison(void **state)
{
    struct fixture *fixture = *state;
    open_orders(fixture);
    wait_for(&fixture->orders, 0, "following");
    make_tricky(&fixture->orders);
    trick_begins = 5;
    publish(fixture, 1, 10);
    wait_for(&fixture->orders, 10, "following");
    assert_int_equal(trick_begins, 0);
    assert_int_equal(view_of(&fixture->orders).failures, 0);
    expect_seen(&fixture->orders, 1, 10);
    close_orders(fixture);
}

static void a_commit_of_unknown_outcome_is_looked_up(void **state)
{
    struct fixture *fixture = *state;
    open_orders(fixture);
    wait_for(&fixture->orders, 0, "following");
    make_tricky(&fixture->orders);
    for (int i = 0; i < 2; i++) {
        trick_after = i == 0;
        trick_commits = 1;
        publish(fixture, 1 + 10 * i, 10);
        wait_for(&fixture->orders, 10 * (i + 1), "following");
        assert_int_equal(trick_commits, 0);
    }
    expect_seen(&fixture->orders, 1, 20);
    close_orders(fixture);
}

/* ---- crashes, and others who apply ---- */

static bool products_are_asked(void *argument)
{
    return ((struct fixture *)argument)->held_count > 0;
}

struct trimming {
    struct fixture *fixture;
    int64_t position;
};

static void trim_entry(void *argument)
{
    struct trimming *trimming = argument;
    struct store_work *work;
    int64_t removed;
    FH_ASSERT(store_begin(trimming->fixture->users.context.store, STORE_WRITE, &work, NULL) ==
              FH_OK);
    ledger_outbox_trim(work, trimming->position, 10000, &removed, NULL);
    FH_ASSERT(store_commit(work, NULL) == FH_OK);
}

static bool done_is_100(void *argument)
{
    return service_count(&((struct fixture *)argument)->users,
                         "SELECT coalesce(max(done), 0) FROM fh_subscriber") == 100;
}

/* Schedule 9: fetched 101 to 200, committed none of them, trimmed, crashed. */
static void what_was_fetched_and_not_committed_is_not_trimmed(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 1, 100);
    open_orders(fixture);
    wait_for(&fixture->orders, 100, "following");
    asker = "asker";
    fixture->products_hold = true;
    publish_named(fixture, 101, "asker");
    publish(fixture, 102, 99);
    harness_until(&fixture->harness, products_are_asked, fixture);
    while (!done_is_100(fixture))
        uv_run(&fixture->harness.loop, UV_RUN_NOWAIT);
    assert_int_equal(fixture->done_seen, 100);
    struct trimming trimming = {fixture, 100};
    harness_run(&fixture->harness, trim_entry, &trimming);
    close_orders(fixture); /* the batch under way fails: nothing of it is committed */
    open_orders(fixture);
    wait_for(&fixture->orders, 200, "following");
    expect_seen(&fixture->orders, 1, 200);
    close_orders(fixture);
}

/* A paused instance that wakes up, as two instances on one store that both believe to be alone. */
static void two_instances_of_one_subscription_apply_each_event_once(void **state)
{
    struct fixture *fixture = *state;
    struct service other;
    open_orders(fixture);
    other = fixture->orders;
    begin_hearing(&other);
    for (int i = 0; i < 20; i++)
        publish(fixture, 1 + 37 * i, 37);
    wait_for(&fixture->orders, 740, "following");
    wait_for(&other, 740, "following");
    expect_seen(&fixture->orders, 1, 740);
    assert_int_equal(view_of(&other).applied + view_of(&fixture->orders).applied, 740);
    end_hearing(fixture, &other);
    close_orders(fixture);
}

/* ---- refused ---- */

static void expect_refused(struct fixture *fixture, int64_t position, const char *status)
{
    wait_for(&fixture->orders, position, "refused");
    assert_non_null(strstr(view_of(&fixture->orders).reason, status));
    json_t *room = event_room_state(fixture->orders.context.events);
    json_t *subscription = json_array_get(json_object_get(room, "subscriptions"), 0);
    assert_string_equal(json_string_at(subscription, "source"), "users");
    assert_string_equal(json_string_at(subscription, "state"), "refused");
    assert_non_null(json_string_at(subscription, "reason"));
    json_decref(room);
}

static void lose_users_store(struct fixture *fixture)
{
    char command[256];
    close_users(fixture);
    snprintf(command, sizeof command, "%s/store.db", fixture->users.folder);
    remove(command);
    snprintf(command, sizeof command, "%s/store.db-wal", fixture->users.folder);
    remove(command);
    snprintf(command, sizeof command, "%s/store.db-shm", fixture->users.folder);
    remove(command);
    open_users(fixture);
}

static void a_publisher_set_anew_stops_the_subscription_instead_of_skipping(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 1, 5);
    open_orders(fixture);
    wait_for(&fixture->orders, 5, "following");
    close_orders(fixture);
    lose_users_store(fixture);
    publish(fixture, 1, 20);
    open_orders(fixture);
    expect_refused(fixture, 5, "409");
    assert_int_equal(cursor_of(&fixture->orders), 5);
    expect_seen(&fixture->orders, 1, 5);
    assert_int_equal(service_count(&fixture->users, "SELECT count(*) FROM fh_subscriber"), 0);
    close_orders(fixture);
}

static void a_subscriber_behind_what_was_trimmed_stops_and_says_so(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 1, 5);
    open_orders(fixture);
    wait_for(&fixture->orders, 5, "following");
    close_orders(fixture);
    publish(fixture, 6, 5);
    struct trimming trimming = {fixture, 8};
    harness_run(&fixture->harness, trim_entry, &trimming);
    open_orders(fixture);
    expect_refused(fixture, 5, "410");
    expect_seen(&fixture->orders, 1, 5);
    close_orders(fixture);
}

/* ---- wrong declarations ---- */

static const fh_service deaf = {
    .name = "deaf", .model = FH_RELATIONAL, .hears = {{"users", "UserUpdated", NULL}}};
static const fh_service doubled = {
    .name = "doubled",
    .model = FH_RELATIONAL,
    .hears = {{"users", "UserUpdated", user_updated}, {"users", "UserUpdated", user_updated}}};

static void wrong_declarations_do_not_start(void **state)
{
    struct fixture *fixture = *state;
    const fh_service *wrong[] = {&deaf, &doubled};
    for (int i = 0; i < 2; i++) {
        struct service service;
        service_open(&service, &fixture->harness, &fixture->world.world, wrong[i]);
        service.context.events = event_room_new(&service.context);
        harness_run(&fixture->harness, start_room, &service);
        assert_int_equal(service.code, FH_INVALID);
        event_room_free(service.context.events);
        service_close(&service);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(events_are_applied_once_and_in_order),
        TEST(only_the_fields_that_are_heard_arrive),
        TEST(a_restart_goes_on_behind_what_was_applied),
        TEST(the_publisher_may_come_later),
        TEST(lost_answers_are_asked_for_again),
        TEST(an_answer_that_comes_twice_is_applied_once),
        TEST(garbage_moves_no_cursor),
        TEST(the_cursor_passes_what_nobody_hears),
        TEST(an_event_that_fails_is_alone_in_failing_and_said),
        TEST(a_poison_outlives_a_restart_and_is_never_skipped),
        TEST(a_batch_whose_second_event_asks_another_service_is_applied_in_order),
        TEST(an_outage_of_a_service_that_is_asked_is_no_poison),
        TEST(an_outage_of_the_store_is_no_poison),
        TEST(a_commit_of_unknown_outcome_is_looked_up),
        TEST(what_was_fetched_and_not_committed_is_not_trimmed),
        TEST(two_instances_of_one_subscription_apply_each_event_once),
        TEST(a_publisher_set_anew_stops_the_subscription_instead_of_skipping),
        TEST(a_subscriber_behind_what_was_trimmed_stops_and_says_so),
        TEST(wrong_declarations_do_not_start),
    };
    return cmocka_run_group_tests_name("event_subscribe", tests, NULL, NULL);
}
