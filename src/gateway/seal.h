/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SEAL_H
#define GATEWAY_SEAL_H

/*
 * Positions of events, for clients: they hand back what they were given, and learn nothing from it,
 * neither how many events there are nor how fast they come.
 *
 * A token is crypto_secretbox (XSalsa20-Poly1305) over a list as in base/as_of.h, in which all
 * positions have the same number of digits, with a random nonce before it, in base64url without
 * padding. The key is derived from the gateway's secret, so all gateways of a system have it; the
 * one before the last replacement is accepted until the process ends.
 */

#include <jansson.h>

#include "base/as_of.h"
#include "world/world.h"

/* Of what a client sends, in bytes: as long as a token of as many places as there may be, and
 * more. */
#define SEAL_TOKENS_LENGTH_MAX ((size_t)AS_OF_TOKENS_LENGTH_MAX)

struct seal;

/* `keys`: "keys" of the configuration. Without "user_secret" the key is a random one of this
 * process. */
struct seal *seal_new(struct world *world, const json_t *keys);
void seal_take_keys(struct seal *seal, const json_t *keys);
void seal_free(struct seal *seal); /* NULL is fine */

/* Appends one token of all places. */
void seal_close(struct seal *seal, const struct as_of *as_of, struct text *out);
/* The same of what an answer says, a service's own place in Freehold-At or the places in
 * Freehold-As-Of, which may be anything. False: it says no such thing, and nothing is appended. */
bool seal_close_at(struct seal *seal, const char *service, const char *at, struct text *out);
bool seal_close_as_of(struct seal *seal, const char *shown, struct text *out);
/* All places of one token, or of several with commas between them. FH_INVALID: a sentence says what
 * is wrong. */
enum fh_code seal_open(const struct seal *seal, const char *tokens, struct as_of *ret,
                       struct fh_error *error);

#endif
