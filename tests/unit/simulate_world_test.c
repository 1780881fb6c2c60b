/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual clock, its nodes, and requests between them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "simulate/network.h"

/* What a crash leaves lying is no leak of the tests; the sanitizer must see this answer. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

struct fixture {
    struct simulate simulate;
    struct simulate_node *one, *other;
    int count, died;
    char heard[64];
    int status;
    const char *failure;
    struct world_timer timer;
    struct world_job job;
    struct world_turn turn;
    int answered;
};

static void on_died(struct simulate_node *node, const char *why)
{
    struct fixture *fixture = node->owner;
    (void)why;
    fixture->died++;
}

static void begin(struct fixture *fixture, uint64_t seed)
{
    memset(fixture, 0, sizeof *fixture);
    simulate_init(&fixture->simulate, seed);
    fixture->one = simulate_node_new(&fixture->simulate, "one");
    fixture->other = simulate_node_new(&fixture->simulate, "other");
    fixture->one->owner = fixture->other->owner = fixture;
    fixture->one->died = fixture->other->died = on_died;
    simulate_node_begin(fixture->one);
    simulate_node_begin(fixture->other);
}

static void end(struct fixture *fixture)
{
    simulate_node_free(fixture->one);
    simulate_node_free(fixture->other);
    simulate_release(&fixture->simulate);
}

static void run(struct fixture *fixture)
{
    simulate_run(&fixture->simulate, NULL, NULL, SIMULATE_NEVER, 1000000);
}

static void mark(struct fixture *fixture, char what)
{
    size_t length = strlen(fixture->heard);
    assert_true(length + 1 < sizeof fixture->heard);
    fixture->heard[length] = what;
}

/* ---- time ---- */

static void sleeper(void *argument)
{
    struct fixture *fixture = argument;
    fiber_sleep_until(&fixture->one->world, world_in_ms(&fixture->one->world, 3600000));
    mark(fixture, 's');
}

static void time_goes_on_to_what_comes_next(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture, 1);
    assert_true(fiber_start(fixture.one->world.fibers, sleeper, &fixture));
    run(&fixture);
    assert_string_equal(fixture.heard, "s");
    assert_int_equal(fixture.simulate.now_ns, SIMULATE_START_NS + 3600000 * SIMULATE_MS);
    end(&fixture);
}

static void timer_fired(struct world_timer *timer)
{
    mark(timer->owner, 't');
}

static void turn_run(struct world_turn *turn)
{
    mark(turn->owner, 'u');
}

static void marker(void *argument)
{
    mark(argument, 'f');
    fiber_yield();
    mark(argument, 'g');
}

static void turns_come_when_no_fiber_is_ready(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture, 1);
    struct world *world = &fixture.one->world;
    fixture.timer = (struct world_timer){.fire = timer_fired, .owner = &fixture};
    fixture.turn = (struct world_turn){.run = turn_run, .owner = &fixture};
    world_timer_start(world, &fixture.timer, world_in_ms(world, 5));
    world_turn(world, &fixture.turn);
    world_turn(world, &fixture.turn);
    assert_true(fiber_start(world->fibers, marker, &fixture));
    run(&fixture);
    assert_string_equal(fixture.heard, "fgut");
    end(&fixture);
}

static void only_the_wall_clock_steps(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture, 1);
    int64_t before = world_wall_ms(&fixture.one->world);
    fixture.one->wall_step_ms = -86400000;
    assert_int_equal(world_wall_ms(&fixture.one->world), before - 86400000);
    assert_int_equal(world_wall_ms(&fixture.other->world), before);
    end(&fixture);
}

/* ---- jobs ---- */

static void job_run(struct world_job *job)
{
    struct fixture *fixture = job->owner;
    mark(fixture, 'j');
    assert_true(simulate_node_in_job(fixture->one));
    simulate_node_wait(fixture->one, 10 * SIMULATE_MS);
    mark(fixture, 'J');
}

static void job_done(struct world_job *job)
{
    mark(job->owner, 'd');
}

static void others_go_on_while_a_job_waits(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture, 1);
    struct world *world = &fixture.one->world;
    fixture.job = (struct world_job){.run = job_run, .done = job_done, .owner = &fixture};
    fixture.timer = (struct world_timer){.fire = timer_fired, .owner = &fixture};
    world_job(world, &fixture.job);
    world_timer_start(world, &fixture.timer, world_in_ms(world, 5));
    run(&fixture);
    assert_string_equal(fixture.heard, "jtJd");
    end(&fixture);
}

/* ---- ends ---- */

static void doomed(void *argument)
{
    struct fixture *fixture = argument;
    mark(fixture, 'a');
    world_fatal(&fixture->one->world, "it can't go on");
    mark(fixture, 'b');
}

static void nothing_of_a_process_happens_after_its_end(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture, 1);
    struct world *world = &fixture.one->world;
    fixture.timer = (struct world_timer){.fire = timer_fired, .owner = &fixture};
    fixture.turn = (struct world_turn){.run = turn_run, .owner = &fixture};
    fixture.job = (struct world_job){.run = job_run, .done = job_done, .owner = &fixture};
    world_timer_start(world, &fixture.timer, world_in_ms(world, 5));
    world_turn(world, &fixture.turn);
    world_job(world, &fixture.job);
    assert_true(fiber_start(world->fibers, sleeper, &fixture));
    assert_true(fiber_start(world->fibers, doomed, &fixture));
    assert_true(fiber_start(world->fibers, marker, &fixture));
    run(&fixture);
    assert_string_equal(fixture.heard, "a");
    assert_int_equal(fixture.died, 1);
    assert_false(fixture.one->alive);
    simulate_node_begin(fixture.one);
    assert_true(fiber_start(fixture.one->world.fibers, marker, &fixture));
    run(&fixture);
    assert_string_equal(fixture.heard, "afg");
    assert_int_equal(fixture.one->life, 2);
    end(&fixture);
}

static void doomed_timer(struct world_timer *timer)
{
    struct fixture *fixture = timer->owner;
    mark(fixture, 'a');
    world_fatal(&fixture->one->world, "it can't go on");
    mark(fixture, 'b');
}

static void what_is_fatal_on_the_loop_ends_the_process_too(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture, 1);
    struct world *world = &fixture.one->world;
    fixture.timer = (struct world_timer){.fire = doomed_timer, .owner = &fixture};
    world_timer_start(world, &fixture.timer, world_in_ms(world, 5));
    run(&fixture);
    assert_string_equal(fixture.heard, "a");
    assert_int_equal(fixture.died, 1);
    end(&fixture);
}

static void a_node_dies_at_the_step_it_was_told(void **state)
{
    struct fixture fixture;
    (void)state;
    for (int64_t steps = 1; steps <= 4; steps++) {
        begin(&fixture, 1);
        fixture.one->crash_after = steps;
        fixture.one->crash_how = SIMULATE_KILLED;
        for (int i = 0; i < 2; i++)
            assert_true(fiber_start(fixture.one->world.fibers, marker, &fixture));
        run(&fixture);
        assert_int_equal(strlen(fixture.heard), steps);
        assert_int_equal(fixture.died, 1);
        end(&fixture);
    }
}

static void a_paused_node_finds_its_timers_late(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture, 1);
    struct world *world = &fixture.one->world;
    fixture.timer = (struct world_timer){.fire = timer_fired, .owner = &fixture};
    world_timer_start(world, &fixture.timer, world_in_ms(world, 5));
    simulate_node_pause(fixture.one, world_in_ms(world, 800));
    run(&fixture);
    assert_string_equal(fixture.heard, "t");
    assert_int_equal(fixture.simulate.now_ns, SIMULATE_START_NS + 800 * SIMULATE_MS);
    end(&fixture);
}

/* ---- requests ---- */

static void answer_it(struct simulate_node *node, struct simulate_message *message)
{
    struct fixture *fixture = node->owner;
    static const struct world_header headers[] = {{"Freehold-Outcome", "done"}};
    fixture->answered++;
    simulate_network_answer(message, 200, headers, 1, message->body, message->body_length);
}

static void keep_it(struct simulate_node *node, struct simulate_message *message)
{
    (void)message;
    ((struct fixture *)node->owner)->answered++;
}

static void ask(void *argument)
{
    struct fixture *fixture = argument;
    struct world *world = &fixture->one->world;
    struct world_request request = {.service = "other",
                                    .method = "POST",
                                    .path = "/x",
                                    .headers = {{"Idempotency-Key", "k"}},
                                    .body = "{}",
                                    .body_length = 2,
                                    .deadline_ns = world_in_ms(world, 1000)};
    world_request_wait(world, &request);
    fixture->status = request.status;
    fixture->failure = request.status ? NULL : "none";
    if (request.status && strcmp(request.answer, "{}") == 0 &&
        strcmp(world_answer_header(&request, "freehold-outcome"), "done") == 0)
        mark(fixture, 'k');
    world_request_release(&request);
}

static void asked(struct fixture *fixture)
{
    assert_true(fiber_start(fixture->one->world.fibers, ask, fixture));
    run(fixture);
}

static void a_request_is_answered(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture, 1);
    fixture.other->receive = answer_it;
    simulate_network_open(fixture.other, true);
    asked(&fixture);
    assert_int_equal(fixture.status, 200);
    assert_string_equal(fixture.heard, "k");
    end(&fixture);
}

static void what_is_lost_fails_at_the_deadline(void **state)
{
    struct fixture fixture;
    (void)state;
    for (int answers = 0; answers < 2; answers++) {
        begin(&fixture, 1);
        fixture.other->receive = answer_it;
        simulate_network_open(fixture.other, true);
        if (answers)
            fixture.simulate.faults.answer_lost = 1000000;
        else
            fixture.simulate.faults.request_lost = 1000000;
        asked(&fixture);
        assert_int_equal(fixture.status, 0);
        assert_non_null(fixture.failure);
        assert_int_equal(fixture.answered, answers);
        assert_int_equal(fixture.simulate.now_ns, SIMULATE_START_NS + 1000 * SIMULATE_MS);
        end(&fixture);
    }
}

static void a_request_can_come_twice_and_is_answered_once(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture, 1);
    fixture.other->receive = answer_it;
    simulate_network_open(fixture.other, true);
    fixture.simulate.faults.doubled = 1000000;
    asked(&fixture);
    assert_int_equal(fixture.answered, 2);
    assert_int_equal(fixture.status, 200);
    assert_string_equal(fixture.heard, "k");
    end(&fixture);
}

static void partitioned_nodes_receive_nothing(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture, 1);
    fixture.other->receive = answer_it;
    simulate_network_open(fixture.other, true);
    simulate_network_part(fixture.other, fixture.one, SIMULATE_START_NS + 500 * SIMULATE_MS);
    asked(&fixture);
    assert_int_equal(fixture.status, 0);
    assert_int_equal(fixture.answered, 0);
    asked(&fixture);
    assert_int_equal(fixture.status, 200);
    end(&fixture);
}

static void a_receiver_that_dies_resets_what_it_had_taken(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture, 1);
    fixture.other->receive = keep_it;
    simulate_network_open(fixture.other, true);
    assert_true(fiber_start(fixture.one->world.fibers, ask, &fixture));
    simulate_run(&fixture.simulate, NULL, NULL, SIMULATE_START_NS + 10 * SIMULATE_MS, 10000);
    assert_int_equal(fixture.answered, 1);
    simulate_node_crash(fixture.other, SIMULATE_KILLED, "killed");
    run(&fixture);
    assert_int_equal(fixture.status, 0);
    assert_true(fixture.simulate.now_ns < SIMULATE_START_NS + 100 * SIMULATE_MS);
    end(&fixture);
}

static void an_answer_to_a_dead_sender_reaches_nobody(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture, 1);
    fixture.other->receive = answer_it;
    simulate_network_open(fixture.other, true);
    assert_true(fiber_start(fixture.one->world.fibers, ask, &fixture));
    simulate_run(&fixture.simulate, NULL, NULL, SIMULATE_START_NS, 10);
    simulate_node_crash(fixture.one, SIMULATE_KILLED, "killed");
    run(&fixture);
    assert_int_equal(fixture.answered, 1);
    assert_int_equal(fixture.status, 0);
    assert_string_equal(fixture.heard, "");
    end(&fixture);
}

static uint64_t digest_of(uint64_t seed)
{
    struct fixture fixture;
    begin(&fixture, seed);
    fixture.other->receive = answer_it;
    simulate_network_open(fixture.other, true);
    fixture.simulate.faults =
        (struct simulate_faults){300000, 300000, 300000, 300000, 300000, 0, 0};
    for (int i = 0; i < 20; i++)
        assert_true(fiber_start(fixture.one->world.fibers, ask, &fixture));
    run(&fixture);
    uint64_t digest = fixture.simulate.digest;
    end(&fixture);
    return digest;
}

static void a_seed_is_one_run(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++)
        assert_int_equal(digest_of(seed), digest_of(seed));
    assert_int_not_equal(digest_of(1), digest_of(2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_goes_on_to_what_comes_next),
        cmocka_unit_test(turns_come_when_no_fiber_is_ready),
        cmocka_unit_test(only_the_wall_clock_steps),
        cmocka_unit_test(others_go_on_while_a_job_waits),
        cmocka_unit_test(nothing_of_a_process_happens_after_its_end),
        cmocka_unit_test(what_is_fatal_on_the_loop_ends_the_process_too),
        cmocka_unit_test(a_node_dies_at_the_step_it_was_told),
        cmocka_unit_test(a_paused_node_finds_its_timers_late),
        cmocka_unit_test(a_request_is_answered),
        cmocka_unit_test(what_is_lost_fails_at_the_deadline),
        cmocka_unit_test(a_request_can_come_twice_and_is_answered_once),
        cmocka_unit_test(partitioned_nodes_receive_nothing),
        cmocka_unit_test(a_receiver_that_dies_resets_what_it_had_taken),
        cmocka_unit_test(an_answer_to_a_dead_sender_reaches_nobody),
        cmocka_unit_test(a_seed_is_one_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
