/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a consumer. The server sends what was asked for, and no more: a request is repeated when
 * half of it has come, when it has ended, and when the server must have forgotten it, as after a
 * restart. So what waits here is bounded by what was asked for.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/nats/internal.h"
#include "world/world.h"

#define NS_A_MS INT64_C(1000000)
/* How long a fiber waits before it looks at the connection again. */
#define LOOK_NS (1000 * NS_A_MS)

static struct nats_consumer *consumer_of(struct broker_consumer *base)
{
    return (struct nats_consumer *)base;
}

/* ---- asking ---- */

static void ask_for_messages(struct nats_consumer *consumer, struct nats_pull *pull)
{
    struct nats_broker *broker = nats_of(consumer->base.broker);
    int64_t now_ns = world_monotonic_ns(broker->base.world);
    char what[128];
    int asked = consumer->source ? NATS_SOURCE_ASKED_MAX : NATS_ASKED_MAX;
    /* Negative: messages of a request that was given up have come after all. */
    if (now_ns - pull->asked_ns > NATS_REQUEST_MS * NS_A_MS + 2 * LOOK_NS ||
        atomic_load(&pull->asked) < 0)
        atomic_store(&pull->asked, 0);
    if (atomic_load(&pull->asked) > asked / 2 || atomic_load(&broker->link->lost))
        return;
    snprintf(what, sizeof what, "{\"batch\":%d%s,\"expires\":%lld}", asked,
             consumer->source ? "" : ",\"max_bytes\":" NATS_ASKED_BYTES_MAX,
             (long long)(NATS_REQUEST_MS * NS_A_MS));
    if (nats.natsConnection_PublishRequestString(broker->connection, pull->request,
                                                 (const char *)pull->inbox, what) == NATS_OK) {
        atomic_fetch_add(&pull->asked, asked);
        pull->asked_ns = now_ns;
    }
}

/* ---- taking ---- */

static void free_taken(struct nats_consumer *consumer)
{
    for (int i = 0; i < consumer->taken_count; i++)
        nats.natsMsg_Destroy(consumer->taken[i]);
    consumer->taken_count = 0;
}

static struct nats_arrived *next_arrived(struct nats_consumer *consumer)
{
    pthread_mutex_lock(&consumer->mutex);
    struct nats_arrived *arrived = consumer->first;
    if (arrived) {
        consumer->first = arrived->next;
        if (!consumer->first)
            consumer->end = &consumer->first;
    }
    pthread_mutex_unlock(&consumer->mutex);
    return arrived;
}

/* False: it can't be acknowledged, or is of no partition; it is dropped. */
static bool take_nats_message(struct nats_consumer *consumer, struct nats_arrived *arrived,
                              struct broker_message *ret)
{
    const char *reply = nats.natsMsg_GetReply(arrived->message);
    const char *subject = nats.natsMsg_GetSubject(arrived->message);
    const char *dot = subject ? strrchr(subject, '.') : NULL;
    struct nats_unacknowledged *entry = calloc(1, sizeof *entry);
    char *copied = reply ? strdup(reply) : NULL;
    unsigned partition = dot ? (unsigned)strtoul(dot + 1, NULL, 10) : consumer->topic.partitions;
    if (!entry || !copied || partition >= consumer->topic.partitions) {
        free(entry);
        free(copied);
        return false;
    }
    *entry = (struct nats_unacknowledged){
        .mark = ++consumer->mark, .pull = arrived->pull, .reply = copied};
    *consumer->newest = entry;
    consumer->newest = &entry->next;
    *ret = (struct broker_message){.partition = partition,
                                   .data = nats.natsMsg_GetData(arrived->message),
                                   .length = (size_t)nats.natsMsg_GetDataLength(arrived->message),
                                   .mark = entry->mark};
    return true;
}

static int take_arrived(struct nats_consumer *consumer, struct broker_message *messages, int max)
{
    struct nats_arrived *arrived;
    int count = 0;
    while (count < max && !consumer->failed && (arrived = next_arrived(consumer))) {
        if (consumer->source ? nats_take_of_source(consumer, arrived->message, &messages[count])
                             : take_nats_message(consumer, arrived, &messages[count])) {
            consumer->taken[consumer->taken_count++] = arrived->message;
            count++;
        } else {
            nats.natsMsg_Destroy(arrived->message);
        }
        free(arrived);
    }
    return count;
}

static void forget_wakes(struct nats_consumer *consumer)
{
    uint64_t unused;
    while (read(consumer->wake_fd, &unused, sizeof unused) < 0 && errno == EINTR)
        ;
}

enum fh_code nats_take(struct broker_consumer *base, struct broker_message *messages, int max,
                       int64_t deadline_ns, int *ret_count, struct fh_error *error)
{
    struct nats_consumer *consumer = consumer_of(base);
    struct world *world = base->broker->world;
    FH_ASSERT(max >= 1 && max <= BROKER_TAKE_MAX);
    free_taken(consumer);
    for (;;) {
        forget_wakes(consumer);
        *ret_count = take_arrived(consumer, messages, max);
        enum fh_code code = *ret_count ? FH_OK : nats_is_connected(nats_of(base->broker), error);
        if (code == FH_OK && !*ret_count && consumer->source)
            code = nats_source_is_whole(consumer, error);
        if (code != FH_OK)
            return code;
        for (unsigned i = 0; i < consumer->pull_count; i++)
            ask_for_messages(consumer, &consumer->pulls[i]);
        int64_t now_ns = world_monotonic_ns(world);
        if (*ret_count || now_ns >= deadline_ns || base->cancelled)
            return FH_OK;
        world_wait_for(world, consumer->wake_fd, WORLD_READABLE,
                       now_ns + LOOK_NS < deadline_ns ? now_ns + LOOK_NS : deadline_ns);
    }
}

void nats_wake(struct broker_consumer *base)
{
    nats_consumer_wake(consumer_of(base));
}

/* ---- acknowledging ---- */

static struct nats_unacknowledged *next_acknowledged(struct nats_consumer *consumer, uint64_t mark)
{
    struct nats_unacknowledged *entry = consumer->oldest;
    if (!entry || entry->mark > mark)
        return NULL;
    consumer->oldest = entry->next;
    if (!consumer->oldest)
        consumer->newest = &consumer->oldest;
    return entry;
}

/* With the newest message of each pull all before it are acknowledged. */
void nats_acknowledge(struct broker_consumer *base, uint64_t mark)
{
    struct nats_consumer *consumer = consumer_of(base);
    const struct nats_broker *broker = nats_of(base->broker);
    struct nats_unacknowledged *entry;
    while ((entry = next_acknowledged(consumer, mark))) {
        free(entry->pull->acknowledges);
        entry->pull->acknowledges = entry->reply;
        free(entry);
    }
    for (unsigned i = 0; i < consumer->pull_count; i++) {
        struct nats_pull *pull = &consumer->pulls[i];
        if (!pull->acknowledges)
            continue;
        if (!atomic_load(&broker->link->lost))
            nats.natsConnection_PublishString(broker->connection, pull->acknowledges, "+ACK");
        free(pull->acknowledges);
        pull->acknowledges = NULL;
    }
}
