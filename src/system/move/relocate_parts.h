/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_MOVE_RELOCATE_PARTS_H
#define SYSTEM_MOVE_RELOCATE_PARTS_H

/* Shared by the files that implement relocate.h. */

#include "system/supervise/supervisor.h"

static inline struct system_file *relocation_file(const struct supervisor *supervisor)
{
    return supervisor->options->file;
}

static inline struct system_service *relocation_service(const struct supervisor *supervisor)
{
    return &relocation_file(supervisor)->services[supervisor->relocation.service];
}

static inline struct instances *relocation_instances(struct supervisor *supervisor)
{
    return &supervisor->all[supervisor->relocation.service];
}

bool relocation_takes_many(const char *engine);
/* Gives the service its other home in the file, and its processes the other store. */
void relocation_swap(struct supervisor *supervisor);
/* All is ready: stops the service and moves it. Its requests wait from here on. */
void relocation_leave(struct supervisor *supervisor);
/* Calls the move off before it has begun, while the service has the new home in the file; the
 * service goes on. */
void relocation_cancel(struct supervisor *supervisor, const struct fh_error *why);
void relocation_go_back(struct supervisor *supervisor, const char *why);
void relocation_end(struct supervisor *supervisor);
/* Asks whether the store's new server is there and lets the service in; then leaves, or cancels. */
void relocation_reach(struct supervisor *supervisor);
void relocation_reach_end(struct relocation *relocation);

#endif
