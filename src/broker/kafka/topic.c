/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topics. One is made where it is missing, such that nothing of it is ever compacted away: its
 * oldest segments go when there are too many or they are too old, and whoever has not read them
 * takes the events from the publisher's feed. One that is there already is taken as it is, unless
 * it would lose events that were acknowledged, or could take none.
 */

#include <stdlib.h>
#include <string.h>

#include "broker/kafka/internal.h"
#include "world/world.h"

#define SEGMENT_MIN (INT64_C(16) << 20)
#define SEGMENT_MAX (INT64_C(1) << 30)
#define SEGMENT_MS_MAX (INT64_C(7) * 86400000)
#define SEGMENTS 4 /* of what is kept, at least */
#define TOPIC_LOOK_MS 20
#define KAFKA_NUMBER_SIZE 24

struct kafka_declaring {
    struct kafka_broker *broker;
    const struct broker_topic *topic;
    char name[KAFKA_WORD_SIZE];
    int64_t deadline_ns;
    enum fh_code code;
    struct fh_error *error;
};

static struct world *declaring_world(const struct kafka_declaring *declaring)
{
    return declaring->broker->base.world;
}

static int declaring_left_ms(const struct kafka_declaring *declaring)
{
    return kafka_left_ms(declaring_world(declaring), declaring->deadline_ns, 60000);
}

/* The answer to what `options` were given with. NULL: none came in time. */
static rd_kafka_event_t *wait_for_answer(const struct kafka_declaring *declaring,
                                         rd_kafka_queue_t *queue)
{
    return kafka.rd_kafka_queue_poll(queue, declaring_left_ms(declaring) + TOPIC_LOOK_MS);
}

static rd_kafka_AdminOptions_t *admin_options_new(const struct kafka_declaring *declaring,
                                                  rd_kafka_admin_op_t operation)
{
    char unused[160];
    rd_kafka_AdminOptions_t *options =
        kafka.rd_kafka_AdminOptions_new(declaring->broker->client->handle, operation);
    FH_ASSERT(options != NULL);
    kafka.rd_kafka_AdminOptions_set_request_timeout(options, declaring_left_ms(declaring), unused,
                                                    sizeof unused);
    return options;
}

/* ---- one that is there ---- */

struct kafka_topic_settings {
    bool compacts;
    int64_t in_sync, record_size; /* 0: unknown */
    int64_t keep_ms;              /* the same; negative: for ever */
};

static void read_topic_settings(const rd_kafka_ConfigResource_t *resource,
                                struct kafka_topic_settings *ret)
{
    size_t count = 0;
    const rd_kafka_ConfigEntry_t **entries =
        kafka.rd_kafka_ConfigResource_configs(resource, &count);
    for (size_t i = 0; i < count; i++) {
        const char *name = kafka.rd_kafka_ConfigEntry_name(entries[i]);
        const char *value = kafka.rd_kafka_ConfigEntry_value(entries[i]);
        if (!value)
            continue;
        if (strcmp(name, "cleanup.policy") == 0)
            ret->compacts = strstr(value, "compact") != NULL;
        else if (strcmp(name, "min.insync.replicas") == 0)
            ret->in_sync = strtoll(value, NULL, 10);
        else if (strcmp(name, "retention.ms") == 0)
            ret->keep_ms = strtoll(value, NULL, 10);
        else if (strcmp(name, "max.message.bytes") == 0)
            ret->record_size = strtoll(value, NULL, 10);
    }
}

/* Nothing is known if we may not see them: then the topic is taken as it is. */
static void ask_topic_settings(const struct kafka_declaring *declaring,
                               struct kafka_topic_settings *ret)
{
    rd_kafka_t *handle = declaring->broker->client->handle;
    rd_kafka_ConfigResource_t *asked =
        kafka.rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, declaring->name);
    rd_kafka_AdminOptions_t *options =
        admin_options_new(declaring, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_queue_t *queue = kafka.rd_kafka_queue_new(handle);
    size_t count = 0;
    kafka.rd_kafka_DescribeConfigs(handle, &asked, 1, options, queue);
    rd_kafka_event_t *event = wait_for_answer(declaring, queue);
    const rd_kafka_event_t *result =
        event ? kafka.rd_kafka_event_DescribeConfigs_result(event) : NULL;
    const rd_kafka_ConfigResource_t **found =
        result ? kafka.rd_kafka_DescribeConfigs_result_resources(result, &count) : NULL;
    *ret = (struct kafka_topic_settings){0};
    if (count == 1 && !kafka.rd_kafka_ConfigResource_error(found[0]))
        read_topic_settings(found[0], ret);
    if (event)
        kafka.rd_kafka_event_destroy(event);
    kafka.rd_kafka_queue_destroy(queue);
    kafka.rd_kafka_AdminOptions_destroy(options);
    kafka.rd_kafka_ConfigResource_destroy(asked);
}

static enum fh_code judge_topic_settings(const struct kafka_declaring *declaring, int replicas)
{
    struct kafka_topic_settings is;
    const char *name = declaring->name;
    struct fh_error *error = declaring->error;
    int64_t outside_ms = declaring->broker->options.outside_kept_s * 1000;
    ask_topic_settings(declaring, &is);
    if (is.compacts)
        return error_set(error, FH_CONFLICT,
                         "Kafka would drop older events of a key from the topic %.140s: set its "
                         "cleanup.policy to delete.",
                         name);
    if (is.in_sync > replicas)
        return error_set(error, FH_CONFLICT,
                         "Kafka takes no event into the topic %.100s, which has %d replicas and "
                         "min.insync.replicas %lld: give it more, or lower that.",
                         name, replicas, (long long)is.in_sync);
    if (is.record_size && is.record_size < (int64_t)KAFKA_RECORD_SIZE_MAX)
        return error_set(error, FH_CONFLICT,
                         "Kafka takes events of %lld bytes into the topic %.120s: set its "
                         "max.message.bytes to %zu at least.",
                         (long long)is.record_size, name, KAFKA_RECORD_SIZE_MAX);
    if (is.keep_ms > 0 && is.keep_ms < outside_ms)
        return error_set(
            error, FH_CONFLICT,
            "Kafka keeps events in the topic %.64s for %lld ms, and \"outside_kept_s\" "
            "says more: set its retention.ms to %lld.",
            name, (long long)is.keep_ms, (long long)outside_ms);
    return FH_OK;
}

static enum fh_code judge_topic(const struct kafka_declaring *declaring,
                                const rd_kafka_metadata_topic_t *found)
{
    const struct kafka_options *options = &declaring->broker->options;
    int replicas = INT32_MAX;
    if ((unsigned)found->partition_cnt != declaring->topic->partitions)
        return error_set(declaring->error, FH_CONFLICT,
                         "Kafka has the topic %.140s with %d partitions, not %u: their number "
                         "can't change.",
                         declaring->name, found->partition_cnt, declaring->topic->partitions);
    for (int i = 0; i < found->partition_cnt; i++) {
        if (found->partitions[i].replica_cnt < replicas)
            replicas = found->partitions[i].replica_cnt;
    }
    if (replicas < options->replicas)
        return error_set(declaring->error, FH_CONFLICT,
                         "Kafka has the topic %.140s on %d servers, not %d as \"replicas\" of the "
                         "bus says.",
                         declaring->name, replicas, options->replicas);
    return judge_topic_settings(declaring, replicas);
}

/* ---- one that is not ---- */

static rd_kafka_NewTopic_t *new_topic(const struct kafka_declaring *declaring)
{
    const struct kafka_options *options = &declaring->broker->options;
    unsigned partitions = declaring->topic->partitions;
    int64_t keep = options->keep_bytes / partitions, segment = keep / SEGMENTS;
    int64_t keep_ms = 1000 * (options->keep_s > options->outside_kept_s ? options->keep_s
                                                                        : options->outside_kept_s);
    int64_t segment_ms = keep_ms / SEGMENTS;
    segment = segment < SEGMENT_MIN ? SEGMENT_MIN : segment > SEGMENT_MAX ? SEGMENT_MAX : segment;
    if (segment_ms > SEGMENT_MS_MAX)
        segment_ms = SEGMENT_MS_MAX;
    char texts[6][KAFKA_NUMBER_SIZE], text[160];
    snprintf(texts[0], KAFKA_NUMBER_SIZE, "%lld", (long long)keep_ms);
    snprintf(texts[1], KAFKA_NUMBER_SIZE, "%lld", (long long)(keep ? keep : 1));
    snprintf(texts[2], KAFKA_NUMBER_SIZE, "%lld", (long long)segment);
    snprintf(texts[3], KAFKA_NUMBER_SIZE, "%lld", (long long)segment_ms);
    snprintf(texts[4], KAFKA_NUMBER_SIZE, "%zu", KAFKA_RECORD_SIZE_MAX);
    snprintf(texts[5], KAFKA_NUMBER_SIZE, "%d",
             options->replicas > 2 ? options->replicas / 2 + 1 : 1);
    const char *const settings[][2] = {
        {"retention.ms", texts[0]},      {"retention.bytes", texts[1]},
        {"segment.bytes", texts[2]},     {"segment.ms", texts[3]},
        {"max.message.bytes", texts[4]}, {"min.insync.replicas", texts[5]},
        {"cleanup.policy", "delete"},    {"message.timestamp.type", "LogAppendTime"},
    };
    rd_kafka_NewTopic_t *made = kafka.rd_kafka_NewTopic_new(declaring->name, (int)partitions,
                                                            options->replicas, text, sizeof text);
    FH_ASSERT(made != NULL);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        kafka.rd_kafka_NewTopic_set_config(made, settings[i][0], settings[i][1]);
    return made;
}

/* *ret_made: not if somebody else was first, and that one is to be judged. */
static enum fh_code create_topic(const struct kafka_declaring *declaring, bool *ret_made)
{
    struct kafka_broker *broker = declaring->broker;
    rd_kafka_NewTopic_t *made = new_topic(declaring);
    rd_kafka_AdminOptions_t *options = admin_options_new(declaring, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_queue_t *queue = kafka.rd_kafka_queue_new(broker->client->handle);
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__TIMED_OUT;
    const char *text = NULL;
    size_t count = 0;
    kafka.rd_kafka_AdminOptions_set_operation_timeout(options, declaring_left_ms(declaring), NULL,
                                                      0);
    kafka.rd_kafka_CreateTopics(broker->client->handle, &made, 1, options, queue);
    rd_kafka_event_t *event = wait_for_answer(declaring, queue);
    const rd_kafka_event_t *result = event ? kafka.rd_kafka_event_CreateTopics_result(event) : NULL;
    const rd_kafka_topic_result_t **results =
        result ? kafka.rd_kafka_CreateTopics_result_topics(result, &count) : NULL;
    if (count == 1) {
        err = kafka.rd_kafka_topic_result_error(results[0]);
        text = kafka.rd_kafka_topic_result_error_string(results[0]);
    } else if (event) {
        err = kafka.rd_kafka_event_error(event);
        text = kafka.rd_kafka_event_error_string(event);
    }
    enum fh_code code =
        err && err != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS
            ? kafka_failed(&broker->options, "can't make a topic", err, text, declaring->error)
            : FH_OK;
    *ret_made = !err;
    if (event)
        kafka.rd_kafka_event_destroy(event);
    kafka.rd_kafka_queue_destroy(queue);
    kafka.rd_kafka_AdminOptions_destroy(options);
    kafka.rd_kafka_NewTopic_destroy(made);
    return code;
}

/* ---- declare ---- */

/* Whether each of its partitions can be written to: after it was made that takes a moment. */
static bool topic_is_ready(const rd_kafka_metadata_topic_t *found)
{
    bool ready = !found->err && found->partition_cnt > 0;
    for (int i = 0; i < found->partition_cnt && ready; i++)
        ready = found->partitions[i].leader >= 0;
    return ready;
}

/* *ret_missing: there is none, and nothing is said of it. */
static enum fh_code look_and_judge(const struct kafka_declaring *declaring, bool made,
                                   bool *ret_missing, bool *ret_ready)
{
    struct kafka_broker *broker = declaring->broker;
    const struct rd_kafka_metadata *metadata;
    *ret_missing = *ret_ready = false;
    enum fh_code code = kafka_look(broker->client, &broker->options, declaring->name,
                                   declaring->deadline_ns, &metadata, declaring->error);
    if (code)
        return code;
    const rd_kafka_metadata_topic_t *found = &metadata->topics[0];
    if (metadata->topic_cnt != 1 || found->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        *ret_missing = true;
    else if (topic_is_ready(found))
        *ret_ready = true;
    else if (found->err && found->err != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)
        code = kafka_failed(&broker->options, "can't be asked for a topic", found->err, NULL,
                            declaring->error);
    if (*ret_ready && !made)
        code = judge_topic(declaring, found);
    kafka.rd_kafka_metadata_destroy(metadata);
    return code;
}

static void kafka_declare_now(void *argument)
{
    struct kafka_declaring *declaring = argument;
    struct kafka_broker *broker = declaring->broker;
    bool missing = false, ready = false, tried = false, made = false;
    enum fh_code code =
        broker->client ? FH_OK : kafka_client_renew(broker, false, declaring->error);
    while (!code && !ready) {
        code = look_and_judge(declaring, made, &missing, &ready);
        if (code || ready)
            break;
        if (missing && !tried)
            code = create_topic(declaring, &made);
        else if (world_monotonic_ns(declaring_world(declaring)) >= declaring->deadline_ns)
            code = kafka_failed(&broker->options, "has no leader for a topic's partitions",
                                RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, declaring->error);
        else
            kafka.rd_kafka_poll(broker->client->handle, TOPIC_LOOK_MS);
        tried |= missing;
    }
    declaring->code = code;
}

enum fh_code kafka_declare(struct broker *base, const struct broker_topic *topic,
                           int64_t deadline_ns, struct fh_error *error)
{
    struct kafka_broker *broker = kafka_of(base);
    struct kafka_declaring declaring = {
        .broker = broker, .topic = topic, .deadline_ns = deadline_ns, .error = error};
    FH_ASSERT(topic->partitions >= 1 && topic->partitions <= BROKER_PARTITIONS_MAX);
    kafka_topic_name(topic, declaring.name);
    broker_worker_run(broker->producer, kafka_declare_now, &declaring);
    return declaring.code;
}
