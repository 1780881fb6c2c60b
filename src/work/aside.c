/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What handlers use beside request, store and answer: text on the arena of the unit of work, and
 * waiting.
 *
 * A handler that waits is still in its asking phase: the store's one writing transaction is never
 * held while time passes. The wait is recorded among the answers of other services, so that a rerun
 * does not wait again. The caller's deadline does not end the wait: a slow bank acts late all the
 * same, and the rest of the unit of work must record that.
 */

#include <stdarg.h>

#include "work/work.h"

#define DELAY_MS_MAX 60000

const char *fh_format(fh_work *w, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const char *text = work_vprintf(w, format, arguments);
    va_end(arguments);
    return text;
}

void fh_delay_ms(fh_work *w, int ms)
{
    work_must_be_asking(w, "fh_delay_ms");
    if (ms < 0 || ms > DELAY_MS_MAX)
        work_fault(w, "A handler waited for %d ms, and 0 to %d are allowed.", ms, DELAY_MS_MAX);
    if (work_asked_again(w))
        return;
    w->context->waits = true;
    struct world *world = w->context->world;
    work_parks(w);
    fiber_sleep_until(world, world_in_ms(world, ms));
    work_asked_record(w, json_true());
}
