/* SPDX-License-Identifier: Apache-2.0 */
/* A service that measures, on an InfluxDB that loses a day, or is killed again and again while
 * pages are under way: what it answers in the end is what the service's own store does. */

#include "../support/carrying.h"
#include "influxdb_bed.h"

#include "carrier/influxdb/internal.h"

#define KILLS 8
#define POINTS_OF_ROUND 40
#define DAY INT64_C(86400000)

static struct carried_server *bed_server;

static void begin_carrier(int number)
{
    carrying_restart(number);
    carrying.carriers[number].server = bed_server;
}

/* Over some weeks, and many of one device and time: those are corrections. */
static void measure_round(int round)
{
    for (int i = 0; i < POINTS_OF_ROUND; i++) {
        char device[16];
        int number = round * POINTS_OF_ROUND + i;
        snprintf(device, sizeof device, "d %d\\", number * 7 % 5);
        carrying_fact(device, (number * 11 % 30 - 15) * DAY + number * 13 % 3, number);
    }
}

static void assert_all_is_found(void)
{
    carrying_assert_found(carrying_expected());
}

static void wipe_entry(void *argument)
{
    (void)argument;
    bed_influxdb_wipe(bed_server);
}

/* ---- Cases ---- */

static void lose_a_part_entry(void *argument)
{
    char name[INFLUXDB_NAME_SIZE], statement[INFLUXDB_NAME_SIZE + 128];
    influxdb_measurement(carrying_declared(), argument, INFLUXDB_LINKS, name);
    snprintf(statement, sizeof statement, "DELETE FROM \"%s\" WHERE time >= %lld AND time < %lld",
             name, (long long)(2 * DAY * 1000000), (long long)(3 * DAY * 1000000));
    bed_influxdb_insist(bed_server, statement);
}

/* As if the server had lost a shard, or an entry of its log. */
static void what_lacks_a_day_is_noticed_and_made_anew(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        measure_round(i);
        carrying_settle(0);
    }
    struct carried_name name = carrying_ledger(NULL)->record.serving.name;
    harness_run(&carrying.fixture->harness, lose_a_part_entry, &name);
    begin_carrier(1);
    carrying_settle(1);
    assert_all_is_found();
    assert_int_equal(carrying.carriers[1].counters.lost, 1);
    assert_int_equal(carrying_ledger(NULL)->record.serving.name.number, name.number + 1);
}

static int64_t kill_after_ms;

static void turn_or_kill(void *argument)
{
    struct carrying_turn *turn = argument;
    if (turn->carrier < 2)
        carrying_turn_entry(turn);
    else
        bed_influxdb_kill(carrying.fixture->harness.world, kill_after_ms);
}

/* Turns until there is nothing more to do, whatever the server is up to. */
static void settle_at_last(void)
{
    struct carrying_turn turn = {.more = true};
    while (turn.more || turn.code != FH_OK) {
        turn = carrying_turn(0);
        if (turn.code != FH_OK && turn.code != FH_UNAVAILABLE && turn.code != FH_OUTCOME_UNKNOWN)
            fail_msg("%s", turn.error.message);
    }
}

/* Also of what it had acknowledged: see docs/operate/engines/influxdb.md. */
static void whatever_a_server_that_is_killed_loses_comes_back(void **state)
{
    uint64_t lost = 0;
    (void)state;
    for (int i = 0; i < KILLS; i++) {
        struct carrying_turn turns[3] = {{.carrier = 0}, {.carrier = 1}, {.carrier = 2}};
        void *arguments[] = {&turns[0], &turns[1], &turns[2]};
        kill_after_ms = i * 3;
        measure_round(i);
        harness_run_all(&carrying.fixture->harness, turn_or_kill, arguments, 3);
        lost += carrying.carriers[0].counters.lost;
        begin_carrier(0); /* it walks */
        settle_at_last();
        assert_all_is_found();
    }
    lost += carrying.carriers[0].counters.lost;
    print_message("killed %d times: lost and made anew %d times\n", KILLS, (int)lost);
}

/* ---- Running them ---- */

static void run_case(void **state, void (*run)(void **state))
{
    char why[160];
    carrying_set_up(state);
    carrying_begin(CARRYING_MEASURED);
    bed_server = bed_influxdb_open(&carrying.fixture->harness, why);
    if (!bed_server) {
        carrying_tear_down(state);
        SKIP_BECAUSE("no influxdb: %s", why);
    }
    begin_carrier(0);
    begin_carrier(1);
    run(state);
    harness_run(&carrying.fixture->harness, wipe_entry, NULL);
    influxdb_close(bed_server);
    carrying_tear_down(state);
}

#define CASES(CASE)                                                                                \
    CASE(what_lacks_a_day_is_noticed_and_made_anew)                                                \
    CASE(whatever_a_server_that_is_killed_loses_comes_back)

#define TEST_OF_CASE(name)                                                                         \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        run_case(state, name);                                                                     \
    }
CASES(TEST_OF_CASE)

int main(void)
{
#define LISTED(name) {#name, test_##name, NULL, NULL, NULL},
    static const struct CMUnitTest tests[] = {CASES(LISTED)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
