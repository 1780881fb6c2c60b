/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carrying on (src/engine/mongodb/carry.c): a work is decided by one write, its entry, and
 * what that carries is written behind it, message by message. Any message can stay under way when
 * its link dies, and be carried out at any time after that, or never; who sent it sends it again,
 * until it is answered. Or dies: then another process takes over, carries on what it finds, and
 * goes on from the cursor. Processes also pass the turn on when nothing is under way.
 *
 * Each work applies the next event of another service: it moves the cursor, publishes an event of
 * its own, and parks something (first, third event) or removes it (second). The outbox is trimmed
 * up to the counter at any time.
 */

#include "explore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { EVENTS = 3, WORKS = 5, NONE = 255 };
enum message { ENTRY, ROW, CURSOR, PARKED, COUNT, TRIM, MESSAGES };
enum phase { IDLE, DECIDING, CARRYING, RECOVERING, DEAD };
enum left { NOTHING, LEFT, STONE }; /* of an entry; STONE: a late copy of it meets it */

static const char *const names[] = {"entry", "row", "cursor", "parked", "count", "trim"};

struct carry {
    /* The rules. */
    uint8_t numbered; /* a record that a later work has written is left alone */
    uint8_t told;     /* a record that was sent twice says so, and its removal leaves a stone */
    uint8_t kept;     /* so does an entry */
    uint8_t rises;    /* the counter never goes back */
    uint8_t dated;    /* an entry of an epoch that was recovered is none */
    uint8_t found;    /* an event's row is looked for before it is given a position */
    uint8_t once;     /* what was answered before the entry was to be taken out is not sent again */
    uint8_t stamped;  /* who finds an entry keeps it from being taken out by who had it before */
    /* Faults that are left. */
    uint8_t cuts, deaths, turns;
    /* The server. */
    uint8_t epoch, recovered, counter, trimmed;
    uint8_t entry[WORKS], entry_told[WORKS], entry_of[WORKS]; /* of which epoch */
    uint8_t cursor, cursor_by;                                /* 1 + work; 0: nobody */
    uint8_t parked, parked_by, parked_told, parked_gone;      /* gone: a stone */
    uint8_t row[WORKS + 2];                                   /* at a position: 1 + work */
    /* Under way, one of each at the most, as it was first sent, or repeated. */
    uint8_t late[WORKS][MESSAGES], late_told[WORKS][MESSAGES]; /* the epoch of its sender */
    /* What a message says. */
    uint8_t event[WORKS], born[WORKS], position[WORKS];
    /* The process that has the turn. */
    uint8_t phase, work, step, again, top, next_work;
    /* What happened. */
    uint8_t published[WORKS], applied[WORKS]; /* applied: its entry was taken for one */
};

/* ---- The server ---- */

static void park(struct carry *s, int w, bool told)
{
    if (s->numbered && s->parked_by > w + 1)
        return;
    if (s->event[w] % 2) {
        s->parked = 1;
        s->parked_gone = 0;
        s->parked_by = (uint8_t)(w + 1);
        s->parked_told |= told;
    } else if (s->parked || s->parked_gone) {
        s->parked = 0;
        s->parked_gone = s->parked_told;
        s->parked_by = s->parked_told ? (uint8_t)(w + 1) : 0;
    }
}

static void carry_out(struct carry *s, int w, int what, int epoch, bool told)
{
    told = told && (what == ENTRY ? s->kept : s->told);
    if (what == ENTRY && s->entry[w] == NOTHING) {
        s->entry[w] = LEFT;
        s->entry_told[w] = told;
        s->entry_of[w] = s->born[w];
    } else if (what == ROW && !s->row[s->position[w]] && s->position[w] > s->trimmed) {
        s->row[s->position[w]] = (uint8_t)(w + 1);
        s->published[w]++;
    } else if (what == CURSOR && (!s->numbered || s->cursor_by <= w + 1)) {
        s->cursor = s->event[w];
        s->cursor_by = (uint8_t)(w + 1);
    } else if (what == PARKED) {
        park(s, w, told);
    } else if (what == COUNT && epoch == s->epoch && (!s->rises || s->counter < s->position[w])) {
        s->counter = s->position[w];
    } else if (what == TRIM && s->entry[w] == LEFT && (!s->stamped || s->entry_of[w] == epoch)) {
        s->entry[w] = s->entry_told[w] ? STONE : NOTHING;
    }
}

static void late_messages(struct explore *explore, const struct carry *now)
{
    for (int w = 0; w < WORKS; w++) {
        for (int what = 0; what < MESSAGES; what++) {
            struct carry after = *now;
            if (now->late[w][what]) {
                after.late[w][what] = 0;
                carry_out(&after, w, what, now->late[w][what], false);
                explore_step(explore, &after, "late: %s of %d", names[what], w);
            }
            after = *now;
            if (now->late_told[w][what]) {
                after.late_told[w][what] = 0;
                carry_out(&after, w, what, now->late_told[w][what], true);
                explore_step(explore, &after, "late: repeated %s of %d", names[what], w);
            }
        }
    }
}

/* ---- The process ---- */

static int row_of(const struct carry *s, int w)
{
    for (int i = 1; i < WORKS + 2; i++) {
        if (s->row[i] == w + 1)
            return i;
    }
    return 0;
}

/* Before an attempt that is not the first: rows beyond the counter are counted. */
static void count_rows(struct carry *s)
{
    while (s->counter < WORKS + 1 && s->row[s->counter + 1])
        s->counter++;
    s->top = s->counter;
}

/* The step's message is made. False: there is nothing to send. */
static bool prepare(struct carry *s)
{
    int w = s->work, there = s->found ? row_of(s, w) : 0;
    if (s->step != ROW)
        return true;
    s->position[w] = there ? (uint8_t)there : (uint8_t)(s->top + 1);
    return !there;
}

static void begin_to_carry(struct carry *s, int w, bool again)
{
    s->phase = CARRYING;
    s->work = (uint8_t)w;
    s->step = ROW;
    s->again = again;
    if (again)
        count_rows(s);
}

/* The answer to the step's message is there. */
static void answered(struct carry *s)
{
    int w = s->work;
    if (s->step == ENTRY) {
        if (s->again && s->kept)
            s->entry_told[w] = 1; /* whichever attempt made it */
        s->applied[w] = 1;
        begin_to_carry(s, w, false);
    } else if (s->step == ROW && s->row[s->position[w]] != w + 1 && s->position[w] > s->trimmed) {
        begin_to_carry(s, w, true); /* the position is taken */
    } else if (s->step != TRIM) {
        if (s->step == ROW && s->position[w] > s->top)
            s->top = s->position[w];
        s->step++;
    } else {
        s->phase = s->recovered + 1 < s->epoch ? RECOVERING : IDLE;
        s->again = 0;
        s->work = NONE;
    }
}

static void sends(struct explore *explore, const struct carry *now)
{
    struct carry sent = *now;
    int w = now->work, what = now->step;
    if (!prepare(&sent)) {
        answered(&sent);
        explore_step(explore, &sent, "the event of %d has its row", w);
        return;
    }
    struct carry after = sent;
    carry_out(&after, w, what, now->epoch, now->again);
    answered(&after);
    explore_step(explore, &after, "%s of %d", names[what], w);
    uint8_t *under_way = now->again ? &sent.late_told[w][what] : &sent.late[w][what];
    if (*under_way)
        return;
    *under_way = now->epoch;
    if (now->cuts) {
        after = sent;
        after.cuts--;
        if (what == ENTRY || (what == TRIM && now->once))
            after.again = 1;
        else
            begin_to_carry(&after, w, true);
        explore_step(explore, &after, "%s of %d is under way, and the link dies", names[what], w);
    }
    if (now->deaths) {
        sent.deaths--;
        sent.phase = DEAD;
        explore_step(explore, &sent, "%s of %d is under way, and its sender dies", names[what], w);
    }
}

static void begins(struct explore *explore, const struct carry *now)
{
    struct carry after = *now;
    if (now->cursor < EVENTS && now->next_work < WORKS) {
        int w = after.next_work++;
        after.event[w] = (uint8_t)(now->cursor + 1);
        after.born[w] = now->epoch;
        after.phase = DECIDING;
        after.step = ENTRY;
        after.work = (uint8_t)w;
        explore_step(explore, &after, "work %d applies event %d", w, after.event[w]);
    }
    after = *now;
    if (now->turns) {
        after.turns--;
        after.recovered = after.epoch++;
        explore_step(explore, &after, "the turn goes to another process");
    }
}

static void takes_over(struct explore *explore, const struct carry *now)
{
    struct carry after = *now;
    after.epoch++;
    after.phase = RECOVERING;
    after.work = NONE;
    after.again = 0;
    explore_step(explore, &after, "another process takes over");
}

static void recovers(struct explore *explore, const struct carry *now)
{
    struct carry after = *now;
    for (int w = 0; w < WORKS; w++) {
        after = *now;
        if (now->entry[w] != LEFT)
            continue;
        if (now->dated && now->born[w] <= now->recovered) {
            after.entry[w] = NOTHING;
            explore_step(explore, &after, "the entry of %d comes too late", w);
            return;
        }
        if (after.kept)
            after.entry_told[w] = 1;
        after.applied[w] = 1;
        after.entry_of[w] = after.epoch;
        begin_to_carry(&after, w, true);
        explore_step(explore, &after, "the entry of %d is found", w);
        return;
    }
    after.recovered = (uint8_t)(after.epoch - 1);
    after.phase = IDLE;
    for (int w = 0; w < WORKS; w++) {
        if (after.entry[w] == STONE && after.born[w] <= after.recovered && after.dated)
            after.entry[w] = NOTHING;
    }
    explore_step(explore, &after, "nothing is left");
}

static void next(struct explore *explore, const void *state)
{
    const struct carry *now = state;
    late_messages(explore, now);
    if (now->phase == IDLE)
        begins(explore, now);
    else if (now->phase == DECIDING || now->phase == CARRYING)
        sends(explore, now);
    else if (now->phase == RECOVERING)
        recovers(explore, now);
    else
        takes_over(explore, now);
    if (now->trimmed < now->counter && now->phase == IDLE) {
        struct carry after = *now;
        after.trimmed = now->counter;
        for (int i = 1; i <= after.trimmed; i++)
            after.row[i] = 0;
        explore_step(explore, &after, "the outbox is trimmed");
    }
}

static const char *bad(const void *state)
{
    const struct carry *now = state;
    for (int w = 0; w < WORKS; w++) {
        if (now->published[w] > 1)
            return "an event was published twice";
    }
    for (int w = 1; w < WORKS; w++) {
        for (int earlier = 0; earlier < w; earlier++) {
            if (now->applied[w] && now->applied[earlier] && now->event[w] == now->event[earlier])
                return "an event was applied twice";
        }
    }
    if (now->phase != IDLE)
        return NULL;
    int last = 0;
    for (int w = 0; w < WORKS; w++)
        last = now->applied[w] && now->event[w] > last ? now->event[w] : last;
    if (now->cursor != last)
        return "the cursor went back";
    if (now->counter < last)
        return "the counter went back";
    if (now->parked != last % 2)
        return now->parked ? "what was removed is there again" : "what was parked is gone";
    return NULL;
}

static bool goal(const void *state)
{
    const struct carry *now = state;
    return now->phase == IDLE && now->cursor == EVENTS;
}

static const struct explore_model model = {
    .name = "carry", .size = sizeof(struct carry), .next = next, .bad = bad, .goal = goal};

static struct carry with_all_rules(void)
{
    return (struct carry){.numbered = 1,
                          .told = 1,
                          .kept = 1,
                          .rises = 1,
                          .dated = 1,
                          .found = 1,
                          .once = 1,
                          .stamped = 1,
                          .cuts = 2,
                          .deaths = 1,
                          .turns = 1,
                          .epoch = 1,
                          .work = NONE};
}

static void no_late_message_does_harm_however_late(void **state)
{
    (void)state;
    struct carry first = with_all_rules();
    explore_holds(&model, &first);
}

static void records_without_numbers_go_back(void **state)
{
    (void)state;
    struct carry first = with_all_rules();
    first.numbered = 0;
    explore_catches(&model, &first, "the cursor went back");
}

static void what_was_removed_without_a_word_comes_again(void **state)
{
    (void)state;
    struct carry first = with_all_rules();
    first.told = 0;
    explore_catches(&model, &first, "what was removed is there again");
}

static void an_entry_that_leaves_nothing_is_carried_on_again(void **state)
{
    (void)state;
    struct carry first = with_all_rules();
    first.kept = 0;
    explore_catches(&model, &first, "an event was published twice");
}

static void a_counter_that_is_set_goes_back(void **state)
{
    (void)state;
    struct carry first = with_all_rules();
    first.rises = 0;
    explore_catches(&model, &first, "the counter went back");
}

static void an_entry_of_a_dead_process_that_comes_late_is_applied_again(void **state)
{
    (void)state;
    struct carry first = with_all_rules();
    first.dated = 0;
    first.deaths = 2;
    explore_catches(&model, &first, "an event was applied twice");
}

static void an_event_that_is_not_looked_for_is_published_twice(void **state)
{
    (void)state;
    struct carry first = with_all_rules();
    first.found = 0;
    explore_catches(&model, &first, "an event was published twice");
}

static void what_is_repeated_without_its_entry_comes_again(void **state)
{
    (void)state;
    struct carry first = with_all_rules();
    first.once = 0;
    explore_catches(&model, &first, "what was removed is there again");
}

static void an_entry_that_its_former_carrier_takes_out_is_missed(void **state)
{
    (void)state;
    struct carry first = with_all_rules();
    first.stamped = 0;
    first.deaths = 2;
    first.cuts = 0;
    explore_catches(&model, &first, "what was removed is there again");
}

static void no_late_message_does_harm_when_two_die(void **state)
{
    (void)state;
    struct carry first = with_all_rules();
    first.deaths = 2;
    first.cuts = first.turns = 0;
    explore_holds(&model, &first);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_late_message_does_harm_however_late),
        cmocka_unit_test(no_late_message_does_harm_when_two_die),
        cmocka_unit_test(records_without_numbers_go_back),
        cmocka_unit_test(what_was_removed_without_a_word_comes_again),
        cmocka_unit_test(an_entry_that_leaves_nothing_is_carried_on_again),
        cmocka_unit_test(a_counter_that_is_set_goes_back),
        cmocka_unit_test(an_entry_of_a_dead_process_that_comes_late_is_applied_again),
        cmocka_unit_test(what_is_repeated_without_its_entry_comes_again),
        cmocka_unit_test(an_entry_that_its_former_carrier_takes_out_is_missed),
        cmocka_unit_test(an_event_that_is_not_looked_for_is_published_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
