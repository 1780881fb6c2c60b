/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_BACKUP_BACKUP_H
#define CLI_BACKUP_BACKUP_H

/*
 * Shared by the backup of a running system (backup.c) and of a stopped one (stopped.c): a service's
 * process writes the file in the service's folder, and from there it is moved into the backup.
 */

#include <jansson.h>

#include "base/progress.h"
#include "cli/cli.h"
#include "system/backup/seal.h"

struct taking {
    const json_t *system; /* system.json */
    const char *service;
    int folder_fd, service_fd; /* the backup's, and the service's own */
    const struct seal *seal;   /* NULL: the file is taken as it is */
    bool quiet;
};

/* Opens the service's folder. An exit code, after reporting any error. */
int taking_begin(struct taking *taking, const struct state *state);
/* Whether the engine (in *ret_engine; may be NULL) can't show all of a store as of one moment. */
bool taking_shows_no_moment(const struct taking *taking, const char **ret_engine);
/* Shows the progress in SERVICE_BACKUP_STATUS, or NULL if nothing is known yet. */
void taking_tell(struct progress *progress, const json_t *status);
/* Moves the file that the service's process has written into the backup, sealed if there is a seal,
 * and adds its manifest entry to `entries`. `status` is the last status of that process. An exit
 * code. */
int taking_file(const struct taking *taking, const json_t *status, json_t *entries);

/* For a system that is stopped: its programs are run only for the backup. */
struct backup_stopped {
    const struct state *state;
    const json_t *system;
    const char *file, *programs; /* from the options; NULL: as in the last `up` */
    char **words;                /* empty: all services of the last `up` */
    int folder_fd;
    const struct seal *seal;
    bool quiet;
};
int backup_stopped(const struct backup_stopped *options, json_t *entries);

#endif
