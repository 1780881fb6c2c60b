/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One timer for all requests, which runs only while there are some: once a second it goes through
 * their list. So a request costs no more than its place there, and one whose time is over is
 * answered at most a second late.
 *
 *     WAITING --its time is over during its commit--> ANSWERED --decided--> ended
 *        +---------------------------------- decided -------------------------+
 */

#include "service/undecided.h"

#include "base/log.h"
#include "service/exchange.h"
#include "service/runtime.h"

static bool request_is_over(const struct runtime *runtime, const struct undecided_request *request,
                            int64_t now_ns)
{
    if (request->answered || (now_ns < request->until_ns && request->until_ns != INT64_MAX))
        return false;
    int64_t since_ns = store_committing_since(runtime->context.store, request->fiber);
    bool long_ago = now_ns - since_ns >= RUNTIME_DEADLINE_MS * INT64_C(1000000);
    return since_ns && (request->until_ns != INT64_MAX || long_ago);
}

static void look_later(struct runtime *runtime);

static void look_at_requests(struct world_timer *timer)
{
    struct runtime *runtime = timer->owner;
    struct undecided_requests *requests = &runtime->requests;
    int64_t now_ns = world_monotonic_ns(runtime->world);
    bool was_told = requests->answered > 0;
    requests->looks = false;
    for (struct undecided_request *each = requests->first; each; each = each->next) {
        if (!request_is_over(runtime, each, now_ns))
            continue;
        exchange_answer_undecided(each);
        each->answered = true;
        requests->answered++;
    }
    if (requests->answered > 0 && !was_told)
        log_warning("requests-undecided",
                    "The store's server does not say whether some transactions were committed: "
                    "their clients are answered 503 and asked to try again. What follows from "
                    "these transactions waits until it does.");
    if (requests->first)
        look_later(runtime);
}

static void look_later(struct runtime *runtime)
{
    struct undecided_requests *requests = &runtime->requests;
    requests->looks = true;
    requests->look.fire = look_at_requests;
    requests->look.owner = runtime;
    world_timer_start(runtime->world, &requests->look,
                      world_in_ms(runtime->world, UNDECIDED_LOOK_MS));
}

void undecided_enter(struct runtime *runtime, struct undecided_request *request)
{
    struct undecided_requests *requests = &runtime->requests;
    request->previous = requests->last;
    request->next = NULL;
    if (requests->last)
        requests->last->next = request;
    else
        requests->first = request;
    requests->last = request;
    if (!requests->looks)
        look_later(runtime);
}

void undecided_leave(struct runtime *runtime, struct undecided_request *request)
{
    struct undecided_requests *requests = &runtime->requests;
    if (request->previous)
        request->previous->next = request->next;
    else
        requests->first = request->next;
    if (request->next)
        request->next->previous = request->previous;
    else
        requests->last = request->previous;
    requests->answered -= request->answered;
    if (request->answered && requests->answered == 0)
        log_info("requests-decided", "The outcome of every transaction is known again.");
}

void undecided_stop(struct runtime *runtime)
{
    world_timer_stop(runtime->world, &runtime->requests.look);
}

bool undecided_full(const struct runtime *runtime)
{
    return runtime->requests.answered >= UNDECIDED_MAX;
}
