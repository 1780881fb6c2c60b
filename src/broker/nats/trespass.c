/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a user may do what only others should. The server tells of each subject that a user may
 * not publish to before it answers the PING that comes after it. What is sent does no harm where it
 * is let through: no stream has the name that the message expects, and no request is well-formed.
 */

#include <stdio.h>
#include <string.h>

#include "broker/nats/internal.h"
#include "world/world.h"

#define EXPECTED_NOWHERE "freehold-nowhere"
#define NOT_A_REQUEST "x"

struct trespassing {
    struct nats_broker *broker;
    const struct broker_topic *topic;
    int64_t deadline_ns;
    char *open;
    enum fh_code code;
    struct fh_error *error;
};

static const struct {
    const char *what, *subject; /* of the subject's name the stream is the rest */
} forbidden[] = {
    {"remove its stream", "$JS.API.STREAM.DELETE."},
    {"empty its stream", "$JS.API.STREAM.PURGE."},
    {"change its stream", "$JS.API.STREAM.UPDATE."},
    {"remove its messages", "$JS.API.STREAM.MSG.DELETE."},
    {"read its messages", "$JS.API.STREAM.MSG.GET."},
    {"make consumers", "$JS.API.CONSUMER.CREATE."},
};

static natsStatus send_forbidden(struct nats_broker *broker, const char *subject)
{
    natsMsg *message = NULL;
    natsStatus status = nats.natsMsg_Create(&message, subject, NULL, NOT_A_REQUEST, 1);
    if (status == NATS_OK)
        status = nats.natsMsgHeader_Set(message, "Nats-Expected-Stream", EXPECTED_NOWHERE);
    if (status == NATS_OK)
        status = nats.natsConnection_PublishMsg(broker->connection, message);
    nats.natsMsg_Destroy(message);
    return status;
}

/* Adds `what` if the server lets the connection's user publish there. False: it did not answer. */
static bool try_subject(struct trespassing *trespassing, const char *subject, const char *what)
{
    struct nats_broker *broker = trespassing->broker;
    const char *said = NULL;
    natsStatus status = send_forbidden(broker, subject);
    if (status == NATS_OK)
        status = nats.natsConnection_FlushTimeout(
            broker->connection, nats_left_ms(broker->base.world, trespassing->deadline_ns));
    if (status != NATS_OK) {
        trespassing->code = nats_failed(broker, "was asked what a user may do, and did not answer",
                                        status, 0, trespassing->error);
        return false;
    }
    nats.natsConnection_GetLastError(broker->connection, &said);
    if (!said || !strstr(said, subject))
        broker_open_add(trespassing->open, what);
    return true;
}

static void nats_trespass_now(void *argument)
{
    struct trespassing *trespassing = argument;
    char stream[NATS_WORD_SIZE], subject[2 * NATS_WORD_SIZE];
    nats_stream_name(trespassing->topic, stream);
    nats_subject(trespassing->topic, 0, subject);
    if (!try_subject(trespassing, subject, "publish to it"))
        return;
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        snprintf(subject, sizeof subject, "%s%s", forbidden[i].subject, stream);
        if (!try_subject(trespassing, subject, forbidden[i].what))
            return;
    }
}

/* What is tried here no reader may do either: it reads by its own consumers alone. */
enum fh_code nats_trespass(struct broker *base, const struct broker_topic *topic, bool reads,
                           int64_t deadline_ns, char ret[static BROKER_OPEN_SIZE],
                           struct fh_error *error)
{
    (void)reads;
    struct trespassing trespassing = {.broker = nats_of(base),
                                      .topic = topic,
                                      .deadline_ns = deadline_ns,
                                      .open = ret,
                                      .error = error};
    ret[0] = '\0';
    enum fh_code code = nats_is_connected(trespassing.broker, error);
    if (code)
        return code;
    broker_worker_run(trespassing.broker->worker, nats_trespass_now, &trespassing);
    return trespassing.code;
}
