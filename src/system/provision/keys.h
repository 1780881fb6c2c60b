/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_KEYS_H
#define SYSTEM_PROVISION_KEYS_H

/*
 * The keys by which the processes of a system authenticate each other, one for each ordered pair:
 * of services, and of the gateway and the operator with each service. STATE/keys.json has them all,
 * readable only by its owner: {"freehold": 1, "keys": {"CALLER": {"RECEIVER": "64 hex digits"}}}. A
 * process gets its own in its configuration.
 */

#include <jansson.h>

#include "system/file/file.h"
#include "system/provision/state.h"

#define KEYS_FILE "keys.json"
#define KEYS_GATEWAY "gateway"
#define KEYS_OPERATOR "operator"
#define KEYS_UP                                                                                    \
    "_up" /* can't be a service's name: the key between the operator and `up`, for control.sock */

#define KEYS_USER                                                                                  \
    "_user" /* among the gateway's: the private half by which it states who a user is: call/user.h \
             */

/* {"CALLER": {"RECEIVER": ...}} for all services of the file: existing keys, and new ones for
 * missing pairs. They are durable when this returns. New reference. */
enum fh_code keys_make(const struct state *state, const struct system_file *file, json_t **ret,
                       struct fh_error *error);
/* FH_NOT_FOUND: no `up` has made any yet. FH_INVALID: the file is damaged. New reference. */
enum fh_code keys_read(const struct state *state, json_t **ret, struct fh_error *error);

/* The key with which the operator commands `up`; NULL: there is none. Borrowed from `keys`. */
const char *keys_of_up(const json_t *keys);

/* The key with which the operator proves to the gateway to be one; NULL: there is none. Borrowed.
 */
const char *keys_of_gateway(const json_t *keys);

/* The private half of the key pair for statements of users; NULL: there is none. Borrowed. */
const char *keys_of_users(const json_t *keys);

/* The part of these keys that one process gets, by who may call whom (callers.h): {"RECEIVER":
 * key}, and {"CALLER": key}. New references. */
json_t *keys_to_call(const json_t *keys, const json_t *matrix, const char *caller);
json_t *keys_to_take(const json_t *keys, const json_t *matrix, const char *receiver);

#endif
