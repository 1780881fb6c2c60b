/* SPDX-License-Identifier: Apache-2.0 */
/* The server as all others know it: there is one in a run, it can be woken, and it can fail. */

#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"
#include "simulate/redis/model.h"

static struct served *the_server;

void served_begin(struct served *served)
{
    the_server = served;
}

struct served *the_served(void)
{
    FH_ASSERT(the_server != NULL);
    return the_server;
}

void served_fail(struct served *served, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    served->failed(served->context, text);
}

void served_wake(struct served *served)
{
    if (served->busy || served->down)
        served->more = true;
    else if (!served->turn.place)
        simulate_plan(served->simulate, &served->turn, served->simulate->now_ns);
}
