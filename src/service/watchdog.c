/* SPDX-License-Identifier: Apache-2.0 */
/* The watchdog's thread. It shares nothing with the loop's but two atomic variables, and what they
 * point to is never freed; on the control channel a short line is sent in one piece, or not at
 * all. */

#include "service/watchdog.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/backtrace.h"
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

static void set_silence(const struct watchdog *watchdog, int ms)
{
    struct itimerspec after = {.it_interval = {.tv_nsec = 0, .tv_sec = WATCHDOG_LOOK_MS / 1000},
                               .it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}};
    timerfd_settime(watchdog->timer_fd, 0, &after, NULL);
}

/* While the loop is silent the timer expires once a second. One that was told of is looked at again
 * when the loop beats, too. */
static void run_watchdog(void *argument)
{
    struct watchdog *watchdog = argument;
    struct watchdog_sight watch = {0};
    struct pollfd timer = {.fd = watchdog->timer_fd, .events = POLLIN};
    uint64_t looked_ns = uv_hrtime(), expired;
    prctl(PR_SET_NAME, "watchdog");
    while (!atomic_load(&watchdog->stopping)) {
        int ready = poll(&timer, 1, watch.told ? 2 * WATCHDOG_LOOK_MS : -1);
        bool beaten = ready > 0 && read(watchdog->timer_fd, &expired, sizeof expired) < 0;
        if (ready < 0 || beaten || atomic_load(&watchdog->stopping))
            continue;
        uint64_t now_ns = uv_hrtime();
        look_at_fibers(watchdog, &watch, now_ns - looked_ns > 2 * LOOK_NS);
        looked_ns = now_ns;
    }
}

void watchdog_start(struct watchdog *watchdog, int control_fd)
{
    sigset_t all, before;
    *watchdog = (struct watchdog){.control_fd = control_fd};
    watchdog->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (watchdog->timer_fd < 0)
        return;
    backtrace_blocks(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    watchdog->runs = uv_thread_create(&watchdog->thread, run_watchdog, watchdog) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!watchdog->runs)
        close(watchdog->timer_fd);
    watchdog_beat(watchdog);
}

void watchdog_beat(struct watchdog *watchdog)
{
    if (watchdog->runs)
        set_silence(watchdog, WATCHDOG_SILENT_MS);
}

void watchdog_stop(struct watchdog *watchdog)
{
    if (!watchdog->runs)
        return;
    watchdog->runs = false;
    atomic_store(&watchdog->stopping, true);
    set_silence(watchdog, 1);
    uv_thread_join(&watchdog->thread);
    close(watchdog->timer_fd);
}
