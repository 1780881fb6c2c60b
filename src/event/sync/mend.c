/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mending is safe by one rule: a key is touched only where all that ever happened to it up to the
 * publisher's row, or up to its absence, has been applied here, and nothing after it. Then what the
 * publisher has may be put over what is held, and what happens to the key later comes on top.
 *
 *   a row of position P       it is so while our cursor is not before P
 *   no row, in a page as of   the key is doubted. Once our cursor is at A or later, and no event of
 *   the publisher's place A   it came meanwhile, it is so
 *
 * The transaction checks that the cursor is still where it was, and that no key of it is parked:
 * the events that wait for such a key are older than its row, and would be applied over it.
 */

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "event/resync/page.h"
#include "event/subscribe/apply.h"
#include "event/sync/parts.h"

enum sync_verdict sync_asked(const struct resync_asking *asking, struct fh_error *error)
{
    if (asking->anew)
        return SYNC_LOST;
    bool wrong = asking->fault || (asking->status >= 400 && asking->status < 500);
    error_set(error, wrong ? FH_INVALID : FH_UNAVAILABLE, "%s", asking->reason);
    return wrong ? SYNC_WRONG : SYNC_OUTAGE;
}

/* ---- one transaction after the other ---- */

struct sync_fence {
    struct work_fence fence; /* first: it is cast from */
    const struct subscription *subscription;
    const struct batch_event *events;
    int count;
    bool moved, parked;
};

static enum work_verdict check_sync_fence(struct work_fence *fence, struct store_work *work,
                                          struct fh_error *error)
{
    struct sync_fence *own = (struct sync_fence *)fence;
    const struct subscription *s = own->subscription;
    bool parked = false;
    own->moved = own->parked = false;
    enum fh_code code =
        ledger_cursor_move(work, s->source, s->partition, &s->cursor, &s->cursor, error);
    own->moved = code == FH_CONFLICT && !error->retryable;
    for (int i = 0; i < own->count && code == FH_OK && !parked; i++)
        code = ledger_parked_has(work, s->source, s->partition, own->events[i].key, &parked, error);
    own->parked = code == FH_OK && parked;
    if (own->parked)
        code = error_set(error, FH_CONFLICT, "The key is parked.");
    return work_verdict_of(code, error);
}

static void note_unmended(struct sync_page *page, const char *key)
{
    struct sync *sync = page->subscription->sync;
    sync->now.unmended++;
    if (!sync->stubborn[0])
        snprintf(sync->stubborn, sizeof sync->stubborn, "%s", key);
}

/* Those that can't be applied together are tried one by one. Adds to `done` the keys of those that
 * were. */
static enum sync_verdict apply_mending(struct sync_page *page, const struct batch_event *events,
                                       int count, fh_handler *handler, json_t *done)
{
    struct subscription *s = page->subscription;
    int at = 0, together = resync_at_once(s);
    while (at < count && subscription_goes_on(s)) {
        int now = count - at < together ? count - at : together, failed;
        bool outage = false;
        struct sync_fence fence = {.fence.check = check_sync_fence,
                                   .subscription = s,
                                   .events = events + at,
                                   .count = now};
        subscription_enter(s);
        enum fh_code code = apply_works(s, events + at, now, NULL, handler, &fence.fence, &failed,
                                        &outage, &page->error);
        subscription_leave(s);
        if (code != FH_OK && fence.moved)
            return SYNC_LOST;
        if (code != FH_OK && now > 1) {
            together = 1;
            continue;
        }
        if (code != FH_OK && !fence.parked && outage)
            return SYNC_OUTAGE;
        if (code != FH_OK && !fence.parked)
            note_unmended(page, events[at].key);
        for (int i = 0; i < now && code == FH_OK; i++)
            json_object_set_new(done, events[at + i].key, json_true());
        at += now;
    }
    return at == count ? SYNC_DONE : SYNC_OUTAGE;
}

/* ---- what is missing or different here ---- */

static bool has_key(const json_t *keys, const char *key)
{
    size_t i;
    json_t *each;
    json_array_foreach (keys, i, each) {
        if (strcmp(json_string_value(each), key) == 0)
            return true;
    }
    return false;
}

static enum sync_verdict mend_rows(struct sync_page *page, const struct page_read *read,
                                   json_t *done)
{
    struct batch_event *events = malloc(((size_t)read->count + 1) * sizeof *events);
    int count = 0;
    FH_ASSERT(events != NULL);
    for (int i = 0; i < read->count; i++) {
        if (read->rows[i].position <= page->subscription->cursor.position &&
            has_key(page->differing, read->rows[i].key))
            events[count++] = read->rows[i];
    }
    enum sync_verdict verdict = apply_mending(page, events, count, page->subscribed->upsert, done);
    free(events);
    return verdict;
}

/* The rows themselves are asked for only where something differs; they may come on shorter pages
 * than their digests did. */
static enum sync_verdict mend_differing(struct sync_page *page, json_t *done)
{
    struct subscription *s = page->subscription;
    size_t count = json_array_size(page->differing);
    if (count == 0)
        return SYNC_DONE;
    if (!page->read->digests)
        return mend_rows(page, page->read, done);
    const char *last = json_string_value(json_array_get(page->differing, count - 1));
    struct ledger_resync at = sync_place(s);
    enum sync_verdict verdict = SYNC_DONE;
    for (bool more = true; more && verdict == SYNC_DONE;) {
        struct resync_asking asking;
        resync_ask_init(&asking, s, &at, page->limit);
        resync_ask_run(&asking);
        if (!asking.page)
            return sync_asked(&asking, &page->error);
        verdict = mend_rows(page, asking.page, done);
        if (verdict == SYNC_DONE &&
            sync_check_advance(s, at.after, asking.page->after, &page->error) != FH_OK)
            verdict = SYNC_WRONG;
        more = asking.page->after && sync_order(s->sync, asking.page->after, last) < 0;
        if (more)
            snprintf(at.after, sizeof at.after, "%s", asking.page->after);
        page_free(asking.page);
    }
    return verdict;
}

/* ---- whether it helped ---- */

static int row_of(const struct page_read *read, const char *key)
{
    int row = 0;
    while (row < read->count && strcmp(read->rows[row].key, key) != 0)
        row++;
    return row;
}

/* Is it now here as the publisher has it? Where `held` does not come to it any more: so be it. */
static bool is_mended(const struct sync_page *page, const struct sync_list *list, const char *key)
{
    int row = page->read ? row_of(page->read, key) : 0;
    if (!list->ends && (!list->last || sync_order(page->subscription->sync, key, list->last) > 0))
        return true;
    if (page->read && row < page->read->count)
        return sync_has(list, page->read, row);
    for (int i = 0; i < list->count; i++) {
        if (strcmp(list->rows[i].key, key) == 0)
            return false;
    }
    return true;
}

static enum sync_verdict count_mended(struct sync_page *page, const json_t *done)
{
    struct sync *sync = page->subscription->sync;
    struct sync_list list;
    const char *key;
    json_t *unused;
    if (json_object_size(done) == 0)
        return SYNC_DONE;
    enum fh_code code = sync_list_read(&list, page->subscription, page->limit, &page->error);
    json_object_foreach ((json_t *)(uintptr_t)done, key, unused) {
        if (code == FH_OK && !is_mended(page, &list, key)) {
            note_unmended(page, key);
            continue;
        }
        sync->now.differed++;
        if (!sync->first[0])
            snprintf(sync->first, sizeof sync->first, "%s", key);
    }
    (void)unused;
    sync_list_release(&list);
    return SYNC_DONE; /* what was mended is counted, even if it can't be listed now */
}

enum sync_verdict sync_mend(struct sync_page *page)
{
    json_t *done = json_object();
    enum sync_verdict verdict = mend_differing(page, done);
    count_mended(page, done);
    json_decref(done);
    return verdict;
}

enum sync_verdict sync_give_up(struct subscription *s, struct fh_error *error)
{
    struct sync_page page = {.subscription = s,
                             .subscribed = s->subscribed[s->sync->type],
                             .limit = portion_size(&s->sync->rows, RESYNC_ROWS_MAX)};
    struct arena arena;
    json_t *keys = json_array(), *done = json_object(), *unused;
    const char *key;
    json_object_foreach (s->sync->doubted, key, unused)
        json_array_append_new(keys, json_string(key));
    (void)unused;
    arena_init(&arena, 2 * ARENA_SIZE_MAX);
    struct batch_event *events = resync_gone_events(&arena, keys, page.subscribed);
    enum sync_verdict verdict =
        apply_mending(&page, events, (int)json_array_size(keys), page.subscribed->gone, done);
    count_mended(&page, done);
    arena_release(&arena);
    json_decref(keys);
    json_decref(done);
    *error = page.error;
    return verdict;
}
