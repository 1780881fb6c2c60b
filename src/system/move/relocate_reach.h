/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_MOVE_RELOCATE_REACH_H
#define SYSTEM_MOVE_RELOCATE_REACH_H

#include "system/supervise/supervisor.h"

/* Asks whether the new home's server is there and lets the service in. Then calls `reached`, with
 * NULL or why not; at once if the store is on no server, and not at all if the system is stopped or
 * relocation_reach_end is called before. */
void relocation_reach(struct supervisor *supervisor,
                      void (*reached)(struct supervisor *supervisor, const struct fh_error *why));
void relocation_reach_end(struct relocation *relocation);

#endif
