/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SERVERS_SERVERS_H
#define SYSTEM_SERVERS_SERVERS_H

/*
 * Provisions the servers that a system's stores are on: private ones get a folder, another one for
 * their socket, a superuser, and a supervisor that `up` runs; on existing ones each service's
 * database and user are created right away. Passwords are kept in STATE/servers.json.
 */

#include "system/provision/provision.h"
#include "store/server.h"

#define SERVERS_FOLDER ".servers" /* can't be a service's name */
#define SERVERS_FILE "servers.json"

/* Makes the folders of private servers: provision->servers, each with its user. */
enum fh_code servers_make_parts(struct provision *provision, const struct system_file *file,
                                struct fh_error *error);
/* Sets passwords, the supervisors' configurations, provision->stores, ->buses and ->derives.
 * Provisions stores on existing servers; one that does not answer is no error if the store was
 * provisioned before. */
enum fh_code servers_configure(struct provision *provision, const struct provision_options *options,
                               struct fh_error *error);
/* The same for one service that was given another store while the system runs: its
 * provision->stores, and its database and user on its server, whether that is running or still to
 * be started. */
enum fh_code servers_configure_one(struct provision *provision,
                                   const struct system_service *service, struct fh_error *error);
/* The private server that a service's store is on, among provision->servers; NULL: none. */
const struct provision_part *servers_part(struct provision *provision,
                                          const struct system_service *service);

/* Gives the folders of provision->servers to the users that they run as; nothing may run there. */
enum fh_code servers_give(const struct provision *provision, struct fh_error *error);
/* Sets the user that a server of this kind runs as when root starts it: that of its folder, if it
 * is open, else one of its own. */
enum fh_code servers_find_user(struct provision *provision, const struct server_kind *kind,
                               struct provision_part *part, struct fh_error *error);
/* Whether `up`, as root, runs servers as other users, who must be able to pass through the state
 * folder. */
bool servers_pass(const struct system_file *file);

#endif
