/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIMER_CRON_H
#define TIMER_CRON_H

/*
 * When a schedule runs: cron's five fields (minute, hour, day of the month, month, day of the week)
 * in the local time of a zone. Each is a list of numbers, ranges and "*", with steps: "0",
 * "8-18/2", "mon-fri", "*" "/15". Months and weekdays also have names; Sunday is 0 or 7. If both
 * days are restricted, either suffices.
 *
 * Where the clocks skip a time, what was to run then runs when they do. Where they show a time
 * twice, it runs at the first, once; only a schedule of every hour goes on as if nothing happened.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "timer/zone.h"

struct cron {
    uint64_t minutes;
    uint32_t hours, days, months, weekdays; /* a bit each; days and months from 1 */
    bool either_day, every_hour;
};

/* FH_INVALID: not well-formed, with the column (from 1) and what was expected; or a day that never
 * comes. Pure. */
enum fh_code cron_parse(const char *text, struct cron *ret, struct fh_error *error);
/* The first run after that moment; ms since 1970. Pure. */
int64_t cron_next(const struct cron *cron, const struct zone *zone, int64_t after_ms);

#endif
