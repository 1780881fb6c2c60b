/* SPDX-License-Identifier: Apache-2.0 */
/* The names of keys on the server. */

#include "engine/redis/internal.h"

char *redis_name(const struct redis *redis, const char *room, const char *name)
{
    struct text text;
    text_init(&text, REDIS_WORK_SIZE_MAX);
    text_add(&text, redis->options.prefix);
    text_add(&text, ":");
    text_add(&text, room);
    text_add(&text, ":");
    text_add(&text, name);
    return text_take(&text);
}
