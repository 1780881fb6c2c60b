/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORLD_WORLD_H
#define WORLD_WORLD_H

/*
 * The seam between Freehold and the world: time, randomness, timers, blocking jobs, requests
 * between services, and (by the name of a SQLite VFS) durable files. Everything above this room
 * reaches those only here, so that a simulated world, driven by a seed, can take its place.
 *
 * Deadlines count monotonic nanoseconds. The wall clock is for people and for ids: it may jump,
 * and nothing expires by it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "world/fiber.h"

struct text;

struct world;

/* Embedded in what it serves. `fire` runs on the loop, outside fibers; a timer fires once. */
struct world_timer {
    void (*fire)(struct world_timer *timer);
    void *owner;
    int64_t at_ns;
    void *native; /* the world's own: set to NULL before first use */
    size_t place;
};

/* Work that can only block. `run` is called off the loop and must touch nothing else; `done`
 * afterwards on the loop. In a simulated world `run` is a fiber's code. */
struct world_job {
    void (*run)(struct world_job *job);
    void (*done)(struct world_job *job);
    void *owner;
    void *native;
};

/* Called on the loop once all ready fibers have run, before the loop sleeps. Posted at most once
 * until called. */
struct world_turn {
    void (*run)(struct world_turn *turn);
    void *owner;
    struct world_turn *next;
    bool posted;
};

/* Watches a descriptor, mostly one that a client library of an engine owns. `ready` runs on the
 * loop, outside fibers, as long as it is watched and something of `events` holds (errors and the
 * other end's leaving count as both). */
#define WORLD_READABLE 1u
#define WORLD_WRITABLE 2u
struct world_poll {
    int fd;
    void (*ready)(struct world_poll *poll, unsigned events);
    void *owner;
    void *native; /* the world's own: set to NULL before first use */
};

#define WORLD_HEADERS_MAX 16

struct world_header {
    const char *name, *value;
};

/* A request from this service to another one. All inputs are borrowed until `done`. */
struct world_request {
    const char *service; /* by name: discovery is the world's */
    const char *method;
    const char *path; /* with its query, encoded */
    /* Instead of service and path: "https://...", outside of the system. Nothing there is known to
     * keep Freehold's protocol. */
    const char *url;
    struct world_header headers[WORLD_HEADERS_MAX]; /* up to the first NULL name */
    const char *body;                               /* NULL: none; JSON otherwise */
    size_t body_length;
    int64_t deadline_ns;
    size_t answer_size_max; /* 0: 16 MiB */
    void (*done)(struct world_request *request);
    void *owner;

    /* Filled in before `done`, valid until it returns. */
    int status;          /* 0: no answer, see failure */
    const char *failure; /* "connection refused", "deadline passed", ... */
    bool unsent;         /* no answer, and no byte was sent: no connection was made */
    const char *answer;
    size_t answer_length;
    const struct world_header *answer_headers; /* names in lower case */
    size_t answer_header_count;
    void *native;
};

struct world_ops {
    int64_t (*monotonic_ns)(struct world *world);
    int64_t (*wall_ms)(struct world *world);
    void (*random)(struct world *world, void *buffer, size_t length);
    void (*timer_start)(struct world *world, struct world_timer *timer, int64_t at_ns);
    void (*timer_stop)(struct world *world, struct world_timer *timer); /* fine when not started */
    void (*job)(struct world *world, struct world_job *job);
    void (*turn)(struct world *world, struct world_turn *turn);
    /* Started again: other events. Stopped before the descriptor is closed. Simulated worlds have
     * none, as they have no servers: NULL. */
    void (*poll_start)(struct world *world, struct world_poll *poll, unsigned events);
    void (*poll_stop)(struct world *world, struct world_poll *poll); /* fine when not started */
    void (*request)(struct world *world, struct world_request *request);
    /* A promise could be broken by going on (a failed fsync): ends the process at once, from any
     * thread; what is durable is found again at the next start. */
    void (*fatal)(struct world *world, const char *why);
};

/* Durable files beside those that SQLite opens. All block; they give 0 or an errno value. */
struct world_files {
    /* For the life of the process. EWOULDBLOCK: another process has it. The file is made. */
    int (*lock)(struct world *world, const char *path, int *ret_lock);
    void (*unlock)(struct world *world, int lock);
    int (*size)(struct world *world, const char *path, int64_t *ret);
    /* Writes all of `from` to the new file `to` and syncs it. */
    int (*copy_synced)(struct world *world, const char *from, const char *to);
    int (*rename)(struct world *world, const char *from, const char *to); /* replaces */
    int (*remove)(struct world *world, const char *path);
    int (*sync_folder)(struct world *world, const char *folder);
    /* All of it, appended. EFBIG: it is longer than `ret` may become. */
    int (*read)(struct world *world, const char *path, struct text *ret);
    /* A file of these bytes, synced, in the place of what was there: whole or not at all. */
    int (*replace)(struct world *world, const char *path, const char *data, size_t length);
};
extern const struct world_files world_files_real; /* the kernel's */

struct world {
    const struct world_ops *ops;
    struct fibers *fibers;
    const char *vfs; /* SQLite's name of the files' VFS; NULL: the system's */
    const struct world_files *files;
};

static inline int64_t world_monotonic_ns(struct world *world)
{
    return world->ops->monotonic_ns(world);
}
static inline int64_t world_wall_ms(struct world *world)
{
    return world->ops->wall_ms(world);
}
static inline void world_random(struct world *world, void *buffer, size_t length)
{
    world->ops->random(world, buffer, length);
}
static inline void world_timer_start(struct world *world, struct world_timer *timer, int64_t at_ns)
{
    world->ops->timer_start(world, timer, at_ns);
}
static inline void world_timer_stop(struct world *world, struct world_timer *timer)
{
    world->ops->timer_stop(world, timer);
}
static inline void world_job(struct world *world, struct world_job *job)
{
    world->ops->job(world, job);
}
static inline void world_turn(struct world *world, struct world_turn *turn)
{
    world->ops->turn(world, turn);
}
static inline void world_poll_start(struct world *world, struct world_poll *poll, unsigned events)
{
    world->ops->poll_start(world, poll, events);
}
static inline void world_poll_stop(struct world *world, struct world_poll *poll)
{
    world->ops->poll_stop(world, poll);
}
static inline void world_fatal(struct world *world, const char *why)
{
    world->ops->fatal(world, why);
}
static inline int64_t world_in_ms(struct world *world, int64_t ms)
{
    return world_monotonic_ns(world) + ms * 1000000;
}

/* Parks the fiber until something of `events` holds for the descriptor, and tells what; 0: the
 * deadline came first (negative: there is none). */
unsigned world_wait_for(struct world *world, int fd, unsigned events, int64_t deadline_ns);
/* The address of a host, as numbers: for a fiber, parked while a name is looked up. NULL, or why
 * there is none. */
#define WORLD_ADDRESS_SIZE 64
const char *world_resolve(struct world *world, const char *host,
                          char ret_address[static WORLD_ADDRESS_SIZE]);
/* Off the loop and back, for a fiber: parks it while `run(owner)` blocks elsewhere. */
void world_blocking(struct world *world, void (*run)(void *), void *owner);
/* Sends and parks the fiber until answer or deadline. `request->answer` and the headers are
 * copied to the heap: world_request_release frees them. */
void world_request_wait(struct world *world, struct world_request *request);
void world_request_release(struct world_request *request);
/* A header of an answer, by lower-case name, or NULL. */
const char *world_answer_header(const struct world_request *request, const char *name);
/* Uniform in [0, limit). limit > 0. */
uint64_t world_random_below(struct world *world, uint64_t limit);

#endif
