/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_TLS_H
#define STORE_TLS_H

/*
 * TLS links to a store's server, as the configuration's "store" says: {"tls": {"mode": "off" |
 * "verify", "ca", "certificate", "key"}}. The defaults are safe: links to other machines use TLS,
 * and "verify" always verifies both the authority and the host name.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"

#define STORE_TLS_CA "/etc/ssl/certs/ca-certificates.crt" /* what the system trusts */
#define STORE_TLS_NATIVE "TLS"                            /* error->native of a TLS failure */

struct store_tls {
    bool verify;
    char ca[512];                    /* never "" where `verify` is true */
    char certificate[512], key[512]; /* the service's own; "": none */
};

/* A socket's path, or a loopback address. */
bool store_is_here(const char *host);

/* The complete "tls" for a server at `host`: `said`, or the default if that is NULL. New
 * reference. */
json_t *store_tls_json(const json_t *said, const char *host);
/* FH_INVALID says what is wrong. */
enum fh_code store_tls_read(const json_t *server, struct store_tls *ret, struct fh_error *error);

/* Of a link by TLS. True: what a client library `said` is about that, and `error` is a sentence
 * that tells whose mistake it is: FH_UNAVAILABLE, since a renewed certificate mends it, with
 * STORE_TLS_NATIVE, since waiting does not. */
bool store_tls_failed(const char *host, const char *said, struct fh_error *error);
bool store_tls_is_failure(const struct fh_error *error);

#endif
