/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_SCALE_H
#define SYSTEM_SUPERVISE_SCALE_H

/*
 * How many instances a service has: the number in the system file, or the last one given to
 * `freehold scale`. The latter is kept in STATE/scale.json together with the file's number at that
 * time, and holds until the file has another number: a later edit of the file is taken as intended.
 */

#include "system/file/file.h"
#include "system/provision/state.h"

int scale_of(const struct state *state, const struct system_service *service);
enum fh_code scale_record(const struct state *state, const struct system_service *service,
                          int instances, struct fh_error *error);

#endif
