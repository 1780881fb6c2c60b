/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

/*
 * TLS on the connections within a system: the certificate that a process shows, and those it
 * trusts. Between services it is mutual: each side has a certificate in the name of its service,
 * issued by the one authority in `trusted`.
 *
 * Versions, at all servers and clients: 1.3, and 1.2 with forward secrecy and authenticated
 * encryption (RFC 9325, 4.2): whoever records a connection and steals the key later reads nothing.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* The same for GnuTLS, and for OpenSSL's list of ciphers, which 1.3 has no part in. */
#define HTTP_TLS_PRIORITIES                                                                        \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-CIPHER-ALL:"      \
    "+AES-256-GCM:+CHACHA20-POLY1305:+AES-128-GCM:-MAC-ALL:+AEAD"
#define HTTP_TLS_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"
#define HTTP_TLS_PEM_SIZE_MAX ((size_t)1 << 20)

struct http_tls {
    char *trusted;     /* PEM: the authority; NULL: clients need no certificate */
    char *revoked;     /* PEM: what it has withdrawn (a CRL); NULL: nothing */
    bool optional;     /* clients may show none, but no other */
    char *certificate; /* PEM: this process's own; NULL: no TLS */
    char *key;         /* PEM */
};

/* `places` is {"ca", "certificate", "key", "revoked"}, paths of PEM files, and "optional": true;
 * NULL or JSON null: no TLS. FH_INVALID tells which file is missing or not PEM. */
enum fh_code http_tls_read(const json_t *places, struct http_tls *ret, struct fh_error *error);
/* What a client of others' servers needs, from PEM files: their authorities, and its own
 * certificate with its key, or "" for both. FH_INVALID as above. */
enum fh_code http_tls_read_trust(const char *ca, const char *certificate, const char *key,
                                 struct http_tls *ret, struct fh_error *error);
void http_tls_release(struct http_tls *tls);

#endif
