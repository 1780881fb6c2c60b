/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a user may do what only others should. The server looks at rights before it looks at what
 * is asked, so each attempt is one that it would not carry out:
 *
 *   publish           a message that is larger than the topic takes
 *   remove messages   those before the first one that there ever was
 *   change, make      to be judged only (`validate_only`)
 *   read              reading changes nothing, and of the topic's end there is nothing to be read
 *
 * Who may read, write, remove or change a topic may see it: where that is refused, the rest is.
 */

#include <stdlib.h>
#include <string.h>

#include "broker/kafka/internal.h"
#include "world/world.h"

#define NOBODYS_GROUP "freehold-nowhere"
#define TOO_LARGE (KAFKA_RECORD_SIZE_MAX + ((size_t)64 << 10))
#define TRESPASS_SLICE_MS 50

struct kafka_trespassing {
    struct kafka_broker *broker;
    const struct broker_topic *topic;
    char name[KAFKA_WORD_SIZE];
    bool reads;
    int64_t deadline_ns;
    char *open;
    enum fh_code code;
    struct fh_error *error;
};

static struct world *trespassing_world(const struct kafka_trespassing *trespassing)
{
    return trespassing->broker->base.world;
}

static bool trespassing_is_late(const struct kafka_trespassing *trespassing)
{
    return world_monotonic_ns(trespassing_world(trespassing)) >= trespassing->deadline_ns;
}

static bool is_forbidden(rd_kafka_resp_err_t err)
{
    return err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
           err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
           err == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
}

/* Adds `what` unless the server refuses it. False: it did not answer; the library's own errors are
 * below 0. */
static bool judge_attempt(struct kafka_trespassing *trespassing, rd_kafka_resp_err_t err,
                          const char *what)
{
    if (err < 0 && err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        trespassing->code =
            kafka_failed(&trespassing->broker->options, "was asked what a user may do", err, NULL,
                         trespassing->error);
        return false;
    }
    if (!is_forbidden(err))
        broker_open_add(trespassing->open, what);
    return true;
}

/* ---- what an administrator does ---- */

/* Sends a request, whose answer goes to `queue`. */
typedef void kafka_attempt(const struct kafka_trespassing *trespassing,
                           const rd_kafka_AdminOptions_t *options, rd_kafka_queue_t *queue);
/* What the answer says of the one thing that was asked for. */
typedef rd_kafka_resp_err_t kafka_outcome(rd_kafka_event_t *event);

static void attempt_making(const struct kafka_trespassing *trespassing,
                           const rd_kafka_AdminOptions_t *options, rd_kafka_queue_t *queue)
{
    char unused[160];
    rd_kafka_NewTopic_t *made = kafka.rd_kafka_NewTopic_new(
        trespassing->name, (int)trespassing->topic->partitions, 1, unused, sizeof unused);
    FH_ASSERT(made != NULL);
    kafka.rd_kafka_CreateTopics(trespassing->broker->client->handle, &made, 1, options, queue);
    kafka.rd_kafka_NewTopic_destroy(made);
}

static rd_kafka_resp_err_t outcome_of_making(rd_kafka_event_t *event)
{
    size_t count = 0;
    const rd_kafka_topic_result_t **found = kafka.rd_kafka_CreateTopics_result_topics(
        kafka.rd_kafka_event_CreateTopics_result(event), &count);
    return count == 1 ? kafka.rd_kafka_topic_result_error(found[0]) : RD_KAFKA_RESP_ERR_UNKNOWN;
}

static void attempt_changing(const struct kafka_trespassing *trespassing,
                             const rd_kafka_AdminOptions_t *options, rd_kafka_queue_t *queue)
{
    rd_kafka_ConfigResource_t *changed =
        kafka.rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, trespassing->name);
    FH_ASSERT(changed != NULL);
    kafka.rd_kafka_ConfigResource_set_config(changed, "cleanup.policy", "delete");
    kafka.rd_kafka_AlterConfigs(trespassing->broker->client->handle, &changed, 1, options, queue);
    kafka.rd_kafka_ConfigResource_destroy(changed);
}

static rd_kafka_resp_err_t outcome_of_changing(rd_kafka_event_t *event)
{
    size_t count = 0;
    const rd_kafka_ConfigResource_t **found = kafka.rd_kafka_AlterConfigs_result_resources(
        kafka.rd_kafka_event_AlterConfigs_result(event), &count);
    return count == 1 ? kafka.rd_kafka_ConfigResource_error(found[0]) : RD_KAFKA_RESP_ERR_UNKNOWN;
}

static void attempt_removing(const struct kafka_trespassing *trespassing,
                             const rd_kafka_AdminOptions_t *options, rd_kafka_queue_t *queue)
{
    rd_kafka_topic_partition_list_t *before = kafka.rd_kafka_topic_partition_list_new(1);
    kafka.rd_kafka_topic_partition_list_add(before, trespassing->name, 0)->offset = 0;
    rd_kafka_DeleteRecords_t *removed = kafka.rd_kafka_DeleteRecords_new(before);
    kafka.rd_kafka_DeleteRecords(trespassing->broker->client->handle, &removed, 1, options, queue);
    kafka.rd_kafka_DeleteRecords_destroy(removed);
    kafka.rd_kafka_topic_partition_list_destroy(before);
}

static rd_kafka_resp_err_t outcome_of_removing(rd_kafka_event_t *event)
{
    const rd_kafka_topic_partition_list_t *found = kafka.rd_kafka_DeleteRecords_result_offsets(
        kafka.rd_kafka_event_DeleteRecords_result(event));
    return found->cnt == 1 ? found->elems[0].err : RD_KAFKA_RESP_ERR_UNKNOWN;
}

static void attempt_group(const struct kafka_trespassing *trespassing,
                          const rd_kafka_AdminOptions_t *options, rd_kafka_queue_t *queue)
{
    const char *group = NOBODYS_GROUP;
    kafka.rd_kafka_DescribeConsumerGroups(trespassing->broker->client->handle, &group, 1, options,
                                          queue);
}

static rd_kafka_resp_err_t outcome_of_group(rd_kafka_event_t *event)
{
    size_t count = 0;
    const rd_kafka_ConsumerGroupDescription_t **found =
        kafka.rd_kafka_DescribeConsumerGroups_result_groups(
            kafka.rd_kafka_event_DescribeConsumerGroups_result(event), &count);
    const rd_kafka_error_t *fault =
        count == 1 ? kafka.rd_kafka_ConsumerGroupDescription_error(found[0]) : NULL;
    if (count != 1)
        return RD_KAFKA_RESP_ERR_UNKNOWN;
    return fault ? kafka.rd_kafka_error_code(fault) : RD_KAFKA_RESP_ERR_NO_ERROR;
}

static const struct {
    rd_kafka_admin_op_t operation;
    bool seen, judged; /* only where the topic may be seen; by `validate_only` */
    kafka_attempt *attempt;
    kafka_outcome *outcome;
    const char *what;
} kafka_attempts[] = {
    {RD_KAFKA_ADMIN_OP_DELETERECORDS, true, false, attempt_removing, outcome_of_removing,
     "remove its messages"},
    {RD_KAFKA_ADMIN_OP_CREATETOPICS, false, true, attempt_making, outcome_of_making, "make it"},
    {RD_KAFKA_ADMIN_OP_ALTERCONFIGS, false, true, attempt_changing, outcome_of_changing,
     "change its settings"},
    {RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, false, false, attempt_group, outcome_of_group,
     "see other subscribers' places"},
};

static bool try_administration(struct kafka_trespassing *trespassing, size_t i)
{
    rd_kafka_t *handle = trespassing->broker->client->handle;
    int left_ms =
        kafka_left_ms(trespassing_world(trespassing), trespassing->deadline_ns, INT32_MAX);
    char unused[160];
    rd_kafka_queue_t *queue = kafka.rd_kafka_queue_new(handle);
    rd_kafka_AdminOptions_t *options =
        kafka.rd_kafka_AdminOptions_new(handle, kafka_attempts[i].operation);
    FH_ASSERT(options != NULL);
    kafka.rd_kafka_AdminOptions_set_request_timeout(options, left_ms, unused, sizeof unused);
    if (kafka_attempts[i].judged)
        kafka.rd_kafka_AdminOptions_set_validate_only(options, 1, unused, sizeof unused);
    kafka_attempts[i].attempt(trespassing, options, queue);
    rd_kafka_event_t *event = kafka.rd_kafka_queue_poll(queue, left_ms + TRESPASS_SLICE_MS);
    rd_kafka_resp_err_t err =
        event ? kafka.rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (!err)
        err = kafka_attempts[i].outcome(event);
    if (event)
        kafka.rd_kafka_event_destroy(event);
    kafka.rd_kafka_AdminOptions_destroy(options);
    kafka.rd_kafka_queue_destroy(queue);
    return judge_attempt(trespassing, err, kafka_attempts[i].what);
}

/* ---- what publishers and subscribers do, by handles of their own ---- */

static void trespass_delivered(rd_kafka_t *handle, const rd_kafka_message_t *message, void *client)
{
    (void)handle;
    (void)client;
    *(rd_kafka_resp_err_t *)message->_private = message->err;
}

static rd_kafka_conf_t *large_conf(struct kafka_trespassing *trespassing)
{
    rd_kafka_conf_t *conf = kafka_conf_new(&trespassing->broker->options, trespassing->error);
    char size[24];
    snprintf(size, sizeof size, "%zu", 2 * TOO_LARGE);
    if (!conf)
        return NULL;
    kafka.rd_kafka_conf_set_dr_msg_cb(conf, trespass_delivered);
    if (kafka_conf_set(conf, "message.max.bytes", size, trespassing->error) == FH_OK &&
        kafka_conf_set(conf, "compression.type", "none", trespassing->error) == FH_OK)
        return conf;
    kafka.rd_kafka_conf_destroy(conf);
    return NULL;
}

static rd_kafka_resp_err_t publish_too_much(const struct kafka_trespassing *trespassing,
                                            struct kafka_client *client, char *data)
{
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__IN_PROGRESS;
    rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = trespassing->name},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = 0},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = &err},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {data, TOO_LARGE}},
    };
    rd_kafka_error_t *failed =
        kafka.rd_kafka_produceva(client->handle, parts, sizeof parts / sizeof *parts);
    if (failed) {
        err = kafka.rd_kafka_error_code(failed);
        kafka.rd_kafka_error_destroy(failed);
    }
    while (err == RD_KAFKA_RESP_ERR__IN_PROGRESS && !trespassing_is_late(trespassing))
        kafka.rd_kafka_poll(client->handle, TRESPASS_SLICE_MS);
    kafka.rd_kafka_purge(client->handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    return err;
}

static bool try_publishing(struct kafka_trespassing *trespassing)
{
    struct kafka_client *client = NULL;
    char *data = calloc(1, TOO_LARGE);
    rd_kafka_conf_t *conf = data ? large_conf(trespassing) : NULL;
    if (!data)
        trespassing->code =
            error_set(trespassing->error, FH_NO_MEMORY, "There is no memory for a message.");
    else if (!conf)
        trespassing->code = trespassing->error->code;
    else
        trespassing->code = kafka_client_new(trespassing_world(trespassing), RD_KAFKA_PRODUCER,
                                             conf, &client, trespassing->error);
    rd_kafka_resp_err_t err =
        client ? publish_too_much(trespassing, client, data) : RD_KAFKA_RESP_ERR_NO_ERROR;
    kafka_client_free(client);
    free(data);
    return !trespassing->code && judge_attempt(trespassing, err, "publish to it");
}

static rd_kafka_conf_t *reading_conf(struct kafka_trespassing *trespassing)
{
    rd_kafka_conf_t *conf = kafka_conf_new(&trespassing->broker->options, trespassing->error);
    if (!conf)
        return NULL;
    if (kafka_conf_set(conf, "group.id", NOBODYS_GROUP, trespassing->error) == FH_OK &&
        kafka_conf_set(conf, "enable.auto.commit", "false", trespassing->error) == FH_OK &&
        kafka_conf_set(conf, "enable.partition.eof", "true", trespassing->error) == FH_OK)
        return conf;
    kafka.rd_kafka_conf_destroy(conf);
    return NULL;
}

/* What comes first: a refusal, or that the end is reached. */
static rd_kafka_resp_err_t read_the_end(const struct kafka_trespassing *trespassing,
                                        struct kafka_client *client)
{
    rd_kafka_topic_partition_list_t *list = kafka.rd_kafka_topic_partition_list_new(1);
    kafka.rd_kafka_topic_partition_list_add(list, trespassing->name, 0)->offset =
        RD_KAFKA_OFFSET_END;
    kafka.rd_kafka_poll_set_consumer(client->handle);
    rd_kafka_queue_t *queue = kafka.rd_kafka_queue_get_consumer(client->handle);
    rd_kafka_resp_err_t err = kafka.rd_kafka_assign(client->handle, list);
    rd_kafka_message_t *message = NULL;
    while (!err && !message && !trespassing_is_late(trespassing))
        kafka.rd_kafka_consume_batch_queue(queue, TRESPASS_SLICE_MS, &message, 1);
    if (message)
        err = message->err;
    else if (!err)
        err = RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (message)
        kafka.rd_kafka_message_destroy(message);
    kafka.rd_kafka_queue_destroy(queue);
    kafka.rd_kafka_topic_partition_list_destroy(list);
    return err;
}

static bool try_reading(struct kafka_trespassing *trespassing)
{
    struct kafka_client *client = NULL;
    rd_kafka_conf_t *conf = reading_conf(trespassing);
    trespassing->code = conf ? kafka_client_new(trespassing_world(trespassing), RD_KAFKA_CONSUMER,
                                                conf, &client, trespassing->error)
                             : trespassing->error->code;
    rd_kafka_resp_err_t err =
        client ? read_the_end(trespassing, client) : RD_KAFKA_RESP_ERR_NO_ERROR;
    kafka_client_free(client);
    return !trespassing->code && judge_attempt(trespassing, err, "read it");
}

/* ---- all of it ---- */

/* Whether the topic may be seen. False: the server did not answer, or has no such topic, of which
 * nothing could be proved. */
static bool try_seeing(struct kafka_trespassing *trespassing, bool *ret_seen)
{
    const struct rd_kafka_metadata *metadata;
    const struct kafka_options *options = &trespassing->broker->options;
    trespassing->code = kafka_look(trespassing->broker->client, options, trespassing->name,
                                   trespassing->deadline_ns, &metadata, trespassing->error);
    if (trespassing->code)
        return false;
    rd_kafka_resp_err_t err = metadata->topic_cnt == 1 ? metadata->topics[0].err
                                                       : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    kafka.rd_kafka_metadata_destroy(metadata);
    *ret_seen = !is_forbidden(err);
    if (!err || !*ret_seen)
        return true;
    trespassing->code =
        kafka_failed(options, "was asked for a topic", err, NULL, trespassing->error);
    return false;
}

static void kafka_trespass_now(void *argument)
{
    struct kafka_trespassing *trespassing = argument;
    bool seen = false;
    if (!trespassing->broker->client)
        trespassing->code = kafka_client_renew(trespassing->broker, false, trespassing->error);
    if (trespassing->code || !try_seeing(trespassing, &seen))
        return;
    if (seen && !trespassing->reads)
        broker_open_add(trespassing->open, "see it");
    if (seen &&
        (!try_publishing(trespassing) || (!trespassing->reads && !try_reading(trespassing))))
        return;
    for (size_t i = 0; i < sizeof kafka_attempts / sizeof *kafka_attempts; i++) {
        if ((seen || !kafka_attempts[i].seen) && !try_administration(trespassing, i))
            return;
    }
}

enum fh_code kafka_trespass(struct broker *base, const struct broker_topic *topic, bool reads,
                            int64_t deadline_ns, char ret[static BROKER_OPEN_SIZE],
                            struct fh_error *error)
{
    struct kafka_broker *broker = kafka_of(base);
    struct kafka_trespassing trespassing = {.broker = broker,
                                            .topic = topic,
                                            .reads = reads,
                                            .deadline_ns = deadline_ns,
                                            .open = ret,
                                            .error = error};
    ret[0] = '\0';
    kafka_topic_name(topic, trespassing.name);
    broker_worker_run(broker->producer, kafka_trespass_now, &trespassing);
    return trespassing.code;
}
