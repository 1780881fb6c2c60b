/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of one-second counters, and the breaker's state. */

#include "call/breaker.h"

#include <string.h>

#define NS_A_MS INT64_C(1000000)
#define NS_A_S INT64_C(1000000000)

static struct breaker_second *second_at(struct breaker *breaker, int64_t now_ns)
{
    int64_t second = now_ns / NS_A_S;
    struct breaker_second *at = &breaker->seconds[second % BREAKER_WINDOW_S];
    if (at->second != second)
        *at = (struct breaker_second){.second = second};
    return at;
}

struct sums {
    uint32_t calls, retries, ended, failed;
    int failing_seconds;
};

static struct sums sum_window(const struct breaker *breaker, int64_t now_ns)
{
    struct sums sums = {0};
    for (int i = 0; i < BREAKER_WINDOW_S; i++) {
        const struct breaker_second *at = &breaker->seconds[i];
        if (at->second <= now_ns / NS_A_S - BREAKER_WINDOW_S)
            continue;
        sums.calls += at->calls;
        sums.retries += at->retries;
        sums.ended += at->ended;
        sums.failed += at->failed;
        sums.failing_seconds += at->failed > 0;
    }
    return sums;
}

bool breaker_refuses(const struct breaker *breaker, int64_t now_ns)
{
    return breaker->state == BREAKER_HALF_OPEN ||
           (breaker->state == BREAKER_OPEN && now_ns < breaker->probe_at_ns);
}

enum breaker_pass breaker_pass(struct breaker *breaker, int64_t now_ns)
{
    if (breaker_refuses(breaker, now_ns)) {
        breaker->refused++;
        return BREAKER_REFUSE;
    }
    if (breaker->state == BREAKER_CLOSED)
        return BREAKER_PASS;
    breaker->state = BREAKER_HALF_OPEN;
    breaker->probes++;
    return BREAKER_PROBE;
}

void breaker_answered(struct breaker *breaker, int64_t began_ns, int64_t now_ns)
{
    int64_t took_ns = now_ns - began_ns;
    if (breaker->state != BREAKER_CLOSED) {
        breaker->state = BREAKER_CLOSED;
        breaker->pause_ms = 0;
        for (int i = 0; i < BREAKER_WINDOW_S; i++) /* earlier failures no longer matter */
            breaker->seconds[i].ended = breaker->seconds[i].failed = 0;
    }
    breaker->consecutive = 0;
    breaker->slowest_ns -= breaker->slowest_ns / 64;
    if (took_ns > breaker->slowest_ns)
        breaker->slowest_ns = took_ns;
    second_at(breaker, now_ns)->ended++;
}

static void open_breaker(struct breaker *breaker, int64_t now_ns)
{
    if (breaker->state == BREAKER_CLOSED)
        breaker->opened++;
    breaker->state = BREAKER_OPEN;
    breaker->pause_ms = breaker->pause_ms ? breaker->pause_ms * 2 : BREAKER_PAUSE_MS_MIN;
    if (breaker->pause_ms > BREAKER_PAUSE_MS_MAX)
        breaker->pause_ms = BREAKER_PAUSE_MS_MAX;
    breaker->probe_at_ns = now_ns + breaker->pause_ms * NS_A_MS;
}

static bool is_sick(const struct breaker *breaker, int64_t now_ns)
{
    if (breaker->consecutive >= BREAKER_CONSECUTIVE &&
        now_ns - breaker->silent_since >= BREAKER_SILENT_MS * NS_A_MS)
        return true;
    struct sums sums = sum_window(breaker, now_ns);
    return sums.ended >= BREAKER_CALLS_MIN && sums.failed * 2 >= sums.ended &&
           sums.failing_seconds >= BREAKER_SECONDS_MIN;
}

bool breaker_silent(struct breaker *breaker, enum breaker_pass pass, int64_t began_ns,
                    int64_t now_ns)
{
    struct breaker_second *second = second_at(breaker, now_ns);
    second->ended++;
    second->failed++;
    if (breaker->consecutive == 0 || began_ns < breaker->silent_since)
        breaker->silent_since = began_ns;
    breaker->consecutive++;
    if (pass == BREAKER_PROBE && breaker->state == BREAKER_HALF_OPEN)
        open_breaker(breaker, now_ns);
    if (breaker->state != BREAKER_CLOSED || !is_sick(breaker, now_ns))
        return false;
    open_breaker(breaker, now_ns);
    return true;
}

void breaker_forget(struct breaker *breaker, enum breaker_pass pass, int64_t now_ns)
{
    if (pass != BREAKER_PROBE || breaker->state != BREAKER_HALF_OPEN)
        return;
    breaker->state = BREAKER_OPEN;
    breaker->probe_at_ns = now_ns;
}

int64_t breaker_probe_ns(const struct breaker *breaker)
{
    if (!breaker->slowest_ns)
        return INT64_MAX / 2; /* unknown how long its answers take */
    int64_t ns = 4 * breaker->slowest_ns;
    return ns > BREAKER_PROBE_MS_MIN * NS_A_MS ? ns : BREAKER_PROBE_MS_MIN * NS_A_MS;
}

void breaker_call(struct breaker *breaker, int64_t now_ns)
{
    second_at(breaker, now_ns)->calls++;
}

bool breaker_retry(struct breaker *breaker, int64_t now_ns)
{
    struct sums sums = sum_window(breaker, now_ns);
    if (sums.retries >= BREAKER_RETRIES_MIN + sums.calls / BREAKER_CALLS_A_RETRY) {
        breaker->unaffordable++;
        return false;
    }
    second_at(breaker, now_ns)->retries++;
    return true;
}
