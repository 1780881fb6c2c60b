/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_MOVE_MOVING_H
#define SYSTEM_MOVE_MOVING_H

/*
 * Whether a service's data are where the system file says. A service records in its folder which
 * engine it served from (PROCESS_STORE_FILE). If the file names another one, the store has to be
 * moved, and the operator must ask for that: an empty store in place of the data would be a bad
 * surprise.
 */

#include "system/provision/provision.h"

/* Adds to the service's configuration "from" if its store is to be moved, and "abandon_move" if a
 * move is given up. FH_INVALID: its data are elsewhere, and nobody has asked to move them. */
enum fh_code moving_configure(const struct provision *provision,
                              const struct provision_options *options,
                              const struct provision_part *part,
                              const struct system_service *service, json_t *config,
                              struct fh_error *error);

/* Whether it moves its store, or takes a move back, when it starts. If so, only one process
 * starts. */
bool moving_moves(const struct provision *provision, const char *service);

/* Adds to provision->servers, as the last `up` left it, the private server that a store is on, or
 * those of all stores to be moved: the file may not name them any more. */
enum fh_code moving_keep_server(struct provision *provision, const char *command,
                                const json_t *store, struct fh_error *error);
enum fh_code moving_keep_servers(struct provision *provision,
                                 const struct provision_options *options, struct fh_error *error);

#endif
