/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_USERS_H
#define SYSTEM_PROVISION_USERS_H

/*
 * isolation: users — each process of a system runs as a user of its own, with no name and no home,
 * so that file modes keep the processes apart too. Only for an `up` run by root.
 */

#include <sys/types.h>

#include "system/file/file.h"
#include "system/provision/state.h"

#define USERS_FIRST 64000   /* of the first process; Debian assigns these to nobody */
#define USERS_SERVERS 64500 /* for private servers whose package creates no user */

/* Whether this is possible: FH_INVALID with a sentence that says what prevents it. Lets other users
 * pass through the state folder. */
enum fh_code users_prepare(const struct system_file *file, const struct state *state,
                           struct fh_error *error);
/* Lets other users pass through the state folder; FH_INVALID if a folder on the way to it, or to
 * this program, does not. `who` needs it: "isolation: users". */
enum fh_code users_let_pass(const struct state *state, const char *who, struct fh_error *error);
/* The user of the n-th process; 0: the one who runs `up`. */
uid_t users_of(const struct system_file *file, size_t part);
/* Gives a part's folder and the files in it to its user. */
enum fh_code users_give(int folder_fd, uid_t user, struct fh_error *error);

#endif
