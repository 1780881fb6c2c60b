/* SPDX-License-Identifier: Apache-2.0 */
/* What a process tells of itself besides that it lives: its wall clock, and, by its watchdog
 * (service/watchdog.h), a handler that does not return. */

#include "system/supervise/child.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define NS_PER_S INT64_C(1000000000)

/* "clock 1763737200123": the process's own wall clock. If we were held up, lines that waited to be
 * read tell a time that is past: apart.h allows for that. */
void child_take_clock(struct child *child)
{
    if (strncmp(child->line, "clock ", 6) != 0)
        return;
    int64_t its_ms = strtoll(child->line + strlen("clock"), NULL, 10);
    int64_t ahead_ms = its_ms - world_wall_ms(child->world);
    if (apart_note(&child->clock, ahead_ms, false, world_monotonic_ns(child->world)) &&
        child->clock_set)
        child->clock_set(child);
}

void child_take_hang(struct child *child)
{
    static const char word[] = "hangs ";
    char *what;
    if (strncmp(child->line, word, sizeof word - 1) != 0)
        return;
    long long seconds = strtoll(child->line + sizeof word - 1, &what, 10);
    what += *what == ' ';
    text_make_plain(what, strlen(what)); /* it goes to a terminal */
    snprintf(child->hang.what, sizeof child->hang.what, "%.95s", what);
    if (seconds < 0 || seconds > CHILD_STARVED_MS_MAX)
        seconds = 0;
    child->hang.since_ns = world_monotonic_ns(child->world) - seconds * NS_PER_S;
}
