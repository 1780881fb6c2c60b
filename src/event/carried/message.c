/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each message is parsed once, onto the arena of the batch that it will probably be delivered with;
 * what is left on the shelf when that batch goes is copied to the next one's.
 */

#include "event/carried/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "event/envelope.h"
#include "event/versions.h"

/* ---- one message ---- */

static const struct fh_subscription *subscribed_to(const struct bus_subscriber *subscriber,
                                                   const char *type)
{
    for (int i = 0; i < subscriber->subscribed_count; i++) {
        if (strcmp(subscriber->subscribed[i]->type, type) == 0)
            return subscriber->subscribed[i];
    }
    return NULL;
}

/* As the feed selects them (event/fields.h). */
static void select_fields(const struct shelf *shelf, const struct fh_subscription *subscribed,
                          int version, json_t *data)
{
    const fh_service *service = shelf->subscriber->context->service;
    const char *name;
    void *after;
    json_t *unused;
    json_object_foreach_safe (data, after, name, unused) {
        if (!versions_gets(service, subscribed, version, name))
            json_object_del(data, name);
    }
}

static const char *text_of(const json_t *envelope, const char *name, size_t size)
{
    const json_t *value = json_object_get(envelope, name);
    const char *text = json_string_value(value);
    return text && json_string_length(value) < size && strlen(text) == json_string_length(value)
               ? text
               : NULL;
}

static bool is_from(const json_t *envelope, const char *source)
{
    const char *from = json_string_value(json_object_get(envelope, "source"));
    return from && from[0] == '/' && strcmp(from + 1, source) == 0;
}

/* Its position, id, chain; whose it is is known. */
static bool read_places(const struct shelf *shelf, const json_t *envelope,
                        struct carried_message *ret)
{
    json_int_t position;
    const char *id = text_of(envelope, "id", ID_SIZE);
    const char *chain = text_of(envelope, "chain", CHAIN_SIZE_MAX);
    const char *key = json_string_value(json_object_get(envelope, "subject"));
    if (!json_integer_at(envelope, "position", &position) || position <= 0 || !id || !*id || !key)
        return false;
    if (envelope_partition(key, shelf->of) != shelf->index)
        return false;
    ret->place.position = position;
    memcpy(ret->place.id, id, strlen(id) + 1);
    return chain && chain_read(chain, shelf->of, &ret->follows) &&
           ret->follows.position < ret->place.position;
}

/* What of it is delivered. False: it is damaged. */
static bool read_event(const struct shelf *shelf, json_t *envelope, struct carried_message *ret)
{
    const char *type = json_string_value(json_object_get(envelope, "type"));
    json_t *data = json_object_get(envelope, "data");
    const struct fh_subscription *subscribed = type ? subscribed_to(shelf->subscriber, type) : NULL;
    ret->envelope = NULL;
    ret->reference = false;
    if (!subscribed)
        return type != NULL;
    int version = batch_event_version(json_object_get(envelope, "version"));
    ret->reference = json_object_get(envelope, "dataref") != NULL ||
                     (subscribed->version && version > subscribed->version);
    if (ret->reference)
        return true;
    if (!json_is_object(data))
        return false;
    select_fields(shelf, subscribed, version, data);
    json_object_del(envelope, "incarnation");
    json_object_del(envelope, "chain");
    ret->envelope = envelope;
    return true;
}

/* ---- the shelf ---- */

static void free_batch_if_unused(struct shelf *shelf)
{
    if (shelf->count > 0 || !shelf->batch)
        return;
    batch_free(shelf->batch);
    shelf->batch = NULL;
}

void shelf_release(struct shelf *shelf)
{
    shelf->count = 0;
    free_batch_if_unused(shelf);
    free(shelf->messages);
    shelf->messages = NULL;
    shelf->capacity = 0;
}

void shelf_pass(struct shelf *shelf, int64_t position)
{
    int passed = 0;
    while (passed < shelf->count && shelf->messages[passed].place.position <= position)
        passed++;
    shelf->count -= passed;
    if (passed)
        memmove(shelf->messages, shelf->messages + passed,
                (size_t)shelf->count * sizeof *shelf->messages);
    free_batch_if_unused(shelf);
}

void shelf_drop(struct shelf *shelf)
{
    if (shelf->count > 0)
        shelf_pass(shelf, shelf->messages[0].place.position);
}

/* Of two messages at one position one may be of a relay that has just begun, and believes that it
 * follows something later than it does. */
static void shelf_insert(struct shelf *shelf, const struct carried_message *message)
{
    int at = shelf->count;
    while (at > 0 && shelf->messages[at - 1].place.position > message->place.position)
        at--;
    struct carried_message *same = at > 0 ? &shelf->messages[at - 1] : NULL;
    if (same && same->place.position == message->place.position) {
        if (message->follows.position < same->follows.position)
            *same = *message;
        return;
    }
    memmove(shelf->messages + at + 1, shelf->messages + at,
            (size_t)(shelf->count - at) * sizeof *shelf->messages);
    shelf->messages[at] = *message;
    shelf->count++;
}

static bool shelf_has_room(struct shelf *shelf)
{
    if (shelf->count == SHELF_MAX || (shelf->batch && shelf->batch->arena.size > SHELF_SIZE_MAX))
        return false;
    if (shelf->count < shelf->capacity)
        return true;
    int capacity = shelf->capacity ? shelf->capacity * 2 : 64;
    struct carried_message *more =
        realloc(shelf->messages, (size_t)capacity * sizeof *shelf->messages);
    if (!more)
        return false;
    shelf->messages = more;
    shelf->capacity = capacity;
    return true;
}

static enum carried_verdict judge_carried(struct shelf *shelf, const struct carried_place *place,
                                          json_t *envelope, int64_t *ret_position)
{
    struct carried_message message;
    const char *incarnation = text_of(envelope, "incarnation", ID_SIZE);
    if (!incarnation || !*incarnation || !is_from(envelope, shelf->subscriber->source))
        return CARRIED_DROPPED;
    if (strcmp(incarnation, place->at.incarnation) != 0)
        return CARRIED_FOREIGN;
    if (!read_places(shelf, envelope, &message))
        return CARRIED_DROPPED;
    *ret_position = message.place.position;
    if (message.place.position <= place->at.position)
        return CARRIED_KNOWN;
    if (!read_event(shelf, envelope, &message))
        return CARRIED_DROPPED;
    shelf_insert(shelf, &message);
    return CARRIED_KEPT;
}

enum carried_verdict shelf_put(struct shelf *shelf, const struct carried_place *place,
                               const struct broker_message *message, int64_t *ret_position)
{
    enum carried_verdict verdict = CARRIED_DROPPED;
    json_t *envelope = NULL;
    *ret_position = 0;
    if (message->length > BROKER_MESSAGE_SIZE_MAX || !shelf_has_room(shelf))
        return CARRIED_DROPPED;
    if (!shelf->batch)
        shelf->batch = batch_new(ERROR_UNHEEDED);
    if (!shelf->batch)
        return CARRIED_DROPPED;
    struct arena mark = shelf->batch->arena;
    struct arena *before = json_arena_set(&shelf->batch->arena);
    if (json_parse(message->data, message->length, &envelope, ERROR_UNHEEDED) == FH_OK)
        verdict = judge_carried(shelf, place, envelope, ret_position);
    json_arena_set(before);
    if (verdict != CARRIED_KEPT) {
        json_decref(envelope);
        arena_rewind(&shelf->batch->arena, &mark);
    }
    return verdict;
}

/* ---- what is next ---- */

static bool message_follows(const struct carried_message *message,
                            const struct carried_place *place)
{
    return message->place.position > place->at.position &&
           chain_place_is(&message->follows, place->own.position, place->own.id);
}

enum shelf_verdict shelf_look(const struct shelf *shelf, const struct carried_place *place)
{
    if (shelf->count == 0)
        return SHELF_EMPTY;
    const struct carried_message *first = &shelf->messages[0];
    if (!message_follows(first, place))
        return SHELF_HOLE;
    return first->reference ? SHELF_REFERS : SHELF_READY;
}

/* Moves what is left to a batch of its own. */
static void shelf_rebatch(struct shelf *shelf)
{
    int kept = 0;
    shelf->batch = shelf->count > 0 ? batch_new(ERROR_UNHEEDED) : NULL;
    if (!shelf->batch) {
        shelf->count = 0;
        return;
    }
    struct arena *before = json_arena_set(&shelf->batch->arena);
    for (int i = 0; i < shelf->count; i++) {
        struct carried_message message = shelf->messages[i];
        if (message.envelope) {
            message.envelope = json_deep_copy(message.envelope);
            if (!message.envelope)
                continue;
        }
        shelf->messages[kept++] = message;
    }
    json_arena_set(before);
    shelf->count = kept;
    if (shelf->batch->arena.refused) /* a copy may lack a member */
        shelf_pass(shelf, INT64_MAX);
}

struct batch *shelf_take(struct shelf *shelf, struct carried_place *place, int limit)
{
    struct batch *batch = shelf->batch;
    struct carried_place next = *place;
    int64_t after = place->at.position;
    int taken = 0;
    struct arena *before = json_arena_set(&batch->arena);
    json_t *envelopes = json_array();
    while (taken < shelf->count && json_array_size(envelopes) < (size_t)limit) {
        const struct carried_message *message = &shelf->messages[taken];
        if (!message_follows(message, &next) || message->reference)
            break;
        if (message->envelope)
            json_array_append(envelopes, message->envelope);
        next.own = message->place;
        next.at.position = message->place.position;
        memcpy(next.at.event_id, message->place.id, ID_SIZE);
        taken++;
    }
    json_arena_set(before);
    batch->next = next.at;
    batch->next.epoch = 0;
    batch->last = shelf->count ? shelf->messages[shelf->count - 1].place.position : 0;
    shelf->count -= taken;
    memmove(shelf->messages, shelf->messages + taken,
            (size_t)shelf->count * sizeof *shelf->messages);
    shelf_rebatch(shelf);
    /* What it refused is an event that the place would move past. */
    if (!batch->arena.refused &&
        batch_take(batch, envelopes, after, limit, ERROR_UNHEEDED) == FH_OK) {
        *place = next;
        return batch;
    }
    batch_free(batch);
    shelf_pass(shelf, INT64_MAX);
    return NULL;
}
