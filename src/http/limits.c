/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server's default limits, and how many connections a process can hold. Each connection takes a
 * descriptor, and without any left a process can't open its store's files or send requests to other
 * services; so connections never get the last ones. The soft limit, often 1,024, is raised to what
 * the connections need, as far as the hard limit allows.
 */

#include <sys/resource.h>

#include "http/connection.h"

#define BODY_SIZE_MAX ((size_t)1 << 20)
#define WEIGHT_MAX ((size_t)128 << 20)
#define CONNECTIONS_MAX 10000
#define IDLE_TIMEOUT_S 60
#define DESCRIPTORS_RESERVED 512 /* for stores, logs, and connections to other services */

static unsigned descriptors_for_connections(unsigned wanted)
{
    struct rlimit limit;
    rlim_t needed = (rlim_t)wanted + DESCRIPTORS_RESERVED;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return wanted;
    if (limit.rlim_cur < needed) {
        struct rlimit raised = limit;
        raised.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    if (limit.rlim_cur >= needed)
        return wanted;
    rlim_t left = limit.rlim_cur > 2 * DESCRIPTORS_RESERVED ? limit.rlim_cur - DESCRIPTORS_RESERVED
                                                            : limit.rlim_cur / 2;
    return left < wanted ? (unsigned)left : wanted;
}

struct http_limits limits_of(const struct http_limits *given)
{
    struct http_limits limits = given ? *given : (struct http_limits){0};
    if (!limits.body_size_max)
        limits.body_size_max = BODY_SIZE_MAX;
    if (!limits.header_size_max)
        limits.header_size_max = HTTP_HEADER_SIZE_MAX;
    if (!limits.weight_max)
        limits.weight_max = WEIGHT_MAX;
    if (!limits.connections_max)
        limits.connections_max = CONNECTIONS_MAX;
    limits.connections_max = descriptors_for_connections(limits.connections_max);
    if (!limits.idle_timeout_s)
        limits.idle_timeout_s = IDLE_TIMEOUT_S;
    return limits;
}
