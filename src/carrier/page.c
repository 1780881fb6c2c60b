/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a page. An event's ops are all in one page, since a cursor has no place within an event.
 * A page that has reached its bounds ends before the next event that has ops of this generation;
 * one without any goes on to CARRIED_SPAN_MAX, so that a service which publishes much else is
 * followed in few requests.
 *
 * To read and to free the values of a large page takes tenths of a second, in which nobody would be
 * answered: so the events' texts are copied in the snapshot, and the rest is done beside the loop.
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
#include "world/world.h"

#define PAGE_ON_LOOP_MAX ((size_t)64 << 10) /* of texts: a millisecond */

static void *grow_array(void *array, int *capacity, size_t size)
{
    *capacity = *capacity ? *capacity * 2 : 64;
    array = realloc(array, (size_t)*capacity * size);
    FH_ASSERT(array != NULL);
    return array;
}

static bool page_damaged(struct carried_reading *reading, const struct carried_event *event)
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
static void name_kept_fact(const struct carried_event *event, json_t *op)
{
    char key[CARRIED_KEY_SIZE];
    snprintf(key, sizeof key, "%s.%s", event->id, json_string_value(json_object_get(op, "key")));
    json_object_set_new(op, "key", json_string(key));
}

static void take_ops(struct carried_reading *reading, const struct carried_event *event,
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

static void end_link(struct carried_reading *reading, const struct carried_event *event)
{
    struct carried_link *link = &reading->page.link;
    link->to = event->position;
    if (reading->generation.kept) /* 24 */
        snprintf(link->to_id, sizeof link->to_id, "%s", event->id);
}

static bool take_data(struct carried_reading *reading, const struct carried_event *event,
                      json_t *data)
{
    const json_t *generation = json_object_get(data, "generation");
    const json_t *ops = json_object_get(data, "ops"), *as_of = json_object_get(data, "as_of");
    if (!can_be_read(data, ops))
        return page_damaged(reading, event);
    bool ours = is_of_generation(reading, generation);
    int count = ours ? ops_of_name(reading, ops) : 0;
    if (count && reading->page.count &&
        (reading->page.count + count > reading->ops_max ||
         reading->size + event->length > reading->size_max))
        return false; /* the next page's first */
    if (count) {
        if (reading->event_count == reading->event_capacity)
            reading->events =
                grow_array(reading->events, &reading->event_capacity, sizeof *reading->events);
        reading->events[reading->event_count++] = json_incref(data);
        reading->size += event->length;
        take_ops(reading, event, generation ? json_integer_value(as_of) : event->position, ops);
    }
    const char *last = json_string_at(data, "last");
    reading->fills |= ours && last && strcmp(last, reading->name) == 0;
    end_link(reading, event);
    return true;
}

static bool take_carried_event(struct carried_reading *reading, const struct carried_event *event)
{
    json_t *data = NULL;
    if (!event->data) {
        end_link(reading, event);
        return true;
    }
    if (event->version != CARRIED_VERSION ||
        json_parse(event->data, event->length, &data, reading->error) != FH_OK)
        return page_damaged(reading, event);
    bool goes_on = take_data(reading, event, data);
    json_decref(data);
    return goes_on;
}

static void take_carried_events(void *context)
{
    struct carried_reading *reading = context;
    struct arena *arena = json_arena_set(NULL);
    for (int i = 0; i < reading->read_count && take_carried_event(reading, &reading->read[i]); i++)
        ;
    json_arena_set(arena);
}

/* Beside the loop, if it is worth the way there. */
static void run_for_page(struct carried_reading *reading, struct world *world, void (*run)(void *))
{
    if (reading->read_size > PAGE_ON_LOOP_MAX)
        world_blocking(world, run, reading);
    else
        run(reading);
}

enum fh_code carried_page_make(struct carried_reading *reading, struct world *world)
{
    run_for_page(reading, world, take_carried_events);
    return reading->code;
}

/* ---- In the snapshot ---- */

static bool keep_event(void *context, const struct ledger_event *event)
{
    struct carried_reading *reading = context;
    bool carried = strcmp(event->type, CARRIED_TYPE) == 0;
    struct carried_event *kept =
        reading->read_count ? &reading->read[reading->read_count - 1] : NULL;
    if (carried || !kept || kept->data) {
        if (reading->read_count == reading->read_capacity)
            reading->read = grow_array(reading->read, &reading->read_capacity, sizeof *kept);
        kept = &reading->read[reading->read_count++];
    }
    *kept = (struct carried_event){.position = event->position, .version = event->version};
    snprintf(kept->id, sizeof kept->id, "%s", event->id);
    if (carried) {
        kept->length = strlen(event->data);
        kept->data = malloc(kept->length + 1); /* a megabyte, and more where one value is larger */
        if (!kept->data) {
            reading->code = error_set(reading->error, FH_NO_MEMORY,
                                      "There is no memory to carry what is derived.");
            return false;
        }
        memcpy(kept->data, event->data, kept->length + 1);
        reading->read_size += kept->length;
    }
    return reading->read_size < reading->size_max;
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
    code =
        ledger_outbox_read(work, generation->cursor, CARRIED_SPAN_MAX, keep_event, reading, error);
    return code == FH_OK ? reading->code : code;
}

static void free_page_values(void *context)
{
    const struct carried_reading *reading = context;
    struct arena *arena = json_arena_set(NULL);
    for (int i = 0; i < reading->event_count; i++)
        json_decref(reading->events[i]);
    for (int i = 0; i < reading->read_count; i++)
        free(reading->read[i].data);
    json_arena_set(arena);
}

void carried_page_release(struct carried_reading *reading, struct world *world)
{
    run_for_page(reading, world, free_page_values);
    free(reading->events);
    free(reading->read);
    free(reading->page.ops);
    *reading = (struct carried_reading){0};
}
