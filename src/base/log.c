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

void log_line(enum log_level level, const char *id, const char *format, ...)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    if (level > log_level_max)
        return;
    va_list args;
    if (log_to) {
        va_start(args, format);
        line_elsewhere(level, id, format, args);
        va_end(args);
        return;
    }
    char line[1024];
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    size_t used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &parts);
    used +=
        (size_t)snprintf(line + used, sizeof line - used,
                         ".%03ldZ %s %s [%s]: ", now.tv_nsec / 1000000, names[level], log_name, id);
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
