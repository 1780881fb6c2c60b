/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What dead processes leave in documents of the service (src/engine/mongodb/settle.c and
 * engine/mongodb/back.c): a work's one write changes a document, under the version that it was read
 * with, and carries its event with it. It may come when its process has died, another one has
 * looked for what was left, said so in the counter, and goes on.
 *
 * Two clients each want one of two documents raised once, whichever it is, and ask again under
 * their key until they are answered. Both works may be decided before either is carried on, so that
 * a process can leave two entries, of which the next one takes any number as a job. What becomes of
 * single messages of these steps when they come late is in carry_model.c; here they are done or
 * not.
 */

#include "explore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { REQUESTS = 2, DOCUMENTS = 2, WORKS = 4, POSITIONS = 6, TAKEN_BACK = 100 };
enum phase { ALIVE, RECOVERING, DEAD };
enum step { NO_STEP, ROWS, COUNT, TRIM };

struct left {
    /* The rules. */
    uint8_t dated; /* an entry of an epoch that was looked through is none */
    uint8_t back;  /* what it has changed is as it was then */
    uint8_t named; /* whoever takes it back names it */
    uint8_t kept;  /* and leaves it its epoch until then */
    uint8_t each;  /* rows are looked for in every job that has entries of others */
    /* Faults that are left. */
    uint8_t cuts, deaths;
    /* The server. */
    uint8_t epoch, recovered, counter, row[POSITIONS + 1]; /* 1 + work */
    uint8_t value[DOCUMENTS], version[DOCUMENTS], entry[DOCUMENTS], entry_of[DOCUMENTS];
    uint8_t answered[REQUESTS];
    /* Under way. */
    uint8_t late_write[WORKS], late_back[WORKS];
    /* What a work has read, and for whom. */
    uint8_t request[WORKS], document[WORKS], born[WORKS], was[WORKS], read[WORKS], works;
    /* The process. */
    uint8_t phase, top, looked, step, uncertain;
    uint8_t job[DOCUMENTS], sent[DOCUMENTS], decided[DOCUMENTS], taking[DOCUMENTS]; /* 1 + work */
    /* What happened. */
    uint8_t published[REQUESTS];
};

/* ---- The server ---- */

static void write_one(struct left *s, int w)
{
    int d = s->document[w];
    if (s->version[d] != s->read[w])
        return;
    s->value[d] = (uint8_t)(s->was[w] + 1);
    s->version[d] = s->entry[d] = (uint8_t)(w + 1);
    s->entry_of[d] = s->born[w];
}

static void take_back(struct left *s, int w)
{
    int d = s->document[w];
    if (s->named && s->entry[d] != w + 1)
        return;
    s->value[d] = s->was[w];
    s->version[d] = (uint8_t)(TAKEN_BACK + w);
    s->entry[d] = 0;
}

static void late_messages(struct explore *explore, const struct left *now)
{
    for (int w = 0; w < now->works; w++) {
        struct left after = *now;
        if (now->late_write[w]) {
            after.late_write[w] = 0;
            write_one(&after, w);
            explore_step(explore, &after, "late: the write of %d", w);
        }
        after = *now;
        if (now->late_back[w]) {
            after.late_back[w] = 0;
            take_back(&after, w);
            explore_step(explore, &after, "late: %d is taken back", w);
        }
    }
}

/* ---- Carrying on ---- */

static bool has_job(const struct left *s)
{
    return s->step != NO_STEP;
}

static void begin_job(struct left *s, bool of_others)
{
    s->step = ROWS;
    s->uncertain = of_others && (s->each || !s->looked);
    s->looked |= of_others;
}

static int row_of(const struct left *s, int w)
{
    for (int i = 1; i <= POSITIONS; i++) {
        if (s->row[i] == w + 1)
            return i;
    }
    return 0;
}

/* Writes the rows of the job's first `count` works. False: a position was taken. */
static bool write_rows(struct left *s, int count)
{
    if (s->uncertain) {
        while (s->counter < POSITIONS && s->row[s->counter + 1])
            s->counter++;
        s->top = s->counter;
    }
    for (int d = 0; d < DOCUMENTS && count > 0; d++) {
        if (!s->job[d])
            continue;
        count--;
        if (s->uncertain && row_of(s, s->job[d] - 1))
            continue;
        if (s->row[s->top + 1])
            return false;
        s->row[++s->top] = s->job[d];
        s->published[s->request[s->job[d] - 1]]++;
    }
    return true;
}

static void carries(struct explore *explore, const struct left *now)
{
    struct left after = *now;
    if (now->step == ROWS && !write_rows(&after, DOCUMENTS)) {
        after.uncertain = 1;
        explore_step(explore, &after, "a position is taken");
        return;
    }
    for (int d = 0; d < DOCUMENTS; d++) {
        if (!now->job[d])
            continue;
        if (now->step == COUNT) {
            after.counter = after.top;
            after.answered[now->request[now->job[d] - 1]] = 1;
        } else if (now->step == TRIM) {
            after.entry[d] = after.entry[d] == now->job[d] ? 0 : after.entry[d];
            after.job[d] = 0;
        }
    }
    after.step = now->step == TRIM ? NO_STEP : (uint8_t)(now->step + 1);
    static const char *const names[] = {"", "rows", "counter", "entries out"};
    explore_step(explore, &after, "a job: %s", names[now->step]);
    if (now->step == ROWS && now->deaths && now->job[0] && now->job[1]) {
        after = *now;
        after.deaths--;
        after.phase = DEAD;
        write_rows(&after, 1);
        explore_step(explore, &after, "one row of two is written, and it dies");
    }
}

/* ---- The process ---- */

static bool is_late(const struct left *s, int d)
{
    return s->dated && s->entry_of[d] <= s->recovered;
}

/* An entry of an epoch that was looked through. */
static void meets_late(struct explore *explore, const struct left *now, int d)
{
    struct left after = *now;
    int w = now->taking[d] ? now->taking[d] - 1 : now->entry[d] - 1;
    if (!now->kept && !now->taking[d]) {
        after.entry_of[d] = now->epoch;
        after.taking[d] = (uint8_t)(w + 1);
        explore_step(explore, &after, "the entry of %d becomes its own", w);
        return;
    }
    after.taking[d] = 0;
    if (now->back)
        take_back(&after, w);
    else
        after.entry[d] = 0;
    explore_step(explore, &after, "%d is taken back", w);
    if (!now->back || now->late_back[w])
        return;
    after = *now;
    after.late_back[w] = 1;
    if (now->cuts) {
        after.cuts--;
        explore_step(explore, &after, "that %d is taken back is under way, and the link dies", w);
        after.cuts++;
    }
    if (now->deaths) {
        after.deaths--;
        after.phase = DEAD;
        explore_step(explore, &after, "that %d is taken back is under way, and it dies", w);
    }
}

static void sends(struct explore *explore, const struct left *now, int d)
{
    int w = now->sent[d] - 1;
    struct left after = *now;
    write_one(&after, w);
    after.sent[d] = 0;
    if (after.version[d] == w + 1)
        after.decided[d] = (uint8_t)(w + 1);
    explore_step(explore, &after, "the write of %d", w);
    if (now->late_write[w])
        return;
    after = *now;
    after.late_write[w] = 1;
    if (now->cuts) {
        after.cuts--;
        explore_step(explore, &after, "the write of %d is under way, and the link dies", w);
        after.cuts++;
    }
    if (now->deaths) {
        after.deaths--;
        after.phase = DEAD;
        explore_step(explore, &after, "the write of %d is under way, and it dies", w);
    }
}

static bool is_under_way(const struct left *s, int request)
{
    for (int d = 0; d < DOCUMENTS; d++) {
        const uint8_t of[] = {s->sent[d], s->decided[d], s->job[d]};
        for (int i = 0; i < 3; i++) {
            if (of[i] && s->request[of[i] - 1] == request)
                return true;
        }
    }
    return s->answered[request];
}

static void begins(struct explore *explore, const struct left *now, int d)
{
    for (int r = 0; r < REQUESTS && now->works < WORKS; r++) {
        struct left after = *now;
        int w = after.works++;
        if (is_under_way(now, r))
            continue;
        after.request[w] = (uint8_t)r;
        after.document[w] = (uint8_t)d;
        after.born[w] = now->epoch;
        after.was[w] = now->value[d];
        after.read[w] = now->version[d];
        after.sent[d] = (uint8_t)(w + 1);
        explore_step(explore, &after, "work %d for request %d on document %d", w, r, d);
    }
}

static void serves(struct explore *explore, const struct left *now, int d)
{
    struct left after = *now;
    if (now->sent[d]) {
        sends(explore, now, d);
    } else if (now->decided[d] || now->job[d]) {
        return;
    } else if (now->taking[d] || (now->entry[d] && is_late(now, d))) {
        meets_late(explore, now, d);
    } else if (now->entry[d] && !has_job(now)) {
        after.job[d] = now->entry[d];
        begin_job(&after, true);
        explore_step(explore, &after, "the entry of %d is met", now->entry[d] - 1);
    } else if (!now->entry[d]) {
        begins(explore, now, d);
    }
}

static void lives(struct explore *explore, const struct left *now)
{
    for (int d = 0; d < DOCUMENTS; d++)
        serves(explore, now, d);
    if (has_job(now) || (!now->decided[0] && !now->decided[1]))
        return;
    struct left after = *now;
    for (int d = 0; d < DOCUMENTS; d++) {
        after.job[d] = now->decided[d];
        after.decided[d] = 0;
    }
    begin_job(&after, false);
    explore_step(explore, &after, "a job of all that is decided");
}

static void recovers(struct explore *explore, const struct left *now)
{
    struct left after = *now;
    for (int d = 0; d < DOCUMENTS; d++) {
        if (now->taking[d] || (now->entry[d] && is_late(now, d))) {
            meets_late(explore, now, d);
            return;
        }
    }
    for (int set = 1; set < 1 << DOCUMENTS; set++) {
        after = *now;
        bool all = true;
        for (int d = 0; d < DOCUMENTS; d++) {
            bool in = set >> d & 1;
            all = all && (!in || now->entry[d]);
            after.job[d] = in ? now->entry[d] : 0;
        }
        begin_job(&after, true);
        if (all)
            explore_step(explore, &after, "a job of what was left, %d", set);
    }
    if (now->entry[0] || now->entry[1])
        return;
    after = *now;
    after.recovered = (uint8_t)(now->epoch - 1);
    after.phase = ALIVE;
    explore_step(explore, &after, "nothing is left");
}

static void takes_over(struct explore *explore, const struct left *now)
{
    struct left after = *now;
    after.epoch++;
    after.phase = RECOVERING;
    after.top = now->counter;
    after.looked = after.step = after.uncertain = 0;
    memset(after.job, 0, sizeof after.job);
    memset(after.sent, 0, sizeof after.sent);
    memset(after.decided, 0, sizeof after.decided);
    memset(after.taking, 0, sizeof after.taking);
    explore_step(explore, &after, "another process takes over");
}

static void next(struct explore *explore, const void *state)
{
    const struct left *now = state;
    late_messages(explore, now);
    if (now->phase == DEAD) {
        takes_over(explore, now);
        return;
    }
    if (has_job(now))
        carries(explore, now);
    if (now->phase == ALIVE)
        lives(explore, now);
    else if (!has_job(now))
        recovers(explore, now);
    if (now->deaths) {
        struct left after = *now;
        after.deaths--;
        after.phase = DEAD;
        explore_step(explore, &after, "it dies");
    }
}

static const char *bad(const void *state)
{
    const struct left *now = state;
    int changes = 0, answers = 0;
    bool under_way = false;
    for (int r = 0; r < REQUESTS; r++) {
        answers += now->answered[r];
        if (now->published[r] > 1)
            return "an event was published twice";
    }
    for (int d = 0; d < DOCUMENTS; d++) {
        changes += now->value[d];
        under_way = under_way || now->entry[d];
    }
    if (under_way || changes == answers)
        return NULL;
    return changes > answers ? "a change is there that nobody made" : "a change is gone";
}

static bool goal(const void *state)
{
    const struct left *now = state;
    return (now->answered[0] && now->answered[1]) || now->works == WORKS;
}

static const struct explore_model model = {
    .name = "left", .size = sizeof(struct left), .next = next, .bad = bad, .goal = goal};

static struct left with_all_rules(void)
{
    return (struct left){.dated = 1,
                         .back = 1,
                         .named = 1,
                         .kept = 1,
                         .each = 1,
                         .cuts = 1,
                         .deaths = 2,
                         .epoch = 1};
}

static void whatever_dead_processes_leave_each_change_is_made_once(void **state)
{
    (void)state;
    struct left first = with_all_rules();
    first.cuts = 0;
    explore_holds(&model, &first);
}

static void whatever_is_repeated_when_one_has_died_each_change_is_made_once(void **state)
{
    (void)state;
    struct left first = with_all_rules();
    first.deaths = 1;
    explore_holds(&model, &first);
}

static void an_entry_that_comes_too_late_is_not_carried_on(void **state)
{
    (void)state;
    struct left first = with_all_rules();
    first.dated = 0;
    explore_catches(&model, &first, "an event was published twice");
}

static void what_came_too_late_stays_unless_it_is_taken_back(void **state)
{
    (void)state;
    struct left first = with_all_rules();
    first.back = 0;
    explore_catches(&model, &first, "a change is there that nobody made");
}

static void what_is_taken_back_without_a_name_takes_others_along(void **state)
{
    (void)state;
    struct left first = with_all_rules();
    first.named = 0;
    explore_catches(&model, &first, "a change is gone");
}

static void who_makes_it_his_own_first_and_dies_leaves_it_to_be_carried_on(void **state)
{
    (void)state;
    struct left first = with_all_rules();
    first.kept = 0;
    first.cuts = 0;
    explore_catches(&model, &first, "a change is gone");
}

static void rows_that_are_looked_for_in_the_first_job_alone_are_written_twice(void **state)
{
    (void)state;
    struct left first = with_all_rules();
    first.each = 0;
    explore_catches(&model, &first, "an event was published twice");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_dead_processes_leave_each_change_is_made_once),
        cmocka_unit_test(whatever_is_repeated_when_one_has_died_each_change_is_made_once),
        cmocka_unit_test(an_entry_that_comes_too_late_is_not_carried_on),
        cmocka_unit_test(what_came_too_late_stays_unless_it_is_taken_back),
        cmocka_unit_test(what_is_taken_back_without_a_name_takes_others_along),
        cmocka_unit_test(who_makes_it_his_own_first_and_dies_leaves_it_to_be_carried_on),
        cmocka_unit_test(rows_that_are_looked_for_in_the_first_job_alone_are_written_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
