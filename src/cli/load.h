/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_LOAD_H
#define CLI_LOAD_H

/* What `check` and `up` both begin with: the file, its programs, and whether they fit together. */

#include "system/provision/provision.h"

struct load_options {
    const char *path, *profile; /* profile: may be NULL, as all that follows */
    const char *programs;       /* where else programs may be */
    const char *state;          /* the state folder; NULL: the usual one */
    /* Services that shall be where the file says, ended by NULL, whatever `freehold move` has done;
     * with `abandon` even those whose move is under way. */
    const char *const *leave;
    bool abandon;
};

/* The system as its file says, and where moves have gone beyond that (system/move/moved.h). NULL when
 * there was an error; everything found is in `findings`. */
struct system_file *load_system(const struct load_options *options, struct findings *findings);
/* The environment without what the file takes from it: those values are for the services that name
 * them. On the file's arena. */
char **load_environment(struct system_file *file);
/* Stores are no source code: keeps .freehold beside a system file out of git by itself. For state
 * folders that nobody has named. */
void load_hide(const struct provision *provision);

/* Says that the file has no such service, and which has a name near to it: CLI_USAGE. */
int load_no_service(const struct system_file *file, const char *name);

#endif
