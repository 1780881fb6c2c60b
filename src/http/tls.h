/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

/*
 * TLS on the connections within a system: the certificate that a process shows, and those it
 * trusts. Between services it is mutual: each side has a certificate in the name of its service,
 * issued by the one authority in `trusted`. Versions 1.2 and 1.3, as in RFC 9325.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"

struct http_tls {
    char *trusted;     /* PEM: the authority; NULL: clients need no certificate */
    char *certificate; /* PEM: this process's own; NULL: no TLS */
    char *key;         /* PEM */
};

/* `places` is {"ca", "certificate", "key"}, paths of PEM files; NULL or JSON null: no TLS.
 * FH_INVALID tells which file is missing or not PEM. */
enum fh_code http_tls_read(const json_t *places, struct http_tls *ret, struct fh_error *error);
void http_tls_release(struct http_tls *tls);

#endif
