/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sweep of a resync: the service's own handler lists the keys that it holds, page by page, and
 * another of its handlers gives up those keys of this partition that no page of this resync pass
 * had. No event is applied during a resync, so no key can appear in between.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/doing.h"
#include "base/json.h"
#include "base/text.h"
#include "event/envelope.h"
#include "event/resync/parts.h"
#include "work/batch.h"

static struct ledger_resync resync_after_sweep(const struct subscription *s)
{
    struct ledger_resync next = s->resync;
    next.type = resync_next_type(s, s->resync.type + 1);
    next.phase = next.type < s->subscribed_count ? LEDGER_PAGES : LEDGER_FOLLOW;
    next.after[0] = '\0';
    return next;
}

struct sweep {
    fh_work w; /* first: runs the handler that lists the held keys */
    struct subscription *subscription;
    json_t *keys; /* of this partition, not seen in this pass: each as text */
    char after[LEDGER_AFTER_SIZE];
    int limit;
    bool ends;
    bool repeats; /* the page ends with the key after which it was to begin: `held` is to blame */
};

bool resync_held_key(const json_t *row, char *ret, size_t size)
{
    const json_t *value = row;
    if (json_is_object(row))
        value = json_object_iter_value(json_object_iter((json_t *)(uintptr_t)row));
    char digits[TEXT_INTEGER_SIZE];
    const char *text = json_is_integer(value) ? text_of_integer(json_integer_value(value), digits)
                                              : json_string_value(value);
    size_t length = text ? strlen(text) : 0;
    if (length == 0 || length > size - 2)
        return false;
    memcpy(ret, text, length + 1);
    return true;
}

static enum fh_code gather_unseen_keys(void *context, struct store_work *work,
                                       struct fh_error *error)
{
    struct sweep *sweep = context;
    struct subscription *s = sweep->subscription;
    const struct ledger_snapshot_ops *ops = ledger_snapshots(work->store);
    const json_t *list = sweep->w.reply_body;
    enum fh_code code = FH_OK;
    char key[LEDGER_AFTER_SIZE - 1];
    for (size_t i = 0; i < json_array_size(list) && code == FH_OK; i++) {
        int64_t position;
        if (!resync_held_key(json_array_get(list, i), key, sizeof key))
            return error_set(error, FH_INVALID,
                             "`held` of %s answers something that is not a key: keys are integers, "
                             "or texts of up to %d bytes.",
                             s->subscribed[s->resync.type]->type, LEDGER_AFTER_SIZE - 2);
        snprintf(sweep->after, sizeof sweep->after, "%c%s", s->resync.after[0], key);
        if (s->partition_count > 1 &&
            envelope_partition(key, s->partition_count) != s->partition_index)
            continue;
        code = ops->applied_get(work, s->source, s->partition, s->resync.type, key,
                                s->resync.resync, &position, error);
        if (code == FH_OK && position < 0)
            json_array_append_new(sweep->keys, json_string(key));
    }
    sweep->ends = json_array_size(list) < (size_t)sweep->limit;
    sweep->repeats = !sweep->ends && strcmp(sweep->after, s->resync.after) == 0;
    if (code == FH_OK && sweep->repeats)
        return error_set(error, FH_INVALID, "`held` of %s does not continue after `after`.",
                         s->subscribed[s->resync.type]->type);
    return code;
}

void resync_held_init(fh_work *w, struct subscription *s, const struct fh_subscription *subscribed)
{
    work_init(w, s->manager->context, subscribed->held);
    w->read_only = true;
    w->doing = doing_of((doing_function *)subscribed->held, "what is held of %s of %s",
                        subscribed->type, subscribed->service);
}

enum fh_code resync_list_held(fh_work *w, const struct fh_subscription *subscribed,
                              const char *place, int limit, resync_take_held *take, void *context,
                              struct fh_error *error)
{
    struct store_work *snapshot;
    const struct work_listing listing = {
        .after = place + 1, .integers = place[0] == 'i', .limit = limit};
    enum fh_code code = store_begin(w->context->store, STORE_READ, &snapshot, error);
    if (code != FH_OK)
        return code;
    code = work_list(w, snapshot, &listing, error);
    if (code == FH_OK && !json_is_array(w->reply_body))
        code = error_set(error, FH_INVALID, "`held` of %s does not answer an array.",
                         subscribed->type);
    if (code == FH_OK)
        code = take(context, snapshot, error);
    store_rollback(snapshot);
    return code;
}

struct batch_event *resync_gone_events(struct arena *arena, const json_t *keys,
                                       const struct fh_subscription *subscribed)
{
    const char *type = subscribed->type;
    size_t count = json_array_size(keys);
    struct arena *before = json_arena_set(arena);
    struct batch_event *events = arena_alloc(arena, (count + 1) * sizeof *events);
    for (size_t i = 0; i < count; i++) {
        const char *key = json_string_value(json_array_get(keys, i));
        events[i] = (struct batch_event){
            .id = "", .type = type, .key = key, .version = subscribed->version};
        events[i].said.tree =
            json_pack("{s:s, s:s, s:{s:s}}", "type", type, "subject", key, "data", "key", key);
        FH_ASSERT(events[i].said.tree != NULL);
    }
    json_arena_set(before);
    return events;
}

/* Gives up all of them, one transaction after the other; then moves to the place after them. */
static void give_up_keys(struct subscription *s, struct sweep *sweep)
{
    const struct fh_subscription *subscribed = s->subscribed[s->resync.type];
    struct batch_event *events = resync_gone_events(&sweep->w.kept, sweep->keys, subscribed);
    int count = (int)json_array_size(sweep->keys), done = 0;
    int64_t resync = s->resync.resync;
    while (subscription_goes_on(s) && subscription_resyncs(s) && s->resync.resync == resync) {
        int now = count - done < resync_at_once(s) ? count - done : resync_at_once(s);
        bool last = done + now == count;
        struct resync_fence fence = {.next = s->resync};
        if (last && sweep->ends)
            fence.next = resync_after_sweep(s);
        else if (last)
            memcpy(fence.next.after, sweep->after, sizeof fence.next.after);
        else
            snprintf(fence.next.after, sizeof fence.next.after, "%c%s", s->resync.after[0],
                     events[done + now - 1].key);
        CRASH_POINT("round.sweep_there");
        if (!resync_work(s, &fence, events + done, now, subscribed->gone))
            return; /* the sweep starts over from the stored place */
        CRASH_POINT("round.swept");
        done += now;
        if (last)
            return;
    }
}

void resync_sweep(struct subscription *s)
{
    const struct fh_subscription *subscribed = s->subscribed[s->resync.type];
    struct sweep sweep = {.subscription = s};
    struct fh_error error = {0};
    if (!subscribed->held) {
        struct resync_fence fence = {.next = resync_after_sweep(s)};
        resync_work(s, &fence, NULL, 0, NULL);
        return;
    }
    resync_held_init(&sweep.w, s, subscribed);
    sweep.keys = json_array();
    sweep.limit = portion_size(&s->rows, RESYNC_ROWS_MAX);
    subscription_enter(s);
    enum fh_code code = resync_list_held(&sweep.w, subscribed, s->resync.after, sweep.limit,
                                         gather_unseen_keys, &sweep, &error);
    subscription_leave(s);
    if (code == FH_OK) {
        if (!sweep.ends)
            portion_passed(&s->rows, sweep.limit);
        give_up_keys(s, &sweep);
    } else if (code == FH_UNAVAILABLE) {
        resync_outage(s, error.message);
    } else { /* it may list too much at once */
        if (sweep.limit > 1 && !sweep.repeats)
            portion_failed(&s->rows, sweep.limit / 2);
        resync_fault(s, error.message);
    }
    json_decref(sweep.keys);
    subscription_tell_fault(s, &sweep.w, "held", code == FH_UNAVAILABLE);
    work_release(&sweep.w);
}
