/* SPDX-License-Identifier: Apache-2.0 */
/* A store that has lost what it acknowledged, as where a replica takes over that lacks the last
 * commits: what it does not know is not sent from memory. */

#include "../support/saga_network.h"
#include "saga/manager.h"

#define STORED(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* ---- The store ---- */

struct change {
    struct store *store;
    const char *script;
};

static void run_change(void *argument)
{
    const struct change *change = argument;
    struct store_work *work;
    struct fh_error error;
    FH_ASSERT(store_begin(change->store, STORE_WRITE, &work, &error) == FH_OK);
    FH_ASSERT(change->store->engine->sql->script(work, change->script, &error) == FH_OK);
    FH_ASSERT(store_commit(work, &error) == FH_OK);
}

static void change_store(struct fixture *fixture, const char *script)
{
    struct change change = {fixture->contexts[2].store, script};
    harness_run(&fixture->harness, run_change, &change);
}

static const char forget_all[] = "DELETE FROM fh_saga; DELETE FROM fh_saga_step;",
                  keep_all[] = "CREATE TABLE kept_saga AS SELECT * FROM fh_saga;"
                               "CREATE TABLE kept_step AS SELECT * FROM fh_saga_step;",
                  go_back[] = "DELETE FROM fh_saga; DELETE FROM fh_saga_step;"
                              "INSERT INTO fh_saga SELECT * FROM kept_saga;"
                              "INSERT INTO fh_saga_step SELECT * FROM kept_step;";

static struct {
    const struct store_ops *honest;
    struct store_ops ops;
    int fails;
} broken;

static enum fh_code begin_or_fail(struct store *store, enum store_mode mode,
                                  struct store_work **ret, struct fh_error *error)
{
    if (broken.fails > 0 && broken.fails--)
        return error_set(error, FH_UNAVAILABLE, "The server is away.");
    return broken.honest->begin(store, mode, ret, error);
}

static enum fh_code commit_and_lose(struct store_work *work, struct fh_error *error)
{
    struct store *store = work->store;
    enum fh_code code = broken.honest->commit(work, error);
    store->losses++;
    return code;
}

/* ---- Waiting ---- */

static bool nothing_is_in_memory(void *argument)
{
    const struct fixture *fixture = argument;
    return fixture->contexts[2].sagas->runs.count == 0;
}

static bool was_asked_in_vain(void *argument)
{
    const struct fixture *fixture = argument;
    struct map_entry *entry = NULL;
    const char *reference;
    void *value;
    while (map_next(&fixture->contexts[2].sagas->runs, &entry, &reference, &value)) {
        const struct saga_run *run = value;
        if (run->state.step >= 0 && run->parts[run->state.first[run->state.step]].tries > 0)
            return true;
    }
    return false;
}

static void ask_in_vain(struct fixture *fixture, int receiver)
{
    fixture->network.away[receiver] = true;
    place_order(fixture, 1, NULL, NULL);
    harness_until(&fixture->harness, was_asked_in_vain, fixture);
}

/* ---- The tests ---- */

static void a_saga_that_the_store_has_lost_asks_for_nothing_more(void **state)
{
    struct fixture *fixture = *state;
    struct ledger_counts counts;
    ask_in_vain(fixture, 0);
    change_store(fixture, forget_all);
    fixture->contexts[2].store->losses++;
    fixture->network.away[0] = false;
    harness_until(&fixture->harness, nothing_is_in_memory, fixture);
    harness_until(&fixture->harness, is_quiet, fixture);
    assert_int_equal(look(fixture, 0, "SELECT count(*) FROM effect"), 0);
    saga_counts(fixture->contexts[2].sagas, &counts);
    assert_int_equal(counts.running, 0);
}

static void a_saga_that_is_as_it_was_goes_on(void **state)
{
    struct fixture *fixture = *state;
    ask_in_vain(fixture, 0);
    fixture->contexts[2].store->losses++;
    fixture->network.away[0] = false;
    harness_until(&fixture->harness, no_saga_is_open, fixture);
    expect_balance(fixture, 1);
}

static void a_saga_whose_last_steps_are_lost_goes_on_from_what_is_there(void **state)
{
    struct fixture *fixture = *state;
    struct ledger_counts counts;
    ask_in_vain(fixture, 0);
    change_store(fixture, keep_all);
    fixture->network.away[1] = true;
    fixture->network.away[0] = false;
    while (net(fixture, 0, "reserve", "release", 1) < 3 ||
           look(fixture, 2, "SELECT count(*) FROM fh_saga_step WHERE step = 1") < 1)
        ;
    harness_until(&fixture->harness, was_asked_in_vain, fixture);
    change_store(fixture, go_back);
    fixture->contexts[2].store->losses++;
    while (look(fixture, 2, "SELECT count(*) FROM fh_saga_step WHERE step = 1") < 1)
        ; /* nothing of it came from memory: the first step was asked again */
    fixture->network.away[1] = false;
    harness_until(&fixture->harness, no_saga_is_open, fixture);
    expect_balance(fixture, 1);
    saga_counts(fixture->contexts[2].sagas, &counts);
    assert_int_equal(counts.running, 0);
    assert_int_equal(counts.ended, 1);
}

static void another_saga_of_its_number_is_not_taken_for_it(void **state)
{
    struct fixture *fixture = *state;
    ask_in_vain(fixture, 0);
    change_store(fixture, "UPDATE fh_saga SET input = replace(input, '\"id\":1', '\"id\":2');"
                          "UPDATE fh_saga_step SET request = replace(request, '/1/', '/2/');"
                          "UPDATE placed SET id = 2;");
    fixture->contexts[2].store->losses++;
    fixture->network.away[0] = false;
    harness_until(&fixture->harness, no_saga_is_open, fixture);
    assert_int_equal(net(fixture, 0, "reserve", "release", 1), 0);
    assert_int_equal(net(fixture, 0, "reserve", "release", 2), 3);
    assert_int_equal(net(fixture, 1, "charge", "refund", 1), 0);
    expect_text(fixture, "SELECT status FROM placed WHERE id = 2", "CONFIRMED");
}

static void what_cannot_be_read_is_not_sent_until_it_can(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->contexts[2].store;
    ask_in_vain(fixture, 0);
    broken.honest = store->ops;
    broken.ops = *store->ops;
    broken.ops.begin = begin_or_fail;
    broken.fails = 3;
    store->ops = &broken.ops;
    store->losses++;
    fixture->network.away[0] = false;
    harness_until(&fixture->harness, no_saga_is_open, fixture);
    store->ops = broken.honest;
    assert_int_equal(broken.fails, 0);
    expect_balance(fixture, 1);
}

/* As where another connection to the store is lost while this one commits. */
static void doubts_that_come_while_it_is_carried_on_are_settled(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->contexts[2].store;
    broken.honest = store->ops;
    broken.ops = *store->ops;
    broken.ops.commit = commit_and_lose;
    store->ops = &broken.ops;
    place_order(fixture, 1, NULL, NULL);
    harness_until(&fixture->harness, no_saga_is_open, fixture);
    store->ops = broken.honest;
    expect_balance(fixture, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORED(a_saga_that_the_store_has_lost_asks_for_nothing_more),
        STORED(a_saga_that_is_as_it_was_goes_on),
        STORED(a_saga_whose_last_steps_are_lost_goes_on_from_what_is_there),
        STORED(another_saga_of_its_number_is_not_taken_for_it),
        STORED(what_cannot_be_read_is_not_sent_until_it_can),
        STORED(doubts_that_come_while_it_is_carried_on_are_settled),
    };
    json_memory_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
