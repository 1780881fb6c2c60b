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
#include "event/subscribe/apply.h"
#include "event/resync/page.h"
#include "event/subscribe/parked.h"
#include "event/resync/parts.h"
#include "event/feed/snapshot.h"
#include "world/world.h"

#define FORGET_SLICE 500
#define RESYNC_FAULT_MS_MIN 100
#define RESYNC_FAULT_MS_MAX (30 * 1000)

/* ---- declarations -------------------------------------------------------------------------- */

enum fh_code resync_check(const fh_service *service, const struct fh_subscription *subscribed,
                          struct fh_error *error)
{
    if ((subscribed->gone || subscribed->held) &&
        (!subscribed->gone || !subscribed->held || !subscribed->upsert))
        return error_set(error, FH_INVALID,
                         "`subscribes` to %s %s: `gone` and `held` go together, and need `upsert`.",
                         subscribed->service, subscribed->type);
    if (!subscribed->covered_by)
        return FH_OK;
    for (size_t i = 0; i < SUBSCRIBED_MAX; i++) {
        const struct fh_subscription *other = &service->subscribes[i];
        if (other->service && strcmp(other->service, subscribed->service) == 0 && other->upsert &&
            strcmp(other->type, subscribed->covered_by) == 0)
            return FH_OK;
    }
    return error_set(error, FH_INVALID,
                     "`subscribes` to %s %s is covered by %s, to which there is no subscription "
                     "with an `upsert`.",
                     subscribed->service, subscribed->type, subscribed->covered_by);
}

bool resync_possible(const struct subscription *s, char *ret_why, size_t size)
{
    for (int i = 0; i < s->subscribed_count; i++) {
        if (s->subscribed[i]->upsert || s->subscribed[i]->covered_by)
            continue;
        snprintf(ret_why, size,
                 "nothing is declared that takes over the publisher's state for %s (`upsert`, or "
                 "`covered_by`)",
                 s->subscribed[i]->type);
        return false;
    }
    return true;
}

/* The index of the declaration whose state includes the effect of events of `type`; -1: none. */
static int type_of(const struct subscription *s, const char *type)
{
    for (int i = 0; i < s->subscribed_count; i++) {
        if (strcmp(s->subscribed[i]->type, type) != 0)
            continue;
        return s->subscribed[i]->upsert || !s->subscribed[i]->covered_by
                   ? i
                   : type_of(s, s->subscribed[i]->covered_by);
    }
    return -1;
}

int64_t resync_next_type(const struct subscription *s, int64_t index)
{
    while (index < s->subscribed_count && !s->subscribed[index]->upsert)
        index++;
    return index;
}

/* ---- where it stands ----------------------------------------------------------------------- */

static enum fh_code read_places(struct subscription *s, struct ledger_cursor *cursor,
                                struct ledger_resync *resync, struct fh_error *error)
{
    const struct ledger_snapshot_ops *ops = ledger_snapshots(s->manager->context->store);
    struct store_work *work;
    *resync = (struct ledger_resync){0};
    enum fh_code code = store_begin(s->manager->context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_cursor_get(work, s->source, s->partition, cursor, error);
    if (code == FH_OK)
        code = ops->resync_get(work, s->source, s->partition, resync, error);
    store_rollback(work);
    return code;
}

void resync_outage(struct subscription *s, const char *why)
{
    subscription_hold(s, &s->applying_hold, SUBSCRIPTION_WAITING, why);
    subscription_pause(s, ++s->resync_tries, SUBSCRIBE_RETRY_MS_MIN, SUBSCRIBE_RETRY_MS_MAX);
}

/* The pause ends early if the partition does. */
void resync_fault(struct subscription *s, const char *why)
{
    struct world *world = subscription_world(s);
    int64_t ms = RESYNC_FAULT_MS_MIN;
    subscription_hold(s, &s->applying_hold, SUBSCRIPTION_FAILING, why);
    for (int i = 0; i < s->resync_tries && ms < RESYNC_FAULT_MS_MAX; i++)
        ms *= 2;
    s->resync_tries++;
    ms = ms < RESYNC_FAULT_MS_MAX ? ms : RESYNC_FAULT_MS_MAX;
    ms = ms / 2 + (int64_t)world_random_below(world, (uint64_t)ms / 2);
    if (subscription_goes_on(s))
        fiber_wait_until(&s->for_parking, world, world_in_ms(world, ms));
}

bool resync_load(struct subscription *s)
{
    struct fh_error error;
    struct ledger_cursor cursor;
    for (int n = 1; subscription_is_ours(s) && !s->manager->draining; n++) {
        apply_begins(s);
        enum fh_code code = read_places(s, &cursor, &s->resync, &error);
        apply_ends(s);
        if (code == FH_OK) {
            s->fenced = cursor.epoch != s->cursor.epoch;
            s->cursor = cursor;
            if (!s->fenced) /* nothing else might release it for a long time */
                subscription_release_hold(s, &s->applying_hold);
            return !s->fenced;
        }
        subscription_hold(s, &s->applying_hold, SUBSCRIPTION_WAITING, error.message);
        subscription_pause(s, n, SUBSCRIBE_RETRY_MS_MIN, SUBSCRIBE_RETRY_MS_MAX);
    }
    return false;
}

/* ---- transactions -------------------------------------------------------------------------- */

static enum work_verdict fence_check(struct work_fence *fence, struct store_work *work,
                                     struct fh_error *error)
{
    struct resync_fence *own = (struct resync_fence *)fence;
    struct subscription *s = own->subscription;
    const struct ledger_snapshot_ops *ops = ledger_snapshots(work->store);
    enum fh_code code =
        ledger_cursor_move(work, s->source, s->partition, &s->cursor, &own->cursor, error);
    if (code == FH_OK)
        code = ops->resync_move(work, s->source, s->partition, &s->resync, &own->next, error);
    own->moved = code == FH_CONFLICT && !error->retryable;
    if (code == FH_OK && own->begins)
        code = ops->parked_clear(work, s->source, s->partition, error);
    for (int i = 0; i < own->count && code == FH_OK; i++)
        code = ops->applied_put(work, s->source, s->partition, s->resync.type, own->rows[i].key,
                                own->rows[i].position, s->resync.resync, error);
    return work_verdict_of(code, error);
}

bool resync_work(struct subscription *s, struct resync_fence *fence,
                 const struct batch_event *events, int count, fh_handler *handler)
{
    struct fh_error error = {0};
    char reason[REASON_SIZE];
    int failed = -1;
    bool is_outage = false;
    fence->fence.check = fence_check;
    fence->subscription = s;
    if (!fence->begins)
        fence->cursor = s->cursor;
    fence->cursor.epoch = s->cursor.epoch;
    apply_begins(s);
    enum fh_code code =
        apply_works(s, events, count, NULL, handler, &fence->fence, &failed, &is_outage, &error);
    apply_ends(s);
    if (code == FH_OK) {
        s->cursor = fence->cursor;
        s->resync = fence->next;
        s->resync_tries = 0;
        portion_passed(&s->together, count);
        subscription_release_hold(s, &s->applying_hold);
        return true;
    }
    if (fence->moved) {
        resync_load(s);                 /* another process has moved it */
        subscription_pause(s, 1, 1, 1); /* its commit may be in progress */
    } else if (is_outage) {
        resync_outage(s, error.message);
    } else {
        /* The events before the failed one can succeed; if the commit failed, they may have been
         * too many. */
        if (count > 1)
            portion_failed(&s->together, failed > 0 ? failed : count / 2);
        snprintf(reason, sizeof reason, "A handler of the snapshot fails%s%s: %.200s",
                 failed >= 0 ? " for the key " : "", failed >= 0 ? events[failed].key : "",
                 error.message);
        subscription_hold(s, &s->applying_hold, SUBSCRIPTION_FAILING, reason);
        subscription_pause(s, ++s->resync_tries, SUBSCRIBE_FAILURE_MS_MIN,
                           SUBSCRIBE_FAILURE_MS_MAX);
    }
    return false;
}

/* ---- the steps ----------------------------------------------------------------------------- */

static void begin(struct subscription *s)
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
    log_info("%s begins anew with the state of %s, at %" PRId64 " of its incarnation %s.",
             s->manager->context->service->name, s->source, s->cursor.position,
             s->cursor.incarnation);
}

/* After the last page of a type: its sweep. */
static struct ledger_resync behind_pages(const struct subscription *s, bool integers)
{
    struct ledger_resync next = s->resync;
    next.phase = LEDGER_SWEEP;
    snprintf(next.after, sizeof next.after, "%s", integers ? "i" : "s");
    return next;
}

int resync_at_once(const struct subscription *s)
{
    return engine_can(s->manager->context->store->engine, ENGINE_ONE_DOCUMENT)
               ? 1
               : portion_size(&s->together, SUBSCRIBE_WORK_MAX);
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
            fence.next = behind_pages(s, page->integers);
        if (page->position > s->resync.seen_position) {
            fence.next.seen_position = page->position;
            memcpy(fence.next.seen_id, page->position_id, ID_SIZE);
        }
        CRASH_POINT("round.page_there");
        if (!resync_work(s, &fence, page->rows + done, count, subscribed->upsert))
            return false;
        CRASH_POINT("round.page_applied");
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
static bool take_page(struct subscription *s, const struct resync_asking *asked,
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

static void take_pages(struct subscription *s)
{
    struct resync_asking asked, next;
    resync_ask_init(&asked, s, &s->resync, portion_size(&s->rows, RESYNC_ROWS_MAX));
    resync_ask_run(&asked);
    while (take_page(s, &asked, &next))
        asked = next;
}

/* ---- the resync ----------------------------------------------------------------------------- */

void resync_step(struct subscription *s)
{
    if (s->resyncs)
        begin(s);
    else if (s->resync.phase == LEDGER_PAGES)
        take_pages(s);
    else if (s->resync.phase == LEDGER_SWEEP)
        resync_sweep(s);
    if (subscription_resyncs(s))
        return;
    CRASH_POINT("round.over");
    subscription_drop(s);
    subscription_release_hold(s, &s->reading);
    /* The first answer says how many events there are to catch up with. */
    s->reading.state = SUBSCRIPTION_STARTING;
    log_info("%s has taken over the state of %s, and follows its events from %" PRId64 ".",
             s->manager->context->service->name, s->source, s->cursor.position);
    fiber_wake_all(&s->for_space);
}

enum fh_code resync_compare(struct subscription *s, struct store_work *work,
                            const struct batch_event *events, int count, bool *covered,
                            struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (int i = 0; i < count && code == FH_OK; i++) {
        int64_t position = -1;
        int type = type_of(s, events[i].type);
        covered[i] = false;
        if (type < 0 || s->resync.phase != LEDGER_FOLLOW)
            continue;
        code = ledger_snapshots(work->store)
                   ->applied_get(work, s->source, s->partition, type, events[i].key,
                                 s->resync.resync, &position, error);
        covered[i] = code == FH_OK && events[i].position <= position;
    }
    return code;
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
    apply_begins(s);
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
    apply_ends(s);
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
