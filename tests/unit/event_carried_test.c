/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subscription whose events come by a broker: each takes effect once, whatever the broker loses,
 * repeats, delays or makes up, since the publisher's feed has what is missing. Real stores, and a
 * broker in memory that does what it is told to do.
 */

#include "../support/mirror.h"

#include "event/carried/bus.h"
#include "event/carried/message.h"
#include "event/chain.h"
#include "event/relay/relay.h"
#include "event/subscribe/batch.h"
#include "simulate/broker.h"

#define TOPIC "test-products"

static json_t *options;

static struct event_manager *publisher_of(struct fixture *fixture)
{
    return fixture->products.context.events;
}

static void start_entry(void *argument)
{
    relay_start(argument);
}

static void start_relay(struct fixture *fixture)
{
    if (!publisher_of(fixture)->relay)
        FH_ASSERT(relay_new(publisher_of(fixture), "test", options, ERROR_UNHEEDED) == FH_OK);
    harness_run(&fixture->harness, start_entry, publisher_of(fixture));
}

static int setup_carried(void **state)
{
    simulate_broker_begin();
    setup(state);
    options = json_pack("{s:s}", "driver", SIMULATE_BROKER);
    start_relay(*state);
    return 0;
}

static int teardown_carried(void **state)
{
    int result = teardown(state);
    simulate_broker_end();
    json_decref(options);
    return result;
}

static void open_by_bus(struct fixture *fixture, const fh_service *declaration)
{
    struct service *service = &fixture->search;
    service_open(service, &fixture->harness, &fixture->world.world, declaration);
    service_must(service, make_copies);
    service->context.events = event_manager_new(&service->context);
    service->context.calls = call_manager_new(&service->context);
    FH_ASSERT(carried_add(service->context.events, "test", "products", options, ERROR_UNHEEDED) ==
              FH_OK);
    harness_run(&fixture->harness, start_manager, service);
    assert_int_equal(service->code, FH_OK);
}

static uint64_t carried(struct fixture *fixture)
{
    return fixture->search.context.events->counters.carried;
}

struct pause {
    struct world *world;
    int64_t until_ns;
};

static bool is_over(void *argument)
{
    const struct pause *pause = argument;
    return world_monotonic_ns(pause->world) >= pause->until_ns;
}

static void rest(struct fixture *fixture)
{
    struct world *world = fixture->harness.world;
    struct pause pause = {world, world_in_ms(world, 10)};
    harness_until(&fixture->harness, is_over, &pause);
}

/* Changes until more of them come by the broker: it may have to be connected, or to catch up. */
static void await_more(struct fixture *fixture, uint64_t came)
{
    for (int i = 0; i < 1000 && carried(fixture) <= came; i++) {
        change(fixture, 1, 1, "once more");
        expect_same(fixture);
        rest(fixture);
    }
    assert_true(carried(fixture) > came);
}

static void await_the_bus(struct fixture *fixture)
{
    await_more(fixture, carried(fixture));
}

/* ---- tests ---- */

static void events_come_by_the_broker_and_the_feed_is_hardly_asked(void **state)
{
    struct fixture *fixture = *state;
    open_by_bus(fixture, &search);
    await_the_bus(fixture);
    uint64_t came = carried(fixture);
    for (int i = 0; i < 50; i++) {
        change(fixture, 1 + i, 20, "changed");
        expect_same(fixture);
    }
    assert_true(carried(fixture) > came + 500); /* the feed is asked now and then all the same */
    assert_int_equal(view_of(fixture).depth, 0);
    close_search(fixture);
    assert_true(simulate_broker_counts()->woken > 0); /* what waited for messages */
    assert_int_equal(fixture->pages, 0);
}

static void work_with(struct fixture *fixture, const struct simulate_broker_faults *faults)
{
    open_by_bus(fixture, &search);
    await_the_bus(fixture);
    *simulate_broker_faults() = *faults;
    for (int i = 0; i < 20; i++) {
        change(fixture, 1 + i % 7, 10, i % 2 ? "odd" : "even");
        if (i % 5 == 0)
            remove_items(fixture, 3, 4);
        if (i % 10 == 0)
            expect_same(fixture);
    }
    expect_same(fixture);
    assert_int_equal(view_of(fixture).failures, 0);
    close_search(fixture);
    assert_int_equal(fixture->pages, 0);
}

static void what_is_lost_comes_from_the_feed(void **state)
{
    work_with(*state, &(struct simulate_broker_faults){.lost = 300000});
    assert_true(simulate_broker_counts()->lost > 0);
}

static void lost_tails_are_found_in_silence(void **state)
{
    work_with(*state, &(struct simulate_broker_faults){.lost = 1000000});
}

static void repeated_overtaken_and_late_messages_move_nothing_back(void **state)
{
    work_with(*state, &(struct simulate_broker_faults){
                          .doubled = 300000, .overtaken = 300000, .late = 100000});
    assert_true(simulate_broker_counts()->doubled > 0);
    assert_true(simulate_broker_counts()->overtaken > 0);
}

static void refused_and_unanswered_batches_are_published_again(void **state)
{
    work_with(*state, &(struct simulate_broker_faults){.refused = 500000});
    assert_true(simulate_broker_counts()->refused > 0);
}

static void events_go_on_without_the_broker(void **state)
{
    struct fixture *fixture = *state;
    int64_t now_ns = world_monotonic_ns(fixture->harness.world);
    simulate_broker_faults()->away_until_ns = now_ns + 1500 * INT64_C(1000000);
    open_by_bus(fixture, &search);
    change(fixture, 1, 20, "first");
    expect_same(fixture);
    assert_int_equal(carried(fixture), 0);
    await_the_bus(fixture);
    simulate_broker_faults()->away_until_ns = INT64_MAX;
    change(fixture, 1, 20, "second");
    expect_same(fixture);
    json_t *state_of = carried_state(fixture->search.context.events);
    assert_string_equal(json_string_at(json_array_get(state_of, 0), "bus"), "Memory");
    assert_string_equal(json_string_at(json_array_get(state_of, 0), "reason"),
                        "The broker is away.");
    json_decref(state_of);
    simulate_broker_faults()->away_until_ns = 0;
    close_search(fixture);
}

static void a_broker_that_has_forgotten_everything_is_begun_with_anew(void **state)
{
    struct fixture *fixture = *state;
    open_by_bus(fixture, &search);
    await_the_bus(fixture);
    simulate_broker_wipe();
    change(fixture, 1, 20, "second");
    expect_same(fixture);
    uint64_t came = carried(fixture);
    await_more(fixture, came);
    close_search(fixture);
}

static void a_restart_goes_on_from_its_cursor(void **state)
{
    struct fixture *fixture = *state;
    open_by_bus(fixture, &search);
    await_the_bus(fixture);
    close_search(fixture);
    start_relay(fixture); /* closing ends what waits at the publisher */
    change(fixture, 1, 30, "meanwhile");
    open_by_bus(fixture, &search);
    expect_same(fixture);
    await_the_bus(fixture);
    close_search(fixture);
}

static void renew_entry(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    FH_ASSERT(store_begin(fixture->products.context.store, STORE_WRITE, &work, ERROR_UNHEEDED) ==
              FH_OK);
    FH_ASSERT(ledger_incarnation_renew(work, true, ERROR_UNHEEDED) == FH_OK);
    FH_ASSERT(store_commit(work, ERROR_UNHEEDED) == FH_OK);
}

/* What its former life has left at the broker comes later than what it does now. */
static void a_restored_publisher_is_followed_where_its_feed_goes_on(void **state)
{
    struct fixture *fixture = *state;
    open_by_bus(fixture, &search);
    await_the_bus(fixture);
    close_search(fixture);
    start_relay(fixture);
    simulate_broker_faults()->late = 1000000;
    change(fixture, 1, 30, "first");
    rest(fixture);
    harness_run(&fixture->harness, renew_entry, fixture);
    close_products(fixture);
    open_products(fixture);
    start_relay(fixture);
    simulate_broker_faults()->late = 0;
    open_by_bus(fixture, &search);
    change(fixture, 1, 30, "second");
    expect_same(fixture);
    await_the_bus(fixture);
    expect_same(fixture);
    assert_int_equal(
        service_count(&fixture->search, "SELECT count(DISTINCT incarnation) FROM fh_cursor"), 1);
    assert_string_equal(service_sql(&fixture->search, "SELECT incarnation FROM fh_cursor").text,
                        fixture->products.context.store->incarnation);
    close_search(fixture);
    assert_int_equal(fixture->pages, 0);
}

/* What nobody published, with as much truth in it as somebody could know. */
static void forge(const char *source, const char *incarnation, int64_t position, const char *chain,
                  const char *rest)
{
    char text[2048];
    snprintf(text, sizeof text,
             "{\"specversion\":\"1.0\",\"id\":\"forged-%lld\",\"source\":\"%s\",\"type\":"
             "\"ItemRemoved\",\"subject\":\"1\",\"position\":%lld,\"incarnation\":\"%s\","
             "\"chain\":\"%s\"%s}",
             (long long)position, source, (long long)position, incarnation, chain, rest);
    simulate_broker_forge(TOPIC, 0, text);
}

static void what_is_damaged_or_of_others_moves_nothing(void **state)
{
    static const char data[] = ",\"data\":{\"id\":1}";
    struct fixture *fixture = *state;
    char own[320];
    open_by_bus(fixture, &search);
    await_the_bus(fixture);
    const char *incarnation = fixture->products.context.store->incarnation;
    int64_t at = view_of(fixture).position;
    struct service_sql sql = service_sql(&fixture->search, "SELECT event_id FROM fh_cursor");
    snprintf(own, sizeof own, "1:%lld,%s", (long long)at, sql.text);
    simulate_broker_forge(TOPIC, 0, "");
    simulate_broker_forge(TOPIC, 1, "[1, 2");
    simulate_broker_forge(TOPIC, 2, "{\"position\": 9}");
    forge("/others", incarnation, at + 1, own, data);
    forge("/products", "another", at + 1, own, data);
    rest(fixture);
    assert_int_equal(view_of(fixture).position, at);
    forge("/products", "", at + 1, own, data);
    forge("/products", incarnation, at + 1, own, "");
    forge("/products", incarnation, at + 1, own, ",\"data\":7");
    forge("/products", incarnation, -1, own, data);
    forge("/products", incarnation, at, own, data);
    forge("/products", incarnation, at + 1, "", data);
    forge("/products", incarnation, at + 1, "2:1,x", data);
    forge("/products", incarnation, at + 1, "1:1,x 1:2,y", data);
    forge("/products", incarnation, at + 2, "1:99999999999999999999,x", data);
    forge("/products", incarnation, at + 3, "1:0,", data);
    forge("/products", incarnation, INT64_MAX, "1:5,x", data);
    forge("/products", incarnation, at + 5, own, ",\"dataref\":\"x\",\"data\":{}");
    for (int i = 0; i < 20; i++) {
        change(fixture, 1, 10, "second");
        expect_same(fixture);
    }
    assert_int_equal(view_of(fixture).parked_keys, 0);
    close_search(fixture);
    assert_int_equal(fixture->pages, 0);
}

static void what_is_too_large_for_the_broker_comes_from_the_feed(void **state)
{
    struct fixture *fixture = *state;
    char *name = malloc(1045000);
    memset(name, 'x', 1044999);
    name[1044999] = '\0';
    open_by_bus(fixture, &search);
    await_the_bus(fixture);
    change(fixture, 1, 2, name);
    change(fixture, 3, 5, "small");
    expect_same(fixture);
    close_search(fixture);
    free(name);
}

/* ---- lost places ---- */

static void what_was_trimmed_is_replaced_by_a_snapshot(void **state)
{
    struct fixture *fixture = *state;
    open_by_bus(fixture, &search);
    await_the_bus(fixture);
    close_search(fixture);
    start_relay(fixture);
    change(fixture, 1, 50, "second");
    remove_items(fixture, 1, 10);
    trim(fixture);
    open_by_bus(fixture, &search);
    expect_same(fixture);
    assert_true(fixture->pages > 0);
    await_the_bus(fixture);
    close_search(fixture);
}

/* Like search, but nothing can take over a state. */
static const fh_service plain = {
    .name = "search",
    .model = FH_RELATIONAL,
    .subscribes = {{"products", "ItemChanged", item_changed}},
};

static void an_unknown_place_stops_a_subscriber_that_cannot_resync(void **state)
{
    struct fixture *fixture = *state;
    open_by_bus(fixture, &plain);
    await_the_bus(fixture);
    close_search(fixture);
    start_relay(fixture);
    change(fixture, 1, 50, "second");
    trim(fixture);
    open_by_bus(fixture, &plain);
    wait_for(fixture, "refused", -1);
    change(fixture, 1, 5, "third"); /* which comes by the bus */
    rest(fixture);
    wait_for(fixture, "refused", -1);
    close_search(fixture);
    assert_int_equal(fixture->pages, 0);
}

/* ---- what handlers get ---- */

static char got[64];
static bool got_extensions;

static void note_changed(fh_work *w)
{
    char *text = json_text(fh_event_data(w));
    snprintf(got, sizeof got, "%s", text);
    json_text_free(text);
    got_extensions = json_object_get(fh_event(w), "chain") ||
                     json_object_get(fh_event(w), "incarnation") ||
                     !json_equal(json_object_get(fh_event(w), "data"), fh_event_data(w));
    fh_exec(w, "INSERT INTO copy (id, name, changes) VALUES (:id, '', 1) ON CONFLICT DO NOTHING",
            fh_event_data(w), NULL);
}

static const fh_service narrow = {
    .name = "search",
    .model = FH_RELATIONAL,
    .subscribes = {{"products", "ItemChanged", note_changed, .fields = "id,changes"}},
};

static void handlers_get_the_fields_and_types_that_they_declare(void **state)
{
    struct fixture *fixture = *state;
    open_by_bus(fixture, &narrow);
    wait_for(fixture, "following", -1);
    for (int i = 0; i < 1000 && carried(fixture) < 10; i++) {
        rest(fixture);
        change(fixture, 7, 1, "x");
        remove_items(fixture, 7, 1);
        wait_for(fixture, "following", LAST);
        assert_string_equal(got, "{\"id\":7,\"changes\":1}");
        assert_false(got_extensions);
    }
    assert_true(carried(fixture) >= 10);
    close_search(fixture);
}

#define SHELVED 200

/* A shelf of events that follow each other, whose batch has hardly any memory left. */
static void fill_shelf(struct shelf *shelf)
{
    struct arena *arena = &shelf->batch->arena;
    for (int i = 0; i < SHELVED; i++) {
        struct carried_message *message = &shelf->messages[shelf->count++];
        *message =
            (struct carried_message){.place.position = i + 1,
                                     .follows.position = i,
                                     .wanted = true,
                                     .event = {.position = i + 1,
                                               .id = "1",
                                               .type = "ItemChanged",
                                               .key = "1",
                                               .said = {.envelope = {"{}", 2}, .data = {"{}", 2}}}};
    }
    while (arena->end - arena->next > 1024)
        arena_try_alloc(arena, 16);
    arena->size_max = arena->size;
}

static void without_memory_no_event_is_passed_over(void **state)
{
    (void)state;
    struct shelf shelf = {.messages = calloc(SHELVED, sizeof *shelf.messages),
                          .capacity = SHELVED,
                          .batch = batch_new(ERROR_UNHEEDED)};
    struct carried_place place = {0};
    fill_shelf(&shelf);
    assert_int_equal(shelf_look(&shelf, &place), SHELF_READY);
    assert_null(shelf_take(&shelf, &place, SHELVED));
    assert_int_equal(place.own.position, 0);
    assert_int_equal(place.at.position, 0);
    assert_int_equal(shelf_look(&shelf, &place), SHELF_EMPTY); /* the feed has them all */
    shelf_release(&shelf);
}

/* ---- texts and values ---- */

static const struct work_context narrow_context = {.service = &narrow};
static const struct fh_subscription *narrow_subscribed[] = {&narrow.subscribes[0]};
static const struct bus_subscriber narrow_subscriber = {.context = &narrow_context,
                                                        .source = "products",
                                                        .partition = "0/1",
                                                        .subscribed = narrow_subscribed,
                                                        .subscribed_count = 1};

/* As a relay would write it, but for the key and the data. */
static enum carried_verdict put(struct shelf *shelf, const struct carried_place *place,
                                int position, const char *key, const char *data)
{
    struct text text;
    int64_t known;
    text_init(&text, TEXT_LENGTH_MAX);
    text_printf(&text,
                "{\"specversion\":\"1.0\",\"id\":\"e%d\",\"source\":\"/products\",\"type\":"
                "\"ItemChanged\",\"subject\":%s,\"position\":%d,\"version\":1,\"incarnation\":"
                "\"life\",\"chain\":\"1:%d,",
                position, key, position, position - 1);
    if (position > 1)
        text_printf(&text, "e%d", position - 1);
    text_add(&text, "\",\"data\":");
    text_add(&text, data);
    text_add(&text, "}");
    struct broker_message message = {.data = text.data, .length = text.length};
    enum carried_verdict verdict = shelf_put(shelf, place, &message, &known);
    text_release(&text);
    return verdict;
}

static void expect_event(const struct batch_event *event, int position, const char *key, bool tree)
{
    json_t *data = work_event_data(&event->said), *envelope = work_event_envelope(&event->said);
    char *text = json_text(data), wanted[64];
    snprintf(wanted, sizeof wanted, "{\"id\":%d,\"changes\":2}", position);
    assert_string_equal(text, wanted);
    assert_int_equal(event->position, position);
    assert_string_equal(event->key, key);
    assert_int_equal(event->said.tree != NULL, tree);
    assert_null(json_object_get(envelope, "chain"));
    assert_null(json_object_get(envelope, "incarnation"));
    assert_true(json_equal(json_object_get(envelope, "data"), data));
    assert_string_equal(json_string_at(envelope, "subject"), key);
    json_text_free(text);
    json_decref(data);
    json_decref(envelope);
}

static void what_is_left_is_the_same_whether_it_is_a_text_or_values(void **state)
{
    struct shelf shelf = {.subscriber = &narrow_subscriber, .of = 1};
    struct carried_place place = {.at.incarnation = "life"};
    (void)state;
    assert_int_equal(put(&shelf, &place, 1, "\"1\"", "{\"id\":1,\"name\":\"x\",\"changes\":2}"),
                     CARRIED_KEPT);
    assert_int_equal(
        put(&shelf, &place, 2, "\"a\\\"b\"", "{\"id\":2,\"name\":\"x\",\"changes\":2}"),
        CARRIED_KEPT);
    assert_int_equal(put(&shelf, &place, 3, "\"3\"", " { \"id\" : 3 , \"x\":[{}], \"changes\":2 }"),
                     CARRIED_KEPT);
    for (int from = 1; from <= 3; from++) {
        struct batch *batch = shelf_take(&shelf, &place, 1);
        assert_non_null(batch);
        assert_int_equal(batch->count, 1);
        expect_event(&batch->events[0], from,
                     from == 2   ? "a\"b"
                     : from == 1 ? "1"
                                 : "3",
                     from == 2);
        batch_free(batch);
    }
    assert_int_equal(place.at.position, 3);
    assert_string_equal(place.own.id, "e3");
    shelf_release(&shelf);
}

/* As many as a batch may leave to be made are left; the arena has a bound for those that are. */
static void a_text_of_too_many_values_is_read_as_values(void **state)
{
    struct shelf shelf = {.subscriber = &narrow_subscriber, .of = 1};
    struct carried_place place = {.at.incarnation = "life"};
    struct text data;
    (void)state;
    text_init(&data, TEXT_LENGTH_MAX);
    text_add(&data, "{\"id\":[[]");
    for (size_t i = 0; i < BATCH_VALUES_MAX * 2 / 3; i++)
        text_add(&data, ",[]");
    text_add(&data, "]}");
    assert_int_equal(put(&shelf, &place, 1, "\"1\"", data.data), CARRIED_KEPT);
    assert_int_equal(put(&shelf, &place, 2, "\"2\"", data.data), CARRIED_KEPT);
    struct batch *batch = shelf_take(&shelf, &place, 2);
    assert_non_null(batch);
    assert_int_equal(batch->count, 2);
    assert_null(batch->events[0].said.tree);
    assert_non_null(batch->events[1].said.tree);
    batch_free(batch);
    text_release(&data);
    shelf_release(&shelf);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_carried, teardown_carried)
    const struct CMUnitTest tests[] = {
        TEST(events_come_by_the_broker_and_the_feed_is_hardly_asked),
        TEST(what_is_lost_comes_from_the_feed),
        TEST(lost_tails_are_found_in_silence),
        TEST(repeated_overtaken_and_late_messages_move_nothing_back),
        TEST(refused_and_unanswered_batches_are_published_again),
        TEST(events_go_on_without_the_broker),
        TEST(a_broker_that_has_forgotten_everything_is_begun_with_anew),
        TEST(a_restart_goes_on_from_its_cursor),
        TEST(a_restored_publisher_is_followed_where_its_feed_goes_on),
        TEST(what_is_damaged_or_of_others_moves_nothing),
        TEST(what_is_too_large_for_the_broker_comes_from_the_feed),
        TEST(what_was_trimmed_is_replaced_by_a_snapshot),
        TEST(an_unknown_place_stops_a_subscriber_that_cannot_resync),
        TEST(handlers_get_the_fields_and_types_that_they_declare),
        cmocka_unit_test(without_memory_no_event_is_passed_over),
        cmocka_unit_test(what_is_left_is_the_same_whether_it_is_a_text_or_values),
        cmocka_unit_test(a_text_of_too_many_values_is_read_as_values),
    };
    return cmocka_run_group_tests_name("event_carried", tests, NULL, NULL);
}
