/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection: a producer, and two threads of ours for the library's calls that block. One
 * publishes and declares, the other opens and closes consumers, which would have to wait for a
 * server that acknowledges slowly otherwise.
 *
 * The producer is idempotent: the server knows its messages by their numbers, and stores each once
 * and in order, however often the library has to send it. What it can't promise that for any more
 * is fatal to it, and another takes its place. It asks for its number as soon as it is there, which
 * takes the right to publish: so it is made when something is published, and until then there is a
 * handle in its place that only asks, as is enough for who subscribes.
 */

#include <stdlib.h>
#include <string.h>

#include "broker/kafka/internal.h"
#include "world/world.h"

#define KAFKA_TEXT(number) KAFKA_TEXT_OF(number)
#define KAFKA_TEXT_OF(number) #number

struct kafka_connecting {
    struct kafka_broker *broker;
    int64_t deadline_ns;
    enum fh_code code;
    struct fh_error *error;
};

/* In one of the producer's calls, on its thread. */
static void message_delivered(rd_kafka_t *handle, const rd_kafka_message_t *message, void *client)
{
    struct kafka_broker *broker = message->_private;
    (void)handle;
    (void)client;
    broker->outstanding--;
    if (message->err && !broker->refused)
        broker->refused = message->err;
}

static enum fh_code set_producer(rd_kafka_conf_t *conf, struct fh_error *error)
{
    static const char *const fixed[][2] = {
        {"enable.idempotence", "true"},
        {"acks", "all"},
        {"max.in.flight.requests.per.connection", "5"},
        {"retries", "2147483647"},
        {"message.timeout.ms", "0"}, /* publish.c decides */
        {"retry.backoff.ms", "50"},
        {"queue.buffering.max.messages", "100000"},
        {"queue.buffering.max.kbytes", "131072"},
    };
    char size[24];
    snprintf(size, sizeof size, "%zu", KAFKA_RECORD_SIZE_MAX);
    enum fh_code code = kafka_conf_set(conf, "message.max.bytes", size, error);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed && !code; i++)
        code = kafka_conf_set(conf, fixed[i][0], fixed[i][1], error);
    return code;
}

enum fh_code kafka_client_renew(struct kafka_broker *broker, bool publishes, struct fh_error *error)
{
    rd_kafka_conf_t *conf = kafka_conf_new(&broker->options, error);
    if (!conf)
        return error->code;
    if (broker->topic)
        kafka.rd_kafka_topic_destroy(broker->topic);
    broker->topic = NULL;
    kafka_client_free(broker->client);
    broker->client = NULL;
    broker->unfinished = false;
    broker->refused = RD_KAFKA_RESP_ERR_NO_ERROR;
    broker->outstanding = 0;
    broker->publishes = publishes;
    enum fh_code code = publishes ? set_producer(conf, error) : FH_OK;
    if (code) {
        kafka.rd_kafka_conf_destroy(conf);
        return code;
    }
    kafka.rd_kafka_conf_set_dr_msg_cb(conf, message_delivered);
    return kafka_client_new(broker->base.world, RD_KAFKA_PRODUCER, conf, &broker->client, error);
}

static void kafka_connect_now(void *argument)
{
    struct kafka_connecting *connecting = argument;
    struct kafka_broker *broker = connecting->broker;
    const struct rd_kafka_metadata *found;
    connecting->code = kafka_client_renew(broker, false, connecting->error);
    if (!connecting->code)
        connecting->code = kafka_look(broker->client, &broker->options, NULL,
                                      connecting->deadline_ns, &found, connecting->error);
    if (!connecting->code)
        kafka.rd_kafka_metadata_destroy(found);
}

/* ---- the slots ---- */

/* A thread's last call. */
static void kafka_left(void *argument)
{
    struct kafka_broker *broker = argument;
    if (atomic_fetch_sub(&broker->users, 1) != 1)
        return;
    if (broker->topic)
        kafka.rd_kafka_topic_destroy(broker->topic);
    if (broker->client)
        kafka.rd_kafka_purge(broker->client->handle,
                             RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    kafka_client_free(broker->client);
    free(broker);
}

void kafka_close(struct broker *base)
{
    struct kafka_broker *broker = kafka_of(base);
    struct broker_worker *opener = broker->opener; /* the other one's end may free it all */
    if (broker->producer)
        broker_worker_end(broker->producer, kafka_left, broker);
    if (opener)
        broker_worker_end(opener, kafka_left, broker);
}

enum fh_code kafka_connect(struct world *world, const json_t *options, int64_t deadline_ns,
                           struct broker **ret, struct fh_error *error)
{
    enum fh_code code = kafka_library_load(error);
    struct kafka_broker *broker = code ? NULL : calloc(1, sizeof *broker);
    *ret = NULL;
    if (code)
        return code;
    if (!broker)
        return error_set(error, FH_NO_MEMORY, "There is no memory for a connection to Kafka.");
    broker->base = (struct broker){.world = world};
    code = kafka_options_read(options, &broker->options, error);
    if (!code)
        code = broker_worker_new(world, &broker->producer, error);
    if (code) {
        free(broker);
        return code;
    }
    atomic_init(&broker->users, 1);
    code = broker_worker_new(world, &broker->opener, error);
    if (!code)
        atomic_store(&broker->users, 2);
    struct kafka_connecting connecting = {
        .broker = broker, .deadline_ns = deadline_ns, .code = code, .error = error};
    if (!code)
        broker_worker_run(broker->producer, kafka_connect_now, &connecting);
    if (connecting.code) {
        kafka_close(&broker->base);
        return connecting.code;
    }
    *ret = &broker->base;
    return FH_OK;
}
