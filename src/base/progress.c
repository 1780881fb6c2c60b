/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rate is the average of all the work so far, and the time left assumes that the rest goes at
 * this rate. Steady figures read better than quick ones, even though a slow start distorts them for
 * a while and a pause for good. The bar takes the width that the words leave.
 */

#define _GNU_SOURCE
#include "base/progress.h"

#include "base/terminal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define DRAWN_NS 100000000    /* between two redraws on a terminal */
#define WRITTEN_NS 5000000000 /* between two lines elsewhere */
#define RATE_SECONDS_MIN 0.5  /* before this the rate means nothing */
#define BAR_MIN 6
#define BAR_MAX 24
#define NUMBER_SIZE 32
#define WIDTH_DEFAULT 80

static int64_t progress_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* 1234567 as "1,234,567". */
static void format_number(int64_t number, char out[static NUMBER_SIZE])
{
    char digits[NUMBER_SIZE];
    int length = snprintf(digits, sizeof digits, "%" PRId64, number < 0 ? 0 : number), at = 0;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
}

/* ", 52,300/s, 11s left" */
static void format_pace(const struct progress *progress, double seconds, char *out, size_t size)
{
    char rate[NUMBER_SIZE];
    out[0] = '\0';
    if (seconds < RATE_SECONDS_MIN || progress->done <= 0)
        return;
    double per_s = (double)progress->done / seconds;
    if (per_s < 10)
        snprintf(rate, sizeof rate, "%.1f", per_s);
    else
        format_number((int64_t)per_s, rate);
    int length = snprintf(out, size, ", %s/s", rate);
    if (progress->total <= progress->done || length < 0 || (size_t)length >= size)
        return;
    double left = (double)(progress->total - progress->done) / per_s;
    if (left < 120)
        snprintf(out + length, size - (size_t)length, ", %.0fs left", left);
    else if (left < 7200)
        snprintf(out + length, size - (size_t)length, ", %.0fm left", left / 60);
    else
        snprintf(out + length, size - (size_t)length, ", %.0fh left", left / 3600);
}

/* "[######......]", as wide as `room` columns allow; "" if that is too narrow. */
static void format_bar(double part, int room, char out[static BAR_MAX + 3])
{
    int width = room - 2 < BAR_MAX ? room - 2 : BAR_MAX;
    out[0] = '\0';
    if (width < BAR_MIN)
        return;
    int full = (int)(part * width);
    out[0] = '[';
    memset(out + 1, '#', (size_t)full);
    memset(out + 1 + full, '.', (size_t)(width - full));
    memcpy(out + 1 + width, "]", 2);
}

void progress_line(const struct progress *progress, double seconds, int width,
                   char out[static PROGRESS_LINE_SIZE])
{
    char done[NUMBER_SIZE], total[NUMBER_SIZE], pace[2 * NUMBER_SIZE], bar[BAR_MAX + 3];
    char words[3 * PROGRESS_LINE_SIZE / 4];
    format_number(progress->done, done);
    format_number(progress->total, total);
    const char *about = progress->guessed ? "about " : "";
    bool known = progress->total > 0 && !(progress->guessed && progress->done > progress->total);
    format_pace(progress, seconds, pace, sizeof pace);
    if (known) {
        double part = (double)progress->done / (double)progress->total;
        part = part < 0 ? 0 : part > 1 ? 1 : part;
        snprintf(words, sizeof words, "%3d%%  %s of %s%s %s%s", (int)(100 * part), done, about,
                 total, progress->unit, pace);
        format_bar(part, width - (int)(strlen(progress->what) + strlen(words)) - 4, bar);
        snprintf(out, PROGRESS_LINE_SIZE, "%s  %s%s%s", progress->what, bar, *bar ? "  " : "",
                 words);
    } else {
        snprintf(out, PROGRESS_LINE_SIZE, "%s  %s %s%s", progress->what, done, progress->unit,
                 pace);
    }
    if (width > 0 && width < PROGRESS_LINE_SIZE)
        out[width] = '\0';
}

static int width_of(FILE *stream)
{
    struct winsize size;
    const char *terminal = getenv("TERM");
    if (!terminal_shows(stream) || !terminal || strcmp(terminal, "dumb") == 0)
        return 0;
    return ioctl(terminal_descriptor(stream), TIOCGWINSZ, &size) == 0 && size.ws_col
               ? size.ws_col
               : WIDTH_DEFAULT;
}

const char *course_unit(const struct course *course)
{
    return course->of && strcmp(course->of, COURSE_EVENTS) == 0 ? COURSE_EVENTS : "rows";
}

void progress_begin(struct progress *progress, const char *what, const char *unit, int64_t total,
                    bool quiet)
{
    *progress = (struct progress){.what = what, .unit = unit, .total = total};
    progress->stream = quiet ? NULL : stderr;
    progress->width = quiet ? 0 : width_of(stderr);
    progress->began_ns = progress_now_ns();
    progress->drawn_ns = progress->width ? 0 : progress->began_ns;
}

void progress_reach(struct progress *progress, int64_t done)
{
    char line[PROGRESS_LINE_SIZE];
    progress->done = done;
    if (!progress->stream)
        return;
    int64_t now = progress_now_ns();
    if (now - progress->drawn_ns < (progress->width ? DRAWN_NS : WRITTEN_NS))
        return;
    progress->drawn_ns = now;
    /* One column is left free: some terminals scroll when a line ends in the last one. */
    progress_line(progress, (double)(now - progress->began_ns) / 1e9,
                  progress->width ? progress->width - 1 : 0, line);
    if (progress->width)
        terminal_control(progress->stream, "\r");
    fprintf(progress->stream, progress->width ? "%s" : "%s\n", line);
    if (progress->width)
        terminal_control(progress->stream, "\033[K");
    progress->drawn = progress->width != 0;
}

void progress_follow(struct progress *progress, const struct course *course)
{
    if (course->done < progress->done)
        progress->began_ns = progress_now_ns();
    progress->total = course->total;
    progress->guessed = course->guessed;
    progress_reach(progress, course->done);
}

void progress_hide(struct progress *progress)
{
    if (!progress->drawn)
        return;
    terminal_control(progress->stream, "\r\033[K");
    progress->drawn = false;
    progress->drawn_ns = 0;
}

void progress_end(struct progress *progress)
{
    progress_hide(progress);
    progress->stream = NULL;
}
