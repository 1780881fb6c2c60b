/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SERVERS_DERIVES_H
#define SYSTEM_SERVERS_DERIVES_H

#include "system/provision/provision.h"

/* Adds "derives" to a service's configuration (service/carriers.h): where those of its derived
 * stores are that lie on servers, with the certificates in its folder, or lent to it. */
enum fh_code derives_configure(struct system_file *file, struct provision_part *part,
                               const struct system_service *service, json_t *config,
                               struct fh_error *error);

#endif
