/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FREEHOLD_TIME_H
#define FREEHOLD_TIME_H

/* A part of freehold.h, which includes it: what a service does at a time (docs/guide/time.md). */

/* What can be done at a time: fh_at names it. A timer that is set outlives the program that has set
 * it, so its name and data stay what they are as long as some are pending. */
struct fh_timer {
    const char *name; /* letters, digits, _ and - */
    fh_handler *handler;
    const fh_field *data; /* what fh_at takes; NULL: any object */
};

/* A schedule: cron's five fields (minute, hour, day of the month, month, day of the week) in the
 * local time of a zone. One instance runs it, once for each time; missed runs are run once. */
struct fh_every {
    const char *name;
    fh_handler *handler;
    const char *cron; /* "0 3 * * *" */
    const char *zone; /* "Europe/Berlin"; NULL: UTC */
};

/* From `when_ms` on (ms since 1970, by the wall clock), the handler of the declared timer `name`
 * runs in a unit of work of its own, with `data` (an object of its shape; NULL: {}). Set with this
 * unit of work: if that is rolled back, nothing was set. Returns its id. */
FH_API const char *fh_at(fh_work *w, int64_t when_ms, const char *name, json_t *data);
/* Takes a timer back. False: it is not pending: it has fired, or was cancelled, or `id` is NULL. */
FH_API bool fh_cancel(fh_work *w, const char *id);
/* In handlers of `timers` and `every`: a timer's data; and when it was due. A schedule's data are
 * {"cron", "zone", "after_ms"}: since then it has not run. */
FH_API json_t *fh_timer_data(fh_work *w);
FH_API int64_t fh_timer_due_ms(fh_work *w);

#endif
