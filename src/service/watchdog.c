/* SPDX-License-Identifier: Apache-2.0 */
/* The watchdog's thread. It shares nothing with the loop's but two atomic variables, and what they
 * point to is never freed; on the control channel a short line is sent in one piece, or not at
 * all. */

#include "service/watchdog.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "world/fiber.h"

#define LOOK_NS (WATCHDOG_LOOK_MS * UINT64_C(1000000))

enum watchdog_verdict watchdog_see(struct watchdog_sight *watch, uint64_t turns,
                                   const struct doing *doing, bool late)
{
    bool same = turns % 2 == 1 && turns == watch->turns;
    if (same && late)
        return WATCHDOG_NOTHING; /* it neither goes on nor begins anew */
    if (!same) {
        bool returned = watch->told > 0;
        watch->turns = turns;
        watch->took = watch->seconds;
        watch->seconds = watch->told = 0;
        return returned ? WATCHDOG_RETURNED : WATCHDOG_NOTHING;
    }
    if (watch->seconds == 0)
        watch->doing = doing;
    watch->seconds++;
    if (watch->seconds < WATCHDOG_S)
        return WATCHDOG_NOTHING;
    if (watch->told && watch->seconds < 2 * watch->told)
        return WATCHDOG_HANGS;
    watch->told = watch->seconds;
    return WATCHDOG_TELLS;
}

static const char *watched_name(const struct watchdog_sight *watch)
{
    return watch->doing ? watch->doing->what : "something of the library's own";
}

static void tell_starter(const struct watchdog *watchdog, const struct watchdog_sight *watch)
{
    char line[DOING_SIZE + 32];
    if (watchdog->control_fd < 0)
        return;
    snprintf(line, sizeof line, "hangs %d %s\n", watch->seconds, watched_name(watch));
    if (send(watchdog->control_fd, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return; /* it is told again */
}

static void look_at_fibers(const struct watchdog *watchdog, struct watchdog_sight *watch, bool late)
{
    uint64_t turns = atomic_load_explicit(&fiber_turns, memory_order_relaxed);
    const struct doing *doing = atomic_load_explicit(&doing_now, memory_order_relaxed);
    enum watchdog_verdict verdict = watchdog_see(watch, turns, doing, late);
    const char *handler = watch->doing ? watch->doing->handler : "";
    if (verdict == WATCHDOG_TELLS)
        log_warning("handler-hangs",
                    "%s has not returned for %d s%s%s: nothing else is done here meanwhile",
                    watched_name(watch), watch->seconds, *handler ? ", handler " : "", handler);
    if (verdict == WATCHDOG_RETURNED)
        log_info("handler-returned", "%s has returned after %d s%s%s", watched_name(watch),
                 watch->took, *handler ? ", handler " : "", handler);
    if (verdict == WATCHDOG_TELLS || verdict == WATCHDOG_HANGS)
        tell_starter(watchdog, watch);
}

static void run_watchdog(void *argument)
{
    struct watchdog *watchdog = argument;
    struct watchdog_sight watch = {0};
    uint64_t looked_ns = uv_hrtime();
    uv_mutex_lock(&watchdog->mutex);
    while (!watchdog->stopping) {
        uv_cond_timedwait(&watchdog->stop, &watchdog->mutex, LOOK_NS);
        uint64_t now_ns = uv_hrtime();
        if (!watchdog->stopping && now_ns - looked_ns >= LOOK_NS)
            look_at_fibers(watchdog, &watch, now_ns - looked_ns > 2 * LOOK_NS);
        looked_ns = now_ns;
    }
    uv_mutex_unlock(&watchdog->mutex);
}

void watchdog_start(struct watchdog *watchdog, int control_fd)
{
    sigset_t all, before;
    *watchdog = (struct watchdog){.control_fd = control_fd};
    if (uv_mutex_init(&watchdog->mutex) != 0)
        return;
    if (uv_cond_init(&watchdog->stop) != 0) {
        uv_mutex_destroy(&watchdog->mutex);
        return;
    }
    sigfillset(&all); /* signals are the loop's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    watchdog->runs = uv_thread_create(&watchdog->thread, run_watchdog, watchdog) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!watchdog->runs) {
        uv_cond_destroy(&watchdog->stop);
        uv_mutex_destroy(&watchdog->mutex);
    }
}

void watchdog_stop(struct watchdog *watchdog)
{
    if (!watchdog->runs)
        return;
    watchdog->runs = false;
    uv_mutex_lock(&watchdog->mutex);
    watchdog->stopping = true;
    uv_cond_signal(&watchdog->stop);
    uv_mutex_unlock(&watchdog->mutex);
    uv_thread_join(&watchdog->thread);
    uv_cond_destroy(&watchdog->stop);
    uv_mutex_destroy(&watchdog->mutex);
}
