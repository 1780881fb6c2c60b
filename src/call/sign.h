/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CALL_SIGN_H
#define CALL_SIGN_H

/* Adds the sender's identity to every request of a client. */

#include <jansson.h>

#include "call/identity.h"
#include "http/client.h"

struct signing;

struct identity_time identity_now(struct world *world);

/* `keys` is {"SERVICE": "KEY IN HEX", ...}. FH_INVALID: one of them is not a key. The client signs
 * until it is freed; only then free `signing`. */
enum fh_code sign_requests(struct http_client *client, struct world *world, const char *self,
                           const json_t *keys, struct signing **ret, struct fh_error *error);
/* The same keys anew: replaces those that it names. FH_INVALID: one of them is not a key; then
 * nothing has changed. */
enum fh_code sign_take_keys(struct signing *signing, const json_t *keys, struct fh_error *error);
void sign_free(struct signing *signing); /* may be NULL */

#endif
