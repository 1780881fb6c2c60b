/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_UPKEEP_H
#define SERVICE_UPKEEP_H

/*
 * What a store needs now and then, done by one of the service's instances: forgetting outside
 * clients' old command records, trimming events that every subscriber has passed, forgetting sagas
 * that ended long ago. Each in bounded slices, between which other units of work run. And what each
 * instance checks for itself: its clock, and whether a store that was in trouble serves again.
 */

#include "service/runtime.h"

#define UPKEEP_FEED_GRANT "GET /_freehold/feed"

/* Begins when the service is ready; runtime->expiring is true while its fiber runs. It ends when
 * the runtime drains and runtime->expire_sleep is woken. */
void upkeep_start(struct runtime *runtime);

#endif
