/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts that a server alone has (docs/internals/carriers.md, 23 to 30): each is there once,
 * whatever becomes of requests, of the server and of the service's store; what the server has lost
 * is sent again as long as the outbox has it, and is said to be lost where it has not.
 */

#include "../support/keeping.h"

#include "event/outbox/trim.h"

#define S INT64_C(1000000000)

/* ---- Carrying ---- */

static void count_own_facts(void *argument)
{
    char expected[CARRYING_TEXT_SIZE];
    carrying_expected_here(expected);
    *(bool *)argument = strstr(expected, "d1") != NULL;
}

static void the_server_alone_has_them(void **state)
{
    bool own = true;
    (void)state;
    keeping_write_facts(0, 3); /* before there is a generation */
    carrying_settle(0);
    keeping_write_facts(3, 30);
    carrying_settle(0);
    keeping_assert_all_answered();
    harness_run(&carrying.fixture->harness, count_own_facts, &own);
    assert_false(own);
    assert_int_equal(carrying.carriers[0].counters.begun, 1);
    assert_int_equal(keeping_serving()->cursor, carrying_ledger(NULL)->position);
    carrying_restart(0);
    carrying_settle(0);
    keeping_assert_all_answered();
    assert_int_equal(carrying.carriers[0].counters.resent, 0);
}

static void write_two(fh_work *w)
{
    fh_fact(w, "sold", 1000, carrying_fact_value("d1", 4));
    fh_fact(w, "sold", 1000, carrying_fact_value("d1", 4));
}

static void write_two_and_fail(fh_work *w)
{
    write_two(w);
    fh_fail(w, 409, "There is no room for it.");
}

static void alike_ones_of_a_unit_of_work_are_two(void **state)
{
    carrying_settle(0);
    assert_int_equal(run_one(state, write_two, false).status, 204);
    assert_int_equal(run_one(state, write_two_and_fail, false).status, 409);
    keeping_note_written("d1", 1000, 4);
    keeping_note_written("d1", 1000, 4);
    carrying_settle(0);
    keeping_assert_all_answered();
}

static void each_is_there_once_however_late_requests_come(void **state)
{
    (void)state;
    keeping_write_under_faults();
    while (memory_deliver(carrying.server))
        ;
    keeping_assert_all_answered();
    carrying_restart(0);
    carrying_settle(0);
    assert_int_equal(carrying.carriers[0].counters.resent, 0);
    assert_int_equal(keeping_serving()->cursor, carrying_ledger(NULL)->position);
}

/* ---- What the server loses ---- */

static void what_the_outbox_has_is_sent_again(void **state)
{
    (void)state;
    keeping_write_facts(0, 5);
    carrying_settle(0);
    memory_back_up(carrying.server);
    keeping_write_facts(5, 5);
    carrying_settle(0);
    memory_restore(carrying.server);
    keeping_assert_answered_without(5, 10); /* nobody has noticed */
    carrying_restart(0);
    carrying.server->away = true;
    carrying_turn(0);
    carrying.server->away = false;
    carrying_turn(0);
    assert_int_equal(carrying.carriers[0].counters.resent, 1);
    carrying_settle(0);
    keeping_assert_all_answered();
    memory_empty(carrying.server);
    carrying_restart(0);
    carrying_settle(0);
    keeping_assert_all_answered();
    assert_int_equal(carrying.carriers[0].counters.lost, 0);
    assert_int_equal(keeping_serving()->name.number, 1);
}

/* While it is sent again, nothing is answered, and the outbox is held. */
static int sends_before;

static void within_each_page(struct memory_server *server, bool done)
{
    struct carrying_answer answer;
    (void)done;
    if (server->sends == sends_before)
        return;
    carrying_ask_here(&answer);
    assert_int_equal(answer.code, FH_UNAVAILABLE);
}

static void what_is_sent_again_is_not_answered_before(void **state)
{
    struct carried_server_ops ops = memory_ops;
    (void)state;
    ops.page_ops = 2;
    carrying.server->base.ops = &ops;
    keeping_write_facts(0, 2);
    carrying_settle(0);
    memory_back_up(carrying.server);
    keeping_write_facts(2, 6);
    carrying_settle(0);
    carrying.carriers[0].walks_ns = 0;
    carrying_settle(0);
    assert_int_equal(keeping_serving()->kept.settled, keeping_serving()->cursor);
    memory_restore(carrying.server);
    carrying.carriers[0].walks_ns = 0;
    carrying.server->between = within_each_page;
    sends_before = carrying.server->sends;
    assert_int_equal(carrying_turn(0).code, FH_OK);
    assert_true(carrying.server->sends > sends_before + 1);
    carrying.server->between = NULL;
    assert_int_equal(keeping_serving()->kept.settled, 2);
    carrying_settle(0);
    keeping_assert_all_answered();
}

static void assert_stopped(int carrier)
{
    struct carrying_turn turn = carrying_turn(carrier);
    for (int i = 0; i < 3 && turn.code == FH_OK; i++)
        turn = carrying_turn(carrier);
    assert_int_equal(turn.code, FH_UNSUPPORTED);
    carrying_assert_not_asked();
}

static void what_nobody_has_is_said_to_be_lost_until_that_is_accepted(void **state)
{
    (void)state;
    keeping_write_facts(0, 3);
    carrying_settle(0);
    memory_back_up(carrying.server);
    keeping_write_facts(3, 4);
    carrying_settle(0);
    carrying_restart(0);
    carrying_settle(0);
    assert_int_equal(carrying_ledger(NULL)->settled, 7);
    assert_int_equal(keeping_accept_loss().code, FH_CONFLICT);
    keeping_trim(5);
    memory_restore(carrying.server);
    carrying_restart(0);
    assert_stopped(0);
    assert_int_equal(carrying.carriers[0].counters.lost, 1);
    assert_true(keeping_serving()->lost);
    assert_int_equal(carrying_ledger(NULL)->settled, 5); /* the rest of the outbox stays */
    keeping_write_facts(7, 2);
    carrying_restart(0);
    carrying_restart(1);
    assert_stopped(0);
    assert_stopped(1);
    struct keeping_accepting accepting = keeping_accept_loss();
    assert_int_equal(accepting.code, FH_OK);
    assert_int_equal(accepting.loss.after, 3);
    assert_int_equal(accepting.loss.to, 5);
    carrying_settle(0);
    keeping_assert_answered_without(3, 5);
    assert_int_equal(keeping_serving()->kept.loss_count, 1);
    assert_int_equal(keeping_serving()->kept.losses[0].to, 5);
    assert_int_equal(keeping_accept_loss().code, FH_CONFLICT);
    carrying_restart(0);
    carrying_settle(0);
    assert_int_equal(carrying.carriers[0].counters.resent, 0);
}

static void what_was_lost_may_come_back_with_a_backup_of_the_server(void **state)
{
    (void)state;
    keeping_write_facts(0, 6);
    carrying_settle(0);
    memory_back_up(carrying.server);
    keeping_write_facts(6, 2);
    carrying_settle(0);
    keeping_trim(5);
    memory_empty(carrying.server);
    carrying_restart(0);
    assert_stopped(0);
    memory_restore(carrying.server);
    assert_int_equal(carrying_turn(0).code, FH_UNSUPPORTED); /* it is not looked at each time */
    carrying.carriers[0].walks_ns = 0;
    carrying_settle(0);
    keeping_assert_all_answered();
    assert_false(keeping_serving()->lost);
    assert_int_equal(keeping_serving()->kept.loss_count, 0);
}

static void a_server_that_was_emptied_for_good_goes_on_with_what_is_left(void **state)
{
    (void)state;
    keeping_write_facts(0, 6);
    carrying_settle(0);
    keeping_trim(4);
    memory_empty(carrying.server);
    keeping_write_facts(6, 1);
    assert_stopped(0); /* by the page that is not taken */
    assert_int_equal(keeping_accept_loss().code, FH_OK);
    carrying_settle(0);
    keeping_assert_answered_without(0, 4);
}

static void what_one_of_two_carriers_has_trimmed_is_not_lost_for_the_other(void **state)
{
    (void)state;
    keeping_write_facts(0, 4);
    carrying_settle(0);
    carrying_settle(1);
    keeping_write_facts(4, 4);
    carrying_settle(0);
    keeping_trim(8);
    keeping_write_facts(8, 1);
    carrying_settle(1);
    assert_int_equal(carrying.carriers[1].counters.lost, 0);
    keeping_assert_all_answered();
}

/* ---- The outbox ---- */

static enum fh_code needed_of_sold(struct work_context *context, struct store_work *work,
                                   int64_t *ret, int64_t *ret_held, struct fh_error *error)
{
    (void)context;
    enum fh_code code = carried_needed(work, "sold", ret, error);
    return code == FH_OK ? carried_kept_settled(work, "sold", ret_held, error) : code;
}

/* Whatever its bounds are. */
static void trim_hard(void *argument)
{
    static const struct work_carried carried = {
        .declared = 1u << CARRYING_SOLD, .kept = 1u << CARRYING_SOLD, .needed = needed_of_sold};
    struct work_context *context = &carrying.fixture->context;
    struct retention retention = retention_of(NULL);
    struct fh_error error;
    bool more;
    (void)argument;
    context->carried = &carried;
    context->events = event_manager_new(context);
    retention.events_kept_ms = 0;
    retention.events_max = 1;
    FH_ASSERT(event_trim(context->events, &retention, NULL, &more, &error) == FH_OK);
    event_manager_drain(context->events);
    event_manager_free(context->events);
    context->events = NULL;
    context->carried = &carrying_kept[CARRYING_SOLD];
}

static int64_t trimmed(void)
{
    harness_run(&carrying.fixture->harness, trim_hard, NULL);
    return carrying_ledger(NULL)->trimmed;
}

static void look_now(void)
{
    carrying.carriers[0].walks_ns = 0;
    carrying_settle(0);
}

/* 29: not when it is answered, but when it is whole, and the server has run on long enough. */
static void the_outbox_is_held_until_it_has_settled(void **state)
{
    (void)state;
    carrying.server->settle_s = 480;
    carrying.server->running_s = 1000;
    keeping_write_facts(0, 4);
    assert_int_equal(trimmed(), 0); /* nothing has begun */
    carrying_settle(0);
    assert_int_equal(trimmed(), 0);
    look_now();
    assert_int_equal(carrying.carriers[0].settling.to, 4);
    keeping_write_facts(4, 3);
    carrying_settle(0);
    look_now();
    assert_int_equal(trimmed(), 0);
    carrying.carriers[0].settling.began_ns -= 500 * S;
    carrying.server->running_s = 499; /* it was started anew */
    look_now();
    assert_int_equal(trimmed(), 0);
    assert_int_equal(carrying.carriers[0].settling.to, 7);
    carrying.carriers[0].settling.began_ns -= 500 * S;
    carrying.server->running_s = 520;
    keeping_write_facts(7, 1);
    look_now();
    assert_int_equal(carrying_ledger(NULL)->settled, 7);
    assert_int_equal(trimmed(), 7);
    assert_int_equal(carrying_ledger(NULL)->needed, 7);
    keeping_assert_all_answered();
}

static void what_is_not_whole_does_not_settle(void **state)
{
    (void)state;
    carrying.server->settle_s = 480;
    carrying.server->running_s = 1000;
    keeping_write_facts(0, 2);
    carrying_settle(0);
    memory_back_up(carrying.server);
    keeping_write_facts(2, 2);
    carrying_settle(0);
    look_now();
    carrying.carriers[0].settling.began_ns -= 500 * S;
    memory_restore(carrying.server);
    look_now();
    assert_int_equal(trimmed(), 0);
    keeping_assert_all_answered();
}

static enum fh_code has_no_room(struct work_context *context, const struct fh_derived *declared,
                                int64_t at_ms, struct fh_error *error)
{
    (void)context;
    (void)declared;
    (void)at_ms;
    return error_set(error, FH_UNAVAILABLE, "There is no room.");
}

static void where_there_is_no_room_nothing_is_derived(void **state)
{
    carrying_settle(0);
    int64_t position = carrying_ledger(NULL)->position;
    carrying_refuses = has_no_room;
    assert_int_equal(run_one(state, write_two, false).status, 503);
    assert_int_equal(carrying_ledger(NULL)->position, position);
    carrying_refuses = NULL;
    keeping_write_facts(0, 1);
    carrying_settle(0);
    keeping_assert_all_answered();
}

/* ---- The owner's restores ---- */

/* 23, 24: what the lost life had carried stays, and is counted. */
static void positions_that_are_given_out_again_are_other_facts(void **state)
{
    (void)state;
    keeping_write_facts(0, 4);
    carrying_settle(0);
    keeping_write_facts(4, 2); /* not carried in the backup */
    struct keeping_restoring *restoring = keeping_back_up_owner();
    keeping_write_facts(6, 3);
    carrying_settle(0);
    carrying.server->fault = MEMORY_LATER;
    keeping_write_facts(9, 1);
    carrying_turn(1);
    keeping_restore_owner(restoring);
    carrying_restart(0);
    carrying_restart(1);
    keeping_write_facts(10, 5); /* at the positions of 6 to 8, and on */
    carrying_settle(0);
    keeping_assert_answered_without(9, 10);
    assert_true(memory_deliver(carrying.server));
    keeping_assert_all_answered();
    const struct carried_kept *kept = &keeping_serving()->kept;
    assert_int_equal(kept->former_count, 1);
    assert_int_equal(kept->formers[0].facts, 3);
    assert_int_equal(kept->formers[0].position, 6);
    assert_string_equal(kept->formers[0].incarnation, restoring->record.serving.kept.life);
    assert_string_equal(kept->life, carrying.fixture->context.store->incarnation);
    assert_int_equal(keeping_serving()->name.number, 1);
    carrying_restart(0);
    carrying_settle(0);
    assert_int_equal(carrying.carriers[0].counters.resent, 0);
    carrying_settle(1);
    assert_int_equal(keeping_serving()->kept.former_count, 1);
}

/* Both: links of the lost life lead farther than the present one's, and do not count. */
static void a_lost_life_s_links_hide_no_hole(void **state)
{
    (void)state;
    keeping_write_facts(0, 2);
    carrying_settle(0);
    struct keeping_restoring *restoring = keeping_back_up_owner();
    keeping_write_facts(2, 4);
    carrying_settle(0);
    memory_back_up(carrying.server);
    keeping_restore_owner(restoring);
    carrying_restart(0);
    keeping_write_facts(6, 4);
    carrying_settle(0);
    keeping_assert_all_answered();
    memory_restore(carrying.server);
    carrying_restart(0);
    carrying_settle(0);
    assert_int_equal(carrying.carriers[0].counters.resent, 1);
    keeping_assert_all_answered();
}

/* The record has stayed, of the life that was lost: its cursor lies ahead of the outbox. */
static void a_cursor_of_a_lost_life_hides_nothing(void **state)
{
    (void)state;
    keeping_write_facts(0, 2);
    carrying_settle(0);
    struct keeping_restoring restoring = *keeping_back_up_owner();
    keeping_write_facts(2, 5);
    carrying_settle(0);
    restoring.record = carrying_ledger(NULL)->record;
    keeping_restore_owner(&restoring);
    for (int i = 0; i < 3; i++) { /* at the positions of 2 to 6, and on */
        carrying_restart(0);
        keeping_write_facts(7 + 3 * i, 3);
        carrying_settle(0);
        keeping_assert_all_answered();
        assert_int_equal(keeping_serving()->cursor, 2 + 3 * (i + 1));
    }
    assert_int_equal(keeping_serving()->kept.former_count, 1);
    assert_int_equal(keeping_serving()->kept.formers[0].facts, 5);
}

static struct keeping_restoring restored_meanwhile;

static void restore_while_it_is_sent(struct memory_server *server, bool done)
{
    if (!done)
        return;
    server->between = NULL;
    keeping_restore_entry(&restored_meanwhile);
    carrying_ledger_entry(&(struct carrying_ledger){.renew = true, .restored = true});
    carrying_fact_here("d1", 1000, 1);
}

/* 24 */
static void a_page_of_a_lost_life_moves_no_cursor(void **state)
{
    (void)state;
    keeping_write_facts(0, 2);
    carrying_settle(0);
    restored_meanwhile = *keeping_back_up_owner();
    keeping_write_facts(2, 1);
    carrying.server->between = restore_while_it_is_sent;
    carrying_turn(0);
    keeping_note_written("d1", 1000, 1);
    assert_int_equal(keeping_serving()->cursor, 2);
    carrying_settle(0);
    assert_int_equal(keeping_serving()->cursor, 3);
    keeping_assert_all_answered();
}

static void a_backup_from_before_it_all_begins_another_one(void **state)
{
    (void)state;
    struct keeping_restoring *restoring = keeping_back_up_owner();
    keeping_write_facts(0, 4);
    carrying_settle(0);
    keeping_restore_owner(restoring);
    carrying_restart(0);
    keeping_write_facts(4, 2);
    carrying_settle(0);
    keeping_assert_answered_without(0, 4);
    assert_int_equal(memory_count(carrying.server), 2); /* nothing is dropped */
}

static void a_moved_owner_goes_on(void **state)
{
    (void)state;
    keeping_write_facts(0, 3);
    carrying_settle(0);
    carrying_ledger(&(struct carrying_ledger){.renew = true});
    keeping_write_facts(3, 3);
    carrying_settle(0);
    keeping_assert_all_answered();
    assert_int_equal(keeping_serving()->kept.former_count, 0);
}

/* ---- What it is declared as ---- */

static void another_declaration_stops_it(void **state)
{
    (void)state;
    keeping_write_facts(0, 3);
    carrying_settle(0);
    carrying_service.derives[CARRYING_SOLD].version = 7;
    assert_stopped(0);
    carrying_service.derives[CARRYING_SOLD].version = 0;
    carrying_settle(0);
    keeping_assert_all_answered();
}

static void it_is_not_made_anew_nor_dropped_by_another_kind(void **state)
{
    (void)state;
    keeping_write_facts(0, 3);
    carrying_settle(0);
    assert_int_equal(carrying_make_anew(), FH_CONFLICT);
    carrying.carriers[1].kept = false; /* a carrier of what the store itself has */
    carrying_settle(1);
    assert_int_equal(memory_count(carrying.server), 2);
    struct keeping_accepting accepting = {0};
    carrying.carriers[0].kept = false;
    accepting = keeping_accept_loss();
    assert_int_equal(accepting.code, FH_CONFLICT);
}

static void what_a_server_refuses_stops_it(void **state)
{
    (void)state;
    keeping_write_facts(0, 1);
    carrying_settle(0);
    carrying_fact("bad", 1000, 1);
    struct carrying_turn turn = carrying_turn(0);
    assert_int_equal(turn.code, FH_UNSUPPORTED);
    assert_int_equal(keeping_serving()->cursor, 1);
}

/* The cursor is behind it already, and does not say that it is there. */
static void what_is_refused_when_it_is_sent_again_is_not_passed_over(void **state)
{
    (void)state;
    keeping_write_fact("odd", 1000, 1);
    keeping_write_facts(0, 2);
    carrying_settle(0);
    keeping_assert_all_answered();
    memory_empty(carrying.server);
    carrying.server->picky = true;
    for (int i = 0; i < 3; i++) {
        carrying_restart(0);
        enum fh_code code = FH_OK;
        for (int j = 0; j < 4 && code == FH_OK; j++)
            code = carrying_turn(0).code;
        assert_int_equal(code, FH_UNSUPPORTED);
        carrying_assert_not_asked();
        assert_int_equal(keeping_serving()->kept.settled, 0);
    }
    carrying.server->picky = false;
    carrying_settle(0);
    keeping_assert_all_answered();
}

/* ---- The walk ---- */

static void ends_are_reached_by_their_events_alone(void **state)
{
    struct kept_walk *walk = calloc(1, sizeof *walk);
    (void)state;
    assert_non_null(walk);
    kept_walk_begin(walk, &(struct carried_place){.position = 4, .id = "d"});
    assert_false(kept_walk_link(walk, &(struct carried_link){4, 6, "x", "f"}));
    assert_true(kept_walk_link(walk, &(struct carried_link){4, 6, "d", "f"}));
    assert_true(kept_walk_link(walk, &(struct carried_link){4, 6, "d", "F"}));
    assert_true(kept_walk_link(walk, &(struct carried_link){4, 6, "d", "F"}));
    assert_false(kept_walk_link(walk, &(struct carried_link){5, 7, "e", "g"}));
    assert_true(kept_walk_link(walk, &(struct carried_link){6, 7, "F", "g"}));
    assert_false(kept_walk_link(walk, &(struct carried_link){6, 6, "F", "F"}));
    assert_false(kept_walk_link(walk, &(struct carried_link){7, 8 + CARRIED_SPAN_MAX, "g", "far"}));
    assert_true(kept_walk_link(walk, &(struct carried_link){7, 7 + CARRIED_SPAN_MAX, "g", "h"}));
    assert_false(kept_walk_link(walk, &(struct carried_link){7, 8 + CARRIED_SPAN_MAX, "g", "i"}));
    free(walk);
}

/* As two lives leave them that begin with the longest link there may be. */
static void the_longest_links_of_two_lives_are_both_reached(void **state)
{
    struct kept_walk *walk = calloc(1, sizeof *walk);
    int64_t end = 4 + CARRIED_SPAN_MAX;
    (void)state;
    assert_non_null(walk);
    kept_walk_begin(walk, &(struct carried_place){.position = 4, .id = "d"});
    assert_true(kept_walk_link(walk, &(struct carried_link){4, end, "d", "one"}));
    assert_true(kept_walk_link(walk, &(struct carried_link){4, end, "d", "other"}));
    assert_true(kept_walk_link(walk, &(struct carried_link){end, end + 1, "other", "next"}));
    free(walk);
}

/* ---- Running them ---- */

static int set_up_kept(void **state)
{
    return keeping_set_up(state, CARRYING_SOLD);
}

int main(void)
{
#define KEPT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_kept, keeping_tear_down)
    static const struct CMUnitTest tests[] = {
        KEPT_TEST(the_server_alone_has_them),
        KEPT_TEST(alike_ones_of_a_unit_of_work_are_two),
        KEPT_TEST(each_is_there_once_however_late_requests_come),
        KEPT_TEST(what_the_outbox_has_is_sent_again),
        KEPT_TEST(what_is_sent_again_is_not_answered_before),
        KEPT_TEST(what_nobody_has_is_said_to_be_lost_until_that_is_accepted),
        KEPT_TEST(what_was_lost_may_come_back_with_a_backup_of_the_server),
        KEPT_TEST(a_server_that_was_emptied_for_good_goes_on_with_what_is_left),
        KEPT_TEST(what_one_of_two_carriers_has_trimmed_is_not_lost_for_the_other),
        KEPT_TEST(the_outbox_is_held_until_it_has_settled),
        KEPT_TEST(what_is_not_whole_does_not_settle),
        KEPT_TEST(where_there_is_no_room_nothing_is_derived),
        KEPT_TEST(positions_that_are_given_out_again_are_other_facts),
        KEPT_TEST(a_lost_life_s_links_hide_no_hole),
        KEPT_TEST(a_cursor_of_a_lost_life_hides_nothing),
        KEPT_TEST(a_page_of_a_lost_life_moves_no_cursor),
        KEPT_TEST(a_backup_from_before_it_all_begins_another_one),
        KEPT_TEST(a_moved_owner_goes_on),
        KEPT_TEST(another_declaration_stops_it),
        KEPT_TEST(it_is_not_made_anew_nor_dropped_by_another_kind),
        KEPT_TEST(what_a_server_refuses_stops_it),
        KEPT_TEST(what_is_refused_when_it_is_sent_again_is_not_passed_over),
        cmocka_unit_test(ends_are_reached_by_their_events_alone),
        cmocka_unit_test(the_longest_links_of_two_lives_are_both_reached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
