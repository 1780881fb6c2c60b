/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues without a leader. A quorum queue that was made less than about a second before its server
 * was killed may come back without one, and never get one: nobody can read it, and what is
 * published to it is not confirmed, so that it holds up its topic's publisher. A server says
 * nothing of it: whoever asks such a queue for messages gets no answer for a minute.
 *
 * So when a consumer is not answered, each of its queues is asked on a channel of its own, all at
 * once. Those that do not answer, while the server otherwise does, are deleted: they are made anew,
 * and what they had is in the publisher's feed.
 */

#include "broker/rabbitmq/internal.h"

#define CONNECT_MS 5000
#define ANSWER_MS 4000  /* of a queue */
#define DELETE_MS 20000 /* of one without a leader: the server itself waits for 5 s */

struct mending {
    struct rabbitmq_consumer *consumer;
    struct rabbitmq_link link;
    unsigned count;
    bool answers[BROKER_PARTITIONS_MAX];
};

/* Channels of a mending connection: to ask the queue, and to delete it. */
static amqp_channel_t asking_channel(unsigned number)
{
    return (amqp_channel_t)(RABBITMQ_CHANNEL + 1 + number);
}

static amqp_channel_t deleting_channel(unsigned number)
{
    return (amqp_channel_t)(RABBITMQ_CHANNEL + 1 + BROKER_PARTITIONS_MAX + number);
}

static enum fh_code open_mending_channel(struct mending *mending, amqp_channel_t channel)
{
    rabbitmq.amqp_channel_open(mending->link.connection, channel);
    return rabbitmq_link_answer(&mending->link, "opens no channel", ERROR_UNHEEDED);
}

static void ask_queue(struct mending *mending, unsigned number)
{
    struct rabbitmq_link *link = &mending->link;
    amqp_channel_t channel = asking_channel(number);
    char queue[RABBITMQ_NAME_SIZE];
    rabbitmq_consumer_queue(mending->consumer, number, queue);
    if (!link->connection || open_mending_channel(mending, channel) != FH_OK)
        return;
    rabbitmq.amqp_basic_qos(link->connection, channel, 0, 1, 0);
    if (rabbitmq_link_answer(link, "can't bound what it delivers", ERROR_UNHEEDED) != FH_OK)
        return;
    amqp_basic_consume_t consume = {.queue = rabbitmq_bytes(queue),
                                    .consumer_tag = rabbitmq_bytes("mend")};
    if (rabbitmq.amqp_send_method(link->connection, channel, AMQP_BASIC_CONSUME_METHOD, &consume) !=
        AMQP_STATUS_OK)
        rabbitmq_link_lose(link, "it was closed");
}

/* Counts the answers until all are there, or it is late; a channel that the server closes counts,
 * too: it can answer. What is delivered goes back when the connection is closed. */
static void read_answers(struct mending *mending, amqp_method_number_t wanted, amqp_channel_t first,
                         unsigned missing, int64_t until_ns)
{
    amqp_frame_t frame;
    while (missing > 0 && rabbitmq_link_frame(&mending->link, &frame, until_ns) > 0) {
        amqp_method_number_t id =
            frame.frame_type == AMQP_FRAME_METHOD ? frame.payload.method.id : 0;
        if (frame.channel < first || frame.channel >= first + mending->count ||
            (id != wanted && id != AMQP_CHANNEL_CLOSE_METHOD))
            continue;
        mending->answers[frame.channel - first] = true;
        missing--;
    }
}

static void delete_stuck_queue(struct mending *mending, unsigned number)
{
    struct rabbitmq_link *link = &mending->link;
    amqp_channel_t channel = deleting_channel(number);
    char queue[RABBITMQ_NAME_SIZE];
    rabbitmq_consumer_queue(mending->consumer, number, queue);
    if (!link->connection || open_mending_channel(mending, channel) != FH_OK)
        return;
    amqp_queue_delete_t request = {.queue = rabbitmq_bytes(queue)};
    if (rabbitmq.amqp_send_method(link->connection, channel, AMQP_QUEUE_DELETE_METHOD, &request) !=
        AMQP_STATUS_OK)
        rabbitmq_link_lose(link, "it was closed");
}

void rabbitmq_consumer_mend(struct rabbitmq_consumer *consumer)
{
    struct mending mending = {.consumer = consumer, .count = rabbitmq_consumer_queues(consumer)};
    struct rabbitmq_link *link = &mending.link;
    unsigned missing = 0;
    rabbitmq_link_init(link, &consumer->options);
    if (rabbitmq_link_open(link, rabbitmq_in_ms(CONNECT_MS), ERROR_UNHEEDED) == FH_OK) {
        for (unsigned i = 0; i < mending.count; i++)
            ask_queue(&mending, i);
        read_answers(&mending, AMQP_BASIC_CONSUME_OK_METHOD, asking_channel(0), mending.count,
                     rabbitmq_in_ms(ANSWER_MS));
        rabbitmq_link_until(link, rabbitmq_in_ms(CONNECT_MS));
        for (unsigned i = 0; i < mending.count; i++) {
            if (mending.answers[i])
                continue;
            delete_stuck_queue(&mending, i);
            missing++;
        }
        read_answers(&mending, AMQP_QUEUE_DELETE_OK_METHOD, deleting_channel(0), missing,
                     rabbitmq_in_ms(DELETE_MS));
    }
    rabbitmq_link_lose(link,
                       "it has done its work"); /* it is not closed: that might not be answered */
    rabbitmq_link_release(link);
}
