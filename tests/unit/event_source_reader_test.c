/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits for a source's next message, and has to stop: the process drains, or another one takes
 * the partition. By a broker in memory, of which nothing comes until it is given. */

#include "../support/harness.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "event/manager.h"
#include "event/source/parts.h"

#define LONG_S 3600

/* ---- A broker ---- */

static struct standing {
    struct broker broker;
    struct broker_consumer consumer;
    struct fiber_queue waiting;
    bool fails;      /* nobody may attach */
    int takes, open; /* that wait; consumers that are open */
    const char *message;
} standing;

static enum fh_code connect_standing(struct world *world, const json_t *options,
                                     int64_t deadline_ns, struct broker **ret,
                                     struct fh_error *error)
{
    (void)options;
    (void)deadline_ns;
    (void)error;
    standing.broker.world = world;
    *ret = &standing.broker;
    return FH_OK;
}

static void close_standing(struct broker *broker)
{
    (void)broker;
}

static enum fh_code attach_standing(struct broker *broker, const char *topic, unsigned partition,
                                    int64_t from, int64_t deadline_ns,
                                    struct broker_extent *ret_extent, struct broker_consumer **ret,
                                    struct fh_error *error)
{
    (void)topic;
    (void)partition;
    (void)from;
    (void)deadline_ns;
    if (standing.fails)
        return error_set(error, FH_UNAVAILABLE, "Nobody may attach.");
    *ret_extent = (struct broker_extent){.partitions = 1, .identity = "one"};
    standing.consumer = (struct broker_consumer){.broker = broker};
    standing.open++;
    *ret = &standing.consumer;
    return FH_OK;
}

static enum fh_code take_standing(struct broker_consumer *consumer, struct broker_message *messages,
                                  int max, int64_t deadline_ns, int *ret_count,
                                  struct fh_error *error)
{
    (void)max;
    (void)error;
    *ret_count = 0;
    standing.takes++;
    while (!standing.message && !consumer->cancelled &&
           fiber_wait_until(&standing.waiting, consumer->broker->world, deadline_ns))
        ;
    standing.takes--;
    if (!standing.message)
        return FH_OK;
    *messages = (struct broker_message){
        .data = standing.message, .length = strlen(standing.message), .offset = 0};
    standing.message = NULL;
    *ret_count = 1;
    return FH_OK;
}

static void wake_standing(struct broker_consumer *consumer)
{
    (void)consumer;
    fiber_wake_all(&standing.waiting);
}

static void unconsume_standing(struct broker_consumer *consumer)
{
    (void)consumer;
    standing.open--;
}

static enum fh_code declare_nothing(struct broker *broker, const struct broker_topic *topic,
                                    int64_t deadline_ns, struct fh_error *error)
{
    (void)broker;
    (void)topic;
    (void)deadline_ns;
    return error_set(error, FH_UNSUPPORTED, "It has sources alone.");
}

static enum fh_code publish_nothing(struct broker *broker, const struct broker_topic *topic,
                                    const struct broker_message *messages, int count,
                                    int64_t deadline_ns, struct fh_error *error)
{
    (void)messages;
    (void)count;
    return declare_nothing(broker, topic, deadline_ns, error);
}

static enum fh_code consume_nothing(struct broker *broker, const struct broker_topic *topic,
                                    const char *name, unsigned index, unsigned of,
                                    int64_t deadline_ns, struct broker_consumer **ret,
                                    struct fh_error *error)
{
    (void)name;
    (void)index;
    (void)of;
    (void)ret;
    return declare_nothing(broker, topic, deadline_ns, error);
}

static void acknowledge_nothing(struct broker_consumer *consumer, uint64_t mark)
{
    (void)consumer;
    (void)mark;
}

static enum fh_code check_nothing(const json_t *options, struct fh_error *error)
{
    (void)options;
    (void)error;
    return FH_OK;
}

static const char *no_header(const struct broker_message *message, const char *name,
                             size_t *ret_length)
{
    (void)message;
    (void)name;
    (void)ret_length;
    return NULL;
}

static const struct broker_driver driver = {.name = "standing",
                                            .title = "Standing",
                                            .check = check_nothing,
                                            .connect = connect_standing,
                                            .close = close_standing,
                                            .declare = declare_nothing,
                                            .publish = publish_nothing,
                                            .consume = consume_nothing,
                                            .take = take_standing,
                                            .wake = wake_standing,
                                            .acknowledge = acknowledge_nothing,
                                            .unconsume = unconsume_standing,
                                            .attach = attach_standing,
                                            .header = no_header,
                                            .attributes = "ce_"};

/* ---- A reader of it ---- */

static const struct fh_subscription subscription = {.service = "legacy", .type = "Sold"};
static const struct fh_subscription *const subscribed[] = {&subscription};
static const fh_service service = {.name = "shop"};

struct reading {
    struct harness harness;
    struct work_context context;
    struct event_manager *manager;
    struct bus_subscriber subscriber;
    const struct bus *bus;
    struct bus_reader *reader;
    json_t *options;
    /* What came of a fetch. */
    bool fetched;
    int events;
    enum bus_verdict verdict;
    char why[BUS_WHY_SIZE];
    int64_t began_ns, took_ns;
};

static int set_up_reading(void **state)
{
    struct reading *reading = calloc(1, sizeof *reading);
    struct fh_error error;
    standing = (struct standing){.broker.driver = &driver};
    harness_init(&reading->harness);
    reading->context = (struct work_context){.world = reading->harness.world, .service = &service};
    reading->manager = event_manager_new(&reading->context);
    reading->options = json_pack("{s:s, s:{s:s, s:s}}", "driver", "standing", "source", "topic",
                                 "sales", "type", "Sold");
    FH_ASSERT(source_add(reading->manager, "legacy", reading->options, &error) == FH_OK);
    reading->subscriber = (struct bus_subscriber){.context = &reading->context,
                                                  .source = "legacy",
                                                  .partition = "0/1",
                                                  .subscribed = subscribed,
                                                  .subscribed_count = 1};
    reading->bus = source_bus(reading->manager, "legacy");
    reading->reader = reading->bus->open(reading->bus, &reading->subscriber);
    *state = reading;
    return 0;
}

static int tear_down_reading(void **state)
{
    struct reading *reading = *state;
    reading->bus->close(reading->reader);
    assert_int_equal(standing.open, 0);
    event_manager_free(reading->manager);
    harness_release(&reading->harness);
    json_decref(reading->options);
    free(reading);
    return 0;
}

static void fetch_entry(void *argument)
{
    struct reading *reading = argument;
    const struct bus_question question = {.limit = 10, .wait_s = LONG_S};
    struct batch *batch = NULL;
    reading->began_ns = world_monotonic_ns(reading->harness.world);
    reading->verdict = reading->bus->fetch(reading->reader, &question, &batch, reading->why);
    reading->took_ns = world_monotonic_ns(reading->harness.world) - reading->began_ns;
    reading->fetched = true;
    reading->events = batch ? batch->count : 0;
    if (batch)
        batch_free(batch);
}

static void await_waiting(struct reading *reading)
{
    while (!standing.takes)
        fiber_sleep_until(reading->harness.world, world_in_ms(reading->harness.world, 1));
}

static void cancel_entry(void *argument)
{
    struct reading *reading = argument;
    await_waiting(reading);
    reading->bus->cancel(reading->reader);
}

static void give_entry(void *argument)
{
    await_waiting(argument);
    standing.message = "{\"cents\": 5}";
    fiber_wake_all(&standing.waiting);
}

static void drain_entry(void *argument)
{
    struct reading *reading = argument;
    await_waiting(reading);
    reading->manager->draining = true;
    reading->bus->cancel(reading->reader);
}

struct both {
    struct reading *reading;
    void (*entry)(void *);
};

static void both_entry(void *argument)
{
    const struct both *both = argument;
    both->entry(both->reading);
}

static void fetch_and(struct reading *reading, void (*other)(void *))
{
    struct both fetching = {reading, fetch_entry}, beside = {reading, other};
    void *arguments[] = {&fetching, &beside};
    reading->fetched = false;
    harness_run_all(&reading->harness, both_entry, arguments, other ? 2 : 1);
    assert_true(reading->fetched);
}

/* ---- Cases ---- */

static void a_message_ends_the_wait(void **state)
{
    struct reading *reading = *state;
    fetch_and(reading, give_entry);
    assert_int_equal(reading->verdict, BUS_BATCH);
    assert_int_equal(reading->events, 1);
}

/* The broker looks again each second; who is cancelled waits for none of that, nor for an hour. */
static void who_is_cancelled_waits_no_longer(void **state)
{
    struct reading *reading = *state;
    fetch_and(reading, cancel_entry);
    assert_int_equal(reading->verdict, BUS_UNREACHABLE);
    assert_string_equal(reading->why, "It is not read here any more.");
    assert_true(standing.consumer.cancelled);
}

static void who_was_cancelled_before_it_had_a_consumer_waits_for_nothing(void **state)
{
    struct reading *reading = *state;
    reading->bus->cancel(reading->reader);
    fetch_and(reading, NULL);
    assert_int_equal(reading->verdict, BUS_UNREACHABLE);
    assert_string_equal(reading->why, "It is not read here any more.");
}

static void one_that_could_not_attach_is_cancelled_all_the_same(void **state)
{
    struct reading *reading = *state;
    standing.fails = true;
    fetch_and(reading, NULL);
    assert_int_equal(reading->verdict, BUS_UNREACHABLE);
    assert_string_equal(reading->why, "Nobody may attach.");
    reading->bus->cancel(reading->reader);
    standing.fails = false;
    fetch_and(reading, NULL);
    assert_string_equal(reading->why, "It is not read here any more.");
}

static void a_process_that_drains_waits_for_no_message(void **state)
{
    struct reading *reading = *state;
    fetch_and(reading, drain_entry);
    assert_int_equal(reading->verdict, BUS_UNREACHABLE);
}

int main(void)
{
#define READING_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_reading, tear_down_reading)
    static const struct CMUnitTest tests[] = {
        READING_TEST(a_message_ends_the_wait),
        READING_TEST(who_is_cancelled_waits_no_longer),
        READING_TEST(who_was_cancelled_before_it_had_a_consumer_waits_for_nothing),
        READING_TEST(one_that_could_not_attach_is_cancelled_all_the_same),
        READING_TEST(a_process_that_drains_waits_for_no_message),
    };
    broker_register(&driver);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
