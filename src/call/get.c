/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One GET, with its retries, its deadline and its place in the line of its target.
 *
 * Nothing here is durable and nothing is changed by it: a GET that was lost, or answered twice,
 * leaves no trace. The place in line is handed from the one who leaves to the one who has waited
 * longest, directly, so that nobody who comes in between can overtake.
 */

#include "call/get.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call/trace.h"
#include "work/work.h"
#include "world/world.h"

#define NS_A_MS INT64_C(1000000)

struct call_room *call_room_new(struct work_context *context)
{
    struct call_room *room = calloc(1, sizeof *room);
    FH_ASSERT(room != NULL);
    room->context = context;
    map_init(&room->targets);
    return room;
}

void call_room_free(struct call_room *room)
{
    struct map_entry *entry = NULL;
    const char *key;
    void *value;
    if (!room)
        return;
    while (map_next(&room->targets, &entry, &key, &value)) {
        struct call_target *target = value;
        FH_ASSERT(target->in_flight == 0);
        free(target);
    }
    map_release(&room->targets);
    free(room);
}

/* Their number is bounded by the services that the declaration names. */
static struct call_target *target_of(struct call_room *room, const char *service)
{
    struct call_target *target = map_get(&room->targets, service);
    if (!target) {
        target = calloc(1, sizeof *target);
        FH_ASSERT(target != NULL);
        map_put(&room->targets, service, target);
    }
    return target;
}

/* ---- the line ------------------------------------------------------------------------------ */

struct call_waiter {
    struct fiber_queue queue; /* this one fiber */
    bool granted;
    struct call_waiter *previous, *next;
};

static void line_leave(struct call_target *target, struct call_waiter *waiter)
{
    *(waiter->previous ? &waiter->previous->next : &target->first) = waiter->next;
    *(waiter->next ? &waiter->next->previous : &target->last) = waiter->previous;
    target->waiting--;
}

/* False: the line is full, or the deadline came first. */
static bool slot_take(struct call_target *target, struct world *world, int64_t deadline_ns)
{
    if (target->in_flight >= CALL_IN_FLIGHT_MAX) {
        if (target->waiting >= CALL_WAITING_MAX)
            return false;
        struct call_waiter waiter = {.previous = target->last};
        *(target->last ? &target->last->next : &target->first) = &waiter;
        target->last = &waiter;
        target->waiting++;
        fiber_wait_until(&waiter.queue, world, deadline_ns);
        if (!waiter.granted)
            line_leave(target, &waiter);
        return waiter.granted; /* the slot was given: in_flight counts it already */
    }
    target->in_flight++;
    if (target->in_flight > target->in_flight_high)
        target->in_flight_high = target->in_flight;
    return true;
}

static void slot_give(struct call_target *target)
{
    struct call_waiter *waiter = target->first;
    if (!waiter) {
        target->in_flight--;
        return;
    }
    line_leave(target, waiter);
    waiter->granted = true;
    fiber_wake_all(&waiter->queue);
}

/* ---- one attempt --------------------------------------------------------------------------- */

static void answer_failed(struct call_answer *answer, const char *why)
{
    free(answer->text);
    *answer = (struct call_answer){.text = calloc(1, 1)};
    FH_ASSERT(answer->text != NULL);
    snprintf(answer->failure, sizeof answer->failure, "%s", why);
}

static int retry_after_of(const struct world_request *request)
{
    const char *value = world_answer_header(request, "retry-after");
    if (!value || !*value || value[strspn(value, "0123456789")] != '\0' || strlen(value) > 9)
        return 0; /* a date is allowed too, but no service of ours sends one */
    return (int)strtol(value, NULL, 10);
}

static void answer_take(struct call_answer *answer, struct world_request *request)
{
    if (request->status == 0) {
        answer_failed(answer, request->failure ? request->failure : "no answer");
        return;
    }
    free(answer->text);
    *answer = (struct call_answer){.status = request->status,
                                   .retry_after_s = retry_after_of(request),
                                   .text = malloc(request->answer_length + 1),
                                   .length = request->answer_length};
    FH_ASSERT(answer->text != NULL);
    if (answer->length)
        memcpy(answer->text, request->answer, answer->length);
    answer->text[answer->length] = '\0';
}

struct call {
    struct call_room *room;
    struct call_target *target;
    const char *service, *path, *trace;
    int64_t deadline_ns; /* the margin taken off */
};

static void attempt(const struct call *call, struct call_answer *answer)
{
    struct work_context *context = call->room->context;
    struct world *world = context->world;
    unsigned char random[TRACE_RANDOM_SIZE];
    char trace[TRACE_SIZE], from[128], deadline[24];
    if (!slot_take(call->target, world, call->deadline_ns)) {
        answer_failed(answer, "too many calls to it are under way");
        return;
    }
    int64_t left_ms = (call->deadline_ns - world_monotonic_ns(world)) / NS_A_MS - CALL_MARGIN_MS;
    world_random(world, random, sizeof random);
    trace_child(call->trace, random, trace);
    snprintf(from, sizeof from, "%s/%s", context->service->name, context->store->incarnation);
    snprintf(deadline, sizeof deadline, "%lld", (long long)(left_ms > 1 ? left_ms : 1));
    struct world_request request = {
        .service = call->service,
        .method = "GET",
        .path = call->path,
        .headers = {{"Accept", "application/json"},
                    {"Freehold-From", from},
                    {"Freehold-Deadline", deadline},
                    {"traceparent", trace}},
        .deadline_ns = call->deadline_ns,
        .answer_size_max = CALL_ANSWER_SIZE_MAX,
    };
    world_request_wait(world, &request);
    slot_give(call->target);
    answer_take(answer, &request);
    world_request_release(&request);
}

static bool may_pass(int status)
{
    return status == 0 || status == 429 || status == 502 || status == 503 || status == 504;
}

/* Full jitter: anything up to 10 ms, then 100 ms, then 1 s. */
static int64_t pause_ns(struct world *world, int attempts)
{
    int64_t most = CALL_RETRY_MS_MIN * NS_A_MS;
    for (int i = 1; i < attempts && most < CALL_RETRY_MS_MAX * NS_A_MS; i++)
        most *= 10;
    return (int64_t)world_random_below(world, (uint64_t)most + 1);
}

void call_get(struct call_room *room, const char *service, const char *path, const char *trace,
              int64_t deadline_ns, struct call_answer *ret)
{
    struct world *world = room->context->world;
    int64_t now_ns = world_monotonic_ns(world);
    struct call call = {room, target_of(room, service), service, path, trace, 0};
    if (deadline_ns < 0)
        deadline_ns = now_ns + CALL_DEADLINE_MS * NS_A_MS;
    call.deadline_ns = deadline_ns - CALL_MARGIN_MS * NS_A_MS;
    *ret = (struct call_answer){0};
    call.target->counters.calls++;
    if (now_ns >= call.deadline_ns) {
        answer_failed(ret, "the deadline has passed");
    } else {
        for (int attempts = 1;; attempts++) {
            attempt(&call, ret);
            if (!may_pass(ret->status) || attempts == CALL_ATTEMPTS_MAX)
                break;
            int64_t wait_ns = pause_ns(world, attempts);
            if (wait_ns < ret->retry_after_s * 1000 * NS_A_MS)
                wait_ns = ret->retry_after_s * 1000 * NS_A_MS;
            now_ns = world_monotonic_ns(world);
            if (wait_ns >= call.deadline_ns - now_ns)
                break;
            call.target->counters.retries++;
            fiber_sleep_until(world, now_ns + wait_ns);
        }
    }
    if (may_pass(ret->status))
        call.target->counters.failures++;
}

void call_answer_release(struct call_answer *answer)
{
    free(answer->text);
    answer->text = NULL;
}
