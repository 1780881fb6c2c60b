/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_TURN_H
#define STORE_TURN_H

/*
 * A turn between processes of one machine: one of them has it at a time, and the kernel says which.
 * It is a lock of a file, so whoever dies has given it back, and whoever is paused has it still.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "world/world.h"

#define TURN_FILE "turn" /* in the service's own folder */

struct store_turn;

/* `path`: a file that all of them open, made if it is not there. `stirred` is called on the loop,
 * outside fibers, when somebody may have given the turn back or want it; it must not park.
 * FH_UNAVAILABLE. Where the kernel has no watch left nothing stirs (store_turn_is_watched): then
 * look now and then. */
enum fh_code store_turn_open(struct world *world, const char *path, void (*stirred)(void *context),
                             void *context, struct store_turn **ret, struct fh_error *error);
void store_turn_close(struct store_turn *turn); /* gives it back, as it is; NULL is fine */

bool store_turn_is_watched(const struct store_turn *turn);

#define TURN_UNCLEAN (-1)
/* True: it is ours now. `*ret_mark`: what was left by who had it before, TURN_UNCLEAN if it has
 * died with it. A death is not announced: whoever waits tries again. */
bool store_turn_take(struct store_turn *turn, int64_t *ret_mark);
/* `mark`: for who takes it next, 0 or more. TURN_UNCLEAN: as if we had died with it. */
void store_turn_give(struct store_turn *turn, int64_t mark);
bool store_turn_is_free(const struct store_turn *turn);

/* Tells the others that we wait for it, or do no more. */
void store_turn_want(struct store_turn *turn, bool wants);
bool store_turn_is_wanted(const struct store_turn *turn); /* by another one */

#endif
