/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_REPORT_LINE_H
#define STORE_REPORT_LINE_H

/* The line in which reports wait that a server runs: one of a store is under way at once. Fibers of
 * one thread stand in it. */

#include "store/store.h"
#include "world/fiber.h"

#define REPORTS_WAITING_MAX 16

struct report_line {
    bool running;
    int waiting;
    int holding; /* of both: those that keep a connection for units of work meanwhile */
    struct fiber_queue queue;
};

/* Parks until it has its turn, at most until the deadline. `holds`: it keeps a connection
 * meanwhile, as `holding_max` may. FH_UNAVAILABLE, STORE_BUSY: it has none. Else
 * report_line_leave. */
enum fh_code report_line_enter(struct report_line *line, struct store *store, int64_t deadline_ns,
                               bool holds, int holding_max, struct fh_error *error);
/* The next one has its turn at once, and nobody comes between. */
void report_line_leave(struct report_line *line, bool holds);
/* Whether the deadline has passed, or the store's questions end. */
bool report_is_over(const struct store *store, int64_t deadline_ns);
/* FH_UNAVAILABLE, retryable; `native`: STORE_BUSY or STORE_LATE. */
enum fh_code report_busy(struct fh_error *error, const char *message, const char *native);

#endif
