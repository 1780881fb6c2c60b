/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every step is one transaction. Its first statements move the cursor from where it stands to the
 * same place, which checks that it is still ours, and the resync from where this process believes
 * it to be. So a process of an earlier session, or one that lost the partition, changes nothing.
 *
 * The transaction that begins a resync deletes the partition's parked events, and moves the cursor
 * to the publisher's position: later requests report it as `done`, which holds back trimming there.
 * A row replaces whatever was known about its key before this resync pass. Within a pass no key
 * comes twice, since the place within the pages moves in the same transaction as the rows. Both
 * publisher and subscriber may be restored in between: the resync remembers the highest position
 * that its pages came from, and sends it with its requests until the cursor has passed it. A 409
 * then begins another pass.
 *
 * While a page is applied the next one is fetched. That page is as of then, and its position says
 * so; it is used only if all rows before it were applied.
 *
 *     killed between two transactions   the resync continues from the last durable page or sweep
 *     killed after the last             the feed continues from where the resync began
 *
 * If a handler fails during a resync it is tried again, however long it takes: there is no event to
 * park, and continuing without the row would not give the publisher's state.
 */

#include "event/resync/resync.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "base/log.h"
#include "event/resync/page.h"
#include "event/resync/parts.h"
#include "event/subscribe/parked.h"
#include "world/world.h"

#define FORGET_SLICE 500

/* ---- the steps ---- */

static void begin_resync(struct subscription *s)
{
    struct ledger_resync at = {.type = resync_next_type(s, 0)};
    struct resync_asking asking;
    resync_ask_init(&asking, s, &at, 0);
    resync_ask_run(&asking);
    struct page_read *page = asking.page;
    if (!page) {
        resync_outage(s, asking.reason);
        return;
    }
    struct resync_fence fence = {.begins = true,
                                 .next = {.resync = s->resync.resync + 1,
                                          .phase = LEDGER_PAGES,
                                          .type = resync_next_type(s, 0)}};
    fence.next.seen_position = fence.cursor.position = page->position;
    memcpy(fence.cursor.incarnation, page->incarnation, ID_SIZE);
    memcpy(fence.cursor.event_id, page->position_id, ID_SIZE);
    memcpy(fence.next.seen_id, page->position_id, ID_SIZE);
    page_free(page);
    CRASH_POINT("round.asked");
    if (!resync_work(s, &fence, NULL, 0, NULL))
        return;
    CRASH_POINT("round.begun");
    s->resyncs = false;
    parked_recount(s);
    log_info("resync-begun",
             "%s resyncs from the state of %s, at position %" PRId64 " of its incarnation %s.",
             s->manager->context->service->name, s->source, s->cursor.position,
             s->cursor.incarnation);
}

/* After the last page of a type: its sweep. */
static struct ledger_resync resync_after_pages(const struct subscription *s, bool integers)
{
    struct ledger_resync next = s->resync;
    next.phase = LEDGER_SWEEP;
    snprintf(next.after, sizeof next.after, "%s", integers ? "i" : "s");
    return next;
}

/* Applies the rows of one page, and moves to the place after it. False: the failed part is asked
 * for again. */
static bool apply_page(struct subscription *s, const struct page_read *page)
{
    const struct fh_subscription *subscribed = s->subscribed[s->resync.type];
    int done = 0;
    do {
        int left = page->count - done;
        int count = left < resync_at_once(s) ? left : resync_at_once(s);
        struct resync_fence fence = {.rows = page->rows + done, .count = count, .next = s->resync};
        if (count < left)
            memcpy(fence.next.after, page->rows[done + count - 1].key,
                   strlen(page->rows[done + count - 1].key) + 1);
        else if (page->after)
            memcpy(fence.next.after, page->after, strlen(page->after) + 1);
        else
            fence.next = resync_after_pages(s, page->integers);
        if (page->position > s->resync.seen_position) {
            fence.next.seen_position = page->position;
            memcpy(fence.next.seen_id, page->position_id, ID_SIZE);
        }
        CRASH_POINT("round.page_there");
        if (!resync_work(s, &fence, page->rows + done, count, subscribed->upsert))
            return false;
        CRASH_POINT("round.page_applied");
        s->resynced_count += (uint64_t)count;
        done += count;
    } while (done < page->count && subscription_goes_on(s));
    return done == page->count && subscription_goes_on(s);
}

/* Fewer rows may succeed: the publisher may not shorten pages itself, or the answer took too long
 * or too much memory. */
static void asking_failed(struct subscription *s, const struct resync_asking *asked)
{
    if (asked->limit > 1)
        portion_failed(&s->rows, asked->limit / 2);
    if (asked->fault)
        resync_fault(s, asked->reason);
    else
        resync_outage(s, asked->reason);
}

/* Handles the answer to one question. True: the next one has been asked while this page was
 * applied, and can be used. */
static bool take_resync_page(struct subscription *s, const struct resync_asking *asked,
                             struct resync_asking *next)
{
    struct page_read *page = asked->page;
    s->resyncs = s->resyncs || asked->anew;
    if (page && strcmp(page->incarnation, s->cursor.incarnation) != 0)
        s->resyncs = true;
    else if (!page && !asked->anew)
        asking_failed(s, asked);
    else if (page && page->after)
        portion_passed(&s->rows, asked->limit);
    bool taken = page && !s->resyncs, ahead = taken && resync_ask_ahead(next, s, page);
    bool goes_on = taken && apply_page(s, page);
    page_free(page);
    if (ahead)
        resync_ask_wait(next);
    if (ahead && !goes_on)
        page_free(next->page);
    return ahead && goes_on;
}

static void take_resync_pages(struct subscription *s)
{
    struct resync_asking asked, next;
    resync_ask_init(&asked, s, &s->resync, portion_size(&s->rows, RESYNC_ROWS_MAX));
    resync_ask_run(&asked);
    while (take_resync_page(s, &asked, &next))
        asked = next;
}

/* ---- the resync ---- */

void resync_step(struct subscription *s)
{
    if (s->resyncs)
        begin_resync(s);
    else if (s->resync.phase == LEDGER_PAGES)
        take_resync_pages(s);
    else if (s->resync.phase == LEDGER_SWEEP)
        resync_sweep(s);
    if (subscription_resyncs(s))
        return;
    CRASH_POINT("round.over");
    subscription_drop(s);
    subscription_release_hold(s, &s->reading);
    /* The first answer says how many events there are to catch up with. */
    s->reading.state = SUBSCRIPTION_STARTING;
    log_info("resync-finished",
             "%s has taken over the state of %s, and follows its events from position %" PRId64 ".",
             s->manager->context->service->name, s->source, s->cursor.position);
    fiber_wake_all(&s->for_space);
}

/* Removes the record of applied rows in transactions whose fence is the resync, as for every step:
 * so a process of an earlier session removes nothing that a later resync pass has recorded. */
bool resync_forget(struct subscription *s)
{
    struct work_context *context = s->manager->context;
    const struct ledger_snapshot_ops *ops = ledger_snapshots(context->store);
    struct store_work *work;
    int64_t removed = 0;
    if (s->resync.phase != LEDGER_FOLLOW || s->cursor.position < s->resync.seen_position)
        return false;
    struct ledger_resync next = s->resync;
    subscription_enter(s);
    enum fh_code code = store_begin(context->store, STORE_WRITE, &work, ERROR_UNHEEDED);
    if (code == FH_OK) {
        code = ops->applied_clear(work, s->source, s->partition, FORGET_SLICE, &removed,
                                  ERROR_UNHEEDED);
        if (removed == 0)
            next.phase = LEDGER_FEED;
        if (code == FH_OK)
            code =
                ops->resync_move(work, s->source, s->partition, &s->resync, &next, ERROR_UNHEEDED);
        if (code == FH_OK)
            code = store_commit(work, ERROR_UNHEEDED);
        else
            store_rollback(work);
    }
    subscription_leave(s);
    CRASH_POINT("round.forgotten");
    if (code == FH_OK) {
        s->resync = next;
    } else {
        resync_load(s);
        subscription_drop(s); /* the cursor may be beyond what was fetched */
        subscription_pause(s, 1, SUBSCRIBE_RETRY_MS_MIN, SUBSCRIBE_RETRY_MS_MAX);
    }
    return true;
}
