/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_SOURCE_MAP_H
#define EVENT_SOURCE_MAP_H

/*
 * From a message of a source to an event: its type, its key and its data. Nothing is known of who
 * wrote it.
 *
 *   a CloudEvent in structured mode   content-type application/cloudevents+json, or the source
 *                                     declares no type and the message has no attributes: type and
 *                                     data are members, the key is `partitionkey`, or `subject`
 *   a CloudEvent in binary mode       these are headers, and the message is the data
 *   nothing at all (a tombstone)      the event's type is `empty`, its data {"key"}
 *   any other                         the message is the data; type is declared, or a member's
 *                                     value; the key is that of the message
 *
 * Where `key` is declared it is a member of the data, whatever else the message has. A message
 * without any key has one of its own, "@PARTITION:OFFSET": nothing waits for it when it is parked.
 *
 * What can't be mapped is an event all the same, with the member SOURCE_UNREADABLE, which says why,
 * and the beginning of the message as its data: it is to be parked.
 */

#include <jansson.h>

#include "base/arena.h"
#include "base/id.h"
#include "broker/broker.h"
#include "event/subscribe/parked.h"

#define SOURCE_UNREADABLE PARKED_UNREADABLE
#define SOURCE_LOST_TYPE "MessagesLost"    /* of the event that stands for messages that are gone */
#define SOURCE_KEPT_MAX ((size_t)32 << 10) /* bytes of an unreadable message */
#define SOURCE_TYPE_LENGTH_MAX 255

struct source_mapping {
    const char *name;  /* the source's */
    const char *type;  /* "OrderPlaced"; "/kind": the member that says it; NULL: CloudEvents */
    const char *key;   /* "/order/id"; NULL: the message's */
    const char *empty; /* the type of a message without data; NULL: it is unreadable */
    /* The type of what is unreadable before its type was found; may be "". */
    const char *unread;
    const struct broker_driver *driver;
};

/* Of a message, as a cursor keeps it to know it again. */
void source_id(const struct broker_message *message, char ret[static ID_SIZE]);
/* Its envelope (event/envelope.h), on the arena that is set. NULL: there is no room in it, which is
 * as it was then; with `must` there is one all the same, of an unreadable event. */
json_t *source_map(const struct source_mapping *mapping, const struct broker_message *message,
                   struct arena *arena, bool must);
/* The envelope that stands for the messages from `first` up to `end`, which are gone. */
json_t *source_lost(const char *name, unsigned partition, int64_t first, int64_t end);

#endif
