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

/* Opens the store that a configuration names. On a fiber. */
enum fh_code service_store_open(const fh_service *service, const json_t *config,
                                struct world *world, struct store **ret, struct fh_error *error);
/* The one beside it (store/beside.h); NULL: itself, whatever the configuration says of a rebuild.
 */
enum fh_code service_store_open_beside(const fh_service *service, const json_t *config,
                                       const struct store_beside *beside, struct world *world,
                                       struct store **ret, struct fh_error *error);
/* Closes a store that was used on this fiber. */
void service_store_leave(struct store *store);
/* FH_INVALID says why a service must not serve from this store: it was moved, is being moved, or is
 * not complete yet. */
enum fh_code service_store_serves(struct store *store, struct fh_error *error);

/* Called repeatedly with how far a move or a restore has come, in rows. */
struct move_watch {
    void (*told)(void *context, const struct course *course); /* NULL: nobody */
    void *context;
};

/* If the configuration has "from", the {"engine", "folder", "store"} of the former store, moves
 * that store to the configuration's own. "abandon_move": true takes back a move that was begun from
 * the configuration's own. Otherwise FH_OK at once. On a fiber; neither store is open afterwards.
 * It can be repeated, wherever it stopped. */
enum fh_code service_store_move(const fh_service *service, const json_t *config,
                                struct world *world, const struct move_watch *watch,
                                struct fh_error *error);

#endif
