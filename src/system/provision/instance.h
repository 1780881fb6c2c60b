/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_INSTANCE_H
#define SYSTEM_PROVISION_INSTANCE_H

/*
 * One process of a service: which files in the service's folder are its own. A service's first
 * process is instance 0, whose files have the plain names; the others' carry their number: log-1,
 * service-1.json.
 */

#include <sys/types.h>

#include "base/error.h"

#define INSTANCE_FILE_SIZE 40

/* ("service", 3, ".json") is "service-3.json". */
void instance_file(char ret[INSTANCE_FILE_SIZE], const char *stem, int instance, const char *end);

/* Of versions that kept no records of processes (supervise/life.h), but had each inherit a lock on
 * the file `pid` in its folder: the pid of the process that holds it; 0: none; -1: it can't be
 * found, since it is another user's. */
pid_t instance_survivor(int folder_fd, int instance);
/* Writes the configuration of an instance other than the first: a copy of the first one's
 * (STEM.json) with another number. */
enum fh_code instance_configure(int folder_fd, const char *stem, int instance,
                                struct fh_error *error);

#endif
