/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_CONFINE_H
#define SERVICE_CONFINE_H

/*
 * A process confines itself with Landlock (https://docs.kernel.org/userspace-api/landlock.html):
 * from then on it reaches its own folder, what it must read, and no other file. This needs no root,
 * and can't be undone. Landlock confines a thread and those that it starts later, so this must come
 * before any other thread starts.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"

/* What this kernel's Landlock covers; for what it does not, see confine_gaps. */
struct confinement {
    int abi; /* Landlock's; 0: the kernel has none, or has it switched off */
    bool confined;
};

/* `folder` (NULL: none) may be read and written, `readable` (NULL: none) read, and so may the paths
 * in `also` that exist (it ends with NULL; NULL: none). *ret->confined stays false, with FH_OK, if
 * the kernel has no Landlock. FH_CONFLICT: another thread is running, which would not be
 * confined. */
enum fh_code confine(const char *folder, const char *readable, const char *const *also,
                     struct confinement *ret, struct fh_error *error);
/* `confine` as the configuration says ("confine": false turns it off), logging the result. With a
 * "store" on a server or an "outside", what it takes to connect stays readable. */
enum fh_code confine_by(const json_t *config, const char *folder, const char *readable,
                        struct confinement *ret, struct fh_error *error);
/* What Landlock of that ABI leaves open: half-sentences, ending with NULL. */
const char *const *confine_gaps(int abi);

#endif
