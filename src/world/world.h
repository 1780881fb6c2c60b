/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORLD_WORLD_H
#define WORLD_WORLD_H

/*
 * The seam between Freehold and the world: time, randomness, timers, blocking jobs, requests
 * between services, and durable files (those of SQLite by the name of a VFS). Everything above this
 * layer reaches them only through this seam, so that a simulated world, driven by a seed, can
 * replace the real one.
 *
 * Deadlines are in monotonic nanoseconds. The wall clock is only for people and ids: it may jump,
 * and nothing expires by it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "world/fiber.h"

struct text;

struct world;

/* Embedded in its user's struct. `fire` runs on the loop, outside fibers; a timer fires once. */
struct world_timer {
    void (*fire)(struct world_timer *timer);
    void *owner;
    int64_t at_ns;
    void *native; /* for the world's own use: set to NULL before first use */
    size_t place;
};

/* Work that must block. `run` is called off the loop and must not touch anything else, but may look
 * at the monotonic clock; then `done` is called on the loop. In a simulated world `run` runs in a
 * fiber. */
struct world_job {
    void (*run)(struct world_job *job);
    void (*done)(struct world_job *job);
    void *owner;
    void *native;
};

/* Called on the loop once all ready fibers have run, before the loop sleeps. Posting it again
 * before it is called has no effect. */
struct world_turn {
    void (*run)(struct world_turn *turn);
    void *owner;
    struct world_turn *next;
    bool posted;
};

/* Watches a descriptor, usually one that an engine's client library owns. `ready` runs on the loop,
 * outside fibers, as long as the descriptor is watched and any of `events` holds (an error or a
 * hangup counts as both). */
#define WORLD_READABLE 1u
#define WORLD_WRITABLE 2u
struct world_poll {
    int fd;
    void (*ready)(struct world_poll *poll, unsigned events);
    void *owner;
    void *native; /* for the world's own use: set to NULL before first use */
};

#define WORLD_HEADERS_MAX 16

struct world_header {
    const char *name, *value;
};

/* A request from this service to another. All inputs are borrowed until `done`. */
struct world_request {
    const char *service; /* its name: the world finds its address */
    const char *method;
    const char *path; /* includes the query, encoded */
    /* Instead of service and path: "https://...", a URL outside the system. Its server can't be
     * assumed to follow Freehold's protocol. */
    const char *url;
    struct world_header headers[WORLD_HEADERS_MAX]; /* ends at the first NULL name */
    const char *body;                               /* NULL: none; JSON otherwise */
    size_t body_length;
    int64_t deadline_ns;
    size_t answer_size_max; /* 0: 16 MiB */
    void (*done)(struct world_request *request);
    void *owner;

    /* Filled in before `done`, and valid until it returns. */
    int status;          /* 0: no answer, see failure */
    const char *failure; /* "connection refused", "deadline passed", ... */
    bool unsent;         /* no answer, and no byte was sent: there was no connection */
    bool oversized;      /* no answer, since it was larger than answer_size_max */
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
    void (*timer_stop)(struct world *world, struct world_timer *timer); /* even if not started */
    void (*job)(struct world *world, struct world_job *job);
    void (*job_aside)(struct world *world, struct world_job *job);
    bool (*lower)(struct world *world, int64_t after_ns);
    void (*turn)(struct world *world, struct world_turn *turn);
    /* Starting again changes the events. Stop before closing the descriptor. In a simulated world
     * the descriptors are pseudo descriptors (simulate/socket.h). */
    void (*poll_start)(struct world *world, struct world_poll *poll, unsigned events);
    void (*poll_stop)(struct world *world, struct world_poll *poll); /* even if not started */
    void (*request)(struct world *world, struct world_request *request);
    /* For when going on could break a promise (after a failed fsync): ends the process at once,
     * from any thread. The next start continues with what is durable. */
    void (*fatal)(struct world *world, const char *why);
};

/* Durable files other than those that SQLite opens. All of these block, and return 0 or an errno
 * value. */
struct world_files {
    /* Holds for the life of the process. EWOULDBLOCK: another process has it. Creates the file. */
    int (*lock)(struct world *world, const char *path, int *ret_lock);
    void (*unlock)(struct world *world, int lock);
    int (*size)(struct world *world, const char *path, int64_t *ret);
    /* Writes all of `from` to a new file `to` and syncs it. */
    int (*copy_synced)(struct world *world, const char *from, const char *to);
    int (*rename)(struct world *world, const char *from, const char *to); /* replaces */
    int (*remove)(struct world *world, const char *path);
    int (*sync_folder)(struct world *world, const char *folder);
    /* Appends the whole file to `ret`. EFBIG: it exceeds the bound of `ret`. */
    int (*read)(struct world *world, const char *path, struct text *ret);
    /* Atomically replaces the file with a synced one that holds these bytes. */
    int (*replace)(struct world *world, const char *path, const char *data, size_t length);
};
extern const struct world_files world_files_real; /* the kernel's files */

struct world {
    const struct world_ops *ops;
    struct fibers *fibers;
    const char *vfs; /* the name of SQLite's VFS for the files; NULL: the system's */
    int log_frames;  /* that SQLite's log has before it is copied into the database; 0: as ever */
    /* How often the loop has run all that was ready, before and after it looked at its descriptors:
     * what it calls back between two of these, it found out at one time. 0: no loop counts. */
    uint64_t rounds;
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
/* As world_job, for one that may take long and that nobody else waits for: it may lower itself. */
static inline void world_job_aside(struct world *world, struct world_job *job)
{
    world->ops->job_aside(world, job);
}
/* In such a job's `run`, every 50 us or so: once it has had a processor for `after_ns` it takes
 * from now on only what others leave, and rests now and then, in this call, while fibers run. So it
 * must hold no lock that others need. True: it does so already. */
static inline bool world_lower(struct world *world, int64_t after_ns)
{
    return world->ops->lower(world, after_ns);
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

/* Parks the fiber until any of `events` holds for the descriptor, and returns those that do; 0: the
 * deadline came first (negative: no deadline). */
unsigned world_wait_for(struct world *world, int fd, unsigned events, int64_t deadline_ns);
/* Finds the numeric address of a host. Parks the fiber during a look-up. Returns NULL, or the
 * reason for a failure. */
#define WORLD_ADDRESS_SIZE 64
const char *world_resolve(struct world *world, const char *host,
                          char ret_address[static WORLD_ADDRESS_SIZE]);
/* Parks the fiber while `run(owner)` blocks off the loop. */
void world_blocking(struct world *world, void (*run)(void *), void *owner);
/* Sends the request and parks the fiber until the answer or the deadline. The answer, its headers
 * and `failure` are copied to the heap: world_request_release frees them. */
void world_request_wait(struct world *world, struct world_request *request);
/* The same, sent by `send(sender, request)`: somebody who sends elsewhere than the world does. */
void world_request_wait_by(void (*send)(void *sender, struct world_request *request), void *sender,
                           struct world_request *request);
void world_request_release(struct world_request *request);
/* The value of an answer's header (name in lower case), or NULL. */
const char *world_answer_header(const struct world_request *request, const char *name);
/* Uniform in [0, limit). limit > 0. */
uint64_t world_random_below(struct world *world, uint64_t limit);

#endif
