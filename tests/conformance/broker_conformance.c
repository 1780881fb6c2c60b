/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each driver of a broker owes (broker/broker.h), on every one that is built in. What the
 * cases need of a server besides its driver is its bed (broker_bed.h).
 */

#include <stdlib.h>

#include "broker_trial.h"

static struct taken taken;

static void what_is_published_is_taken_in_the_order_of_each_partition(struct trial *t)
{
    struct broker_consumer *consumer;
    taken.count = 0;
    EXPECT_OK(trial_consume(t, "all", 0, 1, &consumer, &t->error));
    EXPECT_OK(trial_publish_numbers(t, 0, 1000, &t->error));
    trial_take_numbers(t, consumer, &taken, 1000);
    EXPECT(taken.different == 1000 && taken.count == 1000 && taken.ordered && taken.in_place);
    EXPECT(trial_nothing_comes(t, consumer));
    t->driver->unconsume(consumer);
}

static void a_consumer_has_its_partitions_alone(struct trial *t)
{
    struct broker_consumer *half, *one;
    taken.count = 0;
    EXPECT_OK(trial_consume(t, "half", 1, 2, &half, &t->error));
    EXPECT_OK(trial_consume(t, "one", 3, PARTITIONS, &one, &t->error));
    EXPECT_OK(trial_publish_numbers(t, 0, 800, &t->error));
    trial_take_numbers(t, half, &taken, 400);
    EXPECT(taken.count == 400 && taken.ordered && taken.in_place);
    for (int i = 0; i < 800; i++)
        EXPECT(taken.times[i] == i % 2);
    taken.count = 0;
    trial_take_numbers(t, one, &taken, 100);
    EXPECT(taken.count == 100 && taken.ordered && taken.times[3] == 1 && taken.times[795] == 1);
    EXPECT(trial_nothing_comes(t, half) && trial_nothing_comes(t, one));
    t->driver->unconsume(half);
    t->driver->unconsume(one);
}

static void a_hundred_thousand_messages_come_once_each(struct trial *t)
{
    struct broker_consumer *consumer;
    taken.count = 0;
    EXPECT_OK(trial_consume(t, "many", 0, 1, &consumer, &t->error));
    EXPECT_OK(trial_publish_numbers(t, 0, MANY, &t->error));
    while (taken.different < MANY) {
        int before = taken.different;
        trial_take_numbers(t, consumer, &taken, before + 5000 < MANY ? before + 5000 : MANY);
        EXPECT(taken.different > before);
        t->driver->acknowledge(consumer, taken.mark);
    }
    EXPECT(taken.count == MANY && taken.ordered && taken.in_place);
    t->driver->unconsume(consumer);
}

static void messages_come_unchanged_up_to_the_largest(struct trial *t)
{
    static const size_t sizes[] = {1, 100, 65536, BROKER_MESSAGE_SIZE_MAX};
    struct broker_consumer *consumer;
    char *data = malloc(BROKER_MESSAGE_SIZE_MAX + 1);
    EXPECT_OK(trial_consume(t, "sizes", 0, 1, &consumer, &t->error));
    for (size_t i = 0; i < BROKER_MESSAGE_SIZE_MAX + 1; i++)
        data[i] = (char)(i * 7 + i / 251); /* every byte there is, NUL and line ends too */
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char id[8];
        int count = 0;
        snprintf(id, sizeof id, "%zu", i);
        struct broker_message sent = {.data = data, .length = sizes[i], .id = id}, got = {0};
        EXPECT_OK(t->driver->publish(t->broker, &t->topic, &sent, 1, trial_soon(t), &t->error));
        EXPECT_OK(t->driver->take(consumer, &got, 1, trial_soon(t), &count, &t->error));
        EXPECT(count == 1 && got.length == sizes[i] && memcmp(got.data, data, sizes[i]) == 0);
    }
    struct broker_message large = {.data = data, .length = BROKER_MESSAGE_SIZE_MAX + 1, .id = "x"};
    EXPECT(t->driver->publish(t->broker, &t->topic, &large, 1, trial_soon(t), &t->error) ==
           FH_INVALID);
    t->driver->unconsume(consumer);
    free(data);
}

static void a_consumer_begins_with_what_is_published_after_it_was_opened(struct trial *t)
{
    struct broker_consumer *consumer;
    taken.count = 0;
    EXPECT_OK(trial_publish_numbers(t, 0, 10, &t->error));
    EXPECT_OK(trial_consume(t, "late", 0, 1, &consumer, &t->error));
    EXPECT_OK(trial_publish_numbers(t, 10, 20, &t->error));
    trial_take_numbers(t, consumer, &taken, 10);
    EXPECT(taken.count == 10 && taken.times[9] == 0 && taken.times[10] == 1);
    t->driver->unconsume(consumer);
}

static void the_next_consumer_of_a_name_gets_what_was_not_acknowledged(struct trial *t)
{
    struct broker_consumer *consumer;
    taken.count = 0;
    t->take_max = 50;
    EXPECT_OK(trial_consume(t, "again", 0, 2, &consumer, &t->error));
    EXPECT_OK(trial_publish_numbers(t, 0, 400, &t->error));
    trial_take_numbers(t, consumer, &taken, 100);
    t->driver->acknowledge(consumer, taken.mark);
    trial_take_numbers(t, consumer, &taken, 200);
    t->driver->unconsume(consumer);
    EXPECT_OK(trial_publish_numbers(t, 400, 500, &t->error)); /* while nobody consumes */
    EXPECT_OK(trial_consume(t, "again", 0, 2, &consumer, &t->error));
    int first = taken.different;
    taken.mark = 0;
    trial_take_numbers(t, consumer, &taken, 250);
    EXPECT(first == 200 && taken.different == 250);
    EXPECT(taken.count > 250 && taken.count <= 350); /* again from the acknowledged one on */
    t->driver->unconsume(consumer);
}

static void consumers_of_two_names_get_everything_each(struct trial *t)
{
    struct broker_consumer *one, *other;
    EXPECT_OK(trial_consume(t, "one", 0, 1, &one, &t->error));
    EXPECT_OK(trial_consume(t, "other", 0, 1, &other, &t->error));
    EXPECT_OK(trial_publish_numbers(t, 0, 100, &t->error));
    taken.count = 0;
    trial_take_numbers(t, one, &taken, 100);
    EXPECT(taken.count == 100);
    t->driver->acknowledge(one, taken.mark);
    taken.count = 0;
    trial_take_numbers(t, other, &taken, 100);
    EXPECT(taken.count == 100);
    t->driver->unconsume(one);
    t->driver->unconsume(other);
}

/* As after a takeover, when the one before still believes that it is the owner. */
static void a_second_consumer_of_one_name_gets_what_comes_after(struct trial *t)
{
    struct broker_consumer *former, *present;
    EXPECT_OK(trial_consume(t, "owner", 0, 1, &former, &t->error));
    EXPECT_OK(trial_publish_numbers(t, 0, 10, &t->error));
    taken.count = 0;
    trial_take_numbers(t, former, &taken, 10);
    EXPECT_OK(trial_consume(t, "owner", 0, 1, &present, &t->error));
    taken.count = 0;
    EXPECT_OK(trial_publish_numbers(t, 10, 20, &t->error));
    trial_take_numbers(t, present, &taken, 20);
    if (taken.different < 20) { /* as a subscription does with a consumer by which nothing comes */
        printf("# the consumer that took over got nothing, and is opened again\n");
        t->driver->unconsume(present);
        EXPECT_OK(trial_consume(t, "owner", 0, 1, &present, &t->error));
        taken.mark = 0;
        trial_take_numbers(t, present, &taken, 20);
    }
    EXPECT(taken.different == 20);
    t->driver->acknowledge(former, UINT64_MAX); /* harmless */
    t->driver->unconsume(former);
    EXPECT_OK(trial_publish_numbers(t, 20, 30, &t->error));
    trial_take_numbers(t, present, &taken, 30);
    EXPECT(taken.different == 30);
    t->driver->unconsume(present);
}

static void a_topic_is_declared_again_but_not_with_other_partitions(struct trial *t)
{
    struct broker_topic other = {t->topic.name, 2 * PARTITIONS};
    EXPECT_OK(t->driver->declare(t->broker, &t->topic, trial_soon(t), &t->error));
    EXPECT(t->driver->declare(t->broker, &other, trial_soon(t), &t->error) == FH_CONFLICT);
    EXPECT(strstr(t->error.message, t->topic.name) != NULL);
}

static void what_no_topic_takes_is_not_acknowledged(struct trial *t)
{
    struct broker_topic declared = t->topic;
    char name[80];
    snprintf(name, sizeof name, "%s-undeclared", t->topic.name);
    for (int i = 0; i < 20; i++) {
        t->topic.name = name;
        enum fh_code code = trial_publish(t, 0, "1", "lost", &t->error);
        t->topic = declared;
        EXPECT(code != FH_OK && t->error.message[0]);
        EXPECT_OK(
            trial_publish_numbers(t, 10 * i, 10 * i + 10, &t->error)); /* the next one is well */
    }
}

static void a_deadline_ends_a_take(struct trial *t)
{
    struct broker_consumer *consumer;
    EXPECT_OK(trial_consume(t, "idle", 0, 1, &consumer, &t->error));
    int64_t began_ns = world_monotonic_ns(t->harness.world);
    EXPECT(trial_nothing_comes(t, consumer));
    EXPECT(world_monotonic_ns(t->harness.world) - began_ns >= QUIET_MS * INT64_C(1000000));
    t->driver->unconsume(consumer);
}

struct waiting {
    struct trial *t;
    unsigned index;
    bool waits;
    int count;
};

static void wait_on_fiber(void *argument)
{
    struct waiting *waiting = argument;
    struct trial *t = waiting->t;
    struct broker_consumer *consumer;
    struct broker_message message;
    char name[16];
    snprintf(name, sizeof name, "w%u", waiting->index);
    EXPECT_OK(trial_consume(t, name, waiting->index, PARTITIONS, &consumer, &t->error));
    waiting->waits = true;
    EXPECT_OK(t->driver->take(consumer, &message, 1, trial_soon(t), &waiting->count, &t->error));
    t->driver->unconsume(consumer);
}

static bool all_wait_or_fail(const struct waiting *waiting)
{
    for (unsigned i = 0; i < PARTITIONS; i++) {
        if (!waiting[i].waits && !waiting[i].t->wrong[0])
            return false;
    }
    return true;
}

static void many_wait_at_once_and_the_loop_goes_on(struct trial *t)
{
    static struct waiting waiting[PARTITIONS];
    for (unsigned i = 0; i < PARTITIONS; i++) {
        waiting[i] = (struct waiting){.t = t, .index = i};
        EXPECT(fiber_start(t->harness.world->fibers, wait_on_fiber, &waiting[i]));
    }
    while (!all_wait_or_fail(waiting)) /* it turns: other fibers run */
        fiber_sleep_until(t->harness.world, world_in_ms(t->harness.world, 5));
    EXPECT_OK(trial_publish_numbers(t, 0, PARTITIONS, &t->error));
    for (unsigned i = 0; i < PARTITIONS; i++) {
        while (waiting[i].count == 0 && !t->wrong[0])
            fiber_sleep_until(t->harness.world, world_in_ms(t->harness.world, 5));
        EXPECT(waiting[i].count == 1);
    }
}

#define TURNS 100

struct cancelled {
    struct trial *t;
    struct broker_consumer *consumer;
    int64_t until_ns;
    int count;
    bool waits, ended;
};

static void take_until_cancelled(void *argument)
{
    struct cancelled *cancelled = argument;
    struct trial *t = cancelled->t;
    struct broker_message message;
    cancelled->waits = true;
    EXPECT_OK(t->driver->take(cancelled->consumer, &message, 1, cancelled->until_ns,
                              &cancelled->count, &t->error));
    cancelled->ended = true;
}

static void a_cancelled_take_ends_and_the_next_does_not_wait(struct trial *t)
{
    static struct cancelled cancelled;
    struct broker_message message;
    struct world *world = t->harness.world;
    cancelled = (struct cancelled){.t = t, .until_ns = world_in_ms(world, 2 * WAIT_MS)};
    EXPECT_OK(trial_consume(t, "cancelled", 0, 1, &cancelled.consumer, &t->error));
    EXPECT(fiber_start(world->fibers, take_until_cancelled, &cancelled));
    while (!cancelled.waits)
        fiber_sleep_until(world, world_in_ms(world, 5));
    broker_cancel(cancelled.consumer);
    for (int turn = 0; turn < TURNS && !cancelled.ended; turn++)
        fiber_sleep_until(world, 0); /* not until it would have looked by itself */
    EXPECT(cancelled.ended && cancelled.count == 0);
    EXPECT_OK(t->driver->take(cancelled.consumer, &message, 1, cancelled.until_ns, &cancelled.count,
                              &t->error));
    EXPECT(cancelled.count == 0 && world_monotonic_ns(world) < cancelled.until_ns);
    t->driver->unconsume(cancelled.consumer);
}

/* What a server has lost with its last seconds the subscription takes from the feed; what was
 * published after it came back has to come. */
static void a_killed_server_is_connected_to_again(struct trial *t)
{
    struct broker_consumer *consumer;
    taken.count = 0;
    EXPECT_OK(trial_consume(t, "killed", 0, 1, &consumer, &t->error));
    EXPECT_OK(trial_publish_numbers(t, 0, 100, &t->error));
    t->bed->kill(t->options);
    int64_t until_ns = world_in_ms(t->harness.world, BACK_MS);
    enum fh_code code;
    t->patience_ms = TRY_MS;
    do { /* published again until all is acknowledged, as a relay does */
        int64_t began_ns = world_monotonic_ns(t->harness.world);
        code = t->driver->declare(t->broker, &t->topic, trial_soon(t), &t->error);
        if (code == FH_OK)
            code = trial_publish_numbers(t, 100, 200, &t->error);
        trial_more_patience(t, began_ns);
        if (code != FH_OK)
            fiber_sleep_until(t->harness.world, world_in_ms(t->harness.world, 20));
    } while (code != FH_OK && world_monotonic_ns(t->harness.world) < until_ns);
    t->patience_ms = WAIT_MS;
    EXPECT_OK(code);
    int lost = 0;
    trial_take_numbers(t, consumer, &taken, 200);
    for (int i = 0; i < 100; i++)
        lost += !taken.times[i];
    for (int i = 100; i < 200; i++)
        EXPECT(taken.times[i] >= 1);
    if (lost)
        printf("# %d acknowledged messages were lost with the server\n", lost);
    t->driver->unconsume(consumer);
}

static void a_connection_that_is_refused_says_why_without_the_password(struct trial *t)
{
    json_t *options = json_deep_copy(t->options);
    struct broker *broker = NULL;
    json_object_set_new(options, "password", json_string("not-the-password"));
    enum fh_code code =
        t->driver->connect(t->harness.world, options, trial_soon(t), &broker, &t->error);
    EXPECT(code == FH_INVALID && !broker && t->error.message[0]);
    EXPECT(!strstr(t->error.message, "not-the-password"));
    json_object_set(options, "password", json_object_get(t->options, "password"));
    json_object_set_new(options, "port", json_integer(1)); /* nobody listens there */
    code = t->driver->connect(t->harness.world, options, trial_soon(t), &broker, &t->error);
    EXPECT(code == FH_UNAVAILABLE && !broker && strstr(t->error.message, "127.0.0.1:1"));
    json_object_set_new(options, "port", json_string("many"));
    EXPECT(t->driver->connect(t->harness.world, options, trial_soon(t), &broker, &t->error) ==
           FH_INVALID);
    json_decref(options);
}

/* ---- readers outside ---- */

static enum fh_code declare_held(struct trial *t, int kept_s, const struct broker_topic *topic,
                                 int times)
{
    struct broker *broker;
    json_t *options = json_deep_copy(t->options);
    json_object_set_new(options, "outside_kept_s", json_integer(kept_s));
    enum fh_code code =
        t->driver->connect(t->harness.world, options, trial_soon(t), &broker, &t->error);
    json_decref(options);
    if (code)
        return code;
    for (int i = 0; i < times && !code; i++)
        code = t->driver->declare(broker, topic, trial_soon(t), &t->error);
    t->driver->close(broker);
    return code;
}

/* ---- sources ---- */

static bool is_rabbitmq(const struct trial *t)
{
    return strcmp(t->driver->name, "rabbitmq") == 0;
}

static bool publish_to_source(struct trial *t, int from, int to)
{
    for (int i = from; i < to; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        if (trial_publish(t, 0, text, text, &t->error) != FH_OK)
            return false;
    }
    return true;
}

/* Numbers from..to-1, and no other, in this order, at offsets that begin with `*offset`. */
static bool source_brings(struct trial *t, struct broker_consumer *consumer, int from, int to,
                          int64_t *offset)
{
    static struct broker_message messages[BROKER_TAKE_MAX];
    while (from < to) {
        int count = 0;
        if (t->driver->take(consumer, messages, 7, trial_soon(t), &count, &t->error) != FH_OK ||
            count == 0)
            return false;
        for (int i = 0; i < count; i++) {
            char text[16];
            int length = snprintf(text, sizeof text, "%d", from++);
            if (from > to || messages[i].offset != (*offset)++ ||
                messages[i].time_ms < !is_rabbitmq(t) || messages[i].length != (size_t)length ||
                memcmp(messages[i].data, text, (size_t)length) != 0)
                return false;
        }
    }
    return trial_nothing_comes(t, consumer);
}

static enum fh_code attach_to(struct trial *t, const char *topic, int64_t from,
                              struct broker_extent *extent, struct broker_consumer **ret)
{
    return t->driver->attach(t->broker, topic, 0, from, trial_soon(t), extent, ret, &t->error);
}

static void a_source_is_read_from_the_offset_that_is_asked_for(struct trial *t)
{
    struct broker_consumer *oldest, *end, *within, *none;
    struct broker_extent extent, newer;
    char topic[128];
    if (!t->driver->attach)
        return;
    snprintf(topic, sizeof topic, is_rabbitmq(t) ? "freehold.%s.outside" : "freehold-%s",
             t->topic.name);
    if (is_rabbitmq(t)) /* a topic of its has no stream, unless it is for readers outside */
        EXPECT_OK(declare_held(t, 3600, &t->topic, 1));
    EXPECT(publish_to_source(t, 0, 30));
    EXPECT_OK(attach_to(t, topic, BROKER_FROM_OLDEST, &extent, &oldest));
    EXPECT(extent.end == extent.oldest + 30 && extent.identity[0]);
    int64_t first = extent.oldest, at = first;
    EXPECT(source_brings(t, oldest, 0, 30, &at));
    EXPECT_OK(attach_to(t, topic, BROKER_FROM_END, &newer, &end));
    EXPECT_OK(attach_to(t, topic, first + 20, &newer, &within));
    EXPECT(strcmp(newer.identity, extent.identity) == 0);
    EXPECT(trial_nothing_comes(t, end));
    EXPECT(publish_to_source(t, 30, 40));
    EXPECT(source_brings(t, oldest, 30, 40, &at) && oldest->end == first + 40);
    EXPECT(source_brings(t, end, 30, 40, &(int64_t){first + 30}));
    EXPECT(source_brings(t, within, 20, 40, &(int64_t){first + 20}));
    EXPECT(attach_to(t, topic, first + 41, &newer, &none) == FH_CONFLICT && !none);
    EXPECT(newer.end == first + 40);
    EXPECT_OK(attach_to(t, topic, first + 40, &newer, &none));
    t->driver->unconsume(none);
    EXPECT(attach_to(t, "freehold-of-nobody", 0, &newer, &none) != FH_OK && !none);
    t->driver->unconsume(oldest);
    t->driver->unconsume(end);
    t->driver->unconsume(within);
}

static void a_topic_that_holds_events_too_short_for_readers_outside_is_refused(struct trial *t)
{
    char name[96];
    struct broker_topic topic = {name, PARTITIONS};
    snprintf(name, sizeof name, "%s-held", t->topic.name);
    EXPECT_OK(declare_held(t, 259200, &topic, 2));
    EXPECT(declare_held(t, 400000, &topic, 1) == FH_CONFLICT);
    EXPECT(strstr(t->error.message, "outside_kept_s"));
    EXPECT_OK(declare_held(t, 259200, &topic, 1));
    EXPECT_OK(t->driver->declare(t->broker, &topic, trial_soon(t), &t->error));
}

/* A server confirms what no queue gets, so whoever publishes looks for the stream, once for each
 * connection: here the server has nothing any more when it comes back. */
static void a_stream_for_readers_outside_is_there_before_events_are_acknowledged(struct trial *t)
{
    char topic[128];
    struct broker *broker;
    struct broker_consumer *consumer;
    struct broker_extent extent;
    struct broker_message sent = {.data = "0", .length = 1, .id = "0"};
    int64_t until_ns = world_in_ms(t->harness.world, BACK_MS), at = 0;
    enum fh_code code;
    if (!is_rabbitmq(t))
        return;
    json_object_set_new(t->options, "outside_kept_s", json_integer(3600));
    EXPECT_OK(t->driver->connect(t->harness.world, t->options, trial_soon(t), &broker, &t->error));
    EXPECT_OK(t->driver->declare(broker, &t->topic, trial_soon(t), &t->error));
    EXPECT_OK(t->driver->publish(broker, &t->topic, &sent, 1, trial_soon(t), &t->error));
    t->bed->wipe(t->options);
    while ((code = t->driver->publish(broker, &t->topic, &sent, 1,
                                      world_in_ms(t->harness.world, TRY_MS), &t->error)) &&
           world_monotonic_ns(t->harness.world) < until_ns)
        fiber_sleep_until(t->harness.world, world_in_ms(t->harness.world, 20));
    EXPECT_OK(code);
    snprintf(topic, sizeof topic, "freehold.%s.outside", t->topic.name);
    EXPECT_OK(t->driver->attach(broker, topic, 0, BROKER_FROM_OLDEST, trial_soon(t), &extent,
                                &consumer, &t->error));
    EXPECT(source_brings(t, consumer, 0, 1, &at));
    t->driver->unconsume(consumer);
    t->driver->close(broker);
}

#define CASE(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }

/* An argument: only the cases that hold it, as for one on a server that was started by hand. */
int main(int argc, char **argv)
{
    static const struct trial_case cases[] = {
        CASE(what_is_published_is_taken_in_the_order_of_each_partition),
        CASE(a_consumer_has_its_partitions_alone),
        CASE(a_hundred_thousand_messages_come_once_each),
        CASE(messages_come_unchanged_up_to_the_largest),
        CASE(a_consumer_begins_with_what_is_published_after_it_was_opened),
        CASE(the_next_consumer_of_a_name_gets_what_was_not_acknowledged),
        CASE(consumers_of_two_names_get_everything_each),
        CASE(a_second_consumer_of_one_name_gets_what_comes_after),
        CASE(a_topic_is_declared_again_but_not_with_other_partitions),
        CASE(what_no_topic_takes_is_not_acknowledged),
        CASE(a_deadline_ends_a_take),
        CASE(many_wait_at_once_and_the_loop_goes_on),
        CASE(a_cancelled_take_ends_and_the_next_does_not_wait),
        CASE(a_killed_server_is_connected_to_again),
        CASE(a_connection_that_is_refused_says_why_without_the_password),
        CASE(a_source_is_read_from_the_offset_that_is_asked_for),
        CASE(a_topic_that_holds_events_too_short_for_readers_outside_is_refused),
        CASE(a_stream_for_readers_outside_is_there_before_events_are_acknowledged),
    };
    return trial_main(cases, sizeof cases / sizeof *cases, argc > 1 ? argv[1] : NULL);
}
