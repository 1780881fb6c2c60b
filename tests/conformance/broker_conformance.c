/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each driver of a broker owes (broker/broker.h), on every one that is built in and whose
 * server tools/servers has started. Each case has a topic and a connection of its own.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "broker/broker.h"
#include "harness.h"

#define PARTITIONS 8
#define WAIT_MS 20000 /* until something has to be there */
#define TRY_MS 2000   /* one attempt while a server may be away */
#define QUIET_MS 300  /* until something that must not come would have come */
#define MANY 100000
#define AT_ONCE 500

struct trial {
    struct harness harness;
    const struct broker_driver *driver;
    json_t *options;
    struct broker *broker;
    struct broker_topic topic;
    struct fh_error error;
    char name[64];
    int take_max, patience_ms;
    char wrong[512]; /* what did not hold; "": nothing */
    void (*run)(struct trial *t);
};

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            if (!t->wrong[0])                                                                      \
                snprintf(t->wrong, sizeof t->wrong, "%s:%d: %s", __FILE__, __LINE__, #condition);  \
            return;                                                                                \
        }                                                                                          \
    } while (0)
#define EXPECT_OK(call)                                                                            \
    do {                                                                                           \
        if ((call) != FH_OK) {                                                                     \
            if (!t->wrong[0])                                                                      \
                snprintf(t->wrong, sizeof t->wrong, "%s:%d: %.120s: %s", __FILE__, __LINE__,       \
                         #call, t->error.message);                                                 \
            return;                                                                                \
        }                                                                                          \
    } while (0)

static int64_t soon(struct trial *t)
{
    return world_in_ms(t->harness.world, t->patience_ms);
}

/* ---- publishing and taking ---- */

static enum fh_code publish_text(struct trial *t, unsigned partition, const char *id,
                                 const char *text, struct fh_error *error)
{
    struct broker_message message = {
        .partition = partition, .data = text, .length = strlen(text), .id = id};
    return t->driver->publish(t->broker, &t->topic, &message, 1, soon(t), error);
}

/* Numbers from..to-1, those with n % PARTITIONS in that partition, as "n". */
static enum fh_code publish_numbers(struct trial *t, int from, int to, struct fh_error *error)
{
    static char texts[AT_ONCE][16];
    struct broker_message messages[AT_ONCE];
    enum fh_code code = FH_OK;
    while (from < to && code == FH_OK) {
        int count = 0;
        for (; count < AT_ONCE && from < to; count++, from++) {
            snprintf(texts[count], sizeof texts[count], "%d", from);
            messages[count] = (struct broker_message){.partition = (unsigned)from % PARTITIONS,
                                                      .data = texts[count],
                                                      .length = strlen(texts[count]),
                                                      .id = texts[count]};
        }
        code = t->driver->publish(t->broker, &t->topic, messages, count, soon(t), error);
    }
    return code;
}

static enum fh_code consume(struct trial *t, const char *name, unsigned index, unsigned of,
                            struct broker_consumer **ret, struct fh_error *error)
{
    return t->driver->consume(t->broker, &t->topic, name, index, of, soon(t), ret, error);
}

/* Of each number how often it was taken, and whether a partition's came in their order. */
struct taken {
    unsigned char times[MANY];
    int newest[PARTITIONS], count, different;
    bool ordered, in_place;
    uint64_t mark;
};

static void take_number(struct taken *taken, const struct broker_message *message)
{
    char text[16];
    snprintf(text, sizeof text, "%.*s", (int)message->length, message->data);
    int number = atoi(text);
    taken->in_place &= number >= 0 && number < MANY && message->partition < PARTITIONS &&
                       (unsigned)number % PARTITIONS == message->partition &&
                       message->mark > taken->mark;
    if (!taken->in_place)
        return;
    taken->mark = message->mark;
    taken->ordered &= number > taken->newest[message->partition];
    taken->newest[message->partition] = number;
    taken->different += !taken->times[number];
    taken->times[number]++;
    taken->count++;
}

/* Until so many different numbers have come, or nothing does. */
static void take_numbers(struct trial *t, struct broker_consumer *consumer, struct taken *taken,
                         int wanted)
{
    static struct broker_message messages[BROKER_TAKE_MAX];
    int64_t until_ns = soon(t);
    if (!taken->count) {
        *taken = (struct taken){.ordered = true, .in_place = true};
        for (int i = 0; i < PARTITIONS; i++)
            taken->newest[i] = -1;
    }
    while (taken->different < wanted && world_monotonic_ns(t->harness.world) < until_ns) {
        int count = 0;
        enum fh_code code = t->driver->take(consumer, messages, t->take_max,
                                            world_in_ms(t->harness.world, 1000), &count, &t->error);
        if (code != FH_OK)
            fiber_sleep_until(t->harness.world, world_in_ms(t->harness.world, 20));
        else if (count)
            until_ns = soon(t);
        for (int i = 0; code == FH_OK && i < count; i++)
            take_number(taken, &messages[i]);
    }
}

static bool nothing_comes(struct trial *t, struct broker_consumer *consumer)
{
    struct broker_message message;
    int count = -1;
    return t->driver->take(consumer, &message, 1, world_in_ms(t->harness.world, QUIET_MS), &count,
                           &t->error) == FH_OK &&
           count == 0;
}

/* ---- cases ---- */

static struct taken taken;

static void what_is_published_is_taken_in_the_order_of_each_partition(struct trial *t)
{
    struct broker_consumer *consumer;
    taken.count = 0;
    EXPECT_OK(consume(t, "all", 0, 1, &consumer, &t->error));
    EXPECT_OK(publish_numbers(t, 0, 1000, &t->error));
    take_numbers(t, consumer, &taken, 1000);
    EXPECT(taken.different == 1000 && taken.count == 1000 && taken.ordered && taken.in_place);
    EXPECT(nothing_comes(t, consumer));
    t->driver->unconsume(consumer);
}

static void a_consumer_has_its_partitions_alone(struct trial *t)
{
    struct broker_consumer *half, *one;
    taken.count = 0;
    EXPECT_OK(consume(t, "half", 1, 2, &half, &t->error));
    EXPECT_OK(consume(t, "one", 3, PARTITIONS, &one, &t->error));
    EXPECT_OK(publish_numbers(t, 0, 800, &t->error));
    take_numbers(t, half, &taken, 400);
    EXPECT(taken.count == 400 && taken.ordered && taken.in_place);
    for (int i = 0; i < 800; i++)
        EXPECT(taken.times[i] == i % 2);
    taken.count = 0;
    take_numbers(t, one, &taken, 100);
    EXPECT(taken.count == 100 && taken.ordered && taken.times[3] == 1 && taken.times[795] == 1);
    EXPECT(nothing_comes(t, half) && nothing_comes(t, one));
    t->driver->unconsume(half);
    t->driver->unconsume(one);
}

static void a_hundred_thousand_messages_come_once_each(struct trial *t)
{
    struct broker_consumer *consumer;
    taken.count = 0;
    EXPECT_OK(consume(t, "many", 0, 1, &consumer, &t->error));
    EXPECT_OK(publish_numbers(t, 0, MANY, &t->error));
    while (taken.different < MANY) {
        int before = taken.different;
        take_numbers(t, consumer, &taken, before + 5000 < MANY ? before + 5000 : MANY);
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
    EXPECT_OK(consume(t, "sizes", 0, 1, &consumer, &t->error));
    for (size_t i = 0; i < BROKER_MESSAGE_SIZE_MAX + 1; i++)
        data[i] = (char)(i * 7 + i / 251); /* every byte there is, NUL and line ends too */
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char id[8];
        int count = 0;
        snprintf(id, sizeof id, "%zu", i);
        struct broker_message sent = {.data = data, .length = sizes[i], .id = id}, got = {0};
        EXPECT_OK(t->driver->publish(t->broker, &t->topic, &sent, 1, soon(t), &t->error));
        EXPECT_OK(t->driver->take(consumer, &got, 1, soon(t), &count, &t->error));
        EXPECT(count == 1 && got.length == sizes[i] && memcmp(got.data, data, sizes[i]) == 0);
    }
    struct broker_message large = {.data = data, .length = BROKER_MESSAGE_SIZE_MAX + 1, .id = "x"};
    EXPECT(t->driver->publish(t->broker, &t->topic, &large, 1, soon(t), &t->error) == FH_INVALID);
    t->driver->unconsume(consumer);
    free(data);
}

static void a_consumer_begins_with_what_is_published_after_it_was_opened(struct trial *t)
{
    struct broker_consumer *consumer;
    taken.count = 0;
    EXPECT_OK(publish_numbers(t, 0, 10, &t->error));
    EXPECT_OK(consume(t, "late", 0, 1, &consumer, &t->error));
    EXPECT_OK(publish_numbers(t, 10, 20, &t->error));
    take_numbers(t, consumer, &taken, 10);
    EXPECT(taken.count == 10 && taken.times[9] == 0 && taken.times[10] == 1);
    t->driver->unconsume(consumer);
}

static void the_next_consumer_of_a_name_gets_what_was_not_acknowledged(struct trial *t)
{
    struct broker_consumer *consumer;
    taken.count = 0;
    t->take_max = 50;
    EXPECT_OK(consume(t, "again", 0, 2, &consumer, &t->error));
    EXPECT_OK(publish_numbers(t, 0, 400, &t->error));
    take_numbers(t, consumer, &taken, 100);
    t->driver->acknowledge(consumer, taken.mark);
    take_numbers(t, consumer, &taken, 200);
    t->driver->unconsume(consumer);
    EXPECT_OK(publish_numbers(t, 400, 500, &t->error)); /* while nobody consumes */
    EXPECT_OK(consume(t, "again", 0, 2, &consumer, &t->error));
    int first = taken.different;
    taken.mark = 0;
    take_numbers(t, consumer, &taken, 250);
    EXPECT(first == 200 && taken.different == 250);
    EXPECT(taken.count > 250 && taken.count <= 350); /* again from the acknowledged one on */
    t->driver->unconsume(consumer);
}

static void consumers_of_two_names_get_everything_each(struct trial *t)
{
    struct broker_consumer *one, *other;
    EXPECT_OK(consume(t, "one", 0, 1, &one, &t->error));
    EXPECT_OK(consume(t, "other", 0, 1, &other, &t->error));
    EXPECT_OK(publish_numbers(t, 0, 100, &t->error));
    taken.count = 0;
    take_numbers(t, one, &taken, 100);
    EXPECT(taken.count == 100);
    t->driver->acknowledge(one, taken.mark);
    taken.count = 0;
    take_numbers(t, other, &taken, 100);
    EXPECT(taken.count == 100);
    t->driver->unconsume(one);
    t->driver->unconsume(other);
}

/* As after a takeover, when the one before still believes that it is the owner. */
static void a_second_consumer_of_one_name_gets_what_comes_after(struct trial *t)
{
    struct broker_consumer *former, *present;
    EXPECT_OK(consume(t, "owner", 0, 1, &former, &t->error));
    EXPECT_OK(publish_numbers(t, 0, 10, &t->error));
    taken.count = 0;
    take_numbers(t, former, &taken, 10);
    EXPECT_OK(consume(t, "owner", 0, 1, &present, &t->error));
    taken.count = 0;
    EXPECT_OK(publish_numbers(t, 10, 20, &t->error));
    take_numbers(t, present, &taken, 20);
    EXPECT(taken.different == 20);
    t->driver->acknowledge(former, UINT64_MAX); /* harmless */
    t->driver->unconsume(former);
    EXPECT_OK(publish_numbers(t, 20, 30, &t->error));
    take_numbers(t, present, &taken, 30);
    EXPECT(taken.different == 30);
    t->driver->unconsume(present);
}

static void a_topic_is_declared_again_but_not_with_other_partitions(struct trial *t)
{
    struct broker_topic other = {t->topic.name, 2 * PARTITIONS};
    EXPECT_OK(t->driver->declare(t->broker, &t->topic, soon(t), &t->error));
    EXPECT(t->driver->declare(t->broker, &other, soon(t), &t->error) == FH_CONFLICT);
    EXPECT(strstr(t->error.message, t->topic.name) != NULL);
}

static void what_no_topic_takes_is_not_acknowledged(struct trial *t)
{
    struct broker_topic declared = t->topic;
    char name[80];
    snprintf(name, sizeof name, "%s-undeclared", t->topic.name);
    for (int i = 0; i < 20; i++) {
        t->topic.name = name;
        enum fh_code code = publish_text(t, 0, "1", "lost", &t->error);
        t->topic = declared;
        EXPECT(code != FH_OK && t->error.message[0]);
        EXPECT_OK(publish_numbers(t, 10 * i, 10 * i + 10, &t->error)); /* the next one is well */
    }
}

static void a_deadline_ends_a_take(struct trial *t)
{
    struct broker_consumer *consumer;
    EXPECT_OK(consume(t, "idle", 0, 1, &consumer, &t->error));
    int64_t began_ns = world_monotonic_ns(t->harness.world);
    EXPECT(nothing_comes(t, consumer));
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
    EXPECT_OK(consume(t, name, waiting->index, PARTITIONS, &consumer, &t->error));
    waiting->waits = true;
    EXPECT_OK(t->driver->take(consumer, &message, 1, soon(t), &waiting->count, &t->error));
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
    EXPECT_OK(publish_numbers(t, 0, PARTITIONS, &t->error));
    for (unsigned i = 0; i < PARTITIONS; i++) {
        while (waiting[i].count == 0 && !t->wrong[0])
            fiber_sleep_until(t->harness.world, world_in_ms(t->harness.world, 5));
        EXPECT(waiting[i].count == 1);
    }
}

/* tools/servers starts it again. False: it can't be killed from here. */
static bool kill_server(struct trial *t)
{
    const char *path = json_string_at(t->options, "pid_file");
    FILE *file = path ? fopen(path, "r") : NULL;
    int pid = 0;
    if (!file)
        return false;
    bool read = fscanf(file, "%d", &pid) == 1 && pid > 1;
    fclose(file);
    return read && kill(pid, SIGKILL) == 0;
}

/* What a server has lost with its last seconds the subscription takes from the feed; what was
 * published after it came back has to come. */
static void a_killed_server_is_connected_to_again(struct trial *t)
{
    struct broker_consumer *consumer;
    taken.count = 0;
    EXPECT_OK(consume(t, "killed", 0, 1, &consumer, &t->error));
    EXPECT_OK(publish_numbers(t, 0, 100, &t->error));
    EXPECT(kill_server(t));
    int64_t until_ns = soon(t);
    enum fh_code code;
    t->patience_ms = TRY_MS;
    do { /* published again until all is acknowledged, as a relay does */
        code = t->driver->declare(t->broker, &t->topic, soon(t), &t->error);
        if (code == FH_OK)
            code = publish_numbers(t, 100, 200, &t->error);
        if (code != FH_OK)
            fiber_sleep_until(t->harness.world, world_in_ms(t->harness.world, 20));
    } while (code != FH_OK && world_monotonic_ns(t->harness.world) < until_ns);
    t->patience_ms = WAIT_MS;
    EXPECT(code == FH_OK);
    int lost = 0;
    take_numbers(t, consumer, &taken, 200);
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
    enum fh_code code = t->driver->connect(t->harness.world, options, soon(t), &broker, &t->error);
    EXPECT(code == FH_INVALID && !broker && t->error.message[0]);
    EXPECT(!strstr(t->error.message, "not-the-password"));
    json_object_set(options, "password", json_object_get(t->options, "password"));
    json_object_set_new(options, "port", json_integer(1)); /* nobody listens there */
    code = t->driver->connect(t->harness.world, options, soon(t), &broker, &t->error);
    EXPECT(code == FH_UNAVAILABLE && !broker && strstr(t->error.message, "127.0.0.1:1"));
    json_object_set_new(options, "port", json_string("many"));
    EXPECT(t->driver->connect(t->harness.world, options, soon(t), &broker, &t->error) ==
           FH_INVALID);
    json_decref(options);
}

/* ---- around a case ---- */

static const char *server_of(const struct broker_driver *driver)
{
    char variable[64] = "FREEHOLD_TEST_";
    size_t length = strlen(variable);
    for (const char *at = driver->name; *at && length < sizeof variable - 1; at++)
        variable[length++] = (char)(*at >= 'a' && *at <= 'z' ? *at - 32 : *at);
    variable[length] = '\0';
    return getenv(variable);
}

static void run_trial(void *argument)
{
    struct trial *t = argument;
    EXPECT_OK(t->driver->connect(t->harness.world, t->options, soon(t), &t->broker, &t->error));
    EXPECT_OK(t->driver->declare(t->broker, &t->topic, soon(t), &t->error));
    t->run(t);
}

static void run_case(const struct broker_driver *driver, void (*run)(struct trial *))
{
    static int number;
    struct trial t = {
        .driver = driver, .run = run, .take_max = BROKER_TAKE_MAX, .patience_ms = WAIT_MS};
    harness_init(&t.harness);
    snprintf(t.name, sizeof t.name, "conformance-%s-%d", strrchr(t.harness.folder, '-') + 1,
             ++number);
    t.topic = (struct broker_topic){t.name, PARTITIONS};
    t.options = json_loads(server_of(driver), 0, NULL);
    assert_non_null(t.options);
    json_object_set_new(t.options, "keep_bytes", json_integer(64 << 20));
    json_object_set_new(t.options, "tls", json_pack("{s:s}", "mode", "off"));
    harness_run(&t.harness, run_trial, &t);
    if (t.broker && !t.wrong[0]) /* what a failed case has open stays */
        driver->close(t.broker);
    json_decref(t.options);
    if (t.wrong[0])
        fail_msg("%s: %s", driver->name, t.wrong);
    harness_release(&t.harness);
}

static void on_each_driver(void **state)
{
    int tried = 0;
    const struct broker_driver *driver = NULL;
    while ((driver = broker_driver_next(driver))) {
        if (!server_of(driver))
            continue;
        run_case(driver, (void (*)(struct trial *))(uintptr_t)*state);
        tried++;
    }
    if (!tried)
        SKIP_BECAUSE("no broker's server is here: run it with tools/servers");
}

#define CASE(name)                                                                                 \
    {                                                                                              \
#name, on_each_driver, NULL, NULL, (void *)(uintptr_t)name                                 \
    }

int main(void)
{
    const struct CMUnitTest cases[] = {
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
        CASE(a_killed_server_is_connected_to_again),
        CASE(a_connection_that_is_refused_says_why_without_the_password),
    };
    return cmocka_run_group_tests_name("broker", cases, NULL, NULL);
}
