/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_IDENTITY_JWS_H
#define GATEWAY_IDENTITY_JWS_H

/*
 * A signed token in its compact form (JWS, RFC 7515), read by strict rules, and the algorithms that
 * may sign one (RFC 7518, RFC 8037). Pure. Nothing here believes anything: a token that was read is
 * still a claim of whoever sent it, until jwks_verify has found the key that signed it.
 *
 * Only asymmetric algorithms are known. There is no "none", and no HS: its key would be a secret
 * that verifies and signs, and a public key taken for one is the classic forgery.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define JWS_LENGTH_MAX ((size_t)8 << 10)
#define JWS_SIGNATURE_SIZE_MAX 1024 /* RSA of 8,192 bits */

enum jws_kind { JWS_RSA, JWS_EC, JWS_OKP };

struct jws_algorithm {
    const char *name; /* "RS256", as in a token's header */
    enum jws_kind kind;
    const char *curve;     /* NULL: of RSA */
    size_t signature_size; /* 0: the key's */
};

/* NULL: unknown here, and so refused. Names are compared byte by byte. */
const struct jws_algorithm *jws_algorithm_named(const char *name);
/* All of them, one after the other: NULL begins, NULL ends. */
const struct jws_algorithm *jws_algorithm_next(const struct jws_algorithm *algorithm);

struct jws {
    const char *text; /* the token; borrowed */
    size_t length, signed_length;
    const struct jws_algorithm *algorithm;
    const char *kid; /* NULL: none; belongs to `header` */
    json_t *header, *claims;
    unsigned char signature[JWS_SIGNATURE_SIZE_MAX];
    size_t signature_size;
};

/* Whether `token` looks like one: two dots, and nothing but base64url's characters. */
bool jws_has_form(const char *token);
/* FH_INVALID: a sentence for the log, without anything of the token. Call jws_release only after
 * FH_OK. */
enum fh_code jws_read(const char *token, struct jws *ret, struct fh_error *error);
void jws_release(struct jws *jws);

/* Strict base64url without padding (RFC 4648, 5): false for any other character, for padding, for
 * bits that are left over, and for more than `size` bytes. */
bool jws_decode(const char *text, size_t length, unsigned char *ret, size_t size,
                size_t *ret_length);

#endif
