/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subscription whose events come by a bus that is not HTTP: messages in memory, as a broker keeps
 * them. What puts them there reads the publisher's outbox in the publisher's process. Nothing else
 * differs: each event takes effect once, the cursor is where the bus says, and a place that the bus
 * does not know leads to a resync with the publisher, or stops the subscription.
 */

#include "../support/mirror.h"

#include "base/text.h"
#include "event/bus.h"
#include "event/envelope.h"
#include "event/outbox/reader.h"

#define MESSAGES_MAX 2048

struct message {
    int64_t position;
    char id[ID_SIZE];
    char *envelope;
};

struct broker {
    struct bus bus; /* first: readers are opened by it */
    char incarnation[ID_SIZE];
    struct message messages[MESSAGES_MAX];
    int first, count; /* those before `first` are dropped */
    bool away, over;
    bool repeats;              /* brings what was applied before */
    struct bus_question asked; /* the last one */
    int fetches, readers;
    struct fiber_queue waiting;
};

struct bus_reader {
    struct broker *broker;
    const struct bus_subscriber *subscriber;
};

static struct broker broker;
static int feed_requests; /* of anybody, over HTTP */

/* ---- from the outbox to the broker ---- */

static bool carry(void *context, const struct ledger_event *event)
{
    struct message *message = &broker.messages[broker.count++];
    struct text text;
    (void)context;
    FH_ASSERT(broker.count <= MESSAGES_MAX);
    text_init(&text, TEXT_LENGTH_MAX);
    envelope_write(&text, "products", event, NULL);
    message->position = event->position;
    snprintf(message->id, sizeof message->id, "%s", event->id);
    message->envelope = text_take(&text);
    return true;
}

static void relay_entry(void *argument)
{
    struct fixture *fixture = argument;
    struct event_manager *manager = fixture->products.context.events;
    const struct message *last = broker.count ? &broker.messages[broker.count - 1] : NULL;
    struct outbox_reading reading = {.manager = manager,
                                     .incarnation = broker.incarnation,
                                     .after = last ? last->position : 0,
                                     .id = last ? last->id : "",
                                     .seen_id = "",
                                     .filter.partitions = 1,
                                     .limit = MESSAGES_MAX,
                                     .take = carry};
    outbox_begin(&reading);
    FH_ASSERT(outbox_read(&reading, ERROR_UNHEEDED) == FH_OK && reading.place == PLACE_HERE &&
              reading.next == reading.last);
    snprintf(broker.incarnation, sizeof broker.incarnation, "%s",
             manager->context->store->incarnation);
    fiber_wake_all(&broker.waiting);
}

static void relay(struct fixture *fixture)
{
    harness_run(&fixture->harness, relay_entry, fixture);
}

/* ---- from the broker to the subscription ---- */

static struct bus_reader *broker_open(const struct bus *bus,
                                      const struct bus_subscriber *subscriber)
{
    struct bus_reader *reader = calloc(1, sizeof *reader);
    FH_ASSERT(bus == &broker.bus && reader != NULL);
    *reader = (struct bus_reader){&broker, subscriber};
    broker.readers++;
    return reader;
}

static void cancel_broker_reader(struct bus_reader *reader)
{
    reader->broker->over = true;
    fiber_wake_all(&reader->broker->waiting);
}

static void broker_close(struct bus_reader *reader)
{
    reader->broker->readers--;
    free(reader);
}

/* Whether the broker can't go on from there: why, or NULL. */
static const char *unknown(const struct broker *own, const struct ledger_cursor *after)
{
    if (after->incarnation[0] && strcmp(after->incarnation, own->incarnation) != 0)
        return "The broker carries the events of another store";
    if (own->first > 0 && after->position < own->messages[own->first - 1].position)
        return "The broker has dropped messages that were not read yet";
    return NULL;
}

static int message_after(const struct broker *own, int64_t position)
{
    int i = own->first;
    while (i < own->count && own->messages[i].position <= position && !own->repeats)
        i++;
    return i;
}

static enum bus_verdict bring(const struct broker *own, const struct bus_question *question,
                              struct batch **ret, char why[BUS_WHY_SIZE])
{
    struct fh_error error;
    struct batch *batch = batch_new(&error);
    FH_ASSERT(batch != NULL);
    batch->next = question->after;
    batch->next.epoch = 0;
    struct arena *before = json_arena_set(&batch->arena);
    json_t *envelopes = json_array(), *envelope;
    for (int i = message_after(own, question->after.position);
         i < own->count && json_array_size(envelopes) < (size_t)question->limit; i++) {
        const struct message *message = &own->messages[i];
        FH_ASSERT(json_parse(message->envelope, strlen(message->envelope), &envelope,
                             ERROR_UNHEEDED) == FH_OK);
        json_array_append_new(envelopes, envelope);
        batch->next.position = message->position;
        memcpy(batch->next.event_id, message->id, ID_SIZE);
        memcpy(batch->next.incarnation, own->incarnation, ID_SIZE);
    }
    json_arena_set(before);
    batch->last = own->count ? own->messages[own->count - 1].position : 0;
    if (batch->last < batch->next.position)
        batch->last = batch->next.position; /* the cursor may be ahead of the broker */
    if (batch_take(batch, envelopes, question->after.position, question->limit, &error) == FH_OK) {
        *ret = batch;
        return BUS_BATCH;
    }
    batch_free(batch);
    snprintf(why, BUS_WHY_SIZE, "The broker brings what can't be read: %s", error.message);
    return BUS_UNREADABLE;
}

static enum bus_verdict broker_fetch(struct bus_reader *reader, const struct bus_question *question,
                                     struct batch **ret, char why[BUS_WHY_SIZE])
{
    struct broker *own = reader->broker;
    struct world *world = reader->subscriber->context->world;
    int64_t until_ns = world_in_ms(world, question->wait_s * INT64_C(1000));
    *ret = NULL;
    own->asked = *question;
    own->fetches++;
    while (!own->away && !own->over && !unknown(own, &question->after) &&
           message_after(own, question->after.position) == own->count &&
           world_monotonic_ns(world) < until_ns)
        fiber_wait_until(&own->waiting, world, until_ns);
    const char *no = unknown(own, &question->after);
    if (own->away || own->over)
        snprintf(why, BUS_WHY_SIZE, "The broker is away.");
    else if (no)
        snprintf(why, BUS_WHY_SIZE, "%s", no);
    else
        return bring(own, question, ret, why);
    return own->away || own->over ? BUS_UNREACHABLE : BUS_RESYNC;
}

/* ---- opening and closing ---- */

/* Like search, but nothing can take over a state, and nobody subscribes to removals. */
static const fh_service plain = {
    .name = "search",
    .model = FH_RELATIONAL,
    .subscribes = {{"products", "ItemChanged", item_changed}},
};

static void count_feeds(struct fake_world *fake, struct world_request *asked)
{
    feed_requests += strncmp(asked->path, FEED_PATH, sizeof FEED_PATH - 1) == 0;
    request(fake, asked);
}

static int setup_broker(void **state)
{
    feed_requests = 0;
    broker = (struct broker){.bus = {.open = broker_open,
                                     .fetch = broker_fetch,
                                     .cancel = cancel_broker_reader,
                                     .close = broker_close}};
    setup(state);
    ((struct fixture *)*state)->world.request = count_feeds;
    return 0;
}

static int teardown_broker(void **state)
{
    assert_int_equal(feed_requests, 0);
    for (int i = 0; i < broker.count; i++)
        free(broker.messages[i].envelope);
    return teardown(state);
}

static void open_by_broker(struct fixture *fixture, const fh_service *declaration)
{
    struct service *service = &fixture->search;
    broker.over = false;
    service_open(service, &fixture->harness, &fixture->world.world, declaration);
    service_must(service, make_copies);
    service->context.events = event_manager_new(&service->context);
    service->context.calls = call_manager_new(&service->context);
    service->context.events->bus = &broker.bus;
    harness_run(&fixture->harness, start_manager, service);
    assert_int_equal(service->code, FH_OK);
}

static void close_by_broker(struct fixture *fixture)
{
    close_search(fixture);
    assert_int_equal(broker.readers, 0);
}

static void let_broker_be(bool away)
{
    broker.away = away;
    fiber_wake_all(&broker.waiting);
}

static void expect_cursor(struct fixture *fixture, int64_t position)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM fh_cursor WHERE position = %lld AND event_id = '%s' AND"
             " incarnation = '%s'",
             (long long)position, broker.messages[position - 1].id, broker.incarnation);
    assert_int_equal(service_count(&fixture->search, sql), 1);
}

/* ---- tests ---- */

static void events_are_applied_once_and_the_cursor_is_where_the_bus_says(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 600, "first");
    relay(fixture);
    open_by_broker(fixture, &search);
    wait_for(fixture, "following", 600);
    change(fixture, 301, 400, "second");
    remove_items(fixture, 1, 10);
    relay(fixture);
    expect_same(fixture);
    expect_cursor(fixture, 1010);
    assert_int_equal(view_of(fixture).applied, 1010);
    assert_int_equal(view_of(fixture).depth, 0);
    assert_int_equal(view_of(fixture).last, 1010);
    close_by_broker(fixture);
    assert_true(broker.over); /* so the reader, which waits, is told that the process ends */
    assert_int_equal(fixture->pages, 0);
}

static bool all_is_told(void *argument)
{
    (void)argument;
    return broker.asked.done == 20 && broker.asked.after.position == 20;
}

static void a_restart_reads_on_after_the_cursor_and_reports_what_is_committed(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 20, "first");
    relay(fixture);
    open_by_broker(fixture, &search);
    wait_for(fixture, "following", 20);
    close_by_broker(fixture);
    broker.asked = (struct bus_question){0};
    open_by_broker(fixture, &search);
    harness_until(&fixture->harness, all_is_told, NULL);
    assert_string_equal(broker.asked.after.incarnation, broker.incarnation);
    assert_string_equal(broker.asked.after.event_id, broker.messages[19].id);
    change(fixture, 1, 20, "second");
    relay(fixture);
    expect_same(fixture);
    assert_int_equal(view_of(fixture).applied, 20);
    close_by_broker(fixture);
}

static void a_broker_that_is_away_is_waited_for(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 5, "first");
    relay(fixture);
    open_by_broker(fixture, &search);
    wait_for(fixture, "following", 5);
    let_broker_be(true);
    change(fixture, 1, 5, "second");
    relay(fixture);
    wait_for(fixture, "unreachable", 5);
    assert_string_equal(view_of(fixture).reason, "The broker is away.");
    let_broker_be(false);
    expect_same(fixture);
    close_by_broker(fixture);
}

static void what_was_applied_and_is_brought_again_moves_nothing(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 5, "first");
    relay(fixture);
    open_by_broker(fixture, &search);
    wait_for(fixture, "following", 5);
    broker.repeats = true;
    change(fixture, 1, 5, "second");
    relay(fixture);
    wait_for(fixture, "unreachable", 5);
    assert_non_null(strstr(view_of(fixture).reason, "not in order"));
    broker.repeats = false;
    expect_same(fixture);
    assert_int_equal(view_of(fixture).applied, 10);
    close_by_broker(fixture);
}

static void what_nobody_subscribes_to_is_passed(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 5, "first");
    remove_items(fixture, 1, 5);
    relay(fixture);
    open_by_broker(fixture, &plain);
    wait_for(fixture, "following", 10);
    expect_cursor(fixture, 10);
    assert_int_equal(view_of(fixture).applied, 5);
    close_by_broker(fixture);
}

static bool is_at_rest(void *argument)
{
    const struct fixture *fixture = argument;
    const struct subscription *s = fixture->search.context.events->subscriptions;
    return s->applied_count == 5 && s->for_batches.first;
}

/* Where the first answer has events already, the reader has passed nothing behind them: there is no
 * place of before to which the cursor could be moved. */
static void the_cursor_of_a_source_does_not_go_back(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 5, "first");
    relay(fixture);
    open_by_broker(fixture, &plain);
    fixture->search.context.events->subscriptions->outside = true;
    harness_until(&fixture->harness, is_at_rest, fixture);
    expect_cursor(fixture, 5);
    close_by_broker(fixture);
}

/* The snapshot comes from the publisher, the events that follow it by the bus again. */
static void messages_that_are_gone_are_replaced_by_a_snapshot(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 50, "first");
    relay(fixture);
    open_by_broker(fixture, &search);
    wait_for(fixture, "following", 50);
    close_by_broker(fixture);
    change(fixture, 1, 50, "second");
    remove_items(fixture, 1, 10);
    relay(fixture);
    broker.first = 80;
    open_by_broker(fixture, &search);
    wait_for(fixture, "following", 110);
    expect_same(fixture);
    assert_true(fixture->pages > 0);
    change(fixture, 20, 100, "third");
    relay(fixture);
    expect_same(fixture);
    expect_cursor(fixture, 210);
    close_by_broker(fixture);
}

/* The snapshot is of the store, and the bus later delivers what is already in it. */
static void a_bus_that_has_not_come_as_far_as_the_snapshot_is_waited_for(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 50, "first");
    relay(fixture);
    broker.first = 50;
    change(fixture, 1, 60, "second");
    open_by_broker(fixture, &search);
    wait_for(fixture, "following", 110);
    assert_int_equal(broker.count, 50);
    relay(fixture);
    change(fixture, 1, 60, "third");
    relay(fixture);
    expect_same(fixture);
    expect_cursor(fixture, 170);
    close_by_broker(fixture);
}

static void an_unknown_place_stops_a_subscriber_that_cannot_resync(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 5, "first");
    relay(fixture);
    open_by_broker(fixture, &plain);
    wait_for(fixture, "following", 5);
    snprintf(broker.incarnation, sizeof broker.incarnation, "another");
    fiber_wake_all(&broker.waiting);
    wait_for(fixture, "refused", 5);
    const char *reason = view_of(fixture).reason;
    assert_non_null(strstr(reason, "The broker carries the events of another store, and nothing"));
    assert_non_null(strstr(reason, "ItemChanged (`upsert`, or `covered_by`)."));
    assert_int_equal(service_count(&fixture->search, "SELECT count(*) FROM copy"), 5);
    assert_int_equal(service_count(&fixture->search, "SELECT position FROM fh_cursor"), 5);
    assert_int_equal(fixture->pages, 0);
    close_by_broker(fixture);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_broker, teardown_broker)
    const struct CMUnitTest tests[] = {
        TEST(events_are_applied_once_and_the_cursor_is_where_the_bus_says),
        TEST(a_restart_reads_on_after_the_cursor_and_reports_what_is_committed),
        TEST(a_broker_that_is_away_is_waited_for),
        TEST(what_was_applied_and_is_brought_again_moves_nothing),
        TEST(what_nobody_subscribes_to_is_passed),
        TEST(the_cursor_of_a_source_does_not_go_back),
        TEST(messages_that_are_gone_are_replaced_by_a_snapshot),
        TEST(a_bus_that_has_not_come_as_far_as_the_snapshot_is_waited_for),
        TEST(an_unknown_place_stops_a_subscriber_that_cannot_resync),
    };
    return cmocka_run_group_tests_name("event_bus", tests, NULL, NULL);
}
