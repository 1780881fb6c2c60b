/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay, from a real store to a broker in memory: what it publishes, in which order, with what
 * each message says it follows; and that neither a failing broker nor a new beginning ever claims
 * too little.
 */

#include "../support/mirror.h"

#include "event/chain.h"
#include "event/envelope.h"
#include "event/outbox/trim.h"
#include "event/relay/held.h"
#include "event/relay/relay.h"
#include "simulate/broker.h"
#include "work/command.h"
#include "work/command_key.h"

#define TOPIC "test-products"

static json_t *options;

static int setup_relay(void **state)
{
    simulate_broker_begin();
    setup(state);
    options = json_pack("{s:s}", "driver", SIMULATE_BROKER);
    return 0;
}

static int teardown_relay(void **state)
{
    struct fixture *fixture = *state;
    work_keys_free(fixture->products.context.keys);
    int result = teardown(state);
    simulate_broker_end();
    json_decref(options);
    return result;
}

static struct event_manager *manager_of(struct fixture *fixture)
{
    return fixture->products.context.events;
}

static void start_entry(void *argument)
{
    relay_start(argument);
}

static void start_relay(struct fixture *fixture)
{
    FH_ASSERT(relay_new(manager_of(fixture), "test", options, ERROR_UNHEEDED) == FH_OK);
    harness_run(&fixture->harness, start_entry, manager_of(fixture));
}

/* As after a death: what it had in memory is gone. */
static void restart_products(struct fixture *fixture)
{
    close_products(fixture);
    open_products(fixture);
    start_relay(fixture);
}

static bool has_relayed_all(void *argument)
{
    struct relay_view view;
    const struct event_manager *manager = argument;
    relay_view(manager, &view);
    return view.position == manager->position && manager->position > 0;
}

static void await_relayed(struct fixture *fixture)
{
    harness_until(&fixture->harness, has_relayed_all, manager_of(fixture));
}

static bool row_is_stored(void *argument)
{
    struct fixture *fixture = argument;
    return !manager_of(fixture)->recording;
}

/* ---- what was published ---- */

struct seen {
    int count, references, highest;
    int64_t positions[2048], first_follows;
    struct chain_place last[4][8]; /* of 1, 2, 4, 8 partitions */
    bool begun;
    const char *wrong;
};

static void look_at_chain(struct seen *seen, const char *chain, const char *key, int64_t position,
                          const char *id)
{
    for (unsigned level = 0, n = 1; n <= 8; level++, n *= 2) {
        struct chain_place follows, *last = &seen->last[level][envelope_partition(key, n)];
        if (!chain_read(chain, n, &follows)) {
            seen->wrong = "its chain can't be read";
            return;
        }
        if (last->position > 0 || seen->begun) {
            if (!chain_place_is(&follows, last->position, last->id))
                seen->wrong = "it does not follow the last one of its partition";
        }
        if (seen->count == 0)
            seen->first_follows = follows.position;
        last->position = position;
        snprintf(last->id, ID_SIZE, "%s", id);
    }
}

static void see(void *context, const char *topic, const struct broker_message *message)
{
    struct seen *seen = context;
    json_t *envelope = NULL;
    json_int_t position = 0;
    FH_ASSERT(json_parse(message->data, message->length, &envelope, ERROR_UNHEEDED) == FH_OK);
    const char *key = json_string_at(envelope, "subject");
    json_integer_at(envelope, "position", &position);
    if (strcmp(topic, TOPIC) != 0 || message->partition != envelope_partition(key, 8) ||
        strcmp(json_string_at(envelope, "source"), "/products") != 0 ||
        strcmp(json_string_at(envelope, "id"), message->id) != 0)
        seen->wrong = "it is not where it belongs";
    look_at_chain(seen, json_string_at(envelope, "chain"), key, position, message->id);
    seen->references += json_object_get(envelope, "dataref") != NULL;
    if (!json_object_get(envelope, "dataref") == !json_object_get(envelope, "data"))
        seen->wrong = "it has neither data nor a reference, or both";
    seen->positions[seen->count++] = position;
    json_decref(envelope);
}

static struct seen see_all(bool from_the_beginning)
{
    struct seen seen = {.begun = from_the_beginning};
    simulate_broker_visit(see, &seen);
    if (seen.wrong)
        fail_msg("%s", seen.wrong);
    return seen;
}

static void expect_all_in_order(const struct seen *seen, int count)
{
    assert_int_equal(seen->count, count);
    for (int i = 0; i < count; i++)
        assert_int_equal(seen->positions[i], i + 1);
}

/* ---- tests ---- */

static void everything_is_published_in_order_with_what_it_follows(void **state)
{
    struct fixture *fixture = *state;
    start_relay(fixture);
    change(fixture, 1, 600, "first");
    change(fixture, 301, 200, "second");
    await_relayed(fixture);
    change(fixture, 1, 1200, "third"); /* three batches: each is read while another is published */
    await_relayed(fixture);
    struct seen seen = see_all(true);
    expect_all_in_order(&seen, 2000);
    assert_int_equal(seen.first_follows, 0);
}

static bool has_failed(void *argument)
{
    struct relay_view view;
    relay_view(argument, &view);
    return view.failures > 0;
}

static void a_batch_is_published_again_until_all_of_it_is_acknowledged(void **state)
{
    struct fixture *fixture = *state;
    struct relay_view view;
    start_relay(fixture);
    simulate_broker_faults()->refused = 1000000;
    change(fixture, 1, 50, "first");
    harness_until(&fixture->harness, has_failed, manager_of(fixture));
    relay_view(manager_of(fixture), &view);
    assert_int_equal(view.position, 0);
    assert_int_equal(view.depth, 50);
    assert_false(view.connected);
    assert_string_equal(view.reason, "The broker refused a message.");
    change(fixture, 1, 50, "second"); /* it holds up nobody */
    simulate_broker_faults()->refused = 0;
    await_relayed(fixture);
    relay_view(manager_of(fixture), &view);
    assert_true(view.connected);
    assert_int_equal(view.depth, 0);
    struct seen seen = see_all(true);
    expect_all_in_order(&seen, 100);
}

static void what_happened_before_there_was_a_relay_is_left_to_the_feed(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 20, "first");
    start_relay(fixture);
    await_relayed(fixture);
    assert_int_equal(see_all(false).count, 0);
    change(fixture, 1, 5, "second");
    await_relayed(fixture);
    struct seen seen = see_all(false);
    assert_int_equal(seen.count, 5);
    assert_int_equal(seen.first_follows, 20);
}

static void a_new_beginning_claims_its_place_and_no_less(void **state)
{
    struct fixture *fixture = *state;
    start_relay(fixture);
    change(fixture, 1, 20, "first");
    await_relayed(fixture);
    harness_until(&fixture->harness, row_is_stored, fixture);
    int64_t row = service_count(&fixture->products,
                                "SELECT done FROM fh_subscriber WHERE name = 'freehold.relay'");
    assert_true(row >= 0 && row <= 20);
    restart_products(fixture);
    change(fixture, 1, 30, "second");
    await_relayed(fixture);
    simulate_broker_wipe();
    restart_products(fixture);
    row = service_count(&fixture->products,
                        "SELECT done FROM fh_subscriber WHERE name = 'freehold.relay'");
    change(fixture, 1, 30, "third");
    await_relayed(fixture);
    struct seen seen = see_all(false);
    assert_int_equal(seen.first_follows, row);
    assert_int_equal(seen.positions[seen.count - 1], 80);
    assert_int_equal(seen.count, 80 - row);
}

static void what_is_too_large_travels_without_its_data(void **state)
{
    struct fixture *fixture = *state;
    char *name = malloc(1045000);
    memset(name, 'x', 1044999);
    name[1044999] = '\0';
    start_relay(fixture);
    change(fixture, 1, 3, name);
    change(fixture, 4, 1, "small");
    await_relayed(fixture);
    struct seen seen = see_all(true);
    expect_all_in_order(&seen, 4);
    assert_int_equal(seen.references, 3);
    free(name);
}

struct trimming {
    struct fixture *fixture;
    enum fh_code code;
};

static void event_trim_entry(void *argument)
{
    struct trimming *trimming = argument;
    const struct retention all = {
        .events_kept_ms = 0, .events_kept_ms_max = INT64_C(1) << 40, .events_max = 100000};
    json_t *nobody = json_object();
    struct work_context *context = &trimming->fixture->products.context;
    if (!context->keys)
        context->keys = work_keys_new();
    FH_ASSERT(command_clock_start(context, ERROR_UNHEEDED) == FH_OK);
    bool more = true;
    while (more)
        trimming->code = event_trim(manager_of(trimming->fixture), &all, nobody, &more,
                                    &trimming->fixture->products.error);
    json_decref(nobody);
}

static int64_t trim_all(struct fixture *fixture)
{
    struct trimming trimming = {.fixture = fixture};
    harness_run(&fixture->harness, event_trim_entry, &trimming);
    assert_int_equal(trimming.code, FH_OK);
    return manager_of(fixture)->trimmed.position;
}

static bool has_told(void *argument)
{
    struct fixture *fixture = argument;
    return !manager_of(fixture)->recording && manager_of(fixture)->recorded_ns > 0;
}

static void trimming_waits_for_the_relay(void **state)
{
    struct fixture *fixture = *state;
    start_relay(fixture);
    harness_until(&fixture->harness, has_told, fixture); /* that it is at 0 */
    simulate_broker_faults()->refused = 1000000;
    change(fixture, 1, 20, "first");
    harness_until(&fixture->harness, has_failed, manager_of(fixture));
    assert_int_equal(trim_all(fixture), 0);
    simulate_broker_faults()->refused = 0;
    await_relayed(fixture);
    harness_until(&fixture->harness, row_is_stored, fixture);
    trim_all(fixture); /* ages are known from the second look on */
    assert_int_equal(trim_all(fixture), 20);
    work_keys_free(fixture->products.context.keys);
    close_products(fixture);
    open_products(fixture);
    change(fixture, 1, 20, "second"); /* there is no relay any more */
    trim_all(fixture);
    assert_int_equal(trim_all(fixture), 40);
}

/* ---- what is held for readers outside ---- */

#define HELD_KEPT_NS INT64_C(8000000000)

static void more_than_a_topic_has_room_for_within_the_time_is_told(void **state)
{
    (void)state;
    struct relay_held held = {.kept_ns = HELD_KEPT_NS, .bytes_max = 100}, none = {.bytes_max = 1};
    for (int s = 0; s < 40; s++) /* 96 bytes within the time */
        assert_false(relay_held_published(&held, 12, s * INT64_C(1000000000)));
    assert_true(relay_held_published(&held, 60, INT64_C(40000000000)));
    assert_false(relay_held_published(&held, 60, INT64_C(40000000001))); /* known already */
    assert_true(relay_held_overflows(&held, INT64_C(41000000000)));
    assert_false(relay_held_overflows(&held, INT64_C(40000000001) + HELD_KEPT_NS));
    assert_false(relay_held_published(&held, 1, INT64_C(40000000001) + HELD_KEPT_NS));
    assert_true(relay_held_published(&held, 101, INT64_C(41000000000) + HELD_KEPT_NS));
    assert_false(relay_held_published(&none, 1000, 1));
}

static void a_topic_that_can_not_hold_what_is_declared_is_told_of_its_publisher(void **state)
{
    struct fixture *fixture = *state;
    struct relay_view view;
    json_object_set_new(options, "outside_kept_s", json_integer(3600));
    json_object_set_new(options, "keep_bytes", json_integer(1000));
    start_relay(fixture);
    change(fixture, 1, 1, "one");
    await_relayed(fixture);
    relay_view(manager_of(fixture), &view);
    assert_int_equal(view.outside_kept_s, 3600);
    assert_false(view.outside_overflows);
    change(fixture, 1, 50, "many");
    await_relayed(fixture);
    relay_view(manager_of(fixture), &view);
    assert_true(view.outside_overflows);
    json_t *told = event_manager_relay(manager_of(fixture));
    assert_true(json_is_true(json_at(told, "outside_overflows")));
    json_decref(told);
}

/* ---- a reading that fails ---- */

static const struct store_ops *real_ops;
static struct store_ops failing_ops;
static int reads_until_failure; /* negative: it has failed, or is not to */

static enum fh_code begin_or_fail(struct store *store, enum store_mode mode,
                                  struct store_work **ret, struct fh_error *error)
{
    if (mode == STORE_READ && reads_until_failure >= 0 && reads_until_failure-- == 0)
        return error_set(error, FH_UNAVAILABLE, "The server is gone.");
    return real_ops->begin(store, mode, ret, error);
}

static void note_position(void *context, const char *topic, const struct broker_message *message)
{
    bool *published = context;
    json_t *envelope = NULL;
    json_int_t position = 0;
    (void)topic;
    FH_ASSERT(json_parse(message->data, message->length, &envelope, ERROR_UNHEEDED) == FH_OK);
    json_integer_at(envelope, "position", &position);
    published[position] = true;
    json_decref(envelope);
}

/* Whichever it is, of a batch that is waited for or of one that is read ahead of another. */
static void nothing_is_left_out_where_the_store_fails_a_reading(void **state)
{
    enum { EACH = 1100, TIMES = 6 };
    struct fixture *fixture = *state;
    struct store *store = fixture->products.context.store;
    static bool published[EACH * TIMES + 1];
    real_ops = store->ops;
    failing_ops = *real_ops;
    failing_ops.begin = begin_or_fail;
    store->ops = &failing_ops;
    reads_until_failure = -1;
    start_relay(fixture);
    for (int i = 0; i < TIMES; i++) {
        simulate_broker_faults()->refused = 1000000;
        change(fixture, 1, EACH, "more");
        reads_until_failure = i;
        harness_until(&fixture->harness, has_failed, manager_of(fixture));
        simulate_broker_faults()->refused = 0;
        await_relayed(fixture);
    }
    store->ops = real_ops;
    memset(published, 0, sizeof published);
    simulate_broker_visit(note_position, published);
    for (int i = 1; i <= EACH * TIMES; i++)
        assert_true(published[i]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_relay, teardown_relay)
    const struct CMUnitTest tests[] = {
        TEST(everything_is_published_in_order_with_what_it_follows),
        TEST(a_batch_is_published_again_until_all_of_it_is_acknowledged),
        TEST(what_happened_before_there_was_a_relay_is_left_to_the_feed),
        TEST(a_new_beginning_claims_its_place_and_no_less),
        TEST(what_is_too_large_travels_without_its_data),
        TEST(trimming_waits_for_the_relay),
        TEST(more_than_a_topic_has_room_for_within_the_time_is_told),
        TEST(a_topic_that_can_not_hold_what_is_declared_is_told_of_its_publisher),
        TEST(nothing_is_left_out_where_the_store_fails_a_reading),
    };
    return cmocka_run_group_tests_name("event_relay", tests, NULL, NULL);
}
