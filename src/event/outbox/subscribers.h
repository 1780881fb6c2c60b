/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_OUTBOX_SUBSCRIBERS_H
#define EVENT_OUTBOX_SUBSCRIBERS_H

/*
 * What the readers of this service's outbox have reported: how far each has committed (`done`),
 * which is what trimming waits for. It is kept in memory, and stored by a fiber of its own at most
 * once a second, never while a request is answered. A crash loses the last second of it, which only
 * delays trimming: nothing is lost if a subscriber is believed to be further back than it is.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/manager.h"
#include "store/ledger.h"

#define SUBSCRIBERS_MAX 1024 /* names and partitions kept in memory */
#define SUBSCRIBERS_NAME_LENGTH_MAX 64
/* Names that no service has and no request may give: what Freehold keeps of its own. */
#define SUBSCRIBERS_OWN "freehold."
#define SUBSCRIBERS_RELAY SUBSCRIBERS_OWN "relay"
/* A store that is being filled beside the one that a service serves from (service/rebuild.h) reads
 * under the service's name with this behind it. It holds trimming back as the service does, but
 * only for so long after it was last heard of: nothing tells when it has been given up. */
#define SUBSCRIBERS_REBUILD LEDGER_ASIDE "rebuild"
#define SUBSCRIBERS_REBUILD_MS (10 * 60 * 1000)
/* What it has done is stored this often even if that is no news. */
#define SUBSCRIBERS_REBUILD_TOLD_MS (60 * 1000)
/* `done` is stored at most this often. */
#define SUBSCRIBERS_INTERVAL_MS 1000

/* How far a subscriber has committed (`done`) and read in this incarnation; stored soon. `name`
 * NULL: an anonymous reader, ignored. */
void subscribers_told(struct event_manager *manager, const char *name, const char *partition,
                      int64_t done, int64_t seen);
/* Whether it is NAME~rebuild; *ret_length: of the service's own name. */
bool subscribers_rebuilds(const char *name, size_t *ret_length);
/* Frees everything kept in memory. */
void subscribers_release(struct event_manager *manager);

#endif
