/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_LIFE_H
#define SYSTEM_SUPERVISE_LIFE_H

/*
 * A life is one process that `up` started, its leader, and all that came of it. No two lives of one
 * instance may overlap: they would share a store.
 *
 * Each has a record, STATE/.run/STEM.NAME.INSTANCE, which is written before the leader's first
 * instruction and removed when nothing of the life is left: its pid, when it started (in ticks
 * since the boot, /proc/PID/stat), whose it is, which boot and state folder that was, and its
 * cgroup. Only `up` can write there. A process is killed when it was compared with that through a
 * pidfd, and is exactly the same; so neither a pid that was used again nor what a service writes
 * gets another killed.
 *
 * What a leader leaves is in its cgroup. Where none can be made it is a child of this process,
 * which is a subreaper, or, after the death of an `up`, still of the leader's session, user and
 * folder.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "system/provision/state.h"
#include "system/supervise/cgroup.h"

#define LIVES_DRAIN_MS_MAX 2000 /* Killing is safe: see the design's second law. */
#define LIFE_NAME_SIZE 80
#define LIVES_FOLDER ".run" /* in the state folder */

struct lives {
    int folder_fd;                /* STATE/.run; -1: not open */
    char state[48];               /* which state folder it is: its device and inode */
    char boot[48];                /* which boot of the machine this is */
    char group[CGROUP_PATH_SIZE]; /* our cgroup, in which each life gets one; "": none */
};

struct life {
    char name[LIFE_NAME_SIZE]; /* of its record */
    const char *folder;        /* in which its leader begins */
    uid_t user;                /* as which it runs; 0: that of this process */
};

/* Whether records were ever kept in this state folder. */
bool lives_are_kept(const struct state *state);
/* Looks at the records from outside: makes nothing, kills nothing. `see` gets those whose leaders
 * live. Returns how many records there are; an `up` that has ended in order leaves none. */
size_t lives_see(const struct state *state, void (*see)(void *context, const char *name, pid_t pid),
                 void *context);
/* Opens the records of a state folder that is locked; makes this process a subreaper. `version`
 * for tests. */
enum fh_code lives_open(struct lives *lives, const struct state *state, enum cgroup_version version,
                        struct fh_error *error);
void lives_close(struct lives *lives);
/* Of the recorded lives that go on: their number. `kill_them`: leaders too, which are otherwise
 * left to drain, with what they have started. Call it again until 0. */
size_t lives_count(const struct lives *lives, bool kill_them);

/* Records a life that begins with `pid`, which must not have begun to run. */
enum fh_code life_begin(const struct lives *lives, const struct life *life, pid_t pid,
                        struct fh_error *error);
/* Whether the recorded leader lives. */
bool life_leads(const struct lives *lives, const struct life *life);
/* Kills what is left of a life whose leader has ended, and removes its record when that is nothing.
 * Returns how many processes were seen; call it again until 0. A living leader is left alone, and
 * counted. */
size_t life_end(const struct lives *lives, const struct life *life);

#endif
