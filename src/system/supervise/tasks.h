/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_TASKS_H
#define SYSTEM_SUPERVISE_TASKS_H

/*
 * What services' programs do to their stores while the system is stopped (service/task.h): the
 * private servers that they need are started, then the programs, side by side; each does what it is
 * told and ends; then the servers are stopped. The state folder's lock is held all the while, so no
 * `up` can begin.
 */

#include "system/provision/provision.h"
#include "system/supervise/supervise.h"

struct tasks_options {
    struct provision *provision; /* made by provision_system or tasks_open */
    char **environment;          /* of the processes */
    json_t *task;                /* as the configurations have it */
    const bool *chosen;          /* of provision->parts */
    void (*say)(void *context, enum supervise_level level, const char *text);
    /* Now and then while they work: to see how far they have come. NULL: nobody waits. */
    void (*look)(void *context);
    void *context;
};

/* What came of it: {"users": {what its result says}}, each of the chosen. A process that told
 * nothing has an "error" that says how it ended. FH_UNAVAILABLE: a server could not be started, or
 * it was stopped by a signal; then some did nothing. New reference in any case. */
enum fh_code tasks_run(const struct tasks_options *options, json_t **ret, struct fh_error *error);

/* The parts of `file` that the last `up` has made, as it left them: for tasks that change nothing,
 * so nothing is provided. The others have folder_fd -1. FH_NOT_FOUND: there is no state folder.
 * FH_CONFLICT: `up` runs (its pid in *ret_holder, 0 unknown). `options` as for provision_system. */
enum fh_code tasks_open(const struct provision_options *options, struct provision **ret,
                        pid_t *ret_holder, struct fh_error *error);

#endif
