/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "CET-1CEST,M3.5.0,M10.5.0/3": the names of standard and summer time with their offsets, whose
 * sign is turned around (hours behind Greenwich), then when summer time begins and ends.
 */

#include "timer/zone_rule.h"

#include <stddef.h>
#include <string.h>

#include "timer/calendar.h"

#define HOUR_S 3600
#define DAY_S 86400

/* ---- Reading ---- */

static bool rule_number(const char **at, int most, int *ret)
{
    int number = 0, digits = 0;
    while (**at >= '0' && **at <= '9' && digits < 4) {
        number = number * 10 + (*(*at)++ - '0');
        digits++;
    }
    *ret = number;
    return digits > 0 && number <= most;
}

/* "CET" or "<+03>". */
static bool rule_name(const char **at)
{
    const char *from = *at;
    if (*from == '<') {
        const char *end = strchr(from, '>');
        *at = end ? end + 1 : from;
        return end != NULL;
    }
    while ((**at >= 'a' && **at <= 'z') || (**at >= 'A' && **at <= 'Z'))
        ++*at;
    return *at - from >= 3;
}

/* "[+-]h[h][:mm[:ss]]" */
static bool rule_time(const char **at, int hours_max, int64_t *ret_s)
{
    int sign = **at == '-' ? -1 : 1, parts[3] = {0};
    if (**at == '-' || **at == '+')
        ++*at;
    if (!rule_number(at, hours_max, &parts[0]))
        return false;
    for (int i = 1; i < 3 && **at == ':'; i++) {
        ++*at;
        if (!rule_number(at, 59, &parts[i]))
            return false;
    }
    *ret_s = (int64_t)sign * (parts[0] * HOUR_S + parts[1] * 60 + parts[2]);
    return true;
}

static bool rule_weekday(const char **at, struct zone_change *change)
{
    if (!rule_number(at, 12, &change->month) || change->month < 1 || *(*at)++ != '.')
        return false;
    if (!rule_number(at, 5, &change->week) || change->week < 1 || *(*at)++ != '.')
        return false;
    return rule_number(at, 6, &change->day);
}

/* ",M3.5.0/2", ",J60" or ",59" */
static bool rule_change(const char **at, struct zone_change *change)
{
    bool fits;
    *change = (struct zone_change){.time_s = 2 * HOUR_S};
    if (**at != ',')
        return false;
    ++*at;
    if (**at == 'M') {
        ++*at;
        change->form = ZONE_RULE_WEEKDAY;
        fits = rule_weekday(at, change);
    } else {
        change->form = **at == 'J' ? ZONE_RULE_JULIAN : ZONE_RULE_DAY;
        *at += **at == 'J';
        fits = rule_number(at, 365, &change->day) &&
               (change->form == ZONE_RULE_DAY || change->day >= 1);
    }
    if (fits && **at == '/') {
        ++*at;
        fits = rule_time(at, 167, &change->time_s);
    }
    return fits;
}

bool zone_rule_parse(const char *text, struct zone_rule *ret)
{
    int64_t behind_s;
    *ret = (struct zone_rule){0};
    if (!rule_name(&text) || !rule_time(&text, 24, &behind_s))
        return false;
    ret->standard_s = ret->summer_s = -behind_s;
    if (!*text)
        return true;
    ret->changes = true;
    ret->summer_s += HOUR_S;
    if (!rule_name(&text))
        return false;
    if (*text != ',') {
        if (!rule_time(&text, 24, &behind_s))
            return false;
        ret->summer_s = -behind_s;
    }
    return rule_change(&text, &ret->begins) && rule_change(&text, &ret->ends) && !*text;
}

/* ---- Looking up ---- */

/* Local seconds at which it happens in a year. */
static int64_t change_in(const struct zone_change *change, int64_t year)
{
    int64_t day = calendar_days(year, 1, 1);
    bool leap = calendar_month_length(year, 2) == 29;
    if (change->form == ZONE_RULE_DAY)
        day += change->day;
    if (change->form == ZONE_RULE_JULIAN)
        day += change->day - 1 + (leap && change->day >= 60);
    if (change->form == ZONE_RULE_WEEKDAY) {
        day = calendar_days(year, change->month, 1);
        day += (change->day - calendar_weekday(day) + 7) % 7 + 7 * (change->week - 1);
        int64_t next =
            calendar_days(year, change->month, 1) + calendar_month_length(year, change->month);
        while (day >= next) /* week 5 is the last one */
            day -= 7;
    }
    return day * DAY_S + change->time_s;
}

int64_t zone_rule_offset(const struct zone_rule *rule, int64_t utc_s)
{
    if (!rule->changes)
        return rule->standard_s;
    int64_t year = calendar_date_of(calendar_floor(utc_s + rule->standard_s, DAY_S)).year;
    int64_t begins = change_in(&rule->begins, year) - rule->standard_s;
    int64_t ends = change_in(&rule->ends, year) - rule->summer_s;
    bool summer = begins < ends ? utc_s >= begins && utc_s < ends : utc_s >= begins || utc_s < ends;
    return summer ? rule->summer_s : rule->standard_s;
}
