/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_BEING_H
#define SYSTEM_SUPERVISE_BEING_H

/* Processes as /proc shows them. A pid and a start tell two apart as long as the machine runs. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct being {
    pid_t pid, parent, session;
    uid_t user;               /* real */
    unsigned long long start; /* in clock ticks since the boot */
};

/* False with errno ESRCH: there is none with this pid, or it has ended and was not reaped. False
 * with another errno: that can't be found out, such as without descriptors (EMFILE). */
bool being_look(pid_t pid, struct being *ret);
bool being_is(const struct being *one, const struct being *other);
/* Opens a pidfd, looks again, and sends the signal through it if it is still the same; 0: none.
 * Returns whether it was the same, or that can't be found out. */
bool being_signal(const struct being *being, int number);
/* All processes; malloc'ed. *ret_whole: none is missing. */
struct being *being_all(size_t *ret_count, bool *ret_whole);
/* Whether it is in this folder now, an absolute path without links. */
bool being_is_in(const struct being *being, const char *folder);
/* Whether its main thread would run if the machine let it: it waits for a processor or a disk. */
bool being_waits_for_the_machine(pid_t pid);

#endif
