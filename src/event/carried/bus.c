/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fetch takes messages onto the shelf (message.h) until the first one there is next, or until
 * there is a reason to ask the feed. The reader remembers between fetches where it stands: if the
 * next question is about another place, only that one is known to be the last of its partition's.
 */

#include "event/carried/bus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "event/broker_link.h"
#include "event/carried/message.h"
#include "event/feed/bus.h"
#include "event/feed/query.h"
#include "event/relay/relay.h"
#include "event/source/bus.h"
#include "work/work.h"
#include "world/world.h"

#define MARKS_MAX 4096 /* taken and not acknowledged */
#define NS_A_MS INT64_C(1000000)

struct carrier {
    struct bus bus; /* the first: readers are opened by it */
    struct event_manager *manager;
    struct broker_link *link;
    const char *source;
    char topic_name[BROKER_TOPIC_LENGTH_MAX + 1];
    struct broker_topic topic;
    char why[BUS_WHY_SIZE]; /* the broker does not answer, though it is connected; or "" */
    uint64_t carried, fed;  /* events that came by the broker, and from the feed */
    struct carrier *next;
};

/* A message that was taken, until it need not come again. */
struct taken {
    uint64_t mark;
    int64_t position; /* 0: nobody needs it */
};

struct carried_reader {
    struct carrier *carrier;
    struct bus_reader *feed; /* of the feed's bus */
    struct broker_consumer *consumer;
    struct shelf shelf;
    struct carried_place place;
    struct taken *marks; /* a ring */
    int first_mark, mark_count;
    int failures; /* of the broker, in a row */
    int missed;   /* answers of the feed in a row with what did not come */
    int64_t retry_ns, asked_ns, quiet_ns, hole_ns, foreign_ns; /* 0: never, or none */
    int64_t silence_ms, told, last;
    int64_t stuck_at; /* the shelf's first message when the feed had no more */
    int64_t lags_at;  /* when that was too often: the bus has caught up once it has brought this */
    bool foreign, cancelled;
    struct broker_message messages[BROKER_TAKE_MAX];
};

static struct world *reader_world(const struct carried_reader *reader)
{
    return reader->carrier->manager->context->world;
}

static int64_t now_of(const struct carried_reader *reader)
{
    return world_monotonic_ns(reader_world(reader));
}

static int64_t earlier_ns(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- the feed ---- */

static void move_place(struct carried_reader *reader, const struct ledger_cursor *to)
{
    if (strcmp(reader->place.at.incarnation, to->incarnation) != 0) {
        shelf_pass(&reader->shelf, INT64_MAX);
        for (int i = 0; i < reader->mark_count; i++)
            reader->marks[(reader->first_mark + i) % MARKS_MAX].position = 0;
    }
    reader->place.at = *to;
    shelf_pass(&reader->shelf, to->position);
}

/* An event of the answer is the partition's last one only if no other type came after it; but then
 * what follows names that one, and is asked for. */
static void follow_feed(struct carried_reader *reader, const struct batch *batch)
{
    if (batch->own.position > 0) {
        reader->place.own = batch->own;
    } else if (batch->count > 0) {
        const struct batch_event *event = &batch->events[batch->count - 1];
        reader->place.own.position = event->position;
        snprintf(reader->place.own.id, ID_SIZE, "%s", event->id);
    }
    move_place(reader, &batch->next);
    reader->missed = batch->count > 0 ? reader->missed + 1 : 0;
    if (reader->missed == CARRIED_MISSED_MAX)
        reader->lags_at = reader->place.own.position;
    reader->last = batch->last;
}

/* The feed has no more. What still lacks something then may be newer than its answer; but once that
 * is so again it is of no past that the publisher has, or is made up. */
static void drop_stuck(struct carried_reader *reader)
{
    struct shelf *shelf = &reader->shelf;
    int64_t first =
        shelf_look(shelf, &reader->place) == SHELF_HOLE ? shelf->messages[0].place.position : 0;
    if (first > 0 && first == reader->stuck_at)
        shelf_drop(shelf);
    reader->stuck_at = first;
}

static enum bus_verdict ask_feed(struct carried_reader *reader, const struct bus_question *asked,
                                 int wait_s, struct batch **ret, char why[BUS_WHY_SIZE])
{
    struct bus_question question = *asked;
    question.wait_s = wait_s;
    if (wait_s < asked->wait_s) /* messages go on meanwhile: a lost question holds them up */
        question.deadline_ns = earlier_ns(asked->deadline_ns,
                                          world_in_ms(reader_world(reader), CARRIED_ANSWER_MS_MAX));
    enum bus_verdict verdict = feed_bus.fetch(reader->feed, &question, ret, why);
    reader->asked_ns = reader->quiet_ns = now_of(reader);
    reader->foreign = false;
    reader->hole_ns = 0;
    if (verdict == BUS_BATCH) {
        reader->carrier->fed += (uint64_t)(*ret)->count;
        reader->carrier->manager->counters.fed += (uint64_t)(*ret)->count;
        follow_feed(reader, *ret);
        if ((*ret)->next.position >= (*ret)->last)
            drop_stuck(reader);
        reader->told = question.done;
    }
    return verdict;
}

/* Nothing came. What the feed then has may be lost at the broker. */
static enum bus_verdict ask_in_silence(struct carried_reader *reader,
                                       const struct bus_question *question, struct batch **ret,
                                       char why[BUS_WHY_SIZE])
{
    enum bus_verdict verdict = ask_feed(reader, question, 0, ret, why);
    bool quiet = verdict == BUS_BATCH && (*ret)->count == 0;
    reader->silence_ms = quiet ? reader->silence_ms * 2 : CARRIED_SILENCE_MS_MIN;
    if (reader->silence_ms > CARRIED_SILENCE_MS_MAX)
        reader->silence_ms = CARRIED_SILENCE_MS_MAX;
    return verdict;
}

/* ---- the broker ---- */

static void broker_failed(struct carried_reader *reader, const char *why)
{
    struct carrier *carrier = reader->carrier;
    if (!*carrier->why)
        log_warning("bus-delayed", "Events of %s come from its feed, not by the bus: %s",
                    carrier->source, why);
    snprintf(carrier->why, sizeof carrier->why, "%s", why);
    reader->retry_ns =
        broker_pause_until_ns(reader_world(reader), 5 + ++reader->failures, CARRIED_RETRY_MS_MAX);
}

static void broker_answered(struct carried_reader *reader)
{
    struct carrier *carrier = reader->carrier;
    if (*carrier->why)
        log_info("bus-resumed", "Events of %s come by the bus again.", carrier->source);
    carrier->why[0] = '\0';
    reader->failures = 0;
}

static void close_consumer(struct carried_reader *reader)
{
    if (reader->consumer)
        reader->consumer->broker->driver->unconsume(reader->consumer);
    reader->consumer = NULL;
    reader->mark_count = 0;
}

void carried_consumer_name(const char *service, unsigned index, unsigned of,
                           char ret[static BROKER_NAME_LENGTH_MAX + 1])
{
    snprintf(ret, BROKER_NAME_LENGTH_MAX + 1, "%.64s-%u-%u", service, index, of);
}

static bool open_consumer(struct carried_reader *reader, struct broker *broker)
{
    const struct bus_subscriber *subscriber = reader->shelf.subscriber;
    char name[BROKER_NAME_LENGTH_MAX + 1];
    struct fh_error error = {0};
    carried_consumer_name(subscriber->context->service->name, reader->shelf.index, reader->shelf.of,
                          name);
    enum fh_code code = broker->driver->consume(
        broker, &reader->carrier->topic, name, reader->shelf.index, reader->shelf.of,
        world_in_ms(reader_world(reader), CARRIED_CONSUME_MS), &reader->consumer, &error);
    if (code == FH_OK)
        return true;
    reader->consumer = NULL;
    broker_failed(reader, error.message);
    return false;
}

/* Whether messages can be waited for now. */
static bool has_consumer(struct carried_reader *reader)
{
    struct broker *broker = broker_link_get(reader->carrier->link);
    if (!broker || now_of(reader) < reader->retry_ns)
        return false;
    return reader->consumer || open_consumer(reader, broker);
}

static void keep_mark(struct carried_reader *reader, uint64_t mark, int64_t position)
{
    if (reader->mark_count == MARKS_MAX) { /* it is forgotten: it may come again */
        reader->first_mark = (reader->first_mark + 1) % MARKS_MAX;
        reader->mark_count--;
    }
    reader->marks[(reader->first_mark + reader->mark_count++) % MARKS_MAX] =
        (struct taken){mark, position};
}

static void acknowledge_done(struct carried_reader *reader, int64_t done)
{
    uint64_t mark = 0;
    while (reader->mark_count > 0 && reader->marks[reader->first_mark].position <= done) {
        mark = reader->marks[reader->first_mark].mark;
        reader->first_mark = (reader->first_mark + 1) % MARKS_MAX;
        reader->mark_count--;
    }
    if (mark && reader->consumer)
        reader->consumer->broker->driver->acknowledge(reader->consumer, mark);
}

static void take_message(struct carried_reader *reader, const struct broker_message *message)
{
    int64_t position = 0;
    switch (shelf_put(&reader->shelf, &reader->place, message, &position)) {
    case CARRIED_KEPT:
        break;
    case CARRIED_KNOWN:
        if (position >= reader->lags_at)
            reader->missed = 0;
        break;
    case CARRIED_FOREIGN:
        reader->foreign = true;
        position = 0;
        break;
    case CARRIED_DROPPED:
        position = 0;
        break;
    }
    keep_mark(reader, message->mark, position);
}

/* Takes what comes by then, and no more than fits into an answer with what is there: what is left
 * of it would be a small batch of its own. False: the broker does not answer. */
static bool take_messages(struct carried_reader *reader, int limit, int64_t until_ns)
{
    struct broker *broker = reader->consumer->broker;
    struct fh_error error = {0};
    int count = 0;
    int room = limit - reader->shelf.count;
    int most = room <= 0 || room > BROKER_TAKE_MAX ? BROKER_TAKE_MAX : room;
    if (broker->driver->take(reader->consumer, reader->messages, most, until_ns, &count, &error) !=
        FH_OK) {
        close_consumer(reader); /* the server may know it no more */
        broker_failed(reader, error.message);
        return false;
    }
    broker_answered(reader);
    for (int i = 0; i < count; i++)
        take_message(reader, &reader->messages[i]);
    return true;
}

/* ---- a fetch ---- */

static void settle_place(struct carried_reader *reader, const struct ledger_cursor *after)
{
    struct carried_place *place = &reader->place;
    if (strcmp(place->at.incarnation, after->incarnation) == 0 &&
        place->at.position == after->position && strcmp(place->at.event_id, after->event_id) == 0)
        return;
    move_place(reader, after);
    shelf_pass(&reader->shelf, INT64_MAX); /* events that were delivered come again */
    place->own.position = after->position;
    memcpy(place->own.id, after->event_id, ID_SIZE);
    reader->missed = 0;
}

enum next_step { STEP_WAIT, STEP_DELIVER, STEP_ASK, STEP_ASK_IN_SILENCE };

/* What to do now; *ret_until_ns: how long messages may be waited for. */
static enum next_step step_of(struct carried_reader *reader, int64_t *ret_until_ns)
{
    int64_t now_ns = now_of(reader);
    int64_t silent_ns = reader->quiet_ns + reader->silence_ms * NS_A_MS;
    bool mixed = reader->carrier->topic.partitions > reader->shelf.of;
    *ret_until_ns = earlier_ns(silent_ns, now_ns + CARRIED_TAKE_MS * NS_A_MS);
    switch (shelf_look(&reader->shelf, &reader->place)) {
    case SHELF_READY:
        return STEP_DELIVER;
    case SHELF_REFERS:
        return STEP_ASK;
    case SHELF_HOLE:
        if (!reader->hole_ns)
            reader->hole_ns = now_ns + (mixed ? CARRIED_REORDER_MS * NS_A_MS : 0);
        if (now_ns >= reader->hole_ns)
            return STEP_ASK;
        *ret_until_ns = earlier_ns(*ret_until_ns, reader->hole_ns);
        break;
    case SHELF_EMPTY:
        reader->hole_ns = 0;
        break;
    }
    int64_t foreign_ns = reader->foreign ? reader->foreign_ns : INT64_MAX;
    if (now_ns >= foreign_ns) {
        reader->foreign_ns = now_ns + CARRIED_FOREIGN_MS * NS_A_MS;
        return STEP_ASK;
    }
    *ret_until_ns = earlier_ns(*ret_until_ns, foreign_ns);
    return now_ns >= silent_ns ? STEP_ASK_IN_SILENCE : STEP_WAIT;
}

static struct batch *deliver_shelf(struct carried_reader *reader,
                                   const struct bus_question *question)
{
    struct batch *batch = shelf_take(&reader->shelf, &reader->place, question->limit);
    if (!batch)
        return NULL;
    reader->last = batch->last = batch->last > reader->last ? batch->last : reader->last;
    if (batch->last < batch->next.position)
        reader->last = batch->last = batch->next.position;
    reader->quiet_ns = now_of(reader);
    reader->silence_ms = CARRIED_SILENCE_MS_MIN;
    reader->hole_ns = 0;
    reader->missed = 0;
    reader->carrier->carried += (uint64_t)batch->count;
    reader->carrier->manager->counters.carried += (uint64_t)batch->count;
    return batch;
}

/* Nothing but a question tells the publisher what is committed. That it can't be reached holds up
 * no message. False: the answer is the fetch's. */
static bool has_told(struct carried_reader *reader, const struct bus_question *question,
                     struct batch **ret, char why[BUS_WHY_SIZE], enum bus_verdict *ret_verdict)
{
    if (question->done <= reader->told ||
        now_of(reader) - reader->asked_ns < CARRIED_TELL_MS * NS_A_MS)
        return true;
    *ret_verdict = ask_feed(reader, question, 0, ret, why);
    return *ret_verdict == BUS_UNREACHABLE;
}

static enum bus_verdict await_messages(struct carried_reader *reader,
                                       const struct bus_question *question, struct batch **ret,
                                       char why[BUS_WHY_SIZE])
{
    enum bus_verdict verdict;
    int64_t until_ns;
    /* What has come meanwhile; a bus that lags need not be waited for. */
    if (reader->missed >= CARRIED_MISSED_MAX &&
        (!take_messages(reader, question->limit, now_of(reader)) ||
         reader->missed >= CARRIED_MISSED_MAX) &&
        step_of(reader, &until_ns) != STEP_DELIVER)
        return ask_feed(reader, question, question->wait_s, ret, why);
    if (!has_told(reader, question, ret, why, &verdict))
        return verdict;
    while (!reader->carrier->manager->draining && !reader->cancelled) {
        enum next_step step = step_of(reader, &until_ns);
        if (step == STEP_DELIVER && (*ret = deliver_shelf(reader, question)))
            return BUS_BATCH;
        if (step == STEP_ASK)
            return ask_feed(reader, question, 0, ret, why);
        if (step == STEP_ASK_IN_SILENCE)
            return ask_in_silence(reader, question, ret, why);
        if (step == STEP_WAIT && !take_messages(reader, question->limit, until_ns))
            return ask_feed(reader, question, question->wait_s, ret, why);
    }
    snprintf(why, BUS_WHY_SIZE, "It is not read here any more.");
    return BUS_UNREACHABLE;
}

static enum bus_verdict carried_fetch(struct bus_reader *base, const struct bus_question *question,
                                      struct batch **ret, char why[BUS_WHY_SIZE])
{
    struct carried_reader *reader = (struct carried_reader *)base;
    *ret = NULL;
    settle_place(reader, &question->after);
    bool fits = reader->shelf.of > 0 && reader->carrier->topic.partitions % reader->shelf.of == 0;
    /* The first answer is the feed's, and those while a snapshot's places have to be judged. */
    if (!fits || !question->after.incarnation[0] || question->seen || question->wait_s == 0 ||
        !has_consumer(reader))
        return ask_feed(reader, question, question->wait_s, ret, why);
    acknowledge_done(reader, question->done);
    return await_messages(reader, question, ret, why);
}

/* ---- opening and closing ---- */

static struct bus_reader *carried_open(const struct bus *bus,
                                       const struct bus_subscriber *subscriber)
{
    struct carried_reader *reader = calloc(1, sizeof *reader);
    FH_ASSERT(reader != NULL);
    reader->carrier = (struct carrier *)(uintptr_t)bus;
    reader->feed = feed_bus.open(&feed_bus, subscriber);
    reader->silence_ms = CARRIED_SILENCE_MS_MIN;
    reader->shelf.subscriber = subscriber;
    if (!query_share(subscriber->partition, &reader->shelf.index, &reader->shelf.of))
        reader->shelf.of = 0;
    reader->marks = calloc(MARKS_MAX, sizeof *reader->marks);
    FH_ASSERT(reader->marks != NULL);
    return (struct bus_reader *)reader;
}

static void carried_cancel(struct bus_reader *base)
{
    struct carried_reader *reader = (struct carried_reader *)base;
    reader->cancelled = true;
    if (reader->consumer)
        broker_cancel(reader->consumer);
}

static void carried_close(struct bus_reader *base)
{
    struct carried_reader *reader = (struct carried_reader *)base;
    close_consumer(reader);
    feed_bus.close(reader->feed);
    shelf_release(&reader->shelf);
    free(reader->marks);
    free(reader);
}

enum fh_code carried_add(struct event_manager *manager, const char *system, const char *source,
                         const json_t *options, struct fh_error *error)
{
    struct carrier *carrier = calloc(1, sizeof *carrier);
    FH_ASSERT(carrier != NULL);
    carrier->bus = (struct bus){.open = carried_open,
                                .fetch = carried_fetch,
                                .cancel = carried_cancel,
                                .close = carried_close};
    carrier->manager = manager;
    carrier->source = source;
    enum fh_code code = relay_topic(system, source, options, carrier->topic_name,
                                    sizeof carrier->topic_name, &carrier->topic.partitions, error);
    if (code == FH_OK)
        code = broker_link_of(manager, options, false, &carrier->link, error);
    if (code != FH_OK) {
        free(carrier);
        return code;
    }
    carrier->topic.name = carrier->topic_name;
    carrier->next = manager->carriers;
    manager->carriers = carrier;
    return FH_OK;
}

const struct bus *event_manager_bus(const struct event_manager *manager, const char *source)
{
    for (const struct carrier *carrier = manager->carriers; carrier; carrier = carrier->next) {
        if (strcmp(carrier->source, source) == 0)
            return &carrier->bus;
    }
    const struct bus *outside = source_bus(manager, source);
    return outside ? outside : manager->bus;
}

void carried_free(struct event_manager *manager)
{
    while (manager->carriers) {
        struct carrier *carrier = manager->carriers;
        manager->carriers = carrier->next;
        free(carrier);
    }
}

json_t *carried_state(const struct event_manager *manager)
{
    json_t *list = json_array();
    for (const struct carrier *carrier = manager->carriers; carrier; carrier = carrier->next) {
        const char *why = *carrier->why ? carrier->why : broker_link_fault(carrier->link);
        json_t *state = json_pack("{s:s, s:s, s:b, s:I, s:I}", "source", carrier->source, "bus",
                                  carrier->link->driver->title, "connected", !why, "carried",
                                  (json_int_t)carrier->carried, "fed", (json_int_t)carrier->fed);
        if (why)
            json_object_set_new(state, "reason", json_string(why));
        json_array_append_new(list, state);
    }
    return list;
}
