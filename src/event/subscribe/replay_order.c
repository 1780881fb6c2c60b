/* SPDX-License-Identifier: Apache-2.0 */
/* An operator's side of a replay: the publisher is asked whether it has the events; then the
 * applier of each partition is told, and waited for. */

#include "event/subscribe/replay.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "event/bus.h"
#include "world/world.h"

#define ASKING_MS 10000

/* The next subscription to it, from `s` on. */
static struct subscription *subscription_from(struct subscription *s, const char *source)
{
    while (s && strcmp(s->source, source) != 0)
        s = s->next;
    return s;
}

static enum fh_code check_source(struct event_manager *manager, const char *source,
                                 struct fh_error *error)
{
    const char *name = manager->context->service->name;
    const struct subscription *s = subscription_from(manager->subscriptions, source);
    if (!s)
        return error_set(error, FH_NOT_FOUND, "%s does not subscribe to %.64s.", name, source);
    if (s->outside)
        return error_set(error, FH_INVALID,
                         "%.64s is a source outside the system: what it has sent is not kept, and "
                         "can't be applied again.",
                         source);
    return FH_OK;
}

static enum fh_code take_wish(const struct replay_wish *wish, struct replay_order *ret,
                              struct fh_error *error)
{
    *ret = (struct replay_order){.reaches_out = wish->reaches_out, .to.position = wish->position};
    if (wish->position < 0 || !*wish->incarnation || strlen(wish->incarnation) >= ID_SIZE ||
        strlen(wish->id) >= ID_SIZE || (wish->position > 0) != (*wish->id != '\0'))
        return error_set(error, FH_INVALID,
                         "`position` must be 0, or that of an event of the publisher's, with the "
                         "event's `id`, and `incarnation` that of the publisher's store.");
    snprintf(ret->to.incarnation, ID_SIZE, "%s", wish->incarnation);
    snprintf(ret->to.event_id, ID_SIZE, "%s", wish->id);
    return FH_OK;
}

/* What is asked is what a subscription at this place would ask, which is done with nothing: the
 * publisher stays with what it was told before, and this partition may be another instance's, or
 * behind this place. */
static enum fh_code check_publisher_has(struct subscription *s, const struct replay_order *order,
                                        struct fh_error *error)
{
    const struct bus_subscriber subscriber = {.context = s->manager->context,
                                              .source = s->source,
                                              .partition = s->partition,
                                              .subscribed = s->subscribed,
                                              .subscribed_count = s->subscribed_count};
    struct bus_question question = {.after = order->to,
                                    .limit = 1,
                                    .deadline_ns = world_in_ms(subscription_world(s), ASKING_MS)};
    char why[BUS_WHY_SIZE] = "";
    struct batch *batch = NULL;
    struct bus_reader *reader = s->bus->open(s->bus, &subscriber);
    enum bus_verdict verdict = s->bus->fetch(reader, &question, &batch, why);
    s->bus->close(reader);
    batch_free(batch);
    if (verdict == BUS_BATCH)
        return FH_OK;
    if (verdict == BUS_RESYNC)
        return error_set(error, FH_CONFLICT, "%.64s does not have these events any more. %.200s.",
                         s->source, why);
    return error_set(error, FH_UNAVAILABLE, "%.64s can't say whether it has these events: %.300s",
                     s->source, why);
}

struct ordered {
    struct event_manager *manager;
    const char *source;
    const json_t *shares; /* as in the wish */
    struct replay_order order;
};

/* The next partition from `s` on that this instance has and that is meant. */
static struct subscription *meant_from(const struct ordered *ordered, struct subscription *s)
{
    while ((s = subscription_from(s, ordered->source))) {
        size_t i;
        json_t *share;
        bool meant = !ordered->shares;
        json_array_foreach (ordered->shares, i, share)
            meant |= json_is_string(share) && strcmp(json_string_value(share), s->partition) == 0;
        if (meant && subscription_is_ours(s))
            return s;
        s = s->next;
    }
    return NULL;
}

/* An order to one partition, and what came of it. */
struct given {
    struct subscription *subscription;
    struct replay_order order;
    enum fh_code code;
    struct fh_error error;
};

static bool has_no_replay(const struct subscription *s)
{
    return (s->loaded || subscription_refused(s)) && !s->fenced && !s->replay.order &&
           !subscription_replays(s);
}

static void give_order(struct given *given)
{
    struct subscription *s = given->subscription;
    given->order.idle = given->order.abandons && has_no_replay(s);
    if (given->order.idle)
        return;
    given->code = replay_may(s, &given->order, &given->error);
    if (given->code != FH_OK)
        return;
    s->replay.order = &given->order;
    fiber_wake_all(&s->for_batches);
    fiber_wake_all(&s->for_parking);
}

static void await_order(struct given *given)
{
    if (given->order.idle || given->code != FH_OK)
        return;
    while (!given->order.done)
        fiber_wait(&given->order.waiting);
    given->code = given->order.code;
    given->error = given->order.error;
}

static json_t *told_share(const struct given *given)
{
    const struct replay_order *order = &given->order;
    json_t *share = json_pack("{s:s}", "share", given->subscription->partition);
    if (given->code != FH_OK) {
        json_object_set_new(share, "error", json_string(given->error.message));
    } else if (!order->idle) {
        if (order->abandons) {
            json_object_set_new(share, "at", json_integer(order->at));
            json_object_set_new(share, "dropped", json_integer(order->dropped));
        } else {
            json_object_set_new(share, "after", json_integer(order->to.position));
        }
        json_object_set_new(share, "until", json_integer(order->until));
    }
    if (given->code == FH_UNAVAILABLE)
        json_object_set_new(share, "again", json_true());
    return share;
}

/* All are given before one is waited for: each may take as long as a handler. It fails only where
 * all are refused for good. */
static enum fh_code order_all(const struct ordered *ordered, json_t **ret, struct fh_error *error)
{
    enum fh_code refused = FH_OK;
    bool any = false;
    size_t given_count = 0;
    struct subscription *s = subscription_from(ordered->manager->subscriptions, ordered->source);
    unsigned count = s->partition_count;
    struct given *given = calloc(count, sizeof *given);
    json_t *shares = json_array();
    FH_ASSERT(given != NULL);
    for (s = meant_from(ordered, s); s; s = meant_from(ordered, s->next)) {
        FH_ASSERT(given_count < count);
        given[given_count] = (struct given){.subscription = s, .order = ordered->order};
        give_order(&given[given_count++]);
    }
    for (size_t i = 0; i < given_count; i++) {
        await_order(&given[i]);
        json_array_append_new(shares, told_share(&given[i]));
        any |= given[i].code == FH_OK || given[i].code == FH_UNAVAILABLE;
        if (given[i].code != FH_OK && refused == FH_OK) {
            refused = given[i].code;
            *error = given[i].error;
        }
    }
    free(given);
    if (!any && refused != FH_OK) {
        json_decref(shares);
        return refused;
    }
    *ret = json_pack("{s:I, s:o}", "partitions", (json_int_t)count, "shares", shares);
    return FH_OK;
}

/* One that can't begin in some partition begins in none, as far as that is known now. */
static enum fh_code check_meant(const struct ordered *ordered, struct fh_error *error)
{
    struct subscription *s = meant_from(ordered, ordered->manager->subscriptions), *asked = s;
    for (; s; s = meant_from(ordered, s->next)) {
        enum fh_code code = replay_may(s, &ordered->order, error);
        if (code != FH_OK && code != FH_UNAVAILABLE)
            return code;
    }
    return asked ? check_publisher_has(asked, &ordered->order, error) : FH_OK;
}

enum fh_code replay_begin(struct event_manager *manager, const struct replay_wish *wish,
                          json_t **ret, struct fh_error *error)
{
    struct ordered ordered = {.manager = manager, .source = wish->source, .shares = wish->shares};
    enum fh_code code = check_source(manager, wish->source, error);
    if (code == FH_OK)
        code = take_wish(wish, &ordered.order, error);
    if (code == FH_OK)
        code = check_meant(&ordered, error);
    return code == FH_OK ? order_all(&ordered, ret, error) : code;
}

enum fh_code replay_abandon(struct event_manager *manager, const char *source, json_t **ret,
                            struct fh_error *error)
{
    const struct ordered ordered = {
        .manager = manager, .source = source, .order = {.abandons = true}};
    enum fh_code code = check_source(manager, source, error);
    return code == FH_OK ? order_all(&ordered, ret, error) : code;
}
