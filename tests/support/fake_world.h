/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FAKE_WORLD_H
#define TESTS_FAKE_WORLD_H

/* The real world, except for requests, which the test answers from memory: now or later, rightly or
 * wrongly, exactly as the schedule under test needs it. Header only. */

#include <string.h>

#include "world/world.h"

struct fake_world {
    struct world world; /* give this one to the code under test */
    struct world *real;
    /* Answers with fake_answer, at once or later. */
    void (*request)(struct fake_world *fake, struct world_request *request);
    void *context;
    int requests;
};

static inline struct world *fake_real(struct world *world)
{
    return ((struct fake_world *)world)->real;
}
static inline int64_t fake_monotonic_ns(struct world *world)
{
    return world_monotonic_ns(fake_real(world));
}
static inline int64_t fake_wall_ms(struct world *world)
{
    return world_wall_ms(fake_real(world));
}
static inline void fake_random(struct world *world, void *buffer, size_t length)
{
    world_random(fake_real(world), buffer, length);
}
static inline void fake_timer_start(struct world *world, struct world_timer *timer, int64_t at_ns)
{
    world_timer_start(fake_real(world), timer, at_ns);
}
static inline void fake_timer_stop(struct world *world, struct world_timer *timer)
{
    world_timer_stop(fake_real(world), timer);
}
static inline void fake_job(struct world *world, struct world_job *job)
{
    world_job(fake_real(world), job);
}
static inline void fake_turn(struct world *world, struct world_turn *turn)
{
    world_turn(fake_real(world), turn);
}
static inline void fake_request(struct world *world, struct world_request *request)
{
    struct fake_world *fake = (struct fake_world *)world;
    fake->requests++;
    fake->request(fake, request);
}
static inline void fake_fatal(struct world *world, const char *why)
{
    world_fatal(fake_real(world), why);
}

static const struct world_ops fake_world_ops = {
    .monotonic_ns = fake_monotonic_ns,
    .wall_ms = fake_wall_ms,
    .random = fake_random,
    .timer_start = fake_timer_start,
    .timer_stop = fake_timer_stop,
    .job = fake_job,
    .turn = fake_turn,
    .request = fake_request,
    .fatal = fake_fatal,
};

static inline void fake_world_init(struct fake_world *fake, struct world *real)
{
    *fake = (struct fake_world){.world = *real, .real = real};
    fake->world.ops = &fake_world_ops;
}

/* Headers' names in lower case; `body` NULL: empty. */
static inline void fake_answer(struct world_request *request, int status, const char *body,
                               const struct world_header *headers, size_t header_count)
{
    request->status = status;
    request->failure = status ? NULL : "connection refused";
    request->answer = body ? body : "";
    request->answer_length = strlen(request->answer);
    request->answer_headers = headers;
    request->answer_header_count = header_count;
    request->done(request);
}

static inline const char *fake_header(const struct world_request *request, const char *name)
{
    for (size_t i = 0; i < WORLD_HEADERS_MAX && request->headers[i].name; i++) {
        if (strcmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    }
    return NULL;
}

#endif
