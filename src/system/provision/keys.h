/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_KEYS_H
#define SYSTEM_PROVISION_KEYS_H

/*
 * The keys by which the processes of a system know each other, one for each ordered pair: of
 * services, and of the gateway and the operator with each service. STATE/keys.json has them all,
 * for its owner alone: {"freehold": 1, "keys": {"CALLER": {"RECEIVER": "64 hex digits"}}}. A
 * process gets its own, in its configuration.
 */

#include <jansson.h>

#include "system/file/file.h"
#include "system/provision/state.h"

#define KEYS_FILE "keys.json"
#define KEYS_GATEWAY "gateway"
#define KEYS_OPERATOR "operator"
#define KEYS_UP                                                                                    \
    "_up" /* no service's name: by its key with the operator `up` obeys control.sock               \
           */

/* {"CALLER": {"RECEIVER": ...}} for all of the file's services: those there were, new ones for
 * those missing. They are durable when this returns. New reference. */
enum fh_code keys_make(const struct state *state, const struct system_file *file, json_t **ret,
                       struct fh_error *error);
/* FH_NOT_FOUND: no `up` has made any. New reference. */
enum fh_code keys_read(const struct state *state, json_t **ret, struct fh_error *error);

/* The key by which the operator commands `up`; NULL: there is none. Borrowed from `keys`. */
const char *keys_of_up(const json_t *keys);

/* Of these keys, and of who may call whom (callers.h), what one process gets: {"RECEIVER": key},
 * and {"CALLER": key}. New references. */
json_t *keys_to_call(const json_t *keys, const json_t *matrix, const char *caller);
json_t *keys_to_take(const json_t *keys, const json_t *matrix, const char *receiver);

#endif
