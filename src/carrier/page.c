/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a page. An event's ops are all in one page, since a cursor has no place within an event.
 * A page that has reached its bounds ends before the next event that has ops of this generation;
 * one without any goes on to CARRIED_SPAN_MAX, so that a service which publishes much else is
 * followed in few requests.
 *
 * Only this library writes such events, so one that can't be read is of another version of it, or
 * damaged: nothing is carried past it.
 */

#include "carrier/page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "work/carried.h"

static void *grow_array(void *array, int *capacity, size_t size)
{
    *capacity = *capacity ? *capacity * 2 : 64;
    array = realloc(array, (size_t)*capacity * size);
    FH_ASSERT(array != NULL);
    return array;
}

static bool page_damaged(struct carried_reading *reading, const struct ledger_event *event)
{
    reading->code =
        error_set(reading->error, FH_UNSUPPORTED,
                  "What was derived at position %lld can't be read: another version of the library "
                  "wrote it, or it is damaged.",
                  (long long)event->position);
    return false;
}

/* False: they are rows of another generation. */
static bool is_of_generation(const struct carried_reading *reading, const json_t *generation)
{
    if (!generation)
        return true;
    return strcmp(json_string_value(json_array_get(generation, 0)),
                  reading->generation.incarnation) == 0 &&
           json_integer_value(json_array_get(generation, 1)) == reading->generation.number;
}

static bool can_be_read(const json_t *data, const json_t *ops)
{
    size_t i;
    const json_t *op, *generation = json_object_get(data, "generation");
    if (!json_is_array(ops) || (generation && (!json_is_string(json_array_get(generation, 0)) ||
                                               !json_is_integer(json_array_get(generation, 1)) ||
                                               !json_is_integer(json_object_get(data, "as_of")))))
        return false;
    json_array_foreach (ops, i, op) {
        const json_t *value = json_object_get(op, "value"), *at_ms = json_object_get(op, "at_ms");
        if (!json_is_string(json_object_get(op, "name")) ||
            !json_is_string(json_object_get(op, "key")) || (value && !json_is_object(value)) ||
            (at_ms && !json_is_integer(at_ms)))
            return false;
    }
    return true;
}

static int ops_of_name(const struct carried_reading *reading, const json_t *ops)
{
    int count = 0;
    size_t i;
    const json_t *op;
    json_array_foreach (ops, i, op)
        count += strcmp(json_string_value(json_object_get(op, "name")), reading->name) == 0;
    return count;
}

/* 23. The event's data are the reading's own. */
static void name_kept_fact(const struct ledger_event *event, json_t *op)
{
    char key[CARRIED_KEY_SIZE];
    snprintf(key, sizeof key, "%s.%s", event->id, json_string_value(json_object_get(op, "key")));
    json_object_set_new(op, "key", json_string(key));
}

static void take_ops(struct carried_reading *reading, const struct ledger_event *event,
                     int64_t position, const json_t *ops)
{
    size_t i;
    json_t *op;
    struct carried_page *page = &reading->page;
    json_array_foreach (ops, i, op) {
        if (strcmp(json_string_value(json_object_get(op, "name")), reading->name) != 0)
            continue;
        if (reading->generation.kept)
            name_kept_fact(event, op);
        if (page->count == reading->capacity)
            page->ops = grow_array(page->ops, &reading->capacity, sizeof *page->ops);
        page->ops[page->count++] =
            (struct carried_op){.position = position,
                                .key = json_string_value(json_object_get(op, "key")),
                                .at_ms = json_integer_value(json_object_get(op, "at_ms")),
                                .value = json_object_get(op, "value")};
    }
}

static void end_link(struct carried_reading *reading, const struct ledger_event *event)
{
    struct carried_link *link = &reading->page.link;
    link->to = event->position;
    if (reading->generation.kept) /* 24 */
        snprintf(link->to_id, sizeof link->to_id, "%s", event->id);
}

static bool take_data(struct carried_reading *reading, const struct ledger_event *event,
                      json_t *data)
{
    const json_t *generation = json_object_get(data, "generation");
    const json_t *ops = json_object_get(data, "ops"), *as_of = json_object_get(data, "as_of");
    size_t size = strlen(event->data);
    if (!can_be_read(data, ops))
        return page_damaged(reading, event);
    bool ours = is_of_generation(reading, generation);
    int count = ours ? ops_of_name(reading, ops) : 0;
    if (count && reading->page.count &&
        (reading->page.count + count > reading->ops_max ||
         reading->size + size > reading->size_max))
        return false; /* the next page's first */
    if (count) {
        if (reading->event_count == reading->event_capacity)
            reading->events =
                grow_array(reading->events, &reading->event_capacity, sizeof *reading->events);
        reading->events[reading->event_count++] = json_incref(data);
        reading->size += size;
        take_ops(reading, event, generation ? json_integer_value(as_of) : event->position, ops);
    }
    const char *last = json_string_at(data, "last");
    reading->fills |= ours && last && strcmp(last, reading->name) == 0;
    end_link(reading, event);
    return true;
}

static bool take_carried_event(void *context, const struct ledger_event *event)
{
    struct carried_reading *reading = context;
    json_t *data = NULL;
    if (strcmp(event->type, CARRIED_TYPE) != 0) {
        end_link(reading, event);
        return true;
    }
    if (event->version != CARRIED_VERSION ||
        json_parse(event->data, strlen(event->data), &data, reading->error) != FH_OK)
        return page_damaged(reading, event);
    bool goes_on = take_data(reading, event, data);
    json_decref(data);
    return goes_on;
}

enum fh_code carried_page_read(struct carried_reading *reading, struct store_work *work,
                               const struct carried_server_ops *server, const char *name,
                               const struct carried_generation *generation, struct fh_error *error)
{
    reading->name = name;
    reading->ops_max = server->page_ops ? server->page_ops : CARRIED_OPS_MAX;
    reading->size_max = server->page_size ? server->page_size : CARRIED_SIZE_MAX;
    reading->generation = generation->name;
    reading->error = error;
    reading->page.link =
        (struct carried_link){.from = generation->cursor, .to = generation->cursor};
    enum fh_code code = FH_OK;
    if (generation->name.kept) {
        memcpy(reading->page.link.from_id, generation->kept.cursor_id, ID_SIZE);
        code = ledger_meta_get(work, LEDGER_INCARNATION, reading->life, ID_SIZE, error);
        memcpy(reading->page.life, reading->life, ID_SIZE);
    }
    if (code != FH_OK)
        return code;
    struct arena *arena = json_arena_set(NULL);
    code = ledger_outbox_read(work, generation->cursor, CARRIED_SPAN_MAX, take_carried_event,
                              reading, error);
    json_arena_set(arena);
    return code == FH_OK ? reading->code : code;
}

void carried_page_release(struct carried_reading *reading)
{
    struct arena *arena = json_arena_set(NULL);
    for (int i = 0; i < reading->event_count; i++)
        json_decref(reading->events[i]);
    json_arena_set(arena);
    free(reading->events);
    free(reading->page.ops);
    *reading = (struct carried_reading){0};
}
