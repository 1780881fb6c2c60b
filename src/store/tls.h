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

/* What is wrong with a TLS link. Engines derive it from their driver's codes or, where it has none,
 * from its messages. */
enum store_tls_fault {
    STORE_TLS_UNKNOWN, /* not about TLS, as far as can be told */
    STORE_TLS_PLAIN,   /* the server does not use TLS */
    STORE_TLS_OTHER_HOST,
    STORE_TLS_EXPIRED,
    STORE_TLS_OTHER_AUTHORITY,
    STORE_TLS_UNKNOWN_CLIENT,
    STORE_TLS_WEAK,    /* it offers nothing that http/tls.h takes */
    STORE_TLS_HUNG_UP, /* without a message: PLAIN, or UNKNOWN_CLIENT */
};
struct store_tls_words {
    const char *words;
    enum store_tls_fault fault;
};
/* The fault of the first entry of `known` whose words occur in `said`. The table ends with words
 * NULL; that entry's fault is for everything else. */
enum store_tls_fault store_tls_said(const struct store_tls_words *known, const char *said);

/* True: `error` is now a sentence that says whose mistake it is. It is FH_UNAVAILABLE, since a
 * renewed certificate mends it, with STORE_TLS_NATIVE, since waiting does not. False: `error` is
 * unchanged. */
bool store_tls_failed(const char *host, enum store_tls_fault fault, struct fh_error *error);
bool store_tls_is_failure(const struct fh_error *error);

#endif
