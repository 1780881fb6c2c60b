/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_TASKS_H
#define SYSTEM_SUPERVISE_TASKS_H

/*
 * What services' programs do to their stores while the system is stopped (service/task.h): the
 * private servers they need are started, then the programs, side by side; each does its task and
 * ends; then the servers are stopped. The state folder's lock is held throughout, so no `up` can
 * begin.
 */

#include "system/provision/provision.h"
#include "system/supervise/supervise.h"

struct tasks_options {
    struct provision *provision; /* made by provision_system or tasks_open */
    char **environment;          /* of the processes */
    json_t *task;                /* as it goes into the configurations */
    const bool *chosen;          /* of provision->parts */
    void (*say)(void *context, enum supervise_level level, const char *text);
    /* Called now and then while they work, to see how far they have come. May be NULL. */
    void (*look)(void *context);
    void *context;
};

/* The results: {"users": {its result}}, for each chosen part. For a process that left no result,
 * "error" says how it ended. FH_UNAVAILABLE: a server could not be started, or a signal stopped it;
 * then some did nothing. New reference in any case. */
enum fh_code tasks_run(const struct tasks_options *options, json_t **ret, struct fh_error *error);

/* Opens the parts of `file` as the last `up` left them: for tasks that change nothing, so nothing
 * is provisioned. Parts that no `up` has made yet have folder_fd -1. FH_NOT_FOUND: there is no
 * state folder. FH_CONFLICT: `up` is running (its pid in *ret_holder, 0 if unknown). `options` as
 * for provision_system. */
enum fh_code tasks_open(const struct provision_options *options, struct provision **ret,
                        pid_t *ret_holder, struct fh_error *error);

#endif
