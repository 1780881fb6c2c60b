/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_MOVE_RELOCATE_BEGIN_H
#define SYSTEM_MOVE_RELOCATE_BEGIN_H

#include "system/supervise/supervisor.h"

/* Begins what a `move` request asks for, or abandons a move; the clients that asked are told the
 * end. */
enum fh_code relocate_asked(struct supervisor *supervisor, size_t service, const json_t *request,
                            struct fh_error *error);
/* Once the system is up: moves that an earlier `up` had begun are complete. */
void relocate_came_up(struct supervisor *supervisor);

#endif
