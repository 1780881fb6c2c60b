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
/* Parks the fiber while the thread runs `run(argument)`, after all calls that came before. */
void broker_worker_run(struct broker_worker *worker, void (*run)(void *), void *argument);
/* Returns at once: the thread runs `run(argument)` after all calls that came before, and nobody is
 * told. */
void broker_worker_send(struct broker_worker *worker, void (*run)(void *), void *argument);
/* Returns at once: the thread runs `last(argument)` and ends. No fiber may be waiting. */
void broker_worker_end(struct broker_worker *worker, void (*last)(void *), void *argument);

#endif
