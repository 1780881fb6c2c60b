/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_IDENTITY_AUTHENTICATE_H
#define GATEWAY_IDENTITY_AUTHENTICATE_H

/*
 * Who sends a request, as the system file's `gateway.auth` says: docs/guide/identity.md. A client
 * shows credentials in the header Authorization, "Bearer CREDENTIALS": a token that an issuer has
 * signed, an API key of this system (it begins with KEY_FILE_PREFIX), or a token that is
 * introspected.
 */

#include <jansson.h>

#include "base/error.h"
#include "gateway/identity/known.h"
#include "http/server.h"
#include "world/world.h"

#define AUTHENTICATE_ISSUERS_MAX 16

struct authenticator;

enum authenticated {
    AUTHENTICATED_NOBODY,  /* no credentials were shown */
    AUTHENTICATED_USER,    /* *ret_user, a reference */
    AUTHENTICATED_REFUSED, /* credentials that are no good */
    AUTHENTICATED_AWAY,    /* who could judge them does not answer now */
};

/* From the gateway's whole configuration: "system", "auth" and "keys.user_secret". *ret is NULL if
 * it has no "auth". Requests with a URL go out by the world. */
enum fh_code authenticator_new(struct world *world, const json_t *config,
                               struct authenticator **ret, struct fh_error *error);
/* Other "keys" of the configuration, while it runs: what was stated before is not said again.
 * FH_INVALID: there is no such key; then nothing has changed. */
enum fh_code authenticator_take_keys(struct authenticator *authenticator, const json_t *keys,
                                     struct fh_error *error);
void authenticator_free(struct authenticator *authenticator); /* no fiber may use it */

/* Whoever shows credentials, or else a certificate, that were found good before, and still are: a
 * reference. NULL: nobody, or not known yet. Waits for nothing. As authenticate_certificate, to be
 * called while the handler's `incoming` is. */
struct known_user *authenticate_known(struct authenticator *authenticator,
                                      const struct http_request *request);
/* In a fiber: may wait for a provider. */
enum authenticated authenticate(struct authenticator *authenticator,
                                const struct http_request *request, struct known_user **ret_user);
/* By the certificate that the client has shown, while the handler's `incoming` is called. It counts
 * where there is no header Authorization. */
enum authenticated authenticate_certificate(struct authenticator *authenticator,
                                            const struct http_request *request,
                                            struct known_user **ret_user);
/* Whether services get the header Authorization as it came. */
bool authenticator_forwards(const struct authenticator *authenticator);

#endif
