/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks what a bus delivered. It came from elsewhere: nothing in it is trusted unchecked, because
 * a cursor that moved wrongly would lose events for ever.
 *
 * A text is walked through once (json_scan.h), and values are made of none of it. What the walk
 * refuses, for whatever reason, is read as values instead, which finds out what is wrong with it.
 */

#include "event/subscribe/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/json_scan.h"
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

/* ---- As values ---- */

int batch_event_version(const json_t *version)
{
    json_int_t value = json_integer_value(version);
    return value > 0 && value <= INT32_MAX ? (int)value : 0;
}

static enum fh_code event_parse(json_t *envelope, struct batch_event *event, struct fh_error *error)
{
    json_int_t position;
    *event = (struct batch_event){.said.tree = envelope,
                                  .id = json_string_at(envelope, "id"),
                                  .type = json_string_at(envelope, "type"),
                                  .key = json_string_at(envelope, "subject"),
                                  .trace = json_string_at(envelope, "traceparent"),
                                  .time = json_string_at(envelope, "time")};
    if (!event->id || !*event->id || strlen(event->id) >= ID_SIZE || !event->type ||
        !json_integer_at(envelope, "position", &position) || !json_object_get(envelope, "data"))
        return error_set(error, FH_INVALID, "An event in it lacks its id, type, position or data.");
    event->position = position;
    event->version = batch_event_version(json_object_get(envelope, "version"));
    if (!event->key)
        event->key = "";
    return FH_OK;
}

enum fh_code batch_check(const struct batch *batch, int64_t after, struct fh_error *error)
{
    for (int i = 0; i < batch->count; i++) {
        if (batch->events[i].position <= after)
            return error_set(error, FH_INVALID, "Its events are not in order after %lld.",
                             (long long)after);
        after = batch->events[i].position;
    }
    if (batch->next.position < after || batch->last < batch->next.position)
        return error_set(error, FH_INVALID,
                         "It scanned to %lld of %lld, with an event or a cursor at %lld.",
                         (long long)batch->next.position, (long long)batch->last, (long long)after);
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
        enum fh_code code = event_parse(envelope, &batch->events[batch->count++], error);
        if (code != FH_OK)
            return code;
    }
    return batch_check(batch, after, error);
}

/* ---- As a text ---- */

#define ENVELOPE_LENGTH_MIN (sizeof "{\"id\":\"1\",\"type\":\"\",\"position\":1,\"data\":1}" - 1)
#define POSITION_DIGITS_MAX 18

/* Behind the texts, and those first that only a broker's message has none of. */
enum wanted {
    POSITION = BATCH_TEXTS,
    VERSION,
    DATA,
    DATAREF,
    WANTED_COUNT,
};
#define FEED_TEXTS BATCH_SOURCE /* so many are of interest in a feed's answer */

static bool is_envelope_name(const struct json_piece *name, const char *wanted)
{
    return memcmp(name->at, wanted, name->length) == 0;
}

/* One of enum batch_text, or of enum wanted. */
static int wanted_of(const struct json_piece *name)
{
    switch (name->length) {
    case 2:
        return is_envelope_name(name, "id") ? BATCH_ID : WANTED_COUNT;
    case 4:
        return is_envelope_name(name, "type")   ? BATCH_TYPE
               : is_envelope_name(name, "time") ? BATCH_TIME
               : is_envelope_name(name, "data") ? DATA
                                                : WANTED_COUNT;
    case 5:
        return is_envelope_name(name, "chain") ? BATCH_CHAIN : WANTED_COUNT;
    case 6:
        return is_envelope_name(name, "source") ? BATCH_SOURCE : WANTED_COUNT;
    case 7:
        return is_envelope_name(name, "subject")   ? BATCH_SUBJECT
               : is_envelope_name(name, "version") ? VERSION
               : is_envelope_name(name, "dataref") ? DATAREF
                                                   : WANTED_COUNT;
    case 8:
        return is_envelope_name(name, "position") ? POSITION : WANTED_COUNT;
    case 11:
        return is_envelope_name(name, "traceparent")   ? BATCH_TRACEPARENT
               : is_envelope_name(name, "incarnation") ? BATCH_INCARNATION
                                                       : WANTED_COUNT;
    default:
        return WANTED_COUNT;
    }
}

/* A number, or a string of digits. */
static bool position_of(const struct json_piece *value, int64_t *ret)
{
    size_t quoted = value->at[0] == '"', length = value->length - 2 * quoted;
    const char *digits = value->at + quoted;
    *ret = 0;
    if (!length || length > POSITION_DIGITS_MAX)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return false;
        *ret = *ret * 10 + (digits[i] - '0');
    }
    return true;
}

/* A number. 0: it is missing, or is none. */
static int scanned_version(const struct json_piece *value)
{
    int64_t version = 0;
    bool fits = value->at && value->at[0] != '"' && position_of(value, &version);
    return fits && version <= INT32_MAX ? (int)version : 0;
}

/* Copies of the first `count`, each with a NUL, in one piece; NULL for one that is missing. */
static bool copy_texts(struct arena *arena, const struct json_piece *pieces, int count,
                       const char **ret)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += pieces[i].length + 1;
    char *to = arena_try_alloc(arena, size);
    for (int i = 0; to && i < count; i++) {
        ret[i] = NULL;
        if (!pieces[i].at)
            continue;
        ret[i] = memcpy(to, pieces[i].at, pieces[i].length);
        to += pieces[i].length;
        *to++ = '\0';
    }
    return to != NULL;
}

/* All that is of interest; the last of `found` is not. The first `texts` are strings. */
static bool scan_envelope(struct json_scan *scan, struct batch_event *event, int texts,
                          struct json_piece found[static WANTED_COUNT + 1])
{
    struct json_scan_in in;
    struct json_piece name;
    memset(found, 0, (WANTED_COUNT + 1) * sizeof *found);
    if (!json_scan_open(scan, '{', &in))
        return false;
    *event = (struct batch_event){.said.envelope.at = scan->at - 1};
    while (json_scan_next(scan, '}', &in)) {
        if (!json_scan_name(scan, &in, &name))
            return false;
        int which = wanted_of(&name);
        if (which < texts ? !json_scan_string(scan, &found[which])
                          : !json_scan_value(scan, &found[which]))
            return false;
    }
    if (scan->refused || !found[BATCH_ID].length || found[BATCH_ID].length >= ID_SIZE ||
        !found[BATCH_TYPE].at || !found[POSITION].at ||
        !position_of(&found[POSITION], &event->position))
        return false;
    event->said.envelope.length = (size_t)(scan->at - event->said.envelope.at);
    event->said.data = found[DATA];
    event->version = scanned_version(&found[VERSION]);
    return true;
}

static void set_event_texts(struct batch_event *event, const char *const *texts)
{
    event->id = texts[BATCH_ID];
    event->type = texts[BATCH_TYPE];
    event->key = texts[BATCH_SUBJECT] ? texts[BATCH_SUBJECT] : "";
    event->time = texts[BATCH_TIME];
    event->trace = texts[BATCH_TRACEPARENT];
}

static bool event_scan(struct json_scan *scan, struct arena *arena, struct batch_event *event)
{
    struct json_piece found[WANTED_COUNT + 1];
    const char *texts[FEED_TEXTS];
    if (!scan_envelope(scan, event, FEED_TEXTS, found) || !found[DATA].at ||
        !copy_texts(arena, found, FEED_TEXTS, texts))
        return false;
    set_event_texts(event, texts);
    return true;
}

static char *copy_scanned(struct arena *arena, const char *text, size_t length)
{
    char *copy = arena_try_alloc(arena, length + JSON_SCAN_PADDING);
    if (copy) {
        memcpy(copy, text, length);
        memset(copy + length, 0, JSON_SCAN_PADDING);
    }
    return copy;
}

bool batch_event_scan(struct arena *arena, const char *text, size_t length, struct batch_event *ret,
                      const char *ret_texts[static BATCH_TEXTS], bool *ret_dataref,
                      size_t *ret_values)
{
    struct json_scan scan;
    struct json_piece found[WANTED_COUNT + 1];
    char *copy = length ? copy_scanned(arena, text, length) : NULL;
    if (!copy)
        return false;
    json_scan_begin(&scan, copy, length);
    if (!scan_envelope(&scan, ret, BATCH_TEXTS, found) || !json_scan_end(&scan) ||
        !copy_texts(arena, found, BATCH_TEXTS, ret_texts))
        return false;
    set_event_texts(ret, ret_texts);
    *ret_dataref = found[DATAREF].at != NULL;
    *ret_values = scan.value_count;
    return true;
}

/* False: something is wrong with it, or unusual. */
static bool batch_scan(struct batch *batch, const char *text, size_t length, int count_max)
{
    struct json_scan scan;
    struct json_scan_in in;
    size_t most = length / ENVELOPE_LENGTH_MIN < (size_t)count_max ? length / ENVELOPE_LENGTH_MIN
                                                                   : (size_t)count_max;
    batch->events = arena_try_alloc(&batch->arena, most * sizeof *batch->events);
    char *copy = copy_scanned(&batch->arena, text, length);
    if (!batch->events || !copy)
        return false;
    json_scan_begin(&scan, copy, length);
    if (!json_scan_open(&scan, '[', &in))
        return false;
    while (json_scan_next(&scan, ']', &in)) {
        if ((size_t)batch->count == most ||
            !event_scan(&scan, &batch->arena, &batch->events[batch->count++]))
            return false;
    }
    return json_scan_end(&scan) && scan.value_count <= BATCH_VALUES_MAX;
}

static enum fh_code parse_events(struct batch *batch, const char *text, size_t length,
                                 int64_t after, int count_max, struct fh_error *error)
{
    json_t *list = NULL;
    struct arena *before = json_arena_set(&batch->arena);
    enum fh_code code = json_parse(text, length, &list, error);
    json_arena_set(before);
    if (code == FH_OK && !json_is_array(list))
        code = error_set(error, FH_INVALID, "Its body is not an array.");
    return code == FH_OK ? batch_take(batch, list, after, count_max, error) : code;
}

enum fh_code batch_read(struct batch *batch, const char *text, size_t length, int64_t after,
                        int count_max, struct fh_error *error)
{
    struct arena mark = batch->arena;
    if (length && batch_scan(batch, text, length, count_max))
        return batch_check(batch, after, error);
    arena_rewind(&batch->arena, &mark);
    batch->count = 0;
    return parse_events(batch, text, length, after, count_max, error);
}

int64_t batch_event_time_ms(const struct batch_event *event)
{
    int64_t wall_ms;
    return event->time && envelope_time_parse(event->time, &wall_ms) ? wall_ms : 0;
}
