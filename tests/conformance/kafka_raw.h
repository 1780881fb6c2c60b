/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_KAFKA_RAW_H
#define TESTS_KAFKA_RAW_H

/* What other programs do at a Kafka server, by its client library and without the driver. Each
 * waits until it is done, and returns what the server says. Header only. */

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"

#define RAW_MS 60000

static inline void raw_set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[200];
    FH_ASSERT(rd_kafka_conf_set(conf, name, value, text, sizeof text) == RD_KAFKA_CONF_OK);
}

static inline rd_kafka_t *raw_producer(const json_t *server, const char *transactional)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char address[64], text[200];
    snprintf(address, sizeof address, "127.0.0.1:%lld",
             (long long)json_integer_value(json_object_get(server, "port")));
    raw_set(conf, "bootstrap.servers", address);
    raw_set(conf, "security.protocol", "sasl_plaintext");
    raw_set(conf, "sasl.mechanism", "SCRAM-SHA-256");
    raw_set(conf, "sasl.username", json_string_at(server, "user"));
    raw_set(conf, "sasl.password", json_string_at(server, "password"));
    raw_set(conf, "log_level", "0");
    if (transactional)
        raw_set(conf, "transactional.id", transactional);
    rd_kafka_t *handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    FH_ASSERT(handle != NULL);
    if (transactional)
        FH_ASSERT(!rd_kafka_init_transactions(handle, RAW_MS));
    return handle;
}

/* NULL: neither key nor value. */
static inline void raw_produce(rd_kafka_t *handle, const char *topic, int partition,
                               const char *key, const char *value)
{
    FH_ASSERT(
        !rd_kafka_producev(handle, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                           RD_KAFKA_V_KEY(key, key ? strlen(key) : 0),
                           RD_KAFKA_V_VALUE((void *)(uintptr_t)value, value ? strlen(value) : 0),
                           RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END));
    FH_ASSERT(!rd_kafka_flush(handle, RAW_MS));
}

static inline void raw_free(rd_kafka_t *handle)
{
    rd_kafka_destroy(handle);
}

/* ---- topics ---- */

static inline rd_kafka_resp_err_t raw_answer(rd_kafka_queue_t *queue)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, RAW_MS);
    FH_ASSERT(event != NULL);
    rd_kafka_resp_err_t err = rd_kafka_event_error(event);
    size_t count = 0;
    const rd_kafka_topic_result_t **topics = NULL;
    if (rd_kafka_event_CreateTopics_result(event))
        topics =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    else if (rd_kafka_event_DeleteTopics_result(event))
        topics =
            rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count);
    if (!err && topics)
        err = rd_kafka_topic_result_error(topics[0]);
    rd_kafka_event_destroy(event);
    return err;
}

/* `name`, `value`: a setting, or NULL. */
static inline rd_kafka_resp_err_t raw_create_topic(rd_kafka_t *handle, const char *topic,
                                                   int partitions, const char *name,
                                                   const char *value)
{
    char text[200];
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_NewTopic_t *made = rd_kafka_NewTopic_new(topic, partitions, 1, text, sizeof text);
    if (name)
        rd_kafka_NewTopic_set_config(made, name, value);
    rd_kafka_CreateTopics(handle, &made, 1, NULL, queue);
    rd_kafka_resp_err_t err = raw_answer(queue);
    rd_kafka_NewTopic_destroy(made);
    rd_kafka_queue_destroy(queue);
    return err;
}

static inline rd_kafka_resp_err_t raw_delete_topic(rd_kafka_t *handle, const char *topic)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_DeleteTopic_t *gone = rd_kafka_DeleteTopic_new(topic);
    rd_kafka_DeleteTopics(handle, &gone, 1, NULL, queue);
    rd_kafka_resp_err_t err = raw_answer(queue);
    rd_kafka_DeleteTopic_destroy(gone);
    rd_kafka_queue_destroy(queue);
    return err;
}

/* As retention does: what lies before the offset is gone. */
static inline rd_kafka_resp_err_t raw_forget(rd_kafka_t *handle, const char *topic, int partitions,
                                             int64_t before)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; i++)
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = before;
    rd_kafka_DeleteRecords_t *forgotten = rd_kafka_DeleteRecords_new(list);
    rd_kafka_DeleteRecords(handle, &forgotten, 1, NULL, queue);
    rd_kafka_resp_err_t err = raw_answer(queue);
    rd_kafka_DeleteRecords_destroy(forgotten);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_queue_destroy(queue);
    return err;
}

#endif
