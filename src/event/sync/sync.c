/* SPDX-License-Identifier: Apache-2.0 */
/* When a sync begins, its pages, and what is told of it. */

#include "event/sync/sync.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "event/envelope.h"
#include "event/resync/page.h"
#include "event/sync/parts.h"
#include "world/world.h"

#define AGAIN_MS_MIN 1000
#define AGAIN_MS_MAX 60000
/* A sync is not urgent, and takes from both services what their clients could have: so many keys a
 * second at most, half as many while events come, and after each page without a difference a rest
 * several times as long as the page took. So it is slower where either of them is busy. */
#define SYNC_KEYS_A_SECOND_MAX 54000
#define SYNC_KEYS_A_SECOND_BUSY (SYNC_KEYS_A_SECOND_MAX / 2)
#define SYNC_RESTS_TIMES 5
#define SYNC_REST_NS_MAX INT64_C(5000000000)

/* ---- when ---- */

static int64_t period_ms(const struct subscription *s, int type)
{
    return (int64_t)s->subscribed[type]->sync_s * 1000;
}

/* Each type, source and partition has its own moment, so that they do not all begin together. */
static int64_t clock_ms(const struct subscription *s, int type)
{
    char name[512];
    snprintf(name, sizeof name, "%s %s %s %s", s->manager->context->service->name, s->source,
             s->subscribed[type]->type, s->partition);
    return world_wall_ms(subscription_world(s)) +
           envelope_partition(name, (unsigned)period_ms(s, type));
}

static int64_t period_now(const struct subscription *s, int type)
{
    return clock_ms(s, type) / period_ms(s, type);
}

struct sync *sync_new(const struct subscription *s)
{
    struct sync *sync = NULL;
    for (int i = 0; i < s->subscribed_count; i++) {
        if (s->subscribed[i]->sync_s <= 0)
            continue;
        if (!sync)
            sync = calloc(1, sizeof *sync);
        FH_ASSERT(sync != NULL);
        sync->type = -1;
        sync->periods[i] = period_now(s, i);
    }
    return sync;
}

/* For the cursor to be where the publisher lacked what is doubted. */
static bool is_waiting(const struct subscription *s)
{
    return s->sync->type >= 0 && s->sync->doubted && s->cursor.position < s->sync->doubted_at;
}

/* INT64_MAX: never, as far as is known. */
static int64_t sync_due_ns(const struct subscription *s)
{
    const struct sync *sync = s->sync;
    int64_t due_ms = INT64_MAX;
    if (!sync || s->resync.phase != LEDGER_FEED || !s->cursor.incarnation[0])
        return INT64_MAX;
    if (is_waiting(s) || subscription_replays(s))
        return INT64_MAX; /* events come first */
    if (sync->type >= 0)
        return sync->doubted || sync->again_ns > sync->paced_ns ? sync->again_ns : sync->paced_ns;
    for (int i = 0; i < s->subscribed_count; i++) {
        if (s->subscribed[i]->sync_s <= 0)
            continue;
        int64_t left = period_now(s, i) != sync->periods[i]
                           ? 0
                           : period_ms(s, i) - clock_ms(s, i) % period_ms(s, i);
        due_ms = left < due_ms ? left : due_ms;
    }
    return world_in_ms(subscription_world(s), due_ms);
}

void sync_wait(struct subscription *s, int64_t until_ns)
{
    int64_t due_ns = sync_due_ns(s);
    until_ns = due_ns < until_ns ? due_ns : until_ns;
    if (until_ns == INT64_MAX)
        fiber_wait(&s->for_batches);
    else if (world_monotonic_ns(subscription_world(s)) < until_ns)
        fiber_wait_until(&s->for_batches, subscription_world(s), until_ns);
}

static void forget_doubts(struct sync *sync)
{
    json_decref(sync->doubted);
    sync->doubted = NULL;
}

void sync_free(struct sync *sync)
{
    if (sync)
        forget_doubts(sync);
    free(sync);
}

static bool begin_due(struct subscription *s)
{
    struct sync *sync = s->sync;
    for (int i = 0; i < s->subscribed_count; i++) {
        if (s->subscribed[i]->sync_s <= 0 || period_now(s, i) == sync->periods[i])
            continue;
        sync->periods[i] = period_now(s, i);
        sync->type = i;
        sync->now = (struct sync_counts){0};
        sync->after[0] = sync->first[0] = sync->stubborn[0] = sync->reason[0] = '\0';
        sync->failures = 0;
        return true;
    }
    return false;
}

/* ---- what is told ---- */

static void tell_sync(const struct subscription *s)
{
    const struct sync *sync = s->sync;
    const char *service = s->manager->context->service->name;
    const char *type = s->subscribed[sync->type]->type;
    if (sync->now.differed)
        log_warning("sync-differed",
                    "%s held %" PRId64
                    " key%s of %s differently from %s (the first: %.64s), and has "
                    "mended that: events should have kept them in line.",
                    service, sync->now.differed, sync->now.differed == 1 ? "" : "s", type,
                    s->source, sync->first);
    if (sync->now.unmended)
        log_warning("sync-unmended",
                    "%s still holds %" PRId64
                    " key%s of %s differently from %s (the first: %.64s): "
                    "`upsert` or `gone` fails, or does not leave what `held` then lists.",
                    service, sync->now.unmended, sync->now.unmended == 1 ? "" : "s", type,
                    s->source, sync->stubborn);
    log_info("sync-finished", "%s has compared %" PRId64 " keys of %s with %s.", service,
             sync->now.checked, type, s->source);
}

static void count_sync(struct subscription *s)
{
    struct sync *sync = s->sync;
    sync->all.checked += sync->now.checked;
    sync->all.differed += sync->now.differed;
    sync->all.unmended += sync->now.unmended;
    sync->now = (struct sync_counts){0};
}

static void finish_type(struct subscription *s)
{
    struct sync *sync = s->sync;
    tell_sync(s);
    count_sync(s);
    sync->finished_ms = world_wall_ms(subscription_world(s));
    sync->type = -1;
}

/* ---- its pages ---- */

/* `held` has to be told whether keys are integers before it can list any. */
static enum sync_verdict ask_kind_of_keys(struct subscription *s, struct fh_error *error)
{
    struct ledger_resync at = sync_place(s);
    struct resync_asking asking;
    resync_ask_init(&asking, s, &at, 0);
    resync_ask_run(&asking);
    if (!asking.page)
        return sync_asked(&asking, error);
    snprintf(s->sync->after, sizeof s->sync->after, "%s", asking.page->integers ? "i" : "s");
    page_free(asking.page);
    return SYNC_DONE;
}

/* Rows in another version than ours have other fields: they wait for both sides to be upgraded. */
static enum fh_code check_versions(struct sync_page *page)
{
    int wanted = page->subscribed->version;
    for (int i = 0; i < page->read->count; i++) {
        int version = page->read->rows[i].version;
        if (wanted && version && version != wanted)
            return error_set(&page->error, FH_INVALID,
                             "%s gives its state of %s in version %d, and %d is read here: nothing "
                             "is compared until it gives that.",
                             page->subscription->source, page->subscribed->type, version, wanted);
    }
    return FH_OK;
}

static void leave_page(struct subscription *s)
{
    struct sync *sync = s->sync;
    if (sync->next[0])
        memcpy(sync->after, sync->next, sizeof sync->after);
    else
        finish_type(s);
}

static void doubt_surplus(const struct sync_page *page)
{
    struct sync *sync = page->subscription->sync;
    size_t i;
    json_t *key;
    sync->doubted = json_object();
    sync->doubted_at = page->read->position;
    json_array_foreach (page->surplus, i, key)
        json_object_set_new(sync->doubted, json_string_value(key), json_true());
}

static enum sync_verdict settle_doubts(struct subscription *s, struct fh_error *error)
{
    enum sync_verdict verdict = sync_give_up(s, error);
    if (verdict == SYNC_DONE) {
        forget_doubts(s->sync);
        leave_page(s);
    }
    return verdict;
}

static enum sync_verdict compare_lists(struct sync_page *page)
{
    struct subscription *s = page->subscription;
    struct sync *sync = s->sync;
    if (strcmp(page->read->incarnation, s->cursor.incarnation) != 0)
        return SYNC_LOST;
    if (page->read->same) {
        page->checked = page->list->count;
        page->upto = page->list->ends ? NULL : page->list->last;
    } else if (check_versions(page) != FH_OK || sync_compare(page) != FH_OK) {
        return SYNC_WRONG;
    }
    sync->equal = json_array_size(page->differing) + json_array_size(page->surplus) == 0;
    enum sync_verdict verdict = sync_mend(page);
    if (verdict != SYNC_DONE)
        return verdict;
    sync->now.checked += page->checked;
    sync->next[0] = '\0';
    if (page->upto)
        snprintf(sync->next, sizeof sync->next, "%c%s", sync->after[0], page->upto);
    if (!page->list->ends)
        portion_passed(&sync->rows, page->limit);
    if (json_array_size(page->surplus) > 0)
        doubt_surplus(page);
    else
        leave_page(s);
    return SYNC_DONE;
}

static enum sync_verdict ask_and_compare(struct sync_page *page)
{
    struct ledger_resync at = sync_place(page->subscription);
    struct sync *sync = page->subscription->sync;
    struct resync_asking asking;
    char same[DIGEST_SIZE] = "";
    if (!sync->at_length)
        sync_list_digest(page->list, same);
    resync_ask_digests(&asking, page->subscription, &at, page->list->limit, page->list->names,
                       same);
    resync_ask_run(&asking);
    if (!asking.page && asking.same && asking.status == 400) {
        sync->at_length = true; /* a publisher that does not know `same`: the page is asked anew */
        return SYNC_DONE;
    }
    if (!asking.page)
        return sync_asked(&asking, &page->error);
    page->read = asking.page;
    page->differing = json_array();
    page->surplus = json_array();
    enum sync_verdict verdict = compare_lists(page);
    json_decref(page->differing);
    json_decref(page->surplus);
    page_free(page->read);
    return verdict;
}

static enum sync_verdict compare_page(struct subscription *s, struct fh_error *error)
{
    struct sync_list list;
    int limit = portion_size(&s->sync->rows, RESYNC_ROWS_MAX);
    struct sync_page page = {.subscription = s,
                             .subscribed = s->subscribed[s->sync->type],
                             .list = &list,
                             .limit = limit};
    enum sync_verdict verdict = SYNC_DONE;
    enum fh_code code = sync_list_read(&list, s, limit, &page.error);
    if (code == FH_OK) {
        verdict = ask_and_compare(&page);
    } else if (code == FH_NO_MEMORY && limit > 1) {
        portion_failed(&s->sync->rows, limit / 2);
    } else {
        verdict = code == FH_UNAVAILABLE ? SYNC_OUTAGE : SYNC_WRONG;
    }
    sync_list_release(&list);
    *error = page.error;
    return verdict;
}

/* Before its end. */
static void end_sync(struct subscription *s)
{
    count_sync(s);
    forget_doubts(s->sync);
    s->sync->type = -1;
}

static void rest_for_others(const struct subscription *s, int64_t began_ns)
{
    int64_t now_ns = world_monotonic_ns(subscription_world(s));
    int64_t rest_ns = (now_ns - began_ns) * SYNC_RESTS_TIMES;
    int64_t rested_ns = now_ns + (rest_ns < SYNC_REST_NS_MAX ? rest_ns : SYNC_REST_NS_MAX);
    if (s->sync->paced_ns < rested_ns)
        s->sync->paced_ns = rested_ns;
}

/* How long `rows` keys take. */
static int64_t pace_ns(struct subscription *s, int64_t rows)
{
    bool heard = s->sync->paced_at != s->cursor.position;
    s->sync->paced_at = s->cursor.position;
    return rows * INT64_C(1000000000) / (heard ? SYNC_KEYS_A_SECOND_BUSY : SYNC_KEYS_A_SECOND_MAX);
}

static enum sync_verdict take_step(struct subscription *s, struct fh_error *error)
{
    struct sync *sync = s->sync;
    if (sync->doubted)
        return settle_doubts(s, error);
    if (!sync->after[0])
        return ask_kind_of_keys(s, error);
    int64_t rows = portion_size(&sync->rows, RESYNC_ROWS_MAX);
    int64_t began_ns = world_monotonic_ns(subscription_world(s));
    sync->equal = false;
    sync->paced_ns = began_ns + pace_ns(s, rows);
    enum sync_verdict verdict = compare_page(s, error);
    if (sync->equal)
        rest_for_others(s, began_ns);
    return verdict;
}

bool sync_step(struct subscription *s)
{
    struct sync *sync = s->sync;
    struct world *world = subscription_world(s);
    struct fh_error error = {0};
    if (sync && sync->generation != s->generation) {
        forget_doubts(sync); /* what came meanwhile was not seen here: the page is compared anew */
        sync->generation = s->generation;
    }
    if (sync_due_ns(s) > world_monotonic_ns(world) || (sync->type < 0 && !begin_due(s)))
        return false;
    enum sync_verdict verdict = take_step(s, &error);
    sync->again_ns = 0;
    if (verdict == SYNC_DONE) {
        sync->failures = 0;
        sync->reason[0] = '\0';
        return !s->first;
    }
    snprintf(sync->reason, sizeof sync->reason, "%s", error.message);
    if (verdict == SYNC_OUTAGE) {
        int64_t ms = AGAIN_MS_MIN;
        for (int i = 0; i < sync->failures && ms < AGAIN_MS_MAX; i++)
            ms *= 2;
        sync->failures++;
        sync->again_ns = world_in_ms(world, ms < AGAIN_MS_MAX ? ms : AGAIN_MS_MAX);
        return false;
    }
    if (verdict == SYNC_WRONG)
        log_warning("sync-failed", "%s can't compare %s with %s: %s",
                    s->manager->context->service->name, s->subscribed[sync->type]->type, s->source,
                    error.message);
    end_sync(s);
    return false;
}
