/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_BACKUP_BACKUP_H
#define CLI_BACKUP_BACKUP_H

/*
 * What the backup of a running system (backup.c) and of a stopped one (backup_stopped.c) share: a
 * service's process makes the file in the service's folder, and from there it is taken into the
 * backup's.
 */

#include <jansson.h>

#include "base/progress.h"
#include "cli/cli.h"

struct taking {
    const json_t *system; /* system.json */
    const char *service;
    int folder_fd, service_fd; /* of the backup, and the service's own */
    bool quiet;
};

/* Opens the service's folder. An exit code, after saying what is wrong. */
int taking_begin(struct taking *taking, const struct state *state);
/* Whether the engine (in *ret_engine; may be NULL) can't show all of a store at one moment. */
bool taking_shows_no_moment(const struct taking *taking, const char **ret_engine);
/* How far it has come by SERVICE_BACKUP_STATUS, or NULL: nothing is known yet. */
void taking_tell(struct progress *progress, const json_t *status);
/* The file that the service's process has made, into the backup; `entries` gets what the manifest
 * says of it. `status` is what that process has said at last. An exit code. */
int taking_file(const struct taking *taking, const json_t *status, json_t *entries);

/* Of a system whose state folder nobody has locked: its programs are run for that alone. */
struct backup_stopped {
    const struct state *state;
    const json_t *system;
    const char *file, *programs; /* as the options say; NULL: what the last `up` had */
    char **words;                /* none: all services that the last `up` had */
    int folder_fd;
    bool quiet;
};
int backup_stopped(const struct backup_stopped *options, json_t *entries);

#endif
