/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_LINKS_H
#define SYSTEM_PROVISION_LINKS_H

/*
 * The links between a system's processes, over TLS where the file says `links: tls`: certificates
 * for each process, and for the operator; and the gateway's public port. docs/operate/security.md
 * explains the purpose.
 */

#include "system/provision/provision.h"

#define LINKS_OPERATOR "operator" /* a folder in CERTIFICATES_FOLDER */

/* Makes certificates for all parts and the operator, if the links use TLS. */
enum fh_code links_prepare(const struct provision *provision, const struct system_file *file,
                           struct fh_error *error);
/* Adds the paths of a part's certificate files to its configuration. */
void links_configure(const struct provision_part *part, const struct system_file *file,
                     json_t *config);
/* The paths for the operator, whom the command `freehold` acts for; NULL: the links are plain. New
 * reference. */
json_t *links_of_operator(const struct state *state);
/* Warns of links on which others could read or change the traffic. */
void links_check(const struct system_file *file, struct findings *findings);

#endif
