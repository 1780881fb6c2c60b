/* SPDX-License-Identifier: Apache-2.0 */
/* Trimming: what nobody needs leaves the outbox, and what somebody needs does not. */

#include "../support/service.h"

#include <stdlib.h>

#include "event/feed/feed.h"
#include "event/manager.h"
#include "event/outbox/subscribers.h"
#include "event/outbox/trim.h"
#include "http/path.h"
#include "work/carried.h"
#include "work/command.h"
#include "work/keys.h"

static const fh_field user_shape[] = {{"id", FH_INT}, {0}};

static const fh_service users = {
    .name = "users",
    .model = FH_RELATIONAL,
    .publishes = {{"UserUpdated", 1, user_shape, .key = "id"}},
};

struct fixture {
    struct harness harness;
    struct service service;
    struct retention retention;
    json_t *expected;
    enum fh_code code;
    struct fh_error error;
};

static struct event_manager *manager_of(struct fixture *fixture)
{
    return fixture->service.context.events;
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    harness_init(&fixture->harness);
    service_open(&fixture->service, &fixture->harness, fixture->harness.world, &users);
    fixture->service.context.events = event_manager_new(&fixture->service.context);
    fixture->service.context.keys = work_keys_new();
    fixture->retention = retention_of(NULL);
    fixture->retention.events_kept_ms = 0;
    *state = fixture;
    return 0;
}

static bool manager_ended(void *argument)
{
    return event_manager_ended(manager_of(argument));
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    event_manager_drain(manager_of(fixture));
    harness_until(&fixture->harness, manager_ended, fixture);
    event_manager_free(manager_of(fixture));
    work_keys_free(fixture->service.context.keys);
    service_close(&fixture->service);
    harness_release(&fixture->harness);
    json_decref(fixture->expected);
    free(fixture);
    return 0;
}

/* ---- what is done ---- */

static int next_id;

static void publish_ten(fh_work *w)
{
    for (int i = 0; i < 10; i++)
        fh_publish(w, "UserUpdated", json_pack("{s:i}", "id", ++next_id));
}

static void publish(struct fixture *fixture, int tens)
{
    for (int i = 0; i < tens; i++)
        service_must(&fixture->service, publish_ten);
}

struct telling {
    struct fixture *fixture;
    const char *name, *incarnation;
    int64_t done, seen, at_ms;
};

static void tell_entry(void *argument)
{
    struct telling *telling = argument;
    struct work_context *context = &telling->fixture->service.context;
    struct store_work *work;
    store_begin(context->store, STORE_WRITE, &work, ERROR_UNHEEDED);
    ledger_subscriber_put(work, telling->name, "0/1", telling->incarnation, telling->done,
                          telling->seen, telling->at_ms, ERROR_UNHEEDED);
    store_commit(work, ERROR_UNHEEDED);
}

static void has_done(struct fixture *fixture, const char *name, int64_t done, int64_t seen)
{
    struct telling telling = {fixture, name, fixture->service.context.store->incarnation,
                              done,    seen, 1};
    harness_run(&fixture->harness, tell_entry, &telling);
}

static void has_done_before_ms(struct fixture *fixture, const char *name, int64_t done, int64_t ms)
{
    struct telling telling = {fixture, name, fixture->service.context.store->incarnation,
                              done,    done, world_wall_ms(fixture->harness.world) - ms};
    harness_run(&fixture->harness, tell_entry, &telling);
}

static void trim_entry(void *argument)
{
    struct fixture *fixture = argument;
    bool more = true;
    while (more)
        fixture->code = event_trim(manager_of(fixture), &fixture->retention, fixture->expected,
                                   &more, &fixture->error);
}

/* The position up to which everything is then gone. */
static int64_t trim(struct fixture *fixture)
{
    harness_run(&fixture->harness, trim_entry, fixture);
    if (fixture->code != FH_OK)
        fail_msg("%s", fixture->error.message);
    int64_t left = service_count(&fixture->service, "SELECT count(*) FROM fh_outbox");
    int64_t last = service_count(&fixture->service, "SELECT position FROM fh_counter");
    assert_int_equal(last - left, manager_of(fixture)->trimmed.position);
    assert_int_equal(last, manager_of(fixture)->trimmed.last);
    return last - left;
}

static void pass_ms(struct fixture *fixture, int64_t ms)
{
    command_clock_ms(&fixture->service.context);
    fixture->service.context.keys->clock_ms += ms;
}

static int64_t expired(struct fixture *fixture)
{
    json_t *state = event_manager_state(manager_of(fixture));
    int64_t count = json_integer_value(json_object_get(state, "expired"));
    json_decref(state);
    return count;
}

static void feed_entry(void *argument)
{
    struct fixture *fixture = argument;
    struct feed_answer answer;
    json_t *query = json_object();
    feed_answer(manager_of(fixture), query, NULL, &answer);
    fixture->code = (enum fh_code)answer.status;
    feed_answer_release(&answer);
    json_decref(query);
}

/* ---- tests ---- */

static void what_all_subscribers_have_committed_is_trimmed_and_no_more(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 3);
    has_done(fixture, "orders", 25, 30);
    has_done(fixture, "search", 12, 30);
    assert_int_equal(trim(fixture), 12);
    has_done(fixture, "search", 30, 30);
    assert_int_equal(trim(fixture), 25);
    assert_int_equal(expired(fixture), 0);
}

static void
a_store_that_is_filled_beside_its_service_holds_events_while_it_is_heard_of(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 3);
    fixture->expected = json_pack("{s:b}", "search", 1);
    has_done(fixture, "search", 25, 30);
    has_done_before_ms(fixture, "orders" SUBSCRIBERS_REBUILD, 3, 0); /* which does not subscribe */
    has_done_before_ms(fixture, "search" SUBSCRIBERS_REBUILD, 8, 1000);
    assert_int_equal(trim(fixture), 8);
    /* The next one begins further back than the one before ended. */
    has_done_before_ms(fixture, "search" SUBSCRIBERS_REBUILD, 20, SUBSCRIBERS_REBUILD_MS - 10000);
    has_done_before_ms(fixture, "search" SUBSCRIBERS_REBUILD, 10, SUBSCRIBERS_REBUILD_MS - 10000);
    assert_int_equal(trim(fixture), 10);
    has_done_before_ms(fixture, "search" SUBSCRIBERS_REBUILD, 12, SUBSCRIBERS_REBUILD_MS + 1000);
    assert_int_equal(trim(fixture), 25);
    assert_int_equal(expired(fixture), 0);
}

static void more_than_a_slice_is_trimmed_at_once(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 2 * TRIM_SLICE / 10 + 1);
    has_done(fixture, "orders", 2 * TRIM_SLICE + 5, 2 * TRIM_SLICE + 10);
    assert_int_equal(trim(fixture), 2 * TRIM_SLICE + 5);
}

static void a_declared_subscriber_that_has_not_read_holds_everything(void **state)
{
    struct fixture *fixture = *state;
    fixture->expected = json_pack("{s:b, s:b}", "orders", 1, "search", 1);
    publish(fixture, 1);
    has_done(fixture, "orders", 10, 10);
    assert_int_equal(trim(fixture), 0);
    has_done(fixture, "search", 4, 4);
    assert_int_equal(trim(fixture), 4);
}

static void a_subscriber_no_longer_declared_holds_nothing(void **state)
{
    struct fixture *fixture = *state;
    fixture->expected = json_pack("{s:b}", "orders", 1);
    publish(fixture, 1);
    has_done(fixture, "orders", 10, 10);
    has_done(fixture, "search", 4, 4);
    assert_int_equal(trim(fixture), 10);
    assert_int_equal(expired(fixture), 0);
}

static void what_another_incarnation_was_sent_counts_for_nothing(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 2);
    struct telling former = {fixture, "search", "0190-another", 3, 3};
    harness_run(&fixture->harness, tell_entry, &former);
    has_done(fixture, "orders", 15, 20);
    assert_int_equal(trim(fixture), 15);
    assert_int_equal(expired(fixture), 0);
}

static void a_dead_subscriber_holds_only_so_many_and_is_expired_then(void **state)
{
    struct fixture *fixture = *state;
    fixture->retention.events_max = 15;
    publish(fixture, 2);
    has_done(fixture, "orders", 20, 20);
    has_done(fixture, "search", 2, 2);
    assert_int_equal(trim(fixture), 5);
    assert_int_equal(trim(fixture), 20); /* it no longer holds anything */
    assert_int_equal(expired(fixture), 1);
    harness_run(&fixture->harness, feed_entry, fixture);
    assert_int_equal(fixture->code, 410);
}

static void a_dead_subscriber_holds_events_only_so_long(void **state)
{
    struct fixture *fixture = *state;
    fixture->retention.events_kept_ms_max = 8000000;
    has_done(fixture, "search", 0, 0);
    publish(fixture, 1);
    assert_int_equal(trim(fixture), 0);
    publish(fixture, 1);
    pass_ms(fixture, 7000000);
    assert_int_equal(trim(fixture), 0);
    pass_ms(fixture, 1000001);
    assert_int_equal(trim(fixture), 10); /* the others were seen 1000 s ago */
    pass_ms(fixture, 7000000);
    assert_int_equal(trim(fixture), 20);
}

static void what_all_have_passed_is_kept_for_a_while(void **state)
{
    struct fixture *fixture = *state;
    fixture->retention.events_kept_ms = 1000000;
    publish(fixture, 1);
    has_done(fixture, "orders", 10, 10);
    assert_int_equal(trim(fixture), 0);
    pass_ms(fixture, 1000001);
    assert_int_equal(trim(fixture), 10);
}

/* Nobody knows how far they are: neither what all services have passed nor a look that comes late
 * says that they have it. */
static void what_is_held_for_readers_outside_stays_for_its_time(void **state)
{
    struct fixture *fixture = *state;
    fixture->retention.outside_kept_ms = 4000000;
    publish(fixture, 1);
    has_done(fixture, "orders", 10, 10);
    assert_int_equal(trim(fixture), 0);
    pass_ms(fixture, 3900000);
    publish(fixture, 1);
    has_done(fixture, "orders", 20, 20);
    assert_int_equal(trim(fixture), 0);
    pass_ms(fixture, 100001);
    assert_int_equal(trim(fixture), 10);
    pass_ms(fixture, 4000000);
    assert_int_equal(trim(fixture), 20);
    assert_int_equal(manager_of(fixture)->trimmed.outside_cut, 0);
    json_t *told = event_manager_state(manager_of(fixture));
    json_int_t kept_ms = 0;
    assert_true(json_integer_at(told, "outside.kept_ms", &kept_ms) && kept_ms == 4000000);
    json_decref(told);
}

static void nothing_is_held_for_readers_outside_unless_it_is_declared(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 1);
    has_done(fixture, "orders", 10, 10);
    assert_int_equal(trim(fixture), 10);
    json_t *told = event_manager_state(manager_of(fixture));
    assert_null(json_at(told, "outside"));
    json_decref(told);
}

static int held_looks;

/* At the first look, and at the first slice's, all is there; then it is not behind position 600. */
static enum fh_code needed_by_keepers(struct work_context *context, struct store_work *work,
                                      int64_t *ret, int64_t *ret_held, struct fh_error *error)
{
    (void)context;
    (void)work;
    (void)error;
    *ret = INT64_MAX;
    *ret_held = ++held_looks <= 2 ? INT64_MAX : 600;
    return FH_OK;
}

static void what_a_server_has_lost_since_the_look_is_not_removed(void **state)
{
    static const struct work_carried carried = {
        .declared = 1, .kept = 1, .needed = needed_by_keepers};
    struct fixture *fixture = *state;
    publish(fixture, 150);
    has_done(fixture, "orders", 1500, 1500);
    held_looks = 0;
    fixture->service.context.carried = &carried;
    int64_t trimmed = trim(fixture);
    fixture->service.context.carried = NULL;
    assert_true(held_looks > 2);
    assert_int_equal(trimmed, 600);
    assert_int_equal(trim(fixture), 1500);
}

static void the_hard_limit_comes_before_readers_outside_and_is_counted(void **state)
{
    struct fixture *fixture = *state;
    fixture->retention.outside_kept_ms = 4000000;
    fixture->retention.events_max = 15;
    publish(fixture, 1);
    has_done(fixture, "orders", 10, 10);
    assert_int_equal(trim(fixture), 0);
    publish(fixture, 2);
    assert_int_equal(trim(fixture), 15);
    assert_int_equal(manager_of(fixture)->trimmed.outside_cut, 15);
    assert_true(manager_of(fixture)->trimmed.outside_cuts);
    assert_int_equal(trim(fixture), 15); /* once each */
    assert_int_equal(manager_of(fixture)->trimmed.outside_cut, 15);
    assert_false(manager_of(fixture)->trimmed.outside_cuts);
    pass_ms(fixture, 600000);
    assert_int_equal(trim(fixture), 15);
    pass_ms(fixture, 4000001);
    assert_int_equal(trim(fixture), 30); /* orders has expired, and their time is over */
    assert_int_equal(manager_of(fixture)->trimmed.outside_cut, 15);
}

static void marks_of_ages_stay_few(void **state)
{
    struct fixture *fixture = *state;
    fixture->retention.events_kept_ms = 1000000;
    for (int i = 0; i < 40; i++) {
        publish(fixture, 1);
        trim(fixture);
        pass_ms(fixture, 77000);
    }
    int64_t length = service_count(&fixture->service,
                                   "SELECT length(value) FROM fh_meta WHERE name = 'age_kept'");
    assert_true(length > 0 && length < AGE_MARKS_MAX * 24);
    int64_t trimmed = trim(fixture);
    assert_true(trimmed >= 400 - 10 * (1000 / 77 + 1000 / 8 / 77 + 3) && trimmed <= 400 - 120);
}

static int refused_commits;
static const struct store_ops *kind_ops;

static enum fh_code commit_refused(struct store_work *work, struct fh_error *error)
{
    if (refused_commits == 0)
        return kind_ops->commit(work, error);
    refused_commits--;
    kind_ops->rollback(work);
    return error_set(error, FH_UNAVAILABLE, "The server is gone.");
}

static bool is_recorded(void *argument)
{
    struct fixture *fixture = argument;
    return !manager_of(fixture)->recording;
}

/* It tells nothing new with its next long polls, so no later report would bring it. */
static void what_could_not_be_stored_of_a_subscriber_is_stored_later(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->service.context.store;
    publish(fixture, 1);
    kind_ops = store->ops;
    struct store_ops refusing = *kind_ops;
    refusing.commit = commit_refused;
    store->ops = &refusing;
    refused_commits = 1;
    subscribers_told(manager_of(fixture), "orders", "0/1", 10, 10);
    harness_until(&fixture->harness, is_recorded, fixture);
    store->ops = kind_ops;
    assert_int_equal(refused_commits, 0);
    assert_int_equal(service_count(&fixture->service, "SELECT max(done) FROM fh_subscriber"), 10);
    assert_int_equal(trim(fixture), 10);
    assert_int_equal(expired(fixture), 0);
}

/* The same, where no fiber was left for storing it when it reported something new. */
static void what_found_no_fiber_of_a_subscriber_is_stored_later(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 1);
    manager_of(fixture)->recording = true; /* so no fiber is started */
    subscribers_told(manager_of(fixture), "orders", "0/1", 10, 10);
    manager_of(fixture)->recording = false;
    subscribers_told(manager_of(fixture), "orders", "0/1", 10, 10);
    harness_until(&fixture->harness, is_recorded, fixture);
    assert_int_equal(service_count(&fixture->service, "SELECT max(done) FROM fh_subscriber"), 10);
}

/* A slice of an embedded store takes a millisecond, however large it is. */
static int64_t removed_after(int64_t published_each, int slices, struct trim_pace *pace,
                             int64_t *ret_rested_ns)
{
    int64_t published = 0;
    *pace = (struct trim_pace){.limit = TRIM_SLICE_MIN};
    *ret_rested_ns = 0;
    for (int i = 0; i < slices; i++) {
        published += published_each;
        *ret_rested_ns += event_trim_pace(pace, pace->limit, 1000000, published);
    }
    return pace->removed - published;
}

static void trimming_rests_as_long_as_it_keeps_ahead_of_what_is_published(void **state)
{
    struct trim_pace pace;
    int64_t rested_ns;
    (void)state;
    assert_true(removed_after(0, 100, &pace, &rested_ns) > 0);
    assert_int_equal(pace.limit, TRIM_SLICE_MIN);
    assert_int_equal(rested_ns, INT64_C(100) * TRIM_REST * 1000000);
    assert_true(removed_after(TRIM_SLICE / 2, 100, &pace, &rested_ns) > 0);
    assert_true(rested_ns > INT64_C(90) * TRIM_REST * 1000000);
    assert_true(removed_after(TRIM_SLICE - TRIM_SLICE / 4, 100, &pace, &rested_ns) > 0);
    /* More than it can: no rests any more, and it does what it can. */
    removed_after(2 * TRIM_SLICE, 100, &pace, &rested_ns);
    assert_true(pace.removed > INT64_C(95) * TRIM_SLICE);
    assert_true(rested_ns < INT64_C(5) * TRIM_REST * 1000000);
    /* The store has stalled for minutes: that is no reason to stay away from it for twice as long.
     */
    int64_t minutes_ns = INT64_C(300) * 1000000000, look_ns = TRIM_LOOK_MS * INT64_C(1000000);
    pace = (struct trim_pace){.limit = TRIM_SLICE_MIN};
    assert_int_equal(event_trim_pace(&pace, TRIM_SLICE_MIN, minutes_ns, 1000000), look_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(what_all_subscribers_have_committed_is_trimmed_and_no_more),
        CASE(a_store_that_is_filled_beside_its_service_holds_events_while_it_is_heard_of),
        CASE(more_than_a_slice_is_trimmed_at_once),
        CASE(a_declared_subscriber_that_has_not_read_holds_everything),
        CASE(a_subscriber_no_longer_declared_holds_nothing),
        CASE(what_another_incarnation_was_sent_counts_for_nothing),
        CASE(a_dead_subscriber_holds_only_so_many_and_is_expired_then),
        CASE(a_dead_subscriber_holds_events_only_so_long),
        CASE(what_all_have_passed_is_kept_for_a_while),
        CASE(what_is_held_for_readers_outside_stays_for_its_time),
        CASE(nothing_is_held_for_readers_outside_unless_it_is_declared),
        CASE(what_a_server_has_lost_since_the_look_is_not_removed),
        CASE(the_hard_limit_comes_before_readers_outside_and_is_counted),
        CASE(marks_of_ages_stay_few),
        CASE(what_could_not_be_stored_of_a_subscriber_is_stored_later),
        CASE(trimming_rests_as_long_as_it_keeps_ahead_of_what_is_published),
        CASE(what_found_no_fiber_of_a_subscriber_is_stored_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
