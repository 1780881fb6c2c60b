/* SPDX-License-Identifier: Apache-2.0 */
/* Taking messages of a consumer, on the loop. With the newest one that was acknowledged all before
 * it are. */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/rabbitmq/internal.h"

static struct rabbitmq_consumer *rabbitmq_consumer_of(struct broker_consumer *base)
{
    return (struct rabbitmq_consumer *)base;
}

/* Half of what may wait is left: the thread reads on. */
static bool waiting_has_room(const struct rabbitmq_consumer *consumer)
{
    return consumer->waiting.count < RABBITMQ_WAITING_MAX / 2 &&
           consumer->waiting.size < RABBITMQ_WAITING_SIZE_MAX / 2;
}

static int take_messages_waiting(struct rabbitmq_consumer *consumer,
                                 struct broker_message *messages, int max)
{
    struct rabbitmq_list *waiting = &consumer->waiting;
    struct rabbitmq_arrived *arrived;
    int count = 0;
    pthread_mutex_lock(&consumer->mutex);
    bool had_room = waiting_has_room(consumer);
    while (count < max && (arrived = waiting->first)) {
        waiting->first = arrived->next;
        if (!waiting->first)
            waiting->end = &waiting->first;
        waiting->count--;
        waiting->size -= rabbitmq_arrived_size(arrived);
        consumer->taken[consumer->taken_count++] = arrived;
        consumer->handed = arrived->mark;
        messages[count++] = (struct broker_message){.partition = arrived->partition,
                                                    .data = arrived->data,
                                                    .length = arrived->length,
                                                    .mark = arrived->mark,
                                                    .offset = arrived->offset,
                                                    .time_ms = arrived->time_ms,
                                                    .native = arrived};
        if (consumer->source && arrived->offset >= consumer->base.end)
            consumer->base.end = arrived->offset + 1;
    }
    bool wake = !had_room && waiting_has_room(consumer);
    pthread_mutex_unlock(&consumer->mutex);
    if (wake)
        broker_worker_wake(consumer->worker);
    return count;
}

static enum fh_code consumer_state(struct rabbitmq_consumer *consumer, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    pthread_mutex_lock(&consumer->mutex);
    if (consumer->lost)
        code = error_set(error, FH_UNAVAILABLE, "%s", consumer->reason);
    pthread_mutex_unlock(&consumer->mutex);
    return code;
}

static void rabbitmq_forget_wakes(struct rabbitmq_consumer *consumer)
{
    uint64_t unused;
    while (read(consumer->wake_fd, &unused, sizeof unused) < 0 && errno == EINTR)
        ;
}

enum fh_code rabbitmq_take(struct broker_consumer *base, struct broker_message *messages, int max,
                           int64_t deadline_ns, int *ret_count, struct fh_error *error)
{
    struct rabbitmq_consumer *consumer = rabbitmq_consumer_of(base);
    struct world *world = base->broker->world;
    FH_ASSERT(max >= 1 && max <= BROKER_TAKE_MAX);
    for (int i = 0; i < consumer->taken_count; i++)
        free(consumer->taken[i]);
    consumer->taken_count = 0;
    for (;;) {
        rabbitmq_forget_wakes(consumer);
        *ret_count = take_messages_waiting(consumer, messages, max);
        enum fh_code code = *ret_count ? FH_OK : consumer_state(consumer, error);
        if (*ret_count && consumer->source) /* nobody else does, and it brings no more otherwise */
            rabbitmq_acknowledge(base, consumer->handed);
        if (code || *ret_count || world_monotonic_ns(world) >= deadline_ns || base->cancelled)
            return code;
        world_wait_for(world, consumer->wake_fd, WORLD_READABLE, deadline_ns);
    }
}

void rabbitmq_wake(struct broker_consumer *base)
{
    rabbitmq_consumer_wake(rabbitmq_consumer_of(base));
}

void rabbitmq_acknowledge(struct broker_consumer *base, uint64_t mark)
{
    struct rabbitmq_consumer *consumer = rabbitmq_consumer_of(base);
    atomic_store(&consumer->acknowledge, mark < consumer->handed ? mark : consumer->handed);
    broker_worker_wake(consumer->worker);
}
