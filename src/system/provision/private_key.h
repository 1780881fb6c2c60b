/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_PRIVATE_KEY_H
#define SYSTEM_PROVISION_PRIVATE_KEY_H

#include <jansson.h>
#include <sys/types.h>

#include "base/error.h"
#include "system/provision/provision.h"

/* A process that runs as a user of its own can't read a key that is closed to others, so it gets a
 * copy, `name` in its folder (0600; users_give then gives it away). Sets `key` of `tls`, {"key":
 * path, ...}, to that. Does nothing where `user` is 0, or `tls` is NULL or names no key. */
enum fh_code private_key_give(const struct provision_part *part, uid_t user, json_t *tls,
                              const char *name, struct fh_error *error);

#endif
