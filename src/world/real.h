/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORLD_REAL_H
#define WORLD_REAL_H

/* The real world: libuv's loop, the kernel's clocks and randomness, the loop's thread pool. */

#include <uv.h>

#include "base/error.h"
#include "world/world.h"

/* Sends requests. The layer that can (http/client.h) installs it; before that, all requests fail at
 * once. */
typedef void world_sender(void *sender, struct world_request *request);

struct world *world_real_new(uv_loop_t *loop, struct fh_error *error);
void world_real_set_sender(struct world *world, world_sender *send, void *sender);
uv_loop_t *world_real_loop(struct world *world); /* NULL: it is another world */
void world_real_free(struct world *world); /* closes its handles: run the loop once more after */

#endif
