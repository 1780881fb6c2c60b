/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_OWN_H
#define SYSTEM_CHECK_OWN_H

/* What can be told without looking at what services expect of each other. */

#include "system/file/file.h"

/* Of a service that was described: its engine, migrations, settings, fetches, and events' keys. */
void own_check(const struct system_file *file, const struct system_service *service,
               struct findings *findings);
/* Finds everything that the gateway would refuse, by running its own code. */
void own_check_gateway(struct system_file *file, struct findings *findings);

#endif
