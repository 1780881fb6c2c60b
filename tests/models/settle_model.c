/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settling on servers, as src/store/relational/mark.c tells it: one process with two works, whose
 * messages are lost or late, and who gives up waiting at any time (a pause is nothing else); a
 * server that crashes with what it has shown and not synced; another process that removes, whenever
 * its clock tells it to; a program of before that trims its own. A COMMIT is carried out once at
 * the most, as its transaction is of one link; requests to settle are sent again and again.
 *
 * A settling's request is one step here, as it is one transaction that holds the opening's row.
 */

#include "explore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

enum { WORKS = 2, REQUESTS = 2 };

enum rule {
    SAYS_WHO,        /* a mark tells whether the work or settling wrote it */
    TAKES_PLACE,     /* settling leaves a row where there is none */
    WRITES_ANYWAY,   /* settling's answer comes behind the sync of what it has seen */
    LOOKS_AT_ITSELF, /* a process whose opening is gone does not say never */
    HOLDS_OPENING,   /* while it settles */
    OPENING_FIRST,   /* is removed, and then its marks */
    ONLY_DECIDED,    /* marks are removed by their own process */
    NEVER_STAYS,     /* when it removes marks, settling's rows are none */
    KEEPS_LONG,      /* settling's rows stay for longer than any message lives */
    OWN_TABLE,       /* programs of before don't trim it */
    RULES
};

enum phase { IDLE, SENT, SETTLING, DONE, AGAIN };
enum row { NO_ROW, BY_WORK, BY_SETTLING };
enum effect { NO_EFFECT, SHOWN, SYNCED };

struct work {
    uint8_t phase;    /* as the process sees it */
    uint8_t commit;   /* on its way */
    uint8_t answer;   /* to it, on its way */
    uint8_t requests; /* to settle, on their way */
    uint8_t checked;  /* of them: has seen the opening, and holds it not */
    uint8_t says_stands, says_never, says_gone; /* answers on their way */
    uint8_t row, effect;
};

struct settle {
    struct work works[WORKS];
    uint8_t without[RULES];
    uint8_t opening; /* is there */
    uint8_t trim;    /* on its way: marks of works below this one */
    uint8_t ended;   /* the process ended itself */
    uint8_t losses, crashes, removals, trims, former; /* that may still be */
};

#define STEP(explore, after, ...) explore_step(explore, after, __VA_ARGS__)

static void sync_all(struct settle *state)
{
    for (int i = 0; i < WORKS; i++) {
        if (state->works[i].effect == SHOWN)
            state->works[i].effect = SYNCED;
    }
}

/* ---- The process ---- */

static int decided_below(const struct settle *now)
{
    int below = 0;
    while (below < WORKS && (now->works[below].phase == DONE || now->works[below].phase == AGAIN))
        below++;
    return below;
}

static void hear(struct explore *explore, const struct settle *now, int i)
{
    struct settle after = *now;
    struct work *work = &after.works[i];
    bool asks = work->phase == SETTLING;
    if (work->says_stands) {
        work->says_stands = 0;
        if (asks)
            work->phase = DONE;
        STEP(explore, &after, "%d: the process hears that it stands", i);
    }
    after = *now;
    if (work->says_never) {
        work->says_never = 0;
        if (asks)
            work->phase = AGAIN;
        STEP(explore, &after, "%d: the process hears that it never will", i);
    }
    after = *now;
    if (work->says_gone) {
        work->says_gone = 0;
        after.ended = asks;
        STEP(explore, &after, "%d: the process hears that its opening is gone", i);
    }
}

static void process_steps(struct explore *explore, const struct settle *now, int i)
{
    struct settle after = *now;
    struct work *work = &after.works[i];
    if (work->phase == IDLE && now->opening) {
        work->phase = SENT;
        work->commit = 1;
        STEP(explore, &after, "%d: COMMIT is sent", i);
    }
    after = *now;
    if (work->phase == SENT) {
        work->phase = SETTLING;
        STEP(explore, &after, "%d: the link is gone", i);
    }
    after = *now;
    if (work->answer) {
        work->answer = 0;
        if (work->phase == SENT)
            work->phase = DONE;
        STEP(explore, &after, "%d: COMMIT's answer is heard", i);
    }
    after = *now;
    if (work->phase == SETTLING && work->requests + work->checked < REQUESTS) {
        work->requests++;
        STEP(explore, &after, "%d: it is asked", i);
    }
    hear(explore, now, i);
}

static void trim_steps(struct explore *explore, const struct settle *now)
{
    struct settle after = *now;
    int below = now->without[ONLY_DECIDED] ? WORKS : decided_below(now);
    if (!now->trim && now->trims && below) {
        after.trims--;
        after.trim = (uint8_t)below;
        STEP(explore, &after, "the process sends the removal of marks below %d", below);
    }
}

/* ---- The server ---- */

static void commit_steps(struct explore *explore, const struct settle *now, int i)
{
    struct settle after = *now;
    struct work *work = &after.works[i];
    if (work->commit) {
        work->commit = 0;
        if (work->row == NO_ROW) {
            work->row = BY_WORK;
            work->effect = SHOWN;
        }
        STEP(explore, &after, "%d: COMMIT comes to the server", i);
    }
    after = *now;
    if (work->effect == SHOWN) {
        sync_all(&after);
        work->answer = 1;
        STEP(explore, &after, "%d: the server syncs it, and answers", i);
    }
}

static void answer(struct settle *state, struct work *work, bool may_write)
{
    bool was_there = work->row != NO_ROW;
    if (!was_there && may_write && !state->without[TAKES_PLACE])
        work->row = BY_SETTLING;
    if (!was_there && !may_write)
        work->says_gone = 1;
    else if (was_there && (work->row == BY_WORK || state->without[SAYS_WHO]))
        work->says_stands = 1;
    else
        work->says_never = 1;
    if (!state->without[WRITES_ANYWAY] || !was_there)
        sync_all(state);
}

static void settle_steps(struct explore *explore, const struct settle *now, int i)
{
    struct settle after = *now;
    struct work *work = &after.works[i];
    if (work->requests && now->without[HOLDS_OPENING] && now->opening) {
        work->requests--;
        work->checked++;
        STEP(explore, &after, "%d: a settling sees the opening", i);
    } else if (work->requests) {
        work->requests--;
        answer(&after, work, now->opening || now->without[LOOKS_AT_ITSELF]);
        STEP(explore, &after, "%d: a settling comes to the server", i);
    }
    after = *now;
    if (work->checked) {
        work->checked--;
        answer(&after, work, true);
        STEP(explore, &after, "%d: a settling that has seen the opening goes on", i);
    }
}

static void marks_remove(struct settle *state, int below, bool settled_too)
{
    for (int i = 0; i < below; i++) {
        struct work *work = &state->works[i];
        if (work->row == BY_WORK || (settled_too && work->row == BY_SETTLING))
            work->row = NO_ROW;
    }
}

static void removal_steps(struct explore *explore, const struct settle *now)
{
    struct settle after = *now;
    if (now->trim) {
        after.trim = 0;
        marks_remove(&after, now->trim, now->without[NEVER_STAYS]);
        STEP(explore, &after, "the process's removal comes to the server");
    }
    after = *now;
    if (now->opening && now->removals) {
        after.removals--;
        after.opening = 0;
        STEP(explore, &after, "another removes the opening");
    }
    after = *now;
    if (!now->opening || now->without[OPENING_FIRST]) {
        marks_remove(&after, WORKS, false);
        STEP(explore, &after, "another removes the opening's marks");
    }
    after = *now;
    if (now->without[OWN_TABLE] && now->former) {
        after.former--;
        marks_remove(&after, WORKS, false);
        STEP(explore, &after, "a program of before trims by its clock");
    }
    for (int i = 0; i < WORKS; i++) {
        after = *now;
        if (now->works[i].row != BY_SETTLING || (now->works[i].commit && !now->without[KEEPS_LONG]))
            continue;
        after.works[i].row = NO_ROW;
        /* A month has gone: nothing of then is on its way any more. */
        if (!now->without[KEEPS_LONG])
            after.works[i].requests = after.works[i].checked = 0;
        if (now->works[i].phase != SETTLING)
            STEP(explore, &after, "%d: settling's row is removed", i);
    }
}

/* ---- Faults ---- */

static void fault_steps(struct explore *explore, const struct settle *now)
{
    struct settle after = *now;
    for (int i = 0; i < WORKS && now->losses; i++) {
        uint8_t *const messages[] = {&after.works[i].commit,     &after.works[i].answer,
                                     &after.works[i].requests,   &after.works[i].says_stands,
                                     &after.works[i].says_never, &after.works[i].says_gone};
        static const char *const names[] = {"COMMIT",           "COMMIT's answer",
                                            "a settling",       "an answer: stands",
                                            "an answer: never", "an answer: gone"};
        for (int m = 0; m < 6; m++) {
            if (!*messages[m])
                continue;
            --*messages[m];
            after.losses--;
            STEP(explore, &after, "%d: %s is lost", i, names[m]);
            after = *now;
        }
    }
    if (!now->crashes)
        return;
    after.crashes--;
    for (int i = 0; i < WORKS; i++) {
        struct work *work = &after.works[i];
        if (work->effect == SHOWN) {
            work->effect = NO_EFFECT;
            if (work->row == BY_WORK)
                work->row = NO_ROW;
        }
    }
    STEP(explore, &after, "the server crashes, and starts again");
}

static void next(struct explore *explore, const void *state)
{
    const struct settle *now = state;
    if (now->ended)
        return;
    for (int i = 0; i < WORKS; i++) {
        process_steps(explore, now, i);
        commit_steps(explore, now, i);
        settle_steps(explore, now, i);
    }
    trim_steps(explore, now);
    removal_steps(explore, now);
    fault_steps(explore, now);
}

static const char lost[] = "a work that was acknowledged is not there";
static const char doubled[] = "a work that ran again is there";

static const char *bad(const void *state)
{
    const struct settle *now = state;
    for (int i = 0; i < WORKS; i++) {
        if (now->works[i].phase == DONE && now->works[i].effect == NO_EFFECT)
            return lost;
        if (now->works[i].phase == AGAIN && now->works[i].effect != NO_EFFECT)
            return doubled;
    }
    return NULL;
}

static bool decided(const void *state)
{
    const struct settle *now = state;
    bool all = true;
    for (int i = 0; i < WORKS; i++)
        all = all && (now->works[i].phase == DONE || now->works[i].phase == AGAIN ||
                      (now->works[i].phase == IDLE && !now->opening));
    return now->ended || all;
}

static const struct explore_model settling = {
    .name = "settling", .size = sizeof(struct settle), .next = next, .bad = bad, .goal = decided};

static struct settle begin(void)
{
    return (struct settle){
        .opening = 1, .losses = 2, .crashes = 1, .removals = 1, .trims = 1, .former = 1};
}

static void with_every_rule_what_is_told_is_what_is(void **state)
{
    (void)state;
    struct settle first = begin();
    explore_holds(&settling, &first);
}

EXPLORE_CAUGHT(a_mark_that_does_not_say_who_wrote_it_is_caught, settling, begin, SAYS_WHO, lost)
EXPLORE_CAUGHT(a_settling_that_only_looks_is_caught, settling, begin, TAKES_PLACE, doubled)
EXPLORE_CAUGHT(a_settling_that_believes_what_is_not_synced_is_caught, settling, begin,
               WRITES_ANYWAY, lost)
EXPLORE_CAUGHT(a_process_that_says_never_when_it_was_forgotten_is_caught, settling, begin,
               LOOKS_AT_ITSELF, doubled)
EXPLORE_CAUGHT(a_settling_that_does_not_hold_its_opening_is_caught, settling, begin, HOLDS_OPENING,
               doubled)
EXPLORE_CAUGHT(marks_that_go_before_their_opening_are_caught, settling, begin, OPENING_FIRST,
               doubled)
EXPLORE_CAUGHT(a_process_that_removes_what_is_not_decided_is_caught, settling, begin, ONLY_DECIDED,
               doubled)
EXPLORE_CAUGHT(a_process_that_removes_what_settling_wrote_is_caught, settling, begin, NEVER_STAYS,
               doubled)
EXPLORE_CAUGHT(a_row_of_settling_that_goes_before_the_last_message_is_caught, settling, begin,
               KEEPS_LONG, doubled)
EXPLORE_CAUGHT(a_program_of_before_that_trims_todays_marks_is_caught, settling, begin, OWN_TABLE,
               doubled)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_every_rule_what_is_told_is_what_is),
        cmocka_unit_test(a_mark_that_does_not_say_who_wrote_it_is_caught),
        cmocka_unit_test(a_settling_that_only_looks_is_caught),
        cmocka_unit_test(a_settling_that_believes_what_is_not_synced_is_caught),
        cmocka_unit_test(a_process_that_says_never_when_it_was_forgotten_is_caught),
        cmocka_unit_test(a_settling_that_does_not_hold_its_opening_is_caught),
        cmocka_unit_test(marks_that_go_before_their_opening_are_caught),
        cmocka_unit_test(a_process_that_removes_what_is_not_decided_is_caught),
        cmocka_unit_test(a_process_that_removes_what_settling_wrote_is_caught),
        cmocka_unit_test(a_row_of_settling_that_goes_before_the_last_message_is_caught),
        cmocka_unit_test(a_program_of_before_that_trims_todays_marks_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
