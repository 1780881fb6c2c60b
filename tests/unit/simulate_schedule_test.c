/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules (docs/internals/schedules.md) of one receiver's disk and clock: commands on the
 * embedded engine, on a simulated node. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "engine/engines.h"
#include "simulate/disk.h"
#include "store/relational/sql.h"
#include "work/command.h"
#include "work/keys.h"

/* What a crash leaves lying is no leak of the tests; the sanitizer must see this answer. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

#define BIRTH "01900000-0000-7000-8000-000000000001"
#define SENDERS 3
#define DAY_MS ((int64_t)86400000)

static const fh_service service = {.name = "payments", .model = FH_RELATIONAL};

struct sent {
    struct fixture *fixture;
    const char *key;
    bool from_client;
    int status;
    char outcome[16];
};

struct fixture {
    struct simulate simulate;
    struct simulate_node *node;
    struct work_context context;
    bool opened;
    int died;
    struct sent sent[SENDERS];
    int64_t found, removed;
    const char *counted; /* the key whose effects are counted */
};

static void on_died(struct simulate_node *node, const char *why)
{
    struct fixture *fixture = node->owner;
    (void)why;
    fixture->died++;
    json_arena_set(NULL);
}

static void run(struct fixture *fixture)
{
    simulate_run(&fixture->simulate, NULL, NULL, SIMULATE_NEVER, 1000000);
}

static void open_store(void *argument)
{
    struct fixture *fixture = argument;
    struct store_options options = {
        .service = "payments", .folder = "/payments", .model = FH_RELATIONAL};
    struct store_work *work;
    struct fh_error error;
    fixture->context = (struct work_context){
        .world = &fixture->node->world, .service = &service, .keys = work_keys_new()};
    if (engine_embedded()->store->open(&options, &fixture->node->world, &fixture->context.store,
                                       ERROR_UNHEEDED) ||
        store_begin(fixture->context.store, STORE_WRITE_EXCLUSIVE, &work, ERROR_UNHEEDED))
        return;
    sql_run(work, "CREATE TABLE IF NOT EXISTS effect (id INTEGER PRIMARY KEY, what TEXT)", NULL, 0,
            NULL, NULL, NULL, ERROR_UNHEEDED);
    fixture->opened = store_commit(work, ERROR_UNHEEDED) == FH_OK &&
                      command_clock_start(&fixture->context, &error) == FH_OK;
}

static void start_process(struct fixture *fixture)
{
    simulate_node_begin(fixture->node);
    fixture->opened = false;
    assert_true(fiber_start(fixture->node->world.fibers, open_store, fixture));
    run(fixture);
    assert_true(fixture->opened);
}

static void begin(struct fixture *fixture, uint64_t seed)
{
    memset(fixture, 0, sizeof *fixture);
    json_memory_init();
    sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, 1, NULL);
    simulate_init(&fixture->simulate, seed);
    fixture->node = simulate_node_new(&fixture->simulate, "payments");
    fixture->node->owner = fixture;
    fixture->node->died = on_died;
    simulate_disk_new(fixture->node);
    start_process(fixture);
}

static void end(struct fixture *fixture)
{
    if (fixture->node->alive)
        simulate_node_crash(fixture->node, SIMULATE_KILLED, "the test is over");
    simulate_disk_free(fixture->node->disk);
    simulate_node_free(fixture->node);
    simulate_release(&fixture->simulate);
}

static void charge(fh_work *w)
{
    fh_exec(w, "INSERT INTO effect (what) VALUES (:key)", fh_body(w));
    fh_reply(w, 201, NULL);
}

static void send(void *argument)
{
    struct sent *sent = argument;
    struct work_context *context = &sent->fixture->context;
    struct command_request request = {.method = "POST",
                                      .path = "/api/payments",
                                      .pattern = "/api/payments",
                                      .body = "",
                                      .key = sent->key,
                                      .from = sent->from_client ? NULL : "orders/" BIRTH,
                                      .to = context->store->incarnation};
    fh_work w;
    work_init(&w, context, charge);
    w.deadline_ns = world_in_ms(context->world, 20000);
    json_arena_set(&w.kept);
    w.body = json_pack("{s:s}", "key", sent->key);
    json_arena_set(NULL);
    command_run(&w, &request);
    sent->status = w.reply_status;
    for (int i = 0; i < w.reply_header_count; i++)
        if (strcmp(w.reply_headers[i].name, "Freehold-Outcome") == 0)
            snprintf(sent->outcome, sizeof sent->outcome, "%s", w.reply_headers[i].value);
    work_release(&w);
}

static bool take_number(void *context, const struct sql_row *row)
{
    *(int64_t *)context = row->values[0].integer;
    return false;
}

static void count_effects(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    struct sql_value key = {
        .kind = SQL_TEXT, .text = fixture->counted, .length = strlen(fixture->counted)};
    fixture->found = -1;
    if (store_begin(fixture->context.store, STORE_READ, &work, ERROR_UNHEEDED))
        return;
    sql_run(work, "SELECT count(*) FROM effect WHERE what = ?1", &key, 1, take_number,
            &fixture->found, NULL, ERROR_UNHEEDED);
    store_rollback(work);
}

static int64_t effects_of(struct fixture *fixture, const char *key)
{
    fixture->counted = key;
    assert_true(fiber_start(fixture->node->world.fibers, count_effects, fixture));
    run(fixture);
    return fixture->found;
}

static void send_again(struct fixture *fixture, struct sent *sent)
{
    *sent = (struct sent){.fixture = fixture, .key = sent->key, .from_client = sent->from_client};
    assert_true(fiber_start(fixture->node->world.fibers, send, sent));
    run(fixture);
}

/* ---- One key twice, in a group that fails ---- */

#define KEY "orders/" BIRTH ".7/charge/0"
#define OTHER "orders/" BIRTH ".8/charge/0"

enum fault { FAULT_WRITE, FAULT_SYNC, FAULT_FULL, FAULTS };

static void plan_fault(struct fixture *fixture, enum fault fault, int64_t at)
{
    struct simulate_disk_faults *faults = simulate_disk_faults(fixture->node->disk);
    if (fault == FAULT_WRITE)
        faults->write_in = at;
    else if (fault == FAULT_SYNC)
        faults->sync_in = at;
    else
        faults->size_max = simulate_disk_size(fixture->node->disk) + (size_t)at * 700;
}

static bool is_done(const struct sent *sent)
{
    return strcmp(sent->outcome, "done") == 0;
}

/* What is there after the machine has failed as well: exactly what was acknowledged, or more, but
 * nothing twice; and a repeated request is answered that it is done. */
static void settle(struct fixture *fixture)
{
    if (fixture->node->alive)
        simulate_node_crash(fixture->node, SIMULATE_POWER, "the power fails");
    *simulate_disk_faults(fixture->node->disk) = (struct simulate_disk_faults){0};
    start_process(fixture);
    for (int i = 0; i < SENDERS; i++) {
        struct sent *sent = &fixture->sent[i];
        int64_t stands = effects_of(fixture, sent->key);
        assert_in_range(stands, is_done(sent) ? 1 : 0, 1);
        send_again(fixture, sent);
        assert_int_equal(sent->status, 201);
        assert_true(is_done(sent));
        assert_int_equal(effects_of(fixture, sent->key), 1);
    }
}

/* Schedule 22. */
static void a_key_twice_in_a_group_whose_commit_fails_is_done_once_or_not_at_all(void **state)
{
    static const char *const keys[SENDERS] = {KEY, KEY, OTHER};
    int survived = 0, died = 0, refused = 0;
    (void)state;
    for (int64_t at = 1; at <= 40; at++) {
        for (enum fault fault = FAULT_WRITE; fault < FAULTS; fault++) {
            struct fixture fixture;
            begin(&fixture, (uint64_t)at);
            plan_fault(&fixture, fault, at);
            for (int i = 0; i < SENDERS; i++) {
                fixture.sent[i] = (struct sent){.fixture = &fixture, .key = keys[i]};
                assert_true(fiber_start(fixture.node->world.fibers, send, &fixture.sent[i]));
            }
            run(&fixture);
            died += fixture.died;
            survived += !fixture.died && fixture.context.counters.reruns > 0;
            for (int i = 0; i < SENDERS && !fixture.died; i++)
                refused += fixture.sent[i].status >= 500 && !fixture.sent[i].outcome[0];
            settle(&fixture);
            end(&fixture);
        }
    }
    assert_true(died > 0 && survived > 0 && refused > 0); /* it was tried */
}

/* ---- Records of keys, and a clock that is set ---- */

static void expire(void *argument)
{
    struct fixture *fixture = argument;
    int64_t removed = -1;
    struct fh_error error;
    command_expire(&fixture->context, &removed, &error);
    fixture->removed += removed;
}

/* As a process does every few minutes. */
static void let_pass(struct fixture *fixture, int64_t ms)
{
    fixture->simulate.now_ns += ms * SIMULATE_MS;
    assert_true(fiber_start(fixture->node->world.fibers, expire, fixture));
    run(fixture);
}

/* The process is killed, and the clock is different when the next one starts. */
static void start_anew(struct fixture *fixture, int64_t wall_step_ms)
{
    simulate_node_crash(fixture->node, SIMULATE_KILLED, "the test wants it");
    fixture->node->wall_step_ms = wall_step_ms;
    start_process(fixture);
}

/* Schedule 25. */
static void a_day_on_the_wall_clock_forgets_no_clients_key(void **state)
{
    static const int64_t steps_ms[] = {DAY_MS, 0, -DAY_MS, 0, DAY_MS, -DAY_MS, 40 * DAY_MS, 0};
    struct fixture fixture;
    (void)state;
    begin(&fixture, 1);
    let_pass(&fixture, 0);
    struct sent sent = {.fixture = &fixture, .key = "a", .from_client = true};
    send_again(&fixture, &sent);
    assert_int_equal(sent.status, 201);
    for (size_t i = 0; i < sizeof steps_ms / sizeof *steps_ms; i++) {
        fixture.node->wall_step_ms = steps_ms[i];
        let_pass(&fixture, 60000);
        send_again(&fixture, &sent);
        assert_int_equal(sent.status, 201);
        assert_int_equal(effects_of(&fixture, "a"), 1);
        assert_int_equal(fixture.removed, 0);
        if (i % 3 == 1)
            start_anew(&fixture, steps_ms[i / 3]); /* set while no process was running */
    }
    int hours = 0;
    for (; hours < 10 * 24 && !fixture.removed; hours++)
        let_pass(&fixture, 3600000); /* it is deleted all the same, and in time */
    assert_int_equal(fixture.removed, 1);
    assert_in_range(hours, 23, 25);
    end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_twice_in_a_group_whose_commit_fails_is_done_once_or_not_at_all),
        cmocka_unit_test(a_day_on_the_wall_clock_forgets_no_clients_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
