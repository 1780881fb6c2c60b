/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_DERIVE_H
#define SERVICE_DERIVE_H

/* Filling derived stores from what the service lists (fh_derived.state). */

#include "service/runtime.h"

/* Fills all that are not filled, before the service applies or answers anything. On a fiber.
 * FH_UNAVAILABLE: this process was told to end first. */
enum fh_code derive_fill(struct runtime *runtime, struct fh_error *error);
/* The same, on a copy of the store; also lists what carriers would have to list (carriers.h). */
enum fh_code derive_try(struct runtime *runtime, struct fh_error *error);

#endif
