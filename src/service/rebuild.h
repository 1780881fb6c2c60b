/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_REBUILD_H
#define SERVICE_REBUILD_H

/*
 * A service's store is made anew beside the one that it serves from: a second process of its
 * program, whose configuration says "rebuild", subscribes to all that the service subscribes to,
 * under a name of its own (SUBSCRIBERS_REBUILD), and applies it to an empty store. It has no
 * sockets and answers nobody. It is ready once it has all that there is; `up` then has the two
 * exchanged (system/supervise/rebuild.h).
 */

#include <jansson.h>

#include "base/error.h"
#include "freehold.h"

/* In the service's folder: the new store. */
#define SERVICE_REBUILD_FOLDER "rebuild"

struct runtime;

bool service_is_rebuilt(const json_t *config);
/* Whether the new store lacks what the former one is to others: the service publishes, or begins
 * sagas. What follows
 * from events is held back then while it is filled, and it is joined with the former one
 * (rebuild_join.h) before anything is served from it. */
bool service_rebuild_joins(const fh_service *service);
/* Whether all rows of the service are made of other services' events, so that they suffice for
 * another store. FH_UNSUPPORTED: a sentence that says what is not. Pure. */
enum fh_code service_may_be_rebuilt(const fh_service *service, struct fh_error *error);
/* Makes the new store's folder, before the process is confined to it; and goes there, so that what
 * the program's own code leaves is removed, too. */
enum fh_code service_rebuild_enter(const json_t *config, struct fh_error *error);
/* While subscriptions apply what there is; reports how far they are. On a fiber; returns once they
 * have all that was published a second ago. FH_CONFLICT: a subscription has stopped, or an event is
 * parked and the configuration does not say to go on then. FH_UNAVAILABLE: the process drains. */
enum fh_code service_rebuild_fill(struct runtime *runtime, struct fh_error *error);

#endif
