/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

/*
 * One line per message, on standard error: time, level, service, id, text. Secrets are never
 * logged.
 *
 * The id is what operators and their alerts search for: a noun and what became of it, as in
 * "subscription-paused". It is written as a literal at the call, stands for one meaning, and stays
 * as it is once it was released; the text may be worded anew. docs/reference/logs.md lists them
 * all.
 */

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_init(const char *name, enum log_level level);
typedef void log_receiver(void *context, enum log_level level, const char *id, const char *text);
/* From now on lines go to `to` instead, without time and name; NULL: to standard error again. */
void log_redirect(log_receiver *to, void *context);
void log_line(enum log_level level, const char *id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same line from a signal handler, or any thread: without memory and locks. `text` is written
 * as it is, cut at 900 bytes; nothing is redirected. */
void log_signal_safe(enum log_level level, const char *id, const char *text);

/* Of lines that whoever asks can cause as often as they like: one in LOG_PAUSE_NS. */
#define LOG_PAUSE_NS INT64_C(1000000000)
struct log_pause {
    int64_t until_ns;   /* of the caller's monotonic clock; 0: none was logged yet */
    unsigned held_back; /* since the last one */
};
/* Whether the next one may be logged; *ret_more: how many could not be since the last. */
bool log_pause_passes(struct log_pause *pause, int64_t now_ns, unsigned *ret_more);

/* The same for lines of which each says something: so many in a second, the others are counted. */
struct log_rate {
    int64_t since_ns;
    unsigned count, held_back;
};
bool log_rate_passes(struct log_rate *rate, unsigned a_second, int64_t now_ns, unsigned *ret_more);
/* The same, of another time than a second. */
bool log_window_passes(struct log_rate *rate, unsigned count, int64_t window_ns, int64_t now_ns,
                       unsigned *ret_more);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
