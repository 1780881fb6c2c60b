/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_LINKS_H
#define SYSTEM_PROVISION_LINKS_H

/*
 * The links between a system's processes, by TLS where the file says `links: tls`: certificates for
 * each, and for the operator; and the gateway's public door. docs/operate/security.md tells what for.
 */

#include "system/provision/provision.h"

#define LINKS_OPERATOR "operator" /* a folder of CERTIFICATES_FOLDER */

/* Certificates for all parts and the operator, where the links are by TLS. */
enum fh_code links_prepare(const struct provision *provision, const struct system_file *file,
                           struct fh_error *error);
/* Their places, into a part's configuration. */
void links_configure(const struct provision_part *part, const struct system_file *file,
                     json_t *config);
/* Those of the operator, for whom `freehold` speaks; NULL: the links are plain. New reference. */
json_t *links_of_operator(const struct state *state);
/* What may be seen or changed by others on the way. */
void links_check(const struct system_file *file, struct findings *findings);

#endif
