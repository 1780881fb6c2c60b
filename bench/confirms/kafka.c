/* SPDX-License-Identifier: Apache-2.0 */
/* Into a topic of its own, by an idempotent producer, as the relay's is. */

#include <librdkafka/rdkafka.h>

#include "confirms.h"

#define WAIT_MS 60000
#define POLL_EVERY 256
#define ASSIGNED_MS 1000 /* until a consumer fetches from all of its partitions */

static int confirmed, failed;

static void delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *unused)
{
    (void)producer;
    (void)unused;
    confirmed += !message->err;
    failed += message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void set(rd_kafka_conf_t *settings, const char *name, const char *value)
{
    char why[256];
    if (rd_kafka_conf_set(settings, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        confirms_fail(name, why);
}

static rd_kafka_conf_t *settings_of(const struct confirms *confirms)
{
    char servers[300];
    rd_kafka_conf_t *settings = rd_kafka_conf_new();
    snprintf(servers, sizeof servers, "%s:%d", confirms->host, confirms->port);
    set(settings, "bootstrap.servers", servers);
    set(settings, "security.protocol", "sasl_plaintext");
    set(settings, "sasl.mechanism", "SCRAM-SHA-256");
    set(settings, "sasl.username", confirms->user);
    set(settings, "sasl.password", confirms->password);
    return settings;
}

static rd_kafka_t *connect_to(const struct confirms *confirms)
{
    char why[256];
    rd_kafka_conf_t *settings = settings_of(confirms);
    set(settings, "enable.idempotence", "true");
    set(settings, "linger.ms", "5");
    set(settings, "queue.buffering.max.messages", "1000000");
    rd_kafka_conf_set_dr_msg_cb(settings, delivered);
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, settings, why, sizeof why);
    if (!producer)
        confirms_fail("a producer", why);
    return producer;
}

static void make_topic(rd_kafka_t *producer, const char *name)
{
    char why[256] = "";
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(name, CONFIRMS_PARTITIONS, 1, why, sizeof why);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(producer);
    if (!topic)
        confirms_fail("a topic", why);
    rd_kafka_CreateTopics(producer, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, WAIT_MS);
    size_t count = 0;
    const rd_kafka_topic_result_t **results =
        event
            ? rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count)
            : NULL;
    if (count != 1 || rd_kafka_topic_result_error(results[0]))
        confirms_fail("a topic", count ? rd_kafka_topic_result_error_string(results[0]) : NULL);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
}

static void produce(const struct confirms *confirms, rd_kafka_t *producer, rd_kafka_topic_t *topic,
                    int n)
{
    while (rd_kafka_produce(topic, (int32_t)confirms_partition(n), RD_KAFKA_MSG_F_COPY,
                            confirms->message, (size_t)confirms->size, NULL, 0, NULL)) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            confirms_fail("a message", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(producer, 10);
    }
    if (n % POLL_EVERY == 0)
        rd_kafka_poll(producer, 0);
}

/* ---- consumers ---- */

static rd_kafka_t *consumer_of(const struct confirms *confirms, int partitions)
{
    char why[256];
    rd_kafka_conf_t *settings = settings_of(confirms);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    set(settings, "group.id", confirms->topic);
    rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, settings, why, sizeof why);
    if (!consumer)
        confirms_fail("a consumer", why);
    for (int i = 0; i < partitions; i++)
        rd_kafka_topic_partition_list_add(list, confirms->topic, i)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
    if (rd_kafka_assign(consumer, list))
        confirms_fail("a consumer", "it is assigned nothing");
    rd_kafka_topic_partition_list_destroy(list);
    return consumer;
}

static rd_kafka_t *through;

static void *read_all(void *argument)
{
    struct confirms *confirms = argument;
    for (int i = 0; i < confirms->count; i++) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(through, WAIT_MS);
        if (!message || message->err)
            confirms_fail("a message", message ? rd_kafka_err2str(message->err) : NULL);
        rd_kafka_message_destroy(message);
    }
    rd_kafka_resp_err_t err = rd_kafka_commit(through, NULL, 0);
    if (err)
        confirms_fail("an offset", rd_kafka_err2str(err));
    confirms->read_s = confirms_now_s();
    return NULL;
}

/* One after the other. */
static void produce_lone(const struct confirms *confirms, rd_kafka_t *producer,
                         rd_kafka_topic_t *topic)
{
    rd_kafka_t *consumer = consumer_of(confirms, 1);
    for (int i = 0; i < confirms->count; i++) {
        double began_s = confirms_now_s();
        produce(confirms, producer, topic, 0);
        rd_kafka_flush(producer, WAIT_MS);
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, WAIT_MS);
        if (!message || message->err)
            confirms_fail("a message", message ? rd_kafka_err2str(message->err) : NULL);
        confirms->took_ms[i] = (confirms_now_s() - began_s) * 1000;
        rd_kafka_message_destroy(message);
    }
    rd_kafka_destroy_flags(consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

int main(int argc, char **argv)
{
    struct confirms confirms;
    confirms_begin(&confirms, argc, argv, "FREEHOLD_TEST_KAFKA");
    rd_kafka_t *producer = connect_to(&confirms);
    make_topic(producer, confirms.topic);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(producer, confirms.topic, NULL);
    if (confirms.through) {
        through = consumer_of(&confirms, CONFIRMS_PARTITIONS);
        rd_kafka_consumer_poll(through, ASSIGNED_MS); /* nothing is there yet */
    }
    confirms_read(&confirms, read_all);
    double began_s = confirms_now_s();
    if (confirms.lone)
        produce_lone(&confirms, producer, topic);
    for (int i = 0; i < confirms.count && !confirms.lone; i++)
        produce(&confirms, producer, topic, i);
    rd_kafka_flush(producer, WAIT_MS);
    if (failed || confirmed != confirms.count)
        confirms_fail("confirms", "not every message was confirmed");
    confirms_end(&confirms, began_s);
    if (through)
        rd_kafka_destroy_flags(through, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(producer);
    return 0;
}
