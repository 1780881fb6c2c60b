/* SPDX-License-Identifier: Apache-2.0 */
/* When schedules run: fields and their mistakes, days, and clocks that skip an hour or show it
 * twice. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "timer/calendar.h"
#include "timer/cron.h"

static int64_t moment(const char *text)
{
    int year, month, day, hour, minute;
    assert_int_equal(sscanf(text, "%d-%d-%dT%d:%d", &year, &month, &day, &hour, &minute), 5);
    return ((calendar_days(year, month, day) * 24 + hour) * 60 + minute) * INT64_C(60000);
}

static void expect_moment(int64_t ms, const char *text)
{
    char shown[48];
    int64_t minutes = calendar_floor(ms, 60000);
    struct calendar_date date = calendar_date_of(calendar_floor(minutes, 1440));
    snprintf(shown, sizeof shown, "%04lld-%02d-%02dT%02d:%02d", (long long)date.year, date.month,
             date.day, (int)(minutes % 1440 / 60), (int)(minutes % 60));
    assert_string_equal(shown, text);
    assert_int_equal(ms % 60000, 0);
}

/* The runs after `from` (UTC), one after another. */
static void expect_runs(const char *schedule, const char *zone_name, const char *from,
                        const char *const *runs)
{
    struct cron cron;
    const struct zone *zone;
    struct fh_error error;
    assert_int_equal(cron_parse(schedule, &cron, &error), FH_OK);
    assert_int_equal(zone_find(zone_name, &zone, &error), FH_OK);
    int64_t at = moment(from);
    for (; *runs; runs++) {
        at = cron_next(&cron, zone, at);
        expect_moment(at, *runs);
    }
}
#define RUNS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void fields_have_numbers_lists_ranges_steps_and_names(void **state)
{
    (void)state;
    expect_runs("0 3 * * *", NULL, "2026-01-31T03:00",
                RUNS("2026-02-01T03:00", "2026-02-02T03:00"));
    expect_runs("*/20 8-9 * * mon-fri", "UTC", "2026-11-20T09:30", /* a Friday */
                RUNS("2026-11-20T09:40", "2026-11-23T08:00", "2026-11-23T08:20"));
    expect_runs("5,10-20/5 0 1 Jan,JUL *", NULL, "2026-01-02T00:00",
                RUNS("2026-07-01T00:05", "2026-07-01T00:10", "2026-07-01T00:15", "2026-07-01T00:20",
                     "2027-01-01T00:05"));
    expect_runs("0 0 * * 7", NULL, "2026-11-23T00:00", RUNS("2026-11-29T00:00"));
    expect_runs("0 0 * * sun", NULL, "2026-11-23T00:00", RUNS("2026-11-29T00:00"));
    expect_runs(
        "0 0 * * 5-7", NULL, "2026-11-26T00:00",
        RUNS("2026-11-27T00:00", "2026-11-28T00:00", "2026-11-29T00:00", "2026-12-04T00:00"));
    expect_runs("  59   23\t31 12 * ", NULL, "2026-01-01T00:00", RUNS("2026-12-31T23:59"));
    expect_runs("* * * * *", NULL, "2026-12-31T23:58",
                RUNS("2026-12-31T23:59", "2027-01-01T00:00"));
}

static void days_of_month_and_week_are_either_or_if_both_are_restricted(void **state)
{
    (void)state;
    expect_runs("0 0 13 * fri", NULL, "2026-11-10T00:00",
                RUNS("2026-11-13T00:00", "2026-11-20T00:00"));
    expect_runs("0 0 */2 * fri", NULL, "2026-11-10T00:00",
                RUNS("2026-11-13T00:00", "2026-11-27T00:00"));
}

static void rare_days_are_found(void **state)
{
    (void)state;
    expect_runs("0 12 29 2 *", NULL, "2026-01-01T00:00",
                RUNS("2028-02-29T12:00", "2032-02-29T12:00"));
    expect_runs("0 12 29 2 *", NULL, "2096-03-01T00:00", RUNS("2104-02-29T12:00"));
    expect_runs("0 0 31 * *", NULL, "2026-01-31T00:00", RUNS("2026-03-31T00:00"));
    expect_runs("30 * 29 2 *", NULL, "2026-01-01T00:00", RUNS("2028-02-29T00:30"));
}

/* Clocks in Berlin go from 2:00 to 3:00 on 2026-03-29, at 1:00 UTC. */
static void a_skipped_hour_runs_at_its_end(void **state)
{
    (void)state;
    expect_runs("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00",
                RUNS("2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"));
    expect_runs("0 3 * * *", "Europe/Berlin", "2026-03-28T12:00",
                RUNS("2026-03-29T01:00", "2026-03-30T01:00"));
    expect_runs("0,30 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00", /* one moment, one run */
                RUNS("2026-03-29T01:00", "2026-03-29T01:30", "2026-03-30T00:00"));
    expect_runs("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:00",
                RUNS("2026-03-29T00:30", "2026-03-29T01:00", "2026-03-29T01:30"));
    /* At midnight: from 24:00 to 1:00. */
    expect_runs("0 0 * * *", "Asia/Beirut", "2026-03-28T12:00",
                RUNS("2026-03-28T22:00", "2026-03-29T21:00"));
}

/* They go from 3:00 to 2:00 on 2026-10-25, at 1:00 UTC. */
static void a_doubled_hour_runs_once_at_its_first_time(void **state)
{
    (void)state;
    expect_runs("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00",
                RUNS("2026-10-25T00:30", "2026-10-26T01:30"));
    expect_runs("0 2,3 * * *", "Europe/Berlin", "2026-10-24T12:00",
                RUNS("2026-10-25T00:00", "2026-10-25T02:00", "2026-10-26T01:00"));
    /* Asked in the second of them, it has run. */
    expect_runs("30 2 * * *", "Europe/Berlin", "2026-10-25T01:15", RUNS("2026-10-26T01:30"));
}

static void a_schedule_of_every_hour_goes_on_through_a_doubled_one(void **state)
{
    (void)state;
    expect_runs(
        "30 * * * *", "Europe/Berlin", "2026-10-24T23:00",
        RUNS("2026-10-24T23:30", "2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30"));
}

static void zones_south_of_the_equator_and_far_east_are_right(void **state)
{
    (void)state;
    expect_runs("0 12 * * *", "Australia/Sydney", "2026-12-31T12:00", RUNS("2027-01-01T01:00"));
    expect_runs("0 12 * * *", "Australia/Sydney", "2026-06-30T12:00", RUNS("2026-07-01T02:00"));
    expect_runs("0 12 * * *", "Asia/Kolkata", "2026-06-30T12:00", RUNS("2026-07-01T06:30"));
    expect_runs("0 12 * * *", "Pacific/Kiritimati", "2026-06-30T12:00", RUNS("2026-06-30T22:00"));
    /* Samoa had no 30 December 2011: that day's run comes when the 31st begins. */
    expect_runs("0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00", RUNS("2011-12-30T10:00"));
}

static void mistakes_are_named_with_their_column(void **state)
{
    (void)state;
    static const struct {
        const char *schedule, *why;
    } wrong[] = {
        {"", "column 1 of \"\", the minute: it is missing."},
        {"0 3 * *", "column 8 of \"0 3 * *\", the day of the week: it is missing."},
        {"60 3 * * *",
         "column 1 of \"60 3 * * *\", the minute: expected * or a number from 0 to 59."},
        {"0 24 * * *",
         "column 3 of \"0 24 * * *\", the hour: expected * or a number from 0 to 23."},
        {"0 3 0 * *", "column 5 of"},
        {"0 3 * mai *",
         "column 7 of \"0 3 * mai *\", the month: expected * or a number from 1 to 12, "
         "or a name of three letters."},
        {"0 3 * * 8", "column 9 of"},
        {"0 5-3 * * *", "column 5 of"},
        {"0 3/2 * * *",
         "column 4 of \"0 3/2 * * *\", the hour: a step needs * or a range before it."},
        {"*/0 3 * * *", "column 3 of"},
        {"0, 3 * * *", "column 3 of"},
        {"0x 3 * * *", "column 2 of"},
        {"0 3 * * * *", "column 11 of"},
        {"0 3 * * monday", "column 12 of"},
        {"@daily", "column 1 of"},
        {"-1 3 * * *", "column 1 of"},
        {"0 0 31 2 *", "\"0 0 31 2 *\": that day never comes."},
        {"0 0 30,31 feb *", "\"0 0 30,31 feb *\": that day never comes."},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct cron cron;
        struct fh_error error = {0};
        assert_int_equal(cron_parse(wrong[i].schedule, &cron, &error), FH_INVALID);
        if (strncmp(error.message, wrong[i].why, strlen(wrong[i].why)) != 0)
            fail_msg("%s: %s", wrong[i].schedule, error.message);
    }
}

static void zones_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "Europe/Nowhere", "../../etc/passwd", "/etc/passwd",   "", "Europe/", "Europe Berlin",
        "Europe",         "zone.tab",         "Europe//Berlin"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const struct zone *zone;
        struct fh_error error = {0};
        assert_int_equal(zone_find(wrong[i], &zone, &error), FH_INVALID);
        assert_true(error.message[0]);
    }
}

/* Berlin's own file, cut at every length, and with every byte changed. */
static void a_damaged_file_is_refused_or_read_without_harm(void **state)
{
    (void)state;
    static unsigned char data[1 << 16], broken[1 << 16];
    FILE *file = fopen(ZONE_FOLDER "/Europe/Berlin", "rb");
    assert_non_null(file);
    size_t length = fread(data, 1, sizeof data, file);
    fclose(file);
    struct zone *zone;
    struct fh_error error;
    for (size_t cut = 0; cut < length; cut++) {
        unsigned char *own = malloc(cut + 1); /* of its own, so that a tool sees reads beyond */
        assert_non_null(own);
        memcpy(own, data, cut);
        assert_int_equal(zone_parse(own, cut, &zone, &error), FH_INVALID);
        free(own);
    }
    for (size_t at = 0; at < length; at++) {
        for (int value = 0; value < 256; value += 51) {
            memcpy(broken, data, length);
            broken[at] = (unsigned char)value;
            if (zone_parse(broken, length, &zone, &error) != FH_OK)
                continue;
            zone_utc(zone, zone_offset(zone, 1795441234));
            zone_free(zone);
        }
    }
}

/* Each run is after the one before, whatever the clocks do, and none is between them. */
static void runs_follow_one_another_without_gaps(void **state)
{
    (void)state;
    static const char *const schedules[] = {"*/15 * * * *", "15,45 1-3 * * *", "0 0,2 * * sun"};
    static const char *const zones[] = {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
                                        "America/St_Johns", "Africa/Casablanca"};
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 5; j++) {
            struct cron cron;
            const struct zone *zone;
            struct fh_error error;
            assert_int_equal(cron_parse(schedules[i], &cron, &error), FH_OK);
            assert_int_equal(zone_find(zones[j], &zone, &error), FH_OK);
            int64_t end = moment("2027-01-01T00:00"), at = moment("2026-01-01T00:00");
            while (at < end) {
                int64_t next = cron_next(&cron, zone, at);
                assert_true(next > at);
                assert_int_equal(cron_next(&cron, zone, next - 60000), next);
                assert_int_equal(cron_next(&cron, zone, at + (next - at) / 2 - 1), next);
                at = next;
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_have_numbers_lists_ranges_steps_and_names),
        cmocka_unit_test(days_of_month_and_week_are_either_or_if_both_are_restricted),
        cmocka_unit_test(rare_days_are_found),
        cmocka_unit_test(a_skipped_hour_runs_at_its_end),
        cmocka_unit_test(a_doubled_hour_runs_once_at_its_first_time),
        cmocka_unit_test(a_schedule_of_every_hour_goes_on_through_a_doubled_one),
        cmocka_unit_test(zones_south_of_the_equator_and_far_east_are_right),
        cmocka_unit_test(mistakes_are_named_with_their_column),
        cmocka_unit_test(zones_that_are_none_are_refused),
        cmocka_unit_test(a_damaged_file_is_refused_or_read_without_harm),
        cmocka_unit_test(runs_follow_one_another_without_gaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
