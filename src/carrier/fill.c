/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What belongs into a new generation is published into it (14): a page of rows, which the service's
 * own handler of `state` lists, becomes ops of that generation alone. So each row has a position,
 * and is overwritten by whatever changes it later, in whatever order that arrives.
 *
 * A row must not be published after an op of its key that it has not seen. The handler is not run
 * in the transaction that publishes: that writes, and a handler of GET must not. It lists the rows
 * in a snapshot, of which the last position is known, and the transaction leaves out those rows
 * whose keys have been derived since: the op that did is their row, or removes it. That is what the
 * handler would have listed in the transaction. Nothing is published between that look and the
 * commit, as the store has one writer: on servers with many this would not do.
 *
 * In the same transaction the last key is noted, and where the outbox ends then: not only the rows
 * but also what the snapshot knew, and what was left out, is carried by there (15).
 *
 *     killed before the commit    the same rows are listed again
 *     killed after it             the next page begins after the last key
 *
 * A page that fails is listed again with half the rows (base/portion.h).
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/doing.h"
#include "base/id.h"
#include "base/json.h"
#include "base/text.h"
#include "carrier/parts.h"
#include "store/ledger.h"
#include "work/batch.h"
#include "work/carried.h"

#define FILL_DEADLINE_MS 30000

struct carrier_page {
    struct derived_carrier *carrier;
    const struct carried_generation *generation;
    fh_work w;        /* the handler's, which lists the rows */
    int64_t position; /* of the snapshot that they are of */
    int limit;
    json_t *changed;  /* keys that were derived since, {"k": true}; on the heap */
    int between;      /* events that were published since */
    struct text data; /* of the event that is being made */
    struct ledger_event *first, *last;
    char after[DERIVED_KEY_LENGTH_MAX + 1];
};

/* ---- Listing ---- */

static enum fh_code list_in(struct carrier_page *page, struct store_work *snapshot,
                            struct fh_error *error)
{
    const struct fh_derived *declared = page->carrier->declared;
    const struct work_listing listing = {.after = page->generation->after,
                                         .integers = declared->keys == FH_INT,
                                         .limit = page->limit};
    enum fh_code code = ledger_position(snapshot, &page->position, error);
    if (code == FH_OK)
        code = work_list(&page->w, snapshot, &listing, error);
    page->w.snapshot = NULL;
    if (code != FH_OK)
        return code;
    const json_t *rows = page->w.reply_body;
    if (json_is_array(rows) && json_array_size(rows) <= (size_t)page->limit)
        return FH_OK;
    return error_set(error, FH_INVALID, "The state of %s must be an array of at most `limit` rows.",
                     declared->name);
}

static enum fh_code list_carrier_rows(struct carrier_page *page, struct fh_error *error)
{
    struct store_work *snapshot;
    enum fh_code code = store_begin(page->carrier->context->store, STORE_READ, &snapshot, error);
    if (code != FH_OK)
        return code;
    code = list_in(page, snapshot, error);
    store_rollback(snapshot);
    return code;
}

/* ---- What has changed since ---- */

static void note_changed(struct carrier_page *page, const json_t *ops)
{
    size_t i;
    const json_t *op;
    json_array_foreach (ops, i, op) {
        const char *name = json_string_value(json_object_get(op, "name"));
        const char *key = json_string_value(json_object_get(op, "key"));
        if (name && key && strcmp(name, page->carrier->declared->name) == 0)
            json_object_set_new_nocheck(page->changed, key, json_true());
    }
}

/* Rows, of whichever generation, change nothing. */
static bool look_at_event(void *context, const struct ledger_event *event)
{
    struct carrier_page *page = context;
    json_t *data = NULL;
    page->between++;
    if (strcmp(event->type, CARRIED_TYPE) == 0 &&
        json_parse(event->data, strlen(event->data), &data, ERROR_UNHEEDED) == FH_OK &&
        !json_object_get(data, "generation"))
        note_changed(page, json_object_get(data, "ops"));
    json_decref(data);
    return true;
}

static enum fh_code look_between(struct carrier_page *page, struct store_work *work,
                                 struct fh_error *error)
{
    page->between = 0;
    json_object_clear(page->changed);
    enum fh_code code =
        ledger_outbox_read(work, page->position, CARRIED_BETWEEN_MAX, look_at_event, page, error);
    if (code == FH_OK && page->between >= CARRIED_BETWEEN_MAX)
        return error_retry(error, FH_UNAVAILABLE,
                           "More was published than can be looked at while rows of %s were listed.",
                           page->carrier->declared->name);
    return code;
}

/* ---- Publishing ---- */

static void end_event(struct carrier_page *page)
{
    struct work_context *context = page->carrier->context;
    unsigned char random[10];
    if (!page->data.length)
        return;
    struct ledger_event *event = calloc(1, sizeof *event + ID_SIZE);
    FH_ASSERT(event != NULL);
    char *id = (char *)(event + 1);
    text_add(&page->data, "]}");
    world_random(context->world, random, sizeof random);
    id_format(id, world_wall_ms(context->world), random);
    *event = (struct ledger_event){.time_ms = world_wall_ms(context->world),
                                   .version = CARRIED_VERSION,
                                   .id = id,
                                   .type = CARRIED_TYPE,
                                   .key = CARRIED_TYPE,
                                   .data = text_take(&page->data)};
    if (page->last)
        page->last->next = event;
    else
        page->first = event;
    page->last = event;
}

static void add_row(struct carrier_page *page, const char *key, const json_t *row)
{
    const struct carried_name *name = &page->generation->name;
    if (page->data.length > CARRIED_DATA_SIZE_MAX)
        end_event(page);
    if (page->data.length)
        text_add(&page->data, ",");
    else
        text_printf(&page->data, "{\"generation\":[\"%s\",%lld],\"ops\":[", name->incarnation,
                    (long long)name->number);
    carried_write_op(&page->data, page->carrier->declared, key, row);
}

static enum fh_code take_state_row(struct carrier_page *page, const json_t *row,
                                   struct fh_error *error)
{
    const struct fh_derived *declared = page->carrier->declared;
    char digits[TEXT_INTEGER_SIZE];
    const char *key = work_listed_key(row, digits);
    if (!key || derived_key_check(key, error) != FH_OK)
        return error_set(
            error, FH_INVALID,
            "The state of %s has a row whose first member is not a key of 1 to %d bytes.",
            declared->name, DERIVED_KEY_LENGTH_MAX);
    if (strcmp(key, page->after) == 0)
        return error_set(error, FH_INVALID, "The state of %s does not continue after `after`.",
                         declared->name);
    snprintf(page->after, sizeof page->after, "%s", key);
    enum fh_code code = derived_value_check(declared, row, error);
    if (code == FH_OK && !json_object_get(page->changed, key))
        add_row(page, key, row);
    return code;
}

static void free_events(struct carrier_page *page)
{
    while (page->first) {
        struct ledger_event *event = page->first;
        page->first = event->next;
        free((char *)(uintptr_t)event->data);
        free(event);
    }
    page->last = NULL;
    text_clear(&page->data);
}

static enum fh_code publish_rows(struct carrier_page *page, struct store_work *work,
                                 struct fh_error *error)
{
    size_t i;
    const json_t *row, *rows = page->w.reply_body;
    enum fh_code code = look_between(page, work, error);
    free_events(page);
    snprintf(page->after, sizeof page->after, "%s", page->generation->after);
    json_array_foreach (rows, i, row) {
        if (code == FH_OK)
            code = take_state_row(page, row, error);
    }
    if (code == FH_OK)
        end_event(page);
    return code == FH_OK && page->first ? ledger_outbox_append(work, page->first, error) : code;
}

static enum fh_code note_rows(struct carrier_change *change, struct store_work *work,
                              struct carrier_look *look, struct fh_error *error)
{
    struct carrier_page *page = change->what;
    struct carried_generation *filling = &look->record.filling;
    if (carried_name_compare(&filling->name, &page->generation->name) != 0 || filling->filled ||
        strcmp(filling->after, page->generation->after) != 0)
        return FH_OK; /* another carrier has published them */
    enum fh_code code = publish_rows(page, work, error);
    if (code != FH_OK)
        return code;
    size_t count = json_array_size(page->w.reply_body);
    if (count == (size_t)page->limit && strcmp(page->after, filling->after) == 0)
        return error_set(error, FH_INVALID, "The state of %s does not continue after `after`.",
                         change->carrier->declared->name);
    memcpy(filling->after, page->after, sizeof filling->after);
    filling->filled = count < (size_t)page->limit;
    filling->end = page->last ? page->last->position : look->position;
    change->changed = true;
    return FH_OK;
}

/* ---- A page ---- */

static enum fh_code fill_carrier_page(struct carrier_page *page, bool *ret_more,
                                      struct fh_error *error)
{
    struct derived_carrier *carrier = page->carrier;
    struct carrier_change change = {.carrier = carrier, .change = note_rows, .what = page};
    struct arena *arena = json_arena_set(NULL);
    page->changed = json_object();
    text_init(&page->data, TEXT_LENGTH_MAX);
    enum fh_code code = list_carrier_rows(page, error);
    json_arena_set(NULL);
    CRASH_POINT("carrier.listed");
    if (code == FH_OK)
        code = carrier_change_run(&change, error);
    CRASH_POINT("carrier.published");
    if (code == FH_OK && change.changed) {
        *ret_more = true;
        const struct work_carried *carried = carrier->context->carried;
        if (page->last && carried && carried->committed)
            carried->committed(carrier->context, page->last->position, 1);
    }
    free_events(page);
    text_release(&page->data);
    json_decref(page->changed);
    json_arena_set(arena);
    return code;
}

enum fh_code carrier_fill(struct derived_carrier *carrier,
                          const struct carried_generation *generation, bool *ret_more,
                          struct fh_error *error)
{
    int limit = portion_size(&carrier->rows, CARRIED_ROWS_MAX);
    struct carrier_page *page = calloc(1, sizeof *page);
    if (!page)
        return error_set(error, FH_NO_MEMORY, "There is no memory to fill a derived store.");
    *page = (struct carrier_page){.carrier = carrier, .generation = generation, .limit = limit};
    work_init(&page->w, carrier->context, carrier->declared->state);
    page->w.read_only = true;
    page->w.doing = doing_of((doing_function *)carrier->declared->state, "state of %s",
                             carrier->declared->name);
    page->w.deadline_ns = world_in_ms(carrier->context->world, FILL_DEADLINE_MS);
    enum fh_code code = fill_carrier_page(page, ret_more, error);
    work_release(&page->w);
    free(page);
    if (code == FH_OK) {
        portion_passed(&carrier->rows, limit);
    } else if (code != FH_UNAVAILABLE && limit > 1) {
        portion_failed(&carrier->rows, limit / 2);
        *ret_more = true;
        return FH_OK;
    }
    return code;
}
