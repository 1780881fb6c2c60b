/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_INSTANCE_H
#define SYSTEM_INSTANCE_H

/*
 * Whether a process of a service lives. STATE/NAME/pid is locked (flock) through a descriptor that
 * the process inherits and nobody else keeps: locked means alive, and the pid inside is right for
 * as long as it is. So a later `up` can tell, and end, what an earlier one left behind, without
 * ever trusting a pid that may be another process by now.
 */

#include <sys/types.h>

#include "base/error.h"

/* A fresh, locked description for a process about to be started. FH_CONFLICT: one lives. */
enum fh_code instance_lock(int folder_fd, int *ret_fd, struct fh_error *error);
/* After the start. The process keeps the lock; the caller closes `fd`. */
void instance_record(int fd, pid_t pid);
/* The pid of the process that lives; 0: none; -1: one whose pid was not written in time. */
pid_t instance_survivor(int folder_fd);

#endif
