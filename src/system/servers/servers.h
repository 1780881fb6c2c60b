/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SERVERS_SERVERS_H
#define SYSTEM_SERVERS_SERVERS_H

/*
 * The servers that a system's stores are on, provided: private ones get a folder, a port and a
 * superuser, and a keeper that `up` runs; on existing ones each service's database and user are
 * made at once. What was made up on the way (ports, passwords) is kept in STATE/servers.json.
 */

#include "system/provision/provision.h"
#include "store/server.h"

#define SERVERS_FOLDER ".servers" /* no service's name */
#define SERVERS_FILE "servers.json"

/* Folders of private servers: provision->servers, each with its user. */
enum fh_code servers_make_parts(struct provision *provision, const struct system_file *file,
                                struct fh_error *error);
/* Ports, passwords, the keepers' configurations, and provision->stores. Provides on existing
 * servers; one that does not answer is no fault if it was provided before. */
enum fh_code servers_configure(struct provision *provision, const struct provision_options *options,
                               struct fh_error *error);
/* The same for one service whose store was named anew, while the system runs: its
 * provision->stores, and its place on its server, whether that runs or is still to be started. */
enum fh_code servers_configure_one(struct provision *provision,
                                   const struct system_service *service, struct fh_error *error);
/* The private server that a service's store is on, among provision->servers; NULL: on none. */
const struct provision_part *servers_part(struct provision *provision,
                                          const struct system_service *service);

/* As whom a server of this kind runs, when root starts it. */
enum fh_code servers_find_user(const struct server_kind *kind, struct provision_part *part,
                               struct fh_error *error);
/* Does `up`, as root, run servers as other users, who have to pass through the state folder? */
bool servers_pass(const struct system_file *file);

#endif
