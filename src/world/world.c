/* SPDX-License-Identifier: Apache-2.0 */
/* How fibers wait, in any world: for a blocking job, a descriptor or a request's answer. */

#include "world/world.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct blocking {
    struct world_job job;
    void (*run)(void *);
    void *owner;
    struct fiber *fiber;
};

static void blocking_run(struct world_job *job)
{
    struct blocking *blocking = job->owner;
    blocking->run(blocking->owner);
}

static void blocking_done(struct world_job *job)
{
    struct blocking *blocking = job->owner;
    fiber_ready(blocking->fiber);
}

void world_blocking(struct world *world, void (*run)(void *), void *owner)
{
    struct blocking blocking = {.run = run, .owner = owner, .fiber = fiber_self()};
    blocking.job =
        (struct world_job){.run = blocking_run, .done = blocking_done, .owner = &blocking};
    world_job(world, &blocking.job);
    fiber_park();
}

/* Waits for a descriptor or a deadline, whichever comes first. */
struct watching {
    struct world *world;
    struct world_poll poll;
    struct world_timer timer;
    struct fiber *fiber;
    unsigned held;
};

static void watching_ends(struct watching *watching, unsigned held)
{
    world_poll_stop(watching->world, &watching->poll);
    world_timer_stop(watching->world, &watching->timer);
    watching->held = held;
    fiber_ready(watching->fiber);
}

static void watching_ready(struct world_poll *poll, unsigned events)
{
    watching_ends(poll->owner, events);
}

static void watching_late(struct world_timer *timer)
{
    watching_ends(timer->owner, 0);
}

unsigned world_wait_for(struct world *world, int fd, unsigned events, int64_t deadline_ns)
{
    struct watching watching = {.world = world, .fiber = fiber_self()};
    watching.poll = (struct world_poll){.fd = fd, .ready = watching_ready, .owner = &watching};
    watching.timer = (struct world_timer){.fire = watching_late, .owner = &watching};
    world_poll_start(world, &watching.poll, events);
    if (deadline_ns >= 0)
        world_timer_start(world, &watching.timer, deadline_ns);
    fiber_park();
    return watching.held;
}

struct waiting {
    struct fiber *fiber;
    bool parked, done;
};

/* One block: the array of headers, their strings, the failure, the answer. */
static void answer_keep(struct world_request *request)
{
    size_t count = request->answer_header_count;
    size_t size = count * sizeof(struct world_header) + request->answer_length + 1;
    for (size_t i = 0; i < count; i++)
        size +=
            strlen(request->answer_headers[i].name) + strlen(request->answer_headers[i].value) + 2;
    size_t failure_length = request->failure ? strlen(request->failure) + 1 : 0;
    char *block = malloc(size + failure_length);
    FH_ASSERT(block != NULL);
    struct world_header *headers = (void *)block;
    char *at = block + count * sizeof(struct world_header);
    for (size_t i = 0; i < count; i++) {
        headers[i].name = at;
        at = stpcpy(at, request->answer_headers[i].name) + 1;
        headers[i].value = at;
        at = stpcpy(at, request->answer_headers[i].value) + 1;
    }
    if (failure_length)
        request->failure = memcpy(at, request->failure, failure_length);
    at += failure_length;
    if (request->answer_length)
        memcpy(at, request->answer, request->answer_length);
    at[request->answer_length] = '\0';
    request->answer = at;
    request->answer_headers = headers;
    request->native = block;
}

static void request_done(struct world_request *request)
{
    struct waiting *waiting = request->owner;
    answer_keep(request);
    waiting->done = true;
    if (waiting->parked)
        fiber_ready(waiting->fiber);
}

void world_request_wait_by(void (*send)(void *sender, struct world_request *request), void *sender,
                           struct world_request *request)
{
    struct waiting waiting = {.fiber = fiber_self()};
    request->done = request_done;
    request->owner = &waiting;
    request->native = NULL;
    send(sender, request);
    if (!waiting.done) {
        waiting.parked = true;
        fiber_park();
    }
    request->owner = NULL;
}

static void send_by_world(void *world, struct world_request *request)
{
    ((struct world *)world)->ops->request(world, request);
}

void world_request_wait(struct world *world, struct world_request *request)
{
    world_request_wait_by(send_by_world, world, request);
}

void world_request_release(struct world_request *request)
{
    free(request->native);
    request->native = NULL;
    request->answer = NULL;
    request->failure = NULL;
    request->answer_headers = NULL;
    request->answer_header_count = request->answer_length = 0;
}

const char *world_answer_header(const struct world_request *request, const char *name)
{
    for (size_t i = 0; i < request->answer_header_count; i++) {
        if (strcmp(request->answer_headers[i].name, name) == 0)
            return request->answer_headers[i].value;
    }
    return NULL;
}

uint64_t world_random_below(struct world *world, uint64_t limit)
{
    uint64_t value, floor = -limit % limit; /* below it, small results would be more likely */
    do {
        world_random(world, &value, sizeof value);
    } while (value < floor);
    return value % limit;
}
