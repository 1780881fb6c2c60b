/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_VERIFY_SERVERS_H
#define SYSTEM_VERIFY_SERVERS_H

/* One store, one owner, on servers: each service's credentials are tried on every other service's
 * store. */

#include <jansson.h>

#include "system/file/file.h"
#include "system/provision/state.h"

/* Adds an error for each store that lets another service's credentials in, or that can't be tried;
 * a warning for each server whose connections may run out. `status` is the reply of `up`. */
void verify_servers(const struct system_file *file, const struct state *state, const json_t *status,
                    struct findings *findings);

#endif
