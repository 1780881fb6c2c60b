/* SPDX-License-Identifier: Apache-2.0 */
/* Open sagas that are read late, because the store was away or had too much to tell at once, are
 * carried on all the same, and nothing else waits for them. */

#include "../support/hosted.h"

#include "http/virtual.h"
#include "saga/manager.h"

/* ---- The service ---- */

static void start(fh_work *w)
{
    fh_saga_start(w, "note", json_pack("{s:i}", "id", 7));
    fh_reply(w, 202, NULL);
}

static void note(fh_work *w)
{
    fh_exec(w, "INSERT INTO effect (what) VALUES ('noted')");
}

static const fh_step note_steps[] = {{"note", .run = note}, {0}};
static const fh_service books = {.name = "books",
                                 .model = FH_RELATIONAL,
                                 .routes = {{"POST", "/start", start}},
                                 .sagas = {{"note", note_steps}}};

/* The honest engine, except that the next ones to begin after `passes` fail. */
static struct {
    const struct store_ops *honest;
    struct store_ops ops;
    int passes, fails;
} broken;

static int set_up(void **state)
{
    broken.passes = broken.fails = 0;
    return hosted_set_up(state, &books);
}

static bool is_answered(void *answered)
{
    return *(bool *)answered;
}

static void on_replied(void *context, const struct http_answer *answer)
{
    *(bool *)context = answer->status == 202;
}

/* Committed, and not taken into memory: as one that waits in the store for a place. */
static struct saga_manager *start_unseen(struct fixture *fixture)
{
    struct saga_manager *manager = fixture->runtime.context.sagas;
    bool answered = false;
    struct http_virtual request = {.method = "POST",
                                   .target = "/start",
                                   .received_ns = world_monotonic_ns(fixture->harness.world),
                                   .replied = on_replied,
                                   .context = &answered};
    manager->stopping = true;
    http_virtual_send(&request, (struct http_handler){exchange_incoming, &fixture->runtime});
    harness_until(&fixture->harness, is_answered, &answered);
    manager->stopping = false;
    return manager;
}

static enum fh_code failing_begin(struct store *store, enum store_mode mode,
                                  struct store_work **ret, struct fh_error *error)
{
    if (broken.passes > 0)
        broken.passes--;
    else if (broken.fails > 0 && broken.fails--)
        return error_set(error, FH_UNAVAILABLE, "The disk is away.");
    return broken.honest->begin(store, mode, ret, error);
}

static void break_store(struct store *store, int passes, int fails)
{
    broken.honest = store->ops;
    broken.ops = *store->ops;
    broken.ops.begin = failing_begin;
    broken.passes = passes;
    broken.fails = fails;
    store->ops = &broken.ops;
}

struct ended {
    struct fixture *fixture;
    int64_t wanted;
};

static bool sagas_have_ended(void *argument)
{
    const struct ended *ended = argument;
    struct ledger_counts counts;
    saga_counts(ended->fixture->runtime.context.sagas, &counts);
    return counts.ended >= ended->wanted;
}

static void wait_for_ends(struct fixture *fixture, int64_t count)
{
    struct ended ended = {fixture, count};
    harness_until(&fixture->harness, sagas_have_ended, &ended);
    assert_int_equal(number_of(fixture, "SELECT count(*) FROM effect"), count);
}

static bool all_is_read(void *argument)
{
    const struct saga_manager *manager = argument;
    return !manager->crowded && !manager->refilling;
}

/* ---- The tests ---- */

static void a_reading_that_fails_again_and_again_is_tried_until_it_succeeds(void **state)
{
    struct saga_manager *manager = start_unseen(*state);
    break_store(manager->context->store, 0, 4);
    manager->crowded = true;
    saga_manager_refill(manager);
    wait_for_ends(*state, 1);
    assert_int_equal(manager->load_tries, 0);
}

static void sagas_that_end_meanwhile_do_not_have_the_store_asked_more_often(void **state)
{
    struct saga_manager *manager = start_unseen(*state);
    struct fixture *fixture = *state;
    break_store(manager->context->store, 0, 1);
    manager->crowded = true;
    saga_manager_refill(manager);
    while (broken.fails)
        uv_run(&fixture->harness.loop, UV_RUN_ONCE);
    assert_int_equal(manager->load_tries, 1);
    saga_manager_refill(manager);
    assert_false(manager->refilling);
    wait_for_ends(*state, 1);
}

struct second {
    struct work_context *context;
    struct saga_manager *manager;
    enum fh_code code;
};

static void start_second(void *argument)
{
    struct second *second = argument;
    struct fh_error error;
    second->code = saga_manager_new(second->context, &second->manager, &error);
    if (!second->code)
        second->code = saga_manager_start(second->manager, &error);
}

static void stop_second(void *argument)
{
    struct second *second = argument;
    saga_manager_stop(second->manager);
    saga_manager_free(second->manager);
}

static bool second_has_run(void *argument)
{
    const struct second *second = argument;
    return second->manager->counts.ended == 1;
}

/* The counts are read at the first transaction; the sagas at the second, which fails. */
static void a_service_starts_though_its_open_sagas_can_not_be_read_now(void **state)
{
    struct fixture *fixture = *state;
    struct saga_manager *manager = start_unseen(fixture);
    struct second second = {.context = manager->context, .code = FH_INVALID};
    break_store(manager->context->store, 1, 2);
    harness_run(&fixture->harness, start_second, &second);
    assert_int_equal(second.code, FH_OK);
    harness_until(&fixture->harness, second_has_run, &second);
    harness_run(&fixture->harness, stop_second, &second);
    assert_int_equal(number_of(fixture, "SELECT count(*) FROM effect"), 1);
}

#define MANY 400
#define SQL_MANY "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 399) "

/* 80 MB in all: more than one snapshot's memory holds. */
static void more_open_sagas_than_memory_holds_at_once_are_read_in_parts(void **state)
{
    struct saga_manager *manager = start_unseen(*state);
    number_of(*state, "UPDATE fh_saga SET input = '{\"id\":7,\"pad\":\"' || hex(zeroblob(100000))"
                      " || '\"}'");
    number_of(*state, SQL_MANY "INSERT INTO fh_saga (birth, number, name, input, state, status,"
                               " epoch, deadline_ms, updated_ms, start_id) SELECT birth, number"
                               " + i, name, input, state, status, epoch, deadline_ms, updated_ms,"
                               " start_id || '.' || i FROM fh_saga, n");
    number_of(*state, SQL_MANY "INSERT INTO fh_saga_step (birth, number, step, element, attempt,"
                               " target, request, state, receiver_position) SELECT birth, number"
                               " + i, step, element, attempt, target, request, state,"
                               " receiver_position FROM fh_saga_step, n");
    manager->crowded = true;
    saga_manager_refill(manager);
    wait_for_ends(*state, MANY);
}

/* Two fit into memory: the others wait in the store, and so does one that begins behind them,
 * though there is space again. */
static void those_beyond_memory_wait_in_the_store_and_all_end(void **state)
{
    struct saga_manager *manager = start_unseen(*state);
    manager->loaded_max = 2;
    for (int i = 1; i < 9; i++)
        start_unseen(*state);
    assert_false(saga_manager_waits(manager, manager->context->store->incarnation, 0));
    saga_manager_reread(manager);
    assert_true(saga_manager_waits(manager, manager->context->store->incarnation, 10));
    assert_true(manager->refilling && manager->unread);
    wait_for_ends(*state, 9);
    harness_until(&((struct fixture *)*state)->harness, all_is_read, manager);
    assert_int_equal(manager->read_number, 0);
}

static enum fh_code sequence_nothing(struct store *store, struct store_placed *placed, int count,
                                     struct fh_error *error)
{
    (void)store;
    (void)placed;
    (void)count;
    (void)error;
    return FH_OK;
}

/* Its row came after all looks for sagas without a number were done: the sequencer was far
 * behind. */
static void a_saga_without_a_number_is_found_however_late_that_comes(void **state)
{
    struct saga_manager *manager = start_unseen(*state);
    break_store(manager->context->store, 0, 0);
    broken.ops.sequence = sequence_nothing;
    assert_int_equal(manager->late_looks, 0);
    wait_for_ends(*state, 1);
}

/* One more than are waited for one by one; none of the others ever gets its number. */
static void
the_one_thousand_and_first_that_waits_for_a_number_goes_on_when_numbers_come(void **state)
{
    struct saga_manager *manager = start_unseen(*state);
    char id[ID_SIZE];
    for (int i = 0; i < 1000; i++) {
        snprintf(id, sizeof id, "never-%d", i);
        saga_manager_await(manager, manager->context->store->incarnation, id);
    }
    saga_manager_await(manager, manager->context->store->incarnation, "its-own");
    assert_int_equal(manager->unnumbered_count, 1000);
    assert_true(manager->late_looks > 0);
    store_notify_listeners(manager->context->store);
    assert_true(manager->refilling);
    wait_for_ends(*state, 1);
    saga_unnumbered_free(manager);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_reading_that_fails_again_and_again_is_tried_until_it_succeeds),
        CASE(sagas_that_end_meanwhile_do_not_have_the_store_asked_more_often),
        CASE(a_service_starts_though_its_open_sagas_can_not_be_read_now),
        CASE(more_open_sagas_than_memory_holds_at_once_are_read_in_parts),
        CASE(those_beyond_memory_wait_in_the_store_and_all_end),
        CASE(a_saga_without_a_number_is_found_however_late_that_comes),
        CASE(the_one_thousand_and_first_that_waits_for_a_number_goes_on_when_numbers_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
