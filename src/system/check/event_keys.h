/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_EVENT_KEYS_H
#define SYSTEM_CHECK_EVENT_KEYS_H

#include "system/file/file.h"

/* Whether the events that a described service publishes have the keys that it declares. */
void event_keys_check(const struct system_service *service, struct findings *findings);

#endif
