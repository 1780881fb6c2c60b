/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In TLS 1.3 a server that requires client certificates rejects a client only after the handshake,
 * and then hangs up: so when a connection has failed, its last alert is read.
 */

#define _GNU_SOURCE
#include "engine/redis/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

#include "http/tls.h"

struct redis_trust {
    gnutls_certificate_credentials_t credentials;
};

struct redis_tls {
    gnutls_session_t session;
    const char *host;
    bool sends;  /* the bytes last offered are being sent */
    bool shaken; /* the handshake is done; heard: and something was received since */
    bool heard;
    bool said; /* why it failed: */
    enum store_tls_fault fault;
};

/* ---- Trust ---- */

static enum fh_code read_files(struct redis_trust *trust, const struct store_tls *tls,
                               struct fh_error *error)
{
    int got =
        gnutls_certificate_set_x509_trust_file(trust->credentials, tls->ca, GNUTLS_X509_FMT_PEM);
    if (got <= 0)
        return error_set(error, FH_INVALID,
                         "%.300s, tls.ca of the store, has no certificates that can be read.",
                         tls->ca);
    if (!tls->certificate[0])
        return FH_OK;
    got = gnutls_certificate_set_x509_key_file(trust->credentials, tls->certificate, tls->key,
                                               GNUTLS_X509_FMT_PEM);
    if (got >= 0)
        return FH_OK;
    return error_set(error, FH_INVALID,
                     "tls.certificate %.160s and tls.key %.160s of the store can't be read, or "
                     "don't belong together.",
                     tls->certificate, tls->key);
}

enum fh_code redis_trust_new(const struct store_tls *tls, struct redis_trust **ret,
                             struct fh_error *error)
{
    *ret = NULL;
    if (!tls->verify)
        return FH_OK;
    struct redis_trust *trust = calloc(1, sizeof *trust);
    FH_ASSERT(trust != NULL);
    FH_ASSERT(gnutls_certificate_allocate_credentials(&trust->credentials) == 0);
    enum fh_code code = read_files(trust, tls, error);
    if (code == FH_OK)
        *ret = trust;
    else
        redis_trust_free(trust);
    return code;
}

void redis_trust_free(struct redis_trust *trust)
{
    if (!trust)
        return;
    gnutls_certificate_free_credentials(trust->credentials);
    free(trust);
}

/* ---- A connection ---- */

static bool is_address(const char *host)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

struct redis_tls *redis_tls_new(const struct redis_trust *trust, const char *host, int fd)
{
    struct redis_tls *tls = calloc(1, sizeof *tls);
    FH_ASSERT(tls != NULL);
    tls->host = host;
    FH_ASSERT(gnutls_init(&tls->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) == 0);
    FH_ASSERT(gnutls_priority_set_direct(tls->session, HTTP_TLS_PRIORITIES, NULL) == 0);
    FH_ASSERT(gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, trust->credentials) ==
              0);
    if (!is_address(host))
        FH_ASSERT(gnutls_server_name_set(tls->session, GNUTLS_NAME_DNS, host, strlen(host)) == 0);
    gnutls_session_set_verify_cert(tls->session, host, 0);
    gnutls_handshake_set_timeout(tls->session, GNUTLS_INDEFINITE_TIMEOUT); /* callers limit it */
    gnutls_transport_set_int(tls->session, fd);
    return tls;
}

void redis_tls_free(struct redis_tls *tls)
{
    if (!tls)
        return;
    gnutls_deinit(tls->session);
    free(tls);
}

/* ---- Failures ---- */

/* The first reason counts. */
static void note_fault(struct redis_tls *tls, enum store_tls_fault fault)
{
    if (!tls->said)
        tls->fault = fault;
    tls->said = true;
}

static enum store_tls_fault fault_of_certificate(const struct redis_tls *tls)
{
    unsigned status = gnutls_session_get_verify_cert_status(tls->session);
    return status & GNUTLS_CERT_UNEXPECTED_OWNER ? STORE_TLS_OTHER_HOST
           : status & GNUTLS_CERT_EXPIRED        ? STORE_TLS_EXPIRED
           : status & GNUTLS_CERT_INVALID        ? STORE_TLS_OTHER_AUTHORITY
                                                 : STORE_TLS_UNKNOWN;
}

/* The server rejects our certificate, or the lack of one: it can object to nothing else, except
 * that no version or cipher is in common. */
static enum store_tls_fault fault_of_alert(const struct redis_tls *tls)
{
    gnutls_alert_description_t alert = gnutls_alert_get(tls->session);
    return alert == GNUTLS_A_PROTOCOL_VERSION || alert == GNUTLS_A_HANDSHAKE_FAILURE ||
                   alert == GNUTLS_A_INSUFFICIENT_SECURITY
               ? STORE_TLS_WEAK
               : STORE_TLS_UNKNOWN_CLIENT;
}

/* Turns the result of a GnuTLS call into that of read and write. */
static ssize_t io_result(struct redis_tls *tls, ssize_t got)
{
    if (got >= 0)
        return got;
    switch (got) {
    case GNUTLS_E_AGAIN:
        errno = EAGAIN;
        return -1;
    case GNUTLS_E_INTERRUPTED:
    case GNUTLS_E_WARNING_ALERT_RECEIVED:
        errno = EINTR;
        return -1;
    case GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR:
        note_fault(tls, fault_of_certificate(tls));
        break;
    case GNUTLS_E_FATAL_ALERT_RECEIVED:
        note_fault(tls, fault_of_alert(tls));
        break;
    case GNUTLS_E_UNEXPECTED_PACKET:
    case GNUTLS_E_UNEXPECTED_PACKET_LENGTH:
    case GNUTLS_E_UNSUPPORTED_VERSION_PACKET:
        note_fault(tls, STORE_TLS_PLAIN);
        break;
    default:
        break;
    }
    errno = ECONNRESET;
    return -1;
}

int redis_tls_shake(struct redis_tls *tls, bool *ret_writes)
{
    int got;
    do
        got = (int)io_result(tls, gnutls_handshake(tls->session));
    while (got < 0 && errno == EINTR);
    *ret_writes = gnutls_record_get_direction(tls->session) != 0;
    tls->shaken = got == 0;
    return got;
}

ssize_t redis_tls_read(struct redis_tls *tls, void *buffer, size_t size)
{
    ssize_t got = io_result(tls, gnutls_record_recv(tls->session, buffer, size));
    tls->heard = tls->heard || got > 0;
    return got;
}

ssize_t redis_tls_write(struct redis_tls *tls, const void *data, size_t length)
{
    ssize_t got = tls->sends ? gnutls_record_send(tls->session, NULL, 0)
                             : gnutls_record_send(tls->session, data, length);
    tls->sends = got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED;
    return io_result(tls, got);
}

bool redis_tls_failed(struct redis_tls *tls, struct fh_error *error)
{
    char last[64];
    if (!tls->said && tls->shaken && !tls->heard)
        redis_tls_read(tls, last, sizeof last);
    if (!tls->heard) /* it has never answered by TLS */
        note_fault(tls, STORE_TLS_HUNG_UP);
    return store_tls_failed(tls->host, tls->fault, error);
}
