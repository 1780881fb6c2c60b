/* SPDX-License-Identifier: Apache-2.0 */
/* A service that measures, and two carriers that know nothing of each other, on InfluxDB: what it
 * answers in the end is what the service's own store does, also where the server was killed, or has
 * lost all of it. */

#include "../support/carrying.h"
#include "influxdb_bed.h"

#include "carrier/influxdb/internal.h"

#define ROUNDS 25
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

static void two_carriers_at_a_time_carry_what_was_measured(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        struct carrying_turn turns[2] = {{.carrier = 0}, {.carrier = 1}};
        void *arguments[] = {&turns[0], &turns[1]};
        measure_round(i);
        harness_run_all(&carrying.fixture->harness, carrying_turn_entry, arguments, 2);
        for (int j = 0; j < 2; j++) {
            if (turns[j].code != FH_OK)
                fail_msg("%s", turns[j].error.message);
        }
        if (i % 8 == 0)
            begin_carrier(i / 8 % 2); /* it walks */
    }
    carrying_settle(0);
    carrying_settle(1);
    assert_all_is_found();
    assert_int_equal(carrying.carriers[0].counters.lost + carrying.carriers[1].counters.lost, 0);
}

static void what_was_wiped_is_noticed_and_made_anew(void **state)
{
    (void)state;
    measure_round(0);
    carrying_settle(0);
    assert_all_is_found();
    harness_run(&carrying.fixture->harness, wipe_entry, NULL);
    begin_carrier(0); /* it walks, and finds no link */
    carrying_settle(0);
    assert_all_is_found();
    assert_int_equal(carrying.carriers[0].counters.lost, 1);
    harness_run(&carrying.fixture->harness, wipe_entry, NULL);
    measure_round(1); /* this page finds no generation */
    carrying_settle(0);
    assert_all_is_found();
    assert_int_equal(carrying.carriers[0].counters.lost, 2);
}

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
    CASE(two_carriers_at_a_time_carry_what_was_measured)                                           \
    CASE(what_was_wiped_is_noticed_and_made_anew)                                                  \
    CASE(what_lacks_a_day_is_noticed_and_made_anew)

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
