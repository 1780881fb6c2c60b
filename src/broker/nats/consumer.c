/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing a consumer. It is one of JetStream's durable pull consumers for each
 * partition, or one for all of them; they begin with new messages, and with what was not
 * acknowledged where one of that name was there before. That one is removed and made again from its
 * acknowledgements: the server would deliver what its last user had in hand only a minute later,
 * and a user who still has it open is shut out so. If the process dies between the two, the next
 * one begins with new messages, and its subscription takes what is missing from the feed.
 *
 * The library's threads call back for as long as a subscription exists, and once when it has ended:
 * whoever leaves last frees the consumer.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/nats/internal.h"
#include "world/world.h"

struct opening {
    struct nats_broker *broker;
    struct nats_consumer *consumer;
    int64_t timeout_ms;
    enum fh_code code;
    struct fh_error *error;
};

void nats_durable_name(const char *name, unsigned partition, unsigned of,
                       char ret[static NATS_WORD_SIZE])
{
    if (of == 1)
        snprintf(ret, NATS_WORD_SIZE, "%s", name);
    else
        snprintf(ret, NATS_WORD_SIZE, "%s-%u-of-%u", name, partition, of);
}

/* ---- memory ---- */

static struct nats_consumer *nats_consumer_of(struct nats_broker *broker, unsigned pulls)
{
    struct nats_consumer *consumer =
        calloc(1, sizeof *consumer + pulls * sizeof consumer->pulls[0]);
    if (!consumer)
        return NULL;
    consumer->base = (struct broker_consumer){.broker = &broker->base};
    consumer->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (consumer->wake_fd < 0) {
        free(consumer);
        return NULL;
    }
    atomic_init(&consumer->users, 1);
    pthread_mutex_init(&consumer->mutex, NULL);
    consumer->end = &consumer->first;
    consumer->newest = &consumer->oldest;
    consumer->pull_count = pulls;
    for (unsigned i = 0; i < pulls; i++)
        consumer->pulls[i].consumer = consumer;
    return consumer;
}

struct nats_consumer *nats_source_new(struct nats_broker *broker, const char *stream)
{
    struct nats_consumer *consumer = nats_consumer_of(broker, 1);
    if (!consumer)
        return NULL;
    consumer->source = true;
    snprintf(consumer->stream, sizeof consumer->stream, "%s", stream);
    return consumer;
}

static struct nats_consumer *nats_consumer_new(struct nats_broker *broker,
                                               const struct broker_topic *topic, const char *name,
                                               unsigned index, unsigned of)
{
    unsigned pulls = of == 1 ? 1 : (topic->partitions - index + of - 1) / of;
    struct nats_consumer *consumer = nats_consumer_of(broker, pulls);
    if (!consumer)
        return NULL;
    snprintf(consumer->topic_name, sizeof consumer->topic_name, "%s", topic->name);
    consumer->topic = (struct broker_topic){consumer->topic_name, topic->partitions};
    nats_stream_name(topic, consumer->stream);
    for (unsigned i = 0; i < pulls; i++) {
        struct nats_pull *pull = &consumer->pulls[i];
        unsigned partition = index + i * of;
        if (of == 1)
            snprintf(pull->filter, sizeof pull->filter, "freehold.%s.*", topic->name);
        else
            nats_subject(topic, partition, pull->filter);
        nats_durable_name(name, partition, of, pull->durable);
        snprintf(pull->request, sizeof pull->request, "$JS.API.CONSUMER.MSG.NEXT.%s.%s",
                 consumer->stream, pull->durable);
    }
    return consumer;
}

static void free_arrived(struct nats_consumer *consumer)
{
    struct nats_arrived *arrived;
    while ((arrived = consumer->first)) {
        consumer->first = arrived->next;
        nats.natsMsg_Destroy(arrived->message);
        free(arrived);
    }
}

static void free_unacknowledged(struct nats_consumer *consumer)
{
    struct nats_unacknowledged *at;
    while ((at = consumer->oldest)) {
        consumer->oldest = at->next;
        free(at->reply);
        free(at);
    }
}

void nats_consumer_left(struct nats_consumer *consumer)
{
    if (atomic_fetch_sub(&consumer->users, 1) != 1)
        return;
    free_arrived(consumer);
    free_unacknowledged(consumer);
    for (int i = 0; i < consumer->taken_count; i++)
        nats.natsMsg_Destroy(consumer->taken[i]);
    for (unsigned i = 0; i < consumer->pull_count; i++)
        nats.natsInbox_Destroy(consumer->pulls[i].inbox);
    close(consumer->wake_fd);
    pthread_mutex_destroy(&consumer->mutex);
    free(consumer);
}

/* ---- the library's callbacks, on its threads ---- */

/* A message without data tells how a request has ended, and how much of it was not fulfilled. */
static bool request_ended(struct nats_pull *pull, natsMsg *message)
{
    const char *status = NULL, *left = NULL, *why = NULL;
    const char *reply = nats.natsMsg_GetReply(message);
    if (reply && strncmp(reply, "$JS.ACK.", 8) == 0)
        return false; /* a stream's, whatever its publisher has put into its headers */
    if (nats.natsMsg_GetDataLength(message) > 0 ||
        nats.natsMsgHeader_Get(message, "Status", &status) != NATS_OK)
        return false;
    if (strcmp(status, "100") == 0)
        return true; /* the server is still there */
    if (strcmp(status, "503") == 0 ||
        (nats.natsMsgHeader_Get(message, "Description", &why) == NATS_OK && why &&
         strstr(why, "Deleted")))
        atomic_store(&pull->gone, true);
    if (nats.natsMsgHeader_Get(message, "Nats-Pending-Messages", &left) == NATS_OK)
        atomic_fetch_sub(&pull->asked, (int)strtol(left, NULL, 10) % (NATS_ASKED_MAX + 1));
    else
        atomic_store(&pull->asked, 0);
    return true;
}

void nats_consumer_wake(struct nats_consumer *consumer)
{
    broker_signal(consumer->wake_fd);
}

static void nats_arrived(natsConnection *connection, natsSubscription *subscription,
                         natsMsg *message, void *owner)
{
    struct nats_pull *pull = owner;
    struct nats_consumer *consumer = pull->consumer;
    struct nats_arrived *arrived = NULL;
    (void)connection;
    (void)subscription;
    if (!request_ended(pull, message)) {
        atomic_fetch_sub(&pull->asked, 1);
        arrived = malloc(sizeof *arrived);
        FH_ASSERT(arrived != NULL);
        *arrived = (struct nats_arrived){.message = message, .pull = pull};
        pthread_mutex_lock(&consumer->mutex);
        *consumer->end = arrived;
        consumer->end = &arrived->next;
        pthread_mutex_unlock(&consumer->mutex);
    } else {
        nats.natsMsg_Destroy(message);
    }
    nats_consumer_wake(consumer);
}

static void nats_subscription_ended(void *owner)
{
    nats_consumer_left(owner);
}

/* ---- on the driver's thread ---- */

static natsStatus add_consumer(const struct opening *opening, const struct nats_pull *pull,
                               uint64_t begin, jsOptions *options, jsErrCode *server)
{
    jsConsumerConfig config;
    nats.jsConsumerConfig_Init(&config);
    config.Durable = pull->durable;
    config.FilterSubject = pull->filter;
    config.DeliverPolicy = begin ? js_DeliverByStartSequence : js_DeliverNew;
    config.OptStartSeq = begin;
    config.AckPolicy = js_AckAll;
    config.AckWait = NATS_ACKNOWLEDGE_NS;
    config.MaxAckPending = NATS_UNACKNOWLEDGED_MAX;
    config.InactiveThreshold = opening->broker->options.keep_s * INT64_C(1000000000);
    return nats.js_AddConsumer(NULL, opening->broker->stream, opening->consumer->stream, &config,
                               options, server);
}

static natsStatus make_consumer(const struct opening *opening, const struct nats_pull *pull,
                                jsErrCode *server)
{
    jsCtx *stream = opening->broker->stream;
    jsConsumerInfo *found = NULL;
    uint64_t begin = 0;
    jsOptions options;
    nats.jsOptions_Init(&options);
    options.Wait = opening->timeout_ms;
    natsStatus status = nats.js_GetConsumerInfo(&found, stream, opening->consumer->stream,
                                                pull->durable, &options, server);
    if (status == NATS_OK) {
        begin = found->AckFloor.Stream + 1;
        nats.jsConsumerInfo_Destroy(found);
        status = nats.js_DeleteConsumer(stream, opening->consumer->stream, pull->durable, &options,
                                        server);
    }
    if (status == NATS_OK || *server == JSConsumerNotFoundErr || status == NATS_NOT_FOUND) {
        *server = 0;
        status = add_consumer(opening, pull, begin, &options, server);
    }
    return status;
}

natsStatus nats_subscribe(struct nats_broker *broker, struct nats_pull *pull)
{
    natsStatus status = nats.natsInbox_Create(&pull->inbox);
    if (status != NATS_OK)
        return status;
    status = nats.natsConnection_Subscribe(&pull->subscription, broker->connection,
                                           (const char *)pull->inbox, nats_arrived, pull);
    if (status != NATS_OK)
        return status;
    /* If this fails, nobody tells when the library has called back for the last time, and the
     * consumer is never freed. */
    atomic_fetch_add(&pull->consumer->users, 1);
    return nats.natsSubscription_SetOnCompleteCB(pull->subscription, nats_subscription_ended,
                                                 pull->consumer);
}

static void nats_consume_now(void *argument)
{
    struct opening *opening = argument;
    struct nats_consumer *consumer = opening->consumer;
    natsStatus status = NATS_OK;
    jsErrCode server = 0;
    for (unsigned i = 0; i < consumer->pull_count && status == NATS_OK; i++) {
        status = nats_subscribe(opening->broker, &consumer->pulls[i]);
        if (status == NATS_OK)
            status = make_consumer(opening, &consumer->pulls[i], &server);
    }
    if (status != NATS_OK)
        opening->code = nats_failed(opening->broker, "can't deliver a topic's messages", status,
                                    (int)server, opening->error);
}

/* ---- the driver's slots ---- */

enum fh_code nats_consume(struct broker *base, const struct broker_topic *topic, const char *name,
                          unsigned index, unsigned of, int64_t deadline_ns,
                          struct broker_consumer **ret, struct fh_error *error)
{
    struct nats_broker *broker = nats_of(base);
    *ret = NULL;
    FH_ASSERT(of >= 1 && index < of && topic->partitions >= of);
    enum fh_code code = nats_is_connected(broker, error);
    if (code)
        return code;
    struct nats_consumer *consumer = nats_consumer_new(broker, topic, name, index, of);
    if (!consumer)
        return error_set(error, FH_NO_MEMORY, "There is no memory for a consumer of a topic.");
    struct opening opening = {.broker = broker,
                              .consumer = consumer,
                              .timeout_ms = nats_left_ms(base->world, deadline_ns),
                              .error = error};
    broker_worker_run(broker->worker, nats_consume_now, &opening);
    if (opening.code) {
        nats_unconsume(&consumer->base);
        return opening.code;
    }
    *ret = &consumer->base;
    return FH_OK;
}

static void nats_unconsume_now(void *argument)
{
    struct nats_consumer *consumer = argument;
    for (unsigned i = 0; i < consumer->pull_count; i++) {
        natsSubscription *subscription = consumer->pulls[i].subscription;
        if (!subscription)
            continue;
        nats.natsSubscription_Unsubscribe(subscription);
        nats.natsSubscription_Destroy(subscription);
    }
    nats_consumer_left(consumer);
}

/* Not on the loop: the library may hold the connection's lock for seconds. */
void nats_unconsume(struct broker_consumer *base)
{
    broker_worker_send(nats_of(base->broker)->worker, nats_unconsume_now, base);
}
