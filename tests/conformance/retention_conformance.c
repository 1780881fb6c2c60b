/* SPDX-License-Identifier: Apache-2.0 */
/* What every engine's ledger must do when old records are found and removed. */

#include <stdlib.h>
#include <string.h>

#include "conformance.h"
#include "store/ledger.h"

static struct store_work *go_on(struct conformance *c, struct store_work *work)
{
    if (conformance_commit(c, work) != FH_OK ||
        store_sequence(c->store, NULL, 0, &c->error) != FH_OK)
        return NULL;
    return conformance_begin(c, STORE_WRITE);
}

struct told {
    char text[512];
};

static bool tell_subscriber(void *context, const struct ledger_subscriber *subscriber)
{
    struct told *told = context;
    size_t used = strlen(told->text);
    snprintf(told->text + used, sizeof told->text - used, "%s %s %s %lld %lld;", subscriber->name,
             subscriber->partition, subscriber->incarnation, (long long)subscriber->done,
             (long long)subscriber->seen);
    return true;
}

static void what_a_subscriber_has_done_never_goes_back(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    struct told told = {""};
    EXPECT(ledger_subscribers_get(work, tell_subscriber, &told, &c->error) == FH_OK);
    EXPECT(told.text[0] == '\0');
    EXPECT(ledger_subscriber_put(work, "search", "0/2", "one", 1, 2, 99, &c->error) == FH_OK);
    EXPECT(ledger_subscriber_put(work, "orders", "0/1", "one", 3, 4, 99, &c->error) == FH_OK);
    EXPECT(ledger_subscriber_put(work, "search", "1/2", "one", 5, 6, 99, &c->error) == FH_OK);
    work = go_on(c, work);
    EXPECT(work);
    EXPECT(ledger_subscriber_put(work, "orders", "0/1", "two", 2, 8, 100, &c->error) == FH_OK);
    /* A request that comes late reports less: what was committed stays committed. */
    EXPECT(ledger_subscriber_put(work, "search", "1/2", "one", 4, 7, 100, &c->error) == FH_OK);
    work = go_on(c, work);
    EXPECT(work);
    EXPECT(ledger_subscribers_get(work, tell_subscriber, &told, &c->error) == FH_OK);
    EXPECT(strcmp(told.text, "orders 0/1 two 2 8;search 0/2 one 1 2;search 1/2 one 5 7;") == 0);
}

static void a_name_that_readers_have_in_turn_may_go_back(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    struct told told = {""};
    EXPECT(ledger_subscriber_put(work, "search", "0/1", "one", 5, 6, 99, &c->error) == FH_OK);
    EXPECT(ledger_subscriber_put(work, "search~rebuild", "0/1", "one", 5, 6, 99, &c->error) ==
           FH_OK);
    work = go_on(c, work);
    EXPECT(work);
    EXPECT(ledger_subscriber_put(work, "search", "0/1", "one", 1, 6, 100, &c->error) == FH_OK);
    EXPECT(ledger_subscriber_put(work, "search~rebuild", "0/1", "one", 1, 2, 100, &c->error) ==
           FH_OK);
    work = go_on(c, work);
    EXPECT(work);
    EXPECT(ledger_subscribers_get(work, tell_subscriber, &told, &c->error) == FH_OK);
    EXPECT(strcmp(told.text, "search 0/1 one 5 6;search~rebuild 0/1 one 1 2;") == 0);
}

/* The i-th of them, from 1: its number, once it has one. */
static enum fh_code start_with(struct conformance *c, struct store_work *work, int i,
                               const char *status, int64_t updated_ms, const char *state)
{
    char id[16];
    snprintf(id, sizeof id, "s%d", i);
    struct ledger_event event = {.id = id,
                                 .type = "freehold.saga.started",
                                 .key = id,
                                 .version = 1,
                                 .time_ms = 1,
                                 .data = "{}"};
    struct ledger_saga saga = {.birth = "birth",
                               .name = "build",
                               .input = "{}",
                               .state = state,
                               .status = status,
                               .updated_ms = updated_ms};
    struct ledger_step step = {
        .birth = "birth", .attempt = 1, .target = "tower", .request = "{}", .state = "done"};
    return ledger_saga_start(work, &event, &saga, &step, 1, &c->error);
}

static enum fh_code start(struct conformance *c, struct store_work *work, int i, const char *status,
                          int64_t updated_ms)
{
    return start_with(c, work, i, status, updated_ms, "{}");
}

static bool count_step(void *context, const struct ledger_step *step)
{
    (void)step;
    ++*(int *)context;
    return true;
}

struct answered {
    int count;
    int64_t positions;
    bool fits; /* each has its saga */
};

static bool see_answered(void *context, const struct ledger_saga *saga,
                         const struct ledger_step *step)
{
    static const char *const statuses[] = {"", "ended", "undone", "running", "parked"};
    struct answered *answered = context;
    answered->count++;
    answered->positions += step->receiver_position;
    answered->fits &= saga->number >= 1 && saga->number <= 4 && saga->number == step->number &&
                      strcmp(saga->status, statuses[saga->number]) == 0 &&
                      strcmp(saga->name, "build") == 0 && strcmp(saga->birth, "birth") == 0 &&
                      strcmp(step->receiver, "one") == 0 && strcmp(step->state, "done") == 0 &&
                      step->step == 0 && step->element == 0;
    return true;
}

static enum fh_code put(struct conformance *c, struct store_work *work, int64_t number, int at,
                        const char *target, const char *receiver)
{
    struct ledger_step step = {.birth = "birth",
                               .number = number,
                               .step = at,
                               .attempt = 1,
                               .target = target,
                               .request = "{}",
                               .state = "done",
                               .answer = "{}",
                               .receiver = receiver,
                               .receiver_position = INT64_C(1) << number};
    return ledger_step_put(work, &step, &c->error);
}

/* Of sagas that nobody carries on: what one service answered in another incarnation than its
 * present one. */
static void what_a_service_answered_in_another_incarnation_is_reported(struct conformance *c)
{
    static const char *const statuses[] = {"ended", "undone", "running", "parked"};
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    for (int i = 0; i < 4; i++)
        EXPECT(start(c, work, i + 1, statuses[i], 1) == FH_OK);
    work = go_on(c, work);
    EXPECT(work);
    for (int64_t number = 1; number <= 4; number++) {
        EXPECT(put(c, work, number, 0, "tower", "one") == FH_OK);
        EXPECT(put(c, work, number, 1, "tower", "two") == FH_OK);
        EXPECT(put(c, work, number, 2, "bridge", "one") == FH_OK);
        EXPECT(put(c, work, number, 3, "tower", NULL) == FH_OK);
    }
    work = go_on(c, work);
    EXPECT(work);
    struct answered answered = {.fits = true};
    EXPECT(ledger_steps_answered(work, "tower", "two", see_answered, &answered, &c->error) ==
           FH_OK);
    EXPECT(answered.count == 3 && answered.positions == 2 + 4 + 16 && answered.fits);
}

/* 's' and a step, 't' a step alone, '-' neither, for each of the first `count` numbers. */
static void tell_left(struct conformance *c, struct store_work *work, int count, char *ret)
{
    for (int i = 0; i < count; i++) {
        struct arena arena;
        struct ledger_saga saga;
        int steps = 0;
        arena_init(&arena, ARENA_SIZE_MAX);
        bool there = ledger_saga_get(work, &arena, "birth", i + 1, &saga, &c->error) == FH_OK;
        bool read =
            ledger_steps_get(work, &arena, "birth", i + 1, count_step, &steps, &c->error) == FH_OK;
        ret[i] = !read ? '?' : there ? (steps ? 's' : '!') : steps ? 't' : '-';
        arena_release(&arena);
    }
    ret[count] = '\0';
}

static void closed_sagas_that_ended_long_ago_are_forgotten_with_their_steps(struct conformance *c)
{
    static const char *const statuses[] = {"ended", "undone",    "ended", "running",
                                           "ended", "abandoned", "parked"};
    struct ledger_counts removed, counts;
    struct ledger_caller closed = {6, "[4,5]"};
    int64_t marked;
    char left[8];
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    for (int i = 0; i < 7; i++) /* the third was changed recently */
        EXPECT(start(c, work, i + 1, statuses[i], i == 2 ? 500 : 100) == FH_OK);
    work = go_on(c, work);
    EXPECT(work);
    EXPECT(ledger_sagas_closed(work, "birth", &closed, &marked, &c->error) == FH_OK);
    work = go_on(c, work);
    EXPECT(work);
    EXPECT(ledger_sagas_forget(work, 5, 400, 10, &removed, &c->error) == FH_OK);
    EXPECT(removed.ended == 1 && removed.undone == 1);
    work = go_on(c, work);
    EXPECT(work);
    tell_left(c, work, 7, left);
    EXPECT(strcmp(left, "--sssss") == 0); /* 5 is not closed, 6 began too late */
    EXPECT(ledger_saga_counts(work, &counts, &c->error) == FH_OK);
    EXPECT(counts.ended == 2 && counts.undone == 0 && counts.running == 1 && counts.parked == 1 &&
           counts.abandoned == 1);
    EXPECT(ledger_sagas_forget(work, 100, 1000, 1, &removed, &c->error) == FH_OK);
    EXPECT(removed.ended + removed.abandoned == 1 && removed.undone == 0); /* at most one */
    work = go_on(c, work);
    EXPECT(work);
    EXPECT(ledger_sagas_forget(work, 100, 1000, 10, &removed, &c->error) == FH_OK);
    EXPECT(removed.ended + removed.abandoned == 1);
    work = go_on(c, work);
    EXPECT(work);
    tell_left(c, work, 7, left);
    EXPECT(strcmp(left, "---ss-s") == 0);
}

static void a_saga_that_ended_lately_keeps_none_from_being_forgotten(struct conformance *c)
{
    struct ledger_counts removed;
    struct ledger_caller closed = {9, "[]"};
    int64_t marked;
    char left[8];
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    for (int i = 0; i < 7; i++) /* the first five took long */
        EXPECT(start(c, work, i + 1, "ended", i < 5 ? 500 : 100) == FH_OK);
    work = go_on(c, work);
    EXPECT(work);
    EXPECT(ledger_sagas_closed(work, "birth", &closed, &marked, &c->error) == FH_OK);
    work = go_on(c, work);
    EXPECT(work);
    EXPECT(ledger_sagas_forget(work, 100, 400, 1, &removed, &c->error) == FH_OK);
    EXPECT(removed.ended == 1);
    EXPECT(ledger_sagas_forget(work, 100, 400, 2, &removed, &c->error) == FH_OK);
    EXPECT(removed.ended == 1); /* the first one is gone for this unit of work, too */
    work = go_on(c, work);
    EXPECT(work);
    tell_left(c, work, 7, left);
    EXPECT(strcmp(left, "sssss--") == 0);
}

#define LARGE ((size_t)1 << 20)
#define LARGE_ONES 18 /* more than a unit of work on Redis may read */

static void of_large_sagas_no_more_are_read_than_are_forgotten(struct conformance *c)
{
    struct ledger_counts removed;
    struct ledger_caller closed = {LARGE_ONES + 1, "[]"};
    int64_t marked;
    char *state = calloc(1, LARGE + 1);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work && state);
    memset(state, 'x', LARGE);
    memcpy(state, "{\"x\":\"", 6);
    memcpy(state + LARGE - 2, "\"}", 2);
    for (int i = 0; i < LARGE_ONES && work; i++) {
        EXPECT(start_with(c, work, i + 1, "ended", 100, state) == FH_OK);
        work = go_on(c, work);
        EXPECT(work);
        EXPECT(ledger_sagas_closed(work, "birth", &closed, &marked, &c->error) == FH_OK);
        work = go_on(c, work);
    }
    free(state);
    for (int i = 0; i < 3; i++) {
        EXPECT(work);
        EXPECT(ledger_sagas_forget(work, 100, 400, LARGE_ONES / 3, &removed, &c->error) == FH_OK);
        EXPECT(removed.ended == LARGE_ONES / 3);
        work = go_on(c, work);
    }
}

static bool tell_step(void *context, const struct ledger_step *step)
{
    struct told *told = context;
    size_t used = strlen(told->text);
    snprintf(told->text + used, sizeof told->text - used, "%d.%d %s;", step->step, step->element,
             step->state);
    return true;
}

/* Whoever writes it must find it where the start has put it. */
static void a_step_that_began_with_its_saga_is_replaced(struct conformance *c)
{
    struct ledger_event event = {.id = "begun",
                                 .type = "freehold.saga.started",
                                 .key = "begun",
                                 .data = "{}",
                                 .time_ms = 1,
                                 .version = 1};
    struct ledger_saga saga = {.birth = "birth",
                               .start_id = "begun",
                               .name = "trade",
                               .input = "{}",
                               .state = "{}",
                               .status = "running",
                               .epoch = 1};
    struct ledger_step step = {
        .birth = "birth", .attempt = 1, .target = "stock", .request = "{}", .state = "stored"};
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work && ledger_saga_start(work, &event, &saga, &step, 1, &c->error) == FH_OK);
    work = go_on(c, work);
    EXPECT(work);
    step.number = 1;
    step.state = "done";
    EXPECT(ledger_step_put(work, &step, &c->error) == FH_OK);
    work = go_on(c, work);
    EXPECT(work);
    struct told told = {""};
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    enum fh_code code = ledger_steps_get(work, &arena, "birth", 1, tell_step, &told, &c->error);
    arena_release(&arena);
    EXPECT(code == FH_OK && strcmp(told.text, "0.0 done;") == 0);
}

static bool tell_over(void *context, const struct ledger_saga *saga)
{
    struct told *told = context;
    size_t used = strlen(told->text);
    snprintf(told->text + used, sizeof told->text - used, "%lld %s %s %s;", (long long)saga->number,
             saga->status, saga->start_id, saga->state);
    return strlen(told->text) < 400;
}

/* One at a time, until there are no more. */
static bool are_over_one_by_one(struct conformance *c, struct store_work *work,
                                const char *expected)
{
    struct told all = {""};
    struct ledger_over over = {.birth = "birth", .limit = 1};
    size_t before;
    do {
        before = strlen(all.text);
        if (ledger_sagas_over(work, &over, tell_over, &all, &c->error) != FH_OK)
            return false;
        over.below = strtoll(all.text + before, NULL, 10);
    } while (strlen(all.text) > before);
    return strcmp(all.text, expected) == 0;
}

static void sagas_that_are_over_are_told_the_newest_first(struct conformance *c)
{
    static const char *const statuses[] = {"ended",  "undone", "running",      "ended",
                                           "parked", "undone", "compensating", "abandoned"};
    static const char expected[] = "8 abandoned s8 {};6 undone s6 {};4 ended s4 {};"
                                   "2 undone s2 {};1 ended s1 {};";
    struct told all = {""}, few = {""}, none = {""}, below = {""};
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    for (int i = 0; i < 8; i++)
        EXPECT(start(c, work, i + 1, statuses[i], 100 - i) == FH_OK);
    conformance_rollback(c, go_on(c, work));
    work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    struct ledger_over over = {.birth = "birth", .limit = 100};
    EXPECT(ledger_sagas_over(work, &over, tell_over, &all, &c->error) == FH_OK);
    EXPECT(strcmp(all.text, expected) == 0 && are_over_one_by_one(c, work, expected));
    over = (struct ledger_over){.birth = "birth", .below = 6, .limit = 2};
    EXPECT(ledger_sagas_over(work, &over, tell_over, &below, &c->error) == FH_OK);
    EXPECT(strcmp(below.text, "4 ended s4 {};2 undone s2 {};") == 0);
    over = (struct ledger_over){.birth = "birth", .limit = 3};
    EXPECT(ledger_sagas_over(work, &over, tell_over, &few, &c->error) == FH_OK);
    EXPECT(strcmp(few.text, "8 abandoned s8 {};6 undone s6 {};4 ended s4 {};") == 0);
    over = (struct ledger_over){.birth = "another", .limit = 3};
    EXPECT(ledger_sagas_over(work, &over, tell_over, &none, &c->error) == FH_OK);
    EXPECT(none.text[0] == '\0');
    conformance_rollback(c, work);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(what_a_subscriber_has_done_never_goes_back),
        CASE(a_name_that_readers_have_in_turn_may_go_back),
        CASE(what_a_service_answered_in_another_incarnation_is_reported),
        CASE(closed_sagas_that_ended_long_ago_are_forgotten_with_their_steps),
        CASE(a_saga_that_ended_lately_keeps_none_from_being_forgotten),
        CASE(of_large_sagas_no_more_are_read_than_are_forgotten),
        CASE(a_step_that_began_with_its_saga_is_replaced),
        CASE(sagas_that_are_over_are_told_the_newest_first),
    };
    return conformance_main_all(rows, sizeof rows / sizeof *rows);
}
