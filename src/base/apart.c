/* SPDX-License-Identifier: Apache-2.0 */
/* Two bounds, so that clocks near the limit are not reported again and again: clocks that are apart
 * stay so until they are half as far apart. */

#include "base/apart.h"

#include <inttypes.h>
#include <stdio.h>

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

bool apart_note(struct apart *apart, int64_t ahead_ms, bool measured, int64_t now_ns)
{
    int64_t bound_ms = apart->is ? APART_AGAIN_MS : APART_MS;
    bool far = ahead_ms > bound_ms || ahead_ms < -bound_ms, was = apart->is;
    apart->heard_ns = now_ns;
    if (!far) {
        *apart = (struct apart){.heard_ns = now_ns};
        return was;
    }
    if (apart->notes == 0)
        apart->since_ns = now_ns;
    apart->ahead_ms = ahead_ms;
    apart->notes += apart->notes < APART_NOTES;
    if (measured || (apart->notes == APART_NOTES && now_ns - apart->since_ns >= APART_NS))
        apart->is = true;
    return apart->is != was;
}

/* Two units; the smaller one is omitted if it is zero. */
static void span_text(char *out, size_t size, int64_t large, const char *name, int64_t small,
                      const char *small_name)
{
    int length = snprintf(out, size, "%" PRId64 " %s", large, name);
    if (small > 0 && length > 0 && (size_t)length < size)
        snprintf(out + length, size - (size_t)length, " %" PRId64 " %s", small, small_name);
}

void apart_text(char out[static APART_TEXT_SIZE], int64_t ahead_ms)
{
    int64_t ms = ahead_ms == INT64_MIN ? INT64_MAX : ahead_ms < 0 ? -ahead_ms : ahead_ms;
    char span[40];
    if (ms >= DAY_MS)
        span_text(span, sizeof span, ms / DAY_MS, ms / DAY_MS == 1 ? "day" : "days",
                  ms % DAY_MS / HOUR_MS, "h");
    else if (ms >= HOUR_MS)
        span_text(span, sizeof span, ms / HOUR_MS, "h", ms % HOUR_MS / MINUTE_MS, "min");
    else
        span_text(span, sizeof span, ms / MINUTE_MS, "min", ms % MINUTE_MS / SECOND_MS, "s");
    if (ms < MINUTE_MS)
        snprintf(span, sizeof span, "%" PRId64 " s", ms / SECOND_MS);
    snprintf(out, APART_TEXT_SIZE, "%s %s", span, ahead_ms < 0 ? "behind" : "ahead of");
}
