/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source: a stream of others', which is one partition; its sequence numbers are the offsets. It
 * is read by a pull consumer of JetStream's that has no name, which the server forgets when nobody
 * asks it any more, and that acknowledges nothing: what is not taken is read again by the next one,
 * from where the subscription is.
 *
 * The server numbers what it sends to a consumer. Where a number is missing, or the connection was
 * lost in between, or the consumer is gone, `take` fails, and another one is opened. A stream that
 * was made anew has another time of creation.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/nats/internal.h"
#include "world/world.h"

#define FORGOTTEN_NS INT64_C(60000000000) /* a consumer that nobody asks */

struct nats_attaching {
    struct nats_broker *broker;
    struct nats_consumer *consumer;
    struct broker_extent *extent;
    int64_t from, timeout_ms;
    enum fh_code code;
    struct fh_error *error;
};

static natsStatus measure_stream(struct nats_attaching *attaching, jsErrCode *server)
{
    jsStreamInfo *info = NULL;
    jsOptions options;
    nats.jsOptions_Init(&options);
    options.Wait = attaching->timeout_ms;
    natsStatus status = nats.js_GetStreamInfo(&info, attaching->broker->stream,
                                              attaching->consumer->stream, &options, server);
    if (status != NATS_OK)
        return status;
    struct broker_extent extent = {.end = (int64_t)info->State.LastSeq + 1, .partitions = 1};
    extent.oldest = info->State.Msgs ? (int64_t)info->State.FirstSeq : extent.end;
    snprintf(extent.identity, sizeof extent.identity, "%" PRId64, info->Created);
    nats.jsStreamInfo_Destroy(info);
    *attaching->extent = extent;
    attaching->consumer->base.end = extent.end;
    return NATS_OK;
}

/* The first sequence number is 1. */
static natsStatus add_nameless(struct nats_attaching *attaching, int64_t from, jsErrCode *server)
{
    struct nats_consumer *consumer = attaching->consumer;
    struct nats_pull *pull = &consumer->pulls[0];
    jsConsumerInfo *info = NULL;
    jsConsumerConfig config;
    jsOptions options;
    nats.jsOptions_Init(&options);
    options.Wait = attaching->timeout_ms;
    nats.jsConsumerConfig_Init(&config);
    config.DeliverPolicy = js_DeliverByStartSequence;
    config.OptStartSeq = (uint64_t)(from > 1 ? from : 1);
    config.AckPolicy = js_AckNone;
    config.InactiveThreshold = FORGOTTEN_NS;
    natsStatus status = nats.js_AddConsumer(&info, attaching->broker->stream, consumer->stream,
                                            &config, &options, server);
    if (status != NATS_OK)
        return status;
    snprintf(pull->request, sizeof pull->request, "$JS.API.CONSUMER.MSG.NEXT.%s.%s",
             consumer->stream, info->Name);
    nats.jsConsumerInfo_Destroy(info);
    return NATS_OK;
}

static void nats_attach_now(void *argument)
{
    struct nats_attaching *attaching = argument;
    const struct broker_extent *extent = attaching->extent;
    jsErrCode server = 0;
    attaching->consumer->losses = atomic_load(&nats_disconnected);
    natsStatus status = measure_stream(attaching, &server);
    int64_t from = attaching->from;
    if (status == NATS_OK)
        from = from == BROKER_FROM_END ? extent->end
               : from < extent->oldest ? extent->oldest
                                       : from;
    if (status == NATS_OK && from > extent->end) {
        attaching->code =
            error_set(attaching->error, FH_CONFLICT,
                      "NATS has the stream %.100s up to %lld, and not up to %lld.",
                      attaching->consumer->stream, (long long)extent->end, (long long)from);
        return;
    }
    if (status == NATS_OK)
        status = nats_subscribe(attaching->broker, &attaching->consumer->pulls[0]);
    if (status == NATS_OK)
        status = add_nameless(attaching, from, &server);
    if (status != NATS_OK)
        attaching->code = nats_failed(attaching->broker, "can't deliver a stream's messages",
                                      status, (int)server, attaching->error);
}

enum fh_code nats_attach(struct broker *base, const char *topic, unsigned partition, int64_t from,
                         int64_t deadline_ns, struct broker_extent *ret_extent,
                         struct broker_consumer **ret, struct fh_error *error)
{
    struct nats_broker *broker = nats_of(base);
    *ret = NULL;
    enum fh_code code = nats_is_connected(broker, error);
    if (code)
        return code;
    if (partition > 0)
        return error_set(error, FH_INVALID, "A stream of NATS is one partition.");
    struct nats_consumer *consumer = nats_source_new(broker, topic);
    if (!consumer)
        return error_set(error, FH_NO_MEMORY, "There is no memory for a consumer of a stream.");
    struct nats_attaching attaching = {.broker = broker,
                                       .consumer = consumer,
                                       .extent = ret_extent,
                                       .from = from,
                                       .timeout_ms = nats_left_ms(base->world, deadline_ns),
                                       .error = error};
    broker_worker_run(broker->worker, nats_attach_now, &attaching);
    if (attaching.code) {
        nats_unconsume(&consumer->base);
        return attaching.code;
    }
    *ret = &consumer->base;
    return FH_OK;
}

/* "$JS.ACK.STREAM.CONSUMER.TIMES.SEQUENCE.OF-CONSUMER.NS.PENDING"; a newer server puts two words
 * before the stream, and may add some at the end. */
static bool read_numbers(const char *reply, int64_t numbers[static 5])
{
    int words = 1, count = 0;
    for (const char *at = reply; *at; at++)
        words += *at == '.';
    int first = words >= 11 ? 6 : 4;
    if (words < 9 || strncmp(reply, "$JS.ACK.", 8) != 0)
        return false;
    for (const char *at = reply; count < 5; at++) {
        if (first-- <= 0)
            numbers[count++] = strtoll(at, NULL, 10);
        at = strchr(at, '.');
        if (!at)
            break;
    }
    return count == 5;
}

bool nats_take_of_source(struct nats_consumer *consumer, natsMsg *message,
                         struct broker_message *ret)
{
    const char *reply = nats.natsMsg_GetReply(message);
    int64_t numbers[5];
    if (!reply || !read_numbers(reply, numbers) || numbers[2] != (int64_t)consumer->mark + 1) {
        consumer->failed = true;
        return false;
    }
    consumer->mark++;
    *ret = (struct broker_message){.data = nats.natsMsg_GetData(message),
                                   .length = (size_t)nats.natsMsg_GetDataLength(message),
                                   .mark = consumer->mark,
                                   .offset = numbers[1],
                                   .time_ms = numbers[3] / 1000000,
                                   .native = message};
    if (numbers[1] + 1 + numbers[4] > consumer->base.end)
        consumer->base.end = numbers[1] + 1 + numbers[4];
    return true;
}

enum fh_code nats_source_is_whole(const struct nats_consumer *consumer, struct fh_error *error)
{
    if (consumer->failed || atomic_load(&consumer->pulls[0].gone) ||
        consumer->losses != atomic_load(&nats_disconnected))
        return error_set(error, FH_UNAVAILABLE,
                         "NATS may not have delivered all messages of the stream %.100s: they are "
                         "asked for again.",
                         consumer->stream);
    return FH_OK;
}

/* Names of headers are in whatever case their publishers like. */
const char *nats_header(const struct broker_message *message, const char *name, size_t *ret_length)
{
    natsMsg *of = (natsMsg *)(uintptr_t)message->native;
    const char *value = NULL;
    if (nats.natsMsgHeader_Get(of, name, &value) != NATS_OK &&
        (strcmp(name, "content-type") != 0 ||
         nats.natsMsgHeader_Get(of, "Content-Type", &value) != NATS_OK))
        return NULL;
    *ret_length = value ? strlen(value) : 0;
    return value ? value : "";
}
