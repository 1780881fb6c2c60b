/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_UPGRADE_H
#define SYSTEM_SUPERVISE_UPGRADE_H

/* The upgrade under way: of one service, and of the other parts that it involves. */

#include "system/supervise/supervisor.h"

/* Begins the upgrade of a service, by its number; upgrade_settled or upgrade_failed reports its
 * end. `force`: even if sagas are waiting whose definitions the new program does not have. */
enum fh_code upgrade_begin(struct supervisor *supervisor, size_t service, bool force,
                           struct fh_error *error);
/* There are newer files than those that this service is being upgraded to: ends what is not ready
 * yet, unless it works on its store, and upgrades it to these when that has ended. May be repeated.
 * False: it is not being upgraded, or to just these. */
bool upgrade_supersede(struct supervisor *supervisor, size_t service, bool force);
/* Of the service that it is for, while there is one. */
const char *upgrade_name(const struct supervisor *supervisor);
/* A service's processes have reached the requested state, whether an upgrade or something else was
 * requested; or those of an upgrade do not get ready. */
void upgrade_settled(struct supervisor *supervisor, struct instances *instances);
void upgrade_failed(struct supervisor *supervisor, struct instances *instances);

#endif
