/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_MOVE_H
#define SERVICE_MOVE_H

/*
 * Which store a service serves from, and how its data get from one engine of its model to another:
 * a process whose configuration says "from" moves them before it serves (docs/operate/moving.md).
 */

#include <jansson.h>

#include "base/progress.h"
#include "freehold.h"
#include "store/store.h"

/* The store that a configuration names, opened. On a fiber. */
enum fh_code service_store_open(const fh_service *service, const json_t *config,
                                struct world *world, struct store **ret, struct fh_error *error);
/* FH_INVALID says why a service must not serve from this store: it was moved, is being moved, or
 * is not whole yet. */
enum fh_code service_store_serves(struct store *store, struct fh_error *error);

/* Who is told again and again how far a move, or a restore, has come, in rows. */
struct move_watch {
    void (*told)(void *context, const struct course *course); /* NULL: nobody */
    void *context;
};

/* The configuration's "from" is {"engine", "folder", "store"} of the store that there was: moves
 * it to the configuration's own. "abandon_move": true takes back what a move has begun there. Else
 * FH_OK at once. On a fiber; neither store is open afterwards. It can be repeated, wherever it
 * ended. */
enum fh_code service_store_move(const fh_service *service, const json_t *config,
                                struct world *world, const struct move_watch *watch,
                                struct fh_error *error);

#endif
