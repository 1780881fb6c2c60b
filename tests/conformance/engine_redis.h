/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_ENGINE_REDIS_H
#define TESTS_ENGINE_REDIS_H

/* Redis, for the suite of that engine's own. */

#include "conformance.h"

#include "engine/redis/internal.h"

/* Where the case's store is. */
json_t *redis_server(const struct harness *harness);
/* The case's store by another way: `server` is consumed. */
enum fh_code redis_open_with(struct harness *harness, json_t *server, struct store **ret,
                             struct fh_error *error);
/* One command of words up to NULL, over the store's connections, and its reply, which the caller
 * owns. */
redisReply *redis_tell(struct conformance *c, const char *first, ...) __attribute__((sentinel));

#endif
