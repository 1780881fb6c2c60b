/* SPDX-License-Identifier: Apache-2.0 */
/* How a process has ended, in words, and how long to wait before the next one is started. */

#define _GNU_SOURCE
#include "system/supervise/child.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define EXIT_NOT_LOADED 127 /* the loader's: the process's user may see fewer files than `up` */

/* Exponential, half of it random, so that services that died together do not all come back at once.
 * One that had been ready is back within two seconds, however often it was killed. */
int64_t child_backoff_ms(struct child *child)
{
    int shift = child->failures < 10 ? child->failures : 10;
    int64_t full = (int64_t)CHILD_BACKOFF_MS_MIN << shift;
    int64_t most = child->ready_ns ? CHILD_BACKOFF_SERVED_MS_MAX : CHILD_BACKOFF_MS_MAX;
    if (full > most)
        full = most;
    return full / 2 + (int64_t)world_random_below(child->world, (uint64_t)(full / 2) + 1);
}

void child_describe_end(struct child *child)
{
    child->at_fault =
        child->exit_signal != SIGKILL || child->killed_for_silence || child->superseded;
    if (child->superseded)
        snprintf(child->why, sizeof child->why, "was superseded by newer files and killed");
    else if (child->killed_for_silence && child->ready_ns)
        snprintf(child->why, sizeof child->why, "did not respond for %d s and was killed%s%.70s",
                 child->silent_s, *child->hang.what ? ", in " : "", child->hang.what);
    else if (child->killed_for_silence)
        snprintf(child->why, sizeof child->why, "was not ready within %d s and was killed",
                 child->silent_s);
    else if (child->overwritten)
        snprintf(child->why, sizeof child->why,
                 "can't be started: its program was overwritten, and is not taken yet");
    else if (child->exit_signal)
        snprintf(child->why, sizeof child->why, "was killed by SIG%s",
                 sigabbrev_np(child->exit_signal) ? sigabbrev_np(child->exit_signal) : "?");
    else if (child->exit_code == EXIT_NOT_LOADED && child->part->user)
        snprintf(child->why, sizeof child->why, "ended as user %u with exit code %d",
                 (unsigned)child->part->user, EXIT_NOT_LOADED);
    else
        snprintf(child->why, sizeof child->why, "ended with exit code %d", (int)child->exit_code);
}
