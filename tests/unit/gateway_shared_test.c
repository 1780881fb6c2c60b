/* SPDX-License-Identifier: Apache-2.0 */
/* What gateways tell each other of their clients, with a server of the test's: when it is told
 * what, and what of its answers counts. */

#include "../support/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/identity/known.h"
#include "gateway/shared.h"
#include "world/fiber.h"

#define WINDOW_S 86400 /* what comes back during a test is less than a token */
#define QUOTA 1000

static const unsigned char hash_key[16] = "0123456789abcdef";

/* ---- The tally ---- */

static void a_client_has_another_name_in_each_kind(void **state)
{
    (void)state;
    char address[TALLY_NAME_SIZE], user[TALLY_NAME_SIZE], again[TALLY_NAME_SIZE];
    tally_name("address", "192.0.2.1", address);
    tally_name("user", "192.0.2.1", user);
    tally_name("address", "192.0.2.1", again);
    assert_string_equal(address, again);
    assert_string_not_equal(address, user);
    assert_int_equal(strlen(address), TALLY_NAME_SIZE - 1);
    tally_name("addres", "s192.0.2.1", user);
    assert_string_not_equal(address, user);
}

/* What a gateway that was started with this key makes of somebody who has shown credentials. */
static void know(unsigned char key, const char *issuer, const char *subject, const char *via,
                 const char *credentials, struct known_user *ret)
{
    struct known_users known;
    unsigned char keys[32];
    char name[KNOWN_NAME_SIZE];
    memset(keys, key, sizeof keys);
    known_init(&known, keys);
    struct known_user *user = known_user_new(
        json_pack("{s:s*, s:s, s:s}", "iss", issuer, "sub", subject, "via", via), "", 0, 1, NULL);
    known_name(&known, credentials, name);
    known_put(&known, name, credentials, user);
    *ret = *user;
    known_user_unref(user);
    known_release(&known);
}

static void users_and_keys_have_one_name_at_all_gateways(void **state)
{
    (void)state;
    struct known_user here, there;
    know(1, "https://id.example", "ada", "jwt", "a.b.c", &here);
    know(2, "https://id.example", "ada", "introspection", "another", &there);
    assert_string_not_equal(here.client, there.client); /* nobody else can find these */
    assert_string_equal(here.everywhere, there.everywhere);
    know(2, "https://id.example", "eve", "jwt", "a.b.c", &there);
    assert_string_not_equal(here.everywhere, there.everywhere);
    know(2, NULL, "ada", "jwt", "a.b.c", &there);
    assert_string_not_equal(here.everywhere, there.everywhere);
    /* Each key for itself, whoever has it. */
    know(1, NULL, "ada", "key", "fhk_one", &here);
    know(2, NULL, "ada", "key", "fhk_one", &there);
    assert_string_equal(here.everywhere, there.everywhere);
    know(2, NULL, "ada", "key", "fhk_two", &there);
    assert_string_not_equal(here.everywhere, there.everywhere);
}

static void a_tally_adds_up_and_is_bounded(void **state)
{
    (void)state;
    struct tally *tally = calloc(1, sizeof *tally);
    char name[TALLY_NAME_SIZE];
    assert_non_null(tally);
    tally_init(tally);
    for (int i = 0; i < TALLY_CLIENTS_MAX; i++) {
        snprintf(name, sizeof name, "%d", i / 2);
        assert_true(tally_add(tally, i % 2, "client", name, i + 1));
    }
    assert_false(tally_add(tally, 0, "client", "another", 1));
    assert_true(tally_add(tally, 1, "client", "0", 40));
    assert_int_equal(tally_units(tally, 0, "0"), 1);
    assert_int_equal(tally_units(tally, 1, "0"), 42);
    assert_int_equal(tally_units(tally, 0, "another"), 0);
    assert_int_equal(tally->count, TALLY_CLIENTS_MAX);
    assert_int_equal(tally->takes, TALLY_CLIENTS_MAX + 1);
    tally_clear(tally);
    assert_int_equal(tally_units(tally, 1, "0"), 0);
    assert_true(tally_add(tally, 0, "client", "another", 1));
    tally_release(tally);
    free(tally);
}

/* ---- A server ---- */

struct counters {
    enum fh_code connects, answers; /* what the next calls return */
    int64_t debt;                   /* of every bucket, in tokens */
    bool holds;                     /* the answer back */
    int attempts, calls, answered;
    struct fiber_queue held;
    struct counter_take last;
    size_t count; /* of the last call */
    bool closed;
};

static enum fh_code connect_counters(struct counters *counters, struct fh_error *error)
{
    counters->attempts++;
    return counters->connects ? error_set(error, counters->connects, "Nobody is there.") : FH_OK;
}

static enum fh_code take_counters(struct counters *counters, struct counter_take *takes,
                                  size_t count, struct fh_error *error)
{
    counters->calls++;
    counters->count = count;
    counters->last = takes[0];
    if (counters->holds)
        fiber_wait(&counters->held);
    for (size_t i = 0; i < count; i++)
        takes[i].debt = counters->debt * takes[i].window_us;
    counters->answered++;
    return counters->answers ? error_set(error, counters->answers, "It was lost.") : FH_OK;
}

static void close_counters(struct counters *counters)
{
    counters->closed = true;
}

static const struct counters_ops test_counters = {
    .connect = connect_counters, .take = take_counters, .close = close_counters};

struct setting {
    struct harness harness;
    struct bucket_table table;
    struct shared_kind kinds[1];
    struct counters counters;
    struct shared *shared;
};

static void setting_init(struct setting *setting)
{
    *setting = (struct setting){0};
    harness_init(&setting->harness);
    bucket_init(&setting->table, QUOTA, WINDOW_S, 64, hash_key);
    setting->kinds[0] = (struct shared_kind){"address", &setting->table};
    setting->shared =
        shared_new(setting->harness.world, &test_counters, &setting->counters, setting->kinds);
}

static void setting_release(struct setting *setting)
{
    shared_free(setting->shared);
    assert_true(setting->counters.closed);
    bucket_release(&setting->table);
    harness_release(&setting->harness);
}

static int64_t now_us(struct setting *setting)
{
    return world_monotonic_ns(setting->harness.world) / 1000;
}

static void take_tokens(struct setting *setting, const char *client, int count)
{
    char name[TALLY_NAME_SIZE];
    struct bucket_standing standing;
    tally_name("address", client, name);
    for (int i = 0; i < count; i++) {
        assert_true(bucket_take(&setting->table, client, 1, now_us(setting), &standing));
        shared_take(setting->shared, 0, client, name, setting->table.window_us);
    }
}

static int64_t remaining(struct setting *setting, const char *client)
{
    struct bucket_standing standing;
    bucket_take(&setting->table, client, 0, now_us(setting), &standing);
    return standing.remaining;
}

static bool is_answered(void *argument)
{
    const struct counters *counters = argument;
    return counters->answered == counters->calls && counters->calls > 0;
}

static bool is_held(void *argument)
{
    return ((struct counters *)argument)->held.first != NULL;
}

static bool is_away(void *argument)
{
    return !shared_stands(((struct setting *)argument)->shared);
}

static bool may_be_tried_again(void *argument)
{
    struct setting *setting = argument;
    char name[TALLY_NAME_SIZE] = "probe";
    shared_take(setting->shared, 0, "probe", name, 1);
    return shared_stands(setting->shared);
}

static void takes_are_told_in_one_batch_and_what_is_worse_counts(void **state)
{
    (void)state;
    struct setting setting;
    setting_init(&setting);
    setting.counters.debt = 60;
    take_tokens(&setting, "a", 3);
    take_tokens(&setting, "b", 2);
    assert_int_equal(setting.counters.attempts, 0); /* nobody waits for it */
    harness_until(&setting.harness, is_answered, &setting.counters);
    assert_int_equal(setting.counters.calls, 1);
    assert_int_equal(setting.counters.count, 2);
    assert_int_equal(setting.counters.last.units, 3 * setting.table.window_us);
    assert_int_equal(setting.counters.last.quota, QUOTA);
    assert_memory_equal(setting.counters.last.name, "address:1000:86400:", 19);
    assert_null(strstr(setting.counters.last.name, ":a"));
    assert_in_range(remaining(&setting, "a"), QUOTA - 60, QUOTA - 59);
    assert_in_range(remaining(&setting, "b"), QUOTA - 60, QUOTA - 59);
    assert_in_range(remaining(&setting, "c"), QUOTA, QUOTA);
    setting_release(&setting);
}

static void what_is_better_than_the_own_bucket_is_not_taken_over(void **state)
{
    (void)state;
    struct setting setting;
    setting_init(&setting);
    setting.counters.debt = 0;
    take_tokens(&setting, "a", 40);
    harness_until(&setting.harness, is_answered, &setting.counters);
    assert_in_range(remaining(&setting, "a"), QUOTA - 40, QUOTA - 39);
    setting_release(&setting);
}

static void what_is_taken_while_a_batch_is_away_is_added_and_told_next(void **state)
{
    (void)state;
    struct setting setting;
    setting_init(&setting);
    setting.counters.debt = 100;
    setting.counters.holds = true;
    take_tokens(&setting, "a", 5);
    harness_until(&setting.harness, is_held, &setting.counters);
    take_tokens(&setting, "a", 7);
    assert_int_equal(setting.counters.calls, 1);
    setting.counters.holds = false;
    fiber_wake_all(&setting.counters.held);
    fibers_run(setting.harness.world->fibers);
    assert_int_equal(setting.counters.answered, 1);
    assert_in_range(remaining(&setting, "a"), QUOTA - 107, QUOTA - 106);
    harness_until(&setting.harness, is_answered, &setting.counters);
    while (setting.counters.calls < 2)
        uv_run(&setting.harness.loop, UV_RUN_ONCE);
    assert_int_equal(setting.counters.last.units, 7 * setting.table.window_us);
    setting_release(&setting);
}

static void the_largest_debt_and_what_was_taken_since_are_bounded(void **state)
{
    (void)state;
    struct setting setting;
    setting_init(&setting);
    setting.counters.debt = 2 * QUOTA;
    setting.counters.holds = true;
    take_tokens(&setting, "a", 1);
    harness_until(&setting.harness, is_held, &setting.counters);
    take_tokens(&setting, "a", 9);
    setting.counters.holds = false;
    fiber_wake_all(&setting.counters.held);
    fibers_run(setting.harness.world->fibers);
    assert_int_equal(remaining(&setting, "a"), 0);
    setting_release(&setting);
}

static void a_server_that_is_away_is_told_nothing_of_that_time(void **state)
{
    (void)state;
    struct setting setting;
    setting_init(&setting);
    setting.counters.connects = FH_UNAVAILABLE;
    setting.counters.debt = 500;
    take_tokens(&setting, "a", 20);
    harness_until(&setting.harness, is_away, &setting);
    take_tokens(&setting, "a", 20);
    assert_int_equal(setting.counters.calls, 0);
    assert_in_range(remaining(&setting, "a"), QUOTA - 40, QUOTA - 39); /* by itself */
    setting.counters.connects = FH_OK;
    harness_until(&setting.harness, may_be_tried_again, &setting);
    assert_int_equal(setting.counters.calls, 1);
    assert_int_equal(setting.counters.count, 1); /* the probe: nothing of "a" */
    assert_in_range(remaining(&setting, "a"), QUOTA - 40, QUOTA - 39);
    setting_release(&setting);
}

static void a_batch_whose_answer_was_lost_is_not_told_again(void **state)
{
    (void)state;
    struct setting setting;
    setting_init(&setting);
    setting.counters.answers = FH_OUTCOME_UNKNOWN;
    setting.counters.debt = 700; /* what a failed call has filled in is nothing */
    take_tokens(&setting, "a", 4);
    harness_until(&setting.harness, is_away, &setting);
    assert_in_range(remaining(&setting, "a"), QUOTA - 4, QUOTA - 3);
    setting.counters.answers = FH_OK;
    setting.counters.debt = 0;
    harness_until(&setting.harness, may_be_tried_again, &setting);
    assert_int_equal(setting.counters.calls, 2);
    assert_int_equal(setting.counters.count, 1);
    assert_true(setting.counters.last.units < setting.table.window_us);
    setting_release(&setting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_has_another_name_in_each_kind),
        cmocka_unit_test(users_and_keys_have_one_name_at_all_gateways),
        cmocka_unit_test(a_tally_adds_up_and_is_bounded),
        cmocka_unit_test(takes_are_told_in_one_batch_and_what_is_worse_counts),
        cmocka_unit_test(what_is_better_than_the_own_bucket_is_not_taken_over),
        cmocka_unit_test(what_is_taken_while_a_batch_is_away_is_added_and_told_next),
        cmocka_unit_test(the_largest_debt_and_what_was_taken_since_are_bounded),
        cmocka_unit_test(a_server_that_is_away_is_told_nothing_of_that_time),
        cmocka_unit_test(a_batch_whose_answer_was_lost_is_not_told_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
