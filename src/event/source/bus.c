/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader has a consumer from the first fetch on, until something goes wrong, or the next question
 * is about another place than the last answer ended at. What its consumer has delivered and was not
 * asked for yet waits in `messages`.
 */

#include "event/source/bus.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/json.h"
#include "base/log.h"
#include "event/source/parts.h"
#include "work/work.h"
#include "world/world.h"

#define NS_A_MS INT64_C(1000000)

struct source_reader {
    struct event_source *source;
    const struct bus_subscriber *subscriber;
    unsigned partition;
    struct broker_consumer *consumer;
    struct ledger_cursor asked; /* the place that the next question has to be about */
    struct ledger_cursor place; /* what the next batch follows; another one only at the beginning */
    int64_t attached_ns;        /* when the consumer was opened */
    int64_t short_ns;           /* since when the topic ends before `place`; 0: it does not */
    bool fresh;                 /* no message was given since the consumer was opened */
    bool cancelled;
    bool compares;       /* the message before `place` has to come first, if it is there still */
    int64_t lost_before; /* messages from place.position up to here are gone; 0: none */
    int count, given;    /* of `messages` */
    struct broker_message messages[BROKER_TAKE_MAX];
};

static struct world *source_world(const struct source_reader *reader)
{
    return reader->source->manager->context->world;
}

static int64_t source_now_ns(const struct source_reader *reader)
{
    return world_monotonic_ns(source_world(reader));
}

static void detach_source(struct source_reader *reader)
{
    if (reader->consumer)
        reader->consumer->broker->driver->unconsume(reader->consumer);
    reader->consumer = NULL;
    reader->count = reader->given = 0;
    reader->compares = false;
    reader->lost_before = 0;
}

static enum bus_verdict source_failed(struct source_reader *reader, const char *message,
                                      char why[BUS_WHY_SIZE])
{
    snprintf(why, BUS_WHY_SIZE, "%s", message);
    snprintf(reader->source->why, sizeof reader->source->why, "%s", message);
    detach_source(reader);
    return BUS_UNREACHABLE;
}

/* ---- is it still the same topic? ---- */

static void name_incarnation(const struct event_source *source, const char *identity,
                             char ret[static ID_SIZE])
{
    char what[512];
    int length = snprintf(what, sizeof what, "%s\n%s\n%s", source->link->driver->name,
                          source->topic, identity);
    snprintf(ret, ID_SIZE, "%d-%016" PRIx64, source->generation,
             (uint64_t)XXH3_64bits(what, (size_t)length));
}

/* A cursor's generation; 0: it has none yet. */
static int generation_of(const char *incarnation)
{
    return *incarnation ? (int)strtol(incarnation, NULL, 10) : 0;
}

static enum bus_verdict source_refused(struct source_reader *reader, const char *what,
                                       char why[BUS_WHY_SIZE])
{
    const struct event_source *source = reader->source;
    int read = generation_of(reader->place.incarnation);
    snprintf(why, BUS_WHY_SIZE,
             "%s. To begin anew, as its `from` says, set sources.%.32s.generation to %d", what,
             source->name, (read > source->generation ? read : source->generation) + 1);
    snprintf(reader->source->why, sizeof reader->source->why, "%s.", what);
    detach_source(reader);
    return BUS_RESYNC;
}

/* Where reading begins without a cursor. */
static void begin_anew(struct source_reader *reader, const struct broker_extent *extent)
{
    reader->place.position = reader->source->from_end ? extent->end : extent->oldest;
    reader->place.event_id[0] = '\0';
    log_info("source-begins", "Partition %u of the source %s is read from offset %lld on.",
             reader->partition, reader->source->name, (long long)reader->place.position);
}

static void find_lost(struct source_reader *reader, const struct broker_extent *extent)
{
    struct event_source *source = reader->source;
    int64_t from = reader->place.position, *counted = &source->lost_until[reader->partition];
    if (extent->oldest <= from)
        return;
    reader->lost_before = extent->oldest;
    if (extent->oldest <= *counted)
        return;
    source->lost += (uint64_t)(extent->oldest - (from > *counted ? from : *counted));
    *counted = extent->oldest;
    log_error("messages-lost",
              "The messages %lld to %lld of partition %u of the source %s are lost: the broker had "
              "removed them before they were read.",
              (long long)from, (long long)(extent->oldest - 1), reader->partition, source->name);
}

/* The topic ends before what was read of it. */
static enum bus_verdict judge_short(struct source_reader *reader,
                                    const struct broker_extent *extent, char why[BUS_WHY_SIZE])
{
    char what[200];
    int64_t now_ns = source_now_ns(reader);
    bool stays = reader->short_ns && now_ns - reader->short_ns > SOURCE_SHORT_MS * NS_A_MS;
    snprintf(what, sizeof what,
             "Partition %u of the topic %.64s was read up to offset %lld, and ends at %lld%s",
             reader->partition, reader->source->topic, (long long)reader->place.position,
             (long long)extent->end, stays ? ": it was emptied, or made anew" : ".");
    if (stays)
        return source_refused(reader, what, why);
    if (!reader->short_ns)
        reader->short_ns = now_ns;
    return source_failed(reader, what, why);
}

/* Its place is known, and so is what the topic has. */
static enum bus_verdict judge_source(struct source_reader *reader,
                                     const struct broker_extent *extent, char why[BUS_WHY_SIZE])
{
    const struct event_source *source = reader->source;
    struct ledger_cursor *place = &reader->place;
    const char *title = source->link->driver->title;
    int generation = generation_of(place->incarnation);
    char incarnation[ID_SIZE], what[200];
    name_incarnation(source, extent->identity, incarnation);
    if (generation > source->generation) {
        snprintf(what, sizeof what, "Its generation %d has been read, and the system file says %d",
                 generation, source->generation);
        return source_refused(reader, what, why);
    }
    bool anew = generation < source->generation;
    if (!anew && strcmp(place->incarnation, incarnation) != 0) {
        snprintf(what, sizeof what, "The topic %.64s of %s is another one than was read",
                 source->topic, title);
        return source_refused(reader, what, why);
    }
    memcpy(place->incarnation, incarnation, sizeof place->incarnation);
    if (anew) {
        begin_anew(reader, extent);
        return BUS_BATCH;
    }
    if (place->position > extent->end)
        return judge_short(reader, extent, why);
    reader->short_ns = 0;
    find_lost(reader, extent);
    reader->compares = *place->event_id && place->position > extent->oldest;
    return BUS_BATCH;
}

/* What an answer would begin with: the last message that was read, to see that it is there. */
static int64_t attach_from(const struct source_reader *reader)
{
    const struct event_source *source = reader->source;
    const struct ledger_cursor *place = &reader->place;
    if (generation_of(place->incarnation) < source->generation)
        return source->from_end ? BROKER_FROM_END : BROKER_FROM_OLDEST;
    return *place->event_id && place->position > 0 ? place->position - 1 : place->position;
}

/* NULL: it is not connected. At first that takes a moment, which is no outage. */
static struct broker *source_broker(const struct source_reader *reader)
{
    struct broker_link *link = reader->source->link;
    struct broker *broker = broker_link_get(link);
    if (!broker && !*link->why)
        fiber_wait_until(&link->changed, source_world(reader),
                         world_in_ms(source_world(reader), BROKER_CONNECT_MS));
    return broker ? broker : broker_link_get(link);
}

static enum bus_verdict attach_source(struct source_reader *reader,
                                      const struct bus_question *question, char why[BUS_WHY_SIZE])
{
    const struct event_source *source = reader->source;
    struct broker *broker = source_broker(reader);
    struct broker_extent extent = {.end = -1};
    struct fh_error error = {0};
    reader->asked = reader->place = question->after;
    if (!broker) {
        snprintf(why, BUS_WHY_SIZE, "%s", broker_link_fault(source->link));
        return BUS_UNREACHABLE;
    }
    enum fh_code code = broker->driver->attach(
        broker, source->topic, reader->partition, attach_from(reader),
        world_in_ms(source_world(reader), SOURCE_ATTACH_MS), &extent, &reader->consumer, &error);
    if (code != FH_OK)
        reader->consumer = NULL;
    reader->fresh = true;
    reader->attached_ns = source_now_ns(reader);
    if (code != FH_OK && (code != FH_CONFLICT || extent.end < 0))
        return source_failed(reader, error.message, why);
    if (extent.partitions > source->partitions) {
        error_set(&error, FH_CONFLICT,
                  "The topic %.64s has %u partitions, and the system file says %u: nothing is read "
                  "until sources.%.32s.partitions is %u.",
                  source->topic, extent.partitions, source->partitions, source->name,
                  extent.partitions);
        return source_failed(reader, error.message, why);
    }
    enum bus_verdict verdict = judge_source(reader, &extent, why);
    if (verdict == BUS_BATCH && !reader->consumer) /* it ended earlier, and has grown since */
        return source_failed(reader, error.message, why);
    return verdict;
}

/* ---- messages ---- */

static bool take_from_source(struct source_reader *reader, int64_t until_ns, struct fh_error *error)
{
    reader->given = reader->count = 0;
    return reader->consumer->broker->driver->take(reader->consumer, reader->messages,
                                                  BROKER_TAKE_MAX, until_ns, &reader->count,
                                                  error) == FH_OK;
}

/* The first message is the last one that was read. If it comes no more, as where older messages of
 * a key are removed ("compaction"), nothing can be compared. */
static bool is_same_message(struct source_reader *reader)
{
    const struct broker_message *first = &reader->messages[reader->given];
    char id[ID_SIZE];
    reader->compares = false;
    if (first->offset != reader->place.position - 1)
        return true;
    source_id(first, id);
    return strcmp(id, reader->place.event_id) == 0;
}

static bool has_subscription_to(const struct bus_subscriber *subscriber, const char *type)
{
    for (int i = 0; i < subscriber->subscribed_count; i++) {
        if (strcmp(subscriber->subscribed[i]->type, type) == 0)
            return true;
    }
    return false;
}

/* Where it does not say itself. */
static const char *unread_type(const struct event_source *source,
                               const struct bus_subscriber *subscriber)
{
    if (source->mapping.type && source->mapping.type[0] != '/')
        return source->mapping.type;
    return subscriber->subscribed_count == 1 ? subscriber->subscribed[0]->type : "";
}

/* The next message is not the one behind the last, and nobody has looked yet at what is there. */
static bool may_lack_messages(const struct source_reader *reader, int64_t position)
{
    return reader->source->link->driver->skips && !reader->fresh &&
           reader->messages[reader->given].offset > position;
}

/* Maps what was taken, as far as it fits, and moves batch->next past it. */
static json_t *map_taken(struct source_reader *reader, struct batch *batch, int limit)
{
    struct event_source *source = reader->source;
    struct source_mapping mapping = source->mapping;
    size_t size = 0;
    json_t *envelopes = json_array();
    mapping.unread = unread_type(source, reader->subscriber);
    if (reader->lost_before) {
        json_array_append_new(envelopes, source_lost(source->name, reader->partition,
                                                     batch->next.position, reader->lost_before));
        batch->next.position = reader->lost_before;
        batch->next.event_id[0] = '\0';
    }
    for (; reader->given < reader->count && json_array_size(envelopes) < (size_t)limit &&
           size < SOURCE_BATCH_SIZE;
         reader->given++) {
        const struct broker_message *message = &reader->messages[reader->given];
        bool any = json_array_size(envelopes) > 0;
        if (message->offset < batch->next.position)
            continue;
        if (may_lack_messages(reader, batch->next.position))
            break;
        json_t *envelope = source_map(&mapping, message, &batch->arena, !any);
        if (!envelope)
            break;
        reader->fresh = false;
        batch->next.position = message->offset + 1;
        source_id(message, batch->next.event_id);
        size += message->length;
        source->taken++;
        source->unreadable += json_object_get(envelope, SOURCE_UNREADABLE) != NULL;
        if (json_object_get(envelope, SOURCE_UNREADABLE) ||
            has_subscription_to(reader->subscriber, json_string_at(envelope, "type")))
            json_array_append_new(envelopes, envelope);
    }
    return envelopes;
}

static enum bus_verdict give_batch(struct source_reader *reader, int limit, struct batch **ret,
                                   char why[BUS_WHY_SIZE])
{
    struct fh_error error = {0};
    struct batch *batch = batch_new(&error);
    if (!batch)
        return source_failed(reader, error.message, why);
    batch->next = reader->place;
    struct arena *before = json_arena_set(&batch->arena);
    json_t *envelopes = map_taken(reader, batch, limit);
    json_arena_set(before);
    batch->last = reader->consumer->end;
    if (batch->last < batch->next.position)
        batch->last = batch->next.position;
    enum fh_code code = batch_take(batch, envelopes, reader->place.position, limit, &error);
    if (code != FH_OK) {
        batch_free(batch);
        return source_failed(reader, error.message, why);
    }
    for (int i = 0; i < batch->count; i++)
        batch->events[i].unreadable = json_string_at(batch->events[i].said.tree, SOURCE_UNREADABLE);
    reader->lost_before = 0;
    reader->asked = reader->place = batch->next;
    *ret = batch;
    return BUS_BATCH;
}

static enum bus_verdict source_fetch(struct bus_reader *base, const struct bus_question *question,
                                     struct batch **ret, char why[BUS_WHY_SIZE]);

static enum bus_verdict await_source(struct source_reader *reader,
                                     const struct bus_question *question, struct batch **ret,
                                     char why[BUS_WHY_SIZE])
{
    struct fh_error error = {0};
    int64_t began_ns = source_now_ns(reader), now_ns = began_ns;
    int64_t wait_ms = reader->compares ? SOURCE_AGAIN_MS : question->wait_s * INT64_C(1000);
    while (!reader->source->manager->draining && !reader->cancelled) {
        int64_t left_ns = began_ns + wait_ms * NS_A_MS - now_ns;
        int64_t slice_ns = left_ns < SOURCE_TAKE_MS * NS_A_MS ? left_ns : SOURCE_TAKE_MS * NS_A_MS;
        if (reader->given == reader->count && !take_from_source(reader, now_ns + slice_ns, &error))
            return source_failed(reader, error.message, why);
        reader->source->why[0] = '\0';
        now_ns = source_now_ns(reader);
        bool came = reader->given < reader->count;
        if (came && reader->compares && !is_same_message(reader))
            return source_refused(reader,
                                  "The last message that was read is another one now: the topic "
                                  "was made anew",
                                  why);
        if (came && may_lack_messages(reader, reader->place.position)) {
            detach_source(reader);
            return source_fetch((struct bus_reader *)reader, question, ret, why);
        }
        if (came || reader->lost_before)
            return give_batch(reader, question->limit, ret, why);
        if (now_ns - began_ns < wait_ms * NS_A_MS)
            continue;
        if (reader->compares)
            return source_failed(reader, "The broker does not deliver messages.", why);
        return give_batch(reader, question->limit, ret, why);
    }
    snprintf(why, BUS_WHY_SIZE, "It is not read here any more.");
    return BUS_UNREACHABLE;
}

/* ---- the bus ---- */

static bool is_place(const struct ledger_cursor *a, const struct ledger_cursor *b)
{
    return a->position == b->position && strcmp(a->incarnation, b->incarnation) == 0 &&
           strcmp(a->event_id, b->event_id) == 0;
}

static enum bus_verdict source_fetch(struct bus_reader *base, const struct bus_question *question,
                                     struct batch **ret, char why[BUS_WHY_SIZE])
{
    struct source_reader *reader = (struct source_reader *)base;
    *ret = NULL;
    /* Whether there are more partitions is asked by one of them, now and then. */
    bool looks = reader->partition == 0 &&
                 source_now_ns(reader) - reader->attached_ns > SOURCE_LOOK_MS * NS_A_MS;
    if (!is_place(&reader->asked, &question->after) || looks)
        detach_source(reader);
    if (!reader->consumer) {
        enum bus_verdict verdict = attach_source(reader, question, why);
        if (verdict != BUS_BATCH)
            return verdict;
    }
    return await_source(reader, question, ret, why);
}

static struct bus_reader *source_open(const struct bus *bus,
                                      const struct bus_subscriber *subscriber)
{
    struct source_reader *reader = calloc(1, sizeof *reader);
    FH_ASSERT(reader != NULL);
    reader->source = (struct event_source *)(uintptr_t)bus;
    reader->subscriber = subscriber;
    reader->partition = (unsigned)strtoul(subscriber->partition, NULL, 10);
    return (struct bus_reader *)reader;
}

static void source_cancel(struct bus_reader *base)
{
    struct source_reader *reader = (struct source_reader *)base;
    reader->cancelled = true;
    if (reader->consumer)
        broker_cancel(reader->consumer);
}

static void source_close(struct bus_reader *base)
{
    struct source_reader *reader = (struct source_reader *)base;
    detach_source(reader);
    free(reader);
}

const struct bus source_bus_slots = {
    .open = source_open, .fetch = source_fetch, .cancel = source_cancel, .close = source_close};
