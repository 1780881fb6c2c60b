/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_IDENTITY_JWKS_H
#define GATEWAY_IDENTITY_JWKS_H

/*
 * A provider's public keys (a JWK set, RFC 7517), and what a token's signature is verified with.
 * Pure.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "gateway/identity/jws.h"

#define JWKS_LENGTH_MAX ((size_t)256 << 10)
#define JWKS_KEYS_MAX 64
#define JWKS_TRIES_MAX 4 /* keys that one token is tried with */
#define JWKS_RSA_BITS_MIN 2048
#define JWKS_RSA_BITS_MAX 8192

struct jwks;

/* Keys that are not for verifying signatures here (symmetric ones, of other kinds or curves, for
 * encryption) are left out, and so are those with a fault: malformed, weak, or published with their
 * private half. One bad key costs no other. FH_INVALID: it is no set, or has no key that can be
 * used. */
enum fh_code jwks_parse(const char *text, size_t length, struct jwks **ret, struct fh_error *error);
void jwks_free(struct jwks *jwks); /* NULL is fine */
size_t jwks_count(const struct jwks *jwks);
/* What is wrong with the first key that was left out for a fault: a sentence. NULL: none was. */
const char *jwks_fault(const struct jwks *jwks);
/* Whether both have the same keys, in the same order. */
bool jwks_equal(const struct jwks *a, const struct jwks *b);

enum jwks_verdict {
    JWKS_VERIFIED,
    JWKS_UNKNOWN, /* no key of this id and for this algorithm: a newer set may have it */
    JWKS_FORGED,  /* there is such a key, and it did not sign this */
};
/* A token without `kid` is tried with the keys that fit its algorithm. */
enum jwks_verdict jwks_verify(const struct jwks *jwks, const struct jws *jws);

#endif
