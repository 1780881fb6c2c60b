/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Milestones of facts that a server alone has (docs/internals/carriers.md, 38): with one a look
 * walks what is behind it, and finds out what all links would have told.
 */

#include "../support/keeping.h"

#define LINKS 6 /* that a look has to walk before another one is placed */

static struct carried_server_ops ops;

/* A page each. */
static void write_pages(int first, int count)
{
    for (int i = first; i < first + count; i++) {
        keeping_write_facts(i, 1);
        carrying_settle(0);
    }
}

static void look_now(void)
{
    carrying.carriers[0].walks_ns = 0;
    carrying_settle(0);
}

static const struct carried_milestone *milestone(void)
{
    return &keeping_serving()->kept.milestone;
}

static uint64_t resent(void)
{
    return carrying.carriers[0].counters.resent;
}

/* One look sends it, and another one notes it. */
static void place(void)
{
    carrying.carriers[0].places_ns = 0;
    look_now();
    look_now();
}

/* ---- Placed ---- */

static void a_look_walks_what_is_behind_it(void **state)
{
    (void)state;
    write_pages(0, 3);
    place();
    assert_string_equal(milestone()->name, "");
    write_pages(3, 20);
    look_now();
    assert_string_equal(milestone()->name, "");
    write_pages(23, 1);
    look_now();
    assert_int_equal(milestone()->place.position, 23);
    assert_int_equal(carrying.carriers[0].counters.milestones, 1);
    write_pages(24, 1);
    look_now();
    assert_int_equal(carrying.carriers[0].links_shown, 4); /* two that end there, and two more */
    write_pages(25, 3);
    place();
    assert_int_equal(carrying.carriers[0].counters.milestones, 2);
    assert_int_equal(milestone()->place.position, 28);
    assert_int_equal(resent(), 0);
    keeping_assert_all_answered();
}

/* Each carrier once, and then once a day. */
static void all_links_are_walked_now_and_then(void **state)
{
    (void)state;
    write_pages(0, 10);
    place();
    assert_int_equal(milestone()->place.position, 10);
    look_now();
    assert_int_equal(carrying.carriers[0].links_shown, 2);
    carrying.carriers[0].walks_all_ns = 0;
    look_now();
    assert_true(carrying.carriers[0].links_shown > 10);
    carrying_restart(0);
    carrying_settle(0);
    assert_true(carrying.carriers[0].links_shown > 10);
}

static void nothing_new_places_none(void **state)
{
    (void)state;
    write_pages(0, 10);
    place();
    for (int i = 0; i < 3; i++)
        place();
    assert_int_equal(carrying.carriers[0].counters.milestones, 1);
}

static void many_links_at_rest_get_one(void **state)
{
    (void)state;
    ops.look_links = 1000;
    write_pages(0, 10);
    place();
    assert_int_equal(keeping_serving()->kept.settled, 10);
    ops.look_links = LINKS;
    carrying_restart(0);
    place();
    assert_int_equal(milestone()->place.position, 10);
}

/* ---- Not placed ---- */

/* It is never needed, so nothing fails, and it is not tried again at once. */
static void one_that_was_not_answered_is_not_noted(void **state)
{
    static const enum memory_fault faults[] = {MEMORY_LATER, MEMORY_UNANSWERED, MEMORY_AWAY};
    (void)state;
    write_pages(0, 10);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        carrying.carriers[0].places_ns = 0;
        carrying.server->fault = faults[i]; /* of the page that has no facts */
        look_now();
        int sends = carrying.server->sends;
        look_now();
        look_now();
        assert_string_equal(milestone()->name, "");
        assert_int_equal(carrying.server->sends, sends);
    }
    assert_true(memory_deliver(carrying.server));
    look_now();
    assert_string_equal(milestone()->name, "");
    place();
    assert_int_equal(milestone()->place.position, 10);
    keeping_assert_all_answered();
}

static void a_server_that_was_started_anew_gets_none(void **state)
{
    (void)state;
    write_pages(0, 10);
    int sends = carrying.server->sends;
    carrying.server->running_s = 0;
    look_now();
    assert_int_equal(carrying.server->sends, sends);
    carrying.server->running_s = 1000;
    look_now(); /* it is sent */
    assert_int_equal(carrying.server->sends, sends + 1);
    carrying.server->running_s = 0;
    look_now();
    assert_string_equal(milestone()->name, "");
    carrying.server->running_s = 1000;
    place();
    assert_int_equal(milestone()->place.position, 10);
}

/* Restored while it ran, so that nothing but a look tells; what it lacks is sent again, or was sent
 * late, before anybody looks. */
static void a_server_that_was_restored_meanwhile_gets_none(void **state)
{
    (void)state;
    write_pages(0, 4);
    memory_back_up(carrying.server);
    write_pages(4, 6);
    look_now(); /* it is sent */
    memory_restore(carrying.server);
    look_now();
    look_now();
    assert_string_equal(milestone()->name, "");
    keeping_assert_all_answered();
    assert_true(resent() > 0);
    write_pages(10, 2);
    place();
    assert_int_equal(milestone()->place.position, 12);
}

static void one_that_the_server_lost_is_not_noted(void **state)
{
    (void)state;
    write_pages(0, 10);
    memory_back_up(carrying.server);
    look_now(); /* it is sent */
    memory_restore(carrying.server);
    look_now();
    assert_string_equal(milestone()->name, "");
}

/* ---- Other ways through the outbox ---- */

/* The other carrier sends a page that begins before the place, and ends behind it. */
static void pass_over(int first)
{
    keeping_write_facts(first, 2);
    carrying_settle(1);
    assert_int_equal(keeping_serving()->cursor, first + 2);
}

/* 10: no link leads on from there. */
static void one_that_others_pass_over_says_nothing(void **state)
{
    (void)state;
    write_pages(0, 9);
    carrying_settle(1);
    write_pages(9, 1);
    place();
    assert_int_equal(milestone()->place.position, 10);
    pass_over(10);
    carrying_restart(1);
    carrying_settle(1);
    look_now();
    assert_int_equal(resent() + carrying.carriers[1].counters.resent, 0);
    assert_false(keeping_serving()->kept.lacks);
    keeping_assert_all_answered();
}

static void one_that_others_have_passed_over_is_not_noted(void **state)
{
    (void)state;
    write_pages(0, 9);
    carrying_settle(1);
    write_pages(9, 1);
    look_now(); /* it is sent */
    pass_over(10);
    carrying.carriers[1].walks_ns = 0;
    carrying_settle(1);
    keeping_trim(keeping_serving()->kept.settled);
    carrying_settle(0);
    look_now();
    look_now();
    assert_int_equal(carrying.carriers[0].counters.lost, 0);
    assert_int_equal(resent(), 0);
    assert_false(keeping_serving()->lost);
    keeping_assert_all_answered();
}

/* ---- What the server loses ---- */

static void a_server_of_before_it_is_walked_from_the_beginning(void **state)
{
    (void)state;
    write_pages(0, 6);
    memory_back_up(carrying.server);
    write_pages(6, 6);
    place();
    assert_int_equal(milestone()->place.position, 12);
    memory_restore(carrying.server);
    look_now();
    assert_int_equal(resent(), 1);
    keeping_assert_all_answered();
    assert_int_equal(carrying.carriers[0].counters.lost, 0);
    write_pages(12, 6);
    place();
    place();
    assert_int_equal(milestone()->place.position, 18);
}

static void what_is_lost_behind_it_is_sent_again(void **state)
{
    (void)state;
    write_pages(0, 8);
    place();
    memory_back_up(carrying.server);
    write_pages(8, 3);
    memory_restore(carrying.server);
    look_now();
    assert_int_equal(resent(), 1);
    assert_int_equal(keeping_serving()->kept.settled, 8);
    keeping_assert_all_answered();
}

static void a_loss_that_is_accepted_begins_behind_it(void **state)
{
    (void)state;
    write_pages(0, 3);
    memory_back_up(carrying.server);
    write_pages(3, 7);
    place();
    assert_int_equal(milestone()->place.position, 10);
    keeping_trim(10);
    memory_restore(carrying.server);
    carrying.carriers[0].walks_ns = 0;
    struct carrying_turn turn = carrying_turn(0);
    for (int i = 0; i < 3 && turn.code == FH_OK; i++)
        turn = carrying_turn(0);
    assert_int_equal(turn.code, FH_UNSUPPORTED);
    struct keeping_accepting accepting = keeping_accept_loss();
    assert_int_equal(accepting.code, FH_OK);
    assert_int_equal(accepting.loss.after, 3);
    assert_int_equal(accepting.loss.to, 10);
    write_pages(10, 2);
    carrying_restart(0);
    carrying_settle(0);
    keeping_assert_answered_without(3, 10);
    assert_int_equal(carrying.carriers[0].counters.lost + resent(), 0);
}

/* ---- What the owner loses ---- */

static void a_restored_owner_begins_at_the_one_that_it_knew(void **state)
{
    (void)state;
    write_pages(0, 6);
    place();
    struct keeping_restoring *restoring = keeping_back_up_owner();
    write_pages(6, 6);
    place();
    assert_int_equal(milestone()->place.position, 12);
    keeping_restore_owner(restoring);
    carrying_restart(0);
    write_pages(12, 6);
    place();
    place();
    assert_int_equal(milestone()->place.position, 12); /* of its own life */
    assert_int_equal(keeping_serving()->kept.former_count, 1);
    keeping_assert_all_answered();
}

/* The record has stayed, with the milestone of a life that was lost, and the present one passes its
 * position. */
static void one_of_a_lost_life_is_no_beginning(void **state)
{
    (void)state;
    write_pages(0, 2);
    struct keeping_restoring restoring = *keeping_back_up_owner();
    write_pages(2, 6);
    place();
    assert_int_equal(milestone()->place.position, 8);
    restoring.record = carrying_ledger(NULL)->record;
    keeping_restore_owner(&restoring);
    carrying_restart(0);
    ops.look_links = 1000; /* it stays */
    for (int i = 0; i < 5; i++) {
        write_pages(8 + 3 * i, 3);
        keeping_trim(1 + 3 * i);
        look_now();
        keeping_assert_all_answered();
    }
    assert_string_equal(milestone()->name, "");
    ops.look_links = LINKS;
    write_pages(23, 1);
    place();
    assert_int_equal(milestone()->place.position, 18);
}

/* A replica without the last commits takes over: the incarnation is the same. */
static void an_owner_that_is_set_back_begins_at_the_one_that_it_knows(void **state)
{
    (void)state;
    write_pages(0, 6);
    place();
    struct keeping_restoring *restoring = keeping_back_up_owner();
    write_pages(6, 8);
    place();
    assert_int_equal(milestone()->place.position, 14);
    keeping_set_back_owner(restoring);
    write_pages(14, 9);
    place();
    place();
    assert_int_equal(milestone()->place.position, 15);
    keeping_assert_all_answered();
}

/* ---- Two carriers ---- */

static void another_carrier_s_is_as_good(void **state)
{
    (void)state;
    write_pages(0, 6);
    carrying_settle(1);
    place();
    struct carried_milestone placed = *milestone();
    carrying.carriers[1].walks_ns = 0;
    carrying_settle(1);
    assert_int_equal(carrying.carriers[1].links_shown, 3); /* it has sent one, too: in vain */
    assert_string_equal(milestone()->name, placed.name);
    keeping_assert_all_answered();
}

/* ---- By chance ---- */

static int set_up(void **state)
{
    carrying_set_up(state);
    carrying_begin_kept(CARRYING_SOLD);
    keeping_begin();
    ops = memory_ops;
    ops.look_links = LINKS;
    carrying.server->base.ops = &ops;
    carrying.server->running_s = 1000;
    return 0;
}

#define SEEDS 40
#define STEPS 90

static uint64_t seed;
static int placed; /* milestones, in all seeds */

static int draw(int below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (int)((seed >> 33) % (uint64_t)below);
}

/* A start of the server is seen by looks that have begun before it. */
static void restore_server(void)
{
    draw(5) ? memory_restore(carrying.server) : memory_empty(carrying.server);
    carrying.server->running_s = 0;
}

static void do_something_within(struct memory_server *server, bool done)
{
    (void)done;
    int what = draw(24);
    if (what == 0)
        memory_deliver(server);
    else if (what == 1)
        memory_back_up(server);
    else if (what == 2)
        restore_server();
}

static enum fh_code links_by_chance(struct carried_server *server,
                                    const struct fh_derived *declared,
                                    const struct carried_name *generation,
                                    const struct carried_link *after, int limit,
                                    void (*visit)(void *context, const struct carried_link *link),
                                    void *context, int *ret_count, struct fh_error *error)
{
    if (carrying.server->between)
        do_something_within(carrying.server, false);
    return memory_ops.links(server, declared, generation, after, limit, visit, context, ret_count,
                            error);
}

struct looked {
    struct carried_place with, without;
    bool there_with, there_without;
};

static void look_both_ways(void *argument)
{
    struct looked *looked = argument;
    static struct derived_carrier probe;
    struct fh_error error;
    probe = (struct derived_carrier){.context = &carrying.fixture->context,
                                     .declared = carrying_declared(),
                                     .server = &carrying.server->base,
                                     .kept = true};
    assert_int_equal(carrier_look_again(&probe, &error), FH_OK);
    struct carried_generation *serving = &probe.look.record.serving;
    if (!serving->name.number)
        return;
    probe.walks_all_ns = INT64_MAX;
    assert_int_equal(kept_look(&probe, serving, &looked->with, &looked->there_with, &error), FH_OK);
    serving->kept.milestone.name[0] = '\0';
    assert_int_equal(kept_look(&probe, serving, &looked->without, &looked->there_without, &error),
                     FH_OK);
}

static void turn_by_chance(int number)
{
    carrying.server->running_s = 1000;
    carrying.server->between = do_something_within;
    carrying.server->fault = draw(3) ? MEMORY_WELL : (enum memory_fault)draw(MEMORY_LATER + 1);
    carrying.carriers[number].walks_ns = draw(2) ? 0 : carrying.carriers[number].walks_ns;
    carrying.carriers[number].walks_all_ns = draw(4) ? INT64_MAX : 0;
    carrying.carriers[number].places_ns = 0;
    ops.page_ops = 1 + draw(3);
    uint64_t before = carrying.carriers[number].counters.milestones;
    carrying_turn(number);
    placed += (int)(carrying.carriers[number].counters.milestones - before);
    carrying.server->between = NULL;
    carrying.server->fault = MEMORY_WELL;
}

/* By a replica that takes over, or a backup of it, beside which its record may have stayed. */
static void lose_commits(const struct keeping_restoring *restoring)
{
    static struct keeping_restoring stayed;
    stayed = *restoring;
    if (draw(2)) {
        keeping_set_back_owner(&stayed);
        return;
    }
    if (draw(2))
        stayed.record = carrying_ledger(NULL)->record;
    keeping_restore_owner(&stayed);
}

static void do_something(struct keeping_restoring *restoring)
{
    int what = draw(20);
    if (what < 6 && keeping_count < 190)
        keeping_write_facts(keeping_count, 1);
    else if (what < 14)
        turn_by_chance(draw(2));
    else if (what == 14)
        carrying_restart(draw(2));
    else if (what == 15)
        memory_deliver(carrying.server);
    else if (what == 16)
        keeping_accept_loss();
    else if (what == 17)
        keeping_trim(carrying_ledger(NULL)->settled);
    else if (what == 18)
        *restoring = *keeping_back_up_owner();
    else if (!draw(4) && restoring->position >= carrying_ledger(NULL)->trimmed)
        lose_commits(restoring);
}

static void play(void **state, uint64_t first)
{
    static struct keeping_restoring restoring;
    keeping_tear_down(state);
    set_up(state);
    ops.look_links = 2;
    ops.links = links_by_chance;
    restoring.position = -1;
    seed = first * 7919 + 1;
    for (int i = 0; i < STEPS; i++) {
        struct looked looked = {0};
        do_something(&restoring);
        harness_run(&carrying.fixture->harness, look_both_ways, &looked);
        if (looked.there_with != looked.there_without ||
            looked.with.position != looked.without.position ||
            strcmp(looked.with.id, looked.without.id) != 0)
            fail_msg(
                "FREEHOLD_SEED=%llu, step %d: whole up to %lld with the milestone, %lld without",
                (unsigned long long)first, i, (long long)looked.with.position,
                (long long)looked.without.position);
    }
}

static void a_look_with_it_says_what_all_links_say(void **state)
{
    const char *given = getenv("FREEHOLD_SEED");
    uint64_t from = given ? strtoull(given, NULL, 10) : 1;
    for (uint64_t first = from; first < from + (given ? 1 : SEEDS); first++)
        play(state, first);
    assert_true(given || placed > SEEDS);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, keeping_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_look_walks_what_is_behind_it),
        CASE(all_links_are_walked_now_and_then),
        CASE(nothing_new_places_none),
        CASE(many_links_at_rest_get_one),
        CASE(one_that_was_not_answered_is_not_noted),
        CASE(a_server_that_was_started_anew_gets_none),
        CASE(a_server_that_was_restored_meanwhile_gets_none),
        CASE(one_that_the_server_lost_is_not_noted),
        CASE(one_that_others_pass_over_says_nothing),
        CASE(one_that_others_have_passed_over_is_not_noted),
        CASE(a_server_of_before_it_is_walked_from_the_beginning),
        CASE(what_is_lost_behind_it_is_sent_again),
        CASE(a_loss_that_is_accepted_begins_behind_it),
        CASE(a_restored_owner_begins_at_the_one_that_it_knew),
        CASE(one_of_a_lost_life_is_no_beginning),
        CASE(an_owner_that_is_set_back_begins_at_the_one_that_it_knows),
        CASE(another_carrier_s_is_as_good),
        CASE(a_look_with_it_says_what_all_links_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
