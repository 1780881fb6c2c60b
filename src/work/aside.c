/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What handlers use beside request, store and answer: text in the work's arena, and waiting.
 *
 * A handler that waits is still asking: the store's one writing transaction is never held while
 * time passes. The wait is remembered among the answers of others, so that a rerun, which hears
 * them again, does not wait again. The caller's deadline does not end it: what a slow bank does
 * late it does all the same, and the work that follows must say so.
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
        fh_fail(w, 500, "A handler waited for %d ms, and 0 to %d are allowed.", ms, DELAY_MS_MAX);
    if (work_asked_again(w))
        return;
    w->context->waits = true;
    struct world *world = w->context->world;
    fiber_sleep_until(world, world_in_ms(world, ms));
    work_asked_record(w, json_true());
}
