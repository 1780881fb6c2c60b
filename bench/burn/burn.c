/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service whose routes take one millisecond of the processor each, for what overload does to it:
 * a read, and a command with a body.
 */

#include <freehold.h>
#include <time.h>

#define BURN_NS 1000000

/* The thread's own time: what others take of the machine meanwhile makes no request cheaper. */
static int64_t processor_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void burn(fh_work *w)
{
    int64_t until_ns = processor_ns() + BURN_NS;
    while (processor_ns() < until_ns)
        for (volatile int i = 0; i < 1000; i++)
            continue;
    fh_reply(w, 200, json_pack("{s:b}", "burnt", 1));
}

static const fh_field load_shape[] = {{"load", FH_STRING}, {0}};

FH_SERVICE(burn, .model = FH_RELATIONAL,
           .routes = {{"GET", "/burn", burn, .auth = FH_ANYONE},
                      {"POST", "/burn", burn, .body = load_shape, .auth = FH_ANYONE}});
