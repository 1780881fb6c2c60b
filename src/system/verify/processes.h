/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_VERIFY_PROCESSES_H
#define SYSTEM_VERIFY_PROCESSES_H

/* What the kernel shows of a running process's privileges: an error for each that it should not
 * have. `process` is its item in the status of `up`; `name` whose process it is. */

#include <jansson.h>

#include "system/file/findings.h"

void processes_check(const json_t *process, struct place place, const char *name,
                     struct findings *findings);

#endif
