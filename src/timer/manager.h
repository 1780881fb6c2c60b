/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIMER_MANAGER_H
#define TIMER_MANAGER_H

/*
 * What the files of this layer share:
 *
 *     set.c       fh_at, fh_cancel, and what handlers see
 *     names.c     what is found by a name; ids
 *     manager.c   start and stop, the lease, and who is woken by whom
 *     run.c       the loop of the instance that fires: look, fire, sleep
 *     held.c      those that are due and wait
 *     fire.c      the units of work: firing, parking
 *     schedule.c  declared schedules and their rows
 *     show.c      for operators
 *     cron.c, zone.c, zone_rule.c, calendar.c   when a schedule runs
 */

#include "base/arena.h"
#include "store/ledger.h"
#include "store/store.h"
#include "timer/cron.h"
#include "timer/timer.h"
#include "work/fault.h"
#include "work/lease.h"

#define SCHEDULES_MAX 16
#define SCHEDULE_ROWS_MAX 64 /* that are read at once */
#define TIMERS_MAX (sizeof(((fh_service *)NULL)->timers) / sizeof(struct fh_timer))
#define SCHEDULE_PREFIX "every/" /* of the names of schedules' timers */
#define TIMER_NAME_SIZE 128
#define TIMER_NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
#define TIMER_ID_SIZE (TIMER_NAME_SIZE + 24) /* "DUE_MS-NAME" */

struct schedule {
    const struct fh_every *declared;
    const struct doing *doing;
    struct cron cron;
    const struct zone *zone;
    char name[TIMER_NAME_SIZE]; /* "every/NAME" */
    char text[256];             /* {"cron","zone"}: how its row's data begin */
    char data[256 + 48];        /* with "after_ms": of the row that is being made */
};

/* One that has failed, whose handler asks a service that is away, or that this program does not
 * know: not before retry_at_ns. */
struct timer_held {
    char kind[8], name[TIMER_NAME_SIZE];
    int64_t due_ms, retry_at_ns, seen_ns;
    int attempts;
    int interrupted; /* by an outage of its own, in a row */
    bool parks;      /* the next attempt parks it */
    char why[sizeof(((struct fh_error *)NULL)->message)];
};

struct timer_manager {
    struct work_context *context;
    struct schedule schedules[SCHEDULES_MAX];
    int schedule_count;
    const struct doing *doings[TIMERS_MAX]; /* of each declared timer; NULL: not made yet */
    struct lease lease;
    struct lease_watcher watcher;
    struct fiber_queue wake, ended;
    bool fires; /* there is something to fire, sooner or later: it takes part in the lease */
    bool running, draining;
    struct store_listener listener;
    bool tells, telling; /* the others, that something was set which is due soon */
    bool stale;          /* something was set that is due before next_ms: look again */
    bool reconciled;     /* the rows of schedules are as declared */
    /* While it sleeps: when the next one is due; INT64_MAX: not known, so whatever is set must be
     * looked at. */
    int64_t next_ms;
    int64_t set_count, heard; /* how often this instance has set some; what all others tell of it */
    /* When it last looked, and when it has to because of a hint; INT64_MAX: there was none. */
    int64_t looked_ns, hint_ns;
    struct timer_held held[TIMER_HELD_MAX];
    int held_count;
    /* Until when the timers of each declared one fire apart, where a commit changes one document:
     * its handler did more than make some. */
    int64_t apart_until_ns[TIMERS_MAX];
    int together;    /* the most in the next commit */
    int interrupted; /* by outages that concern all, in a row */
    bool waits;      /* an outage was logged, and has not ended */
    char why[sizeof(((struct fh_error *)NULL)->message)]; /* why they wait; or "" */
    struct timer_counters counters;
};

static inline struct world *timer_world(const struct timer_manager *manager)
{
    return manager->context->world;
}
static inline bool timer_goes_on(const struct timer_manager *manager)
{
    return manager->lease.state == LEASE_OURS && !manager->draining;
}

/* ---- names.c ---- */

/* NULL: the service declares no such timer; or no such schedule. */
const struct fh_timer *timer_declared(const fh_service *service, const char *name);
struct schedule *schedule_named(struct timer_manager *manager, const char *name);
/* NULL: this program does not know it. */
fh_handler *timer_handler(struct timer_manager *manager, const struct ledger_timer *timer);
/* "timer escalate", "schedule nightly"; of one that this program does not know NULL. */
const struct doing *timer_doing(struct timer_manager *manager, const struct ledger_timer *timer);

void timer_id_format(char id[static TIMER_ID_SIZE], int64_t due_ms, const char *name);
bool timer_id_parse(const char *id, int64_t *ret_due_ms, const char **ret_name);

/* manager.c. A timer that is due then was committed by this process. */
void timer_was_set(struct timer_manager *manager, int64_t due_ms);

/* ---- held.c ---- */

struct timer_held *held_of(struct timer_manager *manager, const struct ledger_timer *timer);
/* NULL: too many wait already. There is always space for schedules, so that none of them holds up
 * another. */
struct timer_held *hold_timer(struct timer_manager *manager, const struct ledger_timer *timer);
void release_held(struct timer_manager *manager, const struct ledger_timer *timer);
/* Those that were cancelled meanwhile, or fired by another instance. */
void forget_held(struct timer_manager *manager, int64_t now_ns);

/* run.c: the fiber of the instance that fires. */
void timers_run(struct timer_manager *manager);

/* ---- fire.c ---- */

enum timer_verdict {
    TIMER_FIRED,  /* or parked: the row is gone, or moved */
    TIMER_GONE,   /* somebody else was there first */
    TIMER_OUTAGE, /* nothing is anybody's fault: again, soon */
    TIMER_WAITS,  /* the same, of what the handlers of those in `waits` ask: others may fire */
    TIMER_FAILED, /* `failed` did; -1: the commit */
    TIMER_FULL,   /* it can't be parked: too many are */
    TIMER_APART, /* with `tries`: `failed` did, or `parts`: each is to fire in its own commit now */
};
/* Timers of one kind, which are due, in the order in which they were read; one alone of schedules.
 */
struct timer_firing {
    struct timer_manager *manager;
    const struct ledger_timer *timers;
    int count;
    struct schedule *schedule; /* of schedules */
    int64_t missed;            /* runs of it that are left out */
    bool tries;                /* whether they can share a commit; nobody is blamed if not */
    bool parts;                /* the one that failed has to have its own: it is in order */
    int failed;
    bool waits[TIMER_BATCH_MAX];
    struct fh_error error;
    char fault[FAULT_TEXT_SIZE]; /* where and why the failed one failed, for the log; "": an outage
                                  */
};
enum timer_verdict timers_fire(struct timer_firing *firing);
/* Parks the one timer with this error; a schedule goes on with its next run. */
enum timer_verdict timer_park(struct timer_firing *firing, const char *why, int attempts);

/* ---- schedule.c ---- */

/* Creates missing rows, removes those of schedules that no instance declares, and adopts changed
 * declarations. */
enum fh_code schedules_reconcile(struct timer_manager *manager, struct fh_error *error);
/* The row of its next run after `due_ms`, and how many runs are left out before it. Borrows from
 * the schedule, until its next row is made. */
struct ledger_timer schedule_next(struct schedule *schedule, int64_t due_ms, int64_t now_ms,
                                  int64_t *ret_missed);
/* The row that a schedule should have, which has `row` (NULL: none yet). False: it is as it should
 * be. */
bool schedule_adopts(struct schedule *schedule, const struct ledger_timer *row, int64_t now_ms,
                     struct ledger_timer *ret);
enum fh_code schedules_read(const fh_service *service, struct schedule *ret, int *ret_count,
                            struct fh_error *error);

#endif
