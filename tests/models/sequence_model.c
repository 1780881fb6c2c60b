/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sequencer of a server, and groups that number their own events (docs/internals/store.md), as
 * PostgreSQL's transactions let them meet: works of one event each, two calls of the sequencer, a
 * group of two events, and a program of the time before groups, in every order of their statements.
 *
 * A work takes its key's lock and the lock of drawing, draws, writes its event without a position,
 * and commits or is rolled back; an older program's takes the lock of drawing by the trigger. A
 * call of the sequencer takes the lock of numbering, looks whether anybody is between drawing and
 * commit, takes its view, and commits the positions; its link may die, and the server goes on with
 * it. A group has its view from before all that, and the numbering lock only if nobody has it.
 *
 * What readers see is what is committed. `order` is what they have seen, in the order of its
 * positions: no position is given twice, none appears below one that was there, those of a key
 * stand in the order of their commits, and what a work has read stands before what it publishes.
 */

#include "explore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { WORKS = 3, CALLS = 2, EVENTS = 5, GROUP = 3 }; /* the group's events are 3 and 4 */
enum { OUT, AT_KEY, AT_DRAWING, DRAWN, DONE, ROLLED_BACK };
enum { IDLE, LOCKED, COUNTED, SEEN, OVER };
enum { ABSENT, WRITTEN, COMMITTED };

struct sequence {
    /* The rules. */
    uint8_t key_lock, draws_late, drawing_lock, numbering_lock, looks_at_drawing, fresh_view;
    uint8_t sees_changes, right_behind, trigger;
    uint8_t grouped; /* there is a group */
    /* The works 0 and 1 have one key, and so has the group's first event; 2 reads what 0 has done.
     */
    uint8_t work[WORKS], read_first;
    uint8_t event[EVENTS], seq[EVENTS], position[EVENTS]; /* as committed */
    uint8_t call[CALLS], view[CALLS], seen_drawn[CALLS], from[CALLS], lost[CALLS];
    uint8_t counter, drawn; /* of the counter's row, committed */
    uint8_t idle_calls;     /* that may still come though there is nothing to do */
    uint8_t sequence;       /* the last that was drawn */
    uint8_t numbering;      /* whose lock it is: 1 + call, GROUP + 1, or nobody's */
    uint8_t group, group_stale, group_counter, group_drawn, group_holds, group_numbers, group_read;
    uint8_t key_committed[3], key_count; /* events of the key, in the order of their commits */
    uint8_t highest, bad;
};

static const char *const troubles[] = {NULL,
                                       "a position was given twice",
                                       "a lower position appeared after a higher one",
                                       "a key's events stand in another order than its works",
                                       "what was read stands behind what was published",
                                       "a group fails that nobody was in the way of"};

static int is_of_key(int event)
{
    return event == 0 || event == 1 || event == GROUP;
}

static int key_held(const struct sequence *now)
{
    return now->key_lock &&
           (now->work[0] == AT_KEY || now->work[0] == AT_DRAWING || now->work[0] == DRAWN ||
            now->work[1] == AT_KEY || now->work[1] == AT_DRAWING || now->work[1] == DRAWN ||
            (now->group >= LOCKED && now->group < OVER));
}

/* Somebody is between drawing and commit: the lock of drawing can't be had alone. */
static int is_drawing(const struct sequence *now)
{
    if (!now->drawing_lock)
        return 0;
    for (int i = 0; i < WORKS; i++) {
        /* 1 is an older program's: the trigger takes the lock for it. */
        bool takes = i != 1 || now->trigger;
        if (takes && (now->work[i] == AT_DRAWING || now->work[i] == DRAWN))
            return 1;
    }
    return now->group > LOCKED && now->group < OVER;
}

static void committed(struct sequence *after, int event)
{
    after->event[event] = COMMITTED;
    if (is_of_key(event))
        after->key_committed[after->key_count++] = (uint8_t)event;
}

/* What readers see now: the positions as they are committed. */
static void look(struct sequence *after)
{
    uint8_t top = after->highest;
    for (int i = 0; i < EVENTS; i++) {
        for (int j = 0; j < i; j++) {
            if (after->position[i] && after->position[i] == after->position[j])
                after->bad = 1;
        }
        top = after->position[i] > top ? after->position[i] : top;
    }
    int count = 0;
    for (int i = 0; i < EVENTS; i++)
        count += after->position[i] > 0;
    if (!after->bad && count < top)
        after->bad = 2; /* dense, or the one that is missing comes below */
    for (int i = 0; i + 1 < after->key_count; i++) {
        uint8_t first = after->position[after->key_committed[i]];
        uint8_t second = after->position[after->key_committed[i + 1]];
        if (second && (!first || first > second))
            after->bad = after->bad ? after->bad : 3;
    }
    if (after->read_first && after->position[2] &&
        (!after->position[0] || after->position[0] > after->position[2]))
        after->bad = after->bad ? after->bad : 4;
    for (int i = 0; i < EVENTS && after->position[GROUP]; i++) {
        bool behind = !after->position[i] || after->position[i] > after->position[GROUP];
        if (after->group_read >> i & 1 && behind)
            after->bad = after->bad ? after->bad : 4;
    }
    after->highest = top;
}

static void next_work(struct explore *explore, const struct sequence *now, int i)
{
    struct sequence after = *now;
    switch (now->work[i]) {
    case OUT:
        if (!now->draws_late && !now->seq[i]) { /* before it waits for the key's lock */
            after.seq[i] = ++after.sequence;
            explore_step(explore, &after, "work %d draws %d", i, after.seq[i]);
            return;
        }
        if (is_of_key(i) && key_held(now))
            return;
        after.work[i] = AT_KEY;
        after.read_first |= i == 2 && now->event[0] == COMMITTED;
        explore_step(explore, &after, "work %d has its key", i);
        return;
    case AT_KEY:
        after.work[i] = AT_DRAWING;
        explore_step(explore, &after, "work %d has the lock of drawing", i);
        return;
    case AT_DRAWING:
        if (now->draws_late)
            after.seq[i] = ++after.sequence;
        after.event[i] = WRITTEN;
        after.work[i] = DRAWN;
        explore_step(explore, &after, "work %d draws %d", i, after.seq[i]);
        return;
    case DRAWN:
        after.work[i] = DONE;
        committed(&after, i);
        explore_step(explore, &after, "work %d commits", i);
        if (i == 1) {
            after = *now;
            after.work[i] = ROLLED_BACK;
            after.event[i] = ABSENT;
            explore_step(explore, &after, "work %d is rolled back", i);
        }
        return;
    default:
        return;
    }
}

static uint8_t unnumbered(const struct sequence *now)
{
    uint8_t view = 0;
    for (int i = 0; i < EVENTS; i++)
        view |= (uint8_t)((now->event[i] == COMMITTED && !now->position[i]) << i);
    return view;
}

/* In the order of seq, from the counter on. */
static void number(struct sequence *after, int call)
{
    uint8_t position = after->from[call];
    for (uint8_t seq = 1; seq <= after->sequence; seq++) {
        for (int i = 0; i < EVENTS; i++) {
            if (after->seq[i] == seq && after->view[call] >> i & 1)
                after->position[i] = ++position;
        }
    }
    after->counter = position > after->counter ? position : after->counter;
    if (after->seen_drawn[call])
        after->drawn = (uint8_t)(after->seen_drawn[call] - 1);
}

static void next_call(struct explore *explore, const struct sequence *now, int i)
{
    struct sequence after = *now;
    switch (now->call[i]) {
    case IDLE:
        if (!now->fresh_view) /* one statement: its view is older than its wait */
            after.view[i] = unnumbered(now);
        after.call[i] = LOCKED;
        explore_step(explore, &after, "call %d begins", i);
        return;
    case LOCKED:
        if (now->numbering_lock && now->numbering)
            return;
        after.numbering = now->numbering_lock ? (uint8_t)(1 + i) : 0;
        after.from[i] = now->counter;
        after.group_stale = now->group > IDLE && now->group < OVER; /* it updates the row */
        after.call[i] = COUNTED;
        explore_step(explore, &after, "call %d has the lock of numbering", i);
        return;
    case COUNTED:
        if (!now->looks_at_drawing || !is_drawing(now))
            after.seen_drawn[i] = (uint8_t)(1 + now->sequence);
        if (now->fresh_view)
            after.view[i] = unnumbered(now);
        after.call[i] = SEEN;
        explore_step(explore, &after, "call %d looks", i);
        if (i == 0 && !now->lost[i]) {
            after = *now;
            after.lost[i] = 1;
            explore_step(explore, &after, "the link of call %d dies, and the server goes on", i);
        }
        return;
    case SEEN:
        number(&after, i);
        after.numbering = after.numbering == 1 + i ? 0 : after.numbering;
        /* Who calls asks again until all that is committed has a position. */
        after.call[i] = after.view[i] = after.seen_drawn[i] = after.from[i] = after.lost[i] = 0;
        look(&after);
        explore_step(explore, &after, "call %d commits", i);
        if (now->lost[i]) {
            after = *now;
            after.numbering = after.numbering == 1 + i ? 0 : after.numbering;
            after.call[i] = after.view[i] = after.seen_drawn[i] = after.from[i] = after.lost[i] = 0;
            explore_step(explore, &after, "call %d is undone", i);
        }
        return;
    default:
        return;
    }
}

static void group_draws(struct sequence *after, const struct sequence *now)
{
    uint8_t first = (uint8_t)(now->sequence + 1);
    after->seq[GROUP] = first;
    after->seq[GROUP + 1] = (uint8_t)(first + 1);
    after->sequence = (uint8_t)(first + 1);
    after->event[GROUP] = after->event[GROUP + 1] = WRITTEN;
    after->group_numbers =
        now->group_holds && (!now->right_behind || first == now->group_drawn + 1);
}

static void next_group(struct explore *explore, const struct sequence *now)
{
    struct sequence after = *now;
    switch (now->group) {
    case IDLE: /* its transaction's view, once for all */
        after.group = LOCKED;
        after.group_counter = now->counter;
        after.group_drawn = now->drawn;
        for (int i = 0; i < EVENTS; i++)
            after.group_read |= (uint8_t)((now->event[i] == COMMITTED) << i);
        if (key_held(now))
            return;
        explore_step(explore, &after, "the group has its view and its keys");
        return;
    case LOCKED:
        after.group = COUNTED;
        after.group_holds =
            (!now->numbering_lock || !now->numbering) && (!now->sees_changes || !now->group_stale);
        if (now->numbering_lock && !now->numbering)
            after.numbering = GROUP + 1; /* to its end, though it may not number */
        explore_step(explore, &after, "the group %s", after.group_holds ? "may number" : "may not");
        return;
    case COUNTED:
        after.group = SEEN;
        group_draws(&after, now);
        explore_step(explore, &after, "the group draws from %d", after.seq[GROUP]);
        return;
    case SEEN:
        after.group = OVER;
        after.numbering = after.numbering == GROUP + 1 ? 0 : after.numbering;
        committed(&after, GROUP);
        committed(&after, GROUP + 1);
        if (now->group_numbers) {
            after.position[GROUP] = (uint8_t)(now->group_counter + 1);
            after.position[GROUP + 1] = (uint8_t)(now->group_counter + 2);
            after.counter = (uint8_t)(now->group_counter + 2);
            after.drawn = (uint8_t)(now->seq[GROUP] + 1);
        }
        look(&after);
        if (now->group_numbers && now->group_stale && !after.bad)
            after.bad = 5;
        explore_step(explore, &after, "the group commits");
        after = *now;
        after.group = OVER;
        after.numbering = after.numbering == GROUP + 1 ? 0 : after.numbering;
        after.event[GROUP] = after.event[GROUP + 1] = ABSENT;
        explore_step(explore, &after, "the group is rolled back");
        return;
    default:
        return;
    }
}

static void next(struct explore *explore, const void *state)
{
    const struct sequence *now = state;
    if (now->bad)
        return;
    for (int i = 0; i < WORKS; i++)
        next_work(explore, now, i);
    for (int i = 0; i < CALLS; i++) {
        bool due = now->call[i] != IDLE || unnumbered(now) || now->drawn != now->sequence;
        struct sequence idle = *now;
        if (due || now->idle_calls) {
            idle.idle_calls = due ? now->idle_calls : 0;
            next_call(explore, &idle, i);
        }
    }
    if (now->grouped)
        next_group(explore, now);
}

static const char *bad(const void *state)
{
    return troubles[((const struct sequence *)state)->bad];
}

static bool ended(const void *state)
{
    const struct sequence *now = state;
    for (int i = 0; i < WORKS; i++) {
        if (now->work[i] != DONE && now->work[i] != ROLLED_BACK)
            return false;
    }
    return (!now->grouped || now->group == OVER) && !unnumbered(now);
}

static const struct explore_model model = {
    .name = "sequence", .size = sizeof(struct sequence), .next = next, .bad = bad, .goal = ended};

static struct sequence with_all(uint8_t grouped)
{
    return (struct sequence){.key_lock = 1,
                             .draws_late = 1,
                             .drawing_lock = 1,
                             .numbering_lock = 1,
                             .looks_at_drawing = 1,
                             .fresh_view = 1,
                             .sees_changes = 1,
                             .right_behind = 1,
                             .trigger = 1,
                             .idle_calls = grouped,
                             .grouped = grouped};
}

static void one_order_without_groups(void **state)
{
    (void)state;
    struct sequence first = with_all(0);
    explore_holds(&model, &first);
}

static void one_order_with_a_group_that_numbers_its_own(void **state)
{
    (void)state;
    struct sequence first = with_all(1);
    explore_holds(&model, &first);
}

#define WITHOUT(groups, rule, trouble)                                                             \
    do {                                                                                           \
        struct sequence first = with_all(groups);                                                  \
        first.rule = 0;                                                                            \
        explore_catches(&model, &first, trouble);                                                  \
    } while (0)

static void without_any_one_rule_something_is_caught(void **state)
{
    (void)state;
    WITHOUT(0, key_lock, troubles[3]);
    WITHOUT(0, draws_late, troubles[3]);
    WITHOUT(1, drawing_lock, troubles[3]);
    WITHOUT(1, trigger, troubles[3]);
    WITHOUT(1, looks_at_drawing, troubles[3]);
    WITHOUT(0, numbering_lock, troubles[1]);
    WITHOUT(0, fresh_view, troubles[2]);
    WITHOUT(1, sees_changes, troubles[5]);
    WITHOUT(1, right_behind, troubles[3]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_order_without_groups),
        cmocka_unit_test(one_order_with_a_group_that_numbers_its_own),
        cmocka_unit_test(without_any_one_rule_something_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
