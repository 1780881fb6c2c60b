/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_DEFINITIONS_H
#define SYSTEM_PROVISION_DEFINITIONS_H

/*
 * A saga ends on the definition that it began with (docs/guide/sagas.md, "Changing a definition").
 * So before a program is replaced, its running process is asked which of the definitions that the
 * new program no longer has are still needed.
 */

#include <jansson.h>

#include "system/provision/state.h"

#define DEFINITIONS_ASK_MS_MAX 5000

/* `before` and `after` are descriptions. `address` is where the service's processes are reached;
 * NULL: none is ready. FH_CONFLICT with a sentence: sagas still need a definition that would be
 * removed, or timers are set that would not be declared any more, or no process could be asked. If
 * none would be removed, no process is asked. */
enum fh_code definitions_check(const struct state *state, const char *service, const char *address,
                               const json_t *before, const json_t *after, struct fh_error *error);

#endif
