/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_TLS_FILES_H
#define SYSTEM_PROVISION_TLS_FILES_H

#include <jansson.h>

#include "base/error.h"
#include "system/provision/provision.h"

/* A process that runs as a user of its own can't read certificates and keys that are closed to
 * others. Its mount namespace has copies of those that it is lent (part.h); without one, copies are
 * made in its folder, STEM-key.pem and the like (0600; of the folder's owner). Sets those of
 * `members` (ended by NULL) that `tls` has, {"key": path, ...}, to these; NULL: it has none. */
enum fh_code tls_files_give(const struct provision_part *part, json_t *tls, const char *stem,
                            const char *const *members, struct fh_error *error);
/* Copies a file of certificates into the part's folder. */
enum fh_code tls_file_copy(const struct provision_part *part, const char *path, const char *name,
                           struct fh_error *error);

#endif
