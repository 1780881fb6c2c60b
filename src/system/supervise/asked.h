/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_ASKED_H
#define SYSTEM_SUPERVISE_ASKED_H

/* What operators request of a running `up` through control.sock: status, stop, scale, upgrade,
 * restore. */

#include "system/supervise/supervisor.h"

/* `stop` ends the system; it gets the supervisor. */
struct control_handler asked_handler(struct supervisor *supervisor, void (*stop)(void *supervisor));
/* A service's processes do not get ready after its restore. */
void asked_not_restored(struct supervisor *supervisor, struct instances *instances);

#endif
