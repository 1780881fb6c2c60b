/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_WORKER_H
#define BROKER_WORKER_H

/*
 * A thread for one connection, which makes the calls of a client library that block. The world's
 * pool is not for them: it has a few threads, a call to a server that is away takes seconds, and
 * an embedded store commits there.
 */

#include "base/error.h"

struct broker_worker;
struct world;

/* Starts the thread. FH_UNAVAILABLE: there can be no more threads or descriptors. */
enum fh_code broker_worker_new(struct world *world, struct broker_worker **ret,
                               struct fh_error *error);
/* The same for a connection that wants to be looked after meanwhile: as long as there is nothing to
 * do, the thread is in `idle(argument, wake_fd)`, which returns soon after wake_fd has become
 * readable, and is called again. It leaves what can be read there. */
enum fh_code broker_worker_new_idle(struct world *world, void (*idle)(void *, int wake_fd),
                                    void *argument, struct broker_worker **ret,
                                    struct fh_error *error);
/* Makes an eventfd readable. On any thread. */
void broker_signal(int fd);
/* Has `idle` return. On any thread, until the worker has ended. */
void broker_worker_wake(struct broker_worker *worker);
/* Parks the fiber while the thread runs `run(argument)`, after all calls that came before. */
void broker_worker_run(struct broker_worker *worker, void (*run)(void *), void *argument);
/* Returns at once: the thread runs `run(argument)` after all calls that came before, and nobody is
 * told. */
void broker_worker_send(struct broker_worker *worker, void (*run)(void *), void *argument);
/* Returns at once: the thread runs `last(argument)` and ends. No fiber may be waiting. */
void broker_worker_end(struct broker_worker *worker, void (*last)(void *), void *argument);
/* A thread for one call that may never return. 0, or an errno value. */
int broker_thread_start(void *(*run)(void *), void *argument);

#endif
