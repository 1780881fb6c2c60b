/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of a unit of work: from the arena of its present run; when it runs out, the unit of work
 * ends. */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "work/work.h"

void *work_alloc(fh_work *w, size_t size)
{
    void *memory = arena_try_alloc(&w->arena, size);
    if (!memory) {
        struct fh_error error;
        error_set(&error, FH_NO_MEMORY, WORK_MEMORY_FAULT);
        work_fail(w, &error);
    }
    return memset(memory, 0, size);
}

char *work_vprintf(fh_work *w, const char *format, va_list args)
{
    char small[256];
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(small, sizeof small, format, args);
    FH_ASSERT(length >= 0);
    char *text = work_alloc(w, (size_t)length + 1);
    if ((size_t)length < sizeof small)
        memcpy(text, small, (size_t)length);
    else
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

char *work_printf(fh_work *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = work_vprintf(w, format, args);
    va_end(args);
    return text;
}
