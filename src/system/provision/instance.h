/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_INSTANCE_H
#define SYSTEM_PROVISION_INSTANCE_H

/*
 * One process of a service: which files in the service's folder are its own, and whether it is
 * alive. STATE/NAME/pid is locked (flock) through a descriptor that the process inherits and nobody
 * else keeps: locked means alive, and the pid inside is that of the process unless the process has
 * changed it. So a later `up` can detect and end processes left by an earlier one, without ever
 * trusting a pid that may belong to another process.
 *
 * A service's first process is instance 0, whose files have the plain names; the others' carry
 * their number: pid-1, log-1, service-1.json.
 */

#include <sys/types.h>

#include "base/error.h"

#define INSTANCE_FILE_SIZE 40

/* ("service", 3, ".json") is "service-3.json". */
void instance_file(char ret[INSTANCE_FILE_SIZE], const char *stem, int instance, const char *end);

/* Opens and locks the pid file, for a process about to be started. FH_CONFLICT: one is alive. */
enum fh_code instance_lock(int folder_fd, int instance, int *ret_fd, struct fh_error *error);
/* Call it after the start. The process keeps the lock; the caller closes `fd`. */
void instance_record(int fd, pid_t pid);
/* The pid of the live process, which holds the lock, whatever the file says; 0: none; -1: it can't
 * be found, since it is another user's. */
pid_t instance_survivor(int folder_fd, int instance);
/* Writes the configuration of an instance other than the first: a copy of the first one's
 * (STEM.json) with another number. `user` as in users_give. */
enum fh_code instance_configure(int folder_fd, const char *stem, int instance, uid_t user,
                                struct fh_error *error);

#endif
