/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Declared schedules. Each has one row, under its next run, which the unit of work that runs it
 * moves forward: to the first run after now, so that however many were missed, one comes of it. The
 * row's `after_ms` is the time that it was moved from, and it is never moved to before that, so a
 * wall clock that is set back repeats no run, though the schedule is changed meanwhile. Of what is
 * not due the time is calculated anew when a program starts: a zone may have other rules by then.
 *
 * Rows are created and adopted by the instance that fires, in one serializable unit of work that
 * reads all of them: of two that do so at once, one is rerun and finds what the other has written.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "timer/manager.h"
#include "work/batch.h"

#define MISSED_MAX 10000 /* counted */
#define ROWS_MAX 64      /* of schedules, in a store */

/* ---- Declarations ---- */

/* A name stands in ids, logs and keys. */
static bool is_timer_name(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length < TIMER_NAME_SIZE - sizeof SCHEDULE_PREFIX &&
           strspn(name, TIMER_NAME_LETTERS) == length;
}

static enum fh_code check_timer_declared(const char *list, const char *name, fh_handler *handler,
                                         bool twice, struct fh_error *error)
{
    if (!is_timer_name(name))
        return error_set(error, FH_INVALID,
                         "`%s` names \"%.100s\": letters, digits, _ and - are needed, at most %zu.",
                         list, name, TIMER_NAME_SIZE - sizeof SCHEDULE_PREFIX - 1);
    if (!handler)
        return error_set(error, FH_INVALID, "`%s` has no handler for %s.", list, name);
    return twice ? error_set(error, FH_INVALID, "`%s` names %s twice.", list, name) : FH_OK;
}

static enum fh_code check_timers(const fh_service *service, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < sizeof service->timers / sizeof *service->timers && code == FH_OK; i++) {
        const struct fh_timer *timer = &service->timers[i];
        if (!timer->name)
            break;
        code = check_timer_declared("timers", timer->name, timer->handler,
                                    timer_declared(service, timer->name) != timer, error);
    }
    return code;
}

static enum fh_code read_schedule(const struct fh_every *every, struct schedule *ret,
                                  struct fh_error *error)
{
    struct fh_error why;
    const char *zone = every->zone ? every->zone : "UTC";
    if (!every->cron)
        return error_set(error, FH_INVALID, "`every` has no schedule for %s.", every->name);
    enum fh_code code = cron_parse(every->cron, &ret->cron, &why);
    if (code == FH_OK)
        code = zone_find(zone, &ret->zone, &why);
    if (code != FH_OK)
        return error_set(error, code, "The schedule %s of `every` is wrong: %s", every->name,
                         why.message);
    ret->declared = every;
    snprintf(ret->name, sizeof ret->name, SCHEDULE_PREFIX "%s", every->name);
    struct arena *before = json_arena_set(NULL);
    json_t *data = json_pack("{s:s, s:s}", "cron", every->cron, "zone", zone);
    char *text = json_text(data);
    int length = snprintf(ret->text, sizeof ret->text, "%s", text);
    json_text_free(text);
    json_decref(data);
    json_arena_set(before);
    return length < (int)sizeof ret->text
               ? FH_OK
               : error_set(error, FH_INVALID, "The schedule %s of `every` is too long.",
                           every->name);
}

enum fh_code schedules_read(const fh_service *service, struct schedule *ret, int *ret_count,
                            struct fh_error *error)
{
    enum fh_code code = check_timers(service, error);
    *ret_count = 0;
    for (int i = 0; i < SCHEDULES_MAX && service->every[i].name && code == FH_OK; i++) {
        const struct fh_every *every = &service->every[i];
        bool twice = false;
        for (int j = 0; j < i; j++)
            twice |= strcmp(service->every[j].name, every->name) == 0;
        code = check_timer_declared("every", every->name, every->handler, twice, error);
        if (code == FH_OK)
            code = read_schedule(every, &ret[(*ret_count)++], error);
    }
    return code;
}

/* ---- Rows ---- */

#define AFTER ",\"after_ms\":"

static struct ledger_timer schedule_row(struct schedule *schedule, int64_t due_ms, int64_t after_ms)
{
    snprintf(schedule->data, sizeof schedule->data, "%.*s" AFTER "%" PRId64 "}",
             (int)strlen(schedule->text) - 1, schedule->text, after_ms);
    return (struct ledger_timer){.kind = LEDGER_TIMER_EVERY,
                                 .due_ms = due_ms,
                                 .name = schedule->name,
                                 .handler = schedule->declared->name,
                                 .data = schedule->data,
                                 .error = ""};
}

struct ledger_timer schedule_next(struct schedule *schedule, int64_t due_ms, int64_t now_ms,
                                  int64_t *ret_missed)
{
    int64_t next_ms = cron_next(&schedule->cron, schedule->zone, due_ms);
    for (*ret_missed = 0; next_ms <= now_ms && *ret_missed < MISSED_MAX; ++*ret_missed)
        next_ms = cron_next(&schedule->cron, schedule->zone, next_ms);
    if (next_ms <= now_ms)
        next_ms = cron_next(&schedule->cron, schedule->zone, now_ms);
    return schedule_row(schedule, next_ms, due_ms > now_ms ? due_ms : now_ms);
}

/* Whether the row was made for this schedule as it is declared today. */
static bool is_as_declared(const struct schedule *schedule, const struct ledger_timer *row)
{
    size_t length = strlen(schedule->text) - 1; /* without the brace */
    return strncmp(row->data, schedule->text, length) == 0 && strchr(",}", row->data[length]);
}

bool schedule_adopts(struct schedule *schedule, const struct ledger_timer *row, int64_t now_ms,
                     struct ledger_timer *ret)
{
    const char *after = row ? strstr(row->data, AFTER) : NULL;
    bool same = row && is_as_declared(schedule, row), due = row && row->due_ms <= now_ms;
    int64_t after_ms = after ? strtoll(after + strlen(AFTER), NULL, 10) : now_ms;
    if (same && (due || !after))
        return false;
    int64_t next_ms =
        due ? row->due_ms
            : cron_next(&schedule->cron, schedule->zone, after_ms > now_ms ? after_ms : now_ms);
    if (same && next_ms == row->due_ms)
        return false;
    *ret = schedule_row(schedule, next_ms, after_ms);
    return true;
}

struct schedule_rows {
    struct timer_manager *manager;
    struct arena *arena;
    struct ledger_timer rows[ROWS_MAX];
    int count;
    int64_t now_ms;
};

static bool keep_schedule_row(void *context, const struct ledger_timer *row)
{
    struct schedule_rows *rows = context;
    struct ledger_timer *kept = &rows->rows[rows->count++];
    *kept = *row;
    kept->kind = LEDGER_TIMER_EVERY;
    kept->name = arena_text(rows->arena, row->name);
    kept->data = arena_text(rows->arena, row->data);
    return rows->count < ROWS_MAX;
}

static enum fh_code replace_row(struct store_work *work, const struct ledger_timer *before,
                                const struct ledger_timer *after, struct fh_error *error)
{
    int64_t taken;
    enum fh_code code = before ? ledger_timers_take(work, before, 1, &taken, error) : FH_OK;
    return code == FH_OK && after ? ledger_timer_put(work, after, error) : code;
}

/* The first of its rows stays, with what is declared today; a run that is due stays due. */
static enum fh_code adopt_schedule(struct store_work *work, struct schedule_rows *rows,
                                   struct schedule *schedule, struct fh_error *error)
{
    struct ledger_timer fresh;
    const struct ledger_timer *own = NULL;
    enum fh_code code = FH_OK;
    for (int i = 0; i < rows->count && code == FH_OK; i++) {
        if (strcmp(rows->rows[i].name, schedule->name) != 0)
            continue;
        if (own)
            code = replace_row(work, &rows->rows[i], NULL, error);
        else
            own = &rows->rows[i];
    }
    if (code != FH_OK || !schedule_adopts(schedule, own, rows->now_ms, &fresh))
        return code;
    return replace_row(work, own, &fresh, error);
}

static enum fh_code reconcile_rows(struct store_work *work, void *what, struct fh_error *error)
{
    struct schedule_rows *rows = what;
    struct timer_manager *manager = rows->manager;
    rows->count = 0;
    enum fh_code code =
        ledger_timers_read(work, LEDGER_TIMER_EVERY, ROWS_MAX, keep_schedule_row, rows, error);
    for (int i = 0; i < manager->schedule_count && code == FH_OK; i++)
        code = adopt_schedule(work, rows, &manager->schedules[i], error);
    /* While instances of another program run beside this one, the row may be one of theirs. */
    bool alone = lease_members(manager->context->leases) == 1;
    for (int i = 0; i < rows->count && code == FH_OK && alone; i++) {
        if (!schedule_named(manager, rows->rows[i].name))
            code = replace_row(work, &rows->rows[i], NULL, error);
    }
    return code;
}

enum fh_code schedules_reconcile(struct timer_manager *manager, struct fh_error *error)
{
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    struct schedule_rows rows = {
        .manager = manager, .arena = &arena, .now_ms = world_wall_ms(timer_world(manager))};
    enum fh_code code = work_write(manager->context, reconcile_rows, &rows, -1, error);
    arena_release(&arena);
    return code;
}
