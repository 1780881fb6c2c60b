/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_WATCHDOG_H
#define SERVICE_WATCHDOG_H

/*
 * Sees a handler that does not return to the loop: it blocks, or computes without an end, and
 * nothing else in its process is served meanwhile. The loop beats once a second; where it has not
 * for WATCHDOG_SILENT_MS, a thread of its own looks once a second whether the fiber that runs is
 * still the one that ran before (fiber_turns). So fibers pay nothing for it but counting, the
 * thread sleeps as long as the loop lives, and what hangs need not say so itself.
 *
 * It logs what hangs and for how long, after WATCHDOG_S seconds and then each time that it has
 * become twice as long, and that it has returned after all; it ends nobody: `up` does, when the
 * heartbeats stay away.
 *
 * Time in which the thread itself was stopped, by a debugger, SIGSTOP or a machine that slept, does
 * not count: it goes by its own looks, and begins anew when one of them came late.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/doing.h"

#define WATCHDOG_LOOK_MS 1000
#define WATCHDOG_SILENT_MS 1500
#define WATCHDOG_S 2

/* What it has seen. Pure: watchdog_see is called at each look. */
struct watchdog_sight {
    uint64_t turns; /* fiber_turns at the last look */
    int seconds;    /* that the same fiber has been running */
    int told;       /* the seconds of the last line about it; 0: none */
    int took;       /* the seconds of the one that has returned */
    const struct doing *doing;
};

enum watchdog_verdict { WATCHDOG_NOTHING, WATCHDOG_HANGS, WATCHDOG_TELLS, WATCHDOG_RETURNED };
/* `late`: the time since the last look does not count. WATCHDOG_TELLS: it hangs, and the log should
 * say so. WATCHDOG_RETURNED: `watch` still says who, and how long it took. */
enum watchdog_verdict watchdog_see(struct watchdog_sight *watch, uint64_t turns,
                                   const struct doing *doing, bool late);

struct watchdog {
    uv_thread_t thread;
    bool runs;
    atomic_bool stopping;
    int timer_fd;   /* a timerfd: expires where the loop is silent */
    int control_fd; /* where `up` is told of it; -1: nowhere */
};

/* These on the loop's thread. If no thread can be made, there is none, and the others do nothing.
 */
void watchdog_start(struct watchdog *watchdog, int control_fd);
void watchdog_beat(struct watchdog *watchdog); /* once a second */
void watchdog_stop(struct watchdog *watchdog);

#endif
