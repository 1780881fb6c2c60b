/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SERVERS_PRIVATES_H
#define SYSTEM_SERVERS_PRIVATES_H

/* What private servers of stores, brokers and servers of derived stores have in common: a name in
 * the state folder, a part, and, where they listen on a port, that and a certificate. */

#include "system/provision/provision.h"

#define PRIVATES_HOST "127.0.0.1" /* where those are that listen on a port */

/* Used, and run by `up`. */
bool privates_is(const struct system_server *server);
/* "opensearch", as it is spelt in the system file. */
const char *privates_kind(const struct system_server *server);
/* Its name in the state folder, "found-opensearch". */
const char *privates_key(struct arena *arena, const struct system_server *server);
/* Among provision->servers; NULL: it has no part yet. */
struct provision_part *privates_part(struct provision *provision,
                                     const struct system_server *server);
/* The one that it listens on. */
int privates_port(const struct provision_part *part);
/* Gives it a certificate of the system's own authority in its folder, which names PRIVATES_HOST: so
 * no process of the system, each of which has one with its own name, can pass for it. */
enum fh_code privates_certify(const struct provision *provision, const struct provision_part *part,
                              struct fh_error *error);
/* Copies the authority, by which it is known, into the folder of a service under the name `file`,
 * and names it in `tls`. It is the system's own file, and not the server's, who may have put a link
 * to anything in place of that. */
enum fh_code privates_make_known(const struct provision *provision,
                                 const struct provision_part *service, const char *file,
                                 json_t *tls, struct fh_error *error);
/* What the supervisor of one that listens on a port is told: `role` is "broker" or "derived", and
 * `stores` (stolen) whom it serves. Gives it its certificate. */
enum fh_code privates_supervise(struct provision *provision, const struct system_server *server,
                                struct provision_part *part, const char *role, json_t *stores,
                                json_t *kept, struct fh_error *error);

#endif
