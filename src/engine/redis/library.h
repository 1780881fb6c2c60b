/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_REDIS_LIBRARY_H
#define ENGINE_REDIS_LIBRARY_H

/* The part of hiredis that is used: the parser of the protocol's answers. The sockets are our own.
 * It is loaded when the engine is chosen; calls read `hiredis.redisReaderCreate()`. */

#include <hiredis.h>

#include "base/error.h"

/* clang-format off */
#define REDIS_FUNCTIONS(X) \
    X(redisReaderCreate) X(redisReaderFree) X(redisReaderFeed) X(redisReaderGetReply) \
    X(freeReplyObject)
/* clang-format on */

struct redis_library {
#define REDIS_SLOT(name) __typeof__(name) *name;
    REDIS_FUNCTIONS(REDIS_SLOT)
#undef REDIS_SLOT
};
extern struct redis_library hiredis;

/* Call it before the process confines itself. */
enum fh_code redis_load(struct fh_error *error);

#endif
