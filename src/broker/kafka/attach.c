/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source: a topic of others', one partition of which a consumer reads from an offset on. What the
 * server has is asked before anything is read. Where messages are removed in between, or while it
 * reads, the library delivers an error instead of going on elsewhere ("auto.offset.reset"), `take`
 * fails, and the next consumer sees what is left.
 *
 * A topic has no identity that librdkafka 2.0 would tell; a cluster has. So a topic that was made
 * anew looks as before here, except for its offsets: whoever reads it compares messages.
 */

#include <stdio.h>
#include <string.h>

#include "broker/kafka/internal.h"
#include "world/world.h"

#define CLUSTER_MS 1000

struct kafka_attaching {
    struct kafka_opening opening;
    int64_t from;
    struct broker_extent *extent;
};

static enum fh_code ask_end(struct kafka_opening *opening, int64_t which, int64_t *ret)
{
    rd_kafka_topic_partition_list_t *list = kafka_partitions_of(opening->consumer);
    list->elems[0].offset = which;
    enum fh_code code = kafka_ask_offsets(opening, kafka.rd_kafka_offsets_for_times, list);
    *ret = list->elems[0].offset;
    kafka.rd_kafka_topic_partition_list_destroy(list);
    return code;
}

/* One that is not told would look like another one. */
static enum fh_code name_cluster(struct kafka_opening *opening, char *ret, size_t size)
{
    rd_kafka_t *handle = opening->consumer->client->handle;
    char *id = kafka.rd_kafka_clusterid(handle, CLUSTER_MS);
    if (!id)
        return kafka_failed(&opening->broker->options, "does not say which cluster it is",
                            RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, opening->error);
    snprintf(ret, size, "%s", id);
    kafka.rd_kafka_mem_free(handle, id);
    return FH_OK;
}

/* The oldest is asked first: what is removed in between only makes it look older. */
static enum fh_code measure_source(struct kafka_attaching *attaching)
{
    struct kafka_opening *opening = &attaching->opening;
    struct kafka_consumer *consumer = opening->consumer;
    struct broker_extent extent = {0};
    enum fh_code code = kafka_count_partitions(opening, &extent.partitions);
    if (code == FH_OK && consumer->index >= extent.partitions)
        return error_set(opening->error, FH_UNAVAILABLE,
                         "Kafka has the topic %.140s with %u partitions, and none with number %u.",
                         consumer->topic, extent.partitions, consumer->index);
    if (code == FH_OK)
        code = ask_end(opening, RD_KAFKA_OFFSET_BEGINNING, &extent.oldest);
    if (code == FH_OK)
        code = ask_end(opening, RD_KAFKA_OFFSET_END, &extent.end);
    if (code == FH_OK)
        code = name_cluster(opening, extent.identity, sizeof extent.identity);
    if (code != FH_OK)
        return code;
    *attaching->extent = extent;
    consumer->base.end = extent.end;
    return FH_OK;
}

static enum fh_code begin_source(struct kafka_attaching *attaching)
{
    const struct broker_extent *extent = attaching->extent;
    struct kafka_opening *opening = &attaching->opening;
    int64_t from = attaching->from == BROKER_FROM_END ? extent->end
                   : attaching->from < extent->oldest ? extent->oldest
                                                      : attaching->from;
    if (from > extent->end)
        return error_set(opening->error, FH_CONFLICT,
                         "Kafka has the topic %.100s up to %lld, and not up to %lld.",
                         opening->consumer->topic, (long long)extent->end, (long long)from);
    rd_kafka_topic_partition_list_t *list = kafka_partitions_of(opening->consumer);
    list->elems[0].offset = from;
    enum fh_code code = kafka_begin_at(opening, list);
    kafka.rd_kafka_topic_partition_list_destroy(list);
    return code;
}

static void kafka_attach_now(void *argument)
{
    struct kafka_attaching *attaching = argument;
    struct kafka_opening *opening = &attaching->opening;
    opening->code = kafka_open_client(opening);
    if (!opening->code)
        opening->code = measure_source(attaching);
    if (!opening->code)
        opening->code = begin_source(attaching);
}

enum fh_code kafka_attach(struct broker *base, const char *topic, unsigned partition, int64_t from,
                          int64_t deadline_ns, struct broker_extent *ret_extent,
                          struct broker_consumer **ret, struct fh_error *error)
{
    struct kafka_broker *broker = kafka_of(base);
    *ret = NULL;
    struct kafka_consumer *consumer =
        kafka_consumer_new(broker, partition + 1, partition, BROKER_PARTITIONS_MAX);
    if (!consumer)
        return error_set(error, FH_NO_MEMORY, "There is no memory for a consumer of a topic.");
    snprintf(consumer->topic, sizeof consumer->topic, "%s", topic);
    snprintf(consumer->group, sizeof consumer->group, "freehold");
    consumer->source = true;
    struct kafka_attaching attaching = {.opening = {.broker = broker,
                                                    .consumer = consumer,
                                                    .deadline_ns = deadline_ns,
                                                    .error = error},
                                        .from = from,
                                        .extent = ret_extent};
    broker_worker_run(broker->opener, kafka_attach_now, &attaching);
    consumer->quiet_ns = world_monotonic_ns(base->world);
    if (attaching.opening.code) {
        kafka_unconsume(&consumer->base);
        return attaching.opening.code;
    }
    *ret = &consumer->base;
    return FH_OK;
}

const char *kafka_header(const struct broker_message *message, const char *name, size_t *ret_length)
{
    rd_kafka_headers_t *headers;
    const void *value;
    if (kafka.rd_kafka_message_headers(message->native, &headers) ||
        kafka.rd_kafka_header_get_last(headers, name, &value, ret_length))
        return NULL;
    return value ? value : "";
}
