/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_REBUILD_JOIN_H
#define SERVICE_REBUILD_JOIN_H

/*
 * What a service has published is in its former store alone. So the first thing that it does on one
 * that was filled beside (rebuild.h) is to take that over, and where the former one was; then it
 * removes the former one. It serves, publishes and subscribes only after that.
 */

#include <jansson.h>

#include "base/error.h"
#include "freehold.h"

struct world;

struct store;

/* In the service's folder, without its suffix: the store that served before. */
#define REBUILD_FORMER "former"

/* If there is a former store, a file: takes over what the service's own store lacks, and removes
 * it. On a fiber; neither is open before or afterwards. It can be repeated. FH_INVALID: the former
 * one has what the new one can't have; it is as it was, and says what. */
enum fh_code service_rebuild_join(const fh_service *service, const json_t *config,
                                  struct world *world, struct fh_error *error);

/* Whether a store that was filled is not joined with the former one yet. */
enum fh_code rebuild_is_unjoined(struct store *fresh, bool *ret, struct fh_error *error);
/* In one transaction of `fresh`. For a service that publishes, or begins sagas; it can be
 * repeated. */
enum fh_code rebuild_join_stores(const fh_service *service, struct store *former,
                                 struct store *fresh, struct fh_error *error);

#endif
