/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_ASKED_H
#define SYSTEM_SUPERVISE_ASKED_H

/* What operators ask of a running `up`, through control.sock: status, stop, scale, upgrade,
 * restore. */

#include "system/supervise/supervisor.h"

struct control_handler asked_handler(struct supervisor *supervisor);
/* Begins the upgrade of a service, by its number; its end is told by asked_settled or asked_failed.
 * `force`: whatever waits for definitions of sagas that the new program has not. */
enum fh_code asked_upgrade(struct supervisor *supervisor, size_t service, bool force,
                           struct fh_error *error);
/* A service's processes are what was asked for; or those of an upgrade do not get ready. */
void asked_settled(struct supervisor *supervisor, struct instances *instances);
void asked_failed(struct supervisor *supervisor, struct instances *instances);
void asked_not_restored(struct supervisor *supervisor, struct instances *instances);

#endif
