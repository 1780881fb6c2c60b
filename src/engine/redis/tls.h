/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_REDIS_TLS_H
#define ENGINE_REDIS_TLS_H

/*
 * A link to a Redis server by TLS, over a socket that somebody else has made. By GnuTLS, which
 * every process has for its own door; the hiredis of Debian 12 brings none. Sockets may block or
 * not: calls answer as read and write do, with errno.
 */

#include <sys/types.h>

#include "store/tls.h"

struct redis_trust; /* whom we trust, and who we are: read once */
struct redis_tls;   /* one link */

/* *ret is NULL where `tls` is off. FH_INVALID: a file can't be read or used; says which. */
enum fh_code redis_trust_new(const struct store_tls *tls, struct redis_trust **ret,
                             struct fh_error *error);
void redis_trust_free(struct redis_trust *trust);

/* `host` is whom the server's certificate has to name. Both are borrowed while the link is there.
 */
struct redis_tls *redis_tls_new(const struct redis_trust *trust, const char *host, int fd);
void redis_tls_free(struct redis_tls *tls);
/* 0: it is done. -1 with EAGAIN: again when the socket is writable, if `ret_writes`, or readable.
 * Otherwise the link is of no use. */
int redis_tls_shake(struct redis_tls *tls, bool *ret_writes);
ssize_t redis_tls_read(struct redis_tls *tls, void *buffer, size_t size);
/* After EAGAIN the same bytes are offered again, and may have grown. */
ssize_t redis_tls_write(struct redis_tls *tls, const void *data, size_t length);
/* The link has failed: true where TLS is why, with the sentence. */
bool redis_tls_failed(struct redis_tls *tls, struct fh_error *error);

#endif
