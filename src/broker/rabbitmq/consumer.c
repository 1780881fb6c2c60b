/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A consumer, from the loop: opened, closed, freed. It has a connection and a thread of its own
 * (consume.c): when its user is slow, no more is read from its socket, and no other consumer waits
 * for that. Messages that came wait in a list for `take` (take.c).
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/rabbitmq/internal.h"

struct opening {
    struct rabbitmq_consumer *consumer;
    int64_t deadline_ns;
    enum fh_code code;
    struct fh_error *error;
};

static struct rabbitmq_consumer *consumer_new(struct rabbitmq_broker *broker,
                                              const struct broker_topic *topic, const char *name,
                                              unsigned index, unsigned of)
{
    struct rabbitmq_consumer *consumer = calloc(1, sizeof *consumer);
    if (!consumer)
        return NULL;
    consumer->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (consumer->wake_fd < 0) {
        free(consumer);
        return NULL;
    }
    consumer->base = (struct broker_consumer){.broker = &broker->base};
    snprintf(consumer->topic_name, sizeof consumer->topic_name, "%s", topic->name);
    snprintf(consumer->name, sizeof consumer->name, "%s", name);
    consumer->topic = (struct broker_topic){consumer->topic_name, topic->partitions};
    consumer->index = index;
    consumer->of = of;
    consumer->read.end = &consumer->read.first;
    consumer->waiting.end = &consumer->waiting.first;
    consumer->options = broker->options; /* the thread may outlive the broker */
    pthread_mutex_init(&consumer->mutex, NULL);
    rabbitmq_link_init(&consumer->link, &consumer->options);
    return consumer;
}

static void rabbitmq_free_taken(struct rabbitmq_consumer *consumer)
{
    for (int i = 0; i < consumer->taken_count; i++)
        free(consumer->taken[i]);
    consumer->taken_count = 0;
}

static void consumer_free(struct rabbitmq_consumer *consumer)
{
    rabbitmq_link_release(&consumer->link);
    rabbitmq_consumer_lost(consumer, "");
    rabbitmq_free_taken(consumer);
    close(consumer->wake_fd);
    pthread_mutex_destroy(&consumer->mutex);
    free(consumer);
}

static void open_now(void *argument)
{
    struct opening *opening = argument;
    opening->code = rabbitmq_consumer_open(opening->consumer, opening->deadline_ns, opening->error);
}

/* The thread's last call. */
static void consumer_close_now(void *argument)
{
    struct rabbitmq_consumer *consumer = argument;
    if (consumer->link.connection)
        rabbitmq_consumer_acknowledge(consumer);
    consumer_free(consumer);
}

void rabbitmq_unconsume(struct broker_consumer *base)
{
    struct rabbitmq_consumer *consumer = (struct rabbitmq_consumer *)base;
    broker_worker_end(consumer->worker, consumer_close_now, consumer);
}

static enum fh_code start_consumer(struct broker *base, struct rabbitmq_consumer *consumer,
                                   struct fh_error *error)
{
    if (!consumer)
        return error_set(error, FH_NO_MEMORY, "There is no memory for a consumer of a topic.");
    enum fh_code code = broker_worker_new_idle(base->world, rabbitmq_consumer_idle, consumer,
                                               &consumer->worker, error);
    if (code)
        consumer_free(consumer);
    return code;
}

enum fh_code rabbitmq_source_new(struct broker *base, unsigned partition,
                                 struct rabbitmq_consumer **ret, struct fh_error *error)
{
    const struct broker_topic any = {"", BROKER_PARTITIONS_MAX};
    struct rabbitmq_broker *broker = rabbitmq_of(base);
    enum fh_code code = rabbitmq_link_state(&broker->link, error);
    if (code)
        return code;
    *ret = consumer_new(broker, &any, "", partition, BROKER_PARTITIONS_MAX);
    if (*ret)
        (*ret)->source = true;
    return start_consumer(base, *ret, error);
}

enum fh_code rabbitmq_consume(struct broker *base, const struct broker_topic *topic,
                              const char *name, unsigned index, unsigned of, int64_t deadline_ns,
                              struct broker_consumer **ret, struct fh_error *error)
{
    struct rabbitmq_broker *broker = rabbitmq_of(base);
    *ret = NULL;
    FH_ASSERT(of >= 1 && index < of && topic->partitions >= of);
    FH_ASSERT(strlen(topic->name) <= BROKER_TOPIC_LENGTH_MAX);
    FH_ASSERT(strlen(name) <= BROKER_NAME_LENGTH_MAX);
    enum fh_code code = rabbitmq_link_state(&broker->link, error);
    if (code)
        return code;
    struct rabbitmq_consumer *consumer = consumer_new(broker, topic, name, index, of);
    code = start_consumer(base, consumer, error);
    if (code)
        return code;
    struct opening opening = {.consumer = consumer, .deadline_ns = deadline_ns, .error = error};
    rabbitmq_run(base->world, &consumer->link, consumer->worker, open_now, &opening, deadline_ns);
    if (opening.code) {
        rabbitmq_unconsume(&consumer->base);
        return opening.code;
    }
    *ret = &consumer->base;
    return FH_OK;
}
