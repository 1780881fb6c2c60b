/* SPDX-License-Identifier: Apache-2.0 */
/* All that can be done, by its text. Declarations are few, so the table is small. */

#include "base/doing.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/map.h"
#include "base/symbol.h"

_Atomic(const struct doing *) doing_now;

static struct map doings;
static int doing_count;

const struct doing *doing_of(doing_function *handler, const char *format, ...)
{
    static const struct doing others = {.what = "something of many"};
    char what[DOING_SIZE], name[DOING_SIZE + 32];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    snprintf(name, sizeof name, "%.*s %p", DOING_SIZE, what, (const void *)(uintptr_t)handler);
    if (!doing_count)
        map_init(&doings);
    struct doing *doing = map_get(&doings, name);
    if (doing || doing_count == DOINGS_MAX)
        return doing ? doing : &others;
    doing = calloc(1, sizeof *doing);
    FH_ASSERT(doing != NULL);
    snprintf(doing->what, sizeof doing->what, "%s", what);
    doing->function = handler;
    if (handler) {
        char text[SYMBOL_SIZE];
        symbols_init(); /* else an address, which differs in each run of a simulation */
        symbol_name((const void *)(uintptr_t)handler, text);
        snprintf(doing->handler, sizeof doing->handler, "%s", text);
    }
    map_put(&doings, name, doing);
    doing_count++;
    return doing;
}
