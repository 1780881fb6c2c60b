/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_SYSTEM_CALLS_H
#define SERVICE_SYSTEM_CALLS_H

/*
 * The system calls a process may still make: those that the runtime and what it stands on need, and
 * no others (seccomp, by libseccomp). A call that is not allowed fails with EPERM, and the log
 * names it, once for each call. docs/reference/system-calls.md lists them.
 */

#include <stdbool.h>

#include "base/error.h"

/* What only some processes need. */
struct calls_needed {
    bool names;        /* resolves names: UDP */
    bool unix_sockets; /* its store is reached by one */
    bool watches;      /* shares its store with other processes, and watches files with them */
};

enum calls_filtered {
    CALLS_UNFILTERED, /* this kernel has no seccomp */
    CALLS_UNNAMED,    /* refused calls fail, and the log does not name them: another machine */
    CALLS_FILTERED
};

/* For the thread that calls it, and those it starts later; can't be undone. Needs
 * PR_SET_NO_NEW_PRIVS. Takes the signal SIGSYS. */
enum fh_code calls_filter(const struct calls_needed *needed, enum calls_filtered *ret,
                          struct fh_error *error);

#endif
