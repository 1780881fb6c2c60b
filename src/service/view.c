/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far the view is, is noted before the handler opens its snapshot: so the answer has at least
 * that, and perhaps more. And it is read from the store that applies the events, never from a
 * replica of it. Unless rows were set back in between, by whichever instance: so once the handler
 * has read its rows, the same snapshot says whether what was noted still stands. If it does not,
 * all of it is done again, the waiting, too; a few times, then the request is refused.
 *
 * A request that waits holds a fiber and nothing else: it has left its place among those under way
 * (admission.h), so that however many wait, they keep no other request from being carried out.
 */

#include "service/view.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "event/manager.h"
#include "event/subscribe/level.h"
#include "shape/problem.h"

#define NS_A_S INT64_C(1000000000)

/* What a request asks for. */
struct view_asked {
    struct as_of wanted; /* count 0: nothing */
    int64_t age_s_max;   /* negative: any */
};

static struct event_manager *view_events(const struct exchange *exchange)
{
    return exchange->runtime->context.events;
}

/* ---- refusals ---- */

/* `later`: it may be asked again soon. `as_of` may be NULL. */
static void refuse_view(struct exchange *exchange, enum problem_type type, bool later,
                        const char *as_of, const char *detail)
{
    struct http_header headers[2];
    size_t count = 0;
    if (later)
        headers[count++] = (struct http_header){"Retry-After", "1"};
    if (as_of && *as_of)
        headers[count++] = (struct http_header){VIEW_AS_OF_HEADER, as_of};
    json_t *problem = problem_new(type, detail, NULL);
    exchange_answer_json(exchange, problem_status(type), problem, headers, count);
    json_decref(problem);
}

/* On w->kept; "": nothing is known. */
static const char *as_of_text(struct exchange *exchange, const struct as_of *as_of)
{
    struct text text;
    text_init(&text, AS_OF_LENGTH_MAX);
    as_of_write(as_of, false, &text);
    const char *copy =
        text.length && !text.overflow ? arena_text(&exchange->work.kept, text.data) : "";
    text_release(&text);
    return copy;
}

static const char *as_of_wanted(struct exchange *exchange, const struct as_of *wanted)
{
    struct as_of as_of;
    level_as_of(view_events(exchange), wanted, &as_of);
    return as_of_text(exchange, &as_of);
}

/* False: it is refused. */
static bool wait_is_over(struct exchange *exchange, const struct view_asked *asked,
                         enum level_verdict verdict, const char *name)
{
    fh_work *w = &exchange->work;
    switch (verdict) {
    case LEVEL_REACHED:
        return true;
    case LEVEL_BEHIND: /* of the other publishers it says nothing */
        refuse_view(exchange, PROBLEM_VIEW_BEHIND, false, as_of_wanted(exchange, &asked->wanted),
                    "What " VIEW_WAIT_HEADER
                    " names was not applied here in time. " VIEW_AS_OF_HEADER
                    " says how far it is.");
        break;
    case LEVEL_FORMER:
        refuse_view(exchange, PROBLEM_POSITION_REPLACED, false, NULL,
                    "The store of a service that " VIEW_WAIT_HEADER " names was restored or moved "
                    "since: what became of that event is not known here.");
        break;
    case LEVEL_UNKNOWN:
        refuse_view(exchange, PROBLEM_REQUEST_MALFORMED, false, NULL,
                    arena_printf(&w->kept,
                                 VIEW_WAIT_HEADER " names %s, whose events are not shown here: "
                                                  "send it only to that service's views.",
                                 name));
        break;
    case LEVEL_CROWDED:
        refuse_view(exchange, PROBLEM_OVERLOADED, true, NULL,
                    "Too many requests are already waiting for events to be applied.");
        break;
    case LEVEL_DRAINING:
        refuse_view(exchange, PROBLEM_SERVICE_STOPPING, true, NULL, "The service is stopping.");
        break;
    }
    return false;
}

/* ---- what is asked for ---- */

/* -1: it is no number. */
static int64_t parse_max_age(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || text[digits])
        return -1;
    return digits > VIEW_MAX_AGE_DIGITS_MAX ? -1 : strtoll(text, NULL, 10);
}

/* False: it is refused. */
static bool take_view_headers(struct exchange *exchange, struct view_asked *ret)
{
    const char *wait = exchange_header(exchange, VIEW_WAIT_HEADER);
    const char *age = exchange_header(exchange, VIEW_MAX_AGE_HEADER);
    struct fh_error error;
    ret->wanted.count = 0;
    ret->age_s_max = age ? parse_max_age(age) : -1;
    if (age && ret->age_s_max < 0) {
        refuse_view(exchange, PROBLEM_REQUEST_MALFORMED, false, NULL,
                    VIEW_MAX_AGE_HEADER " is not a number of seconds: expected 1 to 9 digits.");
        return false;
    }
    if (wait && as_of_parse(wait, &ret->wanted, &error) != FH_OK) {
        refuse_view(exchange, PROBLEM_REQUEST_MALFORMED, false, NULL,
                    arena_printf(&exchange->work.kept, VIEW_WAIT_HEADER ": %s", error.message));
        return false;
    }
    return true;
}

/* It only waits. */
static void leave_to_wait(void *owner)
{
    struct exchange *exchange = owner;
    admission_leave(&exchange->runtime->admission, &exchange->admitted);
}

static bool wait_for_view(struct exchange *exchange, const struct view_asked *asked)
{
    const char *name;
    if (!asked->wanted.count)
        return true;
    int64_t deadline_ns = exchange->work.deadline_ns - VIEW_ANSWER_MS * (NS_A_S / 1000);
    enum level_verdict verdict = level_wait(view_events(exchange), &asked->wanted, deadline_ns,
                                            leave_to_wait, exchange, &name);
    return wait_is_over(exchange, asked, verdict, name);
}

/* -1: not known. Rounded up: it is not younger than it says. */
static int64_t age_of_view_s(const struct exchange *exchange)
{
    int64_t current_ns = level_current_ns(view_events(exchange));
    if (!current_ns)
        return -1;
    return (world_monotonic_ns(exchange->runtime->world) - current_ns + NS_A_S - 1) / NS_A_S;
}

/* ---- one run of the handler ---- */

/* What was waited for may be gone again by the time that all is noted. */
static bool note_levels(struct exchange *exchange, const struct view_asked *asked)
{
    fh_work *w = &exchange->work;
    exchange->taken = arena_alloc(&w->kept, sizeof *exchange->taken);
    do {
        if (!wait_for_view(exchange, asked))
            return false;
    } while (!level_take(view_events(exchange), &w->kept, &asked->wanted, exchange->taken));
    exchange->as_of = as_of_text(exchange, &exchange->taken->as_of);
    return true;
}

/* False: it is answered. */
static bool view_begin(struct exchange *exchange, const struct view_asked *asked)
{
    exchange->age = NULL;
    if (!note_levels(exchange, asked))
        return false;
    int64_t age_s = age_of_view_s(exchange);
    if (asked->age_s_max >= 0 && (age_s < 0 || age_s > asked->age_s_max)) {
        refuse_view(exchange, PROBLEM_VIEW_OUTDATED, true, NULL,
                    "The view is older than " VIEW_MAX_AGE_HEADER " allows.");
        return false;
    }
    if (age_s >= 0)
        exchange->age = arena_printf(&exchange->work.kept, "%" PRId64, age_s);
    return true;
}

static enum fh_code view_stands(fh_work *w, struct store_work *snapshot, struct fh_error *error)
{
    struct exchange *exchange = (struct exchange *)((char *)w - offsetof(struct exchange, work));
    struct store_work *own = NULL;
    bool stands = true;
    enum fh_code code = FH_OK;
    if (!snapshot)
        code = store_begin(w->context->store, STORE_READ_COMMITTED, &own, error);
    if (code == FH_OK)
        code = level_stands(view_events(exchange), exchange->taken, snapshot ? snapshot : own,
                            &stands, error);
    if (own)
        store_rollback(own);
    w->outdated = code == FH_OK && !stands;
    return w->outdated ? error_set(error, FH_CONFLICT, "Rows were set back while they were read.")
                       : code;
}

bool view_run(struct exchange *exchange)
{
    fh_work *w = &exchange->work;
    struct view_asked asked;
    if (!take_view_headers(exchange, &asked))
        return false;
    w->fresh = true;
    w->stands = view_stands;
    for (int runs = 1; view_begin(exchange, &asked); runs++) {
        work_run(w);
        if (!w->outdated)
            return true;
        if (runs == VIEW_RUNS_MAX) {
            refuse_view(exchange, PROBLEM_VIEW_OUTDATED, true, NULL,
                        "Events were about to be applied again, or a publisher's state to be taken "
                        "over, each time that this was read.");
            return false;
        }
        w->context->counters.reruns++;
    }
    return false;
}
