/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_CGROUP_H
#define SYSTEM_SUPERVISE_CGROUP_H

/* Control groups, of version 2 or 1, used for one thing: a process can't leave the one it was put
 * into, nor can what it starts, so all of that can be found and killed. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CGROUP_PATH_SIZE 1024

enum cgroup_version { CGROUP_ANY, CGROUP_V1, CGROUP_V2, CGROUP_NONE };

/* Makes a group with that name below the one this process is in, in the first hierarchy where it
 * can: that of version 2, else version 1's freezer, pids or systemd's. False: in none, whether it
 * is not there or not ours to change. `version` other than CGROUP_ANY: only there. */
bool cgroup_make_own(const char *name, enum cgroup_version version, char ret[CGROUP_PATH_SIZE]);
/* Makes GROUP/NAME. One that exists may run again, if cgroup_kill has stopped it. */
bool cgroup_make(const char *group, const char *name, char ret[CGROUP_PATH_SIZE]);
bool cgroup_add(const char *group, pid_t pid);
/* Whether a process is in a group below one of ours (cgroup_make_own). */
bool cgroup_holds(const char *group, pid_t pid);
/* Kills what is in the group and below, each by a pidfd after it was seen there. Returns how many
 * were seen; 0: the group is empty, or does not exist. Call it again until then. */
size_t cgroup_kill(const char *group);
/* Removes an empty group and the empty ones below. False: something is in there. */
bool cgroup_remove(const char *group);

#endif
