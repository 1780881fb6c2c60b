/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_REBUILD_EXCHANGE_H
#define SERVICE_REBUILD_EXCHANGE_H

/*
 * What a service does at its start, before it opens its store, where that was filled beside the one
 * that it served from (rebuild.h): files are joined (rebuild_join.h), stores on a server exchanged
 * as well.
 */

#include <jansson.h>

#include "base/error.h"
#include "freehold.h"

struct runtime;
struct world;

/* In the service's folder: {"rebuild": its id}, the order to exchange stores on a server. */
#define REBUILD_ORDER "exchange.json"
/* There as well: the configuration of the process that fills the new store, while there is one, or
 * its store waits to be taken. */
#define REBUILD_CONFIG "rebuild.json"

/* FH_OK at once where there is nothing to do. On a fiber; neither store is open before or
 * afterwards. It can be repeated. FH_INVALID: the former store has what the new one can't have, or
 * the new one can't be taken; nothing was done. */
enum fh_code service_rebuild_exchange(const fh_service *service, const json_t *config,
                                      struct world *world, struct fh_error *error);
/* Removes what a rebuild that was given up has left on the server of the store that serves. */
void service_rebuild_sweep(const struct runtime *runtime);

#endif
