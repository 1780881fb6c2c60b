/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What there is of a topic on a server:
 *
 *   freehold.TOPIC                     its exchange: routing key N is partition N
 *   freehold.TOPIC.PARTITIONS          another exchange, where goes what no queue is bound for.
 * There is nothing there, so that it is dropped; its name is a property of the first one that can't
 * change, and so it tells every later declaration how many partitions there are
 *   freehold.TOPIC.N.NAME              a subscriber's queue for partition N
 *   freehold.TOPIC.owner.NAME.I-of-OF  an empty queue: a consumer ends when it is deleted
 *   freehold.TOPIC.outside             a stream of all partitions, where the publisher holds
 * messages for readers outside: queues have what came after they were made, and none is made for
 * those
 *
 * A topic and a name that are too long for a queue's are shortened: the name gives way to a digest.
 */

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "broker/rabbitmq/internal.h"

#define DIGEST_SIZE 16
#define SEGMENTS 8 /* of a stream, at least: one goes as a whole */
#define SEGMENT_BYTES_MIN (INT64_C(16) << 20)
#define SEGMENT_BYTES_MAX (INT64_C(500) << 20)
#define QUEUE_BYTES_MIN (2 * (int64_t)BROKER_MESSAGE_SIZE_MAX) /* two of the largest messages */

void rabbitmq_exchange_name(const struct broker_topic *topic, char ret[static RABBITMQ_NAME_SIZE])
{
    FH_ASSERT(strlen(topic->name) <= BROKER_TOPIC_LENGTH_MAX);
    snprintf(ret, RABBITMQ_NAME_SIZE, "freehold.%.128s", topic->name);
}

static void name_digest(const char *name, char ret[static 2 * DIGEST_SIZE + 1])
{
    unsigned char digest[DIGEST_SIZE];
    crypto_generichash(digest, sizeof digest, (const unsigned char *)name, strlen(name), NULL, 0);
    sodium_bin2hex(ret, 2 * DIGEST_SIZE + 1, digest, sizeof digest);
}

void rabbitmq_queue_name(const struct broker_topic *topic, unsigned partition, const char *name,
                         char ret[static RABBITMQ_NAME_SIZE])
{
    char digest[2 * DIGEST_SIZE + 1];
    if (snprintf(ret, RABBITMQ_NAME_SIZE, "freehold.%.128s.%u.%s", topic->name, partition, name) <
        RABBITMQ_NAME_SIZE)
        return;
    name_digest(name, digest);
    snprintf(ret, RABBITMQ_NAME_SIZE, "freehold.%.128s.%u.%s", topic->name, partition, digest);
}

void rabbitmq_owner_name(const struct broker_topic *topic, const char *name, unsigned index,
                         unsigned of, char ret[static RABBITMQ_NAME_SIZE])
{
    char digest[2 * DIGEST_SIZE + 1];
    if (snprintf(ret, RABBITMQ_NAME_SIZE, "freehold.%.128s.owner.%s.%u-of-%u", topic->name, name,
                 index, of) < RABBITMQ_NAME_SIZE)
        return;
    name_digest(name, digest);
    snprintf(ret, RABBITMQ_NAME_SIZE, "freehold.%.128s.owner.%s.%u-of-%u", topic->name, digest,
             index, of);
}

void rabbitmq_stream_name(const struct broker_topic *topic, char ret[static RABBITMQ_NAME_SIZE])
{
    snprintf(ret, RABBITMQ_NAME_SIZE, "freehold.%.128s.outside", topic->name);
}

/* ---- exchanges ---- */

/* `passive`: it is only looked for, which takes no right. Whoever may make an exchange may delete
 * it, so that subscribers only look. */
static enum fh_code declare_exchange(struct rabbitmq_link *link, const char *name, const char *type,
                                     const char *alternate, bool passive, struct fh_error *error)
{
    amqp_table_entry_t entry = {
        .key = rabbitmq_bytes("alternate-exchange"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = rabbitmq_bytes(alternate)}};
    amqp_table_t arguments = {alternate[0] ? 1 : 0, &entry};
    enum fh_code code = rabbitmq_link_channel(link, error);
    if (code)
        return code;
    rabbitmq.amqp_exchange_declare(link->connection, RABBITMQ_CHANNEL, rabbitmq_bytes(name),
                                   rabbitmq_bytes(type), passive, 1, 0, 0, arguments);
    return rabbitmq_link_answer(link, "can't make an exchange for a topic", error);
}

static enum fh_code other_partitions(const struct broker_topic *topic, struct fh_error *error)
{
    return error_set(error, FH_CONFLICT,
                     "RabbitMQ has the topic %.128s with another number of partitions than %u, "
                     "or an exchange of that name is somebody else's: neither can change.",
                     topic->name, topic->partitions);
}

/* ---- a topic ---- */

static amqp_table_entry_t number_argument(const char *name, int64_t value)
{
    return (amqp_table_entry_t){.key = rabbitmq_bytes(name),
                                .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = value}};
}

static amqp_table_entry_t text_argument(const char *name, const char *value)
{
    return (amqp_table_entry_t){
        .key = rabbitmq_bytes(name),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = rabbitmq_bytes(value)}};
}

static enum fh_code bind_partition(struct rabbitmq_link *link, const struct broker_topic *topic,
                                   const char *queue, unsigned partition, const char *what,
                                   struct fh_error *error)
{
    char exchange[RABBITMQ_NAME_SIZE], key[16];
    amqp_table_t none = {0, NULL};
    rabbitmq_exchange_name(topic, exchange);
    snprintf(key, sizeof key, "%u", partition);
    rabbitmq.amqp_queue_bind(link->connection, RABBITMQ_CHANNEL, rabbitmq_bytes(queue),
                             rabbitmq_bytes(exchange), rabbitmq_bytes(key), none);
    return rabbitmq_link_answer(link, what, error);
}

/* Its oldest messages go by segments, when a new one begins: so they are there for the time at
 * least, as far as keep_bytes lets them. */
static enum fh_code declare_stream(struct rabbitmq_link *link, const struct broker_topic *topic,
                                   struct fh_error *error)
{
    const struct rabbitmq_options *options = link->options;
    char name[RABBITMQ_NAME_SIZE], age[32];
    int64_t segment = options->keep_bytes / SEGMENTS;
    segment = segment < SEGMENT_BYTES_MIN   ? SEGMENT_BYTES_MIN
              : segment > SEGMENT_BYTES_MAX ? SEGMENT_BYTES_MAX
                                            : segment;
    snprintf(age, sizeof age, "%llds", (long long)options->outside_kept_s);
    amqp_table_entry_t entries[] = {
        text_argument("x-queue-type", "stream"),
        text_argument("x-max-age", age),
        number_argument("x-max-length-bytes", options->keep_bytes),
        number_argument("x-stream-max-segment-size-bytes", segment),
        number_argument("x-initial-cluster-size", options->replicas),
    };
    amqp_table_t arguments = {sizeof entries / sizeof *entries, entries};
    rabbitmq_stream_name(topic, name);
    rabbitmq.amqp_queue_declare(link->connection, RABBITMQ_CHANNEL, rabbitmq_bytes(name), 0, 1, 0,
                                0, arguments);
    enum fh_code code =
        rabbitmq_link_answer(link, "can't make a stream for readers outside", error);
    if (code == FH_CONFLICT)
        return error_set(error, FH_CONFLICT,
                         "RabbitMQ has the stream %.128s with other properties than "
                         "outside_kept_s, keep_bytes and replicas ask for: delete it, when nobody "
                         "needs what it holds.",
                         name);
    for (unsigned i = 0; i < topic->partitions && !code; i++)
        code = bind_partition(link, topic, name, i, "can't bind a stream to its topic", error);
    return code;
}

/* The topic's exchange first: if it is there with other partitions, nothing else is made. */
enum fh_code rabbitmq_topic_declare(struct rabbitmq_link *link, const struct broker_topic *topic,
                                    struct fh_error *error)
{
    char exchange[RABBITMQ_NAME_SIZE], alternate[RABBITMQ_NAME_SIZE + 16];
    rabbitmq_exchange_name(topic, exchange);
    snprintf(alternate, sizeof alternate, "%s.%u", exchange, topic->partitions);
    enum fh_code code = declare_exchange(link, exchange, "direct", alternate, false, error);
    if (!code)
        code = declare_exchange(link, alternate, "fanout", "", false, error);
    if (code == FH_CONFLICT)
        return other_partitions(topic, error);
    if (!code && link->options->outside_kept_s)
        code = declare_stream(link, topic, error);
    return code == FH_NOT_FOUND ? FH_UNAVAILABLE : code;
}

enum fh_code rabbitmq_topic_find(struct rabbitmq_link *link, const struct broker_topic *topic,
                                 struct fh_error *error)
{
    char exchange[RABBITMQ_NAME_SIZE], alternate[RABBITMQ_NAME_SIZE + 16];
    rabbitmq_exchange_name(topic, exchange);
    snprintf(alternate, sizeof alternate, "%s.%u", exchange, topic->partitions);
    enum fh_code code = declare_exchange(link, exchange, "direct", "", true, error);
    if (code == FH_NOT_FOUND)
        return error_set(
            error, FH_UNAVAILABLE,
            "RabbitMQ at %.100s:%d has no topic %.128s: its publisher has yet to make it.",
            link->options->host, link->options->port, topic->name);
    if (!code)
        code = declare_exchange(link, alternate, "fanout", "", true, error);
    return code == FH_NOT_FOUND ? other_partitions(topic, error) : code;
}

/* ---- queues ---- */

enum fh_code rabbitmq_queue_declare(struct rabbitmq_link *link, const struct broker_topic *topic,
                                    unsigned partition, const char *queue, struct fh_error *error)
{
    const struct rabbitmq_options *options = link->options;
    int64_t bytes = options->keep_bytes / topic->partitions;
    amqp_table_entry_t entries[] = {
        text_argument("x-queue-type", "quorum"),
        number_argument("x-quorum-initial-group-size", options->replicas),
        {.key = rabbitmq_bytes("x-single-active-consumer"),
         .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}},
        number_argument("x-message-ttl", options->keep_s * 1000),
        number_argument("x-expires", options->keep_s * 1000),
        number_argument("x-max-length-bytes", bytes < QUEUE_BYTES_MIN ? QUEUE_BYTES_MIN : bytes),
        text_argument("x-overflow", "drop-head"),
    };
    amqp_table_t arguments = {sizeof entries / sizeof *entries, entries};
    rabbitmq.amqp_queue_declare(link->connection, RABBITMQ_CHANNEL, rabbitmq_bytes(queue), 0, 1, 0,
                                0, arguments);
    enum fh_code code = rabbitmq_link_answer(link, "can't make a subscriber's queue", error);
    if (code == FH_CONFLICT)
        return error_set(error, FH_CONFLICT,
                         "RabbitMQ has the queue %.150s with other properties than keep_s, "
                         "keep_bytes and replicas ask for: delete it; what it has is read from the "
                         "feed.",
                         queue);
    if (code)
        return code;
    return bind_partition(link, topic, queue, partition,
                          "can't bind a subscriber's queue to its topic", error);
}

unsigned rabbitmq_consumer_queues(const struct rabbitmq_consumer *consumer)
{
    return (consumer->topic.partitions - consumer->index + consumer->of - 1) / consumer->of;
}

unsigned rabbitmq_consumer_queue(const struct rabbitmq_consumer *consumer, unsigned number,
                                 char ret[static RABBITMQ_NAME_SIZE])
{
    unsigned partition = consumer->index + number * consumer->of;
    rabbitmq_queue_name(&consumer->topic, partition, consumer->name, ret);
    return partition;
}
