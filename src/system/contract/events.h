/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CONTRACT_EVENTS_H
#define SYSTEM_CONTRACT_EVENTS_H

/* What changed of a service's event types: for changes.c. */

#include "system/contract/change.h"

/* `type` NULL: all. */
void events_compare(struct changes *changes, const json_t *old, const json_t *now,
                    const char *type);

#endif
