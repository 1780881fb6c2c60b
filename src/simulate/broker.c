/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages are kept once, in the order of their coming; each consumer, by its name, has a list of
 * what it is still to get. What it got and did not acknowledge, it gets again when it is opened
 * anew.
 */

#include "simulate/broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "world/world.h"

#define TOPICS_MAX 64
#define CONSUMERS_MAX 1024
#define LATE_MS_MAX 15000
#define OVERTAKEN_MS_MAX 300
#define DELAY_MS_MAX 5
#define LOOK_MS_MAX 20
#define NS_A_MS INT64_C(1000000)

struct kept {
    char *data;
    size_t length;
    char id[ID_SIZE];
    int topic;
    unsigned partition;
    bool acknowledged; /* to its publisher */
};

struct due {
    struct kept *message;
    int64_t at_ns;
    uint64_t mark; /* 0: not handed out */
};

struct named_consumer {
    char name[BROKER_NAME_LENGTH_MAX + 1];
    int topic;
    unsigned index, of;
    uint64_t mark;
    struct due *due;
    size_t count, capacity;
};

struct memory_consumer {
    struct broker_consumer consumer;
    struct named_consumer *named;
    uint64_t life; /* of the broker's memory */
};

static struct {
    struct simulate_broker_faults faults;
    struct simulate_broker_counts counts;
    uint64_t life;
    char topics[TOPICS_MAX][BROKER_TOPIC_LENGTH_MAX + 1];
    unsigned partitions[TOPICS_MAX]; /* 0: not declared */
    int topic_count;
    struct kept **messages;
    size_t count, capacity;
    struct named_consumer *consumers[CONSUMERS_MAX];
    int consumer_count;
} memory;

static bool broker_draws(struct world *world, unsigned in_a_million)
{
    return in_a_million > 0 && world_random_below(world, 1000000) < in_a_million;
}

static int64_t draw_until_ns(struct world *world, int64_t ms_max)
{
    return world_monotonic_ns(world) +
           (int64_t)world_random_below(world, (uint64_t)(ms_max * NS_A_MS)) + 1;
}

static bool broker_is_away(struct world *world)
{
    return world_monotonic_ns(world) < memory.faults.away_until_ns;
}

/* The answer takes its time; a broker that is away answers by nobody's deadline, or refuses. */
static enum fh_code broker_answers(struct world *world, int64_t deadline_ns, struct fh_error *error)
{
    int64_t until_ns = draw_until_ns(world, DELAY_MS_MAX);
    if (broker_is_away(world) && broker_draws(world, 300000))
        until_ns = deadline_ns;
    fiber_sleep_until(world, until_ns < deadline_ns ? until_ns : deadline_ns);
    return broker_is_away(world) ? error_set(error, FH_UNAVAILABLE, "The broker is away.") : FH_OK;
}

static int topic_of(const char *name)
{
    for (int i = 0; i < memory.topic_count; i++) {
        if (strcmp(memory.topics[i], name) == 0)
            return i;
    }
    FH_ASSERT(memory.topic_count < TOPICS_MAX);
    snprintf(memory.topics[memory.topic_count], sizeof *memory.topics, "%s", name);
    return memory.topic_count++;
}

/* ---- what is kept ---- */

static void grow_list(void **list, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return;
    *capacity = *capacity ? *capacity * 2 : 64;
    *list = realloc(*list, *capacity * size);
    FH_ASSERT(*list != NULL);
}

static void make_due(struct named_consumer *consumer, struct kept *message, int64_t at_ns)
{
    grow_list((void **)&consumer->due, consumer->count, &consumer->capacity, sizeof *consumer->due);
    consumer->due[consumer->count++] = (struct due){message, at_ns, 0};
}

static void deliver_later(struct world *world, struct kept *message, int64_t at_ns)
{
    for (int i = 0; i < memory.consumer_count; i++) {
        struct named_consumer *consumer = memory.consumers[i];
        if (consumer->topic == message->topic &&
            message->partition % consumer->of == consumer->index)
            make_due(consumer, message, at_ns);
    }
    (void)world;
}

static struct kept *keep_message(int topic, const struct broker_message *message)
{
    struct kept *kept = calloc(1, sizeof *kept);
    FH_ASSERT(kept != NULL);
    kept->data = malloc(message->length + 1);
    FH_ASSERT(kept->data != NULL);
    memcpy(kept->data, message->data, message->length);
    kept->data[message->length] = '\0';
    kept->length = message->length;
    kept->topic = topic;
    kept->partition = message->partition;
    snprintf(kept->id, sizeof kept->id, "%s", message->id ? message->id : "");
    grow_list((void **)&memory.messages, memory.count, &memory.capacity, sizeof(struct kept *));
    memory.messages[memory.count++] = kept;
    memory.counts.published++;
    return kept;
}

static struct kept *take_in(struct world *world, int topic, const struct broker_message *message)
{
    const struct simulate_broker_faults *faults = &memory.faults;
    struct kept *kept = keep_message(topic, message);
    int64_t at_ns = world_monotonic_ns(world);
    if (broker_draws(world, faults->lost)) {
        memory.counts.lost++;
        return kept;
    }
    if (broker_draws(world, faults->late)) {
        memory.counts.late++;
        at_ns = draw_until_ns(world, LATE_MS_MAX);
    } else if (broker_draws(world, faults->overtaken)) {
        memory.counts.overtaken++;
        at_ns = draw_until_ns(world, OVERTAKEN_MS_MAX);
    }
    deliver_later(world, kept, at_ns);
    if (broker_draws(world, faults->doubled)) {
        memory.counts.doubled++;
        deliver_later(world, kept, draw_until_ns(world, LATE_MS_MAX));
    }
    return kept;
}

void simulate_broker_wipe(void)
{
    for (int i = 0; i < memory.consumer_count; i++) {
        free(memory.consumers[i]->due);
        free(memory.consumers[i]);
    }
    for (size_t i = 0; i < memory.count; i++) {
        free(memory.messages[i]->data);
        free(memory.messages[i]);
    }
    memory.consumer_count = 0;
    memory.count = 0;
    memset(memory.partitions, 0, sizeof memory.partitions);
    memory.life++;
    memory.counts.wiped++;
}

/* ---- the driver ---- */

static const struct broker_driver memory_driver;

static enum fh_code memory_connect(struct world *world, const json_t *options, int64_t deadline_ns,
                                   struct broker **ret, struct fh_error *error)
{
    (void)options;
    enum fh_code code = broker_answers(world, deadline_ns, error);
    if (code != FH_OK)
        return code;
    *ret = malloc(sizeof **ret);
    FH_ASSERT(*ret != NULL);
    **ret = (struct broker){&memory_driver, world};
    return FH_OK;
}

static void memory_close(struct broker *broker)
{
    free(broker);
}

static enum fh_code memory_declare(struct broker *broker, const struct broker_topic *topic,
                                   int64_t deadline_ns, struct fh_error *error)
{
    enum fh_code code = broker_answers(broker->world, deadline_ns, error);
    unsigned *partitions = &memory.partitions[topic_of(topic->name)];
    if (code == FH_OK && *partitions && *partitions != topic->partitions)
        return error_set(error, FH_CONFLICT, "The topic has %u partitions.", *partitions);
    if (code == FH_OK)
        *partitions = topic->partitions;
    return code;
}

static enum fh_code memory_publish(struct broker *broker, const struct broker_topic *topic,
                                   const struct broker_message *messages, int count,
                                   int64_t deadline_ns, struct fh_error *error)
{
    struct world *world = broker->world;
    int of = topic_of(topic->name), taken = count;
    size_t first = memory.count;
    enum fh_code code = broker_answers(world, deadline_ns, error);
    if (code == FH_OK && !memory.partitions[of])
        code = error_set(error, FH_UNAVAILABLE, "There is no such topic.");
    if (code != FH_OK)
        return code;
    if (broker_draws(world, memory.faults.refused)) {
        memory.counts.refused++;
        taken = (int)world_random_below(world, (uint64_t)count);
    }
    first = memory.count;
    for (int i = 0; i < taken; i++)
        take_in(world, of, &messages[i]);
    if (taken < count)
        return error_set(error, FH_UNAVAILABLE, "The broker refused a message.");
    if (broker_draws(world, memory.faults.unanswered)) {
        memory.counts.unanswered++;
        fiber_sleep_until(world, deadline_ns);
        return error_set(error, FH_UNAVAILABLE, "The broker did not answer in time.");
    }
    for (size_t i = first; i < memory.count; i++)
        memory.messages[i]->acknowledged = true;
    return FH_OK;
}

static struct named_consumer *consumer_named(const char *name, int topic, unsigned index,
                                             unsigned of)
{
    for (int i = 0; i < memory.consumer_count; i++) {
        struct named_consumer *consumer = memory.consumers[i];
        if (consumer->topic == topic && strcmp(consumer->name, name) == 0)
            return consumer;
    }
    FH_ASSERT(memory.consumer_count < CONSUMERS_MAX);
    struct named_consumer *consumer = calloc(1, sizeof *consumer);
    FH_ASSERT(consumer != NULL);
    snprintf(consumer->name, sizeof consumer->name, "%s", name);
    consumer->topic = topic;
    consumer->index = index;
    consumer->of = of;
    memory.consumers[memory.consumer_count++] = consumer;
    return consumer;
}

static enum fh_code memory_consume(struct broker *broker, const struct broker_topic *topic,
                                   const char *name, unsigned index, unsigned of,
                                   int64_t deadline_ns, struct broker_consumer **ret,
                                   struct fh_error *error)
{
    int in = topic_of(topic->name);
    enum fh_code code = broker_answers(broker->world, deadline_ns, error);
    if (code == FH_OK && !memory.partitions[in])
        code = error_set(error, FH_UNAVAILABLE, "There is no topic %s yet.", topic->name);
    if (code != FH_OK)
        return code;
    struct memory_consumer *consumer = calloc(1, sizeof *consumer);
    FH_ASSERT(consumer != NULL);
    consumer->consumer.broker = broker;
    consumer->named = consumer_named(name, in, index, of);
    consumer->life = memory.life;
    for (size_t i = 0; i < consumer->named->count; i++)
        consumer->named->due[i].mark = 0;
    *ret = &consumer->consumer;
    return FH_OK;
}

static int hand_out_due(struct named_consumer *named, struct broker_message *messages, int max,
                        int64_t now_ns)
{
    int count = 0;
    for (size_t i = 0; i < named->count && count < max; i++) {
        struct due *due = &named->due[i];
        if (due->mark || due->at_ns > now_ns)
            continue;
        due->mark = ++named->mark;
        messages[count++] = (struct broker_message){.partition = due->message->partition,
                                                    .data = due->message->data,
                                                    .length = due->message->length,
                                                    .mark = due->mark};
    }
    memory.counts.taken += (uint64_t)count;
    return count;
}

static enum fh_code memory_take(struct broker_consumer *of, struct broker_message *messages,
                                int max, int64_t deadline_ns, int *ret_count,
                                struct fh_error *error)
{
    struct memory_consumer *consumer = (struct memory_consumer *)of;
    struct world *world = of->broker->world;
    *ret_count = 0;
    for (;;) {
        int64_t now_ns = world_monotonic_ns(world);
        if (broker_is_away(world))
            return broker_answers(world, of->cancelled ? now_ns : deadline_ns, error);
        if (consumer->life != memory.life)
            return error_set(error, FH_UNAVAILABLE, "The broker does not know this consumer.");
        *ret_count = hand_out_due(consumer->named, messages, max, now_ns);
        if (*ret_count > 0 || now_ns >= deadline_ns || of->cancelled)
            return FH_OK;
        int64_t look_ns = draw_until_ns(world, LOOK_MS_MAX);
        fiber_sleep_until(world, look_ns < deadline_ns ? look_ns : deadline_ns);
    }
}

/* It looks again soon. */
static void memory_wake(struct broker_consumer *of)
{
    (void)of;
    memory.counts.woken++;
}

static void memory_acknowledge(struct broker_consumer *of, uint64_t mark)
{
    struct memory_consumer *consumer = (struct memory_consumer *)of;
    struct named_consumer *named = consumer->named;
    size_t kept = 0;
    if (consumer->life != memory.life)
        return;
    for (size_t i = 0; i < named->count; i++) {
        if (!named->due[i].mark || named->due[i].mark > mark)
            named->due[kept++] = named->due[i];
    }
    named->count = kept;
}

static void memory_unconsume(struct broker_consumer *consumer)
{
    free(consumer);
}

static const struct broker_driver memory_driver = {
    .name = SIMULATE_BROKER,
    .title = "Memory",
    .connect = memory_connect,
    .close = memory_close,
    .declare = memory_declare,
    .publish = memory_publish,
    .consume = memory_consume,
    .take = memory_take,
    .wake = memory_wake,
    .acknowledge = memory_acknowledge,
    .unconsume = memory_unconsume,
};

/* ---- for those who simulate ---- */

void simulate_broker_begin(void)
{
    if (!broker_driver_named(SIMULATE_BROKER))
        broker_register(&memory_driver);
    simulate_broker_end();
}

void simulate_broker_end(void)
{
    uint64_t life = memory.life;
    simulate_broker_wipe();
    free(memory.messages);
    memset(&memory, 0, sizeof memory);
    memory.life = life + 1;
}

struct simulate_broker_faults *simulate_broker_faults(void)
{
    return &memory.faults;
}

const struct simulate_broker_counts *simulate_broker_counts(void)
{
    return &memory.counts;
}

void simulate_broker_visit(void (*visit)(void *context, const char *topic,
                                         const struct broker_message *message),
                           void *context)
{
    for (size_t i = 0; i < memory.count; i++) {
        const struct kept *kept = memory.messages[i];
        const struct broker_message message = {.partition = kept->partition,
                                               .data = kept->data,
                                               .length = kept->length,
                                               .id = kept->id};
        if (kept->acknowledged)
            visit(context, memory.topics[kept->topic], &message);
    }
}

void simulate_broker_forge(const char *topic, unsigned partition, const char *data)
{
    const struct broker_message message = {
        .partition = partition, .data = data, .length = strlen(data)};
    deliver_later(NULL, keep_message(topic_of(topic), &message), 0);
}
