/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_SUPERVISE_H
#define SYSTEM_SUPERVISE_SUPERVISE_H

/*
 * Runs a provisioned system until it is told to stop: starts the services, then, when all are
 * ready, the gateway; starts again what dies; stops the gateway first and then the services.
 */

#include "base/progress.h"
#include "system/provision/provision.h"

/* --detach gives up when a service has failed to start so often. */
#define SUPERVISE_START_FAILURES_MAX 5

enum supervise_level { SUPERVISE_STEP, SUPERVISE_DONE, SUPERVISE_TROUBLE };

struct supervise_options {
    struct system_file *file;
    struct provision *provision;
    char **environment; /* of the processes */
    bool give_up;       /* a service that cannot be started ends everything */
    void (*say)(void *context, enum supervise_level level, const char *text);
    /* A service that starts has work to do first, and has come to `done` rows of `what`. */
    void (*works)(void *context, const char *service, const struct course *course);
    void (*ready)(void *context); /* once: all services and the gateway are ready */
    void *context;
};

/* The exit code: 0 stopped as asked, 1 it could not be started. */
int supervise_run(const struct supervise_options *options);

#endif
