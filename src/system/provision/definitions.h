/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_DEFINITIONS_H
#define SYSTEM_PROVISION_DEFINITIONS_H

/*
 * Sagas end on the definition that they began with (docs/guide/sagas.md, "Changing a definition"). So
 * before a program is replaced, its running process is asked which of the definitions that the new
 * one has no more are still needed.
 */

#include <jansson.h>

#include "system/provision/state.h"

#define DEFINITIONS_ASK_MS_MAX 5000

/* `before` and `after` are descriptions. `address` is where the service's processes are reached;
 * NULL: none is ready. FH_CONFLICT with a sentence: sagas wait for what would be taken away, or
 * nobody could be asked. Nobody is asked where nothing is taken away. */
enum fh_code definitions_check(const struct state *state, const char *service, const char *address,
                               const json_t *before, const json_t *after, struct fh_error *error);

#endif
