/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_CONFINE_H
#define SERVICE_CONFINE_H

/*
 * A process walls itself in with Landlock (https://docs.kernel.org/userspace-api/landlock.html):
 * from then on it reaches its own folder, what it must read, and no other file. It needs no root,
 * and nothing can take it back. Landlock confines a thread and those that it makes afterwards, so
 * this comes before any other thread.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"

/* What the running kernel's Landlock does not cover: see confine_gaps. */
struct confinement {
    int abi; /* Landlock's; 0: this kernel has none, or has it switched off */
    bool confined;
};

/* `folder` (NULL: none) may be read and written, `readable` (NULL: none) be read, and so may what
 * there is of `also` (ends with NULL; NULL: none). *ret->confined stays false, with FH_OK, where
 * the kernel has no Landlock. FH_CONFLICT: another thread lives already, which would be left
 * outside. */
enum fh_code confine(const char *folder, const char *readable, const char *const *also,
                     struct confinement *ret, struct fh_error *error);
/* `confine` as a configuration wants it ("confine": false lifts it), with what came of it in the
 * log. With a "store" on a server or an "outside", what it takes to reach them stays
 * readable. */
enum fh_code confine_by(const json_t *config, const char *folder, const char *readable,
                        struct confinement *ret, struct fh_error *error);
/* What Landlock of that ABI leaves open, half sentences that end with NULL. */
const char *const *confine_gaps(int abi);

#endif
