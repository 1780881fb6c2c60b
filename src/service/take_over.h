/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_TAKE_OVER_H
#define SERVICE_TAKE_OVER_H

/* Both sides of a boundary that moves between two services (docs/guide/boundaries.md). */

#include "service/runtime.h"

#define TAKE_OVER_PATH "/_freehold/commands"

/* GET TAKE_OVER_PATH?step=S[&caller=&key=]: what this store has recorded of that step's commands,
 * page by page, and what is closed for which callers. The service that takes them over is granted
 * it. */
void take_over_answer(struct runtime *runtime, struct exchange *exchange);

/* Takes over what the service declares, once, before it applies or answers anything. On a fiber;
 * asks the other side until it answers. FH_UNAVAILABLE: this process was told to end first. */
enum fh_code take_over(struct runtime *runtime, struct fh_error *error);

#endif
