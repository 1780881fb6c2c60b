/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_TLS_SESSION_H
#define HTTP_TLS_SESSION_H

/*
 * The server's side of TLS, by GnuTLS, on sockets that don't block. GnuTLS reads and writes the
 * socket itself; each call goes as far as the socket lets it.
 */

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "http/tls.h"

struct tls_server; /* certificate, key, and whom it trusts */

/* NULL: GnuTLS does not take them. */
struct tls_server *tls_server_new(const struct http_tls *tls);
void tls_server_free(struct tls_server *server); /* may be NULL */
bool tls_server_is_mutual(const struct tls_server *server);

gnutls_session_t tls_session_new(struct tls_server *server, int socket); /* NULL: no memory */

enum tls_progress { TLS_DONE, TLS_WAITS_READABLE, TLS_WAITS_WRITABLE, TLS_FAILED };
enum tls_progress tls_session_handshake(gnutls_session_t session);
/* Whether the client has shown a certificate of the trusted authority, or none where that is
 * optional. */
bool tls_session_is_trusted(const struct tls_server *server, gnutls_session_t session);
/* What it has shown, in DER; NULL: none. It belongs to the session. */
const gnutls_datum_t *tls_session_certificate(gnutls_session_t session);
/* Like recv and send: -1 with EAGAIN where the socket must be waited for, another errno for a
 * failure; 0 from the first: the client has ended its side. What was not sent must be sent next. */
ssize_t tls_session_receive(gnutls_session_t session, char *buffer, size_t size);
ssize_t tls_session_send(gnutls_session_t session, const char *data, size_t length);
/* Bytes that were received and are not yet read: the socket does not tell of them. */
bool tls_session_has_input(gnutls_session_t session);
void tls_session_end(gnutls_session_t session); /* says that nothing more is sent, if it can */

#endif
