/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_SUPERVISE_H
#define SYSTEM_SUPERVISE_SUPERVISE_H

/*
 * Runs a provisioned system until told to stop: starts the services and, once all are ready, the
 * gateway; restarts what dies; stops the gateway first, then the services.
 */

#include "base/progress.h"
#include "system/provision/provision.h"

/* --detach gives up after a service has failed to start this many times. */
#define SUPERVISE_START_FAILURES_MAX 5

enum supervise_level { SUPERVISE_STEP, SUPERVISE_DONE, SUPERVISE_TROUBLE };

struct supervise_options {
    struct system_file *file;
    struct provision *provision;
    char **environment; /* of the processes */
    bool give_up;       /* a service that can't be started stops everything */
    /* `id`: as in the log (base/log.h). */
    void (*say)(void *context, enum supervise_level level, const char *id, const char *text);
    /* A starting service has something to do first, and has done `course->done` rows of it. */
    void (*works)(void *context, const char *service, const struct course *course);
    void (*ready)(void *context); /* once: all services and the gateway are ready */
    void *context;
};

/* The exit code: 0 stopped as requested, 1 it could not be started. */
int supervise_run(const struct supervise_options *options);

#endif
