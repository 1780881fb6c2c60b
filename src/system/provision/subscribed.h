/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_SUBSCRIBED_H
#define SYSTEM_PROVISION_SUBSCRIBED_H

#include <jansson.h>

#include "system/file/file.h"

/* The schemas of the events a service subscribes to, by publisher and type: what an operator makes
 * of a parked event is checked against them. `heard_versions`: the same, by version besides. */
void subscribed_configure(struct system_file *file, const struct system_service *service,
                          json_t *config);

#endif
