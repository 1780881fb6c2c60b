/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_MOVE_RELOCATE_H
#define SYSTEM_MOVE_RELOCATE_H

/*
 * Moves a service's store to another engine while the system runs, once it has begun
 * (relocate_begin.h). The service itself does the moving (service/move.h); this decides who runs
 * when, and on which store.
 */

#include "system/supervise/supervisor.h"

/* All is ready: stops the service and moves it. Its requests wait from here on. */
void relocate_leave(struct supervisor *supervisor);
/* Calls the move off before it has begun, while the service has the new home in the file; the
 * service goes on. */
void relocate_cancel(struct supervisor *supervisor, const struct fh_error *why);
void relocate_go_back(struct supervisor *supervisor, const char *why);
/* Handles news of processes; true: they belong to the move. */
bool relocate_takes(struct supervisor *supervisor, struct instances *instances,
                    enum instances_news news);
/* Forgets the move, if there is one. */
void relocate_end(struct supervisor *supervisor);

#endif
