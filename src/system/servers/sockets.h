/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SERVERS_SOCKETS_H
#define SYSTEM_SERVERS_SOCKETS_H

/* Where private servers listen. */

#include "store/server.h"
#include "system/provision/provision.h"

/* The sockets of private servers are in STATE/.sockets/NAME: services of other users pass through
 * it, and only the server's user can make sockets there. It is made at each start, even without
 * servers, since a store may be moved to one while its service runs. */
#define SERVERS_SOCKETS ".sockets"

/* A folder, opened; `mode` 0: that of one that is there stays. */
enum fh_code sockets_make_folder(int parent_fd, const char *name, mode_t mode, int *ret_fd,
                                 struct fh_error *error);
/* Gives the store of a configuration or a record (NULL: none) that is on a private server the
 * address that it has now: the state folder may have been moved since, or the server listened on a
 * port, as those of former versions did. */
void sockets_readdress(const struct state *state, json_t *store);
/* Makes SERVERS_SOCKETS and in it the folder of a private server (NULL: none), part->sockets. */
enum fh_code sockets_make(struct provision *provision, struct provision_part *part,
                          struct fh_error *error);
/* Gives part->sockets (NULL: it has none) to the server's user, and removes what another user's
 * server left there; nobody else gets to it before sockets_show. */
enum fh_code sockets_give(const struct provision_part *part, struct fh_error *error);
/* Lets the processes of a service see and get to the sockets of the private servers that its store
 * is on or, if it moves (part->moves), may have been on, and of no other service's. A server that
 * one service alone uses is reached by that one's user alone, as root; one that several share, by
 * whoever sees it. */
enum fh_code sockets_show(struct provision *provision, const struct system_service *service,
                          struct provision_part *part, struct fh_error *error);
/* The address of the private server `key` ("users-mariadb"). */
void sockets_set_address(const struct state *state, json_t *store, const char *key,
                         const struct server_kind *kind);

#endif
