/* SPDX-License-Identifier: Apache-2.0 */
/* The events of a page are read in a snapshot of the owner's store, some at a time; page.c makes
 * the page of them. */

#include "carrier/page.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "work/carried.h"
#include "world/fiber.h"
#include "world/world.h"

#define PAGE_SLICE_SIZE ((size_t)128 << 10) /* of texts that are read at once, at least */
#define PAGE_SLICE_EVENTS 64                /* at least */
#define PAGE_SLICE_NS_MAX 4000000           /* that a larger one may take */

static bool has_room_in_slice(const struct carried_reading *reading)
{
    return reading->read_size < reading->size_max && reading->read_size < reading->slice_end;
}

static bool keep_event(void *context, const struct ledger_event *event)
{
    struct carried_reading *reading = context;
    bool carried = strcmp(event->type, CARRIED_TYPE) == 0;
    struct carried_event *kept =
        reading->read_count ? &reading->read[reading->read_count - 1] : NULL;
    if (carried || !kept || kept->data)
        kept = carried_page_event(reading);
    *kept = (struct carried_event){.position = event->position, .version = event->version};
    snprintf(kept->id, sizeof kept->id, "%s", event->id);
    if (carried) {
        kept->length = strlen(event->data);
        /* a megabyte, and more where one value is larger */
        kept->data = spare_take(reading->spare, kept->length + JSON_SCAN_PADDING);
        if (!kept->data) {
            reading->code = error_set(reading->error, FH_NO_MEMORY,
                                      "There is no memory to carry what is derived.");
            return false;
        }
        memcpy(kept->data, event->data, kept->length);
        memset(kept->data + kept->length, 0, JSON_SCAN_PADDING);
        reading->read_size += kept->length;
    }
    reading->slice_count++;
    return has_room_in_slice(reading);
}

/* How many events the next slice may have, after one of `count`, which grew by `size`: twice what
 * it should need, as an engine may fetch them all before it shows the first. */
static int64_t next_slice_events(int64_t count, size_t size, size_t next_size)
{
    int64_t each = (int64_t)size / (count > 0 ? count : 1) + 1;
    int64_t events = 2 * (int64_t)next_size / each;
    return events < PAGE_SLICE_EVENTS ? PAGE_SLICE_EVENTS : events;
}

size_t carried_slice_size(size_t size, int64_t took_ns, int64_t turn_ns)
{
    int64_t may_take_ns = turn_ns / 2 < PAGE_SLICE_NS_MAX ? turn_ns / 2 : PAGE_SLICE_NS_MAX;
    double bytes = took_ns > 0 ? (double)size * (double)may_take_ns / (double)took_ns : 0;
    if (bytes < (double)PAGE_SLICE_SIZE)
        return PAGE_SLICE_SIZE;
    return bytes < (double)CARRIED_SIZE_MAX ? (size_t)bytes : CARRIED_SIZE_MAX;
}

/* Behind what is read already. Between slices the loop has its turn, so that the page before is
 * sent meanwhile, and nobody waits until megabytes are read. */
static enum fh_code read_page_events(struct carried_reading *reading, struct store_work *work,
                                     struct world *world, struct fh_error *error)
{
    int64_t from = reading->page.link.from, events = PAGE_SLICE_EVENTS;
    size_t slice_size = PAGE_SLICE_SIZE;
    for (;;) {
        int64_t began_ns = world_monotonic_ns(world);
        int64_t at = reading->read_count ? reading->read[reading->read_count - 1].position : from;
        int64_t left = CARRIED_SPAN_MAX - (at - from);
        size_t before = reading->read_size;
        reading->more = before >= reading->size_max || left <= 0;
        if (reading->more)
            return FH_OK;
        events = events < left ? events : left;
        reading->slice_count = 0;
        reading->slice_end = before + slice_size;
        enum fh_code code = ledger_outbox_read(work, at, (int)events, keep_event, reading, error);
        if (code == FH_OK)
            code = reading->code;
        bool is_end = reading->slice_count < events && has_room_in_slice(reading);
        if (code != FH_OK || is_end)
            return code;
        int64_t read_ns = world_monotonic_ns(world);
        fiber_sleep_until(world, 0);
        slice_size = carried_slice_size(reading->read_size - before, read_ns - began_ns,
                                        world_monotonic_ns(world) - read_ns);
        events = next_slice_events(reading->slice_count, reading->read_size - before, slice_size);
    }
}

enum fh_code carried_page_read(struct carried_reading *reading, struct store_work *work,
                               struct world *world, const struct carried_server_ops *server,
                               const struct fh_derived *declared, const struct carried_start *start,
                               struct fh_error *error)
{
    reading->server = server;
    reading->declared = declared;
    reading->ops_max = server->page_ops ? server->page_ops : CARRIED_OPS_MAX;
    reading->size_max = server->page_size ? server->page_size : CARRIED_SIZE_MAX;
    reading->generation = start->generation;
    reading->error = error;
    reading->page.link = (struct carried_link){.from = start->position, .to = start->position};
    enum fh_code code = FH_OK;
    if (start->generation.kept) {
        memcpy(reading->page.link.from_id, start->id, ID_SIZE);
        code = ledger_meta_get(work, LEDGER_INCARNATION, reading->life, ID_SIZE, error);
        memcpy(reading->page.life, reading->life, ID_SIZE);
    }
    return code == FH_OK ? read_page_events(reading, work, world, error) : code;
}
