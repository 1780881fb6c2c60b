/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_VERIFY_BROKERS_H
#define SYSTEM_VERIFY_BROKERS_H

/* Tries on private brokers, with the credentials that each live service has, what only others may
 * do: publish to a topic that is not its own, and change or read one that it does not subscribe to.
 * Each has to be refused; what is not is a finding. On an existing broker all services are one
 * user, as `check` says. */

#include "system/file/file.h"
#include "system/provision/state.h"

void verify_brokers(struct system_file *file, const struct state *state, struct findings *findings);

#endif
