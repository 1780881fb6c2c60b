/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_REDIS_LINK_H
#define ENGINE_REDIS_LINK_H

/* A blocking connection, for creating users and administering servers (server.c). */

#include "engine/redis/internal.h"

struct redis_link;

/* `host` may be the path of a socket; borrowed until the link is closed. No wait is longer than
 * `most_s`. FH_UNAVAILABLE: no answer there, or TLS failed. */
enum fh_code redis_link_open(const char *host, int port, const struct store_tls *tls, int most_s,
                             struct redis_link **ret, struct fh_error *error);
void redis_link_close(struct redis_link *link);
/* One command and its answer, which is the caller's. FH_UNAVAILABLE: the server hung up. */
enum fh_code redis_link_ask(struct redis_link *link, int count, const char *const *words,
                            redisReply **ret, struct fh_error *error);

#endif
