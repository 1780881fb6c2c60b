/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_MOVE_MOVING_H
#define SYSTEM_MOVE_MOVING_H

/*
 * Whether a service's data are where the system file says. A service leaves in its folder which
 * engine it served from (PROCESS_STORE_FILE); when the file names another one, its store has to be
 * moved, and that is for a person to say: an empty store in place of the data would be a bad
 * surprise.
 */

#include "system/provision/provision.h"

/* Into the service's configuration: "from" when its store is to be moved, "abandon_move" when a
 * move is given up. FH_INVALID: its data are elsewhere, and nobody has said that they shall be
 * moved. */
enum fh_code moving_configure(const struct provision *provision,
                              const struct provision_options *options,
                              const struct provision_part *part,
                              const struct system_service *service, json_t *config,
                              struct fh_error *error);

/* Is its store moved, or a move taken back, when it starts? Then one process starts alone. */
bool moving_moves(const struct provision *provision, const char *service);

/* The private server that a store is on, or those of all stores that are to be moved, which the
 * file may not name any more: among provision->servers, as the last `up` left them. */
enum fh_code moving_keep_server(struct provision *provision, const char *command,
                                const json_t *store, struct fh_error *error);
enum fh_code moving_keep_servers(struct provision *provision,
                                 const struct provision_options *options, struct fh_error *error);

#endif
