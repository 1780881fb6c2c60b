/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The next run is looked for in local time, day by day, since that is what a schedule means: a day
 * that has 23 hours has each of its runs once, and so has one of 25. A schedule of every hour means
 * real time instead, so its minutes are looked for one by one.
 */

#include "timer/cron.h"

#include <string.h>
#include <strings.h>

#include "timer/calendar.h"

#define DAY_S INT64_C(86400)
#define HOUR_S 3600
/* 29 February comes after eight years at the latest. */
#define SEARCHED_DAYS (8 * 366 + 2)
#define TRANSITION_S_MAX (3 * HOUR_S) /* local midnight may be this much nearer than it looks */

/* ---- Reading ---- */

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                          "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekday_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

static const struct cron_field {
    const char *name;
    int min, max;
    const char *const *names; /* of min, min + 1, ...; or NULL */
} cron_fields[] = {{"minute", 0, 59, NULL},
                   {"hour", 0, 23, NULL},
                   {"day of the month", 1, 31, NULL},
                   {"month", 1, 12, month_names},
                   {"day of the week", 0, 7, weekday_names}};
#define FIELDS 5

struct cron_reading {
    const char *text, *at;
    const struct cron_field *field;
    struct fh_error *error;
};

static enum fh_code cron_refuse(const struct cron_reading *reading, const char *what)
{
    const struct cron_field *field = reading->field;
    return error_set(reading->error, FH_INVALID, "column %d of \"%.40s\", the %s: %s",
                     (int)(reading->at - reading->text) + 1, reading->text, field->name, what);
}

static enum fh_code refuse_number(const struct cron_reading *reading, const char *at)
{
    const struct cron_field *field = reading->field;
    return error_set(reading->error, FH_INVALID,
                     "column %d of \"%.40s\", the %s: expected * or a number from %d to %d%s.",
                     (int)(at - reading->text) + 1, reading->text, field->name, field->min,
                     field->max, field->names ? ", or a name of three letters" : "");
}

static int named_number(const struct cron_reading *reading)
{
    for (int i = 0; reading->field->names && reading->field->names[i]; i++) {
        if (strncasecmp(reading->at, reading->field->names[i], 3) == 0)
            return reading->field->min + i;
    }
    return -1;
}

static enum fh_code cron_number(struct cron_reading *reading, int min, int max, int *ret)
{
    const char *from = reading->at;
    int number = named_number(reading);
    if (number >= 0) {
        reading->at += 3;
    } else {
        number = 0;
        while (*reading->at >= '0' && *reading->at <= '9' && reading->at - from < 3)
            number = number * 10 + (*reading->at++ - '0');
    }
    *ret = number;
    if (reading->at == from || number < min || number > max)
        return refuse_number(reading, from);
    return FH_OK;
}

/* "*", "7", "1-5", and with a step "*" "/2", "1-5/2". */
static enum fh_code cron_item(struct cron_reading *reading, uint64_t *bits)
{
    const struct cron_field *field = reading->field;
    int first = field->min, last = field->max, step = 1;
    bool is_range = *reading->at == '*';
    enum fh_code code = FH_OK;
    if (is_range)
        reading->at++;
    else
        code = cron_number(reading, field->min, field->max, &first);
    if (code == FH_OK && !is_range) {
        last = first;
        if (*reading->at == '-') {
            reading->at++;
            is_range = true;
            code = cron_number(reading, first, field->max, &last);
        }
    }
    if (code == FH_OK && *reading->at == '/') {
        if (!is_range)
            return cron_refuse(reading, "a step needs * or a range before it.");
        reading->at++;
        const char *from = reading->at;
        step = 0;
        while (*reading->at >= '0' && *reading->at <= '9' && reading->at - from < 3)
            step = step * 10 + (*reading->at++ - '0');
        if (step < 1 || step > field->max) {
            reading->at = from;
            return cron_refuse(reading, "expected a step, a number from 1 on.");
        }
    }
    for (int i = first; i <= last && code == FH_OK; i += step)
        *bits |= UINT64_C(1) << i;
    return code;
}

static enum fh_code cron_list(struct cron_reading *reading, uint64_t *ret_bits)
{
    enum fh_code code;
    *ret_bits = 0;
    for (;;) {
        code = cron_item(reading, ret_bits);
        if (code != FH_OK || *reading->at != ',')
            break;
        reading->at++;
    }
    if (code == FH_OK && *reading->at && *reading->at != ' ' && *reading->at != '\t')
        return cron_refuse(reading, "expected a comma, a range, a step, or a blank.");
    return code;
}

/* Whether any month has one of the days. */
static bool cron_comes(const struct cron *cron)
{
    if (cron->either_day)
        return true;
    for (int month = 1; month <= 12; month++) {
        uint32_t days = cron->days & (uint32_t)(UINT64_C(0xFFFFFFFF) >>
                                                (31 - calendar_month_length(2000, month)));
        if (cron->months >> month & 1 && days)
            return true;
    }
    return false;
}

enum fh_code cron_parse(const char *text, struct cron *ret, struct fh_error *error)
{
    struct cron_reading reading = {.text = text, .at = text, .error = error};
    uint64_t bits[FIELDS];
    bool any_day[FIELDS] = {false};
    for (int i = 0; i < FIELDS; i++) {
        reading.field = &cron_fields[i];
        reading.at += strspn(reading.at, " \t");
        if (!*reading.at)
            return cron_refuse(&reading,
                               "it is missing. Five fields are needed: minute, hour, day, month, "
                               "day of the week.");
        any_day[i] = *reading.at == '*';
        enum fh_code code = cron_list(&reading, &bits[i]);
        if (code != FH_OK)
            return code;
    }
    reading.at += strspn(reading.at, " \t");
    if (*reading.at)
        return cron_refuse(&reading, "nothing may follow it: there are five fields.");
    *ret = (struct cron){.minutes = bits[0],
                         .hours = (uint32_t)bits[1],
                         .days = (uint32_t)bits[2],
                         .months = (uint32_t)bits[3],
                         .weekdays = (uint32_t)((bits[4] | bits[4] >> 7) & 0x7F),
                         .either_day = !any_day[2] && !any_day[4],
                         .every_hour = bits[1] == 0xFFFFFF};
    if (!cron_comes(ret))
        return error_set(error, FH_INVALID, "\"%.40s\": that day never comes.", text);
    return FH_OK;
}

/* ---- The next run ---- */

static bool is_cron_day(const struct cron *cron, int64_t days)
{
    struct calendar_date date = calendar_date_of(days);
    if (!(cron->months >> date.month & 1))
        return false;
    bool day = cron->days >> date.day & 1, weekday = cron->weekdays >> calendar_weekday(days) & 1;
    return cron->either_day ? day || weekday : day && weekday;
}

/* In real time: what the clocks show at each minute. */
static int64_t next_by_minutes(const struct cron *cron, const struct zone *zone, int64_t after_s)
{
    int64_t last = after_s + SEARCHED_DAYS * DAY_S;
    int64_t at = (calendar_floor(after_s, 60) + 1) * 60;
    while (at < last) {
        int64_t local = at + zone_offset(zone, at), day = calendar_floor(local, DAY_S);
        int64_t left = (day + 1) * DAY_S - local;
        if (!is_cron_day(cron, day))
            at += left > TRANSITION_S_MAX + 60 ? (left - TRANSITION_S_MAX) / 60 * 60 : 60;
        else if (cron->minutes >> (local % HOUR_S / 60) & 1)
            return at;
        else
            at += 60;
    }
    return last;
}

/* In local time: the first that comes after it. */
static int64_t next_on_day(const struct cron *cron, const struct zone *zone, int64_t day,
                           int64_t after_s)
{
    for (int hour = 0; hour < 24; hour++) {
        for (int minute = 0; minute < 60 && cron->hours >> hour & 1; minute++) {
            if (!(cron->minutes >> minute & 1))
                continue;
            int64_t at = zone_utc(zone, day * DAY_S + hour * HOUR_S + minute * 60);
            if (at > after_s)
                return at;
        }
    }
    return INT64_MAX;
}

int64_t cron_next(const struct cron *cron, const struct zone *zone, int64_t after_ms)
{
    int64_t after_s = calendar_floor(after_ms, 1000);
    if (cron->every_hour)
        return next_by_minutes(cron, zone, after_s) * 1000;
    int64_t today = calendar_floor(after_s + zone_offset(zone, after_s), DAY_S);
    for (int64_t day = today; day < today + SEARCHED_DAYS; day++) {
        int64_t at = is_cron_day(cron, day) ? next_on_day(cron, zone, day, after_s) : INT64_MAX;
        if (at != INT64_MAX)
            return at * 1000;
    }
    return (after_s + SEARCHED_DAYS * DAY_S) * 1000;
}
