/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORLD_ASIDE_H
#define WORLD_ASIDE_H

/* Threads beside the loop's pool, for jobs that may lower their priority: world_job_aside. */

#include <uv.h>

#include "world/world.h"

struct aside;

struct aside *aside_new(uv_loop_t *loop); /* NULL: the system has none to give */
/* False: there is no thread for it, and nothing was done. */
bool aside_job(struct aside *aside, struct world_job *job);
/* See world_lower. */
bool aside_lower(int64_t after_ns);
/* No job is under way. Calls `closed(owner)` from the loop. */
void aside_close(struct aside *aside, void (*closed)(void *owner), void *owner);

#endif
