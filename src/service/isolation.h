/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_ISOLATION_H
#define SERVICE_ISOLATION_H

/*
 * POST /_freehold/prove, for operators: the live process tries to open files that it must not
 * reach, and says what came of it. There is no way to see a process's confinement from outside.
 *
 *   {"paths": ["/..."]}
 *   {"service", "pid", "uid", "landlock": {"abi", "confined"},
 *    "tried": [{"path", "read": "EACCES" | "open", "write": ...}]}
 *
 * A folder is "written" by making a file in it that has no name. Nothing is read, written or left
 * behind. Each is tried by the thread that answers and by one of the pool's: Landlock confines
 * threads.
 */

#include "service/runtime.h"

#define VERIFY_PATHS_MAX 4096

void verify_answer(struct runtime *runtime, struct exchange *exchange);

#endif
