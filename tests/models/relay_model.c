/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events by a broker (src/event/relay, src/event/carried): a publisher's store, two relays of it
 * that know nothing of each other (one was paused, its successor works), a broker that delivers
 * whatever it was ever given, in any order and as often as it likes, or never, and one partition of
 * a subscription, which may ask the feed at any time. Commits are lost at the end of the store
 * without a new incarnation (a failover, files put back by hand), the publisher is restored with
 * one, the subscriber is restored or dies.
 *
 * Events have ids that never come again; even ones belong to the other partition. What must hold:
 * a cursor that the publisher accepts stands for exactly the events before it.
 */

#include "explore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { EVENTS = 4, RELAYS = 2 };

struct place {
    uint8_t position, id;
};

struct relay {
    uint8_t alive, incarnation;
    struct place at, chain; /* read up to; the partition's last event, or what is claimed for it */
};

struct bus {
    /* The rules. */
    uint8_t ids;     /* a message names its predecessor's id, not only its position */
    uint8_t chained; /* it follows what was applied, or is not applied */
    uint8_t scanned; /* the feed says which event of the partition was its last, of whatever type */
    uint8_t claims;  /* a relay that begins claims its place as everybody's predecessor */
    uint8_t at_end;  /* a relay whose place is unknown begins at the end of the outbox */
    uint8_t born;    /* messages of other incarnations are dropped */
    uint8_t silent;  /* the feed is asked though nothing comes */
    uint8_t whole;   /* the subscription has one partition: all events are its own */
    /* Faults that are left. */
    uint8_t losses, restores, relay_deaths, deaths, backups, wipes, trims;
    /* The publisher. */
    uint8_t incarnation, last, trimmed, trimmed_id, next_id, cut;
    uint8_t log[EVENTS + 1];
    uint8_t row, row_incarnation; /* how far it was relayed, as is stored; 0: never */
    struct relay relay[RELAYS];
    /* The broker: of each event's messages, which predecessors they name (bits). */
    uint8_t sent[EVENTS + 1];
    uint8_t position_of[EVENTS + 1], born_in[EVENTS + 1];
    /* The subscriber; `own` is in memory: where it stands among its partition's events. */
    uint8_t read_incarnation, applied, asks;
    struct place cursor, own;
    uint8_t backed_up, backup_incarnation, backup_applied;
    struct place backup;
};

static bool is_own(const struct bus *s, int id)
{
    return s->whole || id % 2 == 1;
}

static uint8_t id_at(const struct bus *s, int position)
{
    return position == 0 ? 0 : position == s->trimmed ? s->trimmed_id : s->log[position];
}

static bool is_here(const struct bus *s, struct place place)
{
    return place.position <= s->last && place.position >= s->trimmed &&
           id_at(s, place.position) == place.id;
}

/* Own events up to a position, as bits; those that were trimmed had been applied. */
static uint8_t owned(const struct bus *s, int position)
{
    uint8_t mask = 0;
    for (int i = 1; i <= position; i++) {
        if (is_own(s, s->log[i]))
            mask |= (uint8_t)(1 << s->log[i]);
    }
    return mask;
}

/* ---- the publisher ---- */

static void publisher(struct explore *explore, const struct bus *now)
{
    struct bus after = *now;
    if (now->next_id <= EVENTS && now->last < EVENTS) {
        int id = after.next_id++;
        after.log[++after.last] = (uint8_t)id;
        after.position_of[id] = after.last;
        after.born_in[id] = after.incarnation;
        explore_step(explore, &after, "event %d at %d", id, after.last);
    }
    after = *now;
    if (now->losses && now->last > now->trimmed) {
        after.losses--;
        after.last--;
        after.log[now->last] = 0;
        if (after.row > after.last)
            after.row = after.last;
        explore_step(explore, &after, "the last commit is lost");
    }
    after = *now;
    if (now->restores && now->last > now->trimmed) {
        after.restores--;
        after.log[after.last--] = 0;
        after.cut = after.last;
        after.incarnation++;
        if (after.row > after.last)
            after.row = after.last;
        memset(after.relay, 0, sizeof after.relay);
        explore_step(explore, &after, "the publisher is restored");
    }
    after = *now;
    if (now->trims && now->trimmed < now->cursor.position && now->trimmed < now->row &&
        now->read_incarnation == now->incarnation && is_here(now, now->cursor)) {
        after.trims--;
        after.trimmed_id = after.log[++after.trimmed];
        explore_step(explore, &after, "trimmed up to %d", after.trimmed);
    }
}

/* ---- the relays ---- */

static void begin_relay(struct bus *s, struct relay *relay)
{
    bool known = s->row_incarnation == s->incarnation && s->row >= s->trimmed;
    uint8_t from = known ? s->row : s->at_end ? s->last : s->trimmed;
    *relay = (struct relay){1, s->incarnation, {from, id_at(s, from)}, {0, 0}};
    if (s->claims)
        relay->chain = relay->at;
}

static void send_next(struct bus *s, struct relay *relay)
{
    uint8_t id = s->log[++relay->at.position];
    relay->at.id = id;
    if (!is_own(s, id))
        return;
    s->sent[id] |= (uint8_t)(1 << relay->chain.id);
    relay->chain = relay->at;
}

static void relays(struct explore *explore, const struct bus *now)
{
    for (int i = 0; i < RELAYS; i++) {
        struct bus after = *now;
        struct relay *relay = &after.relay[i];
        if (!relay->alive) {
            begin_relay(&after, relay);
            explore_step(explore, &after, "relay %d begins at %d", i, relay->at.position);
            continue;
        }
        if (!is_here(now, relay->at)) {
            relay->at = relay->chain = (struct place){now->last, id_at(now, now->last)};
            explore_step(explore, &after, "relay %d begins anew at %d", i, now->last);
        } else if (relay->at.position < now->last) {
            send_next(&after, relay);
            explore_step(explore, &after, "relay %d publishes %d", i, relay->at.id);
        }
        after = *now;
        if (relay->at.position > now->row || now->row_incarnation != now->incarnation) {
            after.row = relay->at.position < now->last ? relay->at.position : now->last;
            after.row_incarnation = now->incarnation;
            explore_step(explore, &after, "relay %d tells its place", i);
        }
        after = *now;
        if (now->relay_deaths) {
            after.relay_deaths--;
            relay->alive = 0;
            explore_step(explore, &after, "relay %d dies", i);
        }
    }
}

/* ---- the subscriber ---- */

static bool follows(const struct bus *s, int previous)
{
    if (!s->chained)
        return true;
    if (!s->ids)
        return s->position_of[previous] <= s->cursor.position;
    return previous == s->own.id;
}

static void take_messages(struct explore *explore, const struct bus *now)
{
    for (int id = 1; id <= EVENTS; id++) {
        for (int previous = 0; previous <= EVENTS; previous++) {
            struct bus after = *now;
            bool dropped = (now->born && now->born_in[id] != now->read_incarnation) ||
                           now->position_of[id] <= now->cursor.position;
            if (!(now->sent[id] & 1 << previous) || now->read_incarnation == 0)
                continue;
            if (!dropped && follows(now, previous)) {
                after.applied |= (uint8_t)(1 << id);
                after.cursor = after.own = (struct place){now->position_of[id], (uint8_t)id};
                after.asks = 0;
            } else if (now->position_of[id] > now->cursor.position) {
                after.asks = 1;
            }
            explore_step(explore, &after, "message %d after %d comes", id, previous);
        }
    }
}

static void take_from_feed(struct bus *s, int limit)
{
    for (int i = s->cursor.position + 1; i <= limit; i++) {
        s->cursor = (struct place){(uint8_t)i, s->log[i]};
        if (!is_own(s, s->log[i]))
            continue;
        s->applied |= (uint8_t)(1 << s->log[i]);
        s->own = s->cursor;
    }
    if (!s->scanned)
        s->own = s->cursor;
    s->read_incarnation = s->incarnation;
    s->asks = 0;
}

static void ask_feed(struct explore *explore, const struct bus *now)
{
    bool continues =
        now->read_incarnation + 1 == now->incarnation && now->cursor.position <= now->cut;
    bool fits =
        now->read_incarnation == 0 || now->read_incarnation == now->incarnation || continues;
    if (!now->silent && !now->asks && now->read_incarnation != 0)
        return;
    if (!fits || !is_here(now, now->cursor)) {
        struct bus after = *now;
        after.applied = owned(now, now->last);
        after.cursor = after.own = (struct place){now->last, id_at(now, now->last)};
        after.read_incarnation = now->incarnation;
        after.asks = 0;
        explore_step(explore, &after, "the subscriber takes the publisher's state");
        return;
    }
    for (int limit = now->cursor.position; limit <= now->last; limit++) {
        struct bus after = *now;
        take_from_feed(&after, limit);
        explore_step(explore, &after, "the feed is read up to %d", limit);
    }
}

static void subscriber_faults(struct explore *explore, const struct bus *now)
{
    struct bus after = *now;
    if (now->deaths) {
        after.deaths--;
        after.own = after.cursor;
        after.asks = 0;
        explore_step(explore, &after, "the subscriber dies");
    }
    after = *now;
    if (now->backups && !now->backed_up) {
        after.backups--;
        after.backed_up = 1;
        after.backup = now->cursor;
        after.backup_incarnation = now->read_incarnation;
        after.backup_applied = now->applied;
        explore_step(explore, &after, "the subscriber is backed up");
    }
    after = *now;
    if (now->backed_up) {
        after.backed_up = 0;
        after.cursor = after.own = now->backup;
        after.read_incarnation = now->backup_incarnation;
        after.applied = now->backup_applied;
        after.backup = (struct place){0, 0};
        after.backup_incarnation = after.backup_applied = 0;
        explore_step(explore, &after, "the subscriber is restored");
    }
    after = *now;
    if (now->wipes) {
        after.wipes--;
        memset(after.sent, 0, sizeof after.sent);
        explore_step(explore, &after, "the broker forgets everything");
    }
}

static void next(struct explore *explore, const void *state)
{
    publisher(explore, state);
    relays(explore, state);
    take_messages(explore, state);
    ask_feed(explore, state);
    subscriber_faults(explore, state);
}

static const char *bad(const void *state)
{
    const struct bus *now = state;
    if (now->read_incarnation != now->incarnation || !is_here(now, now->cursor))
        return NULL;
    uint8_t before = owned(now, now->cursor.position);
    if (before & ~now->applied)
        return "an event was left out";
    if (now->applied & ~before)
        return "an event was applied that the publisher does not have";
    return NULL;
}

static bool goal(const void *state)
{
    const struct bus *now = state;
    return now->next_id > EVENTS && now->read_incarnation == now->incarnation &&
           is_here(now, now->cursor) && now->applied == owned(now, now->last);
}

static const struct explore_model model = {
    .name = "relay", .size = sizeof(struct bus), .next = next, .bad = bad, .goal = goal};

static struct bus with_all_rules(void)
{
    return (struct bus){.ids = 1,
                        .chained = 1,
                        .scanned = 1,
                        .claims = 1,
                        .at_end = 1,
                        .born = 1,
                        .silent = 1,
                        .incarnation = 1,
                        .next_id = 1};
}

static void nothing_is_left_out_whatever_the_broker_does(void **state)
{
    (void)state;
    struct bus first = with_all_rules();
    first.relay_deaths = first.wipes = first.deaths = first.trims = 1;
    explore_holds(&model, &first);
    first.whole = 1;
    explore_holds(&model, &first);
}

static void nothing_is_left_out_when_commits_are_lost(void **state)
{
    (void)state;
    struct bus first = with_all_rules();
    first.relay_deaths = 1;
    first.losses = 2;
    explore_holds(&model, &first);
    first.whole = 1;
    explore_holds(&model, &first);
}

static void nothing_is_left_out_when_stores_are_restored(void **state)
{
    (void)state;
    struct bus first = with_all_rules();
    first.restores = 2;
    first.backups = 1;
    explore_holds(&model, &first);
}

static void a_message_that_follows_nothing_leaves_events_out(void **state)
{
    (void)state;
    struct bus first = with_all_rules();
    first.chained = 0;
    explore_catches(&model, &first, "an event was left out");
}

/* Positions are given out again when commits were lost. */
static void positions_alone_chain_two_pasts(void **state)
{
    (void)state;
    struct bus first = with_all_rules();
    first.ids = 0;
    explore_holds(&model, &first);
    first.losses = 2;
    explore_catches(&model, &first, "an event was applied that the publisher does not have");
}

static void a_relay_that_claims_too_little_leaves_events_out(void **state)
{
    (void)state;
    struct bus first = with_all_rules();
    first.claims = 0;
    first.relay_deaths = 1;
    explore_catches(&model, &first, "an event was left out");
}

static void a_restored_publisher_s_former_events_are_no_more(void **state)
{
    (void)state;
    struct bus first = with_all_rules();
    first.born = 0;
    first.restores = 1;
    explore_holds(&model, &first); /* ids chain what incarnations would */
    first.ids = 0;
    explore_catches(&model, &first, "an event was applied that the publisher does not have");
}

static void what_the_broker_forgets_at_the_end_is_missed_in_silence(void **state)
{
    (void)state;
    struct bus first = with_all_rules();
    first.silent = 0;
    first.wipes = 1;
    explore_catches(&model, &first, EXPLORE_NO_PROGRESS);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_left_out_whatever_the_broker_does),
        cmocka_unit_test(nothing_is_left_out_when_commits_are_lost),
        cmocka_unit_test(nothing_is_left_out_when_stores_are_restored),
        cmocka_unit_test(a_message_that_follows_nothing_leaves_events_out),
        cmocka_unit_test(positions_alone_chain_two_pasts),
        cmocka_unit_test(a_relay_that_claims_too_little_leaves_events_out),
        cmocka_unit_test(a_restored_publisher_s_former_events_are_no_more),
        cmocka_unit_test(what_the_broker_forgets_at_the_end_is_missed_in_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
