/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_ASKED_H
#define SYSTEM_SUPERVISE_ASKED_H

/* What operators request of a running `up` through control.sock: status, stop, scale, upgrade,
 * restore. */

#include "system/supervise/supervisor.h"

struct control_handler asked_handler(struct supervisor *supervisor);
/* Begins the upgrade of a service, by its number; asked_settled or asked_failed reports its end.
 * `force`: even if sagas are waiting whose definitions the new program does not have. */
enum fh_code asked_upgrade(struct supervisor *supervisor, size_t service, bool force,
                           struct fh_error *error);
/* A service's processes have reached the requested state; or those of an upgrade (or a restore) do
 * not get ready. */
void asked_settled(struct supervisor *supervisor, struct instances *instances);
void asked_failed(struct supervisor *supervisor, struct instances *instances);
void asked_not_restored(struct supervisor *supervisor, struct instances *instances);

#endif
