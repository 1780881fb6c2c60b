/* SPDX-License-Identifier: Apache-2.0 */
/* One timer for each that is overloaded, and none otherwise. */

#include "call/overload.h"

#include <stdio.h>

#include "base/log.h"
#include "shape/problem.h"

#define SHED                                                                                       \
    "More requests come than can be carried out: nothing was done for this one. Repeat it after "  \
    "as many seconds as Retry-After says."
#define RETRY_AFTER_S_MAX 3 /* so that those who were shed together do not come back together */

static void look_again_later(struct overload *overload);

static void on_calm(struct world_timer *timer)
{
    struct overload *overload = timer->owner;
    if (!turns_calm_down(&overload->turns, world_monotonic_ns(overload->world))) {
        look_again_later(overload);
        return;
    }
    overload->told = false;
    log_info("overload-ended", "No request was shed for a second (%s). Since the start %llu were.",
             overload->what, (unsigned long long)overload->turns.shed);
}

static void look_again_later(struct overload *overload)
{
    world_timer_start(overload->world, &overload->calm,
                      world_monotonic_ns(overload->world) + TURNS_CALM_NS);
}

void overload_init(struct overload *overload, struct world *world, const char *what)
{
    *overload = (struct overload){.world = world, .what = what};
    overload->calm = (struct world_timer){.fire = on_calm, .owner = overload};
    turns_init(&overload->turns);
}

void overload_release(struct overload *overload)
{
    if (overload->world)
        world_timer_stop(overload->world, &overload->calm);
    turns_release(&overload->turns);
}

void overload_look(struct overload *overload)
{
    if (!overload->turns.overloaded || overload->told)
        return;
    overload->told = true;
    log_warning("overload-begun",
                "More requests come than can be carried out (%s), and %u wait. Of callers whose "
                "lines are too "
                "long, others are shed with 503 and Retry-After until it is over.",
                overload->what, overload->turns.waiting);
    look_again_later(overload);
}

/* It must cost next to nothing, so it is made once. */
const struct http_answer *overload_answer(struct world *world)
{
    static const char *const seconds[RETRY_AFTER_S_MAX] = {"1", "2", "3"};
    static char body[512];
    static struct http_header later = {"Retry-After", NULL};
    static struct http_answer answer = {.status = 503,
                                        .content_type = PROBLEM_CONTENT_TYPE,
                                        .body = body,
                                        .headers = &later,
                                        .header_count = 1,
                                        .shed = true,
                                        .told = true};
    if (!answer.body_length)
        answer.body_length = (size_t)snprintf(
            body, sizeof body,
            "{\"type\": \"%s\", \"title\": \"%s\", \"status\": 503, \"detail\": \"%s\"}",
            problem_uri(PROBLEM_REQUEST_SHED), problem_title(503), SHED);
    later.value = seconds[world_random_below(world, RETRY_AFTER_S_MAX)];
    return &answer;
}
