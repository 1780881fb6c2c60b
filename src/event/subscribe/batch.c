/* SPDX-License-Identifier: Apache-2.0 */
/* Checks what a bus delivered. It came from elsewhere: nothing in it is trusted unchecked, because
 * a cursor that moved wrongly would lose events for ever. */

#include "event/subscribe/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "event/envelope.h"

struct batch *batch_new(struct fh_error *error)
{
    struct batch *batch = calloc(1, sizeof *batch);
    if (batch)
        /* As much as one event's unit of work could hold. */
        arena_init(&batch->arena, 2 * ARENA_SIZE_MAX);
    else
        error_set(error, FH_NO_MEMORY, "There is no memory for a batch of events.");
    return batch;
}

void batch_free(struct batch *batch)
{
    if (!batch)
        return;
    arena_release(&batch->arena);
    free(batch);
}

static enum fh_code event_parse(json_t *envelope, struct batch_event *event, struct fh_error *error)
{
    json_int_t position;
    const char *time = json_string_value(json_object_get(envelope, "time"));
    *event =
        (struct batch_event){.envelope = envelope,
                             .id = json_string_value(json_object_get(envelope, "id")),
                             .type = json_string_value(json_object_get(envelope, "type")),
                             .key = json_string_value(json_object_get(envelope, "subject")),
                             .trace = json_string_value(json_object_get(envelope, "traceparent"))};
    if (!event->id || !*event->id || strlen(event->id) >= ID_SIZE || !event->type ||
        !json_integer_at(envelope, "position", &position) || !json_object_get(envelope, "data"))
        return error_set(error, FH_INVALID, "An event in it lacks its id, type, position or data.");
    event->position = position;
    if (!event->key)
        event->key = "";
    if (!time || !envelope_time_parse(time, &event->time_ms))
        event->time_ms = 0;
    return FH_OK;
}

enum fh_code batch_take(struct batch *batch, json_t *envelopes, int64_t after, int count_max,
                        struct fh_error *error)
{
    size_t index;
    json_t *envelope;
    if (json_array_size(envelopes) > (size_t)count_max)
        return error_set(error, FH_INVALID, "It has more than the %d events asked for.", count_max);
    batch->events =
        arena_alloc(&batch->arena, (json_array_size(envelopes) + 1) * sizeof *batch->events);
    json_array_foreach (envelopes, index, envelope) {
        struct batch_event *event = &batch->events[batch->count++];
        enum fh_code code = event_parse(envelope, event, error);
        if (code != FH_OK)
            return code;
        if (event->position <= after)
            return error_set(error, FH_INVALID, "Its events are not in order after %lld.",
                             (long long)after);
        after = event->position;
    }
    if (batch->next.position < after || batch->last < batch->next.position)
        return error_set(error, FH_INVALID,
                         "It scanned to %lld of %lld, with an event or a cursor at %lld.",
                         (long long)batch->next.position, (long long)batch->last, (long long)after);
    return FH_OK;
}
