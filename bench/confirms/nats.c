/* SPDX-License-Identifier: Apache-2.0 */
/* Into a JetStream stream of its own, as the relay's are: files, a subject a partition, an id a
 * message. */

#include <nats/nats.h>

#include "confirms.h"

#define PENDING_MAX 8192
#define WAIT_MS 60000

static void check(const char *what, natsStatus status)
{
    if (status != NATS_OK)
        confirms_fail(what, natsStatus_GetText(status));
}

static void refused(jsCtx *stream, jsPubAckErr *error, void *unused)
{
    (void)stream;
    (void)unused;
    confirms_fail("a message was refused", error->ErrText);
}

static void make_stream(const struct confirms *confirms, jsCtx *stream)
{
    char subjects[CONFIRMS_PARTITIONS][CONFIRMS_NAME_SIZE];
    const char *list[CONFIRMS_PARTITIONS];
    jsStreamConfig config;
    jsErrCode code;
    jsStreamConfig_Init(&config);
    for (unsigned i = 0; i < CONFIRMS_PARTITIONS; i++) {
        snprintf(subjects[i], sizeof subjects[i], "%.128s.%u", confirms->topic, i);
        list[i] = subjects[i];
    }
    config.Name = confirms->topic;
    config.Subjects = list;
    config.SubjectsLen = CONFIRMS_PARTITIONS;
    config.Storage = js_FileStorage;
    config.Discard = js_DiscardOld;
    config.MaxBytes = INT64_C(1) << 30;
    check("a stream", js_AddStream(NULL, stream, &config, NULL, &code));
}

static void publish(const struct confirms *confirms, jsCtx *stream, int n)
{
    char subject[CONFIRMS_NAME_SIZE], id[CONFIRMS_NAME_SIZE];
    jsPubOptions options;
    jsPubOptions_Init(&options);
    snprintf(subject, sizeof subject, "%.128s.%u", confirms->topic, confirms_partition(n));
    snprintf(id, sizeof id, "%.128s-%d", confirms->topic, n);
    options.MsgId = id;
    options.ExpectStream = confirms->topic;
    check("a message",
          js_PublishAsync(stream, subject, confirms->message, confirms->size, &options));
}

/* One after the other, each confirmed, as a consumer gets them that acknowledges. */
static void publish_lone(const struct confirms *confirms, jsCtx *stream)
{
    char subject[CONFIRMS_NAME_SIZE];
    natsSubscription *subscription;
    jsSubOptions options;
    jsErrCode code;
    jsSubOptions_Init(&options);
    options.Stream = confirms->topic;
    options.ManualAck = true;
    options.Config.AckPolicy = js_AckExplicit;
    snprintf(subject, sizeof subject, "%.128s.0", confirms->topic);
    check("a consumer", js_SubscribeSync(&subscription, stream, subject, NULL, &options, &code));
    for (int i = 0; i < confirms->count; i++) {
        double began_s = confirms_now_s();
        natsMsg *message;
        check("a message",
              js_Publish(NULL, stream, subject, confirms->message, confirms->size, NULL, &code));
        check("a message", natsSubscription_NextMsg(&message, subscription, WAIT_MS));
        confirms->took_ms[i] = (confirms_now_s() - began_s) * 1000;
        natsMsg_Ack(message, NULL);
        natsMsg_Destroy(message);
    }
    natsSubscription_Destroy(subscription);
}

/* ---- through ---- */

static natsConnection *reads;
static natsSubscription *through;

static void *read_all(void *argument)
{
    struct confirms *confirms = argument;
    for (int i = 1; i <= confirms->count; i++) {
        natsMsg *message;
        check("a message", natsSubscription_NextMsg(&message, through, WAIT_MS));
        if (i % CONFIRMS_ACKNOWLEDGED_EVERY == 0 || i == confirms->count)
            natsMsg_Ack(message, NULL);
        natsMsg_Destroy(message);
    }
    confirms->read_s = confirms_now_s();
    return NULL;
}

/* By a connection of its own, as a subscriber's. */
static void read_through(struct confirms *confirms, natsOptions *own)
{
    jsCtx *stream;
    char subjects[CONFIRMS_NAME_SIZE];
    jsSubOptions options;
    jsErrCode code;
    if (!confirms->through)
        return;
    check("the server", natsConnection_Connect(&reads, own));
    check("JetStream", natsConnection_JetStream(&stream, reads, NULL));
    jsSubOptions_Init(&options);
    options.Stream = confirms->topic;
    options.ManualAck = true;
    options.Config.AckPolicy = js_AckAll;
    options.Config.MaxAckPending = PENDING_MAX;
    snprintf(subjects, sizeof subjects, "%.128s.*", confirms->topic);
    check("a consumer", js_SubscribeSync(&through, stream, subjects, NULL, &options, &code));
    jsCtx_Destroy(stream);
    confirms_read(confirms, read_all);
}

int main(int argc, char **argv)
{
    struct confirms confirms;
    natsOptions *options = NULL;
    natsConnection *connection = NULL;
    jsCtx *stream = NULL;
    char url[512];
    jsOptions how;
    jsPubOptions waits;
    confirms_begin(&confirms, argc, argv, "FREEHOLD_TEST_NATS");
    snprintf(url, sizeof url, "nats://%s:%d", confirms.host, confirms.port);
    check("options", natsOptions_Create(&options));
    check("options", natsOptions_SetURL(options, url));
    check("options", natsOptions_SetUserInfo(options, confirms.user, confirms.password));
    check("the server", natsConnection_Connect(&connection, options));
    jsOptions_Init(&how);
    how.PublishAsync.MaxPending = PENDING_MAX;
    how.PublishAsync.StallWait = WAIT_MS;
    how.PublishAsync.ErrHandler = refused;
    check("JetStream", natsConnection_JetStream(&stream, connection, &how));
    make_stream(&confirms, stream);
    read_through(&confirms, options);
    double began_s = confirms_now_s();
    if (confirms.lone)
        publish_lone(&confirms, stream);
    for (int i = 0; i < confirms.count && !confirms.lone; i++)
        publish(&confirms, stream, i);
    jsPubOptions_Init(&waits);
    waits.MaxWait = WAIT_MS;
    check("confirms", js_PublishAsyncComplete(stream, &waits));
    confirms_end(&confirms, began_s);
    natsSubscription_Destroy(through);
    natsConnection_Destroy(reads);
    js_DeleteStream(stream, argv[1], NULL, NULL);
    jsCtx_Destroy(stream);
    natsConnection_Destroy(connection);
    natsOptions_Destroy(options);
    return 0;
}
