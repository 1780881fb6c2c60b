/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_UPKEEP_H
#define SERVICE_UPKEEP_H

/*
 * What a store needs now and then, by one of the service's instances: outside clients' old command
 * records are forgotten, events that everybody has passed are trimmed, sagas that ended long ago
 * are forgotten. Each in bounded slices, between which works go on. And what each instance looks
 * after for itself: its clock, and whether a store that was in trouble serves again.
 */

#include "service/runtime.h"

#define UPKEEP_FEED_GRANT "GET /_freehold/feed"

/* Begins, when the service is ready; runtime->expiring as long as its fiber lives. It ends when the
 * runtime drains and runtime->expire_sleep is woken. */
void upkeep_start(struct runtime *runtime);

#endif
