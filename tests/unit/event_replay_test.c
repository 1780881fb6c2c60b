/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replays: events are applied again, up to where the cursor was, and what their handlers do besides
 * changing their own store is held back up to there, whatever happens in between.
 */

#include "../support/hearing.h"
#include "../support/operator.h"
#include "../support/undecided.h"

#include "event/subscribe/replay.h"
#include "saga/manager.h"
#include "timer/manager.h"
#include "work/meters.h"

/* ---- a subscriber with every effect there is ---- */

static void nothing(fh_work *w)
{
    (void)w;
}

static void note_user(fh_work *w)
{
    json_t *data = fh_event_data(w);
    const char *name = fh_text(w, data, "name");
    if (asker && strcmp(name, asker) == 0)
        fh_get(w, "products", "/api/products/{id}", data);
    if (poison && strcmp(name, poison) == 0)
        fh_fail(w, 422, "the name %s is too much", name);
    json_t *last = fh_try_row(w, "SELECT timer FROM kept WHERE user_id = :id - 1", data);
    bool cancelled = last && fh_cancel(w, fh_text(w, last, "timer"));
    const char *timer = fh_at(w, fh_now_ms(w) + 86400000, "remind", NULL);
    json_t *kept = fh_object(w, "timer", timer, "cancelled", cancelled);
    fh_exec(w, "INSERT OR IGNORE INTO kept (user_id, timer) VALUES (:id, :timer)", data, kept);
    fh_exec(w, "INSERT INTO seen (user_id, name, fields) VALUES (:id, :name, :cancelled)", data,
            kept);
    fh_publish(w, "UserNoted", data);
    fh_saga_start(w, "welcome", fh_object(w, "id", fh_int(w, data, "id")));
    fh_count(w, "noted", 1, (json_t *)NULL);
    fh_observe(w, "length", 1, (json_t *)NULL);
}

static const fh_step welcome_steps[] = {{.name = "greet", .run = nothing, .pivot = true}, {0}};
static const fh_service noting = {
    .name = "orders",
    .model = FH_RELATIONAL,
    .subscribes = {{"users", "UserUpdated", note_user}},
    .asks = {{"products", "/api/products/{id}"}},
    .publishes = {{"UserNoted", 1, user_shape, .key = "id"}},
    .sagas = {{"welcome", welcome_steps}},
    .timers = {{"remind", nothing}},
    .metrics = {{"noted", "Users noted"}, {"length", "Of names", .buckets = {1, 2}}},
};

static void make_kept(fh_work *w)
{
    make_table(w);
    fh_exec(w,
            "CREATE TABLE IF NOT EXISTS kept (user_id INTEGER PRIMARY KEY, timer TEXT NOT NULL)");
}

/* Its managers of sagas and timers do nothing but write what was begun. */
static void open_noting(struct fixture *fixture)
{
    struct service *service = &fixture->orders;
    struct fh_error error;
    service_open(service, &fixture->harness, &fixture->world.world, &noting);
    service_must(service, make_kept);
    assert_int_equal(saga_manager_new(&service->context, &service->context.sagas, &error), FH_OK);
    assert_int_equal(timer_manager_new(&service->context, &service->context.timers, &error), FH_OK);
    assert_int_equal(meters_new(&noting, &service->context.meters, &error), FH_OK);
    service->context.sagas->stopping = true;
    service->context.timers->draining = true;
    begin_hearing(service);
}

static void close_noting(struct fixture *fixture)
{
    struct service *service = &fixture->orders;
    end_hearing(fixture, service);
    saga_manager_free(service->context.sagas);
    timer_manager_free(service->context.timers);
    meters_free(service->context.meters);
    service_close(service);
}

static int64_t count_of(struct fixture *fixture, const char *table)
{
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    return service_count(&fixture->orders, sql);
}

/* So many events had effects, whatever was applied. */
static void expect_reached_out(struct fixture *fixture, int64_t count)
{
    assert_int_equal(count_of(fixture, "fh_outbox WHERE type = 'UserNoted'"), count);
    assert_int_equal(count_of(fixture, "fh_saga"), count);
}

/* Each cancelled the timer of the one before it. */
static void expect_effects(struct fixture *fixture, int64_t count)
{
    expect_reached_out(fixture, count);
    assert_int_equal(count_of(fixture, "seen WHERE fields = 1"), count - 1);
    assert_int_equal(count_of(fixture, "fh_timer"), 1);
}

static void expect_counted(struct fixture *fixture, int count)
{
    char line[64];
    struct text text;
    text_init(&text, TEXT_LENGTH_MAX);
    meters_write(fixture->orders.context.meters, &text);
    snprintf(line, sizeof line, "noted_total %d\n", count);
    assert_non_null(strstr(text.data, line));
    snprintf(line, sizeof line, "length_count %d\n", count);
    assert_non_null(strstr(text.data, line));
    text_release(&text);
}

/* ---- orders ---- */

struct ordered {
    struct fixture *fixture;
    struct replay_wish wish;
    bool abandons, done;
    char id[256];
    json_t *answer;
    enum fh_code code;
    struct fh_error error;
};

static void order_entry(void *argument)
{
    struct ordered *ordered = argument;
    struct event_manager *manager = ordered->fixture->orders.context.events;
    ordered->code =
        ordered->abandons
            ? replay_abandon(manager, ordered->wish.source, &ordered->answer, &ordered->error)
            : replay_begin(manager, &ordered->wish, &ordered->answer, &ordered->error);
    ordered->done = true;
}

static bool order_is_done(void *argument)
{
    return ((struct ordered *)argument)->done;
}

static void wish_for(struct ordered *ordered, struct fixture *fixture, int64_t after)
{
    char sql[96];
    *ordered = (struct ordered){.fixture = fixture};
    snprintf(sql, sizeof sql, "SELECT event_id FROM fh_outbox WHERE position = %lld",
             (long long)after);
    if (after > 0)
        memcpy(ordered->id, service_sql(&fixture->users, sql).text, sizeof ordered->id);
    ordered->wish = (struct replay_wish){.source = "users",
                                         .incarnation = fixture->users.context.store->incarnation,
                                         .id = ordered->id,
                                         .position = after};
}

static enum fh_code carry_out_order(struct ordered *ordered)
{
    harness_run(&ordered->fixture->harness, order_entry, ordered);
    json_decref(ordered->answer);
    return ordered->code;
}

static void replay_after(struct fixture *fixture, int64_t after)
{
    struct ordered ordered;
    wish_for(&ordered, fixture, after);
    if (carry_out_order(&ordered) != FH_OK)
        fail_msg("%s", ordered.error.message);
}

static void expect_refusal(struct ordered *ordered, enum fh_code code, const char *why)
{
    assert_int_equal(carry_out_order(ordered), code);
    if (!strstr(ordered->error.message, why))
        fail_msg("%s", ordered->error.message);
}

static void expect_no_replay(struct fixture *fixture, int64_t after, enum fh_code code,
                             const char *why)
{
    struct ordered ordered;
    wish_for(&ordered, fixture, after);
    expect_refusal(&ordered, code, why);
}

/* ---- what is seen ---- */

/* 1 to `count`, each with its effects. */
static void begin_with(struct fixture *fixture, int count)
{
    publish(fixture, 1, count);
    open_noting(fixture);
    wait_for(&fixture->orders, count, "following");
    expect_effects(fixture, count);
}

static bool is_asking(void *argument)
{
    return ((struct fixture *)argument)->held_count > 0;
}

/* A replay of all, until the handler of this event asks another service, which doesn't answer. */
static void hold_replay_at(struct fixture *fixture, const char *name)
{
    asker = name;
    fixture->products_hold = true;
    replay_after(fixture, 0);
    harness_until(&fixture->harness, is_asking, fixture);
    assert_string_equal(view_of(&fixture->orders).state, "replaying");
}

static int64_t place_of(struct fixture *fixture, const char *source)
{
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT position FROM fh_cursor WHERE source = '%s'", source);
    return service_count(&fixture->orders, sql);
}

/* ---- tests ---- */

static void what_follows_from_events_is_held_back_up_to_where_the_cursor_was(void **state)
{
    struct fixture *fixture = *state;
    begin_with(fixture, 300);
    expect_counted(fixture, 300);
    publish(fixture, 301, 1); /* whether it is applied before the replay or after it */
    replay_after(fixture, 100);
    publish(fixture, 302, 20);
    wait_for(&fixture->orders, 321, "following");
    expect_effects(fixture, 321);
    expect_counted(fixture, 321);
    assert_int_equal(count_of(fixture, "seen WHERE user_id <= 100"), 100);
    assert_int_equal(count_of(fixture, "seen WHERE user_id > 100 AND user_id <= 300"), 400);
    assert_int_equal(count_of(fixture, "seen WHERE user_id > 301"), 20);
    assert_int_equal(place_of(fixture, "users~replay"), 0);
    assert_int_equal(place_of(fixture, "users~back"), 1);
    assert_int_equal(fixture->orders.context.events->subscriptions->level.set_back, 1);
    close_noting(fixture);
}

static void an_event_is_applied_again_in_order(void **state)
{
    struct fixture *fixture = *state;
    begin_with(fixture, 50);
    service_sql(&fixture->orders, "DELETE FROM seen");
    replay_after(fixture, 0);
    wait_for(&fixture->orders, 50, "following");
    expect_seen(&fixture->orders, 1, 50);
    close_noting(fixture);
}

static void with_effects_all_is_done_again(void **state)
{
    struct fixture *fixture = *state;
    struct ordered ordered;
    begin_with(fixture, 30);
    wish_for(&ordered, fixture, 10);
    ordered.wish.reaches_out = true;
    assert_int_equal(carry_out_order(&ordered), FH_OK);
    wait_for(&fixture->orders, 30, "following");
    expect_reached_out(fixture, 50);
    close_noting(fixture);
}

static void a_replay_is_told_with_its_end_and_counts_as_no_lag(void **state)
{
    struct fixture *fixture = *state;
    begin_with(fixture, 300);
    hold_replay_at(fixture, "name 250");
    struct subscription_view view = view_of(&fixture->orders);
    assert_int_equal(view.position, 240);
    assert_int_equal(view.replayed, 300);
    assert_int_equal(view.depth, 0);
    assert_int_equal(view.lag_ms, 0);
    assert_false(view.caught_up);
    assert_string_equal(fixture->orders.context.events->subscriptions->level.incarnation, "");
    json_t *told = event_manager_state(fixture->orders.context.events);
    assert_int_equal(
        number_at(json_array_get(json_object_get(told, "subscriptions"), 0), "replayed"), 300);
    json_decref(told);
    let_products_answer(fixture);
    wait_for(&fixture->orders, 300, "following");
    assert_int_equal(fixture->orders.context.events->subscriptions->level.position, 300);
    close_noting(fixture);
}

static void a_restart_goes_on_with_the_replay(void **state)
{
    struct fixture *fixture = *state;
    begin_with(fixture, 300);
    hold_replay_at(fixture, "name 250");
    assert_int_equal(place_of(fixture, "users"), 240);
    assert_int_equal(place_of(fixture, "users~replay"), 300);
    close_noting(fixture);
    asker = NULL;
    open_noting(fixture);
    wait_for(&fixture->orders, 300, "following");
    publish(fixture, 301, 1);
    wait_for(&fixture->orders, 301, "following");
    expect_effects(fixture, 301);
    assert_int_equal(count_of(fixture, "seen"), 601);
    close_noting(fixture);
}

static void whoever_takes_over_goes_on_with_the_replay(void **state)
{
    struct fixture *fixture = *state;
    begin_with(fixture, 300);
    hold_replay_at(fixture, "name 250");
    harness_run(&fixture->harness, take_over_entry, fixture);
    let_products_answer(fixture);
    wait_for(&fixture->orders, 240, "waiting");
    for (int abandons = 0; abandons < 2; abandons++) {
        struct ordered ordered;
        wish_for(&ordered, fixture, 10);
        ordered.abandons = abandons;
        harness_run(&fixture->harness, order_entry, &ordered);
        assert_int_equal(ordered.code, FH_OK);
        assert_int_equal(fixture->done_seen, 0);
        const json_t *share = first_of(&(struct asked){.answer = ordered.answer}, "shares");
        assert_true(json_is_true(json_object_get(share, "again")));
        assert_non_null(strstr(json_string_at(share, "error"), "this partition"));
        json_decref(ordered.answer);
    }
    close_noting(fixture);
    open_noting(fixture);
    wait_for(&fixture->orders, 300, "following");
    expect_effects(fixture, 300);
    assert_int_equal(count_of(fixture, "seen"), 600);
    close_noting(fixture);
}

static void an_undecided_beginning_is_looked_up(void **state)
{
    struct fixture *fixture = *state;
    begin_with(fixture, 20);
    for (int i = 0; i < 2; i++) {
        struct ordered ordered;
        wish_for(&ordered, fixture, 10);
        undecided_begin(fixture->orders.context.store, 0, 1,
                        i == 0 ? UNDECIDED_DONE : UNDECIDED_NEVER);
        FH_ASSERT(fiber_start(fixture->harness.world->fibers, order_entry, &ordered));
        harness_until(&fixture->harness, undecided_is_held, NULL);
        undecided_end();
        harness_until(&fixture->harness, order_is_done, &ordered);
        json_decref(ordered.answer);
        wait_for(&fixture->orders, 20, "following");
        assert_int_equal(count_of(fixture, "seen"), ordered.code == FH_OK ? 30 + 10 * i : 30);
    }
    expect_effects(fixture, 20);
    close_noting(fixture);
}

static void a_replay_that_is_given_up_goes_on_where_the_cursor_was(void **state)
{
    struct fixture *fixture = *state;
    struct ordered ordered = {.fixture = fixture, .wish.source = "users", .abandons = true};
    begin_with(fixture, 300);
    harness_run(&fixture->harness, order_entry, &ordered);
    assert_int_equal(ordered.code, FH_OK);
    const json_t *share = first_of(&(struct asked){.answer = ordered.answer}, "shares");
    assert_int_equal(json_object_size(share), 1); /* nothing is replayed there */
    json_decref(ordered.answer);
    hold_replay_at(fixture, "name 250");
    ordered = (struct ordered){.fixture = fixture, .wish.source = "users", .abandons = true};
    FH_ASSERT(fiber_start(fixture->harness.world->fibers, order_entry, &ordered));
    let_products_fail(fixture);
    harness_until(&fixture->harness, order_is_done, &ordered);
    assert_int_equal(ordered.code, FH_OK);
    assert_int_equal(
        number_at(first_of(&(struct asked){.answer = ordered.answer}, "shares"), "until"), 300);
    json_decref(ordered.answer);
    assert_int_equal(place_of(fixture, "users"), 300);
    assert_int_equal(place_of(fixture, "users~replay"), 0);
    publish(fixture, 301, 5);
    wait_for(&fixture->orders, 305, "following");
    assert_int_equal(count_of(fixture, "seen WHERE user_id = 260"), 1);
    expect_effects(fixture, 305);
    close_noting(fixture);
}

/* The order comes while the transaction that ends the replay is under way. */
static void giving_up_a_replay_that_ends_first_is_no_failure(void **state)
{
    struct fixture *fixture = *state;
    struct ordered ordered = {.fixture = fixture, .wish.source = "users", .abandons = true};
    begin_with(fixture, 300);
    hold_replay_at(fixture, "name 300");
    FH_ASSERT(fiber_start(fixture->harness.world->fibers, order_entry, &ordered));
    let_products_answer(fixture);
    harness_until(&fixture->harness, order_is_done, &ordered);
    if (ordered.code != FH_OK)
        fail_msg("%s", ordered.error.message);
    const json_t *share = first_of(&(struct asked){.answer = ordered.answer}, "shares");
    assert_int_equal(json_object_size(share), 1); /* nothing is replayed there */
    json_decref(ordered.answer);
    assert_int_equal(place_of(fixture, "users~replay"), 0);
    publish(fixture, 301, 5);
    wait_for(&fixture->orders, 305, "following");
    assert_int_equal(count_of(fixture, "seen"), 605);
    expect_effects(fixture, 305);
    close_noting(fixture);
}

/* Its retry would write over what later events have written. */
static void what_a_replay_has_parked_is_dropped_where_it_is_given_up(void **state)
{
    struct fixture *fixture = *state;
    struct ordered ordered = {.fixture = fixture, .wish.source = "users", .abandons = true};
    int many = 120, all = many + 200;
    for (int i = 0; i < many; i++)
        publish_named(fixture, i < many / 2 ? 7 : 8, "too much");
    publish(fixture, 1001, 200);
    open_noting(fixture);
    wait_for(&fixture->orders, all, "following");
    poison = "too much";
    hold_replay_at(fixture, "name 1190");
    int64_t at = place_of(fixture, "users");
    assert_int_equal(view_of(&fixture->orders).parked_events, many);
    FH_ASSERT(fiber_start(fixture->harness.world->fibers, order_entry, &ordered));
    let_products_fail(fixture);
    harness_until(&fixture->harness, order_is_done, &ordered);
    assert_int_equal(ordered.code, FH_OK);
    const json_t *share = first_of(&(struct asked){.answer = ordered.answer}, "shares");
    assert_int_equal(number_at(share, "until"), all);
    assert_int_equal(number_at(share, "dropped"), many);
    assert_int_equal(number_at(share, "at"), at);
    json_decref(ordered.answer);
    assert_int_equal(view_of(&fixture->orders).parked_events, 0);
    assert_int_equal(count_of(fixture, "fh_parked"), 0);
    close_noting(fixture);
}

static void what_fails_in_a_replay_is_parked_and_its_retry_holds_back_the_same(void **state)
{
    struct fixture *fixture = *state;
    begin_with(fixture, 20);
    poison = "name 5";
    replay_after(fixture, 0);
    wait_for(&fixture->orders, 20, "following");
    assert_int_equal(view_of(&fixture->orders).parked_events, 1);
    publish_named(fixture, 5, "behind it");
    wait_for(&fixture->orders, 21, "following");
    assert_int_equal(view_of(&fixture->orders).parked_events, 2);
    expect_no_replay(fixture, 0, FH_CONFLICT, "are parked (2)");
    expect_effects(fixture, 20);
    poison = NULL;
    struct asked asked = ask(fixture, retry_entry, "5", false);
    assert_int_equal(number_at(asked.answer, "applied"), 2);
    json_decref(asked.answer);
    assert_int_equal(count_of(fixture, "seen WHERE user_id = 5"), 3);
    expect_reached_out(fixture, 21);
    close_noting(fixture);
}

static void a_publisher_that_trims_meanwhile_ends_it_and_nothing_else(void **state)
{
    struct fixture *fixture = *state;
    int count = 6 * SUBSCRIBE_BATCH_MAX;
    begin_with(fixture, count);
    hold_replay_at(fixture, "name 2");
    service_trim(&fixture->users, count - 10);
    let_products_answer(fixture);
    wait_for(&fixture->orders, count, "following");
    publish(fixture, count + 1, 1);
    wait_for(&fixture->orders, count + 1, "following");
    assert_int_equal(place_of(fixture, "users~replay"), 0);
    assert_true(count_of(fixture, "seen") < 2 * count);
    expect_effects(fixture, count + 1);
    expect_no_replay(fixture, 5, FH_INVALID, "`position` must be");
    expect_no_replay(fixture, 0, FH_CONFLICT, "does not have these events any more");
    close_noting(fixture);
}

static void lose_entry(void *argument)
{
    struct fixture *fixture = argument;
    assert_true(subscription_replay_lost(fixture->orders.context.events->subscriptions, "A test"));
}

static char id_there[256];

static void set_cursor_back(fh_work *w)
{
    fh_exec(w, "UPDATE fh_cursor SET position = 120, event_id = :id WHERE source = 'users'",
            json_pack("{s:s}", "id", id_there), NULL);
}

/* What the applier finds when it looks at the cursor may be another replay than the lost one. */
static void a_replay_whose_cursor_was_moved_is_read_on(void **state)
{
    struct fixture *fixture = *state;
    begin_with(fixture, 300);
    hold_replay_at(fixture, "name 250");
    memcpy(id_there,
           service_sql(&fixture->users, "SELECT event_id FROM fh_outbox WHERE position = 120").text,
           sizeof id_there);
    harness_run(&fixture->harness, lose_entry, fixture);
    publish(fixture, 301, 1); /* ends the question that was under way, if one was */
    service_must(&fixture->orders, set_cursor_back);
    let_products_answer(fixture);
    wait_for(&fixture->orders, 301, "following");
    expect_effects(fixture, 301);
    assert_int_equal(count_of(fixture, "seen WHERE user_id = 130"), 3);
    close_noting(fixture);
}

static char was[ID_SIZE];

static void name_ancestor(fh_work *w)
{
    char text[128];
    snprintf(text, sizeof text, "[{\"incarnation\": \"%s\", \"position\": 3000}]", was);
    fh_exec(w, "INSERT INTO fh_meta (name, value) VALUES ('ancestors', :text)",
            json_pack("{s:s}", "text", text), NULL);
}

static void a_publisher_that_is_moved_meanwhile_ends_it_and_is_followed(void **state)
{
    struct fixture *fixture = *state;
    int count = 6 * SUBSCRIBE_BATCH_MAX;
    char *incarnation = fixture->users.context.store->incarnation;
    begin_with(fixture, count);
    hold_replay_at(fixture, "name 2");
    memcpy(was, incarnation, ID_SIZE);
    incarnation[0] ^= 1;
    service_must(&fixture->users, name_ancestor);
    let_products_answer(fixture);
    wait_for(&fixture->orders, count, "following");
    expect_no_replay(fixture, 7, FH_CONFLICT, "moved or restored");
    publish(fixture, count + 1, 1);
    wait_for(&fixture->orders, count + 1, "following");
    expect_effects(fixture, count + 1);
    close_noting(fixture);
}

static void what_can_not_be_is_refused_with_its_reason(void **state)
{
    struct fixture *fixture = *state;
    struct ordered ordered;
    begin_with(fixture, 20);
    wish_for(&ordered, fixture, 3);
    ordered.wish.source = "nobody";
    expect_refusal(&ordered, FH_NOT_FOUND, "orders does not subscribe to nobody.");
    wish_for(&ordered, fixture, 3);
    ordered.wish.id = "";
    expect_refusal(&ordered, FH_INVALID, "`position` must be");
    wish_for(&ordered, fixture, 3);
    ordered.wish.position = INT64_MIN;
    expect_refusal(&ordered, FH_INVALID, "`position` must be");
    wish_for(&ordered, fixture, 3);
    ordered.wish.id = "another";
    expect_refusal(&ordered, FH_CONFLICT, "does not have these events any more");
    wish_for(&ordered, fixture, 3);
    ordered.wish.position = INT64_MAX;
    expect_refusal(&ordered, FH_CONFLICT, "up to 20, none after 9223372036854775807");
    expect_no_replay(fixture, 20, FH_CONFLICT, "nothing to apply again");
    fixture->road = ROAD_DOWN;
    expect_no_replay(fixture, 3, FH_UNAVAILABLE, "can't say whether it has");
    fixture->road = ROAD_GOOD;
    asker = "name 10";
    hold_replay_at(fixture, "name 10");
    expect_no_replay(fixture, 3, FH_CONFLICT, "already, at 0 of 20");
    let_products_answer(fixture);
    wait_for(&fixture->orders, 20, "following");
    assert_int_equal(count_of(fixture, "seen"), 40);
    expect_effects(fixture, 20);
    close_noting(fixture);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_follows_from_events_is_held_back_up_to_where_the_cursor_was),
        TEST(an_event_is_applied_again_in_order),
        TEST(with_effects_all_is_done_again),
        TEST(a_replay_is_told_with_its_end_and_counts_as_no_lag),
        TEST(a_restart_goes_on_with_the_replay),
        TEST(whoever_takes_over_goes_on_with_the_replay),
        TEST(an_undecided_beginning_is_looked_up),
        TEST(a_replay_that_is_given_up_goes_on_where_the_cursor_was),
        TEST(giving_up_a_replay_that_ends_first_is_no_failure),
        TEST(what_a_replay_has_parked_is_dropped_where_it_is_given_up),
        TEST(what_fails_in_a_replay_is_parked_and_its_retry_holds_back_the_same),
        TEST(a_publisher_that_trims_meanwhile_ends_it_and_nothing_else),
        TEST(a_replay_whose_cursor_was_moved_is_read_on),
        TEST(a_publisher_that_is_moved_meanwhile_ends_it_and_is_followed),
        TEST(what_can_not_be_is_refused_with_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
