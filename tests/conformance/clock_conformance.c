/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock by which records age, where the instances of one store have clocks that disagree: what
 * one of them has just written is not deleted by another as too old. And what a server reports of
 * its own clock.
 */

#include "conformance.h"

#include "store/ledger.h"
#include "work/command.h"
#include "work/keys.h"

#define DAY_MS ((int64_t)86400000)
#define MINUTE_MS ((int64_t)60000)

/* A world like the harness's, on another machine: both clocks are its own. */
struct elsewhere {
    struct world world;
    struct world_ops ops;
    struct world *real;
    int64_t wall_ahead_ms, monotonic_ahead_ms;
};

static int64_t elsewhere_wall_ms(struct world *world)
{
    struct elsewhere *elsewhere = (struct elsewhere *)world;
    return world_wall_ms(elsewhere->real) + elsewhere->wall_ahead_ms;
}

static int64_t elsewhere_monotonic_ns(struct world *world)
{
    struct elsewhere *elsewhere = (struct elsewhere *)world;
    return world_monotonic_ns(elsewhere->real) + elsewhere->monotonic_ahead_ms * 1000000;
}

struct instance {
    struct elsewhere elsewhere;
    struct work_context context;
};

static enum fh_code instance_start(struct conformance *c, struct instance *instance,
                                   int64_t wall_ahead_ms, int64_t monotonic_ahead_ms)
{
    struct elsewhere *elsewhere = &instance->elsewhere;
    elsewhere->real = c->store->world;
    elsewhere->world = *elsewhere->real;
    elsewhere->ops = *elsewhere->real->ops;
    elsewhere->ops.wall_ms = elsewhere_wall_ms;
    elsewhere->ops.monotonic_ns = elsewhere_monotonic_ns;
    elsewhere->world.ops = &elsewhere->ops;
    elsewhere->wall_ahead_ms = wall_ahead_ms;
    elsewhere->monotonic_ahead_ms = monotonic_ahead_ms;
    instance->context = (struct work_context){
        .world = &elsewhere->world, .store = c->store, .keys = work_keys_new()};
    return command_clock_start(&instance->context, &c->error);
}

static void instance_end(struct instance *instance)
{
    work_keys_free(instance->context.keys);
}

/* As a unit of work of that instance records a client's command. */
static enum fh_code record(struct conformance *c, struct instance *instance, const char *key)
{
    struct ledger_command command = {.caller = "client POST /orders",
                                     .key = key,
                                     .birth = "",
                                     .attempt = 1,
                                     .created_ms = command_clock_ms(&instance->context),
                                     .outcome = LEDGER_DONE,
                                     .digest = "",
                                     .answer = "{}"};
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    if (!work)
        return FH_UNAVAILABLE;
    enum fh_code code = ledger_command_put(work, &command, &c->error);
    return code == FH_OK ? conformance_commit(c, work) : code;
}

static bool is_known(struct conformance *c, const char *key)
{
    struct ledger_command command;
    struct arena arena;
    struct store_work *work = conformance_begin(c, STORE_READ);
    if (!work)
        return false;
    arena_init(&arena, 1 << 20);
    enum fh_code code =
        ledger_command_get(work, &arena, "client POST /orders", key, &command, &c->error);
    conformance_rollback(c, work);
    arena_release(&arena);
    return code == FH_OK;
}

static bool has_instances(const struct engine *engine)
{
    return engine_can(engine, ENGINE_MANY_INSTANCES);
}

static bool has_clock(const struct engine *engine)
{
    return engine->store->clock;
}

/* Of `first` and `second`, one after the other on their own machines, neither deletes what the
 * other has just written. */
static void try_two(struct conformance *c, int64_t first_ahead_ms, int64_t second_ahead_ms,
                    int64_t monotonic_ahead_ms)
{
    struct instance first, second, third;
    int64_t removed;
    EXPECT(instance_start(c, &first, first_ahead_ms, 0) == FH_OK);
    EXPECT(record(c, &first, "a") == FH_OK);
    EXPECT(instance_start(c, &second, second_ahead_ms, monotonic_ahead_ms) == FH_OK);
    EXPECT(record(c, &second, "b") == FH_OK);
    EXPECT(command_expire(&second.context, &removed, &c->error) == FH_OK);
    EXPECT(removed == 0 && is_known(c, "a"));
    /* Nor does what one of them has left in the store mislead a third, or the first. */
    EXPECT(instance_start(c, &third, 0, 3 * monotonic_ahead_ms) == FH_OK);
    EXPECT(command_expire(&third.context, &removed, &c->error) == FH_OK && removed == 0);
    EXPECT(command_expire(&first.context, &removed, &c->error) == FH_OK && removed == 0);
    EXPECT(is_known(c, "a") && is_known(c, "b"));
    instance_end(&first);
    instance_end(&second);
    instance_end(&third);
}

/* Schedule 25. */
static void an_instance_whose_clock_is_days_ahead_forgets_nobodys_fresh_keys(struct conformance *c)
{
    try_two(c, 0, 2 * DAY_MS, 30 * DAY_MS);
}

static void one_whose_clock_is_days_ahead_misleads_nobody_who_comes_after(struct conformance *c)
{
    try_two(c, 2 * DAY_MS, 0, 30 * DAY_MS);
}

static void one_whose_clock_is_days_behind_misleads_nobody_who_comes_after(struct conformance *c)
{
    try_two(c, -2 * DAY_MS, 0, 30 * DAY_MS);
}

/* The monotonic clock of a machine that has just been switched on: it shows no time at all. */
static void nor_does_one_on_a_machine_that_was_just_switched_on(struct conformance *c)
{
    try_two(c, 0, 2 * DAY_MS, -world_monotonic_ns(c->store->world) / 1000000);
}

/* Schedule 25. */
static void a_servers_clock_that_was_set_makes_nothing_old(struct conformance *c)
{
    struct instance first, second;
    char text[128];
    int64_t removed, wall_ms = world_wall_ms(c->store->world);
    EXPECT(instance_start(c, &first, 0, 0) == FH_OK);
    int64_t clock_ms = command_clock_ms(&first.context);
    EXPECT(record(c, &first, "a") == FH_OK);
    instance_end(&first);
    for (int days = -2; days <= 2; days += 4) {
        struct store_work *work = conformance_begin(c, STORE_WRITE);
        EXPECT(work);
        snprintf(text, sizeof text, "%lld %lld %lld %lld", (long long)clock_ms, (long long)wall_ms,
                 (long long)0, (long long)(wall_ms + days * DAY_MS));
        EXPECT(ledger_meta_put(work, "clock", text, &c->error) == FH_OK);
        EXPECT(conformance_commit(c, work) == FH_OK);
        EXPECT(instance_start(c, &second, 0, 0) == FH_OK);
        EXPECT(command_expire(&second.context, &removed, &c->error) == FH_OK && removed == 0);
        instance_end(&second);
    }
    EXPECT(is_known(c, "a"));
}

static void what_is_a_day_old_by_all_clocks_is_forgotten(struct conformance *c)
{
    struct instance first, second;
    int64_t removed;
    char text[128];
    EXPECT(instance_start(c, &first, 0, 0) == FH_OK);
    EXPECT(record(c, &first, "a") == FH_OK);
    int64_t wall_ms = world_wall_ms(c->store->world) - DAY_MS - MINUTE_MS;
    int64_t monotonic_ms = world_monotonic_ns(c->store->world) / 1000000 - DAY_MS - MINUTE_MS;
    snprintf(text, sizeof text, "%lld %lld %lld %lld", (long long)command_clock_ms(&first.context),
             (long long)wall_ms, (long long)monotonic_ms, (long long)wall_ms);
    instance_end(&first);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(ledger_meta_put(work, "clock", text, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(instance_start(c, &second, 0, 0) == FH_OK);
    EXPECT(command_expire(&second.context, &removed, &c->error) == FH_OK && removed == 1);
    EXPECT(!is_known(c, "a"));
    instance_end(&second);
}

static void a_server_reports_its_time(struct conformance *c)
{
    int64_t before_ms = world_wall_ms(c->store->world), now_ms;
    EXPECT(c->store->ops->clock(c->store, &now_ms, &c->error) == FH_OK);
    /* It is on this machine. */
    EXPECT(now_ms >= before_ms - 1000 && now_ms <= world_wall_ms(c->store->world) + 1000);
}

int main(void)
{
    const struct conformance_row rows[] = {
        CASE_OF(an_instance_whose_clock_is_days_ahead_forgets_nobodys_fresh_keys, has_instances),
        CASE_OF(one_whose_clock_is_days_ahead_misleads_nobody_who_comes_after, has_instances),
        CASE_OF(one_whose_clock_is_days_behind_misleads_nobody_who_comes_after, has_instances),
        CASE_OF(nor_does_one_on_a_machine_that_was_just_switched_on, has_instances),
        CASE_OF(a_servers_clock_that_was_set_makes_nothing_old, has_instances),
        CASE(what_is_a_day_old_by_all_clocks_is_forgotten),
        CASE_OF(a_server_reports_its_time, has_clock),
    };
    return conformance_main_all(rows, sizeof rows / sizeof *rows);
}
