/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages, one after the other: the only place where a page is got. What follows is read in a
 * snapshot, made beside the loop, sent, and noted once the server has answered (1).
 *
 * Where a page's bounds have ended it there is more, and while it is sent and waited for, the next
 * one is got on a fiber of its own: the page ahead, one at most. That is memory alone, nothing of
 * it is sent or noted. It is sent only if the page before it was noted by this carrier, so that the
 * cursor is where it begins; else it is thrown away, and the next turn begins at the cursor: the
 * page was not answered (7), or refused; its generation is another, or lost; another carrier has
 * gone on (2); the owner has another life (24).
 *
 * Its events are those that the outbox had when they were read, and an outbox changes only by being
 * trimmed. So what of them the page before did not take need not be read again. But a replica that
 * lacks the last commits may have taken over the owner's store. So what is read is sent only if the
 * outbox still had, when it was read, the event that it follows, and the last one that was sent
 * (37).
 */

#include <string.h>

#include "carrier/page.h"
#include "carrier/parts.h"
#include "world/world.h"

#define CARRIED_PAGES_MAX 64  /* in a turn, which looks at nothing else meanwhile */
#define CARRIED_PAGES_MS 1000 /* after which none is got ahead */

/* What follows is of the same outbox as what was read or sent before. After it was read, since on
 * some engines each read is of its own moment. */
static enum fh_code check_not_set_back(struct carried_reading *reading, struct store_work *work,
                                       const struct carried_place *before,
                                       const struct carried_place *sent, int64_t trimmed,
                                       struct fh_error *error)
{
    const struct carried_place *places[] = {before, sent};
    enum fh_code code = FH_OK;
    for (int i = 0; i < 2 && code == FH_OK && !reading->missing.id[0]; i++) {
        bool lives = true;
        if (places[i]->id[0] && (i == 0 || strcmp(places[i]->id, places[0]->id) != 0))
            code = carried_place_lives(work, places[i], trimmed, &lives, error);
        if (code == FH_OK && !lives)
            reading->missing = *places[i];
    }
    return code;
}

static enum fh_code get_page(struct derived_carrier *carrier, const struct carried_start *start,
                             struct carried_reading *reading, struct fh_error *error)
{
    struct store_work *work;
    char id[ID_SIZE];
    int64_t trimmed = 0;
    struct carried_place before = {.position = start->position};
    memcpy(before.id, start->id, ID_SIZE);
    if (reading->read_count) { /* by the page before, which did not take it */
        const struct carried_event *last = &reading->read[reading->read_count - 1];
        before.position = last->position;
        memcpy(before.id, last->id, ID_SIZE);
    }
    enum fh_code code = store_begin(carrier->context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_outbox_trimmed(work, &trimmed, id, error);
    bool there = trimmed <= start->position;
    if (code == FH_OK && there)
        code = carried_page_read(reading, work, carrier->context->world, carrier->server->ops,
                                 carrier->declared, start, error);
    if (code == FH_OK && there)
        code = check_not_set_back(reading, work, &before, &start->sent, trimmed, error);
    store_rollback(work);
    there = there && !reading->missing.id[0];
    return code == FH_OK && there ? carried_page_make(reading, carrier->context->world) : code;
}

/* ---- The page ahead ---- */

struct page_ahead {
    struct derived_carrier *carrier;
    struct carried_start start;
    struct carried_reading reading, spent; /* the one before that is sent, which is noted */
    bool reads;                            /* a fiber, which ends then */
    struct fiber_queue ended;
    enum fh_code code;
    struct fh_error error;
};

static void get_page_ahead(void *argument)
{
    struct page_ahead *ahead = argument;
    carried_page_release(&ahead->spent, ahead->carrier->context->world);
    ahead->code = get_page(ahead->carrier, &ahead->start, &ahead->reading, &ahead->error);
    ahead->reads = false;
    fiber_wake_all(&ahead->ended);
}

static void begin_page_ahead(struct page_ahead *ahead, struct carried_reading *before)
{
    carried_page_follow(&ahead->reading, before, &ahead->start);
    ahead->reads = fiber_start(ahead->carrier->context->world->fibers, get_page_ahead, ahead);
}

/* It has what was got, or nothing. */
static void end_page_ahead(struct page_ahead *ahead)
{
    while (ahead->reads)
        fiber_wait(&ahead->ended);
    carried_page_release(&ahead->spent, ahead->carrier->context->world);
}

/* ---- All of them ---- */

enum fh_code carrier_carry_pages(struct derived_carrier *carrier, const struct carried_start *start,
                                 carrier_send *send, bool *ret_more, struct fh_error *error)
{
    struct world *world = carrier->context->world;
    struct carried_spare spare = {.written = NULL};
    struct carried_reading reading = {.spare = &spare}, spent = {0};
    int64_t ends_ns = world_in_ms(world, CARRIED_PAGES_MS);
    enum fh_code code = get_page(carrier, start, &reading, error);
    for (int i = 1; code == FH_OK && reading.page.link.to > reading.page.link.from; i++) {
        struct page_ahead ahead = {.carrier = carrier, .spent = spent};
        *ret_more = true;
        if (reading.more && i < CARRIED_PAGES_MAX && world_in_ms(world, 0) < ends_ns)
            begin_page_ahead(&ahead, &reading);
        code = send(carrier, &reading, error);
        end_page_ahead(&ahead);
        if (code != FH_OK || !reading.noted) {
            carried_page_release(&ahead.reading, world);
        } else if (ahead.code != FH_OK) {
            code = ahead.code;
            *error = ahead.error;
        }
        spent = reading;
        reading = ahead.reading;
    }
    carrier->missing = code == FH_OK ? reading.missing : (struct carried_place){0};
    carried_page_release(&spent, world);
    carried_page_release(&reading, world);
    spare_release(&spare, carrier->server->ops);
    return code;
}
