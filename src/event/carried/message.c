/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each message is walked through once (batch_event_scan), onto the arena of the batch that it will
 * probably be delivered with; what is left on the shelf when that batch goes is copied to the next
 * one's. What the walk does not know to be right is read as values, and judged by the same rules.
 */

#include "event/carried/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/json_scan.h"
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
static bool is_member_selected(const struct shelf *shelf, const struct fh_subscription *subscribed,
                               int version, const char *name)
{
    return versions_gets(shelf->subscriber->context->service, subscribed, version, name);
}

/* What a message says, as far as it is looked at. Texts are NULL where they are missing. */
struct said {
    struct batch_event event; /* `key` "" as well */
    const char *source, *incarnation, *chain;
    bool refers, has_object; /* to data elsewhere; its data are an object */
};

static const char *text_of(const json_t *envelope, const char *name)
{
    const json_t *value = json_object_get(envelope, name);
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

/* False: it is no event at all. */
static bool read_message_values(json_t *envelope, struct said *ret)
{
    json_int_t position;
    const char *key = json_string_value(json_object_get(envelope, "subject"));
    *ret = (struct said){
        .event = {.said.tree = envelope,
                  .id = text_of(envelope, "id"),
                  .type = json_string_value(json_object_get(envelope, "type")),
                  .key = key ? key : "",
                  .trace = json_string_value(json_object_get(envelope, "traceparent")),
                  .time = json_string_value(json_object_get(envelope, "time")),
                  .version = batch_event_version(json_object_get(envelope, "version"))},
        .source = text_of(envelope, "source"),
        .incarnation = text_of(envelope, "incarnation"),
        .chain = text_of(envelope, "chain"),
        .refers = json_object_get(envelope, "dataref") != NULL,
        .has_object = json_is_object(json_object_get(envelope, "data"))};
    if (!json_integer_at(envelope, "position", &position) || !ret->event.id || !ret->event.type ||
        !key)
        return false;
    ret->event.position = position;
    return true;
}

static bool read_message_text(struct shelf *shelf, const struct broker_message *message,
                              struct said *ret, size_t *ret_values)
{
    const char *texts[BATCH_TEXTS];
    if (!batch_event_scan(&shelf->batch->arena, message->data, message->length, &ret->event, texts,
                          &ret->refers, ret_values) ||
        !texts[BATCH_SUBJECT])
        return false;
    ret->event.said.carried = true;
    ret->source = texts[BATCH_SOURCE];
    ret->incarnation = texts[BATCH_INCARNATION];
    ret->chain = texts[BATCH_CHAIN];
    ret->has_object = ret->event.said.data.at && ret->event.said.data.at[0] == '{';
    return true;
}

/* Its position, id, chain; whose it is is known. */
static bool read_places(const struct shelf *shelf, const struct said *said,
                        struct carried_message *ret)
{
    size_t length = strlen(said->event.id);
    if (said->event.position <= 0 || !length || length >= ID_SIZE)
        return false;
    if (envelope_partition(said->event.key, shelf->of) != shelf->index)
        return false;
    ret->place.position = said->event.position;
    memcpy(ret->place.id, said->event.id, length + 1);
    return said->chain && strlen(said->chain) < CHAIN_SIZE_MAX &&
           chain_read(said->chain, shelf->of, &ret->follows) &&
           ret->follows.position < ret->place.position;
}

/* ---- its data ---- */

/* Puts the selected members there. `to` has room for them, and for a name behind them. */
static bool copy_selected(const struct shelf *shelf, const struct fh_subscription *subscribed,
                          int version, const struct json_piece *data, char *to, size_t *ret_length)
{
    char *field = to + data->length;
    struct json_scan scan;
    struct json_scan_in in;
    struct json_piece name, value;
    char *at = to;
    json_scan_begin(&scan, data->at, data->length);
    if (!json_scan_open(&scan, '{', &in))
        return false;
    *at++ = '{';
    while (json_scan_next(&scan, '}', &in)) {
        if (!json_scan_name(&scan, &in, &name) || !json_scan_value(&scan, &value))
            return false;
        memcpy(field, name.at, name.length);
        field[name.length] = '\0';
        if (!is_member_selected(shelf, subscribed, version, field))
            continue;
        if (at > to + 1)
            *at++ = ',';
        size_t length = (size_t)(value.at + value.length - (name.at - 1));
        memcpy(at, name.at - 1, length); /* with its quotes */
        at += length;
    }
    *at++ = '}';
    *ret_length = (size_t)(at - to);
    return json_scan_end(&scan);
}

static bool select_text(const struct shelf *shelf, const struct fh_subscription *subscribed,
                        struct batch_event *event)
{
    struct arena *arena = &shelf->batch->arena;
    struct json_piece data = event->said.data;
    if (!versions_names_fields(subscribed->fields))
        return true;
    char *padded = arena_try_alloc(arena, 3 * data.length + JSON_SCAN_PADDING);
    if (!padded)
        return false;
    memcpy(padded, data.at, data.length);
    memset(padded + data.length, 0, JSON_SCAN_PADDING);
    char *to = padded + data.length + JSON_SCAN_PADDING;
    data.at = padded;
    event->said.data.at = to;
    return copy_selected(shelf, subscribed, event->version, &data, to, &event->said.data.length);
}

static void select_values(const struct shelf *shelf, const struct fh_subscription *subscribed,
                          struct batch_event *event)
{
    json_t *envelope = event->said.tree, *data = json_object_get(envelope, "data"), *unused;
    const char *name;
    void *after;
    json_object_foreach_safe (data, after, name, unused) {
        if (!is_member_selected(shelf, subscribed, event->version, name))
            json_object_del(data, name);
    }
    json_object_del(envelope, "incarnation");
    json_object_del(envelope, "chain");
}

/* What of it is delivered. False: it is damaged. */
static bool read_event(const struct shelf *shelf, struct said *said, struct carried_message *ret)
{
    const struct fh_subscription *subscribed = subscribed_to(shelf->subscriber, said->event.type);
    int version = said->event.version;
    ret->wanted = subscribed != NULL;
    ret->reference =
        subscribed && (said->refers || (subscribed->version && version > subscribed->version));
    if (!subscribed || ret->reference)
        return true;
    if (!said->has_object)
        return false;
    if (said->event.said.tree)
        select_values(shelf, subscribed, &said->event);
    else if (!select_text(shelf, subscribed, &said->event))
        return false;
    ret->event = said->event;
    return true;
}

/* ---- the shelf ---- */

static void free_batch_if_unused(struct shelf *shelf)
{
    if (shelf->count > 0 || !shelf->batch)
        return;
    batch_free(shelf->batch);
    shelf->batch = NULL;
    shelf->values = 0;
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

static bool is_from(const char *from, const char *source)
{
    return from && from[0] == '/' && strcmp(from + 1, source) == 0;
}

static enum carried_verdict judge_carried(struct shelf *shelf, const struct carried_place *place,
                                          struct said *said, size_t values, int64_t *ret_position)
{
    struct carried_message message = {.values = values};
    if (!said->incarnation || !*said->incarnation || strlen(said->incarnation) >= ID_SIZE ||
        !is_from(said->source, shelf->subscriber->source))
        return CARRIED_DROPPED;
    if (strcmp(said->incarnation, place->at.incarnation) != 0)
        return CARRIED_FOREIGN;
    if (!read_places(shelf, said, &message))
        return CARRIED_DROPPED;
    *ret_position = message.place.position;
    if (message.place.position <= place->at.position)
        return CARRIED_KNOWN;
    if (!read_event(shelf, said, &message))
        return CARRIED_DROPPED;
    shelf_insert(shelf, &message);
    shelf->values += values;
    return CARRIED_KEPT;
}

static enum carried_verdict put_values(struct shelf *shelf, const struct carried_place *place,
                                       const struct broker_message *message, int64_t *ret_position)
{
    enum carried_verdict verdict = CARRIED_DROPPED;
    json_t *envelope = NULL;
    struct said said;
    struct arena *before = json_arena_set(&shelf->batch->arena);
    if (json_parse(message->data, message->length, &envelope, ERROR_UNHEEDED) == FH_OK &&
        read_message_values(envelope, &said))
        verdict = judge_carried(shelf, place, &said, 0, ret_position);
    json_arena_set(before);
    if (verdict != CARRIED_KEPT)
        json_decref(envelope);
    return verdict;
}

enum carried_verdict shelf_put(struct shelf *shelf, const struct carried_place *place,
                               const struct broker_message *message, int64_t *ret_position)
{
    enum carried_verdict verdict;
    struct said said = {0};
    size_t values;
    *ret_position = 0;
    if (message->length > BROKER_MESSAGE_SIZE_MAX || !shelf_has_room(shelf))
        return CARRIED_DROPPED;
    if (!shelf->batch)
        shelf->batch = batch_new(ERROR_UNHEEDED);
    if (!shelf->batch)
        return CARRIED_DROPPED;
    struct arena mark = shelf->batch->arena;
    if (read_message_text(shelf, message, &said, &values) &&
        shelf->values + values <= BATCH_VALUES_MAX) {
        verdict = judge_carried(shelf, place, &said, values, ret_position);
    } else {
        arena_rewind(&shelf->batch->arena, &mark);
        verdict = put_values(shelf, place, message, ret_position);
    }
    if (verdict != CARRIED_KEPT)
        arena_rewind(&shelf->batch->arena, &mark);
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

static const char *copy_text(struct arena *arena, const char *text)
{
    return text ? arena_copy(arena, text, strlen(text)) : NULL;
}

/* Onto another arena. False: there is no memory. */
static bool move_event(struct arena *arena, struct batch_event *event)
{
    struct work_event *said = &event->said;
    if (said->tree) {
        struct said copied;
        json_t *tree = json_deep_copy(said->tree);
        if (!tree || !read_message_values(tree, &copied))
            return false;
        *event = copied.event;
        return !arena->refused;
    }
    size_t length = said->envelope.length;
    char *text = arena_try_alloc(arena, length + said->data.length);
    if (!text)
        return false;
    memcpy(text, said->envelope.at, length);
    memcpy(text + length, said->data.at, said->data.length);
    said->envelope.at = text;
    said->data.at = text + length;
    event->id = copy_text(arena, event->id);
    event->type = copy_text(arena, event->type);
    event->key = copy_text(arena, event->key);
    event->time = copy_text(arena, event->time);
    event->trace = copy_text(arena, event->trace);
    return !arena->refused;
}

/* Moves what is left to a batch of its own. */
static void shelf_rebatch(struct shelf *shelf)
{
    int kept = 0;
    bool fits = true;
    shelf->values = 0;
    shelf->batch = shelf->count > 0 ? batch_new(ERROR_UNHEEDED) : NULL;
    if (!shelf->batch) {
        shelf->count = 0;
        return;
    }
    struct arena *before = json_arena_set(&shelf->batch->arena);
    for (; kept < shelf->count && fits; kept++) {
        struct carried_message *message = &shelf->messages[kept];
        shelf->values += message->values;
        fits = !message->wanted || message->reference ||
               move_event(&shelf->batch->arena, &message->event);
    }
    json_arena_set(before);
    if (!fits)
        shelf_pass(shelf, INT64_MAX);
}

/* Of what is next, at most `limit` events. Returns how many messages it took. */
static int take_next(const struct shelf *shelf, struct carried_place *next, struct batch *batch,
                     int limit)
{
    int taken = 0;
    while (taken < shelf->count && batch->count < limit) {
        const struct carried_message *message = &shelf->messages[taken];
        if (!message_follows(message, next) || message->reference)
            break;
        if (message->wanted)
            batch->events[batch->count++] = message->event;
        next->own = message->place;
        next->at.position = message->place.position;
        memcpy(next->at.event_id, message->place.id, ID_SIZE);
        taken++;
    }
    return taken;
}

struct batch *shelf_take(struct shelf *shelf, struct carried_place *place, int limit)
{
    struct batch *batch = shelf->batch;
    struct carried_place next = *place;
    int64_t after = place->at.position;
    int most = shelf->count < limit ? shelf->count : limit;
    batch->events = arena_try_alloc(&batch->arena, ((size_t)most + 1) * sizeof *batch->events);
    int taken = batch->events ? take_next(shelf, &next, batch, limit) : 0;
    batch->next = next.at;
    batch->next.epoch = 0;
    batch->last = shelf->count ? shelf->messages[shelf->count - 1].place.position : 0;
    shelf->count -= taken;
    memmove(shelf->messages, shelf->messages + taken,
            (size_t)shelf->count * sizeof *shelf->messages);
    bool fits = batch->events && !batch->arena.refused;
    shelf_rebatch(shelf);
    /* What it refused is an event that the place would move past. */
    if (fits && batch_check(batch, after, ERROR_UNHEEDED) == FH_OK) {
        *place = next;
        return batch;
    }
    batch_free(batch);
    shelf_pass(shelf, INT64_MAX);
    return NULL;
}
