/* SPDX-License-Identifier: Apache-2.0 */
/* The first mark that is young enough has what was published before all that the topic is to
 * hold. */

#include "event/relay/held.h"

#include <string.h>

static int64_t held_since(const struct relay_held *held, int64_t now_ns)
{
    for (int i = 0; i < held->count; i++) {
        if (held->marks[i].at_ns > now_ns - held->kept_ns)
            return held->bytes - held->marks[i].bytes;
    }
    return 0;
}

static void held_mark(struct relay_held *held, int64_t now_ns)
{
    if (held->count > 0 && now_ns - held->marks[held->count - 1].at_ns < held->kept_ns / HELD_MARKS)
        return;
    if (held->count == HELD_MARKS) {
        memmove(held->marks, held->marks + 1, (HELD_MARKS - 1) * sizeof *held->marks);
        held->count--;
    }
    held->marks[held->count++] = (struct held_mark){now_ns, held->bytes};
}

bool relay_held_overflows(const struct relay_held *held, int64_t now_ns)
{
    return held->kept_ns > 0 && held_since(held, now_ns) > held->bytes_max;
}

bool relay_held_published(struct relay_held *held, int64_t bytes, int64_t now_ns)
{
    bool before = held->overflows;
    if (held->kept_ns == 0)
        return false;
    held_mark(held, now_ns);
    held->bytes += bytes;
    held->overflows = relay_held_overflows(held, now_ns);
    return held->overflows && !before;
}
