/* SPDX-License-Identifier: Apache-2.0 */
/* Years begin in March here, so that the day that is not in every year is the last one; 400 years
 * have the same days again. */

#include "timer/calendar.h"

#include <stdbool.h>

#define ERA_DAYS 146097   /* 400 years */
#define EPOCH_DAYS 719468 /* from 0000-03-01 to 1970-01-01 */

int64_t calendar_days(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = calendar_floor(year, 400), of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAYS;
}

struct calendar_date calendar_date_of(int64_t days)
{
    days += EPOCH_DAYS;
    int64_t era = calendar_floor(days, ERA_DAYS), of_era = days - era * ERA_DAYS;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t from_march = (5 * of_year + 2) / 153;
    int month = (int)(from_march < 10 ? from_march + 3 : from_march - 9);
    return (struct calendar_date){.year = year + era * 400 + (month <= 2),
                                  .month = month,
                                  .day = (int)(of_year - (153 * from_march + 2) / 5 + 1)};
}

int calendar_month_length(int64_t year, int month)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return lengths[month - 1] + (month == 2 && leap);
}
