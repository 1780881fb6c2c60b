/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One fiber, while the lease is ours: finds its place, reads a batch, publishes it until the broker
 * has acknowledged all of it, moves the place. While a batch is published and there is more to
 * read, another fiber reads the next one, so that store and broker do not wait for each other. Only
 * one batch is with the broker at a time: a later one never overtakes it.
 */

#include "event/relay/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "broker/broker.h"
#include "broker/options.h"
#include "event/broker_link.h"
#include "event/chain.h"
#include "event/outbox/place.h"
#include "event/outbox/reader.h"
#include "event/outbox/subscribers.h"
#include "event/relay/batch.h"
#include "event/relay/held.h"
#include "work/work.h"
#include "world/world.h"

#define RELAY_PARTITION "0/1" /* of its row: it reads all */

struct relay {
    struct event_manager *manager;
    struct broker_link *link;
    char topic_name[BROKER_TOPIC_LENGTH_MAX + 1];
    struct broker_topic topic;
    struct lease lease;
    bool running, busy; /* its fiber runs; it uses the store */
    bool placed;        /* `place` and `chain` are known */
    bool declared;      /* its topic is there */
    struct chain_place place;
    struct chain chain;
    struct relay_batch batches[2];
    struct relay_batch *batch, *ahead; /* what follows `place`, and what follows that */
    bool reads_ahead;                  /* a fiber reads `ahead` */
    bool lost_ahead;                   /* it failed: the chain has moved all the same */
    struct fiber_queue ahead_is_read;
    uint64_t published, failures;
    struct relay_held held;
    char why[BUS_WHY_SIZE]; /* it can't go on; or "" */
};

static struct world *relay_world(const struct relay *relay)
{
    return relay->manager->context->world;
}

static bool relay_goes_on(const struct relay *relay)
{
    return relay->lease.state == LEASE_OURS && !relay->manager->draining;
}

/* Sleeps after the n-th failure in a row, which is logged when it is the first. */
static void relay_rests(struct relay *relay, int n, const char *why)
{
    if (!*relay->why)
        log_warning("relay-delayed", "Events are not relayed to the bus now: %s", why);
    if (why != relay->why)
        snprintf(relay->why, sizeof relay->why, "%s", why);
    relay->failures++;
    event_manager_sleep(relay->manager,
                        broker_pause_until_ns(relay_world(relay), n, RELAY_RETRY_MS_MAX));
}

static void relay_recovered(struct relay *relay)
{
    if (*relay->why)
        log_info("relay-resumed", "Events are relayed to the bus again.");
    relay->why[0] = '\0';
}

/* ---- the place ---- */

static bool find_row(void *context, const struct ledger_subscriber *subscriber)
{
    struct ledger_subscriber *found = context;
    if (strcmp(subscriber->name, SUBSCRIBERS_RELAY) != 0 ||
        strcmp(subscriber->incarnation, found->incarnation) != 0)
        return true;
    found->done = subscriber->done;
    return false;
}

/* From its row, if that is one of this store; else the present end. */
static enum fh_code judge_row(struct relay *relay, struct store_work *work, struct fh_error *error)
{
    struct ledger_subscriber row = {.incarnation = work->store->incarnation, .done = -1};
    int64_t last = 0, trimmed = 0;
    char trimmed_id[ID_SIZE];
    enum fh_code code = ledger_position(work, &last, error);
    if (code == FH_OK)
        code = ledger_subscribers_get(work, find_row, &row, error);
    if (code == FH_OK)
        code = ledger_outbox_trimmed(work, &trimmed, trimmed_id, error);
    if (code != FH_OK)
        return code;
    bool known = row.done >= trimmed && row.done <= last;
    relay->place.position = known ? row.done : last;
    return place_id(work, relay->place.position, relay->place.id, error);
}

static enum fh_code find_relay_place(struct relay *relay, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(relay->manager->context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = judge_row(relay, work, error);
    store_rollback(work);
    if (code != FH_OK)
        return code;
    chain_begin(&relay->chain, relay->place.position, relay->place.id);
    relay->placed = true;
    return FH_OK;
}

static void relay_told(struct relay *relay)
{
    subscribers_told(relay->manager, SUBSCRIBERS_RELAY, RELAY_PARTITION, relay->place.position,
                     relay->place.position);
    CRASH_POINT("relay.told");
}

/* ---- reading ---- */

/* Whatever was read of a reading that failed has moved the chain. */
static void forget_place(struct relay *relay)
{
    relay_batch_clear(relay->batch);
    relay_batch_clear(relay->ahead);
    relay->lost_ahead = false;
    relay->placed = false;
}

static struct outbox_reading reading_of(struct relay *relay, struct relay_batch *batch,
                                        const struct chain_place *place)
{
    return (struct outbox_reading){
        .manager = relay->manager,
        .incarnation = "",
        .after = place->position,
        .id = place->id,
        .seen_id = "",
        .filter.partitions = 1,
        .limit = RELAY_BATCH_MAX,
        .scan = RELAY_BATCH_MAX,
        .take = relay_batch_take,
        .context = batch,
        .until_ns =
            world_in_ms(relay_world(relay), relay->declared ? RELAY_IDLE_MS : RELAY_GREET_AGAIN_MS),
    };
}

static enum fh_code read_outbox(struct relay *relay, struct outbox_reading *reading,
                                struct fh_error *error)
{
    struct relay_batch *batch = reading->context;
    relay->busy = true;
    enum fh_code code = outbox_read(reading, error);
    relay->busy = false;
    fiber_wake_all(&relay->manager->idle);
    if (code == FH_OK && relay_batch_overflows(batch))
        return error_set(error, FH_NO_MEMORY, "There is no memory for events to relay.");
    if (code != FH_OK)
        return code;
    batch->next.position = reading->next;
    memcpy(batch->next.id, reading->next_id, ID_SIZE);
    batch->more = reading->count > 0 && reading->next < reading->last;
    return FH_OK;
}

/* What follows the place, or nothing new: then it has waited for it. */
static enum fh_code read_batch(struct relay *relay, struct fh_error *error)
{
    struct outbox_reading reading = reading_of(relay, relay->batch, &relay->place);
    outbox_begin(&reading);
    do {
        enum fh_code code = read_outbox(relay, &reading, error);
        if (code != FH_OK || reading.place != PLACE_HERE) {
            forget_place(relay);
            return code;
        }
    } while (reading.count == 0 && relay_goes_on(relay) && outbox_wait(&reading));
    return FH_OK;
}

static void run_read_ahead(void *argument)
{
    struct relay *relay = argument;
    struct fh_error error;
    struct outbox_reading reading = reading_of(relay, relay->ahead, &relay->batch->next);
    outbox_begin(&reading);
    relay->lost_ahead =
        read_outbox(relay, &reading, &error) != FH_OK || reading.place != PLACE_HERE;
    relay->reads_ahead = false;
    fiber_wake_all(&relay->ahead_is_read);
    event_manager_fiber_ends(relay->manager);
}

/* Where no fiber is free, it is read later. */
static void read_ahead(struct relay *relay)
{
    if (!relay->batch->more || relay->ahead->count > 0 || relay->lost_ahead)
        return;
    relay->reads_ahead = true;
    relay->reads_ahead = event_manager_fiber(relay->manager, run_read_ahead, relay);
}

/* The place is behind the batch. What was wrong with the reading ahead shows when it is read
 * again. */
static void next_batch(struct relay *relay)
{
    struct relay_batch *published = relay->batch;
    relay_batch_clear(published);
    if (relay->lost_ahead) {
        forget_place(relay);
    } else if (relay->ahead->count > 0) {
        relay->batch = relay->ahead;
        relay->ahead = published;
    }
}

/* ---- publishing ---- */

static enum fh_code declare_topic(struct relay *relay, struct broker *broker, int64_t until_ns,
                                  struct fh_error *error)
{
    if (relay->declared)
        return FH_OK;
    enum fh_code code = broker->driver->declare(broker, &relay->topic, until_ns, error);
    relay->declared = code == FH_OK;
    return code;
}

static enum fh_code publish_batch(struct relay *relay, struct fh_error *error)
{
    struct broker *broker = broker_link_get(relay->link);
    int64_t until_ns = world_in_ms(relay_world(relay), RELAY_PUBLISH_MS);
    if (!broker)
        return error_set(error, FH_UNAVAILABLE, "%s",
                         *relay->link->why ? relay->link->why : "The broker is not connected yet.");
    enum fh_code code = declare_topic(relay, broker, until_ns, error);
    if (code == FH_OK)
        code = broker->driver->publish(broker, &relay->topic, relay_batch_messages(relay->batch),
                                       relay->batch->count, until_ns, error);
    return code;
}

/* What the broker removes to make room it tells nobody. */
static void count_held(struct relay *relay)
{
    const struct broker_message *messages = relay_batch_messages(relay->batch);
    int64_t bytes = 0;
    for (int i = 0; i < relay->batch->count; i++)
        bytes += (int64_t)messages[i].length;
    if (relay_held_published(&relay->held, bytes, world_monotonic_ns(relay_world(relay))))
        log_warning("outside-overflows",
                    "More than %lld bytes (keep_bytes) of events were relayed within %lld s "
                    "(outside_kept_s): the bus removes some earlier than readers outside are to "
                    "find them.",
                    (long long)relay->held.bytes_max,
                    (long long)(relay->held.kept_ns / 1000000000));
}

/* For as long as it takes. False: it is no longer ours to do. */
static bool batch_is_published(struct relay *relay)
{
    struct fh_error error = {0};
    for (int n = 1; relay->batch->count > 0 && relay_goes_on(relay); n++) {
        if (publish_batch(relay, &error) == FH_OK) {
            relay_recovered(relay);
            relay->published += (uint64_t)relay->batch->count;
            count_held(relay);
            CRASH_POINT("relay.published");
            return true;
        }
        /* The topic may be gone with all that the broker had. */
        relay->declared = false;
        relay_rests(relay, n, error.message);
    }
    return relay->batch->count == 0;
}

/* ---- its life ---- */

/* So that subscribers find the topic before there are events. A broker may start more slowly than
 * we wait for it: whenever nothing is to be relayed it is greeted again, until it has answered. */
static void greet_broker(struct relay *relay, bool waits)
{
    int64_t until_ns = world_in_ms(relay_world(relay), RELAY_GREET_MS);
    struct broker *broker = broker_link_get(relay->link);
    if (!broker && waits) {
        fiber_wait_until(&relay->link->changed, relay_world(relay), until_ns);
        broker = broker_link_get(relay->link);
    }
    if (broker && relay_goes_on(relay))
        declare_topic(relay, broker, until_ns, ERROR_UNHEEDED);
}

/* False: the store failed. */
static bool relay_some(struct relay *relay, struct fh_error *error)
{
    if (!relay->placed) {
        relay->busy = true;
        enum fh_code code = find_relay_place(relay, error);
        relay->busy = false;
        fiber_wake_all(&relay->manager->idle);
        if (code != FH_OK)
            return false;
        relay_told(relay);
        greet_broker(relay, true);
        return true;
    }
    if (!relay->declared)
        greet_broker(relay, false);
    if (relay->batch->count == 0 && read_batch(relay, error) != FH_OK)
        return false;
    if (!relay->placed)
        return true;
    read_ahead(relay);
    bool published = batch_is_published(relay);
    while (relay->reads_ahead)
        fiber_wait(&relay->ahead_is_read);
    if (published) {
        bool moved = relay->batch->next.position > relay->place.position;
        relay->place = relay->batch->next;
        if (moved)
            relay_told(relay);
        next_batch(relay);
    }
    return true;
}

static void run_relay(void *argument)
{
    struct relay *relay = argument;
    struct fh_error error = {0};
    int failures = 0;
    forget_place(relay); /* another one may have gone on since */
    while (relay_goes_on(relay)) {
        if (relay_some(relay, &error))
            failures = 0;
        else
            relay_rests(relay, ++failures, error.message);
    }
    forget_place(relay);
    relay->running = false;
    lease_ended(&relay->lease);
    event_manager_fiber_ends(relay->manager);
}

static void relay_taken(struct lease *lease)
{
    struct relay *relay = lease->owner;
    if (!relay->running && !relay->manager->draining)
        relay->running = event_manager_fiber(relay->manager, run_relay, relay);
}

/* It waits for events, or sleeps for a second at most. */
static void relay_ends(struct lease *lease)
{
    struct relay *relay = lease->owner;
    fiber_wake_all(&relay->manager->readers);
    if (!relay->running)
        lease_ended(lease);
}

void relay_looked(struct event_manager *manager)
{
    if (manager->relay && manager->relay->lease.state == LEASE_OURS)
        relay_taken(&manager->relay->lease); /* there was no fiber free */
}

void relay_start(struct event_manager *manager)
{
    struct relay *relay = manager->relay;
    if (!relay)
        return;
    relay->lease =
        (struct lease){.name = "relay", .taken = relay_taken, .ends = relay_ends, .owner = relay};
    lease_add(manager->context->leases, &relay->lease);
}

bool relay_idle(const struct event_manager *manager)
{
    return !manager->relay || !manager->relay->busy;
}

/* ---- configuration and state ---- */

enum fh_code relay_topic(const char *system, const char *service, const json_t *options,
                         char *ret_name, size_t size, unsigned *ret_partitions,
                         struct fh_error *error)
{
    json_int_t partitions = RELAY_PARTITIONS;
    json_integer_at(options, "partitions", &partitions);
    if (partitions < 1 || partitions > BROKER_PARTITIONS_MAX || (partitions & (partitions - 1)))
        return error_set(error, FH_INVALID,
                         "A bus has 1, 2, 4, ... or %d partitions, and not %lld as that of %s.",
                         BROKER_PARTITIONS_MAX, (long long)partitions, service);
    int length =
        snprintf(ret_name, size, "%s%s%s", system ? system : "", system ? "-" : "", service);
    if (length < 0 || (size_t)length >= size)
        return error_set(error, FH_INVALID, "%s has too long a name for a bus.", service);
    *ret_partitions = (unsigned)partitions;
    return FH_OK;
}

static void hold_outside(struct relay *relay, const json_t *options)
{
    json_int_t kept_s = 0, bytes = BROKER_KEEP_BYTES;
    json_integer_at(options, "outside_kept_s", &kept_s);
    json_integer_at(options, "keep_bytes", &bytes);
    relay->held = (struct relay_held){.kept_ns = kept_s * INT64_C(1000000000), .bytes_max = bytes};
}

enum fh_code relay_new(struct event_manager *manager, const char *system, const json_t *options,
                       struct fh_error *error)
{
    struct relay *relay = calloc(1, sizeof *relay);
    FH_ASSERT(relay != NULL);
    relay->manager = manager;
    enum fh_code code =
        relay_topic(system, manager->context->service->name, options, relay->topic_name,
                    sizeof relay->topic_name, &relay->topic.partitions, error);
    if (code == FH_OK)
        code = broker_link_of(manager, options, true, &relay->link, error);
    if (code != FH_OK) {
        free(relay);
        return code;
    }
    relay->topic.name = relay->topic_name;
    hold_outside(relay, options);
    chain_init(&relay->chain, relay->topic.partitions);
    relay->batch = &relay->batches[0];
    relay->ahead = &relay->batches[1];
    for (int i = 0; i < 2; i++)
        relay_batch_init(&relay->batches[i], manager->context, &relay->chain);
    manager->relay = relay;
    return FH_OK;
}

void relay_free(struct event_manager *manager)
{
    struct relay *relay = manager->relay;
    if (!relay)
        return;
    chain_release(&relay->chain);
    for (int i = 0; i < 2; i++)
        relay_batch_release(&relay->batches[i]);
    free(relay);
    manager->relay = NULL;
}

void relay_view(const struct event_manager *manager, struct relay_view *ret)
{
    const struct relay *relay = manager->relay;
    *ret = (struct relay_view){.reason = ""};
    if (!relay || relay->lease.state != LEASE_OURS)
        return;
    const char *fault = *relay->why ? relay->why : broker_link_fault(relay->link);
    *ret = (struct relay_view){
        .ours = true,
        .connected = !fault,
        .driver = relay->link->driver->title,
        .position = relay->place.position,
        .depth = relay->placed ? manager->position - relay->place.position : 0,
        .age_ms = relay->batch->oldest_ms
                      ? world_wall_ms(relay_world(relay)) - relay->batch->oldest_ms
                      : 0,
        .published = relay->published,
        .outside_kept_s = relay->held.kept_ns / 1000000000,
        .outside_overflows =
            relay_held_overflows(&relay->held, world_monotonic_ns(relay_world(relay))),
        .failures = relay->failures,
        .reason = fault ? fault : "",
    };
    if (ret->age_ms < 0)
        ret->age_ms = 0;
    if (ret->depth < 0)
        ret->depth = 0;
}
