/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_ISOLATION_H
#define SERVICE_ISOLATION_H

/*
 * POST /_freehold/prove, for operators: the live process tries to open files that it must not
 * reach, and reports the results. A process's confinement can't be seen from outside.
 *
 *   {"paths": ["/..."]}
 *   {"service", "pid", "uid", "landlock": {"abi", "confined"},
 *    "calls": "filtered" | "unnamed" | "unfiltered" (system_calls.h),
 *    "tried": [{"path", "read": "EACCES" | "open", "write": ...}]}
 *
 * A folder is "written" by creating an unnamed file in it. Nothing is read, written or left over.
 * Both the answering thread and one of the pool's try each path: Landlock confines threads.
 */

#include "service/runtime.h"

#define VERIFY_PATHS_MAX 4096

void verify_answer(struct runtime *runtime, struct exchange *exchange);

#endif
