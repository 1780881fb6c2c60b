/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_USERS_H
#define SYSTEM_PROVISION_USERS_H

/*
 * As whom a system's processes run, and who owns their folders. Where root runs `up`, each process
 * is a user of its own, with no name and no home, numbered by numbers.h; elsewhere, and with
 * `isolation: landlock`, it is the user who runs `up`. So is each private server; where it can't be
 * shown an account of its own (namespace.h), or with `isolation: landlock`, it is its package's
 * user, if the package makes one.
 */

#include <sys/types.h>

#include "system/provision/provision.h"

/* Reads or draws the numbers, and finds out whether mount namespaces can be made
 * (provision->covered). FH_INVALID with a sentence that says what prevents users of their own. */
enum fh_code users_prepare(struct provision *provision, struct fh_error *error);
/* Where no namespaces can be made: lets other users pass through the state folder; FH_INVALID if a
 * folder on the way to it, or to this program, does not. `who` needs it: "isolation: users". */
enum fh_code users_let_pass(const struct provision *provision, const char *who,
                            struct fh_error *error);
/* The same for a system that is only opened: nothing is drawn or written. */
void users_look(struct provision *provision);
/* The user of a service or the gateway; 0: the one who runs `up`. */
uid_t users_of(const struct provision *provision, const char *name);
/* The user of a private server, by its name in the state folder; drawn, if it has none. Root's. */
enum fh_code users_of_server(struct provision *provision, const char *name, uid_t *ret,
                             struct fh_error *error);
/* Whose a part's folder is, or becomes by users_give; 0: the user who runs `up`, or it is not
 * root's to say. */
enum fh_code users_of_folder(int folder_fd, uid_t *ret_user, gid_t *ret_group,
                             struct fh_error *error);
/* Gives a part's folder and what is in it to a user, if the folder is somebody else's: exactly what
 * belonged to its owner. Whatever is made in it later belongs to its new owner (state_make_file).
 * User 0: takes back what a user of this kind had. No process may be using it. */
enum fh_code users_give(int folder_fd, uid_t user, gid_t group, struct fh_error *error);

#endif
