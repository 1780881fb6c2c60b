/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One snapshot tells which events nobody needs: the last position, the trimmed position, and what
 * subscribers have reported (`done`, subscribers.h). `done` only ever grows, so the result stays
 * true while it is acted upon, and where each read has a moment of its own; but for what nobody
 * else has, which each slice looks at again. A derived store that began to be made anew in between
 * is made anew once more. A subscriber that asks for the first time in between, and would have
 * begun further back, gets 410.
 *
 * A row of another incarnation says nothing about this one's positions. Its subscriber will get 409
 * and resync from wherever the store is then: it holds nothing back.
 *
 *     killed between two slices    the next look trims the rest
 */

#include "event/outbox/trim.h"

#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "event/outbox/subscribers.h"
#include "store/ledger.h"
#include "work/batch.h"
#include "work/carried.h"
#include "world/world.h"

struct look {
    struct event_manager *manager;
    const json_t *expected;
    int64_t last, trimmed;
    int64_t passed; /* by every subscriber that is not expired, and by carriers */
    int64_t held;   /* behind it is what carriers can have from nowhere else */
    json_t *list;   /* for operators */
    json_t *told;   /* {name: true} */
    int64_t expired;
    int64_t outside; /* the last one that is not held for readers outside */
    int64_t many;    /* the last one of those that are too many */
};

static bool still_subscribes(const struct look *look, const struct ledger_subscriber *subscriber)
{
    size_t length;
    const struct work_context *context = look->manager->context;
    if (strcmp(subscriber->name, SUBSCRIBERS_RELAY) == 0)
        return look->manager->relay != NULL;
    if (subscribers_rebuilds(subscriber->name, &length) &&
        world_wall_ms(context->world) - subscriber->updated_ms > SUBSCRIBERS_REBUILD_MS)
        return false;
    return !look->expected || json_object_getn(look->expected, subscriber->name, length);
}

static bool look_at_subscriber(void *context, const struct ledger_subscriber *subscriber)
{
    struct look *look = context;
    const char *incarnation = look->manager->context->store->incarnation;
    bool here = strcmp(subscriber->incarnation, incarnation) == 0;
    if (!still_subscribes(look, subscriber))
        return true;
    bool expired = here && subscriber->done < look->trimmed;
    if (here && !expired && subscriber->done < look->passed)
        look->passed = subscriber->done;
    look->expired += expired;
    json_object_set_new(look->told, subscriber->name, json_true());
    json_array_append_new(look->list,
                          json_pack("{s:s, s:s, s:I, s:b}", "name", subscriber->name, "share",
                                    subscriber->partition, "done",
                                    (json_int_t)(here ? subscriber->done : 0), "expired", expired));
    return true;
}

/* Derived stores on servers hold back what is not carried, within the same bounds: one that is
 * behind them is made anew. What a server alone has is held beyond them, too, until it has it:
 * units of work that derive more of it fail meanwhile. */
static enum fh_code look_at_carried(struct look *look, struct store_work *work,
                                    struct fh_error *error)
{
    struct work_context *context = look->manager->context;
    int64_t needed = INT64_MAX;
    if (!context->carried || !context->carried->needed)
        return FH_OK;
    enum fh_code code = context->carried->needed(context, work, &needed, &look->held, error);
    if (code == FH_OK && needed < look->passed)
        look->passed = needed;
    return code;
}

static enum fh_code look_run(struct look *look, struct fh_error *error)
{
    struct store_work *work;
    char id[ID_SIZE];
    enum fh_code code = store_begin(look->manager->context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_position(work, &look->last, error);
    if (code == FH_OK)
        code = ledger_outbox_trimmed(work, &look->trimmed, id, error);
    look->passed = look->last;
    if (code == FH_OK)
        code = ledger_subscribers_get(work, look_at_subscriber, look, error);
    if (code == FH_OK)
        code = look_at_carried(look, work, error);
    store_rollback(work);
    return code;
}

/* A declared subscriber that has never asked will begin at the beginning. */
static void expect_subscribers(struct look *look)
{
    const char *name;
    json_t *unused;
    json_object_foreach ((json_t *)(uintptr_t)look->expected, name, unused) {
        if (json_object_get(look->told, name))
            continue;
        look->expired += look->trimmed > 0;
        if (look->trimmed == 0)
            look->passed = 0;
    }
}

/* The position through which events may be trimmed. look->outside: through which no reader outside
 * is to find them any more, or all. */
static enum fh_code trim_bound(struct look *look, const struct retention *retention, int64_t *ret,
                               struct fh_error *error)
{
    struct work_context *context = look->manager->context;
    int64_t kept_ms = retention->events_kept_ms, settled = 0, aged = 0;
    if (context->store->ops->sequence && kept_ms < TRIM_SETTLED_MS)
        kept_ms = TRIM_SETTLED_MS;
    enum fh_code code = age_position(context, "kept", kept_ms, &settled, error);
    if (code == FH_OK)
        code = age_position(context, "kept_max", retention->events_kept_ms_max, &aged, error);
    look->outside = look->last;
    if (code == FH_OK && retention->outside_kept_ms)
        code = age_position(context, "outside", retention->outside_kept_ms, &look->outside, error);
    if (code != FH_OK)
        return code;
    *ret = look->passed < settled ? look->passed : settled;
    if (*ret > look->outside)
        *ret = look->outside;
    look->many = look->last - retention->events_max;
    int64_t hard = look->many > aged ? look->many : aged;
    if (context->store->ops->sequence && hard > settled)
        hard = settled;
    if (*ret < hard)
        *ret = hard;
    if (*ret > look->held)
        *ret = look->held;
    return FH_OK;
}

/* What was removed since the look because there were too many, and was held for readers outside.
 * What is old enough for events_kept_s_max is old enough for them. */
static void count_cut(struct event_manager *manager, const struct look *look,
                      const struct retention *retention)
{
    struct event_trimmed *trimmed = &manager->trimmed;
    int64_t from = look->trimmed > look->outside ? look->trimmed : look->outside;
    int64_t to = trimmed->position < look->many ? trimmed->position : look->many;
    trimmed->outside_kept_ms = retention->outside_kept_ms;
    if (to > from && !trimmed->outside_cuts)
        log_warning("outside-cut",
                    "Events are removed that are held for readers outside for %lld s "
                    "(outside_kept_s): there are more than %lld of them (events_max).",
                    (long long)retention->outside_kept_ms / 1000, (long long)retention->events_max);
    trimmed->outside_cuts = to > from;
    trimmed->outside_cut += to > from ? to - from : 0;
}

/* A server that alone has facts may have lost some since the look. */
static enum fh_code bound_slice(struct work_context *context, struct store_work *work,
                                int64_t *through, struct fh_error *error)
{
    const struct work_carried *carried = context->carried;
    int64_t needed, held = INT64_MAX;
    if (!carried || !carried->kept || !carried->needed)
        return FH_OK;
    enum fh_code code = carried->needed(context, work, &needed, &held, error);
    if (code == FH_OK && held < *through)
        *through = held;
    return code;
}

static enum fh_code trim_slice(struct event_manager *manager, int64_t through, int limit,
                               int64_t *ret_removed, struct fh_error *error)
{
    struct work_context *context = manager->context;
    struct work_tries tries = {0};
    struct store_work *work;
    enum fh_code code;
    do {
        code = store_begin(context->store, tries.alone ? STORE_WRITE_EXCLUSIVE : STORE_WRITE, &work,
                           error);
        if (code != FH_OK)
            continue;
        int64_t bound = through;
        code = bound_slice(context, work, &bound, error);
        if (code == FH_OK)
            code = ledger_outbox_trim(work, bound, limit, ret_removed, error);
        CRASH_POINT("trim.recorded");
        if (code == FH_OK)
            code = store_commit(work, error);
        else
            store_rollback(work);
        CRASH_POINT("trim.durable");
    } while (code == FH_CONFLICT && error->retryable && work_retry(context, &tries, -1));
    return code;
}

static void report_trim_look(struct event_manager *manager, const struct look *look)
{
    struct event_trimmed *trimmed = &manager->trimmed;
    if (look->expired > trimmed->expired)
        log_warning("subscribers-expired",
                    "%lld subscribers (or partitions of them) lag behind the events that are kept "
                    "here, and have expired: they must resync from a snapshot.",
                    (long long)look->expired);
    json_decref(trimmed->subscribers);
    trimmed->subscribers = json_incref(look->list);
    trimmed->expired = look->expired;
    trimmed->position = look->trimmed;
    trimmed->last = look->last;
}

int64_t event_trim_pace(struct trim_pace *pace, int64_t removed, int64_t took_ns, int64_t published)
{
    pace->removed += removed;
    bool behind = pace->removed * 100 < published * TRIM_AHEAD_PERCENT;
    if (behind && pace->limit == TRIM_SLICE)
        return 0;
    int limit = behind ? pace->limit * 2 : pace->limit / 2;
    pace->limit = limit > TRIM_SLICE ? TRIM_SLICE : limit < TRIM_SLICE_MIN ? TRIM_SLICE_MIN : limit;
    int64_t rest_ns = took_ns * TRIM_REST, most_ns = TRIM_LOOK_MS * INT64_C(1000000);
    return rest_ns < most_ns ? rest_ns : most_ns;
}

static enum fh_code trim_slices(struct event_manager *manager, int64_t through, bool *ret_more,
                                struct fh_error *error)
{
    struct world *world = manager->context->world;
    bool embedded = !manager->context->store->ops->sequence;
    struct trim_pace pace = {.limit = embedded ? TRIM_SLICE_MIN : TRIM_SLICE};
    int64_t position = manager->position, until_ns = world_in_ms(world, TRIM_LOOK_MS);
    while (manager->trimmed.position < through && !manager->draining) {
        int64_t removed = 0, began_ns = world_monotonic_ns(world);
        enum fh_code code = trim_slice(manager, through, pace.limit, &removed, error);
        if (code != FH_OK || removed == 0)
            return code;
        manager->trimmed.position += removed; /* positions are dense */
        manager->trimmed.removed += removed;
        if (!embedded)
            continue;
        int64_t now_ns = world_monotonic_ns(world);
        int64_t rest_ns =
            event_trim_pace(&pace, removed, now_ns - began_ns, manager->position - position);
        *ret_more = now_ns >= until_ns && manager->trimmed.position < through;
        if (!event_manager_sleep(manager, now_ns + rest_ns) || *ret_more)
            break;
    }
    return FH_OK;
}

enum fh_code event_trim(struct event_manager *manager, const struct retention *retention,
                        const json_t *expected, bool *ret_more, struct fh_error *error)
{
    struct look look = {.manager = manager,
                        .expected = expected,
                        .held = INT64_MAX,
                        .list = json_array(),
                        .told = json_object()};
    int64_t through = 0;
    *ret_more = false;
    enum fh_code code = look_run(&look, error);
    if (code == FH_OK) {
        expect_subscribers(&look);
        report_trim_look(manager, &look);
        code = trim_bound(&look, retention, &through, error);
    }
    if (code == FH_OK) {
        code = trim_slices(manager, through, ret_more, error);
        count_cut(manager, &look, retention);
    }
    json_decref(look.list);
    json_decref(look.told);
    return code;
}
