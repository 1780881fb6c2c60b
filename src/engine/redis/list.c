/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of a service's keys on Redis: a sorted set of their names, each with a time before which
 * its key does not end. The script of the commit maintains it (see script.c), and the server
 * removes expired keys without it: the sweep here finds those names by their times, in slices. A
 * slice is one unit of work, whose script checks each of the keys and updates the list: the key is
 * gone, or when it ends now.
 */

#include <stdio.h>
#include <stdlib.h>

#include "engine/redis/internal.h"

enum fh_code redis_sweep(const struct keyvalue_view *view, int64_t *ret_removed,
                         struct fh_error *error)
{
    struct redis_work *own = redis_work_of(view->work);
    const redisReply *found;
    char *names = redis_name(own->redis, "fh", "keys"), now_ms[24], rows[16];
    *ret_removed = 0;
    snprintf(now_ms, sizeof now_ms, "%lld", (long long)view->now_ms);
    snprintf(rows, sizeof rows, "%d", KEYVALUE_SWEEP_ROWS);
    enum fh_code code = redis_see_one(own, true, &found, error, "ZRANGEBYSCORE", names, "-inf",
                                      now_ms, "LIMIT", "0", rows, NULL);
    free(names);
    if (code)
        return code;
    own->now_ms = view->now_ms;
    for (size_t i = 0; i < found->elements; i++) {
        redis_step(&own->operations, 'L', 1);
        redis_word(&own->operations.words, redis_at(found, i)->str);
    }
    *ret_removed = (int64_t)found->elements;
    return FH_OK;
}
