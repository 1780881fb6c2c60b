/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_NAMESPACE_H
#define SYSTEM_PROVISION_NAMESPACE_H

/*
 * What a process sees of the file system: a mount namespace of its own, in which every closed place
 * on the way to something that it needs is covered by an empty file system, and in that is nothing
 * but what it needs. A place is closed if other users may not pass through it; the topmost such
 * folder is covered, and the state folder always. Not as root the same is done in a user namespace.
 *
 *   STATE/NAME            its own folder: read and written, nothing in it run
 *   its program           read-only: the file, for a script its interpreter, the libraries that it
 *                         finds by RPATH, RUNPATH, LD_LIBRARY_PATH and LD_PRELOAD
 *   what else it is let   read-only
 *   keys                  files that only root can read, which it must: copies of its own
 *   /etc/passwd           one of its own, for a program that must find itself there
 *
 * Places that are open are as they are. A process can't take the covers off: it has no capability,
 * and in a user namespace that it makes what is mounted here is locked (mount_namespaces(7)).
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

#define NAMESPACE_WHY_SIZE 160

struct mount_plan;

struct namespace_options {
    const char *state;  /* the state folder, absolute */
    const char *folder; /* the process's own */
    const char *program;
    int program_fd; /* the file that is run, if it is not the one of that name any more; or -1 */
    const char *const *reads;  /* more files and folders, ended by NULL; those missing are left
                                * out */
    const char *const *writes; /* more folders, in which it may write */
    const char *const *keys;   /* files that it reads, even if they are only root's */
    char *const *environment;  /* the process's, for the loader's variables */
    uid_t user;                /* who it is; 0: who this process is */
    const char *account;       /* the only name in its /etc/passwd, the user's; NULL: the file is as
                                * it is */
};

/* Whether the kernel lets us; if not, why. Tried once, in a process of its own, then remembered. */
bool namespace_possible(char ret_why[static NAMESPACE_WHY_SIZE]);
/* Finds out what must be mounted. FH_INVALID: something that it needs is not there. */
enum fh_code namespace_plan(const struct namespace_options *options, struct mount_plan **ret,
                            struct fh_error *error);
/* In the child, before it is another user (struct spawn_room): only async-signal-safe calls.
 * NULL, or the step that failed, with errno. It ends in its own folder. */
const char *namespace_enter(const void *plan);
void namespace_free(struct mount_plan *plan);
/* Whether `path` is `folder` or in it, by their texts. */
bool namespace_is_below(const char *path, const char *folder);

#endif
