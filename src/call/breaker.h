/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CALL_BREAKER_H
#define CALL_BREAKER_H

/*
 * The health of one target: a circuit breaker and a retry budget over the same window. Pure: time
 * is passed in, nothing is random.
 *
 *   closed     calls pass
 *   open       calls are refused at once; one may pass as a probe, 100 ms after it opened, then
 *              after pauses that double up to a second
 *   half open  a probe is in flight; its answer closes the breaker, no answer opens it again
 *
 * Only a missing answer is a failure: a target that answers 503 is alive, and often only reports
 * that another one behind it isn't. The breaker opens if either is true:
 *
 *   the last BREAKER_CONSECUTIVE calls got no answer, nor did any call for BREAKER_SILENT_MS
 *   at least BREAKER_CALLS_MIN calls ended within the window, half of them without an answer,
 *   which occurred in at least BREAKER_SECONDS_MIN different seconds
 *
 * So a service that is killed and replaced within a second never opens it, however many calls break
 * at that moment. Any answer closes it, even a late one to an earlier call.
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
/* A probe that may be repeated gets four times as long as the slowest recent answer took, but at
 * least this long: so a hanging target delays no call for long. */
#define BREAKER_PROBE_MS_MIN 500
/* A call with less time than this says nothing about its target if it gets no answer in time. */
#define BREAKER_FAIR_MS 250
/* Retries allowed in the window: this many, and one more for every five calls. */
#define BREAKER_RETRIES_MIN 100
#define BREAKER_CALLS_A_RETRY 5
#define BREAKER_RETRY_AFTER_S 1

enum breaker_state { BREAKER_CLOSED, BREAKER_HALF_OPEN, BREAKER_OPEN };

struct breaker {
    enum breaker_state state;
    struct breaker_second {
        int64_t second; /* which second this is */
        uint32_t calls, retries, ended, failed;
    } seconds[BREAKER_WINDOW_S];
    int consecutive;                                /* failures since the last answer */
    int64_t silent_since;                           /* when the first of these calls began, in ns */
    int64_t probe_at_ns;                            /* open: no probe before this */
    int pause_ms;                                   /* the latest pause */
    int64_t slowest_ns;                             /* recent answer, decaying; 0: no answer yet */
    uint64_t opened, refused, probes, unaffordable; /* since the start; the last: retries */
};

enum breaker_pass { BREAKER_PASS, BREAKER_PROBE, BREAKER_REFUSE };

/* Whether a call would be refused now. Changes nothing. */
bool breaker_refuses(const struct breaker *breaker, int64_t now_ns);
/* Call before sending. If it passes, report the result with one of the next three functions. */
enum breaker_pass breaker_pass(struct breaker *breaker, int64_t now_ns);
void breaker_answered(struct breaker *breaker, int64_t began_ns, int64_t now_ns);
/* There was no answer. True: this has opened the breaker. */
bool breaker_silent(struct breaker *breaker, enum breaker_pass pass, int64_t began_ns,
                    int64_t now_ns);
/* It was not sent, or had too little time: another probe may be sent. */
void breaker_forget(struct breaker *breaker, enum breaker_pass pass, int64_t now_ns);

/* The most time that a repeatable probe should take. */
int64_t breaker_probe_ns(const struct breaker *breaker);

/* A call begins (once, however many attempts it has); and whether another attempt is allowed. */
void breaker_call(struct breaker *breaker, int64_t now_ns);
bool breaker_retry(struct breaker *breaker, int64_t now_ns);

#endif
