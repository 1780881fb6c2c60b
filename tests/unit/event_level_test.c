/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a service says that it is with others' events: never further than what is applied and
 * committed, whatever was fetched and whenever it ends; and who waits for an event is told that it
 * is there only if it is.
 */

#include "../support/hearing.h"
#include "event/subscribe/level.h"
#include "event/subscribe/set_back.h"
#include "event/subscribe/subscription.h"

/* ---- a wait on a fiber ---- */

struct wait {
    struct event_manager *manager;
    struct as_of wanted;
    int64_t ms;
    enum level_verdict verdict;
    const char *name;
    bool begun, over;
};

static void note_begun(void *owner)
{
    ((struct wait *)owner)->begun = true;
}

static void wait_for_places(void *argument)
{
    struct wait *wait = argument;
    wait->verdict = level_wait(wait->manager, &wait->wanted,
                               world_in_ms(wait->manager->context->world, wait->ms), note_begun,
                               wait, &wait->name);
    wait->over = true;
}

static bool wait_is_begun(void *argument)
{
    const struct wait *wait = argument;
    return wait->begun || wait->over;
}

static bool wait_has_ended(void *argument)
{
    return ((struct wait *)argument)->over;
}

static struct wait wait_of(struct fixture *fixture, const char *name, const char *incarnation,
                           int64_t position)
{
    struct wait wait = {.manager = fixture->orders.context.events, .ms = HARNESS_MS_MAX};
    FH_ASSERT(as_of_add(&wait.wanted, name, incarnation, position));
    return wait;
}

static struct wait wait_at(struct fixture *fixture, int64_t position)
{
    return wait_of(fixture, "users", fixture->users.context.store->incarnation, position);
}

/* Begins to wait, which is not over at once. */
static void begin_wait(struct fixture *fixture, struct wait *wait)
{
    FH_ASSERT(fiber_start(fixture->harness.world->fibers, wait_for_places, wait));
    harness_until(&fixture->harness, wait_is_begun, wait);
    assert_false(wait->over);
}

static enum level_verdict verdict_of(struct fixture *fixture, struct wait wait)
{
    harness_run(&fixture->harness, wait_for_places, &wait);
    return wait.verdict;
}

static enum level_verdict end_of(struct fixture *fixture, struct wait *wait)
{
    harness_until(&fixture->harness, wait_has_ended, wait);
    return wait->verdict;
}

struct telling {
    struct event_manager *manager;
    struct as_of as_of;
};

static void tell_as_of(void *argument)
{
    struct telling *telling = argument;
    level_as_of(telling->manager, NULL, &telling->as_of);
}

static struct as_of as_of_orders(struct fixture *fixture)
{
    struct telling telling = {.manager = fixture->orders.context.events};
    harness_run(&fixture->harness, tell_as_of, &telling);
    return telling.as_of;
}

static struct subscription *orders_subscription(struct fixture *fixture)
{
    return fixture->orders.context.events->subscriptions;
}

static bool is_current(void *argument)
{
    struct fixture *fixture = argument;
    return level_current_ns(fixture->orders.context.events) > 0;
}

/* ---- what is applied ---- */

static bool applies_no_more(void *argument)
{
    struct fixture *fixture = argument;
    return !orders_subscription(fixture)->applies;
}

static bool asks_products(void *argument)
{
    return ((struct fixture *)argument)->held_count > 0;
}

static bool skipped_to_the_end(void *argument)
{
    struct fixture *fixture = argument;
    return orders_subscription(fixture)->skipped.position == 4;
}

/* The worst that could happen: the batch is given up, and what the reader passed after it would
 * count. */
static void an_event_left_by_a_service_that_ends_is_not_said_to_be_applied(void **state)
{
    struct fixture *fixture = *state;
    asker = "asker";
    fixture->products_hold = true;
    publish_named(fixture, 1, "asker");
    open_orders(fixture);
    harness_until(&fixture->harness, asks_products, fixture);
    publish_unheard(fixture, 3);
    harness_until(&fixture->harness, skipped_to_the_end, fixture);
    struct wait wait = wait_at(fixture, 1);
    begin_wait(fixture, &wait);
    event_manager_drain(fixture->orders.context.events);
    assert_int_equal(end_of(fixture, &wait), LEVEL_DRAINING);
    let_products_fail(fixture);
    harness_until(&fixture->harness, applies_no_more, fixture);
    assert_int_equal(verdict_of(fixture, wait_at(fixture, 1)), LEVEL_DRAINING);
    assert_int_equal(as_of_orders(fixture).count, 0);
    close_orders(fixture);
}

static void who_waits_is_woken_by_the_commit(void **state)
{
    struct fixture *fixture = *state;
    open_orders(fixture);
    publish(fixture, 1, 3);
    wait_for(&fixture->orders, 3, "following");
    assert_int_equal(verdict_of(fixture, wait_at(fixture, 3)), LEVEL_REACHED);
    struct wait near = wait_at(fixture, 4), far = wait_at(fixture, 6);
    begin_wait(fixture, &near);
    begin_wait(fixture, &far);
    publish(fixture, 4, 1);
    assert_int_equal(end_of(fixture, &near), LEVEL_REACHED);
    assert_int_equal(service_count(&fixture->orders, "SELECT count(*) FROM seen"), 4);
    assert_false(far.over);
    publish_unheard(fixture, 2); /* what is not for us is done with at once */
    assert_int_equal(end_of(fixture, &far), LEVEL_REACHED);
    struct as_of as_of = as_of_orders(fixture);
    assert_int_equal(as_of.count, 1);
    assert_string_equal(as_of.places[0].name, "users");
    assert_int_equal(as_of.places[0].position, 6);
    close_orders(fixture);
}

static void a_parked_event_is_done_with(void **state)
{
    struct fixture *fixture = *state;
    poison = "poison";
    open_orders(fixture);
    publish_named(fixture, 1, "poison");
    assert_int_equal(verdict_of(fixture, wait_at(fixture, 1)), LEVEL_REACHED);
    assert_int_equal(view_of(&fixture->orders).parked_events, 1);
    close_orders(fixture);
}

static void a_wait_has_an_end_and_a_bound(void **state)
{
    struct fixture *fixture = *state;
    struct wait crowd[LEVEL_WAITERS_MAX];
    open_orders(fixture);
    publish(fixture, 1, 1);
    wait_for(&fixture->orders, 1, "following");
    struct wait late = wait_at(fixture, 2);
    late.ms = 0;
    assert_int_equal(verdict_of(fixture, late), LEVEL_BEHIND);
    struct wait other = wait_of(fixture, "products", "0", 1);
    harness_run(&fixture->harness, wait_for_places, &other);
    assert_int_equal(other.verdict, LEVEL_UNKNOWN);
    assert_string_equal(other.name, "products");
    for (int i = 0; i < LEVEL_WAITERS_MAX; i++) {
        crowd[i] = wait_at(fixture, 2);
        begin_wait(fixture, &crowd[i]);
    }
    assert_int_equal(verdict_of(fixture, wait_at(fixture, 2)), LEVEL_CROWDED);
    assert_int_equal(verdict_of(fixture, wait_at(fixture, 1)), LEVEL_REACHED);
    publish(fixture, 2, 1);
    for (int i = 0; i < LEVEL_WAITERS_MAX; i++)
        assert_int_equal(end_of(fixture, &crowd[i]), LEVEL_REACHED);
    assert_int_equal(fixture->orders.context.events->waiter_count, 0);
    close_orders(fixture);
}

static void its_age_begins_when_the_publisher_was_asked(void **state)
{
    struct fixture *fixture = *state;
    struct event_manager *manager;
    fixture->road = ROAD_DOWN;
    open_orders(fixture);
    manager = fixture->orders.context.events;
    wait_for(&fixture->orders, 0, "unreachable");
    assert_int_equal(level_current_ns(manager), 0);
    assert_int_equal(as_of_orders(fixture).count, 0);
    int64_t before_ns = world_monotonic_ns(fixture->harness.world);
    fixture->road = ROAD_GOOD;
    harness_until(&fixture->harness, is_current, fixture);
    assert_true(level_current_ns(manager) > before_ns);
    assert_true(level_current_ns(manager) <= orders_subscription(fixture)->reached_ns);
    close_orders(fixture);
}

/* ---- incarnations ---- */

static char was[ID_SIZE];

static void name_whole_ancestor(fh_work *w)
{
    char text[128];
    snprintf(text, sizeof text, "[{\"incarnation\": \"%s\", \"position\": 100}]", was);
    fh_exec(w, "INSERT INTO fh_meta (name, value) VALUES ('ancestors', :text)",
            json_pack("{s:s}", "text", text), NULL);
}

static bool follows_the_move(void *argument)
{
    struct fixture *fixture = argument;
    return strcmp(orders_subscription(fixture)->level.incarnation,
                  fixture->users.context.store->incarnation) == 0;
}

static void another_incarnation_is_waited_for_or_refused(void **state)
{
    struct fixture *fixture = *state;
    open_orders(fixture);
    publish(fixture, 1, 1);
    wait_for(&fixture->orders, 1, "following");
    struct wait newer = wait_of(fixture, "users", "ffffffff-0000-7000-8000-000000000000", 1);
    newer.ms = 0;
    assert_int_equal(verdict_of(fixture, newer), LEVEL_BEHIND);
    assert_int_equal(
        verdict_of(fixture, wait_of(fixture, "users", "00000000-0000-7000-8000-000000000000", 1)),
        LEVEL_FORMER);
    struct wait both = wait_at(fixture, 1);
    FH_ASSERT(as_of_add(&both.wanted, "users", "00000000-0000-7000-8000-000000000000", 0));
    assert_int_equal(verdict_of(fixture, both), LEVEL_FORMER);
    close_orders(fixture);
}

static void a_moved_publisher_has_what_it_had_and_no_more(void **state)
{
    struct fixture *fixture = *state;
    char *incarnation = fixture->users.context.store->incarnation;
    publish(fixture, 1, 90);
    open_orders(fixture);
    wait_for(&fixture->orders, 90, "following");
    memcpy(was, incarnation, ID_SIZE);
    service_must(&fixture->users, name_whole_ancestor);
    incarnation[0] = 'f'; /* later than any */
    struct wait next = wait_of(fixture, "users", incarnation, 90);
    begin_wait(fixture, &next);
    event_manager_answer(fixture->users.context.events);
    harness_until(&fixture->harness, follows_the_move, fixture); /* though nothing came */
    assert_int_equal(end_of(fixture, &next), LEVEL_REACHED);
    assert_int_equal(verdict_of(fixture, wait_of(fixture, "users", was, 90)), LEVEL_REACHED);
    assert_int_equal(verdict_of(fixture, wait_of(fixture, "users", was, 91)), LEVEL_FORMER);
    publish(fixture, 91, 1);
    assert_int_equal(verdict_of(fixture, wait_of(fixture, "users", incarnation, 91)),
                     LEVEL_REACHED);
    assert_int_equal(verdict_of(fixture, wait_of(fixture, "users", was, 91)), LEVEL_FORMER);
    close_orders(fixture);
}

static void a_lost_place_is_no_level(void **state)
{
    struct fixture *fixture = *state;
    open_orders(fixture);
    publish(fixture, 1, 5);
    wait_for(&fixture->orders, 5, "following");
    fixture->users.context.store->incarnation[0] ^= 1;
    event_manager_answer(fixture->users.context.events);
    wait_for(&fixture->orders, 5, "refused");
    assert_int_equal(as_of_orders(fixture).count, 0);
    assert_int_equal(level_current_ns(fixture->orders.context.events), 0);
    struct wait wait = wait_at(fixture, 5);
    wait.ms = 0;
    assert_int_equal(verdict_of(fixture, wait), LEVEL_BEHIND);
    close_orders(fixture);
}

/* ---- one subscription by hand ---- */

static struct subscription subscription_at(struct event_manager *manager, int64_t position)
{
    struct subscription s = {.manager = manager, .source = "users", .lease.state = LEASE_OURS};
    snprintf(s.cursor.incarnation, ID_SIZE, "one");
    s.cursor.position = position;
    s.skipped = s.fetched = s.cursor;
    return s;
}

static void what_is_fetched_or_taken_over_is_not_applied(void **state)
{
    struct event_manager manager = {0};
    struct batch batch = {.count = 3};
    (void)state;
    struct subscription s = subscription_at(&manager, 7);
    level_moved(&s);
    assert_int_equal(s.level.position, 7);
    s.fetched.position = s.skipped.position = 20;
    s.skipped_asked_ns = 9;
    s.first = s.newest = &batch;
    level_moved(&s);
    assert_int_equal(s.level.position, 7);
    s.first = s.newest = NULL;
    s.applying = &batch;
    level_moved(&s);
    assert_int_equal(s.level.position, 7);
    assert_int_equal(s.level.current_ns, 0);
    s.applying = NULL;
    level_moved(&s);
    assert_int_equal(s.level.position, 20);
    assert_int_equal(s.level.current_ns, 9);
    s.skipped = s.cursor; /* it is read again: what was passed is passed */
    level_moved(&s);
    assert_int_equal(s.level.position, 20);
    s.resync.phase = LEDGER_PAGES;
    level_moved(&s);
    assert_string_equal(s.level.incarnation, "");
    s.resync.phase = LEDGER_FOLLOW;
    level_moved(&s);
    assert_string_equal(s.level.incarnation, "one");
    s.replay.until = s.cursor;
    s.replay.until.position++; /* rows may show old values */
    level_moved(&s);
    assert_string_equal(s.level.incarnation, "");
    snprintf(s.cursor.incarnation, ID_SIZE, "two"); /* what is left of a replay says nothing */
    subscription_skip_none(&s);
    level_moved(&s);
    assert_string_equal(s.level.incarnation, "two");
    assert_string_equal(s.level.former, ""); /* by taking a state over nothing is continued */
    assert_int_equal(s.level.position, 7);
    assert_int_equal(s.level.current_ns, 0);
    s.fenced = true;
    level_moved(&s);
    assert_string_equal(s.level.incarnation, "");
}

static void a_publisher_is_as_far_as_its_last_partition(void **state)
{
    struct event_manager manager = {0};
    struct telling telling = {.manager = &manager};
    struct work_context context = {0};
    struct fixture *fixture = *state;
    context.world = fixture->harness.world;
    manager.context = &context;
    struct subscription last = subscription_at(&manager, 5), first = subscription_at(&manager, 9);
    struct subscription outside = subscription_at(&manager, 1);
    first.next = &last;
    last.next = &outside;
    outside.source = "topic";
    outside.outside = true;
    manager.subscriptions = &first;
    level_moved(&first);
    harness_run(&fixture->harness, tell_as_of, &telling);
    assert_int_equal(telling.as_of.count, 0); /* one is not known */
    level_moved(&last);
    level_current(&first, 30);
    assert_int_equal(level_current_ns(&manager), 0);
    level_current(&last, 20);
    assert_int_equal(level_current_ns(&manager), 20);
    harness_run(&fixture->harness, tell_as_of, &telling);
    assert_int_equal(telling.as_of.count, 1);
    assert_int_equal(telling.as_of.places[0].position, 5);
    snprintf(last.skipped.incarnation, ID_SIZE, "two");
    level_moved(&last);
    harness_run(&fixture->harness, tell_as_of, &telling);
    assert_int_equal(telling.as_of.count, 0);
}

/* ---- others' partitions ---- */

static void move_others_cursor(fh_work *w)
{
    fh_exec(w, "UPDATE fh_cursor SET position = 8");
}

static void give_away_entry(void *argument)
{
    struct fixture *fixture = argument;
    struct lease *lease = &orders_subscription(fixture)->lease;
    lease->state = LEASE_AWAY;
    lease->ends(lease);
}

static void what_another_instance_applies_is_found_in_the_store(void **state)
{
    struct fixture *fixture = *state;
    open_orders(fixture);
    publish(fixture, 1, 5);
    wait_for(&fixture->orders, 5, "following");
    struct wait wait = wait_at(fixture, 8); /* for what it expects to apply by itself */
    begin_wait(fixture, &wait);
    harness_run(&fixture->harness, give_away_entry, fixture);
    harness_until(&fixture->harness, applies_no_more, fixture);
    assert_int_equal(verdict_of(fixture, wait_at(fixture, 5)), LEVEL_REACHED);
    assert_false(wait.over);
    service_must(&fixture->orders, move_others_cursor);
    assert_int_equal(end_of(fixture, &wait), LEVEL_REACHED);
    assert_int_equal(as_of_orders(fixture).places[0].position, 8);
    assert_int_equal(level_current_ns(fixture->orders.context.events), 0);
    orders_subscription(fixture)->lease.state = LEASE_OURS;
    close_orders(fixture);
}

static void replay_others(fh_work *w)
{
    fh_exec(w, "INSERT INTO fh_cursor (source, share, incarnation, position, event_id, epoch)"
               " SELECT 'users~replay', share, incarnation, 6, event_id, 0 FROM fh_cursor");
}

static void end_others_replay(fh_work *w)
{
    fh_exec(w, "UPDATE fh_cursor SET position = 6 WHERE source = 'users'");
}

static void no_level_while_another_instance_replays(void **state)
{
    struct fixture *fixture = *state;
    open_orders(fixture);
    publish(fixture, 1, 5);
    wait_for(&fixture->orders, 5, "following");
    harness_run(&fixture->harness, give_away_entry, fixture);
    harness_until(&fixture->harness, applies_no_more, fixture);
    assert_int_equal(verdict_of(fixture, wait_at(fixture, 5)), LEVEL_REACHED);
    service_must(&fixture->orders, replay_others);
    struct wait wait = wait_at(fixture, 5);
    begin_wait(fixture, &wait);
    assert_int_equal(as_of_orders(fixture).count, 0);
    service_must(&fixture->orders, end_others_replay);
    assert_int_equal(end_of(fixture, &wait), LEVEL_REACHED);
    assert_int_equal(as_of_orders(fixture).places[0].position, 6);
    orders_subscription(fixture)->lease.state = LEASE_OURS;
    close_orders(fixture);
}

/* ---- what was set back since ---- */

struct taking {
    struct fixture *fixture;
    struct arena arena;
    struct as_of wanted;
    struct level_taken taken;
    bool took, stands;
};

static void take_levels(void *argument)
{
    struct taking *taking = argument;
    taking->took = level_take(taking->fixture->orders.context.events, &taking->arena,
                              &taking->wanted, &taking->taken);
}

static void ask_whether_they_stand(void *argument)
{
    struct taking *taking = argument;
    const struct work_context *context = &taking->fixture->orders.context;
    struct store_work *work;
    FH_ASSERT(store_begin(context->store, STORE_READ_COMMITTED, &work, ERROR_UNHEEDED) == FH_OK);
    FH_ASSERT(level_stands(context->events, &taking->taken, work, &taking->stands,
                           ERROR_UNHEEDED) == FH_OK);
    store_rollback(work);
}

static bool levels_stand(struct taking *taking)
{
    harness_run(&taking->fixture->harness, ask_whether_they_stand, taking);
    return taking->stands;
}

static void set_back_entry(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    int64_t count, found;
    FH_ASSERT(store_begin(fixture->orders.context.store, STORE_WRITE, &work, ERROR_UNHEEDED) ==
              FH_OK);
    FH_ASSERT(set_back_put(work, orders_subscription(fixture), &count, ERROR_UNHEEDED) == FH_OK);
    FH_ASSERT(set_back_get(work, orders_subscription(fixture), &found, ERROR_UNHEEDED) == FH_OK);
    FH_ASSERT(store_commit(work, ERROR_UNHEEDED) == FH_OK);
    assert_int_equal(count, found);
}

static void a_level_stands_until_its_partition_is_set_back(void **state)
{
    struct fixture *fixture = *state;
    struct taking taking = {.fixture = fixture};
    arena_init(&taking.arena, ARENA_SIZE_MAX);
    open_orders(fixture);
    publish(fixture, 1, 5);
    wait_for(&fixture->orders, 5, "following");
    for (int others = 0; others < 2; others++) {
        struct wait wait = wait_at(fixture, 5);
        taking.wanted = wait.wanted;
        assert_int_equal(verdict_of(fixture, wait), LEVEL_REACHED);
        harness_run(&fixture->harness, take_levels, &taking);
        assert_true(taking.took);
        assert_int_equal(taking.taken.as_of.count, 1);
        assert_int_equal(taking.taken.as_of.places[0].position, 5);
        assert_true(levels_stand(&taking));
        harness_run(&fixture->harness, set_back_entry, fixture);
        assert_false(levels_stand(&taking));
        assert_false(levels_stand(&taking));
        if (others == 0) { /* whoever has set it back, it was not this instance */
            harness_run(&fixture->harness, give_away_entry, fixture);
            harness_until(&fixture->harness, applies_no_more, fixture);
        }
    }
    harness_run(&fixture->harness, take_levels, &taking); /* it is looked up */
    assert_true(taking.took);
    assert_true(levels_stand(&taking));
    orders_subscription(fixture)->lease.state = LEASE_OURS;
    close_orders(fixture);
    arena_release(&taking.arena);
}

static void set_back_while_waiting(void *argument)
{
    struct taking *taking = argument;
    level_lost(orders_subscription(taking->fixture));
    take_levels(taking);
}

static void what_was_waited_for_may_be_gone_when_levels_are_taken(void **state)
{
    struct fixture *fixture = *state;
    struct taking taking = {.fixture = fixture};
    arena_init(&taking.arena, ARENA_SIZE_MAX);
    open_orders(fixture);
    publish(fixture, 1, 5);
    wait_for(&fixture->orders, 5, "following");
    taking.wanted = wait_at(fixture, 5).wanted;
    harness_run(&fixture->harness, set_back_while_waiting, &taking);
    assert_false(taking.took);
    assert_int_equal(taking.taken.as_of.count, 0);
    assert_true(levels_stand(&taking)); /* nothing was promised */
    close_orders(fixture);
    arena_release(&taking.arena);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_event_left_by_a_service_that_ends_is_not_said_to_be_applied),
        TEST(who_waits_is_woken_by_the_commit),
        TEST(a_parked_event_is_done_with),
        TEST(a_wait_has_an_end_and_a_bound),
        TEST(its_age_begins_when_the_publisher_was_asked),
        TEST(another_incarnation_is_waited_for_or_refused),
        TEST(a_moved_publisher_has_what_it_had_and_no_more),
        TEST(a_lost_place_is_no_level),
        TEST(what_is_fetched_or_taken_over_is_not_applied),
        TEST(a_publisher_is_as_far_as_its_last_partition),
        TEST(what_another_instance_applies_is_found_in_the_store),
        TEST(no_level_while_another_instance_replays),
        TEST(a_level_stands_until_its_partition_is_set_back),
        TEST(what_was_waited_for_may_be_gone_when_levels_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
