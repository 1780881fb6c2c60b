/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_SCALE_H
#define SYSTEM_SUPERVISE_SCALE_H

/*
 * How many instances a service has: what the system file says, or what `freehold scale` said last.
 * That word is kept in STATE/scale.json beside the file's number of that time, and holds until the
 * file says another one: whoever edits the file afterwards means it.
 */

#include "system/file/file.h"
#include "system/provision/state.h"

int scale_of(const struct state *state, const struct system_service *service);
enum fh_code scale_record(const struct state *state, const struct system_service *service,
                          int instances, struct fh_error *error);

#endif
