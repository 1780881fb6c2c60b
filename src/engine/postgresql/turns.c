/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commits in rounds, for units of work that would conflict by the pages of indexes.
 *
 * The server lets no serializable transaction commit while two others are open, of which one has
 * read what the second then wrote, and the second what this one did. Reads count by index pages: a
 * foreign key's look at a row just inserted counts for all rows inserted next to it. That look is
 * often the last thing that a unit of work does, and sent with its COMMIT. So those that have met
 * conflicts send that last message in rounds, of which two at most are under way:
 *
 *     fewer than two    a round of its own is sent at once
 *     two               it waits until all of the older one are answered; then all that wait are
 *                       sent together, the next round
 *
 * All in a round have written before any of them looks: so one reads what another then writes only
 * if the other's round is a later one. Of three that would be in each other's way so, the first has
 * committed before the last sends its COMMIT, and the server lets that pass. Meanwhile the next
 * ones run their statements; and commits sent together share the server's sync, as they did.
 *
 * Nothing but the time of sending depends on this: each unit of work has a transaction and a
 * connection of its own, and the server judges it as ever. One that waits holds locks, and one that
 * it waits for may want them, so nobody waits longer than wait_ms; and a kind that takes longer
 * does without turns for a while, twice as long each time. A kind is all units of work whose
 * handlers begin with the same statement: kinds without conflicts neither wait nor are waited for.
 */

#include "engine/postgresql/turns.h"

#include "engine/postgresql/internal.h"

#define TURNS 1024   /* that a kind takes after a conflict */
#define APART_MIN 16 /* that a kind does without, when it was too slow */
#define APART_MAX 4096

void postgresql_turn_kind(struct postgresql_work *work, struct postgresql_statement *statement)
{
    if (work->turn.kind || !work->base.statement ||
        store_isolation(work->base.mode) != STORE_SERIALIZABLE)
        return;
    work->turn.kind = statement;
    statement->users++;
}

static bool takes_turns(struct postgresql_statement *kind)
{
    if (!kind || !kind->turns)
        return false;
    if (kind->turns_apart) {
        kind->turns_apart--;
        return false;
    }
    kind->turns--;
    return true;
}

/* At most two are under way: those that wait go when the older one is answered. */
static void begin_round(struct postgresql_turns *turns)
{
    if (turns->under_way[(turns->round + 1) & 1] || !turns->waiters)
        return;
    turns->round++;
    turns->under_way[turns->round & 1] = turns->waiters;
    turns->waiters = 0;
    fiber_wake_all(&turns->waiting);
}

void postgresql_turn_take(struct postgresql_work *work)
{
    struct store *store = work->base.store;
    struct postgresql_turns *turns = &((struct postgresql_store *)store)->turns;
    if (!takes_turns(work->turn.kind))
        return;
    uint64_t round = turns->round;
    int64_t deadline_ns = world_in_ms(store->world, turns->wait_ms);
    bool in_time = true;
    turns->waiters++;
    begin_round(turns);
    while (in_time && turns->round == round)
        in_time = fiber_wait_until(&turns->waiting, store->world, deadline_ns);
    work->turn.round = round + 1;
    if (turns->round == round) { /* in vain: it goes with those that went last */
        turns->waiters--;
        turns->under_way[round & 1]++;
        work->turn.round = round;
    }
    work->turn.since_ns = world_monotonic_ns(store->world);
    work->turn.taken = true;
}

static void judge_turn(struct postgresql_statement *kind, bool slow)
{
    if (!slow) {
        kind->turns_apart_next -= kind->turns_apart_next > 0;
        return;
    }
    if (kind->turns_apart) /* the same delay, of another in its round */
        return;
    int next = kind->turns_apart_next < APART_MIN ? APART_MIN : 2 * kind->turns_apart_next;
    kind->turns_apart = kind->turns_apart_next = next < APART_MAX ? next : APART_MAX;
}

void postgresql_turn_end(struct postgresql_work *work)
{
    struct store *store = work->base.store;
    struct postgresql_turns *turns = &((struct postgresql_store *)store)->turns;
    if (!work->turn.taken)
        return;
    work->turn.taken = false;
    int64_t took_ns = world_monotonic_ns(store->world) - work->turn.since_ns;
    judge_turn(work->turn.kind, took_ns > turns->wait_ms * INT64_C(1000000));
    turns->under_way[work->turn.round & 1]--;
    begin_round(turns);
}

void postgresql_turn_learn(struct postgresql_work *work)
{
    if (work->turn.kind)
        work->turn.kind->turns = TURNS;
}
