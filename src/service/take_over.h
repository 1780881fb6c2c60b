/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_TAKE_OVER_H
#define SERVICE_TAKE_OVER_H

/* A boundary that moves between two services (docs/guide/boundaries.md): both sides of it. */

#include "service/runtime.h"

#define TAKE_OVER_PATH "/_freehold/commands"

/* GET TAKE_OVER_PATH?step=S[&caller=&key=]: what this store has recorded of the commands of that
 * step, page by page, and what is closed of whom. Who takes them over is granted this route. */
void take_over_answer(struct runtime *runtime, struct exchange *exchange);

/* Takes over what the service declares, once; before it hears or answers anything. On a fiber; asks
 * the other side until it is there. FH_UNAVAILABLE: it was told to end meanwhile. */
enum fh_code take_over(struct runtime *runtime, struct fh_error *error);

#endif
