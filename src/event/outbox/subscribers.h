/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_OUTBOX_SUBSCRIBERS_H
#define EVENT_OUTBOX_SUBSCRIBERS_H

/*
 * What the readers of this service's outbox have reported: how far each has committed (`done`),
 * which is what trimming waits for. It is kept in memory, and stored by a fiber of its own at most
 * once a second, never while a request is answered. A crash loses the last second of it, which only
 * delays trimming: nothing is lost if a subscriber is believed to be further back than it is.
 */

#include <stdint.h>

#include "event/manager.h"

#define SUBSCRIBERS_MAX 1024 /* names and partitions kept in memory */
#define SUBSCRIBERS_NAME_LENGTH_MAX 64
/* Names that no service has and no request may give: what Freehold keeps of its own. */
#define SUBSCRIBERS_OWN "freehold."
#define SUBSCRIBERS_RELAY SUBSCRIBERS_OWN "relay"
/* `done` is stored at most this often. */
#define SUBSCRIBERS_INTERVAL_MS 1000

/* How far a subscriber has committed (`done`) and read in this incarnation; stored soon. `name`
 * NULL: an anonymous reader, ignored. */
void subscribers_told(struct event_manager *manager, const char *name, const char *partition,
                      int64_t done, int64_t seen);
/* Frees everything kept in memory. */
void subscribers_release(struct event_manager *manager);

#endif
