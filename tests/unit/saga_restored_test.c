/* SPDX-License-Identifier: Apache-2.0 */
/* An initiator of sagas, or a receiver, is restored to an earlier state of its store and has a new
 * incarnation from then on: what continues by itself, and what is reported. */

#include "../support/saga_network.h"

#include <dirent.h>

#include "engine/engines.h"
#include "saga/restored.h"
#include "saga/manager.h"
#include "work/restored.h"

/* ---- Backups ---- */

struct keeping {
    struct fixture *fixture;
    int store;
    bool back; /* from the backup; else into it */
    char incarnation[ID_SIZE];
};

static void copy_file(const char *from, const char *to)
{
    char buffer[4096];
    size_t length;
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_non_null(in);
    assert_non_null(out);
    while ((length = fread(buffer, 1, sizeof buffer, in)) > 0)
        assert_int_equal(fwrite(buffer, 1, length, out), length);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

/* Into or out of neighbouring files: "store.db" and "backup.store.db". */
static void copy_files(const char *folder, bool back)
{
    static const char prefix[] = "backup.";
    char names[32][64], from[400], to[400];
    int count = 0;
    DIR *listed = opendir(folder);
    assert_non_null(listed);
    for (struct dirent *entry; (entry = readdir(listed)) && count < 32;) {
        if (entry->d_name[0] != '.')
            snprintf(names[count++], sizeof names[0], "%.63s", entry->d_name);
    }
    closedir(listed);
    for (int i = 0; i < count; i++) {
        bool kept = strncmp(names[i], prefix, sizeof prefix - 1) == 0;
        snprintf(from, sizeof from, "%.200s/%.63s", folder, names[i]);
        if (back && !kept)
            assert_int_equal(remove(from), 0);
    }
    for (int i = 0; i < count; i++) {
        bool kept = strncmp(names[i], prefix, sizeof prefix - 1) == 0;
        snprintf(from, sizeof from, "%.200s/%.63s", folder, names[i]);
        snprintf(to, sizeof to, "%.200s/%s%.63s", folder, back ? "" : prefix,
                 names[i] + (back ? sizeof prefix - 1 : 0));
        if (kept == back)
            copy_file(from, to);
    }
}

static void open_one(struct keeping *keeping)
{
    struct fixture *fixture = keeping->fixture;
    struct work_context *context = &fixture->contexts[keeping->store];
    struct store_options options = {.service = context->service->name,
                                    .folder = fixture->folders[keeping->store],
                                    .model = FH_RELATIONAL};
    fixture->code =
        engine_embedded()->store->open(&options, context->world, &context->store, &fixture->error);
}

static void renew(struct keeping *keeping)
{
    struct fixture *fixture = keeping->fixture;
    struct store *store = fixture->contexts[keeping->store].store;
    struct store_work *work;
    fixture->code = store_begin(store, STORE_WRITE_EXCLUSIVE, &work, &fixture->error);
    if (fixture->code)
        return;
    fixture->code = ledger_incarnation_renew(work, true, &fixture->error);
    if (fixture->code)
        store_rollback(work);
    else
        fixture->code = store_commit(work, &fixture->error);
}

static void keep_store(void *argument)
{
    struct keeping *keeping = argument;
    struct fixture *fixture = keeping->fixture;
    struct work_context *context = &fixture->contexts[keeping->store];
    store_close(context->store);
    copy_files(fixture->folders[keeping->store], keeping->back);
    open_one(keeping);
    if (keeping->back && !fixture->code) {
        renew(keeping);
        if (fixture->code)
            return;
        store_close(context->store);
        open_one(keeping);
    }
    if (!fixture->code)
        snprintf(keeping->incarnation, ID_SIZE, "%s", context->store->incarnation);
}

static void keep(struct fixture *fixture, struct keeping *keeping)
{
    bool initiator = keeping->store == 2;
    keeping->fixture = fixture;
    if (initiator)
        harness_run(&fixture->harness, stop_manager, fixture);
    harness_until(&fixture->harness, is_quiet, fixture);
    if (initiator)
        saga_manager_free(fixture->contexts[2].sagas);
    harness_run(&fixture->harness, keep_store, keeping);
    assert_int_equal(fixture->code, FH_OK);
    if (initiator)
        harness_run(&fixture->harness, start_manager, fixture);
    assert_int_equal(fixture->code, FH_OK);
}

static void back_up(struct fixture *fixture, int store)
{
    keep(fixture, &(struct keeping){.store = store});
}

static void announce_to(void *argument)
{
    struct keeping *keeping = argument;
    struct fixture *fixture = keeping->fixture;
    fixture->code = saga_restored_announced(fixture->contexts[2].sagas,
                                            fixture->contexts[keeping->store].service->name,
                                            keeping->incarnation, &fixture->error);
}

/* A receiver's process would announce itself; here the test does. */
static void restore(struct fixture *fixture, int store)
{
    struct keeping keeping = {.store = store, .back = true};
    keep(fixture, &keeping);
    if (store != 2)
        harness_run(&fixture->harness, announce_to, &keeping);
    assert_int_equal(fixture->code, FH_OK);
}

/* ---- Reports ---- */

struct reported {
    struct fixture *fixture;
    int store;
    json_t *report;
};

static void read_report(void *argument)
{
    struct reported *reported = argument;
    struct fixture *fixture = reported->fixture;
    struct store_work *work;
    fixture->code =
        store_begin(fixture->contexts[reported->store].store, STORE_READ, &work, &fixture->error);
    if (!fixture->code)
        fixture->code = restored_get(work, &reported->report, &fixture->error);
    store_rollback(work);
}

/* How many sentences of the store's report contain both texts. */
static int reports(struct fixture *fixture, int store, const char *one, const char *other)
{
    struct reported reported = {.fixture = fixture, .store = store};
    size_t index;
    json_t *entry;
    int count = 0;
    harness_run(&fixture->harness, read_report, &reported);
    assert_int_equal(fixture->code, FH_OK);
    json_array_foreach (json_object_get(reported.report, "entries"), index, entry) {
        const char *what = json_string_value(json_object_get(entry, "what"));
        count += strstr(what, one) && strstr(what, other);
    }
    json_decref(reported.report);
    return count;
}

static bool all_is_told(void *argument)
{
    struct fixture *fixture = argument;
    const struct saga_manager *manager = fixture->contexts[2].sagas;
    return manager->restored && !manager->mending;
}

static bool receivers_are_seen_to(void *argument)
{
    struct fixture *fixture = argument;
    return !((const struct saga_manager *)fixture->contexts[2].sagas)->mending;
}

static int64_t effects(struct fixture *fixture)
{
    return look(fixture, 0, "SELECT count(*) FROM effect") +
           look(fixture, 1, "SELECT count(*) FROM effect");
}

static bool reserved(void *argument)
{
    struct fixture *fixture = argument;
    struct looked looked = {.context = &fixture->contexts[0],
                            .sql = "SELECT count(*) FROM effect WHERE path LIKE '/reserve/%'"};
    run_look(&looked);
    fixture->count = looked.value;
    return looked.value == 3;
}

static void wait_for_reserving(void *argument)
{
    struct fixture *fixture = argument;
    while (!reserved(fixture))
        fiber_sleep_until(fixture->harness.world, world_in_ms(fixture->harness.world, 5));
}

/* It has reserved, and can't charge. */
static void place_half(struct fixture *fixture, int number)
{
    fixture->network.away[1] = true;
    place_order(fixture, number, NULL, NULL);
    harness_run(&fixture->harness, wait_for_reserving, fixture);
}

static void come_to_rest(struct fixture *fixture)
{
    fixture->network.away[1] = false;
    harness_until(&fixture->harness, no_saga_is_open, fixture);
    harness_until(&fixture->harness, is_quiet, fixture);
}

/* ---- The initiator ---- */

/* Schedule 3. */
static void a_restored_initiator_runs_an_old_saga_again_and_nothing_twice(void **state)
{
    struct fixture *fixture = *state;
    place_half(fixture, 1);
    back_up(fixture, 2);
    fixture->network.lose_closings = true;
    come_to_rest(fixture);
    expect_balance(fixture, 1);
    int64_t before = effects(fixture);
    restore(fixture, 2);
    expect_text(fixture, "SELECT status FROM placed WHERE id = 1", "PENDING");
    come_to_rest(fixture);
    expect_balance(fixture, 1);
    assert_int_equal(effects(fixture), before);
    fixture->network.lose_closings = false;
    harness_until(&fixture->harness, all_is_told, fixture);
    harness_run(&fixture->harness, count_records, fixture); /* until all is closed */
    assert_int_equal(reports(fixture, 0, "", "") + reports(fixture, 1, "", ""), 0);
}

/* Schedule 3. */
static void an_old_saga_that_is_closed_waits_for_a_person(void **state)
{
    struct fixture *fixture = *state;
    place_half(fixture, 1);
    back_up(fixture, 2);
    come_to_rest(fixture);
    harness_run(&fixture->harness, count_records, fixture);
    int64_t before = effects(fixture);
    restore(fixture, 2);
    come_to_rest(fixture);
    harness_until(&fixture->harness, all_is_told, fixture);
    assert_int_equal(look(fixture, 2, "SELECT count(*) FROM fh_saga WHERE status = 'parked'"), 1);
    assert_int_equal(effects(fixture), before);
}

/* Schedule 31. */
static void a_restored_initiator_does_not_confirm_what_its_former_life_undid(void **state)
{
    struct fixture *fixture = *state;
    struct network *network = &fixture->network;
    place_half(fixture, 4); /* its card is refused, as long as there is nothing of it */
    back_up(fixture, 2);
    network->lose_closings = true;
    network->keep = 100;
    come_to_rest(fixture);
    expect_text(fixture, "SELECT status FROM placed WHERE id = 4", "CANCELLED");
    network->keep = 0;
    in_stock = true; /* now it would be charged */
    restore(fixture, 2);
    come_to_rest(fixture);
    expect_text(fixture, "SELECT status FROM placed WHERE id = 4", "CANCELLED");
    int64_t before = effects(fixture);
    assert_int_equal(net(fixture, 0, "reserve", "release", 4), 0);
    assert_int_equal(net(fixture, 1, "charge", "refund", 4), 0);
    assert_true(network->kept_count > 0);
    harness_run(&fixture->harness, deliver_late, network); /* a former incarnation's undo, too */
    for (int i = 0; i < network->kept_count; i++)
        assert_string_equal(network->kept[i]->outcome, "");
    assert_int_equal(effects(fixture), before);
}

/* Schedule 32. */
static void what_a_restored_initiator_has_forgotten_is_reported_by_its_receiver(void **state)
{
    struct fixture *fixture = *state;
    struct network *network = &fixture->network;
    char key[200];
    place_order(fixture, 1, NULL, NULL);
    come_to_rest(fixture);
    harness_run(&fixture->harness, count_records, fixture);
    int64_t before = net(fixture, 0, "reserve", "release", 1);
    back_up(fixture, 2);
    network->away[1] = true;
    network->keep = 100;
    place_order(fixture, 2, NULL, NULL);
    while (net(fixture, 0, "reserve", "release", 2) < 3)
        harness_until(&fixture->harness, is_quiet, fixture);
    network->keep = 0;
    snprintf(key, sizeof key, "%s", fixture->reference);
    restore(fixture, 2);
    network->away[1] = false;
    harness_until(&fixture->harness, all_is_told, fixture);
    assert_int_equal(look(fixture, 2, "SELECT count(*) FROM placed WHERE id = 2"), 0);
    assert_int_equal(reports(fixture, 0, key, "reserve"), 3);
    assert_int_equal(reports(fixture, 0, "", ""), 3);
    assert_int_equal(reports(fixture, 1, "", ""), 0);
    assert_int_equal(net(fixture, 0, "reserve", "release", 1), before);
    assert_int_equal(look(fixture, 0, all_records), 0);
    int64_t done = effects(fixture);
    harness_run(&fixture->harness, deliver_late, network);
    assert_int_equal(effects(fixture), done);
    /* Its numbers are assigned again, in another incarnation. */
    place_order(fixture, 5, NULL, NULL);
    come_to_rest(fixture);
    expect_text(fixture, "SELECT status FROM placed WHERE id = 5", "CONFIRMED");
}

/* ---- A receiver ---- */

/* Schedule 33. */
static void a_restored_receiver_is_asked_again_by_open_sagas(void **state)
{
    struct fixture *fixture = *state;
    back_up(fixture, 0);
    place_half(fixture, 1);
    restore(fixture, 0);
    assert_int_equal(net(fixture, 0, "reserve", "release", 1), 0);
    harness_until(&fixture->harness, receivers_are_seen_to, fixture);
    come_to_rest(fixture);
    expect_balance(fixture, 1);
    assert_int_equal(reports(fixture, 2, "", ""), 0);
}

/* Schedule 33. */
static void what_a_restored_receiver_has_lost_of_ended_sagas_is_reported(void **state)
{
    struct fixture *fixture = *state;
    back_up(fixture, 0);
    place_order(fixture, 1, NULL, NULL);
    come_to_rest(fixture);
    restore(fixture, 0);
    harness_until(&fixture->harness, receivers_are_seen_to, fixture);
    assert_int_equal(reports(fixture, 2, "products", "reserve"), 3);
    assert_int_equal(reports(fixture, 2, fixture->reference, "count"), 1);
    restart(fixture); /* it is notified once */
    harness_until(&fixture->harness, receivers_are_seen_to, fixture);
    assert_int_equal(reports(fixture, 2, "", ""), 4);
}

/* Schedule 33. */
static void an_undo_that_a_restored_receiver_has_lost_is_reported(void **state)
{
    struct fixture *fixture = *state;
    place_half(fixture, 4);
    back_up(fixture, 0);
    come_to_rest(fixture);
    assert_int_equal(net(fixture, 0, "reserve", "release", 4), 0);
    restore(fixture, 0);
    assert_int_equal(net(fixture, 0, "reserve", "release", 4), 3);
    harness_until(&fixture->harness, receivers_are_seen_to, fixture);
    assert_int_equal(reports(fixture, 2, "had undone", "reserve"), 3);
}

/* Schedule 34. */
static void when_both_were_restored_an_old_undo_does_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct network *network = &fixture->network;
    place_half(fixture, 4);
    back_up(fixture, 0);
    back_up(fixture, 2);
    network->lose_closings = true;
    network->keep = 100;
    come_to_rest(fixture);
    network->keep = 0;
    restore(fixture, 0);
    restore(fixture, 2);
    int64_t before = effects(fixture);
    harness_run(&fixture->harness, deliver_late, network);
    assert_true(network->kept_count > 0);
    assert_int_equal(effects(fixture), before);
    come_to_rest(fixture);
    expect_text(fixture, "SELECT status FROM placed WHERE id = 4", "CANCELLED");
    assert_int_equal(net(fixture, 0, "reserve", "release", 4), 0);
    assert_int_equal(net(fixture, 1, "charge", "refund", 4), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_restored_initiator_runs_an_old_saga_again_and_nothing_twice),
        CASE(an_old_saga_that_is_closed_waits_for_a_person),
        CASE(a_restored_initiator_does_not_confirm_what_its_former_life_undid),
        CASE(what_a_restored_initiator_has_forgotten_is_reported_by_its_receiver),
        CASE(a_restored_receiver_is_asked_again_by_open_sagas),
        CASE(what_a_restored_receiver_has_lost_of_ended_sagas_is_reported),
        CASE(an_undo_that_a_restored_receiver_has_lost_is_reported),
        CASE(when_both_were_restored_an_old_undo_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
