/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reading is one snapshot of the store: position, trimmed position, the id at the place and the
 * rows are read in it, so that nothing can be trimmed between judging the place and reading the
 * rows. If it finds no wanted event, the fiber may wait for a commit of this process, or for notice
 * of another's (look.c), and look again.
 *
 * Nothing here is durable: a process that dies has merely read.
 */

#include "event/outbox/reader.h"

#include <stdio.h>
#include <string.h>

#include "event/envelope.h"
#include "event/outbox/slice.h"
#include "work/work.h"
#include "world/world.h"

void outbox_begin(struct outbox_reading *reading)
{
    reading->next = reading->after;
    snprintf(reading->next_id, sizeof reading->next_id, "%s", reading->id);
    reading->count = 0;
    reading->own.position = 0;
    reading->held = false;
    reading->answers = reading->manager->answers;
}

/* ---- one snapshot ---- */

static bool is_of_partition(const struct outbox_filter *filter, const struct ledger_event *event)
{
    if (strncmp(event->type, SLICE_INTERNAL_PREFIX, sizeof SLICE_INTERNAL_PREFIX - 1) == 0)
        return false;
    return filter->partitions <= 1 ||
           envelope_partition(event->key, filter->partitions) == filter->partition;
}

static bool is_of_type(const struct outbox_filter *filter, const struct ledger_event *event)
{
    if (!filter->types)
        return true;
    size_t index;
    json_t *type;
    json_array_foreach (filter->types, index, type) {
        if (strcmp(json_string_value(type), event->type) == 0)
            return true;
    }
    return false;
}

static bool visit_outbox_row(void *context, const struct ledger_event *event)
{
    struct outbox_reading *reading = context;
    bool own = is_of_partition(&reading->filter, event);
    if (own && is_of_type(&reading->filter, event)) {
        if (!reading->take(reading->context, event))
            return false;
        reading->count++;
    }
    if (own && reading->follows) {
        reading->own.position = event->position;
        snprintf(reading->own.id, sizeof reading->own.id, "%s", event->id);
    }
    reading->next = event->position;
    snprintf(reading->next_id, sizeof reading->next_id, "%s", event->id);
    return reading->count < reading->limit;
}

/* Whether the place is one of this store. */
static enum fh_code judge_reading_place(struct outbox_reading *reading, struct store_work *work,
                                        struct fh_error *error)
{
    int64_t cut = 0;
    enum fh_code code = FH_OK;
    reading->continued = false;
    reading->place = PLACE_HERE;
    if (*reading->incarnation && strcmp(reading->incarnation, work->store->incarnation) != 0) {
        code = ledger_ancestor_cut(work, reading->incarnation, &cut, error);
        reading->continued = code == FH_OK && reading->after <= cut;
        if (!reading->continued) {
            reading->place = PLACE_ELSEWHERE;
            return code == FH_NOT_FOUND ? FH_OK : code;
        }
    }
    enum place place, seen = PLACE_HERE;
    code = place_judge(work, reading->last, reading->after, reading->id, &place, error);
    if (code == FH_OK && reading->seen > reading->after)
        code = place_judge(work, reading->last, reading->seen, reading->seen_id, &seen, error);
    if (code != FH_OK)
        return code;
    if (place == PLACE_TRIMMED)
        reading->place = PLACE_TRIMMED;
    else if (place == PLACE_AHEAD || seen == PLACE_AHEAD)
        reading->place = PLACE_AHEAD;
    else if (place == PLACE_ANOTHER || seen == PLACE_ANOTHER)
        reading->place = PLACE_ANOTHER;
    return FH_OK;
}

/* Each partition's reader scans all rows, so several partitions share slices. */
static enum fh_code read_outbox_rows(struct outbox_reading *reading, struct store_work *work,
                                     struct fh_error *error)
{
    int scan = reading->scan ? reading->scan : OUTBOX_SCAN_MAX;
    if (reading->filter.partitions > 1)
        return slice_read(reading->manager, work, reading->next, reading->last, scan,
                          visit_outbox_row, reading, error);
    return ledger_outbox_read(work, reading->next, scan, visit_outbox_row, reading, error);
}

enum fh_code outbox_read(struct outbox_reading *reading, struct fh_error *error)
{
    struct event_manager *manager = reading->manager;
    struct store_work *work;
    reading->commits = manager->commits;
    enum fh_code code = store_begin(manager->context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_position(work, &reading->last, error);
    if (code == FH_OK)
        code = judge_reading_place(reading, work, error);
    bool here = code == FH_OK && reading->place == PLACE_HERE;
    if (here && reading->last > reading->next)
        code = read_outbox_rows(reading, work, error);
    /* Rows newer than `last` may have been read, too; but a refused place proves nothing. */
    if (here && reading->last < reading->next)
        reading->last = reading->next;
    store_rollback(work);
    if (code == FH_OK && reading->last > manager->position)
        /* Internal events take positions without notifying the manager. */
        manager->position = reading->last;
    return code;
}

/* ---- nothing yet ---- */

/* Waits for a commit later than the reading. */
bool outbox_wait(struct outbox_reading *reading)
{
    struct event_manager *manager = reading->manager;
    struct world *world = manager->context->world;
    if (reading->next < reading->last)
        return true; /* the scan stopped at its limit: there is more to look at */
    if (reading->next > reading->after && !reading->held) {
        int64_t hold_ns = world_in_ms(world, OUTBOX_SKIPPED_HOLD_MS);
        if (hold_ns < reading->until_ns)
            reading->until_ns = hold_ns;
        reading->held = true;
    }
    if (manager->draining || reading->answers != manager->answers ||
        world_monotonic_ns(world) >= reading->until_ns)
        return false;
    if (manager->commits != reading->commits)
        return true;
    if (manager->reader_count >= OUTBOX_READERS_MAX)
        return false;
    manager->reader_count++;
    slice_rest(manager);
    event_look_soon(manager);
    bool woken = fiber_wait_until(&manager->readers, world, reading->until_ns);
    manager->reader_count--;
    return woken && !manager->draining && reading->answers == manager->answers;
}
