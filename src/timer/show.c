/* SPDX-License-Identifier: Apache-2.0 */
/* Timers for operators: how many there are and how late they are, a list, and a word on parked
 * ones. Any instance answers, from the store. */

#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "timer/manager.h"
#include "work/batch.h"

/* ---- The state ---- */

struct timers_found {
    int64_t pending, parked, earliest_ms;
};

static bool see_earliest(void *context, const struct ledger_timer *timer)
{
    struct timers_found *found = context;
    if (timer->due_ms < found->earliest_ms)
        found->earliest_ms = timer->due_ms;
    return true;
}

static enum fh_code find_timers(struct store_work *work, struct timers_found *found,
                                struct fh_error *error)
{
    enum fh_code code =
        ledger_timers_count(work, LEDGER_TIMER_SET, TIMERS_COUNTED_MAX, &found->pending, error);
    if (code == FH_OK)
        code = ledger_timers_count(work, LEDGER_TIMER_PARKED, LEDGER_TIMERS_MAX, &found->parked,
                                   error);
    if (code == FH_OK)
        code = ledger_timers_read(work, LEDGER_TIMER_SET, 1, see_earliest, found, error);
    if (code == FH_OK)
        code = ledger_timers_read(work, LEDGER_TIMER_EVERY, 1, see_earliest, found, error);
    return code;
}

json_t *timers_state(struct timer_manager *manager)
{
    struct timers_found found = {.earliest_ms = INT64_MAX};
    struct fh_error error;
    struct store_work *work;
    int64_t now_ms = world_wall_ms(timer_world(manager));
    if (!manager->fires)
        return NULL;
    enum fh_code code = store_begin(manager->context->store, STORE_READ_COMMITTED, &work, &error);
    if (code == FH_OK) {
        code = find_timers(work, &found, &error);
        store_rollback(work);
    }
    if (code != FH_OK)
        return NULL;
    int64_t late_ms = found.earliest_ms < now_ms ? now_ms - found.earliest_ms : 0;
    const struct timer_counters *counters = &manager->counters;
    return json_pack("{s:I, s:I, s:I, s:o, s:s, s:I, s:I, s:I}", "pending",
                     (json_int_t)found.pending, "parked", (json_int_t)found.parked, "late_ms",
                     (json_int_t)late_ms, "next_ms",
                     found.earliest_ms == INT64_MAX ? json_null() : json_integer(found.earliest_ms),
                     "why", manager->why, "fired", (json_int_t)counters->fired, "failures",
                     (json_int_t)counters->failures, "missed", (json_int_t)counters->missed);
}

/* ---- The list ---- */

static const struct {
    const char *state, *kind;
} states[] = {{"pending", LEDGER_TIMER_SET},
              {"schedule", LEDGER_TIMER_EVERY},
              {"parked", LEDGER_TIMER_PARKED}};
#define STATES (sizeof states / sizeof *states)

struct timers_listing {
    json_t *list;
    const char *state;
    int count;
};

static bool list_timer(void *context, const struct ledger_timer *timer)
{
    struct timers_listing *listing = context;
    char id[TIMER_ID_SIZE];
    timer_id_format(id, timer->due_ms, timer->name);
    if (listing->count++ < TIMERS_LISTED_MAX)
        json_array_append_new(listing->list,
                              json_pack("{s:s, s:s, s:I, s:s, s:I, s:s}", "id", id, "handler",
                                        timer->handler, "due_ms", (json_int_t)timer->due_ms,
                                        "state", listing->state, "attempts",
                                        (json_int_t)timer->attempts, "error", timer->error));
    return true;
}

enum fh_code timers_list(struct timer_manager *manager, const char *state, json_t **ret,
                         struct fh_error *error)
{
    struct store_work *work;
    bool known = !state, more = false;
    for (size_t i = 0; i < STATES && state; i++)
        known |= strcmp(states[i].state, state) == 0;
    if (!known)
        return error_set(error, FH_INVALID,
                         "\"%.40s\" is no state of a timer: pending, schedule or parked.", state);
    enum fh_code code = store_begin(manager->context->store, STORE_READ_COMMITTED, &work, error);
    if (code != FH_OK)
        return code;
    json_t *list = json_array();
    for (size_t i = 0; i < STATES && code == FH_OK; i++) {
        struct timers_listing listing = {.list = list, .state = states[i].state};
        if (state && strcmp(states[i].state, state) != 0)
            continue;
        code = ledger_timers_read(work, states[i].kind, TIMERS_LISTED_MAX + 1, list_timer, &listing,
                                  error);
        more |= listing.count > TIMERS_LISTED_MAX;
    }
    store_rollback(work);
    if (code == FH_OK)
        *ret = json_pack("{s:O, s:b}", "timers", list, "more", more);
    json_decref(list);
    return code;
}

/* ---- An operator's word ---- */

struct timer_word {
    int64_t due_ms;
    const char *name;
    bool retries;
};

static enum fh_code do_word(struct store_work *work, void *what, struct fh_error *error)
{
    const struct timer_word *word = what;
    struct arena arena;
    struct ledger_timer timer;
    int64_t taken;
    arena_init(&arena, ARENA_SIZE_MAX);
    enum fh_code code = ledger_timer_get(work, &arena, LEDGER_TIMER_PARKED, word->due_ms,
                                         word->name, &timer, error);
    if (code == FH_OK)
        code = ledger_timers_take(work, &timer, 1, &taken, error);
    timer.kind = LEDGER_TIMER_SET;
    timer.attempts = 0;
    timer.error = "";
    if (code == FH_OK && word->retries)
        code = ledger_timer_put(work, &timer, error);
    CRASH_POINT("timer.operated");
    arena_release(&arena);
    return code;
}

static enum fh_code operate_timer(struct timer_manager *manager, const char *id, bool retries,
                                  struct fh_error *error)
{
    struct timer_word word = {.retries = retries};
    if (!timer_id_parse(id, &word.due_ms, &word.name))
        return error_set(error, FH_INVALID, "\"%.60s\" is no timer's id.", id);
    enum fh_code code = work_write(manager->context, do_word, &word, -1, error);
    if (code == FH_NOT_FOUND)
        return error_set(error, FH_NOT_FOUND, "No timer %.100s is parked.", id);
    if (code == FH_OK && retries)
        timer_was_set(manager, word.due_ms);
    return code;
}

enum fh_code timer_retry(struct timer_manager *manager, const char *id, struct fh_error *error)
{
    return operate_timer(manager, id, true, error);
}

enum fh_code timer_drop(struct timer_manager *manager, const char *id, struct fh_error *error)
{
    return operate_timer(manager, id, false, error);
}

/* ---- What is needed ---- */

static bool note_handler(void *context, const struct ledger_timer *timer)
{
    json_t *handlers = context;
    if (strncmp(timer->name, SCHEDULE_PREFIX, strlen(SCHEDULE_PREFIX)) != 0)
        json_object_set_new(handlers, timer->handler, json_true());
    return true;
}

enum fh_code timers_needed(struct timer_manager *manager, json_t **ret, struct fh_error *error)
{
    struct store_work *work;
    const char *name;
    json_t *value, *handlers = json_object(), *list = json_array();
    enum fh_code code = store_begin(manager->context->store, STORE_READ_COMMITTED, &work, error);
    if (code == FH_OK) {
        code = ledger_timers_read(work, LEDGER_TIMER_SET, LEDGER_TIMERS_MAX, note_handler, handlers,
                                  error);
        if (code == FH_OK)
            code = ledger_timers_read(work, LEDGER_TIMER_PARKED, LEDGER_TIMERS_MAX, note_handler,
                                      handlers, error);
        store_rollback(work);
    }
    json_object_foreach (handlers, name, value)
        json_array_append_new(list, json_string(name));
    json_decref(handlers);
    if (code == FH_OK)
        *ret = list;
    else
        json_decref(list);
    return code;
}
