/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection by which is published, and its thread: it answers the server's heartbeats, and
 * connects again when the connection is lost, for as long as it takes. Consumers have connections
 * of their own, since a server that is short of memory or disk stops listening to those that
 * publish.
 */

#include <stdlib.h>
#include <string.h>

#include "broker/rabbitmq/internal.h"

#define LOOK_MS 2000 /* less than a heartbeat */
#define CUT_MS 500   /* after the deadline of a call that does not end */

static void read_what_comes(struct rabbitmq_broker *broker)
{
    struct rabbitmq_link *link = &broker->link;
    amqp_frame_t frame;
    char why[160];
    while (rabbitmq_link_frame(link, &frame, 0) > 0) { /* confirms that came too late, mostly */
        if (frame.frame_type == AMQP_FRAME_METHOD &&
            frame.payload.method.id == AMQP_CHANNEL_CLOSE_METHOD)
            rabbitmq_link_closed(link, &frame.payload.method, why, sizeof why);
    }
}

static void publisher_idle(void *argument, int wake_fd)
{
    struct rabbitmq_broker *broker = argument;
    struct rabbitmq_link *link = &broker->link;
    if (!link->connection && rabbitmq_now_ns() >= link->retry_ns)
        rabbitmq_link_open(link, rabbitmq_in_ms(RABBITMQ_TRY_MS), ERROR_UNHEEDED);
    if (link->connection)
        read_what_comes(broker);
    rabbitmq_link_wait(link, wake_fd, link->connection ? rabbitmq_in_ms(LOOK_MS) : link->retry_ns,
                       true);
}

struct cut {
    struct world_timer timer;
    struct rabbitmq_link *link;
};

static void cut_off(struct world_timer *timer)
{
    rabbitmq_link_cut(((struct cut *)timer->owner)->link);
}

void rabbitmq_run(struct world *world, struct rabbitmq_link *link, struct broker_worker *worker,
                  void (*run)(void *), void *argument, int64_t deadline_ns)
{
    struct cut cut = {.timer = {.fire = cut_off}, .link = link};
    cut.timer.owner = &cut;
    world_timer_start(world, &cut.timer, deadline_ns + CUT_MS * RABBITMQ_NS_A_MS);
    broker_worker_run(worker, run, argument);
    world_timer_stop(world, &cut.timer);
}

/* ---- connect, close ---- */

struct connecting {
    struct rabbitmq_broker *broker;
    int64_t deadline_ns;
    enum fh_code code;
    struct fh_error *error;
};

static void connect_now(void *argument)
{
    struct connecting *connecting = argument;
    struct rabbitmq_link *link = &connecting->broker->link;
    if (link->connection) /* the thread has been at it */
        return;
    connecting->code = rabbitmq_link_open(link, connecting->deadline_ns, connecting->error);
}

static void publisher_close_now(void *argument)
{
    struct rabbitmq_broker *broker = argument;
    rabbitmq_link_release(&broker->link);
    free(broker);
}

void rabbitmq_close(struct broker *base)
{
    struct rabbitmq_broker *broker = rabbitmq_of(base);
    broker_worker_end(broker->worker, publisher_close_now, broker);
}

enum fh_code rabbitmq_connect(struct world *world, const json_t *options, int64_t deadline_ns,
                              struct broker **ret, struct fh_error *error)
{
    enum fh_code code = rabbitmq_library_load(error);
    struct rabbitmq_broker *broker = code ? NULL : calloc(1, sizeof *broker);
    *ret = NULL;
    if (code)
        return code;
    if (!broker)
        return error_set(error, FH_NO_MEMORY, "There is no memory for a connection to RabbitMQ.");
    broker->base = (struct broker){.world = world};
    code = rabbitmq_options_read(options, &broker->options, error);
    rabbitmq_link_init(&broker->link, &broker->options);
    broker->link.retry_ns = INT64_MAX; /* not before it is told to */
    if (!code)
        code = broker_worker_new_idle(world, publisher_idle, broker, &broker->worker, error);
    if (code) {
        rabbitmq_link_release(&broker->link);
        free(broker);
        return code;
    }
    struct connecting connecting = {.broker = broker, .deadline_ns = deadline_ns, .error = error};
    rabbitmq_run(world, &broker->link, broker->worker, connect_now, &connecting, deadline_ns);
    if (connecting.code) {
        rabbitmq_close(&broker->base);
        return connecting.code;
    }
    *ret = &broker->base;
    return FH_OK;
}

/* ---- declare ---- */

struct declaring {
    struct rabbitmq_broker *broker;
    const struct broker_topic *topic;
    int64_t deadline_ns;
    enum fh_code code;
    struct fh_error *error;
};

static void declare_now(void *argument)
{
    struct declaring *declaring = argument;
    struct rabbitmq_link *link = &declaring->broker->link;
    if (!link->connection) {
        declaring->code = rabbitmq_link_state(link, declaring->error);
        return;
    }
    rabbitmq_link_until(link, declaring->deadline_ns);
    declaring->code = rabbitmq_topic_declare(link, declaring->topic, declaring->error);
    declaring->broker->held = declaring->code ? 0 : link->channels;
}

enum fh_code rabbitmq_declare(struct broker *base, const struct broker_topic *topic,
                              int64_t deadline_ns, struct fh_error *error)
{
    struct rabbitmq_broker *broker = rabbitmq_of(base);
    struct declaring declaring = {
        .broker = broker, .topic = topic, .deadline_ns = deadline_ns, .error = error};
    FH_ASSERT(topic->partitions >= 1 && topic->partitions <= BROKER_PARTITIONS_MAX);
    FH_ASSERT(strlen(topic->name) <= BROKER_TOPIC_LENGTH_MAX);
    enum fh_code code = rabbitmq_link_state(&broker->link, error);
    if (code)
        return code;
    rabbitmq_run(base->world, &broker->link, broker->worker, declare_now, &declaring, deadline_ns);
    return declaring.code;
}
