/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_MOVE_RELOCATE_PARTS_H
#define SYSTEM_MOVE_RELOCATE_PARTS_H

/* For the files that relocate.h is made of. */

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
/* The service has the other home in the file, and its processes get the other store. */
void relocation_swap(struct supervisor *supervisor);
/* All is ready: its requests wait from here on. */
void relocation_leave(struct supervisor *supervisor);
/* It is not begun after all, and the service goes on; while that has the new home in the file. */
void relocation_cancel(struct supervisor *supervisor, const struct fh_error *why);
void relocation_go_back(struct supervisor *supervisor, const char *why);
void relocation_end(struct supervisor *supervisor);
/* Looks whether there is anybody where the store shall go, and leaves then, or cancels. */
void relocation_reach(struct supervisor *supervisor);
void relocation_reach_end(struct relocation *relocation);

#endif
