/* SPDX-License-Identifier: Apache-2.0 */
/* Callers take turns at a target's places, on a clock that stands still until the test moves it. */

#include "../support/harness.h"

#include <string.h>

#include "../support/fake_world.h"
#include "base/log.h"
#include "call/fair_line.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NS_A_MS INT64_C(1000000)
#define FLOOD 300 /* more than TURNS_CALLER_MIN, with what is taken meanwhile */

struct still {
    struct fake_world fake;
    struct harness harness;
    int64_t now_ns;
};

static int64_t still_ns(struct world *world)
{
    return ((struct still *)world)->now_ns;
}

static void still_init(struct still *still, struct world_ops *ops)
{
    memset(still, 0, sizeof *still);
    harness_init(&still->harness);
    still->fake.real = still->harness.world;
    still->fake.world = *still->harness.world;
    *ops = fake_world_ops;
    ops->monotonic_ns = still_ns;
    still->fake.world.ops = ops;
    still->now_ns = 1000 * NS_A_MS;
}

struct asking {
    struct fair_line *line;
    struct world *world;
    const char *caller;
    int64_t deadline_ns;
    enum fair_place place;
    bool done;
};

static void enter_line(void *argument)
{
    struct asking *asking = argument;
    asking->place =
        fair_line_enter(asking->line, asking->world, asking->caller, 0, asking->deadline_ns);
    asking->done = true;
}

static bool is_done(void *argument)
{
    return ((struct asking *)argument)->done;
}

static void begin_asking(struct still *still, struct fair_line *line, const char *caller,
                         struct asking *ret)
{
    *ret = (struct asking){
        .line = line, .world = &still->fake.world, .caller = caller, .deadline_ns = -1};
    assert_true(fiber_start(still->harness.world->fibers, enter_line, ret));
    fibers_run(still->harness.world->fibers);
}

static void one_leaves(struct still *still, struct fair_line *line)
{
    fair_line_leave(line);
    fibers_run(still->harness.world->fibers);
}

static bool is_in(const struct asking *asking)
{
    return asking->done && asking->place == FAIR_TAKEN;
}

static void callers_take_turns_at_the_places(void **state)
{
    (void)state;
    static const char *const order[] = {"a", "a", "a", "b"};
    struct still still;
    struct world_ops ops;
    struct fair_line line;
    struct asking first, waiting[COUNT(order)];
    still_init(&still, &ops);
    fair_line_init(&line, "orders", 1, 1000);
    begin_asking(&still, &line, "c", &first);
    assert_true(is_in(&first));
    for (size_t i = 0; i < COUNT(order); i++) {
        begin_asking(&still, &line, order[i], &waiting[i]);
        assert_false(waiting[i].done);
    }
    one_leaves(&still, &line);
    assert_true(is_in(&waiting[0]));
    assert_false(waiting[1].done);
    one_leaves(&still, &line);
    assert_true(is_in(&waiting[3])); /* the other caller's, though it came last */
    one_leaves(&still, &line);
    assert_true(is_in(&waiting[1]));
    one_leaves(&still, &line);
    assert_true(is_in(&waiting[2]));
    one_leaves(&still, &line);
    assert_int_equal(line.in_flight, 0);
    fair_line_release(&line);
    harness_release(&still.harness);
}

static int count_places(const struct asking *asking, size_t count, enum fair_place place)
{
    int found = 0;
    for (size_t i = 0; i < count; i++)
        found += asking[i].done && asking[i].place == place;
    return found;
}

/* A hundred a second can be done, and one caller has sent three times as many at once. */
static void who_asks_most_is_shed_and_others_are_not(void **state)
{
    (void)state;
    static struct asking flood[FLOOD];
    struct still still;
    struct world_ops ops;
    struct fair_line line;
    struct asking first, more, other;
    int leaving = 1;
    still_init(&still, &ops);
    fair_line_init(&line, "orders", 1, 1000);
    begin_asking(&still, &line, "c", &first);
    for (size_t i = 0; i < FLOOD; i++)
        begin_asking(&still, &line, "a", &flood[i]);
    assert_int_equal(line.overload.turns.waiting, FLOOD);
    for (int i = 0; i < 30; i++) {
        still.now_ns += 10 * NS_A_MS;
        one_leaves(&still, &line);
    }
    assert_int_equal(count_places(flood, FLOOD, FAIR_TAKEN), 30);
    assert_int_equal(count_places(flood, FLOOD, FAIR_SHED), 0); /* nobody came who made it longer */
    begin_asking(&still, &line, "a", &more);
    assert_true(more.done);
    assert_int_equal(more.place, FAIR_SHED);
    begin_asking(&still, &line, "b", &other);
    assert_false(other.done);
    still.now_ns += 10 * NS_A_MS;
    one_leaves(&still, &line); /* sheds those of the flood that have waited too long */
    assert_true(count_places(flood, FLOOD, FAIR_SHED) > 200);
    one_leaves(&still, &line);
    assert_true(is_in(&other));
    while (line.in_flight) {
        one_leaves(&still, &line);
        leaving++;
    }
    assert_true(leaving < FLOOD);
    assert_int_equal(line.overload.turns.waiting, 0);
    fair_line_release(&line);
    harness_release(&still.harness);
}

/* Where nothing is taken there is no rate that tells how many are too many. */
static void when_many_wait_each_caller_has_its_part(void **state)
{
    (void)state;
    struct still still;
    struct world_ops ops;
    struct fair_line line;
    struct asking first, waiting[5], more;
    still_init(&still, &ops);
    fair_line_init(&line, "orders", 1, 4);
    begin_asking(&still, &line, "c", &first);
    for (size_t i = 0; i < 4; i++)
        begin_asking(&still, &line, "a", &waiting[i]);
    begin_asking(&still, &line, "a", &more);
    assert_true(more.done);
    assert_int_equal(more.place, FAIR_SHED);
    begin_asking(&still, &line, "b", &waiting[4]);
    assert_false(waiting[4].done);
    fair_line_turn_away(&line);
    fibers_run(still.harness.world->fibers);
    one_leaves(&still, &line);
    fair_line_release(&line);
    harness_release(&still.harness);
}

static void whoever_waits_can_be_turned_away(void **state)
{
    (void)state;
    struct still still;
    struct world_ops ops;
    struct fair_line line;
    struct asking first, waiting[3];
    still_init(&still, &ops);
    fair_line_init(&line, "orders", 1, 1000);
    begin_asking(&still, &line, "c", &first);
    for (size_t i = 0; i < COUNT(waiting); i++)
        begin_asking(&still, &line, i == 1 ? "b" : "a", &waiting[i]);
    fair_line_turn_away(&line);
    fibers_run(still.harness.world->fibers);
    assert_int_equal(count_places(waiting, COUNT(waiting), FAIR_AWAY), COUNT(waiting));
    assert_int_equal(line.overload.turns.shed, 0);
    one_leaves(&still, &line);
    begin_asking(&still, &line, "a", &first);
    assert_true(is_in(&first));
    one_leaves(&still, &line);
    fair_line_release(&line);
    harness_release(&still.harness);
}

static void nobody_waits_beyond_the_deadline(void **state)
{
    (void)state;
    struct harness harness;
    struct fair_line line;
    harness_init(&harness);
    fair_line_init(&line, "orders", 1, 1000);
    struct asking first = {.line = &line, .world = harness.world, .caller = "a", .deadline_ns = -1};
    struct asking late = first, next = first;
    late.deadline_ns = world_in_ms(harness.world, 1);
    assert_true(fiber_start(harness.world->fibers, enter_line, &first));
    assert_true(fiber_start(harness.world->fibers, enter_line, &late));
    assert_true(fiber_start(harness.world->fibers, enter_line, &next));
    harness_until(&harness, is_done, &late);
    assert_int_equal(late.place, FAIR_LATE);
    assert_false(next.done);
    fair_line_leave(&line);
    harness_until(&harness, is_done, &next);
    assert_int_equal(next.place, FAIR_TAKEN);
    fair_line_leave(&line);
    fair_line_release(&line);
    harness_release(&harness);
}

static void ignore_line(void *context, enum log_level level, const char *id, const char *text)
{
    (void)context;
    (void)level;
    (void)id;
    (void)text;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(callers_take_turns_at_the_places),
        cmocka_unit_test(who_asks_most_is_shed_and_others_are_not),
        cmocka_unit_test(when_many_wait_each_caller_has_its_part),
        cmocka_unit_test(whoever_waits_can_be_turned_away),
        cmocka_unit_test(nobody_waits_beyond_the_deadline),
    };
    log_redirect(ignore_line, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
