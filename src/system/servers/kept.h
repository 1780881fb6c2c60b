/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SERVERS_KEPT_H
#define SYSTEM_SERVERS_KEPT_H

/* What servers need that is chosen once and then kept: STATE/servers.json, {"freehold": 1,
 * "passwords": {...}, "provided": {...}}. "ports" are those that servers of former versions had, by
 * which older records name them. */

#include <jansson.h>

#include "system/provision/state.h"

/* Reads the file, or starts an empty one. New reference. */
enum fh_code kept_read(const struct state *state, json_t **ret, struct fh_error *error);
/* Durable when it returns. */
enum fh_code kept_write(const struct state *state, const json_t *kept, struct fh_error *error);
/* The password of that name, generated if there is none. Borrowed from `kept`. */
json_t *kept_secret(json_t *kept, const char *key);
/* Of the store with that key, and the user `user`, the one for reports: {"user", "password"}. New
 * reference. */
json_t *kept_reports_user(json_t *kept, const char *key, const char *user);

#endif
