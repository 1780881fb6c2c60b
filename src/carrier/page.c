/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a page of what was read (page_read.c). An event's ops are all in one page, since a cursor
 * has no place within an event. A page that has reached its bounds ends before the next event that
 * has ops of this generation; one without any goes on to CARRIED_SPAN_MAX, so that a service which
 * publishes much else is followed in few requests.
 *
 * To read and to free the values of a large page takes tenths of a second, in which nobody would be
 * answered: so the events' texts are copied in the snapshot, some at a time, and the rest is done
 * beside the loop.
 *
 * Events of points and facts are read as they were written (form.h), without a tree, and what they
 * have stays where it is, in their texts. What is not so written, and searches, are read as JSON.
 *
 * Only this library writes such events, so one that can't be read is of another version of it, or
 * damaged: nothing is carried past it.
 */

#include "carrier/page.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "carrier/driver.h"
#include "carrier/values.h"
#include "work/carried.h"
#include "world/world.h"

#define PAGE_ON_LOOP_MAX ((size_t)64 << 10) /* of texts: a millisecond */

/* To `wanted` places, or more; `count` are in use. */
static void *grow_array(struct carried_reading *reading, void *array, int count, int *capacity,
                        size_t wanted, size_t size)
{
    size_t places = *capacity ? (size_t)*capacity * 2 : 64;
    while (places < wanted)
        places *= 2;
    void *grown = spare_take(reading->spare, places * size);
    FH_ASSERT(grown != NULL && places <= INT_MAX);
    if (count)
        memcpy(grown, array, (size_t)count * size);
    spare_give(reading->spare, array);
    *capacity = (int)places;
    return grown;
}

static void make_room_for_ops(struct carried_reading *reading, size_t room)
{
    struct carried_page *page = &reading->page;
    if ((size_t)reading->capacity < (size_t)page->count + room)
        page->ops = grow_array(reading, page->ops, page->count, &reading->capacity,
                               (size_t)page->count + room, sizeof *page->ops);
}

struct carried_event *carried_page_event(struct carried_reading *reading)
{
    if (reading->read_count == reading->read_capacity)
        reading->read = grow_array(reading, reading->read, reading->read_count,
                                   &reading->read_capacity, 0, sizeof *reading->read);
    return &reading->read[reading->read_count++];
}

static void hold_for_page(struct carried_reading *reading, struct carried_held held)
{
    if (reading->held_count == reading->held_capacity)
        reading->held = grow_array(reading, reading->held, reading->held_count,
                                   &reading->held_capacity, 0, sizeof *reading->held);
    reading->held[reading->held_count++] = held;
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
        count +=
            strcmp(json_string_value(json_object_get(op, "name")), reading->declared->name) == 0;
    return count;
}

static void end_link(struct carried_reading *reading, const struct carried_event *event)
{
    struct carried_link *link = &reading->page.link;
    link->to = reading->end.position = event->position;
    memcpy(reading->end.id, event->id, ID_SIZE);
    if (reading->generation.kept) /* 24 */
        memcpy(link->to_id, event->id, ID_SIZE);
}

/* It is the next page's first. */
static bool is_beyond_bounds(const struct carried_reading *reading,
                             const struct carried_event *event, int count)
{
    return count && reading->page.count &&
           (reading->page.count + count > reading->ops_max ||
            reading->size + event->length > reading->size_max);
}

static bool ops_have_lives(const struct carried_reading *reading)
{
    return reading->generation.kept && reading->declared->model == FH_SERIES;
}

/* 36. What has another form is no life. */
static bool has_life_where_needed(const struct carried_reading *reading, const char *life,
                                  size_t length)
{
    char copy[ID_SIZE] = "";
    if (!ops_have_lives(reading))
        return true;
    if (length == ID_SIZE - 1)
        memcpy(copy, life, length);
    return id_time_ms(copy) != 0 && copy[18] == '-' && copy[23] == '-' &&
           strspn(copy, "0123456789abcdef-") == ID_SIZE - 1;
}

/* ---- As any JSON ---- */

/* 23. The event's data are the reading's own. */
static void name_kept_fact(const struct carried_event *event, json_t *op)
{
    char key[CARRIED_KEY_SIZE];
    snprintf(key, sizeof key, "%s.%s", event->id, json_string_value(json_object_get(op, "key")));
    json_object_set_new(op, "key", json_string(key));
}

static void take_ops(struct carried_reading *reading, const struct carried_event *event,
                     int64_t position, const char *life, const json_t *ops)
{
    size_t i;
    json_t *op;
    struct carried_page *page = &reading->page;
    const struct fh_derived *declared = reading->declared;
    json_array_foreach (ops, i, op) {
        if (strcmp(json_string_value(json_object_get(op, "name")), declared->name) != 0)
            continue;
        if (reading->generation.kept && declared->model == FH_COLUMNS)
            name_kept_fact(event, op);
        make_room_for_ops(reading, 1);
        struct carried_op *taken = &page->ops[page->count++];
        *taken = (struct carried_op){.position = position,
                                     .key = json_string_value(json_object_get(op, "key")),
                                     .life = ops_have_lives(reading) ? life : NULL,
                                     .at_ms = json_integer_value(json_object_get(op, "at_ms"))};
        if (declared->model == FH_SEARCH) {
            taken->value = json_object_get(op, "value");
        } else {
            struct carried_value *values =
                carried_values_new(declared, taken->at_ms, json_object_get(op, "value"));
            hold_for_page(reading, (struct carried_held){.values = values});
            taken->values = values;
        }
    }
}

static bool take_data(struct carried_reading *reading, const struct carried_event *event,
                      json_t *data)
{
    const json_t *generation = json_object_get(data, "generation");
    const json_t *ops = json_object_get(data, "ops"), *as_of = json_object_get(data, "as_of");
    const char *life = json_string_at(data, "life");
    if (!can_be_read(data, ops))
        return page_damaged(reading, event);
    bool ours = is_of_generation(reading, generation);
    int count = ours ? ops_of_name(reading, ops) : 0;
    if (count && !has_life_where_needed(reading, life, life ? strlen(life) : 0))
        return page_damaged(reading, event);
    if (is_beyond_bounds(reading, event, count))
        return false;
    if (count) {
        hold_for_page(reading, (struct carried_held){.event = json_incref(data)});
        reading->size += event->length;
        take_ops(reading, event, generation ? json_integer_value(as_of) : event->position, life,
                 ops);
    }
    const char *last = json_string_at(data, "last");
    reading->fills |= ours && last && strcmp(last, reading->declared->name) == 0;
    end_link(reading, event);
    return true;
}

static bool take_json_event(struct carried_reading *reading, const struct carried_event *event)
{
    json_t *data = NULL;
    if (json_parse(event->data, event->length, &data, reading->error) != FH_OK)
        return page_damaged(reading, event);
    bool goes_on = take_data(reading, event, data);
    json_decref(data);
    return goes_on;
}

/* ---- As it was written ---- */

static bool is_piece(const struct json_piece *piece, const char *text)
{
    return piece->at && strlen(text) == piece->length &&
           memcmp(piece->at, text, piece->length) == 0;
}

/* A key stays in the event's text, where it ends with a NUL from now on; 23: or it is written to
 * `names`. */
static void name_formed_ops(struct carried_reading *reading, const struct carried_event *event,
                            const struct carried_found *found, char *names)
{
    int64_t position = found->incarnation.at ? found->as_of : event->position;
    bool named = reading->generation.kept && reading->declared->model == FH_COLUMNS;
    size_t id_length = strlen(event->id);
    if (found->life.at)
        event->data[found->life.at - event->data + (ptrdiff_t)found->life.length] = '\0';
    for (int i = 0; i < found->count; i++) {
        struct carried_op *op = &found->ops[i];
        char *key = event->data + (op->key - event->data), *end = strchr(key, '"');
        *end = '\0';
        op->position = position;
        op->life = ops_have_lives(reading) ? found->life.at : NULL;
        if (named) {
            op->key = memcpy(names, event->id, id_length);
            names[id_length] = '.';
            memcpy(names + id_length + 1, key, (size_t)(end + 1 - key));
            if (id_length + 1 + (size_t)(end - key) >= CARRIED_KEY_SIZE)
                names[CARRIED_KEY_SIZE - 1] = '\0'; /* as JSON's would be */
            names += id_length + 1 + (size_t)(end + 1 - key);
        }
    }
}

/* *ret_goes_on: as take_json_event returns. False: it is not of that form. */
static bool take_formed_event(struct carried_reading *reading, const struct carried_event *event,
                              bool *ret_goes_on)
{
    struct carried_page *page = &reading->page;
    const struct carried_form *form = &reading->form;
    size_t room = carried_form_room(form, event->length);
    size_t values_size = room * (size_t)form->field_count * sizeof(struct carried_value);
    size_t names_size = reading->generation.kept ? room * ID_SIZE + event->length : 0;
    char *held = spare_take(reading->spare, values_size + names_size);
    if (!held) {
        reading->code =
            error_set(reading->error, FH_NO_MEMORY, "There is no memory to carry what is derived.");
        *ret_goes_on = false;
        return true;
    }
    make_room_for_ops(reading, room);
    struct carried_found found = {.ops = page->ops + page->count,
                                  .values = (struct carried_value *)(void *)held};
    if (!carried_form_read(form, event->data, event->length, &found) ||
        (found.count && !has_life_where_needed(reading, found.life.at, found.life.length))) {
        spare_give(reading->spare, held);
        return false;
    }
    bool ours =
        !found.incarnation.at || (is_piece(&found.incarnation, reading->generation.incarnation) &&
                                  found.number == reading->generation.number);
    found.count = ours ? found.count : 0;
    *ret_goes_on = !is_beyond_bounds(reading, event, found.count);
    if (!*ret_goes_on || !found.count) {
        spare_give(reading->spare, held);
    } else {
        hold_for_page(reading, (struct carried_held){.room = held});
        name_formed_ops(reading, event, &found, held + values_size);
        page->count += found.count;
        reading->size += event->length;
    }
    if (*ret_goes_on) {
        reading->fills |= ours && is_piece(&found.last, reading->declared->name);
        end_link(reading, event);
    }
    return true;
}

static bool take_carried_event(struct carried_reading *reading, const struct carried_event *event)
{
    bool goes_on;
    if (!event->data) {
        end_link(reading, event);
        return true;
    }
    if (event->version != CARRIED_VERSION)
        return page_damaged(reading, event);
    if (reading->declared->model != FH_SEARCH && take_formed_event(reading, event, &goes_on))
        return goes_on;
    return take_json_event(reading, event);
}

/* For as many as the page will have, at most, so that they are not moved as it grows. */
static void prepare_forms(struct carried_reading *reading)
{
    size_t room = 0;
    if (reading->declared->model == FH_SEARCH)
        return;
    carried_form_init(&reading->form, reading->declared);
    for (int i = reading->taken; i < reading->read_count && room < (size_t)reading->ops_max; i++) {
        const struct carried_event *event = &reading->read[i];
        room += event->data ? carried_form_room(&reading->form, event->length) : 0;
    }
    make_room_for_ops(reading, room);
}

static void write_carried_page(struct carried_reading *reading)
{
    struct carried_page *page = &reading->page;
    void *spare = reading->spare ? reading->spare->written : NULL;
    if (reading->code != FH_OK || !reading->server->write || page->link.to <= page->link.from)
        return;
    if (spare)
        reading->spare->written = NULL;
    page->written = reading->server->write(reading->declared, &reading->generation, page, spare);
}

static void make_carried_page(void *context)
{
    struct carried_reading *reading = context;
    struct arena *arena = json_arena_set(NULL);
    prepare_forms(reading);
    while (reading->taken < reading->read_count &&
           take_carried_event(reading, &reading->read[reading->taken]))
        reading->taken++;
    reading->more |= reading->taken < reading->read_count;
    write_carried_page(reading);
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
    run_for_page(reading, world, make_carried_page);
    return reading->code;
}

void carried_page_follow(struct carried_reading *next, struct carried_reading *before,
                         struct carried_start *ret_start)
{
    const struct carried_link *link = &before->page.link;
    *ret_start = (struct carried_start){.generation = before->generation, .position = link->to};
    memcpy(ret_start->id, before->end.id, ID_SIZE);
    next->spare = before->spare;
    for (int i = before->taken; i < before->read_count; i++) {
        *carried_page_event(next) = before->read[i];
        next->read_size += before->read[i].length;
    }
    before->read_count = before->taken;
    before->read_size -= next->read_size;
}

static void free_page_values(void *context)
{
    struct carried_reading *reading = context;
    struct arena *arena = json_arena_set(NULL);
    for (int i = 0; i < reading->held_count; i++) {
        json_decref(reading->held[i].event);
        free(reading->held[i].values);
        spare_give(reading->spare, reading->held[i].room);
    }
    for (int i = 0; i < reading->read_count; i++)
        spare_give(reading->spare, reading->read[i].data);
    spare_give_written(reading->spare, reading->server, &reading->page);
    json_arena_set(arena);
}

void carried_page_release(struct carried_reading *reading, struct world *world)
{
    run_for_page(reading, world, free_page_values);
    carried_form_release(&reading->form);
    spare_give(reading->spare, reading->held);
    spare_give(reading->spare, reading->read);
    spare_give(reading->spare, reading->page.ops);
    *reading = (struct carried_reading){0};
}
