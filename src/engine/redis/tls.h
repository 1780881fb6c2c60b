/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_REDIS_TLS_H
#define ENGINE_REDIS_TLS_H

/*
 * TLS for a connection to a Redis server, over a socket made elsewhere. By GnuTLS, which every
 * process has for its own API; the hiredis of Debian 12 has no TLS. Sockets may block or not: calls
 * return results as read and write do, with errno.
 */

#include <sys/types.h>

#include "store/tls.h"

struct redis_trust; /* our CA and our certificate: read once */
struct redis_tls;   /* one connection */

/* *ret is NULL if `tls` is off. FH_INVALID: a file can't be read or used; the message says
 * which. */
enum fh_code redis_trust_new(const struct store_tls *tls, struct redis_trust **ret,
                             struct fh_error *error);
void redis_trust_free(struct redis_trust *trust);

/* `host` is the name that the server's certificate must have. Both are borrowed while the
 * connection exists. */
struct redis_tls *redis_tls_new(const struct redis_trust *trust, const char *host, int fd);
void redis_tls_free(struct redis_tls *tls);
/* 0: done. -1 with EAGAIN: call again when the socket is writable, if `ret_writes`, or readable.
 * Otherwise the connection is unusable. */
int redis_tls_shake(struct redis_tls *tls, bool *ret_writes);
ssize_t redis_tls_read(struct redis_tls *tls, void *buffer, size_t size);
/* After EAGAIN, call it again with the same bytes; more may have been added. */
ssize_t redis_tls_write(struct redis_tls *tls, const void *data, size_t length);
/* After the connection has failed: true if TLS is the reason, with its message. */
bool redis_tls_failed(struct redis_tls *tls, struct fh_error *error);

#endif
