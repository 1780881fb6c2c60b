/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one write(2) per line, so that lines of several processes in one file do not mix. Line
 * breaks inside a message become spaces; a line that is too long is cut. Its time is only for
 * readers and decides nothing, so it need not come from the world (world/world.h).
 */

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_SIZE 1024

static char log_name[64] = "freehold";
static enum log_level log_level_max = LOG_LEVEL_INFO;

void log_init(const char *name, enum log_level level)
{
    snprintf(log_name, sizeof log_name, "%s", name);
    log_level_max = level;
}

static log_receiver *log_to;
static void *log_to_context;

void log_redirect(log_receiver *to, void *context)
{
    log_to = to;
    log_to_context = context;
}

__attribute__((format(printf, 3, 0))) static void
line_elsewhere(enum log_level level, const char *id, const char *format, va_list args)
{
    char text[1024];
    vsnprintf(text, sizeof text, format, args);
    log_to(log_to_context, level, id, text);
}

static const char *const level_names[] = {"error", "warning", "info", "debug"};

void log_line(enum log_level level, const char *id, const char *format, ...)
{
    if (level > log_level_max)
        return;
    va_list args;
    if (log_to) {
        va_start(args, format);
        line_elsewhere(level, id, format, args);
        va_end(args);
        return;
    }
    char line[LINE_SIZE];
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    size_t used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &parts);
    used += (size_t)snprintf(line + used, sizeof line - used,
                             ".%03ldZ %s %s [%s]: ", now.tv_nsec / 1000000, level_names[level],
                             log_name, id);
    va_start(args, format);
    int length = vsnprintf(line + used, sizeof line - used - 1, format, args);
    va_end(args);
    if (length < 0)
        return;
    size_t end = used + (size_t)length;
    if (end > sizeof line - 2)
        end = sizeof line - 2;
    for (size_t i = used; i < end; i++) {
        if ((unsigned char)line[i] < ' ')
            line[i] = ' ';
    }
    line[end++] = '\n';
    if (write(STDERR_FILENO, line, end) < 0)
        return; /* there is nowhere left to report it */
}

/* gmtime_r may read a file, and is not async-signal-safe: days to a date by H. Hinnant's
 * days_from_civil, the other way round. */
static void put_time(char out[static 25], int64_t seconds, long ms)
{
    int64_t days = seconds / 86400, rest = seconds % 86400;
    int64_t shifted = days + 719468, era = shifted / 146097, day_of_era = shifted % 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153, day = day_of_year - (153 * month + 2) / 5 + 1;
    month += month < 10 ? 3 : -9;
    const int64_t parts[] = {year_of_era + era * 400 + (month <= 2),
                             month,
                             day,
                             rest / 3600,
                             rest / 60 % 60,
                             rest % 60,
                             ms};
    static const char form[] = "0000-00-00T00:00:00.000Z";
    static const int widths[] = {4, 2, 2, 2, 2, 2, 3};
    memcpy(out, form, sizeof form);
    for (int i = 0, at = 0; i < 7; at += widths[i++] + 1) {
        int64_t value = parts[i];
        for (int digit = widths[i] - 1; digit >= 0; digit--, value /= 10)
            out[at + digit] = (char)('0' + value % 10);
    }
}

static size_t line_add(char line[static LINE_SIZE], size_t at, const char *text)
{
    for (; *text && at < LINE_SIZE - 2; text++)
        line[at++] = (unsigned char)*text < ' ' ? ' ' : *text;
    return at;
}

void log_signal_safe(enum log_level level, const char *id, const char *text)
{
    char line[LINE_SIZE], when[25];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    put_time(when, now.tv_sec, now.tv_nsec / 1000000);
    const char *const parts[] = {when,  " ", level_names[level], " ", log_name, " [", id,
                                 "]: ", text};
    size_t end = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        end = line_add(line, end, parts[i]);
    line[end++] = '\n';
    if (write(STDERR_FILENO, line, end) < 0)
        return;
}

bool log_pause_passes(struct log_pause *pause, int64_t now_ns, unsigned *ret_more)
{
    *ret_more = pause->held_back;
    if (pause->until_ns && now_ns < pause->until_ns) {
        pause->held_back++;
        return false;
    }
    *pause = (struct log_pause){.until_ns = now_ns + LOG_PAUSE_NS};
    return true;
}

bool log_rate_passes(struct log_rate *rate, unsigned a_second, int64_t now_ns, unsigned *ret_more)
{
    return log_window_passes(rate, a_second, LOG_PAUSE_NS, now_ns, ret_more);
}

bool log_window_passes(struct log_rate *rate, unsigned count, int64_t window_ns, int64_t now_ns,
                       unsigned *ret_more)
{
    if (now_ns - rate->since_ns >= window_ns || !rate->count)
        *rate = (struct log_rate){.since_ns = now_ns, .held_back = rate->held_back};
    *ret_more = rate->held_back;
    if (rate->count >= count) {
        rate->held_back++;
        return false;
    }
    rate->count++;
    rate->held_back = 0;
    return true;
}
