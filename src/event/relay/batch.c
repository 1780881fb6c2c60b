/* SPDX-License-Identifier: Apache-2.0 */
/* One after the other the texts of a batch's messages are in one text, and so are their keys: what
 * points into them is made when it is published, since both may move while they grow. */

#include "event/relay/batch.h"

#include <stdio.h>
#include <string.h>

#include "event/envelope.h"
#include "store/ledger.h"
#include "store/store.h"

#define HEADROOM ((size_t)4096) /* of a message, for what a server adds */

void relay_batch_init(struct relay_batch *batch, const struct work_context *context,
                      struct chain *chain)
{
    batch->context = context;
    batch->chain = chain;
    text_init(&batch->texts, TEXT_LENGTH_MAX);
    text_init(&batch->follows, CHAIN_SIZE_MAX);
    text_init(&batch->keys, TEXT_LENGTH_MAX);
}

void relay_batch_release(struct relay_batch *batch)
{
    text_release(&batch->texts);
    text_release(&batch->follows);
    text_release(&batch->keys);
}

void relay_batch_clear(struct relay_batch *batch)
{
    text_clear(&batch->texts);
    text_clear(&batch->keys);
    batch->count = 0;
    batch->oldest_ms = 0;
    batch->more = false;
}

static void write_relayed(struct relay_batch *batch, const struct ledger_event *event)
{
    const struct work_context *context = batch->context;
    struct envelope_message message = {.incarnation = context->store->incarnation,
                                       .chain = batch->follows.data};
    size_t begins = batch->texts.length;
    envelope_write_message(&batch->texts, context->service->name, event, &message);
    if (batch->texts.length - begins <= BROKER_MESSAGE_SIZE_MAX - HEADROOM)
        return;
    batch->texts.length = begins;
    message.reference = true;
    envelope_write_message(&batch->texts, context->service->name, event, &message);
}

bool relay_batch_take(void *context, const struct ledger_event *event)
{
    struct relay_batch *batch = context;
    if (batch->count > 0 && batch->texts.length + strlen(event->data) > RELAY_BATCH_SIZE_MAX)
        return false;
    text_clear(&batch->follows);
    chain_write(batch->chain, event->key, &batch->follows);
    chain_follow(batch->chain, event->key, event->position, event->id);
    batch->begins[batch->count] = batch->texts.length;
    batch->partitions[batch->count] = envelope_partition(event->key, batch->chain->partitions);
    batch->key_begins[batch->count] = batch->keys.length;
    text_append(&batch->keys, event->key, strlen(event->key) + 1);
    snprintf(batch->ids[batch->count], ID_SIZE, "%s", event->id);
    if (batch->count == 0)
        batch->oldest_ms = event->time_ms;
    write_relayed(batch, event);
    batch->begins[++batch->count] = batch->texts.length;
    return true;
}

bool relay_batch_overflows(const struct relay_batch *batch)
{
    return batch->texts.overflow || batch->keys.overflow || batch->follows.overflow;
}

const struct broker_message *relay_batch_messages(struct relay_batch *batch)
{
    for (int i = 0; i < batch->count; i++)
        batch->messages[i] =
            (struct broker_message){.partition = batch->partitions[i],
                                    .data = batch->texts.data + batch->begins[i],
                                    .length = batch->begins[i + 1] - batch->begins[i],
                                    .id = batch->ids[i],
                                    .key = batch->keys.data + batch->key_begins[i]};
    return batch->messages;
}
