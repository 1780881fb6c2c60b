/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_TRIAL_H
#define SYSTEM_SUPERVISE_TRIAL_H

/*
 * The trial of a new program: where a store has one process, that has to end before the next one
 * can begin. So while it serves, the new program is run as a task (service/trial.h): it copies the
 * store into FOLDER/trial, applies its migrations there, prepares all that a start prepares, and
 * ends. It has no sockets and asks nobody.
 */

#include "system/supervise/child.h"

#define TRIAL_FOLDER "trial" /* in the service's folder */

struct trial {
    struct provision_part part; /* the service's own, with another configuration */
    struct child child;
    struct start_terms terms;
    bool running;
    char why[256];             /* why it would not get ready; "": it would, or nobody knows */
    bool may_pass;             /* it could not be tried now: a full disk, somebody killed it */
    bool unknown;              /* its library is too old to know trials */
    char lines[2048];          /* the end of its log */
    struct world_timer report; /* its end is reported from the loop */
    void (*ended)(struct trial *trial); /* once for each that trial_begin has begun */
    void *context;
};

/* Of `program`, which stays open. `model`: world, loop, environment and lives of the process, works
 * and owner. FH_UNAVAILABLE: its disk has no room for the copy; FH_OK: it runs, and trial->ended
 * will be called. */
enum fh_code trial_begin(struct trial *trial, const struct provision_part *part,
                         const struct program_held *program, const struct child *model,
                         int start_ms_max, struct fh_error *error);
void trial_kill(struct trial *trial); /* if it is running; it ends, and is reported */
/* Removes what a trial has left in a service's folder. */
void trial_sweep(int folder_fd);

#endif
