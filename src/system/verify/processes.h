/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_VERIFY_PROCESSES_H
#define SYSTEM_VERIFY_PROCESSES_H

/* What the kernel shows of a running process's privileges: an error for each that it should not
 * have. `process` is its item in the status of `up`; `name` whose process it is. */

#include <jansson.h>
#include <stdbool.h>

#include "system/file/findings.h"

/* What must be around a process. */
struct walls {
    bool users;      /* it is not root */
    bool namespaces; /* it is in a mount namespace of its own */
};

void processes_check(const json_t *process, struct place place, const char *name,
                     struct walls walls, struct findings *findings);

#endif
