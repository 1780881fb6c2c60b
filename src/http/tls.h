/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

/*
 * TLS on the links of a system: by what a process shows who it is, and whom it believes. Between
 * services it is mutual: both sides have a certificate of the one authority that `trusted` is, in
 * the name of the service. Versions 1.2 and 1.3, as RFC 9325 has it.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"

struct http_tls {
    char *trusted;     /* PEM: the authority; NULL: clients show nothing */
    char *certificate; /* PEM: one's own; NULL: no TLS */
    char *key;         /* PEM */
};

/* `places` is {"ca", "certificate", "key"}, paths of PEM files; NULL or JSON's null: no TLS.
 * FH_INVALID says which file is missing or is none. */
enum fh_code http_tls_read(const json_t *places, struct http_tls *ret, struct fh_error *error);
void http_tls_release(struct http_tls *tls);

#endif
