/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SERVERS_DERIVES_H
#define SYSTEM_SERVERS_DERIVES_H

/*
 * The servers that derived stores lie on (`derives` of a service): which service is who there. On
 * an existing one all are the user that the file names; a private one serves one service
 * (file/derives.c), which is its user, and an administrator, `up` itself.
 */

#include "system/provision/provision.h"

/* Sets provision->derives, with the passwords of private ones. */
void derives_configure(struct provision *provision, json_t *kept);
/* Reports where each derived store is that lies on a server. */
void derives_say(const struct provision *provision);
/* Adds "derives" to a service's configuration (service/carriers.h): where those of its derived
 * stores are that lie on servers, with the certificates in its folder, or lent to it. */
enum fh_code derives_configure_service(struct provision *provision, struct provision_part *part,
                                       const struct system_service *service, json_t *config,
                                       struct fh_error *error);
/* Writes the configuration of a private one's supervisor, and its certificate. */
enum fh_code derives_supervise(struct provision *provision, const struct system_server *server,
                               struct provision_part *part, json_t *kept, struct fh_error *error);

#endif
