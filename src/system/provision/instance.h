/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_INSTANCE_H
#define SYSTEM_PROVISION_INSTANCE_H

/*
 * One process of a service: which files of the service's folder are its own, and whether it lives.
 * STATE/NAME/pid is locked (flock) through a descriptor that the process inherits and nobody else
 * keeps: locked means alive, and the pid inside is right for as long as it is. So a later `up` can
 * tell, and end, what an earlier one left behind, without ever trusting a pid that may be another
 * process by now.
 *
 * A service's first process is instance 0, whose files have the plain names; those of the others
 * carry its number: pid-1, log-1, service-1.json.
 */

#include <sys/types.h>

#include "base/error.h"

#define INSTANCE_FILE_SIZE 40

/* ("service", 3, ".json") is "service-3.json". */
void instance_file(char ret[INSTANCE_FILE_SIZE], const char *stem, int instance, const char *end);

/* A fresh, locked description for a process about to be started. FH_CONFLICT: one lives. */
enum fh_code instance_lock(int folder_fd, int instance, int *ret_fd, struct fh_error *error);
/* After the start. The process keeps the lock; the caller closes `fd`. */
void instance_record(int fd, pid_t pid);
/* The pid of the process that lives; 0: none; -1: one whose pid was not written in time, and which
 * is not found by its lock either. */
pid_t instance_survivor(int folder_fd, int instance);
/* Writes the configuration of another instance than the first, whose own (STEM.json) it is but for
 * its number. `user` as in users_give. */
enum fh_code instance_configure(int folder_fd, const char *stem, int instance, uid_t user,
                                struct fh_error *error);

#endif
