/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams, and messages into them. A topic is a stream that takes one subject a partition: their
 * number says how many there are. Its oldest messages go when it has too many or they are too old:
 * whoever has not read them takes the events from the publisher's feed.
 *
 * A call's messages are sent one after the other, then all acknowledgements are waited for: the
 * library counts those that are missing, and calls back for those that the server refused. After a
 * timeout it is told to forget the missing ones, so that late ones count for no later call.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/nats/internal.h"
#include "world/world.h"

#define DUPLICATES_NS INT64_C(120000000000) /* how long the server knows an id */
#define LOOK_MS 100                         /* between two looks at the connection */
#define FRAME_SIZE (16 << 10)               /* of a message, beside its data */

/* ---- declare ---- */

struct declaring {
    struct nats_broker *broker;
    const struct broker_topic *topic;
    int64_t timeout_ms;
    enum fh_code code;
    struct fh_error *error;
};

static enum fh_code judge_stream(const struct declaring *declaring, const jsStreamInfo *stream)
{
    const struct broker_topic *topic = declaring->topic;
    int64_t outside_ns = declaring->broker->options.outside_kept_s * INT64_C(1000000000);
    if ((unsigned)stream->Config->SubjectsLen != topic->partitions)
        return error_set(declaring->error, FH_CONFLICT,
                         "NATS has the topic %.128s with %d partitions, not %u: their number can't "
                         "change.",
                         topic->name, stream->Config->SubjectsLen, topic->partitions);
    if (stream->Config->MaxAge && stream->Config->MaxAge < outside_ns)
        return error_set(declaring->error, FH_CONFLICT,
                         "NATS keeps events of %.64s for %lld s, not %lld s as \"outside_kept_s\" "
                         "says: set its stream's max age to that.",
                         topic->name, (long long)stream->Config->MaxAge / 1000000000,
                         (long long)outside_ns / 1000000000);
    return FH_OK;
}

static int64_t nats_keep_s(const struct nats_options *options)
{
    return options->keep_s > options->outside_kept_s ? options->keep_s : options->outside_kept_s;
}

static natsStatus add_stream(struct declaring *declaring, const char *name, jsOptions *options,
                             jsErrCode *server)
{
    const struct nats_options *from = &declaring->broker->options;
    char(*subjects)[NATS_WORD_SIZE] = calloc(BROKER_PARTITIONS_MAX, sizeof *subjects);
    const char *list[BROKER_PARTITIONS_MAX];
    jsStreamConfig config;
    if (!subjects)
        return NATS_NO_MEMORY;
    nats.jsStreamConfig_Init(&config);
    for (unsigned i = 0; i < declaring->topic->partitions; i++) {
        nats_subject(declaring->topic, i, subjects[i]);
        list[i] = subjects[i];
    }
    config.Name = name;
    config.Description = "Events of a Freehold service, from its outbox.";
    config.Subjects = list;
    config.SubjectsLen = (int)declaring->topic->partitions;
    config.Retention = js_LimitsPolicy;
    config.Discard = js_DiscardOld;
    config.Storage = js_FileStorage;
    config.Replicas = from->replicas;
    config.MaxAge = nats_keep_s(from) * INT64_C(1000000000);
    config.MaxBytes = from->keep_bytes;
    config.MaxMsgSize = (int32_t)BROKER_MESSAGE_SIZE_MAX + FRAME_SIZE;
    config.Duplicates =
        DUPLICATES_NS < config.MaxAge ? DUPLICATES_NS : config.MaxAge; /* the server wants it so */
    natsStatus status =
        nats.js_AddStream(NULL, declaring->broker->stream, &config, options, server);
    free(subjects);
    return status;
}

static void nats_declare_now(void *argument)
{
    struct declaring *declaring = argument;
    struct nats_broker *broker = declaring->broker;
    char name[NATS_WORD_SIZE];
    jsStreamInfo *found = NULL;
    jsErrCode server = 0;
    jsOptions options;
    nats_stream_name(declaring->topic, name);
    nats.jsOptions_Init(&options);
    options.Wait = declaring->timeout_ms;
    natsStatus status = nats.js_GetStreamInfo(&found, broker->stream, name, &options, &server);
    if (status == NATS_NOT_FOUND || server == JSStreamNotFoundErr) {
        server = 0;
        status = add_stream(declaring, name, &options, &server);
        if (server == JSStreamNameExistErr) /* another instance was first */
            status = nats.js_GetStreamInfo(&found, broker->stream, name, &options, &server);
    }
    if (status != NATS_OK)
        declaring->code = nats_failed(broker, "can't make a stream for a topic", status,
                                      (int)server, declaring->error);
    else if (found)
        declaring->code = judge_stream(declaring, found);
    nats.jsStreamInfo_Destroy(found);
}

enum fh_code nats_declare(struct broker *base, const struct broker_topic *topic,
                          int64_t deadline_ns, struct fh_error *error)
{
    struct nats_broker *broker = nats_of(base);
    struct declaring declaring = {.broker = broker,
                                  .topic = topic,
                                  .timeout_ms = nats_left_ms(base->world, deadline_ns),
                                  .error = error};
    FH_ASSERT(topic->partitions >= 1 && topic->partitions <= BROKER_PARTITIONS_MAX);
    FH_ASSERT(strlen(topic->name) <= BROKER_TOPIC_LENGTH_MAX);
    enum fh_code code = nats_is_connected(broker, error);
    if (code)
        return code;
    broker_worker_run(broker->worker, nats_declare_now, &declaring);
    return declaring.code;
}

/* ---- publish ---- */

struct publishing {
    struct nats_broker *broker;
    const struct broker_topic *topic;
    const struct broker_message *messages;
    int count;
    int64_t deadline_ns;
    enum fh_code code;
    struct fh_error *error;
};

static natsStatus send_message(struct publishing *publishing, const struct broker_message *message)
{
    char subject[NATS_WORD_SIZE], stream[NATS_WORD_SIZE];
    natsMsg *sent = NULL;
    jsPubOptions options;
    nats_subject(publishing->topic, message->partition, subject);
    nats_stream_name(publishing->topic, stream);
    nats.jsPubOptions_Init(&options);
    options.MsgId = message->id;
    options.ExpectStream = stream;
    natsStatus status =
        nats.natsMsg_Create(&sent, subject, NULL, message->data, (int)message->length);
    if (status == NATS_OK)
        status = nats.js_PublishMsgAsync(publishing->broker->stream, &sent, &options);
    nats.natsMsg_Destroy(sent);
    return status;
}

/* What is published asynchronously the library sends a millisecond later, unless more comes. With
 * a ping all goes now; what became of that the acknowledgements say. */
static void send_at_once(const struct publishing *publishing)
{
    struct nats_broker *broker = publishing->broker;
    int64_t left_ms = nats_left_ms(broker->base.world, publishing->deadline_ns);
    nats.natsConnection_FlushTimeout(broker->connection, left_ms < LOOK_MS ? left_ms : LOOK_MS);
}

static void forget_sent(struct nats_broker *broker)
{
    natsMsgList missing = {0};
    if (nats.js_PublishAsyncGetPendingList(&missing, broker->stream) == NATS_OK)
        nats.natsMsgList_Destroy(&missing);
}

/* What was under way when the connection was lost is not waited for. */
static natsStatus wait_for_acknowledgements(const struct publishing *publishing,
                                            uint64_t disconnected)
{
    struct nats_broker *broker = publishing->broker;
    natsStatus status;
    jsPubOptions options;
    nats.jsPubOptions_Init(&options);
    do {
        int64_t left_ms = nats_left_ms(broker->base.world, publishing->deadline_ns);
        options.MaxWait = left_ms < LOOK_MS ? left_ms : LOOK_MS;
        status = nats.js_PublishAsyncComplete(broker->stream, &options);
    } while (status == NATS_TIMEOUT && atomic_load(&nats_disconnected) == disconnected &&
             world_monotonic_ns(broker->base.world) < publishing->deadline_ns);
    return status;
}

static void nats_publish_now(void *argument)
{
    struct publishing *publishing = argument;
    struct nats_broker *broker = publishing->broker;
    uint64_t refused = atomic_load(&nats_refused);
    uint64_t disconnected = atomic_load(&nats_disconnected);
    natsStatus status = NATS_OK;
    for (int i = 0; i < publishing->count && status == NATS_OK; i++)
        status = send_message(publishing, &publishing->messages[i]);
    if (status == NATS_OK) {
        send_at_once(publishing);
        status = wait_for_acknowledgements(publishing, disconnected);
    }
    if (status != NATS_OK) {
        forget_sent(broker);
        publishing->code = nats_failed(broker, "did not acknowledge all that was published", status,
                                       0, publishing->error);
    } else if (atomic_load(&nats_refused) != refused) {
        publishing->code = error_set(
            publishing->error, FH_UNAVAILABLE,
            "NATS at %s:%d refused messages of the topic %.100s: its stream is missing or full.",
            broker->options.host, broker->options.port, publishing->topic->name);
    }
}

enum fh_code nats_publish(struct broker *base, const struct broker_topic *topic,
                          const struct broker_message *messages, int count, int64_t deadline_ns,
                          struct fh_error *error)
{
    struct nats_broker *broker = nats_of(base);
    struct publishing publishing = {.broker = broker,
                                    .topic = topic,
                                    .messages = messages,
                                    .count = count,
                                    .deadline_ns = deadline_ns,
                                    .error = error};
    enum fh_code code = nats_is_connected(broker, error);
    for (int i = 0; i < count && !code; i++) {
        if (messages[i].length > BROKER_MESSAGE_SIZE_MAX)
            code = error_set(error, FH_INVALID, "A message has %zu bytes; %zu are the most.",
                             messages[i].length, BROKER_MESSAGE_SIZE_MAX);
    }
    if (code)
        return code;
    broker_worker_run(broker->worker, nats_publish_now, &publishing);
    return publishing.code;
}
