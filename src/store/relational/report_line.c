/* SPDX-License-Identifier: Apache-2.0 */
/* The line of reports, in the order in which they come. Who has left it has no turn, and whoever is
 * behind has it: so nobody waits for one that is not there. */

#include "store/relational/report_line.h"

#include <stdio.h>

#include "world/world.h"

enum fh_code report_busy(struct fh_error *error, const char *message, const char *native)
{
    error_retry(error, FH_UNAVAILABLE, "%s", message);
    snprintf(error->native, sizeof error->native, "%s", native);
    return FH_UNAVAILABLE;
}

bool report_is_over(const struct store *store, int64_t deadline_ns)
{
    int64_t now_ns = world_monotonic_ns(store->world);
    int64_t ends_ns = atomic_load_explicit(&store->asked_until_ns, memory_order_relaxed);
    return now_ns >= deadline_ns || (ends_ns && now_ns >= ends_ns);
}

/* Whoever keeps a connection meanwhile, to read on in the same snapshot, leaves some to others. */
enum fh_code report_line_enter(struct report_line *line, struct store *store, int64_t deadline_ns,
                               bool holds, int holding_max, struct fh_error *error)
{
    if ((line->running && line->waiting >= REPORTS_WAITING_MAX) ||
        (holds && line->holding && line->holding >= holding_max))
        return report_busy(error, STORE_ASKED_TOO_MUCH, STORE_BUSY);
    line->holding += holds;
    bool turn = !line->running;
    if (!turn) {
        line->waiting++;
        turn = fiber_wait_until(&line->queue, store->world, deadline_ns);
        line->waiting--;
    }
    if (!turn) {
        line->holding -= holds;
        return report_busy(error, STORE_ASKED_TOO_LATE, STORE_BUSY);
    }
    line->running = true;
    if (!report_is_over(store, deadline_ns))
        return FH_OK;
    report_line_leave(line, holds); /* the service ends */
    return report_busy(error, STORE_ASKED_TOO_LATE, STORE_BUSY);
}

void report_line_leave(struct report_line *line, bool holds)
{
    line->holding -= holds;
    line->running = line->queue.first != NULL;
    fiber_wake_one(&line->queue);
}
