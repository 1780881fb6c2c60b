/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_RELAY_BATCH_H
#define EVENT_RELAY_BATCH_H

/*
 * What the relay reads at once, and publishes at once: messages, each with what it follows. The
 * chain moves as events are taken, since a batch that fails is published again as it is.
 */

#include "base/text.h"
#include "broker/broker.h"
#include "event/chain.h"
#include "work/work.h"

#define RELAY_BATCH_MAX 500
#define RELAY_BATCH_SIZE_MAX ((size_t)1 << 20)

struct ledger_event;

struct relay_batch {
    const struct work_context *context; /* borrowed, as is the chain */
    struct chain *chain;
    struct chain_place next; /* up to where it was read */
    bool more;               /* there was more to read */
    int count;
    int64_t oldest_ms; /* of its first event */
    struct text texts, follows;
    struct text keys; /* each with its NUL */
    size_t begins[RELAY_BATCH_MAX + 1], key_begins[RELAY_BATCH_MAX];
    unsigned partitions[RELAY_BATCH_MAX];
    char ids[RELAY_BATCH_MAX][ID_SIZE];
    struct broker_message messages[RELAY_BATCH_MAX];
};

void relay_batch_init(struct relay_batch *batch, const struct work_context *context,
                      struct chain *chain);
void relay_batch_release(struct relay_batch *batch);
void relay_batch_clear(struct relay_batch *batch);
/* A reading's `take`, whose context is the batch. */
bool relay_batch_take(void *context, const struct ledger_event *event);
/* There was no memory for what was taken: it is not whole. */
bool relay_batch_overflows(const struct relay_batch *batch);
/* `count` messages, which point into the batch. */
const struct broker_message *relay_batch_messages(struct relay_batch *batch);

#endif
