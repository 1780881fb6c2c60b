/* SPDX-License-Identifier: Apache-2.0 */
/* Timers and schedules as their users test them: by letting time pass. */

#include <freehold/test.h>

static void hang_bell(fh_test *t, const char *name, json_int_t in_ms)
{
    fh_test_request(t, 201, "bells", "POST /bells",
                    json_pack("{s:s, s:I}", "name", name, "in_ms", in_ms));
}

static void expect_count(fh_test *t, const char *sql, json_int_t least, json_int_t most)
{
    json_t *rows = fh_test_rows(t, "bells", sql);
    json_int_t count = json_integer_value(json_object_get(json_array_get(rows, 0), "n"));
    fh_test_expect(t, count >= least && count <= most,
                   "%s is %" JSON_INTEGER_FORMAT ", not from %" JSON_INTEGER_FORMAT
                   " to %" JSON_INTEGER_FORMAT,
                   sql, count, least, most);
}

FH_TEST(a_timer_fires_at_its_time_and_not_before)
{
    hang_bell(t, "noon", 86400000);
    fh_test_skip_time(t, 86300);
    expect_count(t, "SELECT count(*) AS n FROM ring", 0, 0);
    fh_test_skip_time(t, 200);
    expect_count(
        t, "SELECT count(*) AS n FROM ring WHERE at_ms >= due_ms AND at_ms < due_ms + 2000", 1, 1);
    expect_count(t, "SELECT count(*) AS n FROM fh_timer WHERE kind = 'at'", 0, 0);
    fh_test_expect_events(t, "bells", "BellRung", 1);
}

FH_TEST(an_earlier_timer_wakes_what_sleeps_until_a_later_one)
{
    hang_bell(t, "late", 3600000);
    hang_bell(t, "soon", 2000);
    fh_test_skip_time(t, 10);
    expect_count(t, "SELECT count(*) AS n FROM ring WHERE name = 'soon'", 1, 1);
    expect_count(t, "SELECT count(*) AS n FROM ring", 1, 1);
}

FH_TEST(a_timer_of_the_past_fires_at_once)
{
    hang_bell(t, "yesterday", -86400000);
    fh_test_skip_time(t, 5);
    expect_count(t, "SELECT count(*) AS n FROM ring", 1, 1);
}

FH_TEST(a_cancelled_timer_does_not_fire)
{
    hang_bell(t, "noon", 60000);
    json_t *first =
        fh_test_request(t, 200, "bells", "POST /cancels", json_pack("{s:s}", "name", "noon"));
    fh_test_expect_json(t, first, json_pack("{s:b}", "pending", 1));
    json_t *second =
        fh_test_request(t, 200, "bells", "POST /cancels", json_pack("{s:s}", "name", "noon"));
    fh_test_expect_json(t, second, json_pack("{s:b}", "pending", 0));
    fh_test_skip_time(t, 120);
    expect_count(t, "SELECT count(*) AS n FROM ring", 0, 0);
}

FH_TEST(what_is_rolled_back_has_set_nothing)
{
    fh_test_request(t, 409, "bells", "POST /bells",
                    json_pack("{s:s, s:i}", "name", "!", "in_ms", 1000));
    fh_test_skip_time(t, 10);
    expect_count(t, "SELECT count(*) AS n FROM ring", 0, 0);
    expect_count(t, "SELECT count(*) AS n FROM fh_timer WHERE kind = 'at'", 0, 0);
}

FH_TEST(a_timer_that_has_fired_is_not_pending)
{
    hang_bell(t, "noon", 1000);
    fh_test_skip_time(t, 10);
    json_t *answer =
        fh_test_request(t, 200, "bells", "POST /cancels", json_pack("{s:s}", "name", "noon"));
    fh_test_expect_json(t, answer, json_pack("{s:b}", "pending", 0));
}

FH_TEST(handlers_set_further_timers)
{
    fh_test_request(t, 201, "bells", "POST /bells",
                    json_pack("{s:s, s:i, s:i}", "name", "a", "in_ms", 1000, "again", 3));
    fh_test_skip_time(t, 300);
    expect_count(t, "SELECT count(*) AS n FROM ring", 4, 4);
}

FH_TEST(timers_fire_once_though_the_power_fails)
{
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "b%d", i);
        hang_bell(t, name, 20000 + i * 100);
    }
    fh_test_crash(t, "bells");
    fh_test_skip_time(t, 18);
    fh_test_crash_soon(t, "bells");
    fh_test_skip_time(t, 30);
    expect_count(t, "SELECT count(*) AS n FROM ring", 20, 20);
    expect_count(t, "SELECT count(DISTINCT name) AS n FROM ring", 20, 20);
}

FH_TEST(a_failing_timer_is_parked_and_those_beside_it_fire)
{
    fh_test_expect_faults(t, "bells");
    fh_test_request(t, 204, "bells", "POST /curses", json_pack("{s:s}", "name", "b1"));
    for (int i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "b%d", i);
        hang_bell(t, name, 5000);
    }
    fh_test_skip_time(t, 60);
    expect_count(t, "SELECT count(*) AS n FROM ring", 2, 2);
    expect_count(t, "SELECT count(*) AS n FROM fh_timer WHERE kind = 'parked' AND attempts = 5", 1,
                 1);
    json_t *listed = fh_test_request(t, 200, "bells", "GET /_freehold/timers?state=parked", NULL);
    json_t *parked = json_array_get(json_object_get(listed, "timers"), 0);
    fh_test_expect_json(t, parked,
                        json_pack("{s:s, s:s, s:s}", "handler", "ring", "state", "parked", "error",
                                  "The bell is cursed."));
    fh_test_request(t, 204, "bells", "POST /blessings", json_pack("{s:s}", "name", "b1"));
    fh_test_request(t, 200, "bells", "POST /_freehold/timers/retry",
                    json_pack("{s:O}", "id", json_object_get(parked, "id")));
    fh_test_skip_time(t, 5);
    expect_count(t, "SELECT count(*) AS n FROM ring", 3, 3);
    expect_count(t, "SELECT count(*) AS n FROM fh_timer WHERE kind <> 'every'", 0, 0);
}

/* What a service that is away can't answer is no fault of a timer's, and none of its neighbours'.
 */
FH_TEST(a_timer_that_waits_for_an_outage_to_end_holds_up_no_other)
{
    for (int i = 0; i < 300; i++) {
        char name[8];
        snprintf(name, sizeof name, "%s%d", i < 20 ? "~" : "b", i);
        if (i < 20)
            fh_test_request(t, 204, "bells", "POST /curses", json_pack("{s:s}", "name", name));
        hang_bell(t, name, 5000 + i);
    }
    fh_test_skip_time(t, 20);
    expect_count(t, "SELECT count(*) AS n FROM ring", 280, 280);
    fh_test_skip_time(t, 600);
    expect_count(t, "SELECT count(*) AS n FROM fh_timer WHERE kind = 'parked'", 0, 0);
    expect_count(t, "SELECT count(*) AS n FROM fh_timer WHERE kind = 'at'", 20, 20);
    for (int i = 0; i < 20; i++) {
        char name[8];
        snprintf(name, sizeof name, "~%d", i);
        fh_test_request(t, 204, "bells", "POST /blessings", json_pack("{s:s}", "name", name));
    }
    fh_test_skip_time(t, 20);
    expect_count(t, "SELECT count(*) AS n FROM ring", 300, 300);
    expect_count(t, "SELECT count(*) AS n FROM fh_timer WHERE kind = 'at'", 0, 0);
}

FH_TEST(a_schedule_that_waits_for_an_outage_to_end_holds_up_no_other)
{
    fh_test_request(t, 204, "bells", "POST /curses", json_pack("{s:s}", "name", "nightly"));
    fh_test_skip_time(t, 2 * 86400);
    expect_count(t, "SELECT count(*) AS n FROM tick WHERE schedule = 'often'", 143, 145);
    fh_test_request(t, 204, "bells", "POST /blessings", json_pack("{s:s}", "name", "nightly"));
    fh_test_skip_time(t, 20);
    expect_count(t, "SELECT count(*) AS n FROM tick WHERE schedule = 'nightly'", 1, 1);
}

FH_TEST(a_parked_timer_is_dropped_by_an_operator_or_cancelled)
{
    fh_test_expect_faults(t, "bells");
    fh_test_request(t, 204, "bells", "POST /curses", json_pack("{s:s}", "name", "x"));
    fh_test_request(t, 204, "bells", "POST /curses", json_pack("{s:s}", "name", "y"));
    hang_bell(t, "x", 0);
    hang_bell(t, "y", 0);
    fh_test_skip_time(t, 60);
    json_t *answer =
        fh_test_request(t, 200, "bells", "POST /cancels", json_pack("{s:s}", "name", "x"));
    fh_test_expect_json(t, answer, json_pack("{s:b}", "pending", 1));
    json_t *listed = fh_test_request(t, 200, "bells", "GET /_freehold/timers?state=parked", NULL);
    json_t *timers = json_object_get(listed, "timers");
    fh_test_expect(t, json_array_size(timers) == 1, "%zu are parked", json_array_size(timers));
    json_t *id = json_object_get(json_array_get(timers, 0), "id");
    fh_test_request(t, 200, "bells", "POST /_freehold/timers/drop", json_pack("{s:O}", "id", id));
    fh_test_request(t, 404, "bells", "POST /_freehold/timers/drop", json_pack("{s:O}", "id", id));
    expect_count(t, "SELECT count(*) AS n FROM fh_timer WHERE kind <> 'every'", 0, 0);
}

FH_TEST(an_undeclared_timer_is_refused)
{
    fh_test_request(t, 500, "bells", "POST /unknown", NULL);
}

static json_t *nested(int depth)
{
    json_t *value = json_string("it");
    while (depth--)
        value = json_pack("[o]", value);
    return json_pack("{s:o}", "what", value);
}

/* A body may be nested as deeply as anything may be that is read: with one level more, its timer
 * could not be. */
FH_TEST(data_that_could_not_be_read_again_are_refused_and_none_are_lost)
{
    fh_test_request(t, 204, "bells", "POST /parcels", nested(62));
    fh_test_request(t, 500, "bells", "POST /parcels", nested(63));
    fh_test_skip_time(t, 10);
    expect_count(t, "SELECT count(*) AS n FROM ring", 1, 1);
    expect_count(t, "SELECT count(*) AS n FROM fh_timer WHERE kind <> 'every'", 0, 0);
}

FH_TEST(schedules_run_at_their_times)
{
    fh_test_skip_time(t, 2 * 86400);
    expect_count(t, "SELECT count(*) AS n FROM tick WHERE schedule = 'nightly'", 2, 2);
    expect_count(t, "SELECT count(*) AS n FROM tick WHERE schedule = 'often'", 143, 145);
    expect_count(t, "SELECT count(*) AS n FROM tick WHERE at_ms < due_ms OR at_ms > due_ms + 2000",
                 0, 0);
    expect_count(t, "SELECT count(*) AS n FROM tick WHERE due_ms % 1200000 <> 0", 0, 0);
}

FH_TEST(missed_runs_are_run_once)
{
    fh_test_skip_time(t, 3000);
    fh_test_pause(t, "bells", 4 * 3600);
    fh_test_skip_time(t, 4 * 3600 + 100);
    expect_count(t, "SELECT count(*) AS n FROM tick WHERE at_ms > due_ms + 3600000", 2, 2);
    expect_count(
        t, "SELECT max(n) AS n FROM (SELECT count(*) AS n FROM tick GROUP BY schedule, due_ms)", 1,
        1);
}
