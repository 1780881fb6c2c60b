/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_SOURCE_BUS_H
#define EVENT_SOURCE_BUS_H

/*
 * A source as a bus: a subscription's events are the messages of a topic that others publish to, on
 * a broker that is there already. Nobody else has them: no feed, and no snapshot. Each of the
 * topic's partitions is a partition of the subscription, "0", "1" and so on, read by itself.
 *
 * The cursor is the broker's offset, moved in the unit of work that applies the message, like any
 * other: its position is the offset of the next message. So each message takes effect once, however
 * often it is delivered, and however late.
 *
 *   incarnation   the source's generation, and a digest of what the topic is: "2-9f86d081884c7d65"
 *   event_id      a digest of the last message (source_id of map.h); "": none was read yet
 *
 * Whether the topic is still the one that was read is judged whenever a consumer is opened: after
 * anything that went wrong, and for the first partition every few minutes.
 *
 *   the cursor's generation is older than      it begins anew, as for the first time: an operator
 *   the system file's                          has said so
 *   another cluster, stream or topic           refused
 *   it ends before the cursor, for some time   refused: it was emptied, or made anew
 *   the last message that was read is there,   refused: likewise
 *   and is another one
 *   it begins behind the cursor                what is between is gone: an event of its own, that
 *                                              is parked, says what; reading goes on
 *   it has more partitions than are declared   nothing is read until the system file says so
 *
 * Refused is for good, until the process starts again: what is right can't be told from here.
 */

#include "broker/broker.h"
#include "event/bus.h"
#include "event/manager.h"

#define SOURCE_PARTITIONS_MAX 64
#define SOURCE_TOPIC_LENGTH_MAX 249
#define SOURCE_ATTACH_MS 5000
#define SOURCE_TAKE_MS 1000 /* one wait */
/* So long a topic has to end before what was read of it: a broker that has just begun may not know
 * its newest messages yet. */
#define SOURCE_SHORT_MS 5000
#define SOURCE_LOOK_MS INT64_C(300000)      /* between two looks at what the topic is */
#define SOURCE_AGAIN_MS 10000               /* for the last message that was read to come again */
#define SOURCE_BATCH_SIZE ((size_t)1 << 20) /* bytes of messages, with one beyond */

/* From now on the events of `name` are the messages of a source: `options` is a configuration's bus
 * with "source" (service/buses.h), and is borrowed. Before the manager's start. */
enum fh_code source_add(struct event_manager *manager, const char *name, const json_t *options,
                        struct fh_error *error);
void sources_free(struct event_manager *manager);

/* NULL: it is no source. */
const struct bus *source_bus(const struct event_manager *manager, const char *name);

/* [{"source", "bus", "topic", "connected", "taken", "unreadable", "lost", "reason"}]: messages
 * since this process began. New reference. */
json_t *sources_state(const struct event_manager *manager);

#endif
