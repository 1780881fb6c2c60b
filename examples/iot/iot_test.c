/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the things that measure, on virtual time: freehold test examples/iot/freehold.yaml */

#include <freehold/test.h>
#include <stdio.h>

#define BEGIN_MS INT64_C(1767225600000) /* when virtual time begins */
#define DEVICE FH_ROLE("device")
#define STAFF FH_ROLE("staff")

static json_t *point(fh_test *t, int second, double value)
{
    return fh_object(t, "at_ms", BEGIN_MS + second * INT64_C(1000), "kind", "heat", "value", value);
}

static json_t *batch(fh_test *t, json_t *points)
{
    return fh_object(t, "points", points);
}

/* ---- devices ---- */

/* Its points from before would count again under the new site. */
FH_TEST_OF(devices, a_device_is_renamed_and_switched_but_not_moved)
{
    fh_test_login(t, "clerk", STAFF, NULL);
    fh_test_request(t, 201, "devices", "POST /api/devices",
                    fh_object(t, "id", "d1", "name", "Boiler", "site", "north"));
    fh_test_request(t, 422, "devices", "PATCH /api/devices/d1", fh_object(t, "site", "south"));
    fh_test_expect_json(
        t,
        fh_test_request(t, 200, "devices", "PATCH /api/devices/d1",
                        fh_object(t, "name", "Old boiler", "active", false)),
        fh_object(t, "id", "d1", "name", "Old boiler", "site", "north", "active", false));
}

/* ---- telemetry ---- */

static void hear_of_device(fh_test *t, bool active)
{
    fh_test_publish(t, "devices", "DeviceChanged",
                    fh_object(t, "id", "d1", "name", "Boiler", "site", "north", "active", active));
    fh_test_rest(t);
}

static json_t *curve(fh_test *t, int every_s)
{
    char request[160];
    snprintf(request, sizeof request,
             "GET /api/devices/d1/curves?from_ms=%lld&to_ms=%lld&every_ms=%d", (long long)BEGIN_MS,
             (long long)BEGIN_MS + 10000, every_s * 1000);
    json_t *answer = fh_test_request(t, 200, "telemetry", request, NULL);
    return json_object_get(json_array_get(json_object_get(answer, "curves"), 0), "points");
}

FH_TEST_OF(telemetry, a_point_counts_once_however_often_it_comes)
{
    hear_of_device(t, true);
    fh_test_login(t, "d1", DEVICE, NULL);
    fh_test_crash_soon(t, "telemetry");
    fh_test_request(t, 201, "telemetry", "POST /api/points",
                    batch(t, fh_array(t, point(t, 1, 20.0), point(t, 2, 22.0))));
    fh_test_request(t, 201, "telemetry", "POST /api/points",
                    batch(t, fh_array(t, point(t, 2, 24.0), point(t, 0, 16.0))));
    /* mean, min, max, p95, count of the first ten seconds */
    fh_test_expect_json(t, curve(t, 10),
                        fh_array(t, fh_array(t, BEGIN_MS, 20.0, 16.0, 24.0, 24.0, 3)));
    fh_test_expect_events(t, "telemetry", "PointsTaken", 2);
}

FH_TEST_OF(telemetry, nobody_is_believed_but_a_device_that_is_switched_on)
{
    fh_test_login(t, "d1", DEVICE, NULL);
    json_t *points = fh_array(t, point(t, 1, 20.0));
    fh_test_request(t, 409, "telemetry", "POST /api/points", batch(t, json_incref(points)));
    hear_of_device(t, false);
    fh_test_request(t, 403, "telemetry", "POST /api/points", batch(t, json_incref(points)));
    hear_of_device(t, true);
    fh_test_login(t, "d1", STAFF, NULL);
    fh_test_request(t, 403, "telemetry", "POST /api/points", batch(t, json_incref(points)));
    fh_test_login(t, "d1", DEVICE, NULL);
    fh_test_request(t, 201, "telemetry", "POST /api/points", batch(t, points));
}

/* ---- alerts ---- */

static void measure(fh_test *t, int second, double value)
{
    fh_test_publish(t, "telemetry", "PointsTaken",
                    fh_object(t, "device", "d1", "site", "north", "latest",
                              fh_array(t, point(t, second, value))));
}

static json_t *make_rule(fh_test *t, json_t *body)
{
    return fh_test_request(t, 201, "alerts", "POST /api/rules", body);
}

static void expect_raised(fh_test *t, size_t count)
{
    fh_test_rest(t);
    fh_test_login(t, "clerk", STAFF, NULL);
    fh_test_expect_count(t, fh_test_request(t, 200, "alerts", "GET /api/alerts", NULL), count);
}

FH_TEST_OF(alerts, a_value_that_trembles_about_the_limit_raises_one_alert)
{
    make_rule(t, fh_object(t, "name", "hot", "kind", "heat", "above", 80.0, "clear_below", 60.0));
    fh_test_crash_soon(t, "alerts");
    for (int i = 0; i < 10; i++)
        measure(t, i, i % 2 ? 79.0 : 81.0);
    expect_raised(t, 1);
    measure(t, 5, 10.0); /* late */
    expect_raised(t, 1);
    measure(t, 20, 59.0);
    expect_raised(t, 0);
    fh_test_expect_events(t, "alerts", "AlertRaised", 1);
    fh_test_expect_events(t, "alerts", "AlertCleared", 1);
}

FH_TEST_OF(alerts, a_rule_may_wait_for_how_long_it_lasts)
{
    make_rule(t, fh_object(t, "name", "hot", "kind", "heat", "above", 80.0, "for_s", 10));
    measure(t, 0, 90.0);
    measure(t, 9, 90.0);
    measure(t, 10, 70.0); /* it begins anew */
    measure(t, 11, 90.0);
    measure(t, 20, 90.0);
    expect_raised(t, 0);
    measure(t, 21, 90.0);
    expect_raised(t, 1);
}

FH_TEST_OF(alerts, who_sends_nothing_is_missed_and_found_again)
{
    make_rule(t, fh_object(t, "name", "gone", "absent_s", 60, "site", "north"));
    make_rule(t, fh_object(t, "name", "elsewhere", "absent_s", 60, "site", "south"));
    measure(t, 0, 20.0);
    fh_test_skip_time(t, 50);
    measure(t, 50, 20.0);
    fh_test_skip_time(t, 50);
    expect_raised(t, 0);
    fh_test_crash_soon(t, "alerts");
    fh_test_skip_time(t, 120);
    expect_raised(t, 1);
    measure(t, 200, 20.0);
    expect_raised(t, 0);
    fh_test_expect_events(t, "alerts", "AlertCleared", 1);
}

FH_TEST_OF(alerts, a_rule_that_is_silent_raises_all_the_same)
{
    json_t *rule = make_rule(t, fh_object(t, "name", "hot", "kind", "heat", "above", 80.0));
    char request[128];
    snprintf(request, sizeof request, "PUT /api/rules/%s/silence",
             json_string_value(json_object_get(rule, "id")));
    fh_test_login(t, "clerk", STAFF, NULL);
    fh_test_request(t, 200, "alerts", request, fh_object(t, "for_s", 3600));
    measure(t, 0, 90.0);
    fh_test_expect_event(t, "alerts", "AlertRaised", fh_object(t, "silent", true));
    measure(t, 1, 10.0);
    fh_test_rest(t);
    fh_test_skip_time(t, 4000);
    measure(t, 2, 90.0);
    fh_test_expect_event(t, "alerts", "AlertRaised", fh_object(t, "silent", false));
}

FH_TEST_OF(alerts, what_no_rule_watches_is_not_remembered)
{
    make_rule(t, fh_object(t, "name", "bright", "kind", "light", "above", 80.0));
    measure(t, 0, 90.0);
    expect_raised(t, 0);
    fh_test_expect_json(
        t, fh_test_rows(t, "alerts", "SELECT body->>'$.latest_ms' AS latest FROM doc_watched"),
        fh_array(t, fh_object(t, "latest", "{}")));
}

FH_TEST_OF(alerts, of_a_rule_that_is_gone_nothing_is_left)
{
    json_t *rule = make_rule(t, fh_object(t, "name", "hot", "kind", "heat", "above", 80.0));
    char request[128];
    measure(t, 0, 90.0);
    expect_raised(t, 1);
    snprintf(request, sizeof request, "DELETE /api/rules/%s",
             json_string_value(json_object_get(rule, "id")));
    fh_test_request(t, 204, "alerts", request, NULL);
    expect_raised(t, 0);
    measure(t, 1, 10.0);
    fh_test_expect_events(t, "alerts", "AlertCleared", 0);
}

FH_TEST_OF(alerts, a_rule_that_means_nothing_is_refused)
{
    fh_test_request(t, 422, "alerts", "POST /api/rules", fh_object(t, "name", "nothing"));
    fh_test_request(t, 422, "alerts", "POST /api/rules",
                    fh_object(t, "name", "both", "kind", "heat", "above", 1.0, "absent_s", 60));
    fh_test_request(t, 422, "alerts", "POST /api/rules",
                    fh_object(t, "name", "no limit", "kind", "heat"));
    fh_test_request(
        t, 422, "alerts", "POST /api/rules",
        fh_object(t, "name", "upside down", "kind", "heat", "above", 1.0, "clear_below", 2.0));
    fh_test_request(t, 422, "alerts", "POST /api/rules",
                    fh_object(t, "name", "of nothing", "kind", "Heat", "above", 1.0));
    fh_test_request(t, 422, "alerts", "POST /api/rules",
                    fh_object(t, "name", "of nobody", "kind", "heat", "above", 1.0, "device", ""));
    fh_test_request(t, 422, "alerts", "POST /api/rules",
                    fh_object(t, "name", "of both", "absent_s", 60, "above", 1.0));
    fh_test_request(t, 422, "alerts", "POST /api/rules",
                    fh_object(t, "name", "nowhere", "absent_s", 60, "url", "ftp://example.org/x"));
}

/* ---- all of it ---- */

FH_TEST(what_a_device_measures_raises_an_alert_whatever_fails)
{
    fh_test_login(t, "clerk", STAFF, NULL);
    make_rule(t, fh_object(t, "name", "hot", "kind", "heat", "above", 80.0));
    fh_test_request(t, 201, "devices", "POST /api/devices",
                    fh_object(t, "id", "d1", "name", "Boiler", "site", "north"));
    fh_test_rest(t);
    fh_test_login(t, "d1", DEVICE, NULL);
    fh_test_faults_begin(t);
    fh_test_request(t, 201, "telemetry", "POST /api/points",
                    batch(t, fh_array(t, point(t, 1, 20.0), point(t, 2, 90.0))));
    fh_test_skip_time(t, 5);
    fh_test_faults_end(t);
    fh_test_expect_event(t, "alerts", "AlertRaised", fh_object(t, "device", "d1", "value", 90.0));
    expect_raised(t, 1);
}
