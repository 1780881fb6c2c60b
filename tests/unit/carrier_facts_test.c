/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points and facts on servers: the service's own store has all of them, the server a copy, which is
 * made anew of what the store has. What is asked of the server is what the store itself answers, so
 * each counts once. Each test is run with points and with facts.
 */

#include "../support/carrying.h"

#include "store/engine.h"

#define DAY_MS INT64_C(86400000)

/* What the carrier and the service know is as of now. */
static void assert_all_is_answered(void)
{
    carrying_assert_found(carrying_expected());
}

static void write_some(int first, int count)
{
    static const char *const tags[] = {"d1", "d2", "d3"};
    for (int i = first; i < first + count; i++)
        carrying_fact(tags[i % 3], 1000 + i * 250, i);
}

/* ---- Carrying ---- */

static void what_is_written_is_answered_by_the_server(void **state)
{
    (void)state;
    carrying_settle(0);
    int before = carrying.server->sends;
    write_some(0, 7);
    carrying_settle(0);
    assert_true(carrying.server->sends > before);
    assert_non_null(strstr(carrying_expected(), "d2"));
    assert_all_is_answered();
    assert_int_equal(carrying.carriers[0].counters.begun, 1);
    write_some(7, 1);
    carrying_turn(0);
    assert_all_is_answered();
}

/* Of a point it is the same one; a fact is another one. */
static void what_is_written_again_counts_as_the_store_has_it(void **state)
{
    (void)state;
    carrying_settle(0);
    carrying_fact("d1", 1000, 4);
    carrying.server->fault = MEMORY_LATER;
    carrying_turn(0); /* the first one's page is under way */
    carrying_fact("d1", 1000, 8);
    carrying_settle(0);
    assert_all_is_answered();
    assert_true(memory_deliver(carrying.server));
    assert_all_is_answered();
    carrying_restart(0);
    carrying_settle(0);
    assert_all_is_answered();
    assert_int_equal(carrying.carriers[0].counters.lost, 0);
}

static void write_twice(fh_work *w)
{
    const char *name = carrying_declared()->name;
    fh_fact(w, name, 1000, carrying_fact_value("d1", 4));
    fh_fact(w, name, 1000, carrying_fact_value("d1", 8));
    fh_fact(w, name, 1000, carrying_fact_value("d1", 12));
}

static void write_and_fail(fh_work *w)
{
    write_twice(w);
    fh_fail(w, 409, "There is no room for it.");
}

static void one_unit_of_work_may_write_the_same_again(void **state)
{
    carrying_settle(0);
    assert_int_equal(run_one(state, write_twice, false).status, 204);
    carrying_settle(0);
    assert_all_is_answered();
    assert_int_equal(run_one(state, write_and_fail, false).status, 409);
    carrying_settle(0);
    assert_all_is_answered();
}

static void write_a_thousand(fh_work *w)
{
    carrying_fact_given = (struct carrying_fact){"d1", 1000, 4, 999};
    carrying_fact_put(w);
}

static void a_unit_of_work_may_write_a_thousand(void **state)
{
    carrying_settle(0);
    assert_int_equal(run_one(state, write_a_thousand, false).status, 204);
    carrying_settle(0);
    struct carried_name name = carrying_ledger(NULL)->record.serving.name;
    assert_int_equal(memory_find(carrying.server, &name, false)->value_count, 1000);
}

/* A page of several, of which the server takes less at a time. */
static void pages_are_as_large_as_the_server_likes(void **state)
{
    struct carried_server_ops ops = memory_ops;
    (void)state;
    ops.page_ops = 3;
    carrying.server->base.ops = &ops;
    carrying_settle(0);
    int before = carrying.server->sends;
    write_some(0, 10);
    carrying_settle(0);
    assert_int_equal(carrying.server->sends - before, 4);
    assert_all_is_answered();
    ops.page_ops = 0;
    ops.page_size = 1; /* an event by itself */
    before = carrying.server->sends;
    write_some(10, 5);
    carrying_settle(0);
    assert_int_equal(carrying.server->sends - before, 5);
    assert_all_is_answered();
}

static void what_is_refused_keeps_nothing_else_away(void **state)
{
    (void)state;
    carrying_settle(0);
    carrying_fact("d1", 1000, 4);
    carrying_fact("bad", 2000, 8);
    carrying_fact("d2", 3000, 12);
    carrying_settle(0);
    const struct carried_generation *serving = &carrying_ledger(NULL)->record.serving;
    assert_int_equal(serving->parked_count, 1);
    assert_non_null(strstr(serving->parked[0].key,
                           carrying.derived == CARRYING_MEASURED ? "2@2000" : "1@2000"));
    struct carrying_answer answer = carrying_ask();
    assert_non_null(strstr(answer.text, "d1"));
    assert_non_null(strstr(answer.text, "d2"));
    assert_null(strstr(answer.text, "bad"));
}

static void two_carriers_count_nothing_twice(void **state)
{
    (void)state;
    carrying_settle(0);
    write_some(0, 4);
    carrying.server->fault = MEMORY_LATER;
    carrying_turn(1);
    carrying.server->fault = MEMORY_BEGINNING;
    carrying_turn(0);
    write_some(4, 4);
    carrying.server->fault = MEMORY_UNANSWERED;
    carrying_turn(1);
    carrying_settle(0);
    carrying_settle(1);
    while (memory_deliver(carrying.server))
        ;
    assert_all_is_answered();
}

/* ---- Made anew, of what the store has ---- */

static void what_was_there_before_it_is_carried_is_in_it(void **state)
{
    (void)state;
    carrying.fixture->context.carried = NULL;
    write_some(0, 9);
    carrying_fact("d1", 1000, 100);
    assert_int_equal(carrying_ledger(NULL)->position, 0); /* nothing of it is an op */
    carrying_begin(carrying.derived);
    carrying_assert_not_asked();
    carrying_settle(0);
    assert_all_is_answered();
}

/* Of tags that are long, so that there is more than one event holds. */
static void write_long(fh_work *w)
{
    const char *name = carrying_declared()->name;
    static int number;
    char tag[256];
    for (int i = 0; i < 1000; i++) {
        snprintf(tag, sizeof tag, "%-240d", number % 700);
        for (char *at = tag; *at; at++)
            *at = *at == ' ' ? '"' : *at; /* two bytes of JSON */
        fh_fact(w, name, 1000 + number / 7, carrying_fact_value(tag, number));
        number++;
    }
}

static int values_served(void)
{
    struct carried_name name = carrying_ledger(NULL)->record.serving.name;
    const struct memory_generation *generation = memory_find(carrying.server, &name, false);
    return generation ? generation->value_count : 0;
}

static void what_is_more_than_an_event_holds_is_filled_by_pages(void **state)
{
    carrying.fixture->context.carried = NULL;
    for (int i = 0; i < 3; i++)
        assert_int_equal(run_one(state, write_long, false).status, 204);
    carrying_begin(carrying.derived);
    assert_int_equal(carrying_turn(0).code, FH_OK);
    const struct carried_generation *filling = &carrying_ledger(NULL)->record.filling;
    assert_false(filling->filled);
    assert_non_null(strchr(filling->after, '@'));
    carrying_restart(0); /* it goes on behind the last one */
    carrying_settle(0);
    assert_int_equal(values_served(), 3000);
    assert_int_equal(carrying.carriers[0].counters.begun, 0);
}

static void a_server_that_was_emptied_is_filled_again(void **state)
{
    (void)state;
    write_some(0, 5);
    carrying_settle(0);
    memory_back_up(carrying.server);
    write_some(5, 5);
    carrying_settle(0);
    memory_empty(carrying.server);
    carrying_restart(0);
    carrying_settle(0);
    assert_all_is_answered();
    assert_int_equal(carrying.carriers[0].counters.lost, 1);
    memory_restore(carrying.server);
    write_some(10, 2);
    carrying_restart(0);
    carrying_settle(0);
    assert_all_is_answered();
    assert_int_equal(carrying.carriers[0].counters.lost, 1);
}

static void set_a_life_back(void *argument)
{
    struct store_work *work;
    struct fh_error error;
    (void)argument;
    FH_ASSERT(store_begin(carrying.fixture->context.store, STORE_WRITE_EXCLUSIVE, &work, &error) ==
              FH_OK);
    for (int i = 1; i < 4; i++) { /* whichever table it is; `items` has no times */
        char sql[96];
        snprintf(sql, sizeof sql, "DELETE FROM fh_derived_%d WHERE at >= 2000", i);
        sql_run(work, sql, NULL, 0, NULL, NULL, NULL, &error);
    }
    FH_ASSERT(store_commit(work, &error) == FH_OK);
}

/* 22: what the server has was never there for this owner. */
static void a_restored_owner_has_it_made_anew(void **state)
{
    (void)state;
    write_some(0, 10);
    carrying_settle(0);
    harness_run(&carrying.fixture->harness, set_a_life_back, NULL);
    carrying_ledger(&(struct carrying_ledger){.renew = true, .restored = true});
    carrying_assert_not_asked();
    write_some(20, 2); /* under keys that were others' */
    carrying_settle(0);
    assert_all_is_answered();
    assert_int_equal(carrying.carriers[0].counters.begun, 2);
    assert_int_equal(memory_count(carrying.server), 1);
}

static void a_moved_owner_goes_on(void **state)
{
    (void)state;
    write_some(0, 4);
    carrying_settle(0);
    carrying_ledger(&(struct carrying_ledger){.renew = true});
    assert_all_is_answered();
    write_some(4, 4);
    carrying_settle(0);
    assert_all_is_answered();
    assert_int_equal(carrying_ledger(NULL)->record.serving.name.number, 1);
}

/* ---- What is written while it is filled ---- */

/* The store's engine, but what `listed` does comes after a page is listed, and before it is
 * published. */
static struct engine hooked_engine;
static struct derived_ops hooked_ops;
static const struct derived_ops *true_ops;
static void (*listed)(void);

static enum fh_code list_and_then(struct store_work *work, const struct fh_derived *declared,
                                  const struct derived_fact *after, int64_t oldest_ms,
                                  derived_visit *visit, void *context, struct fh_error *error)
{
    enum fh_code code = true_ops->list(work, declared, after, oldest_ms, visit, context, error);
    if (listed)
        listed();
    return code;
}

static void hook_listing(void (*then)(void))
{
    struct store *store = carrying.fixture->context.store;
    true_ops = derived_engine(store);
    hooked_ops = *true_ops;
    hooked_ops.list = list_and_then;
    hooked_engine = *store->engine;
    hooked_engine.derived = &hooked_ops;
    store->engine = &hooked_engine;
    listed = then;
}

static void write_behind_the_listing(void)
{
    listed = NULL;
    carrying_fact_here("d1", 1000, 40); /* of points: another one in place of one that is listed */
    carrying_fact_here("d4", 900, 44);  /* before all that are listed */
    carrying_fact_here("d4", 9000, 48);
}

/* 14: what is listed is older than what is written then. */
static void what_is_written_behind_the_listing_counts_once(void **state)
{
    (void)state;
    write_some(0, 6);
    hook_listing(write_behind_the_listing);
    carrying_settle(0);
    assert_null(listed);
    assert_all_is_answered();
    assert_non_null(strstr(carrying_expected(), "d4"));
}

static void write_before_the_listing(struct memory_server *server, bool done)
{
    (void)done;
    server->between = NULL; /* the generation is begun, and is being made */
    carrying_fact_here("d1", 1000, 40);
    carrying_fact_here("d5", 1000, 44);
}

/* It is an op behind the beginning, and a row too. */
static void what_is_written_before_the_listing_counts_once(void **state)
{
    (void)state;
    write_some(0, 6);
    carrying.server->between = write_before_the_listing;
    carrying_settle(0);
    assert_null(carrying.server->between);
    assert_all_is_answered();
    assert_non_null(strstr(carrying_expected(), "d5"));
}

static void publish_by_the_other(void)
{
    struct carrying_turn turn = {.carrier = 1};
    listed = NULL;
    carrying_turn_entry(&turn);
    carrying_fact_here("d1", 1000, 60);
}

/* Another carrier has published the page; what came then is newer than what this one has listed. */
static void a_page_that_another_has_published_is_not_published_again(void **state)
{
    (void)state;
    write_some(0, 6);
    hook_listing(publish_by_the_other);
    carrying_settle(0);
    carrying_settle(1);
    assert_all_is_answered();
}

/* ---- What is too old ---- */

static int64_t now_ms(void)
{
    return world_wall_ms(carrying.fixture->context.world);
}

static void set_keep_days(int days)
{
    carrying_service.derives[carrying.derived].keep_days = days;
}

static void write_old_and_new(void)
{
    carrying_fact("old", now_ms() - 3 * DAY_MS, 4);
    carrying_fact("new", now_ms(), 8);
}

static void what_is_too_old_is_not_carried_when_it_is_made_anew(void **state)
{
    (void)state;
    write_old_and_new();
    set_keep_days(1);
    carrying_settle(0);
    assert_int_equal(values_served(), 1);
    assert_all_is_answered();
    assert_null(strstr(carrying_expected(), "old"));
}

static void what_has_become_too_old_is_not_answered_and_trimmed(void **state)
{
    (void)state;
    write_old_and_new();
    carrying_settle(0);
    assert_int_equal(values_served(), 2);
    assert_int_equal(carrying.server->trims, 0);
    set_keep_days(1);
    assert_all_is_answered();
    assert_null(strstr(carrying_ask().text, "old"));
    int64_t oldest_ms = now_ms() - DAY_MS - 1000; /* of two clocks, the one that is behind */
    carrying_settle(0);
    assert_int_equal(carrying.server->trims, 1);
    assert_true(carrying.server->trimmed_ms >= oldest_ms &&
                carrying.server->trimmed_ms <= now_ms() - DAY_MS);
    assert_int_equal(values_served(), 1);
    assert_all_is_answered();
    carrying_settle(0);
    assert_int_equal(carrying.server->trims, 1); /* at intervals */
    carrying.carriers[0].trims_ns = 0;
    carrying_settle(0);
    assert_int_equal(carrying.server->trims, 2);
    assert_int_equal(carrying_make_anew(), FH_OK);
    carrying_settle(0);
    assert_int_equal(carrying.server->trims, 3); /* and after a switch */
    assert_all_is_answered();
}

static void a_server_that_can_t_trim_is_not_asked_to(void **state)
{
    struct carried_server_ops ops = memory_ops;
    (void)state;
    ops.trim = NULL;
    carrying.server->base.ops = &ops;
    set_keep_days(1);
    write_some(0, 2);
    carrying_settle(0);
    assert_int_equal(carrying.server->trims, 0);
}

static void a_generation_that_is_gone_when_it_is_trimmed_is_lost(void **state)
{
    (void)state;
    set_keep_days(1);
    carrying_fact("new", now_ms(), 8);
    carrying_settle(0);
    memory_empty(carrying.server);
    carrying.carriers[0].trims_ns = 0;
    carrying_settle(0);
    assert_int_equal(carrying.carriers[0].counters.lost, 1);
    carrying_settle(0);
    assert_all_is_answered();
}

/* ---- With roll-ups ---- */

#define HOUR_MS (DAY_MS / 24)

static void prepare_entry(void *argument)
{
    struct fh_error error;
    assert_int_equal(derived_prepare(carrying.fixture->context.store, &carrying_service,
                                     carrying.fixture->context.carried->declared, &error),
                     FH_OK);
    (void)argument;
}

/* It was declared without any before. */
static void declare_roll_ups(int days)
{
    set_keep_days(days);
    carrying_service.derives[carrying.derived].rollups[0] = (struct fh_rollup){.every_ms = HOUR_MS};
    harness_run(&carrying.fixture->harness, prepare_entry, NULL);
}

static void sweep_entry(void *argument)
{
    struct series_sweep sweep = {0};
    struct fh_error error;
    (void)argument;
    while (!sweep.done)
        assert_int_equal(work_series_sweep(&carrying.fixture->context, &sweep, &error), FH_OK);
}

static void compare_entry(void *argument)
{
    const char *const *values =
        (const char *const[]){"count", "sum n", "max c", "first n", "last n", NULL};
    struct fh_series series = {.from_ms = now_ms() - 5 * DAY_MS,
                               .to_ms = now_ms() + 1,
                               .every_ms = 12 * HOUR_MS,
                               .values = values};
    const struct work_context *context = &carrying.fixture->context;
    struct store_work *work;
    struct fh_error error = {0};
    json_t *own = NULL, *found = NULL;
    assert_int_equal(store_begin(context->store, STORE_READ, &work, &error), FH_OK);
    assert_int_equal(
        derived_engine(context->store)
            ->series(work, carrying_declared(), &series,
                     work_series_oldest_ms(&carrying.fixture->context, carrying_declared()), &own,
                     &error),
        FH_OK);
    store_rollback(work);
    enum fh_code code = carrier_ask(&carrying.carriers[0], &series, 0, &found, &error);
    if (code != FH_OK || !json_equal(own, found))
        snprintf(argument, CARRYING_TEXT_SIZE, "%s", code ? error.message : "they differ");
    json_decref(own);
    json_decref(found);
    series.every_ms = HOUR_MS / 2; /* which roll-ups do not have */
    if (carrier_ask(&carrying.carriers[0], &series, 0, &found, &error) != FH_INVALID ||
        strcmp(error.field, "every_ms") != 0)
        snprintf(argument, CARRYING_TEXT_SIZE, "half an interval: %s", error.message);
}

static void assert_both_answer_alike(void)
{
    static char differs[CARRYING_TEXT_SIZE];
    differs[0] = '\0';
    harness_run(&carrying.fixture->harness, compare_entry, differs);
    assert_string_equal(differs, "");
}

static void
what_has_become_a_roll_up_is_answered_by_the_store_and_the_rest_by_the_server(void **state)
{
    (void)state;
    declare_roll_ups(4);
    for (int i = 0; i < 60; i++)
        carrying_fact(i % 2 ? "a" : "b", now_ms() - i * 2 * HOUR_MS, i);
    carrying_settle(0);
    int before = values_served();
    assert_true(before >= 48);
    set_keep_days(2);
    assert_both_answer_alike(); /* before any is made, */
    harness_run(&carrying.fixture->harness, sweep_entry, NULL);
    assert_both_answer_alike(); /* while the server has all points, */
    carrying.carriers[0].trims_ns = 0;
    carrying_settle(0);
    assert_true(values_served() < before && values_served() >= 36);
    assert_both_answer_alike(); /* and once it has not */
    carrying_fact("a", now_ms() - 3 * HOUR_MS, 100);
    carrying_fact("a", now_ms() - 4 * DAY_MS, 100); /* too late */
    carrying_settle(0);
    assert_int_equal(carrying_make_anew(), FH_OK);
    carrying_settle(0);
    assert_both_answer_alike();
    carrying_service.derives[carrying.derived].rollups[0] = (struct fh_rollup){0};
}

/* ---- Running them ---- */

static int set_up_measured(void **state)
{
    carrying_set_up(state);
    carrying_begin(CARRYING_MEASURED);
    return 0;
}

static int set_up_sold(void **state)
{
    carrying_set_up(state);
    carrying_begin(CARRYING_SOLD);
    return 0;
}

int main(void)
{
#define FACTS_TESTS(name)                                                                          \
    {"points: " #name, name, set_up_measured, carrying_tear_down, NULL},                           \
    {                                                                                              \
        "facts: " #name, name, set_up_sold, carrying_tear_down, NULL                               \
    }
    static const struct CMUnitTest tests[] = {
        FACTS_TESTS(what_is_written_is_answered_by_the_server),
        FACTS_TESTS(what_is_written_again_counts_as_the_store_has_it),
        FACTS_TESTS(one_unit_of_work_may_write_the_same_again),
        FACTS_TESTS(a_unit_of_work_may_write_a_thousand),
        FACTS_TESTS(pages_are_as_large_as_the_server_likes),
        FACTS_TESTS(what_is_refused_keeps_nothing_else_away),
        FACTS_TESTS(two_carriers_count_nothing_twice),
        FACTS_TESTS(what_was_there_before_it_is_carried_is_in_it),
        FACTS_TESTS(what_is_more_than_an_event_holds_is_filled_by_pages),
        FACTS_TESTS(a_server_that_was_emptied_is_filled_again),
        FACTS_TESTS(a_restored_owner_has_it_made_anew),
        FACTS_TESTS(a_moved_owner_goes_on),
        FACTS_TESTS(what_is_written_behind_the_listing_counts_once),
        FACTS_TESTS(what_is_written_before_the_listing_counts_once),
        FACTS_TESTS(a_page_that_another_has_published_is_not_published_again),
        FACTS_TESTS(what_is_too_old_is_not_carried_when_it_is_made_anew),
        FACTS_TESTS(what_has_become_too_old_is_not_answered_and_trimmed),
        FACTS_TESTS(a_server_that_can_t_trim_is_not_asked_to),
        FACTS_TESTS(a_generation_that_is_gone_when_it_is_trimmed_is_lost),
        {"points: with roll-ups",
         what_has_become_a_roll_up_is_answered_by_the_store_and_the_rest_by_the_server,
         set_up_measured, carrying_tear_down, NULL},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
