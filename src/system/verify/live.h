/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_VERIFY_LIVE_H
#define SYSTEM_VERIFY_LIVE_H

/*
 * Whether a running system is what its file says: every service is there and ready, runs the
 * program now on disk, and its folder is closed to others.
 */

#include <jansson.h>

#include "system/file/file.h"
#include "system/provision/state.h"

/* `status` is the reply of `up`. */
void live_check(struct system_file *file, const struct state *state, const json_t *status,
                struct findings *findings, json_t *not_verified);

#endif
