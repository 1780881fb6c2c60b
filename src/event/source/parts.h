/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_SOURCE_PARTS_H
#define EVENT_SOURCE_PARTS_H

/* Within the folder: a source, as its readers (bus.c) and its manager (sources.c) know it. */

#include "event/broker_link.h"
#include "event/source/bus.h"
#include "event/source/map.h"

struct event_source {
    struct bus bus; /* the first: readers are opened by it */
    struct event_manager *manager;
    struct broker_link *link;
    const char *name, *topic;
    struct source_mapping mapping;
    unsigned partitions;
    int generation;
    bool from_end;          /* where there is no cursor yet */
    char why[BUS_WHY_SIZE]; /* nothing is read, though the broker is connected; or "" */
    uint64_t taken, unreadable, lost;
    int64_t *lost_until; /* of each partition: what was counted in `lost` */
    struct event_source *next;
};

extern const struct bus source_bus_slots;

#endif
