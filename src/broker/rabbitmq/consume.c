/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A consumer's thread. It makes a queue for each of its partitions, has the server deliver from
 * them, reads, acknowledges, and begins anew when the connection is lost:
 *
 *   bound       the queues are there, bound to the topic: from now on they get what is published
 *   asked       the server was asked to deliver; it answers for one queue after the other
 *   attached    it delivers from all of them
 *
 *   a queue does not answer            it is mended (mend.c), and all begins anew
 *   a queue was deleted, or expired    the server says so: all begins anew
 *   the owner's queue was deleted      by the next consumer of this name, which takes over: this
 *                                      one ends its connection, so that the server gives its
 *                                      messages to that one. It does not begin again by itself
 *   our user takes nothing             when enough waits here, nothing is read any more
 */

#include <stdio.h>
#include <string.h>

#include "broker/rabbitmq/internal.h"

#define ANSWER_MS 5000 /* of a call, while nobody waits for it */
#define ATTACH_LOOK_MS 200
#define ATTACH_MS 4000         /* of a queue, until it delivers */
#define LOOK_MS 2000           /* less than a heartbeat */
#define BEGIN_MS 1000          /* until it is tried again, when it could not begin */
#define OWNER_EXPIRES_MS 60000 /* without a consumer */
#define FRAMES_AT_ONCE 1024

/* ---- beginning ---- */

/* Shuts out who had it, when it is opened; not when it only connects again. */
static enum fh_code own_name(struct rabbitmq_consumer *consumer, int64_t deadline_ns,
                             struct fh_error *error)
{
    struct rabbitmq_link *link = &consumer->link;
    char queue[RABBITMQ_NAME_SIZE];
    amqp_table_entry_t expires = {
        .key = rabbitmq_bytes("x-expires"),
        .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = OWNER_EXPIRES_MS}};
    amqp_table_t arguments = {1, &expires}, none = {0, NULL};
    rabbitmq_owner_name(&consumer->topic, consumer->name, consumer->index, consumer->of, queue);
    enum fh_code code = FH_OK;
    rabbitmq_link_until(link, deadline_ns);
    if (!consumer->bound) {
        rabbitmq.amqp_queue_delete(link->connection, RABBITMQ_CHANNEL, rabbitmq_bytes(queue), 0, 0);
        code = rabbitmq_link_answer(link, "can't shut out a former consumer", error);
    }
    if (code)
        return code;
    rabbitmq.amqp_queue_declare(link->connection, RABBITMQ_CHANNEL, rabbitmq_bytes(queue), 0, 1, 0,
                                1, arguments);
    code = rabbitmq_link_answer(link, "can't make the queue that says whose the others are", error);
    if (code)
        return code;
    rabbitmq.amqp_basic_consume(link->connection, RABBITMQ_CHANNEL, rabbitmq_bytes(queue),
                                rabbitmq_bytes(RABBITMQ_OWNER_TAG), 0, 1, 0, none);
    return rabbitmq_link_answer(link, "can't read the queue that says whose the others are", error);
}

static enum fh_code bind_queues(struct rabbitmq_consumer *consumer, int64_t deadline_ns,
                                struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (unsigned i = 0; i < rabbitmq_consumer_queues(consumer) && !code; i++) {
        char queue[RABBITMQ_NAME_SIZE];
        unsigned partition = rabbitmq_consumer_queue(consumer, i, queue);
        rabbitmq_link_until(&consumer->link, deadline_ns);
        code = rabbitmq_queue_declare(&consumer->link, &consumer->topic, partition, queue, error);
    }
    return code;
}

/* The server delivers nothing before it is asked to, after this. */
enum fh_code rabbitmq_consumer_bound(struct rabbitmq_link *link, int64_t deadline_ns,
                                     struct fh_error *error)
{
    rabbitmq_link_until(link, deadline_ns);
    rabbitmq.amqp_basic_qos(link->connection, RABBITMQ_CHANNEL, 0, RABBITMQ_UNACKNOWLEDGED_MAX, 0);
    return rabbitmq_link_answer(link, "can't bound what it delivers", error);
}

enum fh_code rabbitmq_consumer_open(struct rabbitmq_consumer *consumer, int64_t deadline_ns,
                                    struct fh_error *error)
{
    struct rabbitmq_link *link = &consumer->link;
    enum fh_code code = rabbitmq_link_open(link, deadline_ns, error);
    if (!code)
        code = rabbitmq_topic_find(link, &consumer->topic, error);
    if (!code)
        code = own_name(consumer, deadline_ns, error);
    if (!code)
        code = bind_queues(consumer, deadline_ns, error);
    if (!code)
        code = rabbitmq_consumer_bound(link, deadline_ns, error);
    if (code) {
        rabbitmq_link_lose(link, error->message);
        link->retry_ns = rabbitmq_in_ms(BEGIN_MS);
        return code;
    }
    consumer->bound = true;
    consumer->asked = consumer->attached = 0;
    consumer->base_mark = consumer->acknowledged = consumer->newest_mark;
    pthread_mutex_lock(&consumer->mutex);
    consumer->lost = false;
    pthread_mutex_unlock(&consumer->mutex);
    return FH_OK;
}

/* ---- delivering ---- */

/* A source: from there on. */
static void ask_stream(struct rabbitmq_consumer *consumer)
{
    char tag[16];
    amqp_table_entry_t entry = {
        .key = rabbitmq_bytes(RABBITMQ_STREAM_OFFSET),
        .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = consumer->from}};
    snprintf(tag, sizeof tag, "%u", consumer->index);
    amqp_basic_consume_t consume = {.queue = rabbitmq_bytes(consumer->stream),
                                    .consumer_tag = rabbitmq_bytes(tag),
                                    .arguments = {1, &entry}};
    int status = rabbitmq.amqp_send_method(consumer->link.connection, RABBITMQ_CHANNEL,
                                           AMQP_BASIC_CONSUME_METHOD, &consume);
    if (status != AMQP_STATUS_OK)
        rabbitmq_link_lose(&consumer->link, rabbitmq.amqp_error_string2(status));
}

/* Asks without waiting: what is delivered meanwhile would wait in the library, without a bound. */
static void ask_for_deliveries(struct rabbitmq_consumer *consumer)
{
    struct rabbitmq_link *link = &consumer->link;
    for (; consumer->asked < rabbitmq_consumer_queues(consumer) && link->connection;
         consumer->asked++) {
        consumer->attach_ns = rabbitmq_now_ns();
        if (consumer->source) {
            ask_stream(consumer);
            continue;
        }
        char queue[RABBITMQ_NAME_SIZE], tag[16];
        snprintf(tag, sizeof tag, "%u", rabbitmq_consumer_queue(consumer, consumer->asked, queue));
        amqp_basic_consume_t consume = {.queue = rabbitmq_bytes(queue),
                                        .consumer_tag = rabbitmq_bytes(tag)};
        int status = rabbitmq.amqp_send_method(link->connection, RABBITMQ_CHANNEL,
                                               AMQP_BASIC_CONSUME_METHOD, &consume);
        if (status != AMQP_STATUS_OK)
            rabbitmq_link_lose(link, rabbitmq.amqp_error_string2(status));
    }
}

/* What waits, and is not more when it is looked at: only this thread adds to it. */
static void count_waiting_messages(struct rabbitmq_consumer *consumer, int *ret_count,
                                   size_t *ret_size)
{
    pthread_mutex_lock(&consumer->mutex);
    *ret_count = consumer->waiting.count;
    *ret_size = consumer->waiting.size;
    pthread_mutex_unlock(&consumer->mutex);
}

static bool waiting_is_full(struct rabbitmq_consumer *consumer)
{
    int count;
    size_t size;
    count_waiting_messages(consumer, &count, &size);
    return count >= RABBITMQ_WAITING_MAX || size >= RABBITMQ_WAITING_SIZE_MAX;
}

/* Until nothing is there, or enough waits. True: there may be more. */
static bool read_frames(struct rabbitmq_consumer *consumer)
{
    struct rabbitmq_link *link = &consumer->link;
    amqp_frame_t frame;
    char why[200];
    int waiting;
    size_t waiting_size;
    count_waiting_messages(consumer, &waiting, &waiting_size);
    for (int i = 0; i < FRAMES_AT_ONCE; i++) {
        if (waiting + consumer->read.count >= RABBITMQ_WAITING_MAX ||
            waiting_size + consumer->read.size >= RABBITMQ_WAITING_SIZE_MAX)
            return true;
        if (rabbitmq_link_frame(link, &frame, 0) <= 0)
            return false;
        if (!rabbitmq_consumer_frame(consumer, &frame, why, sizeof why)) {
            rabbitmq_link_lose(link, why);
            return false;
        }
    }
    return true;
}

/* The connection is left alone for a moment: what comes meanwhile is read at one time. */
static bool messages_gather(const struct rabbitmq_consumer *consumer)
{
    return rabbitmq_now_ns() < consumer->gather_until_ns;
}

/* True: there may be more. */
static bool read_messages(struct rabbitmq_consumer *consumer)
{
    bool more = read_frames(consumer);
    rabbitmq_consumer_hand_over(consumer);
    return more && !waiting_is_full(consumer);
}

/* All queues before the next one have answered, and it has not. */
static bool a_queue_is_stuck(const struct rabbitmq_consumer *consumer)
{
    return consumer->attached < consumer->asked &&
           rabbitmq_now_ns() - consumer->attach_ns >= ATTACH_MS * RABBITMQ_NS_A_MS;
}

void rabbitmq_consumer_acknowledge(struct rabbitmq_consumer *consumer)
{
    struct rabbitmq_link *link = &consumer->link;
    uint64_t mark = atomic_load(&consumer->acknowledge);
    if (mark <= consumer->acknowledged)
        return; /* or of a former connection: the server delivers it again */
    consumer->acknowledged = mark;
    int status =
        rabbitmq.amqp_basic_ack(link->connection, RABBITMQ_CHANNEL, mark - consumer->base_mark, 1);
    if (status != AMQP_STATUS_OK)
        rabbitmq_link_lose(link, rabbitmq.amqp_error_string2(status));
}

static void begin_consuming_again(struct rabbitmq_consumer *consumer)
{
    struct fh_error error = {0};
    if (rabbitmq_consumer_open(consumer, rabbitmq_in_ms(ANSWER_MS), &error) != FH_OK)
        rabbitmq_consumer_lost(consumer, error.message);
}

static void tell_why_lost(struct rabbitmq_consumer *consumer)
{
    struct fh_error error = {0};
    rabbitmq_link_state(&consumer->link, &error);
    rabbitmq_consumer_lost(consumer, error.message);
    consumer->superseded |= consumer->source; /* who reads it knows better where to begin again */
}

/* `gathers`: nothing is to be read now. True: there may be more to do at once. */
static bool go_on_consuming(struct rabbitmq_consumer *consumer, bool gathers)
{
    struct rabbitmq_link *link = &consumer->link;
    bool more = false;
    ask_for_deliveries(consumer);
    if (link->connection)
        rabbitmq_consumer_acknowledge(consumer);
    if (link->connection && !gathers)
        more = read_messages(consumer);
    if (link->connection && waiting_is_full(consumer))
        rabbitmq_link_beat(link);
    else if (link->connection && !more && a_queue_is_stuck(consumer)) {
        rabbitmq_link_lose(link, "a queue does not answer");
        if (!consumer->source)
            rabbitmq_consumer_mend(consumer);
    }
    if (!link->connection)
        tell_why_lost(consumer);
    return more;
}

void rabbitmq_consumer_idle(void *argument, int wake_fd)
{
    struct rabbitmq_consumer *consumer = argument;
    struct rabbitmq_link *link = &consumer->link;
    if (!consumer->bound || consumer->superseded) {
        rabbitmq_link_wait(link, wake_fd, INT64_MAX, false);
        return;
    }
    if (!link->connection && rabbitmq_now_ns() >= link->retry_ns)
        begin_consuming_again(consumer);
    bool gathers = messages_gather(consumer);
    if (link->connection && go_on_consuming(consumer, gathers))
        return;
    if (link->connection && gathers) {
        rabbitmq_link_wait(link, wake_fd, consumer->gather_until_ns, false);
        return;
    }
    rabbitmq_link_wait(link, wake_fd,
                       !link->connection                      ? link->retry_ns
                       : consumer->attached < consumer->asked ? rabbitmq_in_ms(ATTACH_LOOK_MS)
                                                              : rabbitmq_in_ms(LOOK_MS),
                       !waiting_is_full(consumer));
}
