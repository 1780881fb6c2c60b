/* SPDX-License-Identifier: Apache-2.0 */
/* What a run comes to. */

#include <stdarg.h>
#include <string.h>

#include "simulate/run_parts.h"

void run_fail(struct run *run, const char *format, ...)
{
    struct run_result *result = run->result;
    char text[RUN_FAILURE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    simulate_say(&run->simulate, NULL, "FAILED: %s", text);
    result->failures++;
    for (int i = 0; i < RUN_FAILURES_MAX; i++) {
        if (!result->failure[i][0]) {
            memcpy(result->failure[i], text, sizeof text);
            return;
        }
        if (strcmp(result->failure[i], text) == 0) {
            result->repeated[i]++;
            return;
        }
    }
}
