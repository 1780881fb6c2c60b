/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FREEHOLD_TELL_H
#define FREEHOLD_TELL_H

/* A part of freehold.h, which includes it: what a handler tells operators, in the log and in
 * /metrics (docs/operate/telling.md). */

/*
 * What handlers count (fh_count) or observe (fh_observe), in /metrics: a counter as NAME_total, or,
 * with buckets, a histogram. The name: lower-case letters, digits and _, at most 48, a letter
 * first; not "freehold_..." nor "..._total".
 */
struct fh_metric {
    const char *name;
    const char *help;   /* what it is, in a sentence; NULL: nothing */
    const char *labels; /* "reason,kind": at most 4 names; NULL: none */
    double buckets[12]; /* upper bounds, rising, up to the first 0 */
};

enum fh_log_level { FH_LOG_ERROR = 1, FH_LOG_WARNING, FH_LOG_INFO };
/* A line in the service's log, at once, with the route and the trace, and the members of these
 * objects as its fields. Marked values are left out. A run after a conflict logs again, and says
 * which one it is. At most 100 lines a second are written; of others the number. */
FH_API void fh_log(fh_work *w, enum fh_log_level level, const char *message, ...) FH_OBJECTS;
/* Adds to a declared metric, when the unit of work has ended: committed, or refused (4xx). What is
 * rerun counts once, what fails not at all. The labels' values (texts, integers, booleans) are
 * looked up in the objects; 100 combinations are kept apart, all others are "(others)". */
FH_API void fh_count(fh_work *w, const char *name, int64_t delta, ...) FH_OBJECTS;
FH_API void fh_observe(fh_work *w, const char *name, double value, ...) FH_OBJECTS;

#define fh_log(...) fh_log(__VA_ARGS__, (json_t *)NULL)
#define fh_count(...) fh_count(__VA_ARGS__, (json_t *)NULL)
#define fh_observe(...) fh_observe(__VA_ARGS__, (json_t *)NULL)

#endif
