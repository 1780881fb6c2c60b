/* SPDX-License-Identifier: Apache-2.0 */
/* Checks what a bus delivered. It came from elsewhere: nothing in it is trusted unchecked, because
 * a cursor that moved wrongly would lose events for ever. */

#include "event/subscribe/batch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "event/envelope.h"

void batch_free(struct batch *batch)
{
    if (!batch)
        return;
    arena_release(&batch->arena);
    free(batch);
}

/* Digits that end at `end`, '\0' or another character. */
static bool take_position(const char *text, char end, int64_t *ret, const char **ret_end)
{
    char *at;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *ret = strtoll(text, &at, 10);
    *ret_end = at;
    return errno == 0 && *at == end;
}

/* "Freehold-Next: 17,ID" and "Freehold-Last: 20". */
static enum fh_code headers_parse(const struct world_request *answer, struct batch *batch,
                                  struct fh_error *error)
{
    const char *incarnation = world_answer_header(answer, "freehold-incarnation");
    const char *next = world_answer_header(answer, "freehold-next");
    const char *last = world_answer_header(answer, "freehold-last");
    const char *end;
    if (!incarnation || !next || !last)
        return error_set(error, FH_INVALID, "It lacks Freehold-Incarnation, -Next or -Last.");
    if (!*incarnation || strlen(incarnation) >= ID_SIZE)
        return error_set(error, FH_INVALID, "Its Freehold-Incarnation is no incarnation.");
    if (!take_position(last, '\0', &batch->last, &end))
        return error_set(error, FH_INVALID, "Its Freehold-Last is no position.");
    if (!take_position(next, ',', &batch->next.position, &end) || strlen(end + 1) >= ID_SIZE ||
        (batch->next.position > 0) != (end[1] != '\0'))
        return error_set(error, FH_INVALID, "Its Freehold-Next is no position with an id.");
    snprintf(batch->next.incarnation, sizeof batch->next.incarnation, "%s", incarnation);
    snprintf(batch->next.event_id, sizeof batch->next.event_id, "%s", end + 1);
    return FH_OK;
}

static enum fh_code event_parse(json_t *envelope, struct batch_event *event, struct fh_error *error)
{
    json_int_t position;
    const char *time = json_string_at(envelope, "time");
    *event = (struct batch_event){.envelope = envelope,
                                  .id = json_string_at(envelope, "id"),
                                  .type = json_string_at(envelope, "type"),
                                  .key = json_string_at(envelope, "subject"),
                                  .trace = json_string_at(envelope, "traceparent")};
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

static enum fh_code events_parse(json_t *list, int64_t after, int count_max, struct batch *batch,
                                 struct fh_error *error)
{
    size_t index;
    json_t *envelope;
    if (!json_is_array(list))
        return error_set(error, FH_INVALID, "Its body is not an array.");
    if (json_array_size(list) > (size_t)count_max)
        return error_set(error, FH_INVALID, "It has more than the %d events asked for.", count_max);
    batch->events = arena_alloc(&batch->arena, (json_array_size(list) + 1) * sizeof *batch->events);
    json_array_foreach (list, index, envelope) {
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

enum fh_code batch_parse(const struct world_request *answer, const struct ledger_cursor *after,
                         int count_max, struct batch **ret, struct fh_error *error)
{
    json_t *list = NULL;
    struct batch *batch = calloc(1, sizeof *batch);
    *ret = NULL;
    if (!batch)
        return error_set(error, FH_NO_MEMORY, "There is no memory for a batch of events.");
    arena_init(&batch->arena, 2 * ARENA_SIZE_MAX); /* whatever one event's work could hold */
    enum fh_code code = headers_parse(answer, batch, error);
    const char *continues = world_answer_header(answer, "freehold-continues");
    if (code == FH_OK && after->incarnation[0] &&
        strcmp(after->incarnation, batch->next.incarnation) != 0 &&
        (!continues || strcmp(after->incarnation, continues) != 0))
        code = error_set(error, FH_INVALID, "It is of another incarnation than was asked for.");
    if (code == FH_OK) {
        struct arena *before = json_arena_set(&batch->arena);
        code = json_parse(answer->answer, answer->answer_length, &list, error);
        json_arena_set(before);
    }
    if (code == FH_OK)
        code = events_parse(list, after->position, count_max, batch, error);
    if (code == FH_OK)
        *ret = batch;
    else
        batch_free(batch);
    return code;
}
