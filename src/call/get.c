/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One GET, with its retries, its deadline and its place in its target's line.
 *
 * Nothing here is durable, and a GET changes nothing: one that was lost, or answered twice, leaves
 * no trace. Calls that wait in line when the breaker opens are sent away at once: the places they
 * wait for are taken by calls that hang.
 */

#include "call/get.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call/trace.h"
#include "call/user.h"
#include "http/media.h"
#include "work/spans.h"
#include "work/work.h"
#include "world/world.h"

#define NS_A_MS INT64_C(1000000)
#define NS_A_S INT64_C(1000000000)

struct call_manager *call_manager_new(struct work_context *context)
{
    struct call_manager *manager = calloc(1, sizeof *manager);
    FH_ASSERT(manager != NULL);
    manager->context = context;
    map_init(&manager->targets);
    return manager;
}

void call_manager_free(struct call_manager *manager)
{
    struct map_entry *entry = NULL;
    const char *key;
    void *value;
    if (!manager)
        return;
    while (map_next(&manager->targets, &entry, &key, &value)) {
        struct call_target *target = value;
        FH_ASSERT(target->line.in_flight == 0);
        free(target);
    }
    map_release(&manager->targets);
    free(manager);
}

/* Bounded by the number of services and of hosts in the declaration. */
static struct call_target *call_target_of(struct call_manager *manager, const char *service)
{
    struct call_target *target = map_get(&manager->targets, service);
    if (!target) {
        target = calloc(1, sizeof *target);
        FH_ASSERT(target != NULL);
        map_put(&manager->targets, service, target);
    }
    return target;
}

/* ---- one attempt ---- */

static void answer_failed(struct call_answer *answer, const char *why)
{
    free(answer->text);
    *answer = (struct call_answer){.text = calloc(1, 1)};
    FH_ASSERT(answer->text != NULL);
    snprintf(answer->failure, sizeof answer->failure, "%s", why);
}

static int header_retry_after(const struct world_request *request)
{
    const char *value = world_answer_header(request, "retry-after");
    if (!value || !*value || value[strspn(value, "0123456789")] != '\0' || strlen(value) > 9)
        return 0; /* a date is allowed too, but our services never send one */
    return (int)strtol(value, NULL, 10);
}

static void answer_take(struct call_answer *answer, struct world_request *request)
{
    if (request->status == 0) {
        answer_failed(answer, request->failure ? request->failure : "no answer");
        answer->oversized = answer->refused = request->oversized; /* it would be again */
        return;
    }
    free(answer->text);
    *answer =
        (struct call_answer){.status = request->status,
                             .retry_after_s = header_retry_after(request),
                             .json = media_is_json(world_answer_header(request, "content-type")),
                             .text = malloc(request->answer_length + 1),
                             .length = request->answer_length};
    FH_ASSERT(answer->text != NULL);
    if (answer->length)
        memcpy(answer->text, request->answer, answer->length);
    answer->text[answer->length] = '\0';
}

struct call {
    struct call_manager *manager;
    struct call_target *target;
    const char *service, *path;
    const char *url;                    /* instead, outside the system; or NULL */
    const struct world_header *headers; /* with url */
    struct call_for by;
    int64_t deadline_ns; /* less the margin */
};

/* What is sent with one attempt. */
struct attempt {
    char trace[TRACE_SIZE], from[128], deadline[24];
    struct world_request request;
};

static const char unhealthy[] = "it has not answered lately and is not asked for a moment";

static void refuse_call(struct call_answer *answer, const char *why)
{
    answer_failed(answer, why);
    answer->refused = true;
    answer->retry_after_s = BREAKER_RETRY_AFTER_S;
}

/* Takes a place in flight if the breaker permits. False: the answer says why not. */
static bool may_be_sent(const struct call *call, enum breaker_pass *ret_pass,
                        struct call_answer *answer)
{
    struct call_target *target = call->target;
    struct world *world = call->manager->context->world;
    enum line_place place = LINE_AWAY;
    if (!breaker_refuses(&target->breaker, world_monotonic_ns(world)))
        place = line_enter(&target->line, world, CALL_IN_FLIGHT_MAX, CALL_WAITING_MAX,
                           call->deadline_ns);
    if (place == LINE_FULL || place == LINE_LATE) {
        answer_failed(answer, "too many calls to it are under way");
        return false;
    }
    /* The breaker may have opened while it waited; if it did not wait, this counts the refusal. */
    *ret_pass = breaker_pass(&target->breaker, world_monotonic_ns(world));
    if (place == LINE_TAKEN && *ret_pass != BREAKER_REFUSE)
        return true;
    breaker_forget(&target->breaker, *ret_pass, world_monotonic_ns(world));
    if (place == LINE_TAKEN)
        line_leave(&target->line);
    refuse_call(answer, unhealthy);
    return false;
}

static void report_attempt(struct call_target *target, struct world *world, enum breaker_pass pass,
                           bool answered, int64_t began_ns)
{
    int64_t now_ns = world_monotonic_ns(world);
    if (answered)
        breaker_answered(&target->breaker, began_ns, now_ns);
    else if (breaker_silent(&target->breaker, pass, began_ns, now_ns))
        line_turn_away(&target->line);
}

void call_told(struct call_manager *manager, const char *service, bool answered, int64_t began_ns)
{
    report_attempt(call_target_of(manager, service), manager->context->world, BREAKER_PASS,
                   answered, began_ns);
}

/* A call that had almost no time says nothing about its target. */
static bool is_fair(const struct world_request *request, int64_t began_ns, int64_t now_ns)
{
    return now_ns < request->deadline_ns ||
           request->deadline_ns - began_ns >= BREAKER_FAIR_MS * NS_A_MS;
}

static void prepare_attempt_trace(const struct call *call, struct attempt *attempt)
{
    unsigned char random[TRACE_RANDOM_SIZE];
    world_random(call->manager->context->world, random, sizeof random);
    trace_child(call->by.trace, random, attempt->trace);
}

static void prepare_inside(const struct call *call, int64_t now_ns, struct attempt *attempt)
{
    const struct work_context *context = call->manager->context;
    int64_t left_ms = (call->deadline_ns - now_ns) / NS_A_MS - CALL_MARGIN_MS;
    prepare_attempt_trace(call, attempt);
    snprintf(attempt->from, sizeof attempt->from, "%s/%s", context->service->name,
             context->store->incarnation);
    snprintf(attempt->deadline, sizeof attempt->deadline, "%lld",
             (long long)(left_ms > 1 ? left_ms : 1));
    attempt->request = (struct world_request){
        .service = call->service,
        .method = "GET",
        .path = call->path,
        .headers = {{"Accept", "application/json"},
                    {"Freehold-From", attempt->from},
                    {"Freehold-Deadline", attempt->deadline},
                    {"traceparent", attempt->trace},
                    {call->by.user ? USER_HEADER : NULL, call->by.user}},
        .answer_size_max = CALL_ANSWER_SIZE_MAX,
    };
}

/* Nobody there learns on whose behalf it is asked, or in which trace. */
static void prepare_outside(const struct call *call, struct attempt *attempt)
{
    prepare_attempt_trace(call, attempt);
    attempt->request = (struct world_request){
        .method = "GET",
        .url = call->url,
        .headers = {{"Accept", "application/json, text/*;q=0.9, */*;q=0.5"},
                    {"User-Agent", "Freehold"}},
        .answer_size_max = CALL_FETCHED_SIZE_MAX,
    };
    for (size_t i = 0; i < CALL_HEADERS_MAX && call->headers[i].name; i++)
        attempt->request.headers[2 + i] = call->headers[i];
}

static void attempt_call(const struct call *call, struct call_answer *answer)
{
    struct work_context *context = call->manager->context;
    struct world *world = context->world;
    enum breaker_pass pass;
    if (!may_be_sent(call, &pass, answer))
        return;
    int64_t began_ns = world_monotonic_ns(world), deadline_ns = call->deadline_ns;
    if (pass == BREAKER_PROBE && deadline_ns - began_ns > breaker_probe_ns(&call->target->breaker))
        deadline_ns = began_ns + breaker_probe_ns(&call->target->breaker);
    struct attempt attempt;
    if (call->url)
        prepare_outside(call, &attempt);
    else
        prepare_inside(call, began_ns, &attempt);
    attempt.request.deadline_ns = deadline_ns;
    world_request_wait(world, &attempt.request);
    line_leave(&call->target->line);
    bool answered = attempt.request.status != 0 || attempt.request.oversized;
    if (answered || is_fair(&attempt.request, began_ns, world_monotonic_ns(world)))
        report_attempt(call->target, world, pass, answered, began_ns);
    else
        breaker_forget(&call->target->breaker, pass, world_monotonic_ns(world));
    answer_take(answer, &attempt.request);
    struct span span = {.kind = SPAN_ASK,
                        .parent = call->by.trace,
                        .own = attempt.trace,
                        .what = "GET",
                        .where = call->path,
                        .service = call->service,
                        .status = attempt.request.status,
                        .began_ns = began_ns};
    spans_keep(context->spans, &span);
    world_request_release(&attempt.request);
}

static bool status_may_pass(int status)
{
    return status == 0 || status == 429 || status == 502 || status == 503 || status == 504;
}

/* Full jitter: from 0 to 10 ms, then to 100 ms, then to 1 s. */
static int64_t call_pause_ns(struct world *world, int attempts)
{
    int64_t most = CALL_RETRY_MS_MIN * NS_A_MS;
    for (int i = 1; i < attempts && most < CALL_RETRY_MS_MAX * NS_A_MS; i++)
        most *= 10;
    return (int64_t)world_random_below(world, (uint64_t)most + 1);
}

static void carry_out_call(struct call call, int64_t deadline_ns, struct call_answer *ret)
{
    struct world *world = call.manager->context->world;
    int64_t now_ns = world_monotonic_ns(world);
    call.target = call_target_of(call.manager, call.service);
    if (deadline_ns < 0)
        deadline_ns = now_ns + CALL_DEADLINE_MS * NS_A_MS;
    call.deadline_ns = deadline_ns - CALL_MARGIN_MS * NS_A_MS;
    *ret = (struct call_answer){0};
    call.target->counters.calls++;
    breaker_call(&call.target->breaker, now_ns);
    if (now_ns >= call.deadline_ns) {
        answer_failed(ret, "the deadline has passed");
    } else {
        for (int attempts = 1;; attempts++) {
            attempt_call(&call, ret);
            if (!status_may_pass(ret->status) || ret->refused || attempts == CALL_ATTEMPTS_MAX)
                break;
            int64_t wait_ns = call_pause_ns(world, attempts);
            if (wait_ns < ret->retry_after_s * NS_A_S)
                wait_ns = ret->retry_after_s * NS_A_S;
            now_ns = world_monotonic_ns(world);
            if (wait_ns >= call.deadline_ns - now_ns ||
                !breaker_retry(&call.target->breaker, now_ns))
                break;
            call.target->counters.retries++;
            fiber_sleep_until(world, now_ns + wait_ns);
        }
    }
    if (status_may_pass(ret->status))
        call.target->counters.failures++;
}

void call_get(struct call_manager *manager, const char *service, const char *path,
              struct call_for by, int64_t deadline_ns, struct call_answer *ret)
{
    carry_out_call((struct call){.manager = manager, .service = service, .path = path, .by = by},
                   deadline_ns, ret);
}

void call_fetch(struct call_manager *manager, const struct call_outside *outside,
                struct call_for by, int64_t deadline_ns, struct call_answer *ret)
{
    carry_out_call((struct call){.manager = manager,
                                 .service = outside->target,
                                 .path = outside->shown,
                                 .url = outside->url,
                                 .headers = outside->headers,
                                 .by = by},
                   deadline_ns, ret);
}

void call_answer_release(struct call_answer *answer)
{
    free(answer->text);
    answer->text = NULL;
}
