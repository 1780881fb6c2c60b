/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_VERIFY_DERIVES_H
#define SYSTEM_VERIFY_DERIVES_H

#include "system/file/file.h"
#include "system/provision/state.h"

/* Whether the private servers of derived stores let in their services, and nobody else: each is
 * asked as its service, as one with another password, and as nobody. Blocks. */
void verify_derives(struct system_file *file, const struct state *state, struct findings *findings);

#endif
