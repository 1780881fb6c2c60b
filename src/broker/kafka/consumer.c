/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing a consumer. It is a handle of the library's that reads the partitions it is
 * told to; there is no group whose members take turns. The server keeps how far a name has
 * acknowledged as that of a group, though, and a consumer begins there:
 *
 *     nothing is kept              at the end, which is written down before anything is read. If
 *                                  the process dies before that, the next one begins with new
 *                                  messages, and its subscription takes what is missing from the
 *                                  feed
 *     kept, and no longer there    with the oldest: messages were too old, or the topic was made
 *                                  anew, and what it has now begins before
 *     kept, of a topic made anew   somewhere in it, if it is longer already than the former one
 *                                  was. What lies before comes from the feed
 *
 * The library commits what was acknowledged each second, and when a consumer is closed.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/kafka/internal.h"
#include "world/world.h"

#define OPEN_SLICE_MS 200
#define LAST_COMMIT_MS 1000
/* Of a partition, in one answer. What comes of the next one waits for it, and until then nothing
 * that is behind it in the order of positions can be delivered: of eight partitions that must fit
 * onto a reader's shelf. A record that is larger comes all the same: the server never leaves out an
 * answer's first one, and the library asks for more where it must. */
#define TOPIC_FETCH_SIZE "65536"

/* ---- memory ---- */

rd_kafka_topic_partition_list_t *kafka_partitions_of(const struct kafka_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list =
        kafka.rd_kafka_topic_partition_list_new((int)(consumer->partitions / consumer->of + 1));
    for (unsigned i = consumer->index; list && i < consumer->partitions; i += consumer->of)
        kafka.rd_kafka_topic_partition_list_add(list, consumer->topic, (int32_t)i);
    return list;
}

struct kafka_consumer *kafka_consumer_new(struct kafka_broker *broker, unsigned partitions,
                                          unsigned index, unsigned of)
{
    struct kafka_consumer *consumer = calloc(1, sizeof *consumer);
    struct kafka_mark *marks = calloc(KAFKA_MARKS_MAX, sizeof *marks);
    int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!consumer || !marks || wake_fd < 0) {
        free(consumer);
        free(marks);
        if (wake_fd >= 0)
            close(wake_fd);
        return NULL;
    }
    consumer->base = (struct broker_consumer){.broker = &broker->base};
    consumer->marks = marks;
    consumer->wake_fd = wake_fd;
    consumer->partitions = partitions;
    consumer->index = index;
    consumer->of = of;
    return consumer;
}

static void kafka_consumer_free(struct kafka_consumer *consumer)
{
    for (int i = 0; i < consumer->taken_count; i++)
        kafka.rd_kafka_message_destroy(consumer->taken[i]);
    if (consumer->queue)
        kafka.rd_kafka_queue_destroy(consumer->queue);
    kafka_client_free(consumer->client);
    close(consumer->wake_fd);
    free(consumer->marks);
    free(consumer);
}

/* ---- on the opener's thread ---- */

/* What waits in memory is bounded by what the library fetches ahead, and one more fetch. */
static enum fh_code set_consumer(rd_kafka_conf_t *conf, const struct kafka_consumer *consumer,
                                 struct fh_error *error)
{
    static const char *const fixed[][2] = {
        {"enable.auto.offset.store", "false"},
        {"auto.commit.interval.ms", "1000"},
        {"isolation.level", "read_committed"},
        {"fetch.max.bytes", "4194304"},
        {"fetch.wait.max.ms", "500"},
        {"fetch.error.backoff.ms", "100"},
        {"check.crcs", "true"},
    };
    char size[24];
    snprintf(size, sizeof size, "%zu", KAFKA_RECORD_SIZE_MAX);
    enum fh_code code = kafka_conf_set(conf, "group.id", consumer->group, error);
    if (!code)
        code =
            kafka_conf_set(conf, "enable.auto.commit", consumer->source ? "false" : "true", error);
    /* A source's partitions are read by a consumer each, a topic's by few. */
    if (!code)
        code =
            kafka_conf_set(conf, "queued.min.messages", consumer->source ? "1000" : "20000", error);
    if (!code)
        code = kafka_conf_set(conf, "queued.max.messages.kbytes",
                              consumer->source ? "2048" : "16384", error);
    if (!code)
        code = kafka_conf_set(conf, "auto.offset.reset", consumer->source ? "error" : "earliest",
                              error);
    if (!code)
        code = kafka_conf_set(conf, "fetch.message.max.bytes",
                              consumer->source ? size : TOPIC_FETCH_SIZE, error);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed && !code; i++)
        code = kafka_conf_set(conf, fixed[i][0], fixed[i][1], error);
    return code;
}

enum fh_code kafka_open_client(struct kafka_opening *opening)
{
    rd_kafka_conf_t *conf = kafka_conf_new(&opening->broker->options, opening->error);
    if (!conf)
        return opening->error->code;
    enum fh_code code = set_consumer(conf, opening->consumer, opening->error);
    if (!code)
        return kafka_client_new(opening->broker->base.world, RD_KAFKA_CONSUMER, conf,
                                &opening->consumer->client, opening->error);
    kafka.rd_kafka_conf_destroy(conf);
    return code;
}

enum fh_code kafka_count_partitions(struct kafka_opening *opening, unsigned *ret)
{
    const struct kafka_consumer *consumer = opening->consumer;
    const struct kafka_options *options = &opening->broker->options;
    const struct rd_kafka_metadata *metadata;
    enum fh_code code = kafka_look(consumer->client, options, consumer->topic, opening->deadline_ns,
                                   &metadata, opening->error);
    if (code)
        return code;
    rd_kafka_resp_err_t err = metadata->topic_cnt == 1 ? metadata->topics[0].err
                                                       : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    *ret = err ? 0 : (unsigned)metadata->topics[0].partition_cnt;
    kafka.rd_kafka_metadata_destroy(metadata);
    if (err)
        return kafka_failed(options, "can't deliver a topic's messages", err, NULL, opening->error);
    return FH_OK;
}

static enum fh_code find_partitions(struct kafka_opening *opening)
{
    const struct kafka_consumer *consumer = opening->consumer;
    unsigned partitions;
    enum fh_code code = kafka_count_partitions(opening, &partitions);
    if (code == FH_OK && partitions != consumer->partitions)
        return error_set(opening->error, FH_UNAVAILABLE,
                         "Kafka has the topic %.140s with %u partitions, not %u.", consumer->topic,
                         partitions, consumer->partitions);
    return code;
}

/* In slices, since an error that ends the waiting is only seen between two of them. */
enum fh_code kafka_ask_offsets(struct kafka_opening *opening, kafka_offsets *ask,
                               rd_kafka_topic_partition_list_t *list)
{
    struct kafka_client *client = opening->consumer->client;
    int64_t began_ns = world_monotonic_ns(client->world);
    rd_kafka_resp_err_t err;
    do {
        err = ask(client->handle, list,
                  kafka_left_ms(client->world, opening->deadline_ns, OPEN_SLICE_MS));
        kafka.rd_kafka_poll(client->handle, 0);
    } while (err && !kafka_client_is_lost(client, began_ns) &&
             world_monotonic_ns(client->world) < opening->deadline_ns);
    for (int i = 0; i < list->cnt && !err; i++)
        err = list->elems[i].err;
    if (err)
        return kafka_client_failed(client, &opening->broker->options,
                                   "does not say where a topic's messages begin", err,
                                   opening->error);
    return FH_OK;
}

static enum fh_code commit_offsets(struct kafka_client *client, const struct kafka_options *options,
                                   rd_kafka_topic_partition_list_t *list, int timeout_ms,
                                   struct fh_error *error)
{
    rd_kafka_queue_t *queue = kafka.rd_kafka_queue_new(client->handle);
    rd_kafka_resp_err_t err = kafka.rd_kafka_commit_queue(client->handle, list, queue, NULL, NULL);
    rd_kafka_event_t *event = err ? NULL : kafka.rd_kafka_queue_poll(queue, timeout_ms);
    if (!err)
        err = event ? kafka.rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (event)
        kafka.rd_kafka_event_destroy(event);
    kafka.rd_kafka_queue_destroy(queue);
    return err ? kafka_failed(options, "does not keep what was read", err, NULL, error) : FH_OK;
}

/* `list` says how far was committed, and then where each partition begins; where nothing was, that
 * is its present end, which is committed. */
static enum fh_code choose_beginnings(struct kafka_opening *opening,
                                      rd_kafka_topic_partition_list_t *list)
{
    struct kafka_client *client = opening->consumer->client;
    rd_kafka_topic_partition_list_t *ends = kafka_partitions_of(opening->consumer);
    rd_kafka_topic_partition_list_t *first = kafka.rd_kafka_topic_partition_list_new(ends->cnt);
    for (int i = 0; i < ends->cnt; i++)
        ends->elems[i].offset = RD_KAFKA_OFFSET_END;
    enum fh_code code = kafka_ask_offsets(opening, kafka.rd_kafka_offsets_for_times, ends);
    for (int i = 0; i < list->cnt && !code; i++) {
        rd_kafka_topic_partition_t *at = &list->elems[i];
        int64_t end = ends->elems[i].offset;
        if (at->offset > end) {
            at->offset = RD_KAFKA_OFFSET_BEGINNING; /* the topic was made anew */
        } else if (at->offset < 0) {
            at->offset = end;
            kafka.rd_kafka_topic_partition_list_add(first, at->topic, at->partition)->offset = end;
        }
    }
    if (!code && first->cnt > 0)
        code = commit_offsets(client, &opening->broker->options, first,
                              kafka_left_ms(client->world, opening->deadline_ns, LAST_COMMIT_MS),
                              opening->error);
    kafka.rd_kafka_topic_partition_list_destroy(first);
    kafka.rd_kafka_topic_partition_list_destroy(ends);
    return code;
}

enum fh_code kafka_begin_at(struct kafka_opening *opening,
                            const rd_kafka_topic_partition_list_t *list)
{
    static const uint64_t one = 1;
    struct kafka_consumer *consumer = opening->consumer;
    rd_kafka_t *handle = consumer->client->handle;
    kafka.rd_kafka_poll_set_consumer(handle);
    consumer->queue = kafka.rd_kafka_queue_get_consumer(handle);
    kafka.rd_kafka_queue_io_event_enable(consumer->queue, consumer->wake_fd, &one, sizeof one);
    rd_kafka_resp_err_t err = kafka.rd_kafka_assign(handle, list);
    return err ? kafka_failed(&opening->broker->options, "can't deliver a topic's messages", err,
                              NULL, opening->error)
               : FH_OK;
}

static enum fh_code begin_partitions(struct kafka_opening *opening)
{
    rd_kafka_topic_partition_list_t *list = kafka_partitions_of(opening->consumer);
    enum fh_code code = kafka_ask_offsets(opening, kafka.rd_kafka_committed, list);
    if (!code)
        code = choose_beginnings(opening, list);
    if (!code)
        code = kafka_begin_at(opening, list);
    kafka.rd_kafka_topic_partition_list_destroy(list);
    return code;
}

static void kafka_consume_now(void *argument)
{
    struct kafka_opening *opening = argument;
    opening->code = kafka_open_client(opening);
    if (!opening->code)
        opening->code = find_partitions(opening);
    if (!opening->code)
        opening->code = begin_partitions(opening);
}

/* What was acknowledged last is committed if the server is there: else it comes again. */
static void kafka_unconsume_now(void *argument)
{
    struct kafka_consumer *consumer = argument;
    struct kafka_client *client = consumer->client;
    if (consumer->queue)
        kafka.rd_kafka_queue_io_event_enable(consumer->queue, -1, NULL, 0);
    if (consumer->acknowledged && !atomic_load(&client->lost))
        commit_offsets(client, &kafka_of(consumer->base.broker)->options, NULL, LAST_COMMIT_MS,
                       ERROR_UNHEEDED);
    kafka_consumer_free(consumer);
}

/* ---- the slots ---- */

enum fh_code kafka_consume(struct broker *base, const struct broker_topic *topic, const char *name,
                           unsigned index, unsigned of, int64_t deadline_ns,
                           struct broker_consumer **ret, struct fh_error *error)
{
    struct kafka_broker *broker = kafka_of(base);
    *ret = NULL;
    FH_ASSERT(of >= 1 && index < of && topic->partitions >= of);
    struct kafka_consumer *consumer = kafka_consumer_new(broker, topic->partitions, index, of);
    if (!consumer)
        return error_set(error, FH_NO_MEMORY, "There is no memory for a consumer of a topic.");
    kafka_topic_name(topic, consumer->topic);
    kafka_group_name(name, consumer->group);
    struct kafka_opening opening = {
        .broker = broker, .consumer = consumer, .deadline_ns = deadline_ns, .error = error};
    broker_worker_run(broker->opener, kafka_consume_now, &opening);
    consumer->quiet_ns = world_monotonic_ns(base->world);
    if (opening.code) {
        kafka_unconsume(&consumer->base);
        return opening.code;
    }
    *ret = &consumer->base;
    return FH_OK;
}

void kafka_unconsume(struct broker_consumer *base)
{
    struct kafka_consumer *consumer = (struct kafka_consumer *)base;
    broker_worker_send(kafka_of(base->broker)->opener, kafka_unconsume_now, consumer);
}
