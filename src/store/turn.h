/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_TURN_H
#define STORE_TURN_H

/*
 * A turn shared by processes of one machine: one of them has it at a time, as the kernel decides.
 * It is a file lock, so a process that dies has given it back, and one that is paused still has it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "world/world.h"

#define TURN_FILE "turn" /* in the service's own folder */

struct store_turn;

/* `path`: a file that all of them open, created if it is missing. `stirred` is called on the loop,
 * outside fibers, when somebody may have given the turn back or wants it; it must not park.
 * FH_UNAVAILABLE. If the kernel has no watch left, `stirred` is never called
 * (store_turn_is_watched): then poll. */
enum fh_code store_turn_open(struct world *world, const char *path, void (*stirred)(void *context),
                             void *context, struct store_turn **ret, struct fh_error *error);
void store_turn_close(struct store_turn *turn); /* gives it back as it is; NULL is fine */

bool store_turn_is_watched(const struct store_turn *turn);

#define TURN_UNCLEAN (-1)
/* True: it is ours now. `*ret_mark`: the mark that the previous holder left, TURN_UNCLEAN if it
 * died holding the turn. A death is not announced: try again now and then. */
bool store_turn_take(struct store_turn *turn, int64_t *ret_mark);
/* `mark`: for the next holder, 0 or more. TURN_UNCLEAN: as if we had died holding it. */
void store_turn_give(struct store_turn *turn, int64_t mark);
bool store_turn_is_free(const struct store_turn *turn);

/* Tells the others that we wait for it, or no longer do. */
void store_turn_want(struct store_turn *turn, bool wants);
bool store_turn_is_wanted(const struct store_turn *turn); /* by another process */

#endif
