/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many connections a process can hold. Each takes a descriptor, and a process that has none
 * left can't open its store's files or ask another service: so connections never take the last
 * ones. The soft limit, often 1,024, is raised as far as the hard one allows and the connections
 * need.
 */

#include <sys/resource.h>

#include "http/request.h"

#define DESCRIPTORS_RESERVED 512 /* for stores, logs, and connections to other services */

unsigned descriptors_for_connections(unsigned wanted)
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
