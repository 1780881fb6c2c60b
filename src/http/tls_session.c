/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients are asked for a certificate where an authority is named, and
 * may show none: whether theirs is of that authority is looked at when the handshake is over, so
 * that whoever has the wrong one is told so by an answer.
 */

#define _GNU_SOURCE
#include "http/tls_session.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>

#define WARNINGS_MAX 8 /* alerts that a client may send during a handshake */

struct tls_server {
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priorities;
    bool mutual, optional;
};

static gnutls_datum_t datum_of(char *pem)
{
    return (gnutls_datum_t){(unsigned char *)pem, (unsigned)strlen(pem)};
}

static bool fill_credentials(struct tls_server *server, const struct http_tls *tls)
{
    gnutls_datum_t certificate = datum_of(tls->certificate), key = datum_of(tls->key);
    if (gnutls_certificate_set_x509_key_mem(server->credentials, &certificate, &key,
                                            GNUTLS_X509_FMT_PEM) < 0)
        return false;
    if (!tls->trusted)
        return true;
    gnutls_datum_t trusted = datum_of(tls->trusted);
    server->mutual = true;
    server->optional = tls->optional;
    if (gnutls_certificate_set_x509_trust_mem(server->credentials, &trusted, GNUTLS_X509_FMT_PEM) <=
        0)
        return false;
    gnutls_datum_t revoked = tls->revoked ? datum_of(tls->revoked) : (gnutls_datum_t){0};
    return !tls->revoked || gnutls_certificate_set_x509_crl_mem(server->credentials, &revoked,
                                                                GNUTLS_X509_FMT_PEM) > 0;
}

struct tls_server *tls_server_new(const struct http_tls *tls)
{
    struct tls_server *server = calloc(1, sizeof *server);
    if (!server)
        return NULL;
    if (gnutls_certificate_allocate_credentials(&server->credentials) == GNUTLS_E_SUCCESS &&
        gnutls_priority_init(&server->priorities, HTTP_TLS_PRIORITIES, NULL) == GNUTLS_E_SUCCESS &&
        fill_credentials(server, tls))
        return server;
    tls_server_free(server);
    return NULL;
}

void tls_server_free(struct tls_server *server)
{
    if (!server)
        return;
    if (server->credentials)
        gnutls_certificate_free_credentials(server->credentials);
    if (server->priorities)
        gnutls_priority_deinit(server->priorities);
    free(server);
}

bool tls_server_is_mutual(const struct tls_server *server)
{
    return server && server->mutual;
}

gnutls_session_t tls_session_new(struct tls_server *server, int socket)
{
    /* A client that names protocols and none of these is no client of HTTP (RFC 9325, 3.8). */
    static unsigned char names[2][9] = {"http/1.1", "http/1.0"};
    static const gnutls_datum_t protocols[] = {{names[0], 8}, {names[1], 8}};
    gnutls_session_t session;
    if (gnutls_init(&session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) !=
        GNUTLS_E_SUCCESS)
        return NULL;
    if (gnutls_priority_set(session, server->priorities) != GNUTLS_E_SUCCESS ||
        gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, server->credentials) !=
            GNUTLS_E_SUCCESS) {
        gnutls_deinit(session);
        return NULL;
    }
    if (server->mutual)
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
    if (gnutls_alpn_set_protocols(session, protocols, sizeof protocols / sizeof *protocols,
                                  GNUTLS_ALPN_MANDATORY) != GNUTLS_E_SUCCESS) {
        gnutls_deinit(session);
        return NULL;
    }
    gnutls_handshake_set_timeout(session, 0); /* the connection has its own */
    gnutls_transport_set_int(session, socket);
    return session;
}

enum tls_progress tls_session_handshake(gnutls_session_t session)
{
    int result = gnutls_handshake(session), warnings = 0;
    while (result == GNUTLS_E_INTERRUPTED ||
           (result == GNUTLS_E_WARNING_ALERT_RECEIVED && ++warnings <= WARNINGS_MAX))
        result = gnutls_handshake(session);
    if (result == GNUTLS_E_SUCCESS)
        return TLS_DONE;
    if (result != GNUTLS_E_AGAIN) {
        gnutls_alert_send_appropriate(session, result);
        return TLS_FAILED;
    }
    return gnutls_record_get_direction(session) ? TLS_WAITS_WRITABLE : TLS_WAITS_READABLE;
}

const gnutls_datum_t *tls_session_certificate(gnutls_session_t session)
{
    unsigned count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
    return count ? chain : NULL;
}

/* A certificate for servers alone is none of a client. */
bool tls_session_is_trusted(const struct tls_server *server, gnutls_session_t session)
{
    unsigned status = 1;
    unsigned char client[] = GNUTLS_KP_TLS_WWW_CLIENT;
    gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID, .data = client};
    if (server->optional && !tls_session_certificate(session))
        return true;
    return gnutls_certificate_verify_peers(session, &purpose, 1, &status) == GNUTLS_E_SUCCESS &&
           status == 0;
}

static ssize_t errno_result(ssize_t result)
{
    if (result >= 0)
        return result;
    /* A handshake that the client begins anew is none of ours: RFC 9325 advises against it. */
    errno = result == GNUTLS_E_AGAIN || result == GNUTLS_E_INTERRUPTED ? EAGAIN : EPROTO;
    return -1;
}

ssize_t tls_session_receive(gnutls_session_t session, char *buffer, size_t size)
{
    return errno_result(gnutls_record_recv(session, buffer, size));
}

ssize_t tls_session_send(gnutls_session_t session, const char *data, size_t length)
{
    return errno_result(gnutls_record_send(session, data, length));
}

bool tls_session_has_input(gnutls_session_t session)
{
    return gnutls_record_check_pending(session) > 0;
}

void tls_session_end(gnutls_session_t session)
{
    gnutls_bye(session, GNUTLS_SHUT_WR);
}
