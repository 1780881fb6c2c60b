/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applying: the durable half of the subscribing side.
 *
 * The transaction's first statement moves the cursor from where this instance believes it to be, so
 * an event takes effect exactly once however often it is fetched. Then, before any handler runs, it
 * checks which of its events' keys are parked. That was looked up before as well, to know whose
 * handlers to start (they ask other services before the transaction is opened). If it has changed
 * since, because a retry emptied a key's list, nothing is done and the plan is made again. So an
 * event of a parked key always comes after those that wait, and an event of an unparked key after
 * those that were retried.
 *
 *   killed before the commit is durable   cursor and parked events are as before: fetched again
 *   killed after it                       the cursor is past the events, and the parked ones are
 *                                         in the store: none of them is fetched again
 */

#include "event/subscribe/apply.h"

#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/doing.h"
#include "base/json.h"
#include "event/marks.h"
#include "event/subscribe/parked.h"
#include "event/subscribe/replay.h"
#include "event/resync/resync.h"
#include "event/sync/sync.h"
#include "event/versions.h"
#include "shape/mark.h"
#include "work/fault.h"
#include "work/redact.h"
#include "work/spans.h"
#include "world/world.h"

static const struct fh_subscription *subscribed_to_type(const struct subscription *s,
                                                        const char *type)
{
    for (int i = 0; i < s->subscribed_count; i++) {
        if (strcmp(s->subscribed[i]->type, type) == 0)
            return s->subscribed[i];
    }
    return NULL;
}

fh_handler *apply_handler(const struct subscription *s, const char *type)
{
    const struct fh_subscription *subscribed = subscribed_to_type(s, type);
    return subscribed ? subscribed->handler : NULL;
}

/* ---- handlers after a fence ---- */

static enum fh_code fence_alone(struct work_context *context, struct work_fence *fence,
                                struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(context->store, STORE_WRITE, &work, error);
    if (code != FH_OK)
        return code;
    CRASH_POINT("fence.opened");
    enum work_verdict verdict = fence->check(fence, work, error);
    CRASH_POINT("fence.checked");
    if (verdict == WORK_IS_OVER) {
        store_rollback(work);
        return error->code;
    }
    code = store_commit(work, error);
    CRASH_POINT("fence.durable");
    return code;
}

/* Made once for each subscription: it takes as long as the rest of preparing an event. */
static const struct doing *event_doing(struct subscription *s, const char *type)
{
    int i = 0;
    while (i < s->subscribed_count && strcmp(s->subscribed[i]->type, type) != 0)
        i++;
    if (i == s->subscribed_count)
        return NULL;
    if (!s->doings[i])
        s->doings[i] = doing_of((doing_function *)s->subscribed[i]->handler, "event %s of %s", type,
                                s->source);
    return s->doings[i];
}

/* In the version that its handler reads. */
static void give_event(fh_work *w, const struct subscription *s,
                       const struct fh_subscription *subscribed, const struct batch_event *event)
{
    w->event = &event->said;
    w->given.shape = event_marks_of(s->manager, s->source, event->type, event->version);
    if (subscribed)
        versions_prepare(w, subscribed, event->version);
}

enum fh_code apply_works(struct subscription *s, const struct batch_event *events, int count,
                         const bool *leave_out, fh_handler *instead, struct work_fence *fence,
                         int *ret_failed, bool *ret_outage, struct fh_error *error)
{
    struct work_context *context = s->manager->context;
    int64_t began_ns = world_monotonic_ns(context->world);
    int64_t deadline_ns = world_in_ms(context->world, SUBSCRIBE_HANDLER_MS_MAX);
    fh_work *works = malloc(((size_t)count + 1) * sizeof *works); /* cleared by work_init */
    fh_work **heard = calloc((size_t)count + 1, sizeof(fh_work *));
    int heard_count = 0, failed = -1;
    FH_ASSERT(works != NULL && heard != NULL);
    for (int i = 0; i < count; i++) {
        const struct fh_subscription *subscribed = subscribed_to_type(s, events[i].type);
        fh_handler *handler = instead ? instead : subscribed ? subscribed->handler : NULL;
        if (!handler || (leave_out && leave_out[i]))
            continue;
        fh_work *w = &works[i];
        work_init(w, context, handler);
        give_event(w, s, subscribed, &events[i]);
        w->doing = instead ? doing_of((doing_function *)handler, "event %s of %s", events[i].type,
                                      s->source)
                           : event_doing(s, events[i].type);
        w->replayed = events[i].replayed || context->holds_back;
        w->caller = s->source;
        w->trace = events[i].trace;
        w->deadline_ns = deadline_ns;
        heard[heard_count++] = w;
    }
    enum fh_code code =
        heard_count ? work_batch(context, heard, heard_count, fence, &s->habits, &failed, error)
                    : fence_alone(context, fence, error);
    const fh_work *to_blame = failed >= 0 ? heard[failed] : NULL;
    for (int i = 0; code != FH_OK && i < heard_count; i++) /* the commit may name any of them */
        work_redact(heard[i], SHAPE_MARKED, error->message, sizeof error->message);
    *ret_outage = code != FH_OK && work_batch_is_outage(code, error, to_blame);
    if (to_blame)
        subscription_tell_fault(s, heard[failed], events[to_blame - works].id, *ret_outage);
    *ret_failed = to_blame ? (int)(to_blame - works) : -1;
    int64_t ended_ns = world_monotonic_ns(context->world);
    for (int i = 0; i < heard_count; i++) {
        const struct batch_event *event = &events[heard[i] - works];
        struct span span = {.kind = SPAN_APPLIED,
                            .parent = event->trace,
                            .what = event->type,
                            .service = s->source,
                            .key = event->key,
                            .status = code == FH_OK ? 200
                                      : i == failed ? heard[i]->reply_status
                                                    : 0,
                            .began_ns = began_ns,
                            .ended_ns = ended_ns};
        spans_keep(context->spans, &span);
        fault_is_told(heard[i]); /* those after the one to blame were only stopped */
        work_release(heard[i]);
    }
    free(heard);
    free(works);
    if (code == FH_OK) {
        s->applied_count += (uint64_t)heard_count;
        s->manager->counters.applied += (uint64_t)heard_count;
    }
    return code;
}

/* ---- the cursor's fence ---- */

struct cursor_fence {
    struct work_fence fence; /* first: it is cast from */
    const struct apply *apply;
    const bool *parked;  /* the plan: which events' keys are parked */
    const bool *covered; /* and which events a snapshot already reflects */
    struct ledger_cursor next;
    bool moved, stale, full;
    int64_t parks;
};

static enum fh_code event_park(struct store_work *work, const struct subscription *s,
                               const struct batch_event *event, int attempts, const char *why,
                               struct fh_error *error)
{
    json_t *envelope = work_event_envelope(&event->said);
    FH_ASSERT(envelope != NULL);
    if (event->replayed)
        json_object_set_new(envelope, REPLAY_MARK, json_true());
    else
        json_object_del(envelope, REPLAY_MARK); /* whoever sent that */
    char *text = json_text(envelope);
    json_decref(envelope);
    struct ledger_parked parked = {.source = s->source,
                                   .partition = s->partition,
                                   .key = event->key,
                                   .position = event->position,
                                   .event_id = event->id,
                                   .type = event->type,
                                   .time_ms = batch_event_time_ms(event),
                                   .attempts = attempts,
                                   .error = why,
                                   .parked_ms = world_wall_ms(subscription_world(s)),
                                   .event = text};
    enum fh_code code = ledger_parked_put(work, &parked, error);
    json_text_free(text);
    CRASH_POINT("park.recorded");
    return code;
}

/* Is the plan still right? */
static enum fh_code plan_check(struct store_work *work, struct cursor_fence *own,
                               struct fh_error *error)
{
    const struct apply *apply = own->apply;
    const struct subscription *s = apply->subscription;
    bool any;
    enum fh_code code = ledger_parked_any(work, s->source, s->partition, &any, error);
    for (int i = 0; code == FH_OK && i < apply->count; i++) {
        bool parked = false;
        if (any && !own->covered[i] && apply_handler(s, apply->events[i].type))
            code = ledger_parked_has(work, s->source, s->partition, apply->events[i].key, &parked,
                                     error);
        if (code == FH_OK && parked != own->parked[i]) {
            own->stale = true;
            return error_set(error, FH_CONFLICT, "A key was parked or unparked meanwhile.");
        }
    }
    return code;
}

/* Parks the failing event itself, and with it its key. */
static enum fh_code poison_park(struct store_work *work, struct cursor_fence *own,
                                struct fh_error *error)
{
    const struct apply *apply = own->apply;
    const struct subscription *s = apply->subscription;
    struct ledger_parked_counts counts;
    enum fh_code code = ledger_parked_count(work, s->source, s->partition, &counts, error);
    if (code == FH_OK && counts.keys >= s->manager->parked_keys_max) {
        own->full = true;
        return error_set(error, FH_CONFLICT,
                         "%d keys are parked, as many as may be: that is no longer the fault of "
                         "single events.",
                         s->manager->parked_keys_max);
    }
    own->parks = 1;
    if (code == FH_OK)
        code =
            event_park(work, s, &apply->events[0], apply->park_attempts, apply->park_error, error);
    return code;
}

static enum fh_code park_planned(struct store_work *work, struct cursor_fence *own,
                                 struct fh_error *error)
{
    const struct apply *apply = own->apply;
    const struct subscription *s = apply->subscription;
    enum fh_code code = FH_OK;
    own->parks = 0;
    for (int i = 0; code == FH_OK && i < apply->count; i++) {
        if (!own->parked[i])
            continue;
        own->parks++;
        code = event_park(work, s, &apply->events[i], 0, "", error);
    }
    if (code == FH_OK && apply->park_error && !own->parked[0])
        code = poison_park(work, own, error);
    if (code == FH_OK && own->parks && s->parked.events + own->parks > s->manager->parked_max) {
        own->full = true;
        return error_set(error, FH_CONFLICT, "%d events are parked, as many as may be.",
                         s->manager->parked_max);
    }
    return code;
}

static enum work_verdict cursor_fence_check(struct work_fence *fence, struct store_work *work,
                                            struct fh_error *error)
{
    struct cursor_fence *own = (struct cursor_fence *)fence;
    const struct subscription *s = own->apply->subscription;
    own->moved = own->stale = own->full = false;
    enum fh_code code =
        ledger_cursor_move(work, s->source, s->partition, &s->cursor, &own->next, error);
    if (code == FH_OK)
        code = replay_pass(s, work, &own->next, error);
    own->moved = code == FH_CONFLICT && !error->retryable;
    if (code == FH_OK)
        code = plan_check(work, own, error);
    if (code == FH_OK)
        code = park_planned(work, own, error);
    return work_verdict_of(code, error);
}

/* ---- one transaction ---- */

/* Which keys are parked, as committed, and which events a snapshot already reflects. Parked keys
 * are not looked up while none are known: if that is wrong, the fence finds out. */
static enum fh_code plan_make(const struct apply *apply, bool *parked, bool *covered,
                              struct fh_error *error)
{
    struct subscription *s = apply->subscription;
    struct store_work *work;
    bool follows = s->resync.phase == LEDGER_FOLLOW;
    bool any = s->parked.keys > 0;
    if (!any && !follows)
        return FH_OK;
    enum fh_code code = store_begin(s->manager->context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    if (follows)
        code = resync_compare(s, work, apply->events, apply->count, covered, error);
    for (int i = 0; any && code == FH_OK && i < apply->count; i++) {
        if (!covered[i] && apply_handler(s, apply->events[i].type))
            code = ledger_parked_has(work, s->source, s->partition, apply->events[i].key,
                                     &parked[i], error);
    }
    store_rollback(work);
    return code;
}

static enum apply_verdict apply_verdict_of(struct apply *apply, enum fh_code code,
                                           const struct cursor_fence *fence, bool outage)
{
    if (code == FH_OK)
        return APPLY_DONE;
    if (fence->stale) {
        parked_recount(apply->subscription);
        return APPLY_STALE;
    }
    if (fence->full)
        return APPLY_FULL;
    if (fence->moved)
        return APPLY_MOVED;
    return outage ? APPLY_OUTAGE : APPLY_FAILED;
}

enum apply_verdict apply_run(struct apply *apply)
{
    struct subscription *s = apply->subscription;
    bool parked[WORK_BATCH_MAX] = {false}, covered[WORK_BATCH_MAX] = {false};
    bool leave_out[WORK_BATCH_MAX] = {false};
    struct cursor_fence fence = {.fence.check = cursor_fence_check,
                                 .apply = apply,
                                 .parked = parked,
                                 .covered = covered,
                                 .next = apply->next};
    bool outage = true;
    FH_ASSERT(apply->count <= WORK_BATCH_MAX && (!apply->park_error || apply->count == 1));
    fence.next.epoch = s->cursor.epoch;
    sync_heard(s->sync, apply->events, apply->count);
    apply->failed = -1;
    apply->error = (struct fh_error){0};
    subscription_enter(s);
    enum fh_code code = plan_make(apply, parked, covered, &apply->error);
    if (code == FH_OK) {
        for (int i = 0; i < apply->count; i++)
            leave_out[i] = parked[i] || covered[i];
        leave_out[0] |= apply->park_error != NULL;
        code = apply_works(s, apply->events, apply->count, leave_out, NULL, &fence.fence,
                           &apply->failed, &outage, &apply->error);
    }
    if (code == FH_OK) {
        s->cursor = fence.next;
        replay_passed(s);
        level_moved(s);
        s->manager->counters.parked += (uint64_t)fence.parks;
        if (fence.parks)
            parked_recount(s);
    }
    enum apply_verdict verdict = apply_verdict_of(apply, code, &fence, outage);
    subscription_leave(s);
    return verdict;
}
