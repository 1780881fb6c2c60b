/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CALL_BREAKER_H
#define CALL_BREAKER_H

/*
 * What is known of one target's health: a circuit breaker and a retry budget over the same window.
 * Pure: time is passed in, nothing is random.
 *
 *   closed     calls pass
 *   open       calls are refused at once; one may pass as a probe, 100 ms after it opened, then
 *              after pauses that double up to a second
 *   half open  the probe is under way; its answer closes the breaker, no answer opens it again
 *
 * Only no answer at all is a failure: whoever answers 503 is alive, and often merely passes on that
 * somebody behind it isn't. It opens when either holds:
 *
 *   the last BREAKER_CONSECUTIVE calls got no answer, and none did for BREAKER_SILENT_MS
 *   of at least BREAKER_CALLS_MIN calls in the window half got none, in BREAKER_SECONDS_MIN seconds
 *
 * So a service that is killed and taken over within a second never opens it, however many calls
 * break at that moment. Any answer closes it, a late one to a call from before too.
 */

#include <stdbool.h>
#include <stdint.h>

#define BREAKER_WINDOW_S 10
#define BREAKER_CONSECUTIVE 5
#define BREAKER_SILENT_MS 1000
#define BREAKER_CALLS_MIN 20
#define BREAKER_SECONDS_MIN 3
#define BREAKER_PAUSE_MS_MIN 100
#define BREAKER_PAUSE_MS_MAX 1000
/* A probe that nobody minds repeating gets four times as long as the slowest recent answer took,
 * but no less than this; so that what hangs holds up nobody for long. */
#define BREAKER_PROBE_MS_MIN 500
/* A call that had less time than this says nothing of its target when it gets no answer in time. */
#define BREAKER_FAIR_MS 250
/* Retries in the window: as many as this, and one for each five calls. */
#define BREAKER_RETRIES_MIN 100
#define BREAKER_CALLS_A_RETRY 5
#define BREAKER_RETRY_AFTER_S 1

enum breaker_state { BREAKER_CLOSED, BREAKER_HALF_OPEN, BREAKER_OPEN };

struct breaker {
    enum breaker_state state;
    struct breaker_second {
        int64_t second; /* which one this is */
        uint32_t calls, retries, ended, failed;
    } seconds[BREAKER_WINDOW_S];
    int consecutive;                                /* failures since the last answer */
    int64_t silent_since;                           /* when the first of them began, in ns */
    int64_t probe_at_ns;                            /* open: not before */
    int pause_ms;                                   /* the last one */
    int64_t slowest_ns;                             /* of the answers, fading; 0: none yet */
    uint64_t opened, refused, probes, unaffordable; /* since the start; the last: retries */
};

enum breaker_pass { BREAKER_PASS, BREAKER_PROBE, BREAKER_REFUSE };

/* Would a call be refused now? Changes nothing. */
bool breaker_refuses(const struct breaker *breaker, int64_t now_ns);
/* A call is about to be sent. What passes is told of with breaker_answered or breaker_silent. */
enum breaker_pass breaker_pass(struct breaker *breaker, int64_t now_ns);
void breaker_answered(struct breaker *breaker, int64_t began_ns, int64_t now_ns);
/* It got no answer. True: the breaker has opened by that. */
bool breaker_silent(struct breaker *breaker, enum breaker_pass pass, int64_t began_ns,
                    int64_t now_ns);
/* It was never sent, or had no time to be answered: a probe's place is free again. */
void breaker_forget(struct breaker *breaker, enum breaker_pass pass, int64_t now_ns);

/* How long a probe that may be repeated should take at the most. */
int64_t breaker_probe_ns(const struct breaker *breaker);

/* A call begins (once, whatever its attempts); may it be tried again? */
void breaker_call(struct breaker *breaker, int64_t now_ns);
bool breaker_retry(struct breaker *breaker, int64_t now_ns);

#endif
