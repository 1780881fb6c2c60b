/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIMER_CALENDAR_H
#define TIMER_CALENDAR_H

/* The Gregorian calendar, in days since 1970-01-01. */

#include <stdint.h>

struct calendar_date {
    int64_t year;
    int month, day; /* from 1 */
};

int64_t calendar_days(int64_t year, int month, int day);
struct calendar_date calendar_date_of(int64_t days);
int calendar_month_length(int64_t year, int month);
/* 0: Sunday. */
static inline int calendar_weekday(int64_t days)
{
    return (int)(((days + 4) % 7 + 7) % 7);
}
/* Division that rounds down. */
static inline int64_t calendar_floor(int64_t number, int64_t by)
{
    return number / by - (number % by < 0);
}

#endif
