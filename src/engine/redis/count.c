/* SPDX-License-Identifier: Apache-2.0 */
/* How many members an order has, with what the unit of work has changed. */

#include <stdlib.h>
#include <string.h>

#include "engine/redis/record.h"

struct counting {
    struct redis_members members; /* first */
    const char *order;
    int64_t step, count;
};

static void count_member(struct redis_members *members, const char *order, const char *text)
{
    struct counting *counting = (struct counting *)members;
    (void)text;
    if (strcmp(order, counting->order) == 0)
        counting->count += counting->step;
}

enum fh_code redis_count(struct store_work *work, const char *order, int64_t *ret,
                         struct fh_error *error)
{
    struct redis_work *own = redis_work_of(work);
    char *key = redis_name(own->redis, "fh", order);
    const redisReply *reply;
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    enum fh_code code = redis_see_one(own, true, &reply, error, "ZCARD", key, NULL);
    free(key);
    if (code)
        return code;
    struct counting counting = {.members = {count_member}, .order = order, .count = reply->integer};
    while (map_next(&own->records, &entry, &name, &value)) {
        const struct redis_record *record = value;
        counting.step = -1;
        if (record->old)
            redis_each_member(record, record->old, &counting.members);
        counting.step = 1;
        if (record->fresh)
            redis_each_member(record, record->fresh, &counting.members);
    }
    *ret = counting.count;
    return FH_OK;
}
