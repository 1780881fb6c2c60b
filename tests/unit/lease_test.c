/* SPDX-License-Identifier: Apache-2.0 */
/* Several instances on one store: who has what, who is dead, and that it costs others nothing. */

#include "../support/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/engines.h"
#include "store/ledger.h"
#include "work/lease_manager.h"
#include "work/work.h"

#define INSTANCES_MAX 4
#define PARTITIONS 8

static const fh_service service = {.name = "orders", .model = FH_RELATIONAL};

struct fixture;

/* One process: its link to the store can be cut, which to the others is the same as its death. */
struct process {
    struct store store;
    struct fixture *fixture;
    struct work_context context;
    struct lease_manager *manager;
    struct lease leases[PARTITIONS + 1];
    int lease_count;
    struct lease_watcher watcher;
    bool cut, slow; /* slow: does not end what it must give back until the test says so */
    int taken, lost, looks;
};

struct fixture {
    struct harness harness;
    struct store *real;
    struct engine engine;
    struct store_ops ops;
    struct process processes[INSTANCES_MAX];
    int crowd; /* rows that crowd_entry writes */
    enum fh_code code;
    struct fh_error error;
};

static enum fh_code cut_begin(struct store *store, enum store_mode mode, struct store_work **ret,
                              struct fh_error *error)
{
    struct process *process = (struct process *)store;
    if (process->cut)
        return error_set(error, FH_UNAVAILABLE, "The link is cut.");
    return store_begin(process->fixture->real, mode, ret, error);
}

static void open_store(void *argument)
{
    struct fixture *fixture = argument;
    struct store_options options = {
        .service = "orders", .folder = fixture->harness.folder, .model = FH_RELATIONAL};
    fixture->code = engine_embedded()->store->open(&options, fixture->harness.world, &fixture->real,
                                                   &fixture->error);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    harness_init(&fixture->harness);
    harness_run(&fixture->harness, open_store, fixture);
    assert_int_equal(fixture->code, FH_OK);
    fixture->ops = *engine_embedded()->store;
    fixture->ops.begin = cut_begin;
    fixture->engine = *engine_embedded();
    fixture->engine.abilities |= ENGINE_MANY_INSTANCES;
    *state = fixture;
    return 0;
}

static void taken(struct lease *lease)
{
    struct process *process = lease->owner;
    process->taken++;
}

static void ends(struct lease *lease)
{
    struct process *process = lease->owner;
    if (!process->slow)
        lease_ended(lease);
}

static enum fh_code take(struct lease *lease, struct store_work *work, int64_t epoch,
                         struct fh_error *error)
{
    const char *partition = strrchr(lease->name, ' ');
    return partition ? ledger_cursor_take(work, "users", partition + 1, epoch, error) : FH_OK;
}

static void looked(void *context, bool changed)
{
    struct process *process = context;
    (void)changed;
    process->looks++;
}

static void lost(void *context)
{
    ((struct process *)context)->lost++;
}

static json_t *tell(void *context)
{
    const struct process *process = context;
    return json_string(process->store.instance);
}

static void start_entry(void *argument)
{
    struct process *process = argument;
    process->fixture->code = lease_manager_start(process->manager, &process->fixture->error);
}

static void stop_entry(void *argument)
{
    struct process *process = argument;
    lease_manager_stop(process->manager);
}

static void add(struct process *process, const char *name)
{
    struct lease *lease = &process->leases[process->lease_count++];
    *lease = (struct lease){.take = take, .taken = taken, .ends = ends, .owner = process};
    snprintf(lease->name, sizeof lease->name, "%s", name);
    lease_add(process->manager, lease);
}

static struct process *begin(struct fixture *fixture, int n, const char *instance, bool partitions)
{
    struct process *process = &fixture->processes[n];
    char name[32];
    *process = (struct process){.fixture = fixture};
    process->store = (struct store){
        .engine = &fixture->engine, .ops = &fixture->ops, .world = fixture->harness.world};
    process->context = (struct work_context){
        .world = fixture->harness.world, .store = &process->store, .service = &service};
    process->manager = lease_manager_new(&process->context, instance);
    process->watcher =
        (struct lease_watcher){.looked = looked, .lost = lost, .tell = tell, .context = process};
    lease_watch(process->manager, &process->watcher);
    for (int i = 0; partitions && i < PARTITIONS; i++) {
        snprintf(name, sizeof name, "share users %d/%d", i, PARTITIONS);
        add(process, name);
    }
    add(process, "sagas");
    harness_run(&fixture->harness, start_entry, process);
    assert_int_equal(fixture->code, FH_OK);
    return process;
}

static void end(struct process *process)
{
    harness_run(&process->fixture->harness, stop_entry, process);
    lease_manager_free(process->manager);
    process->manager = NULL;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < INSTANCES_MAX; i++) {
        if (fixture->processes[i].manager)
            end(&fixture->processes[i]);
    }
    store_close(fixture->real);
    harness_release(&fixture->harness);
    free(fixture);
    return 0;
}

/* How many partitions it has. */
static int ours(const struct process *process)
{
    int count = 0;
    for (int i = 0; i < process->lease_count; i++)
        count += process->leases[i].state == LEASE_OURS && strchr(process->leases[i].name, ' ');
    return count;
}

struct expected {
    struct fixture *fixture;
    int partitions[INSTANCES_MAX]; /* -1: does not matter */
};

static bool is_so(void *argument)
{
    const struct expected *expected = argument;
    for (int i = 0; i < INSTANCES_MAX; i++) {
        const struct process *process = &expected->fixture->processes[i];
        if (process->manager && expected->partitions[i] >= 0 &&
            ours(process) != expected->partitions[i])
            return false;
    }
    return true;
}

static void expect(struct fixture *fixture, int first, int second, int third)
{
    struct expected expected = {fixture, {first, second, third, -1}};
    harness_until(&fixture->harness, is_so, &expected);
}

/* No two have the same at once. */
static void expect_apart(const struct fixture *fixture)
{
    for (int partition = 0; partition < PARTITIONS; partition++) {
        int owners = 0;
        for (int i = 0; i < INSTANCES_MAX; i++)
            owners += fixture->processes[i].manager &&
                      fixture->processes[i].leases[partition].state == LEASE_OURS;
        assert_in_range(owners, 0, 1);
    }
}

/* Schedule 16. */
static void the_first_has_all_and_gives_to_those_who_come(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, 0, "0", true);
    expect(fixture, 8, -1, -1);
    begin(fixture, 1, "1", true);
    expect(fixture, 4, 4, -1);
    expect_apart(fixture);
    begin(fixture, 2, "2", true);
    expect(fixture, 3, 3, 2);
    expect_apart(fixture);
    assert_int_equal(lease_members(fixture->processes[0].manager), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fixture->processes[i].lost, 0);
}

static void an_instance_that_leaves_hands_over_at_once(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, 0, "0", true);
    begin(fixture, 1, "1", true);
    expect(fixture, 4, 4, -1);
    end(&fixture->processes[0]);
    expect(fixture, -1, 8, -1);
    assert_int_equal(fixture->processes[1].lost, 0);
}

static void what_is_given_up_is_handed_over_only_when_it_has_ended(void **state)
{
    struct fixture *fixture = *state;
    struct process *first = begin(fixture, 0, "0", true);
    expect(fixture, 8, -1, -1);
    first->slow = true;
    struct process *second = begin(fixture, 1, "1", true);
    expect(fixture, 4, -1, -1);
    int looks = second->looks;
    while (second->looks < looks + 3)
        uv_run(&fixture->harness.loop, UV_RUN_ONCE);
    assert_int_equal(ours(second), 0);
    for (int i = 0; i < first->lease_count; i++)
        lease_ended(&first->leases[i]);
    expect(fixture, 4, 4, -1);
}

static int64_t epoch_of(struct fixture *fixture, const char *partition);

/* It has let the others know that it renews more often than one that is alone. */
static bool knows_the_other(void *argument)
{
    const struct process *process = argument;
    return lease_members(process->manager) == 2;
}

static void a_silent_instance_is_taken_over_and_begins_a_new_session(void **state)
{
    struct fixture *fixture = *state;
    struct process *first = begin(fixture, 0, "0", true);
    struct process *second = begin(fixture, 1, "1", true);
    harness_until(&fixture->harness, knows_the_other, first);
    int looks = second->looks;
    while (second->looks < looks + 2)
        uv_run(&fixture->harness.loop, UV_RUN_ONCE);
    expect(fixture, 4, 4, -1);
    char life[STORE_INSTANCE_SIZE];
    snprintf(life, sizeof life, "%s", first->store.instance);
    int64_t before = epoch_of(fixture, "0/8"), cut_ns = world_monotonic_ns(fixture->harness.world);
    first->cut = true;
    expect(fixture, -1, 8, -1);
    int64_t took_ms = (world_monotonic_ns(fixture->harness.world) - cut_ns) / 1000000;
    print_message("# taken over %lld ms after it fell silent\n", (long long)took_ms);
    assert_int_equal(ours(first), 4); /* it does not know yet; its units of work would be refused */
    assert_int_equal(epoch_of(fixture, "0/8"), before + 1);
    first->cut = false;
    expect(fixture, 4, 4, -1);
    assert_int_equal(first->lost, 1);
    assert_string_not_equal(first->store.instance, life);
    expect_apart(fixture);
}

static void a_restarted_process_takes_its_name_over_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct process *older = begin(fixture, 0, "0", true);
    expect(fixture, 8, -1, -1);
    /* The older session still runs: as of a paused process that `up` has not killed yet. */
    struct process *newer = begin(fixture, 1, "0", true);
    expect(fixture, 0, 8, -1);
    assert_int_equal(older->lost, 1);
    int looks = newer->looks;
    while (newer->looks < looks + 2)
        uv_run(&fixture->harness.loop, UV_RUN_ONCE);
    expect(fixture, 0, 8, -1); /* no contention for the name */
    assert_int_equal(newer->lost, 0);
    end(newer);
    expect(fixture, 8, -1, -1);
}

static void a_program_that_does_not_know_a_lease_gets_none(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, 0, "0", false);
    begin(fixture, 1, "1", true);
    expect(fixture, 0, 8, -1);
    assert_true((fixture->processes[0].leases[0].state == LEASE_OURS) !=
                (fixture->processes[1].leases[PARTITIONS].state == LEASE_OURS));
}

static void collect(void *context, const json_t *told)
{
    json_array_append((json_t *)context, (json_t *)(uintptr_t)told);
}

static bool hears_one(void *argument)
{
    json_t *told = json_array();
    lease_told(((struct process *)argument)->manager, collect, told);
    bool one = json_array_size(told) == 1;
    json_decref(told);
    return one;
}

static void each_instance_gets_what_the_others_report(void **state)
{
    struct fixture *fixture = *state;
    struct process *first = begin(fixture, 0, "0", true);
    struct process *second = begin(fixture, 1, "1", true);
    harness_until(&fixture->harness, hears_one, first);
    json_t *told = json_array();
    lease_told(first->manager, collect, told);
    assert_string_equal(json_string_value(json_array_get(told, 0)), second->store.instance);
    json_decref(told);
}

static void an_embedded_store_writes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct process *process = &fixture->processes[0];
    *process = (struct process){.fixture = fixture};
    process->context = (struct work_context){
        .world = fixture->harness.world, .store = fixture->real, .service = &service};
    assert_null(lease_manager_new(&process->context, NULL));
    add(process, "share users 0/1");
    assert_int_equal(process->taken, 1);
    assert_int_equal(process->leases[0].state, LEASE_OURS);
    assert_int_equal(process->leases[0].epoch, 0);
}

/* ---- more than can be known ---- */

/* Rows of instances that are as yet believed alive: "p100" and on, and one that sorts before. */
static void crowd_entry(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    char name[LEASE_NAME_SIZE];
    fixture->code = store_begin(fixture->real, STORE_WRITE, &work, &fixture->error);
    for (int i = 0; i < fixture->crowd && fixture->code == FH_OK; i++) {
        snprintf(name, sizeof name, LEDGER_INSTANCE "p%d", 100 + i);
        fixture->code = ledger_lease_take(work, name, 0, "other.life", &fixture->error);
    }
    if (fixture->crowd == 0)
        fixture->code =
            ledger_lease_take(work, LEDGER_INSTANCE "a", 0, "other.life", &fixture->error);
    if (fixture->code == FH_OK)
        fixture->code = store_commit(work, &fixture->error);
}

static bool knows_as_many_as_may_be(void *argument)
{
    return lease_members(((struct process *)argument)->manager) == LEASE_MEMBERS_MAX;
}

static void one_instance_too_many_is_passed_over(void **state)
{
    struct fixture *fixture = *state;
    char last[LEASE_NAME_SIZE];
    fixture->crowd = LEASE_MEMBERS_MAX - 1;
    snprintf(last, sizeof last, LEDGER_INSTANCE "p%d", 100 + fixture->crowd - 1);
    struct process *process = begin(fixture, 0, "0", true);
    harness_run(&fixture->harness, crowd_entry, fixture);
    assert_int_equal(fixture->code, FH_OK);
    harness_until(&fixture->harness, knows_as_many_as_may_be, process);
    fixture->crowd = 0;
    harness_run(&fixture->harness, crowd_entry, fixture);
    assert_int_equal(fixture->code, FH_OK);
    int looks = process->looks;
    while (process->looks < looks + 2)
        uv_run(&fixture->harness.loop, UV_RUN_ONCE);
    assert_int_equal(lease_members(process->manager), LEASE_MEMBERS_MAX);
    /* One that begins now reads the rows in this order: it must not know others than this one. */
    assert_non_null(lease_member_named(process->manager, LEDGER_INSTANCE "a"));
    assert_null(lease_member_named(process->manager, last));
    expect(fixture, 8, -1, -1); /* they have never beaten: all are dead in the end */
    assert_int_equal(process->lost, 0);
}

/* ---- what the store says ---- */

struct asked {
    struct fixture *fixture;
    const char *partition;
    int64_t epoch;
};

static void epoch_entry(void *argument)
{
    struct asked *asked = argument;
    struct store_work *work;
    struct ledger_cursor cursor = {0};
    if (store_begin(asked->fixture->real, STORE_READ, &work, ERROR_UNHEEDED) != FH_OK)
        return;
    ledger_cursor_get(work, "users", asked->partition, &cursor, ERROR_UNHEEDED);
    store_rollback(work);
    asked->epoch = cursor.epoch;
}

static int64_t epoch_of(struct fixture *fixture, const char *partition)
{
    struct asked asked = {fixture, partition, -1};
    harness_run(&fixture->harness, epoch_entry, &asked);
    return asked.epoch;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_first_has_all_and_gives_to_those_who_come),
        TEST(an_instance_that_leaves_hands_over_at_once),
        TEST(what_is_given_up_is_handed_over_only_when_it_has_ended),
        TEST(a_silent_instance_is_taken_over_and_begins_a_new_session),
        TEST(a_restarted_process_takes_its_name_over_at_once),
        TEST(a_program_that_does_not_know_a_lease_gets_none),
        TEST(each_instance_gets_what_the_others_report),
        TEST(an_embedded_store_writes_nothing),
        TEST(one_instance_too_many_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
