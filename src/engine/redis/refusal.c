/* SPDX-License-Identifier: Apache-2.0 */
/* What the server refuses, in words that help an operator. */

#include <stdio.h>
#include <string.h>

#include "engine/redis/internal.h"

enum fh_code redis_refused(const redisReply *reply, const char *what, struct fh_error *error)
{
    static const struct {
        const char *word, *says;
        enum fh_code code;
    } refusals[] = {
        {"LOADING", "it is still reading what it has kept", FH_UNAVAILABLE},
        {"BUSY", "a script that runs too long keeps it busy", FH_UNAVAILABLE},
        {"OOM", "its memory is full: maxmemory has to be raised, or keys removed", FH_UNAVAILABLE},
        {"MISCONF", "it can't write to its disk", FH_UNAVAILABLE},
        {"READONLY", "it is a replica, which takes no writes", FH_UNAVAILABLE},
        {"MASTERDOWN", "it is a replica without its primary", FH_UNAVAILABLE},
        {"NOREPLICAS", "too few of its replicas can be reached", FH_UNAVAILABLE},
        {"WRONGPASS", "the user or the password is wrong", FH_UNSUPPORTED},
        {"NOAUTH", "it asks for a user and a password, and none is configured", FH_UNSUPPORTED},
        {"NOPERM", "its user lacks a right that the engine needs (docs/operate/engines/redis.md)",
         FH_UNSUPPORTED},
    };
    const char *text = redis_is(reply, REDIS_REPLY_ERROR) ? reply->str : "";
    size_t length = strcspn(text, " ");
    char native[sizeof error->native];
    snprintf(native, sizeof native, "%.*s", (int)length, text);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        if (strcmp(native, refusals[i].word) == 0) {
            error_set(error, refusals[i].code, "The Redis server refused %s: %s.", what,
                      refusals[i].says);
            error->retryable = refusals[i].code == FH_UNAVAILABLE;
            memcpy(error->native, native, sizeof native);
            return refusals[i].code;
        }
    }
    /* Never the server's own words: they may repeat what it was sent. */
    error_set(error, FH_UNAVAILABLE, "The Redis server refused %s with %s.", what,
              *native ? native : "an answer that is none");
    return FH_UNAVAILABLE;
}
