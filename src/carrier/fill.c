/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What belongs into a new generation is published into it (14): a page of rows, which the service's
 * own handler of `state` lists, or which are points or facts of its own store, becomes ops of that
 * generation alone.
 *
 * Rows are not listed in the transaction that publishes them: that writes, and a handler of GET
 * must not. They are listed in a snapshot, and their version is the last position that it knows. So
 * a row is overwritten by whatever changes it later, in whatever order that arrives, and by what
 * the snapshot has seen already and has no position yet: that says the same as the row, or is
 * followed by what does.
 *
 * A point or fact that is in the snapshot, and whose own op is behind the generation's beginning,
 * comes twice, as an op and as a row, under one key: it counts once.
 *
 * In the same transaction the last key is noted. The event with the last row says so, and comes
 * behind all that the snapshots have seen, as what is published does: once that is carried, the
 * generation is of one time (15).
 *
 *     killed before the commit    the same rows are listed again
 *     killed after it             the next page begins after the last key
 */

#include "carrier/fill.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/id.h"
#include "base/json.h"
#include "store/engine.h"
#include "store/ledger.h"
#include "work/batch.h"
#include "work/carried.h"

/* ---- Listing ---- */

/* The position is read first: where each read has a moment of its own, what changes a row behind it
 * comes later than the row. And there the commit tells whether all rows were of one moment: a page
 * that lacks one which went while it was listed would be taken for the last. */
static enum fh_code list_filling_rows(struct filling_page *page, struct fh_error *error)
{
    struct store *store = page->carrier->context->store;
    bool apart = engine_can(store->engine, ENGINE_READS_APART);
    struct store_work *snapshot;
    struct fh_error why = {0};
    enum store_mode mode = !apart ? STORE_READ : page->alone ? STORE_WRITE_EXCLUSIVE : STORE_WRITE;
    enum fh_code code = store_begin(store, mode, &snapshot, error);
    if (code != FH_OK)
        return code;
    code = ledger_position(snapshot, &page->position, error);
    if (code == FH_OK)
        code = page->source->list(page, snapshot, error);
    if (!apart) {
        store_rollback(snapshot);
        return code;
    }
    enum fh_code one = store_commit(snapshot, &why);
    page->torn = one == FH_CONFLICT && why.retryable;
    if (page->torn)
        return error_retry(error, FH_CONFLICT, "The rows changed while they were listed.");
    if (code == FH_OK && one != FH_OK)
        *error = why;
    return code == FH_OK ? one : code;
}

/* ---- Publishing ---- */

static void begin_event(struct filling_page *page)
{
    const struct carried_name *name = &page->generation->name;
    text_printf(&page->data, "{\"generation\":[\"%s\",%lld],\"as_of\":%lld,\"ops\":[",
                name->incarnation, (long long)name->number, (long long)page->position);
}

static void end_event(struct filling_page *page, bool last)
{
    const char *name = page->carrier->declared->name;
    struct work_context *context = page->carrier->context;
    unsigned char random[10];
    struct ledger_event *event = calloc(1, sizeof *event + ID_SIZE + CARRIED_EVENT_KEY_SIZE);
    FH_ASSERT(event != NULL);
    char *id = (char *)(event + 1), *key = id + ID_SIZE;
    carried_event_key(key, context->store->engine, page->after);
    text_add(&page->data, "]");
    if (last) {
        text_add(&page->data, ",\"last\":");
        json_write_string(&page->data, name, strlen(name));
    }
    text_add(&page->data, "}");
    world_random(context->world, random, sizeof random);
    id_format(id, world_wall_ms(context->world), random);
    *event = (struct ledger_event){.time_ms = world_wall_ms(context->world),
                                   .version = CARRIED_VERSION,
                                   .id = id,
                                   .type = CARRIED_TYPE,
                                   .key = key,
                                   .data = text_take(&page->data)};
    if (page->last)
        page->last->next = event;
    else
        page->first = event;
    page->last = event;
}

struct text *filling_add(struct filling_page *page)
{
    if (page->data.length > CARRIED_DATA_SIZE_MAX)
        end_event(page, false);
    if (page->data.length)
        text_add(&page->data, ",");
    else
        begin_event(page);
    return &page->data;
}

static void free_events(struct filling_page *page)
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

static enum fh_code publish_rows(struct filling_page *page, struct store_work *work,
                                 struct fh_error *error)
{
    free_events(page);
    snprintf(page->after, sizeof page->after, "%s", page->generation->after);
    enum fh_code code = page->source->publish(page, error);
    if (code == FH_OK && page->ends && !page->data.length)
        begin_event(page);
    if (code == FH_OK && page->data.overflow)
        return error_set(error, FH_NO_MEMORY, "There is no memory to fill a derived store.");
    if (code == FH_OK && page->data.length)
        end_event(page, page->ends);
    return code == FH_OK && page->first ? ledger_outbox_append(work, page->first, error) : code;
}

static enum fh_code note_rows(struct carrier_change *change, struct store_work *work,
                              struct carrier_look *look, struct fh_error *error)
{
    struct filling_page *page = change->what;
    struct carried_generation *filling = &look->record.filling;
    if (carried_name_compare(&filling->name, &page->generation->name) != 0 || filling->listed ||
        strcmp(filling->after, page->generation->after) != 0)
        return FH_OK; /* another carrier has published them */
    enum fh_code code = publish_rows(page, work, error);
    if (code != FH_OK)
        return code;
    if (!page->ends && strcmp(page->after, filling->after) == 0)
        return error_set(error, FH_INVALID, "The state of %s does not continue after `after`.",
                         change->carrier->declared->name);
    memcpy(filling->after, page->after, sizeof filling->after);
    filling->listed = page->ends;
    change->changed = true;
    return FH_OK;
}

/* ---- A page ---- */

enum fh_code filling_run(struct filling_page *page, bool *ret_more, struct fh_error *error)
{
    struct derived_carrier *carrier = page->carrier;
    struct carrier_change change = {.carrier = carrier, .change = note_rows, .what = page};
    struct arena *arena = json_arena_set(NULL);
    text_init(&page->data, TEXT_LENGTH_MAX);
    enum fh_code code = list_filling_rows(page, error);
    json_arena_set(NULL);
    CRASH_POINT("carrier.listed");
    if (code == FH_OK)
        code = carrier_change_run(&change, error);
    CRASH_POINT("carrier.published");
    if (code == FH_OK && change.changed) {
        *ret_more = true;
        work_sequence_events(carrier->context, page->first);
        const struct work_carried *carried = carrier->context->carried;
        if (page->last && carried && carried->committed)
            carried->committed(carrier->context, page->last->position, 1);
    }
    free_events(page);
    text_release(&page->data);
    json_arena_set(arena);
    return code;
}
