/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a user may do what only others should. Rights are to names, whether of an exchange or of
 * a queue, and looked at before what is there: so what is tried does no harm where it is let
 * through, since no queue has the name of an exchange, no partition the number that is published
 * to, and no subscriber the name NOBODY.
 */

#include <stdio.h>
#include <string.h>

#include "broker/rabbitmq/internal.h"

#define NOBODY "freehold-nowhere"

struct rabbitmq_trespassing {
    struct rabbitmq_broker *broker;
    const struct broker_topic *topic;
    bool reads;
    int64_t deadline_ns;
    char *open;
    enum fh_code code;
    struct fh_error *error;
};

static void publish_nowhere(struct rabbitmq_link *link, const char *name)
{
    /* What comes of it is told before the next call's answer. */
    rabbitmq.amqp_basic_publish(link->connection, RABBITMQ_CHANNEL, rabbitmq_bytes(name),
                                rabbitmq_bytes(NOBODY), 0, 0, NULL, rabbitmq_bytes("x"));
    rabbitmq.amqp_basic_qos(link->connection, RABBITMQ_CHANNEL, 0, 1, 0);
}

static void delete_nothing(struct rabbitmq_link *link, const char *name)
{
    rabbitmq.amqp_queue_delete(link->connection, RABBITMQ_CHANNEL, rabbitmq_bytes(name), 1, 1);
}

static void read_nothing(struct rabbitmq_link *link, const char *name)
{
    rabbitmq.amqp_basic_get(link->connection, RABBITMQ_CHANNEL, rabbitmq_bytes(name), 0);
}

/* Adds `what` unless the server refuses it. False: it did not answer. */
static bool try_name(struct rabbitmq_trespassing *trespassing,
                     void (*attempt)(struct rabbitmq_link *, const char *), const char *name,
                     const char *what)
{
    struct rabbitmq_link *link = &trespassing->broker->link;
    struct fh_error said = {0};
    rabbitmq_link_until(link, trespassing->deadline_ns);
    trespassing->code = rabbitmq_link_channel(link, trespassing->error);
    if (trespassing->code)
        return false;
    attempt(link, name);
    enum fh_code code = rabbitmq_link_answer(link, "was asked what a user may do", &said);
    if (code == FH_UNAVAILABLE) {
        trespassing->code = code;
        *trespassing->error = said;
        return false;
    }
    if (code != FH_INVALID)
        broker_open_add(trespassing->open, what);
    return true;
}

static void rabbitmq_trespass_now(void *argument)
{
    struct rabbitmq_trespassing *trespassing = argument;
    struct rabbitmq_link *link = &trespassing->broker->link;
    char exchange[RABBITMQ_NAME_SIZE], queue[RABBITMQ_NAME_SIZE];
    if (!link->connection) {
        trespassing->code = rabbitmq_link_state(link, trespassing->error);
        return;
    }
    rabbitmq_exchange_name(trespassing->topic, exchange);
    rabbitmq_queue_name(trespassing->topic, 0, NOBODY, queue);
    if (try_name(trespassing, publish_nowhere, exchange, "publish to it") &&
        try_name(trespassing, delete_nothing, exchange, "remove it") &&
        (trespassing->reads || try_name(trespassing, read_nothing, exchange, "read it")) &&
        try_name(trespassing, delete_nothing, queue, "remove a subscriber's queue"))
        try_name(trespassing, read_nothing, queue, "read a subscriber's queue");
}

enum fh_code rabbitmq_trespass(struct broker *base, const struct broker_topic *topic, bool reads,
                               int64_t deadline_ns, char ret[static BROKER_OPEN_SIZE],
                               struct fh_error *error)
{
    struct rabbitmq_broker *broker = rabbitmq_of(base);
    struct rabbitmq_trespassing trespassing = {.broker = broker,
                                               .topic = topic,
                                               .reads = reads,
                                               .deadline_ns = deadline_ns,
                                               .open = ret,
                                               .error = error};
    ret[0] = '\0';
    enum fh_code code = rabbitmq_link_state(&broker->link, error);
    if (code)
        return code;
    rabbitmq_run(base->world, &broker->link, broker->worker, rabbitmq_trespass_now, &trespassing,
                 deadline_ns);
    return trespassing.code;
}
