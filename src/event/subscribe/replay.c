/* SPDX-License-Identifier: Apache-2.0 */
/* The applier's side of a replay: what is durable of it, how it begins, ends, and is given up. */

#include "event/subscribe/replay.h"

#include "base/crash.h"
#include "base/log.h"
#include "event/subscribe/parked.h"
#include "event/subscribe/set_back.h"
#include "work/batch.h"
#include "world/world.h"

/* ---- what is durable ---- */

static enum fh_code read_until(struct subscription *s, struct fh_error *error)
{
    char source[REPLAY_SOURCE_SIZE];
    struct store_work *work;
    int64_t set_back = 0;
    struct ledger_cursor until;
    replay_source(s, source);
    subscription_enter(s);
    enum fh_code code = store_begin(s->manager->context->store, STORE_READ, &work, error);
    if (code == FH_OK) {
        code = set_back_get(work, s, &set_back, error);
        if (code == FH_OK)
            code = ledger_cursor_get(work, source, s->partition, &until, error);
        store_rollback(work);
    }
    if (code == FH_OK) {
        s->set_back = set_back;
        s->replay.until = until;
    }
    subscription_leave(s);
    return code;
}

bool replay_load(struct subscription *s)
{
    struct fh_error error;
    for (int n = 1; subscription_goes_on(s); n++) {
        if (read_until(s, &error) == FH_OK) {
            s->replay.lost = false;
            fiber_wake_all(&s->for_space); /* the reader waited for the end of that */
            s->replay.began_ns = world_monotonic_ns(subscription_world(s));
            return true;
        }
        subscription_hold(s, &s->applying_hold, SUBSCRIPTION_WAITING, error.message);
        subscription_pause(s, n, SUBSCRIBE_RETRY_MS_MIN, SUBSCRIBE_RETRY_MS_MAX);
    }
    return false;
}

/* From what is known here, and the transaction's first statement has made sure of. */
static enum fh_code put_until(const struct subscription *s, struct store_work *work,
                              const struct ledger_cursor *until, struct fh_error *error)
{
    char source[REPLAY_SOURCE_SIZE];
    replay_source(s, source);
    return ledger_cursor_move(work, source, s->partition, &s->replay.until, until, error);
}

/* ---- events ---- */

void replay_mark(const struct subscription *s, struct batch_event *events, int count)
{
    bool all = s->manager->context->holds_back;
    bool some = subscription_replays(s) && s->replay.until.epoch != REPLAY_REACHES_OUT;
    for (int i = 0; i < count; i++)
        events[i].replayed = all || (some && events[i].position <= s->replay.until.position);
}

enum fh_code replay_pass(const struct subscription *s, struct store_work *work,
                         const struct ledger_cursor *next, struct fh_error *error)
{
    const struct ledger_cursor none = {0};
    if (s->replay.until.position == 0 ||
        (subscription_replays(s) && next->position < s->replay.until.position))
        return FH_OK;
    enum fh_code code = put_until(s, work, &none, error);
    CRASH_POINT("replay.over");
    return code;
}

void replay_passed(struct subscription *s)
{
    if (s->replay.until.position == 0 || subscription_replays(s))
        return;
    const char *name = s->manager->context->service->name;
    long long position = s->replay.until.position;
    if (s->replay.until.epoch == REPLAY_REBUILT)
        log_info("rebuild-caught-up",
                 "%s has applied what its former store had of the events of %s, up to position "
                 "%lld.",
                 name, s->source, position);
    else
        log_info("replay-finished", "%s has applied the events of %s again, up to position %lld.",
                 name, s->source, position);
    s->replay.until = (struct ledger_cursor){0};
}

/* ---- moving the cursor ---- */

struct replay_move {
    const struct subscription *subscription;
    struct ledger_cursor cursor, until; /* after it */
    bool begins;
    int64_t set_back; /* after it */
    int64_t dropped;  /* parked events, if it does not begin */
};

static enum fh_code drop_what_was_parked(struct store_work *work, struct replay_move *move,
                                         struct fh_error *error)
{
    const struct subscription *s = move->subscription;
    struct ledger_parked_counts counts;
    enum fh_code code = ledger_parked_count(work, s->source, s->partition, &counts, error);
    if (code != FH_OK || counts.events == 0)
        return code;
    move->dropped = counts.events;
    return ledger_snapshots(work->store)->parked_clear(work, s->source, s->partition, error);
}

static enum fh_code write_replay_move(struct store_work *work, void *what, struct fh_error *error)
{
    struct replay_move *move = what;
    const struct subscription *s = move->subscription;
    bool parked = false;
    enum fh_code code =
        ledger_cursor_move(work, s->source, s->partition, &s->cursor, &move->cursor, error);
    move->dropped = 0;
    if (code == FH_OK && !move->begins)
        code = drop_what_was_parked(work, move, error);
    if (code == FH_OK && move->begins)
        code = ledger_parked_any(work, s->source, s->partition, &parked, error);
    if (code == FH_OK && parked)
        return error_set(error, FH_CONFLICT, "Events of %s are parked.", s->source);
    if (code == FH_OK)
        code = put_until(s, work, &move->until, error);
    if (code == FH_OK && move->begins)
        code = set_back_put(work, s, &move->set_back, error);
    CRASH_POINT("replay.moved");
    return code;
}

static bool is_at(const struct ledger_cursor *a, const struct ledger_cursor *b)
{
    return a->position == b->position && a->epoch == b->epoch &&
           strcmp(a->incarnation, b->incarnation) == 0 && strcmp(a->event_id, b->event_id) == 0;
}

/* After a failure: its outcome may be unknown, and somebody else may have moved the cursor. */
static enum fh_code look_again(struct subscription *s, struct replay_move *move,
                               enum fh_code failed, struct fh_error *error)
{
    struct ledger_cursor cursor, until;
    struct store_work *work;
    int64_t set_back = 0;
    char source[REPLAY_SOURCE_SIZE];
    replay_source(s, source);
    enum fh_code code = store_begin(s->manager->context->store, STORE_READ, &work, ERROR_UNHEEDED);
    if (code != FH_OK)
        return failed;
    code = set_back_get(work, s, &set_back, ERROR_UNHEEDED);
    if (code == FH_OK)
        code = ledger_cursor_get(work, s->source, s->partition, &cursor, ERROR_UNHEEDED);
    if (code == FH_OK)
        code = ledger_cursor_get(work, source, s->partition, &until, ERROR_UNHEEDED);
    store_rollback(work);
    if (code != FH_OK)
        return failed;
    s->fenced = cursor.epoch != s->cursor.epoch;
    s->cursor = cursor;
    s->replay.until = until;
    s->set_back = move->set_back = set_back;
    bool done = is_at(&cursor, &move->cursor) && is_at(&until, &move->until);
    if (!done && failed == FH_OUTCOME_UNKNOWN)
        error_set(error, FH_UNAVAILABLE, "The store did not take it; try again.");
    return done ? FH_OK : failed;
}

static enum fh_code move_cursors(struct subscription *s, struct replay_move *move,
                                 struct fh_error *error)
{
    int64_t deadline_ns = world_in_ms(subscription_world(s), SUBSCRIBE_HANDLER_MS_MAX);
    move->subscription = s;
    move->cursor.epoch = s->cursor.epoch;
    move->set_back = s->set_back;
    subscription_enter(s);
    enum fh_code code =
        work_write(s->manager->context, write_replay_move, move, deadline_ns, error);
    CRASH_POINT("replay.durable");
    if (code != FH_OK)
        code = look_again(s, move, code, error);
    subscription_leave(s);
    if (code == FH_OK) {
        s->cursor = move->cursor;
        s->replay.until = move->until;
        s->set_back = move->set_back;
    }
    level_moved(s);
    return code;
}

/* ---- orders ---- */

static enum fh_code may_abandon(const struct subscription *s, struct fh_error *error)
{
    const char *name = s->manager->context->service->name;
    if (!subscription_replays(s))
        return error_set(error, FH_CONFLICT, "%s applies no events of %s again now.", name,
                         s->source);
    if (s->replay.until.epoch == REPLAY_REBUILT)
        return error_set(error, FH_CONFLICT,
                         "%s was rebuilt, and what it applies of %s up to %lld its new store lacks "
                         "still: wait for its end.",
                         name, s->source, (long long)s->replay.until.position);
    return FH_OK;
}

enum fh_code replay_may(const struct subscription *s, const struct replay_order *order,
                        struct fh_error *error)
{
    const char *name = s->manager->context->service->name;
    if (subscription_refused(s))
        return error_set(error, FH_CONFLICT, "The subscription to %s has stopped: %.200s",
                         s->source, s->reading.reason);
    if (!subscription_is_ours(s) || !s->loaded || s->fenced || s->manager->draining)
        return error_set(error, FH_UNAVAILABLE,
                         "This instance is about to begin, or to give up, this partition of %s.",
                         s->source);
    if (s->replay.order)
        return error_set(error, FH_CONFLICT, "Another such request for %s is being carried out.",
                         s->source);
    if (order->abandons)
        return may_abandon(s, error);
    if (subscription_replays(s))
        return error_set(error, FH_CONFLICT,
                         "%s is applying events of %s again already, at %lld of %lld: wait for "
                         "its end, or give that up (--abandon).",
                         name, s->source, (long long)s->cursor.position,
                         (long long)s->replay.until.position);
    if (subscription_resyncs(s) || s->resync.phase != LEDGER_FEED)
        return error_set(error, FH_CONFLICT, "%s resynchronises with %s: wait for its end.", name,
                         s->source);
    if (s->parked.events > 0)
        return error_set(error, FH_CONFLICT,
                         "Events of %s are parked (%lld), whose order could not be kept: retry or "
                         "drop them first (freehold parked list %s).",
                         s->source, (long long)s->parked.events, name);
    if (order->to.position >= s->cursor.position)
        return error_set(error, FH_CONFLICT,
                         "%s has applied the events of %s up to %lld, none after %lld: there is "
                         "nothing to apply again.",
                         name, s->source, (long long)s->cursor.position,
                         (long long)order->to.position);
    if (strcmp(order->to.incarnation, s->cursor.incarnation) != 0)
        return error_set(error, FH_CONFLICT,
                         "The store of %s was moved or restored, and %s has not applied an event "
                         "since: there is nothing to apply again.",
                         s->source, name);
    return FH_OK;
}

static enum fh_code begin_replay(struct subscription *s, struct replay_order *order)
{
    struct replay_move move = {.begins = true, .cursor = order->to, .until = s->cursor};
    enum fh_code code = replay_may(s, order, &order->error);
    if (code != FH_OK)
        return code;
    move.until.epoch = order->reaches_out ? REPLAY_REACHES_OUT : REPLAY_HOLDS_BACK;
    code = move_cursors(s, &move, &order->error);
    if (code != FH_OK)
        return code;
    s->replay.began_ns = world_monotonic_ns(subscription_world(s));
    log_info("replay-begun", "%s applies the events of %s again, after position %lld up to %lld%s.",
             s->manager->context->service->name, s->source, (long long)s->cursor.position,
             (long long)s->replay.until.position,
             order->reaches_out ? ", with all that follows from them" : "");
    return code;
}

static void tell_replay_given_up(const struct subscription *s, int64_t at, int64_t dropped,
                                 const char *why)
{
    const char *name = s->manager->context->service->name;
    log_warning("replay-given-up",
                "%s stops applying the events of %s again at position %lld, and goes on after "
                "%lld: %s Rows changed by events up to %lld may show old values: replay again from "
                "there, or sync.",
                name, s->source, (long long)at, (long long)s->cursor.position, why, (long long)at);
    if (dropped)
        log_warning("replay-parked-dropped",
                    "%lld events of %s that %s had parked meanwhile are dropped.",
                    (long long)dropped, s->source, name);
}

/* One that is over by now needs not be given up: order->idle. */
static enum fh_code leave_replay(struct subscription *s, struct replay_order *order,
                                 const char *why)
{
    struct replay_move move = {.cursor = s->replay.until};
    order->at = s->cursor.position;
    order->idle = !subscription_replays(s);
    if (order->idle)
        return FH_OK;
    enum fh_code code = may_abandon(s, &order->error);
    if (code == FH_OK)
        code = move_cursors(s, &move, &order->error);
    if (code != FH_OK)
        return code;
    order->dropped = move.dropped;
    if (order->dropped > 0)
        parked_recount(s);
    tell_replay_given_up(s, order->at, order->dropped, why);
    return code;
}

static void order_done(struct replay_order *order, enum fh_code code)
{
    order->code = code;
    order->done = true;
    fiber_wake_all(&order->waiting);
}

static void replay_settled(struct subscription *s)
{
    s->replay.lost = false;
    subscription_release_hold(s, &s->applying_hold);
}

static void carry_out(struct subscription *s)
{
    struct replay_order *order = s->replay.order;
    s->replay.order = NULL;
    enum fh_code code = order->abandons
                            ? leave_replay(s, order, "an operator abandoned the replay.")
                            : begin_replay(s, order);
    order->until = order->abandons ? s->cursor.position : s->replay.until.position;
    if (code == FH_OK)
        replay_settled(s);
    order_done(order, code);
}

static void give_up_lost(struct subscription *s)
{
    struct replay_order order = {.abandons = true};
    char why[REASON_SIZE + 8];
    snprintf(why, sizeof why, "%s.", s->replay.why);
    enum fh_code code = leave_replay(s, &order, why);
    if (code == FH_OK || !subscription_replays(s)) {
        replay_settled(s);
        return;
    }
    subscription_hold(s, &s->applying_hold, SUBSCRIPTION_WAITING, order.error.message);
    subscription_pause(s, 1, SUBSCRIBE_RETRY_MS_MAX, SUBSCRIBE_RETRY_MS_MAX);
}

/* What was fetched, and is not applied, was put aside for this: it is fetched again. A long poll
 * from where the cursor was would hold up what is to be replayed. */
bool replay_step(struct subscription *s)
{
    if (!replay_calls(s))
        return false;
    if (s->replay.order)
        carry_out(s);
    else
        give_up_lost(s);
    if (replay_calls(s))
        return true;
    subscription_drop(s);
    fiber_wake_all(&s->for_space);
    subscription_begin_reading(s);
    return true;
}

void replay_refuse(struct subscription *s)
{
    struct replay_order *order = s->replay.order;
    s->replay.order = NULL;
    if (order)
        order_done(order, error_set(&order->error, FH_UNAVAILABLE,
                                    "This instance has given up this partition of %s.", s->source));
}
