/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of schedules when a program starts: what stays, what is calculated anew, and what is
 * never moved back. And ids of timers as clients may send them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../support/json.h"
#include "timer/calendar.h"
#include "timer/manager.h"

#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)

static void handler(fh_work *w)
{
    (void)w;
}

static struct schedule schedule_of(const char *cron)
{
    static struct schedule schedules[SCHEDULES_MAX];
    static fh_service service = {.name = "s"};
    struct fh_error error;
    int count;
    service.every[0] = (struct fh_every){"nightly", handler, cron, "Europe/Berlin"};
    assert_int_equal(schedules_read(&service, schedules, &count, &error), FH_OK);
    assert_int_equal(count, 1);
    return schedules[0];
}

/* Midnight in Berlin in winter. */
static int64_t midnight(int day)
{
    return calendar_days(2026, 1, day) * DAY_MS - HOUR_MS;
}

static struct ledger_timer kept_row(const struct ledger_timer *row, char data[static 320])
{
    struct ledger_timer kept = *row;
    snprintf(data, 320, "%s", row->data);
    kept.data = data;
    return kept;
}

/* The row after the run of 3:00 on the 10th. */
static struct ledger_timer row_after_the_10th(struct schedule *schedule, char data[static 320])
{
    int64_t missed, due_ms = midnight(10) + 3 * HOUR_MS;
    struct ledger_timer row = schedule_next(schedule, due_ms, due_ms + 20, &missed);
    assert_int_equal(missed, 0);
    assert_int_equal(row.due_ms, midnight(11) + 3 * HOUR_MS);
    return kept_row(&row, data);
}

static void of_runs_that_were_missed_one_is_done_and_the_others_are_counted(void **state)
{
    (void)state;
    int64_t missed, due_ms = midnight(10) + 3 * HOUR_MS;
    struct schedule schedule = schedule_of("0 3 * * *");
    struct ledger_timer next = schedule_next(&schedule, due_ms, midnight(14), &missed);
    assert_int_equal(missed, 3);
    assert_int_equal(next.due_ms, midnight(14) + 3 * HOUR_MS);
    next = schedule_next(&schedule, due_ms, midnight(11) + 3 * HOUR_MS, &missed);
    assert_int_equal(missed, 1); /* the next one is due at this moment */
    assert_int_equal(next.due_ms, midnight(12) + 3 * HOUR_MS);
    schedule = schedule_of("* * * * *");
    next = schedule_next(&schedule, due_ms, due_ms + 3650 * DAY_MS, &missed);
    assert_int_equal(missed, 10000); /* no more are counted */
    assert_int_equal(next.due_ms, due_ms + 3650 * DAY_MS + 60000);
}

static void a_row_that_is_as_declared_stays(void **state)
{
    (void)state;
    char data[320];
    struct ledger_timer fresh;
    struct schedule schedule = schedule_of("0 3 * * *");
    struct ledger_timer row = row_after_the_10th(&schedule, data);
    assert_false(schedule_adopts(&schedule, &row, midnight(10) + 4 * HOUR_MS, &fresh));
    assert_false(schedule_adopts(&schedule, &row, row.due_ms - 1, &fresh));
    assert_false(schedule_adopts(&schedule, &row, row.due_ms, &fresh));   /* it is due */
    assert_false(schedule_adopts(&schedule, &row, midnight(20), &fresh)); /* and was missed */
    assert_false(schedule_adopts(&schedule, &row, midnight(1), &fresh));  /* a clock set back */
    row.data = schedule.text; /* of an earlier program, which noted no time */
    assert_false(schedule_adopts(&schedule, &row, midnight(1), &fresh));
}

static void a_new_schedule_begins_with_its_next_time(void **state)
{
    (void)state;
    struct ledger_timer fresh;
    struct schedule schedule = schedule_of("0 3 * * *");
    assert_true(schedule_adopts(&schedule, NULL, midnight(10) + 3 * HOUR_MS, &fresh));
    assert_int_equal(fresh.due_ms, midnight(11) + 3 * HOUR_MS);
}

static void a_schedule_that_was_changed_keeps_a_run_that_is_due(void **state)
{
    (void)state;
    char data[320];
    struct ledger_timer fresh;
    struct schedule before = schedule_of("0 3 * * *"), schedule = schedule_of("0 5 * * *");
    struct ledger_timer row = row_after_the_10th(&before, data);
    assert_true(schedule_adopts(&schedule, &row, row.due_ms + 1, &fresh));
    assert_int_equal(fresh.due_ms, row.due_ms);
    assert_true(schedule_adopts(&schedule, &row, midnight(10) + 4 * HOUR_MS, &fresh));
    assert_int_equal(fresh.due_ms, midnight(10) + 5 * HOUR_MS);
}

/* What ran on the 10th is not done again because the clock says the 8th, and the times are others.
 */
static void a_changed_schedule_is_not_moved_back_behind_its_last_run(void **state)
{
    (void)state;
    char data[320], moved_data[320];
    struct ledger_timer fresh;
    struct schedule before = schedule_of("0 3 * * *"), schedule = schedule_of("0 5 * * *");
    struct ledger_timer row = row_after_the_10th(&before, data);
    assert_true(schedule_adopts(&schedule, &row, midnight(8), &fresh));
    assert_int_equal(fresh.due_ms, midnight(10) + 5 * HOUR_MS);
    struct ledger_timer moved = kept_row(&fresh, moved_data);
    assert_false(schedule_adopts(&schedule, &moved, midnight(8), &fresh));
    assert_true(schedule_adopts(&before, &moved, midnight(8), &fresh)); /* and back again */
    assert_int_equal(fresh.due_ms, midnight(11) + 3 * HOUR_MS);
}

/* The row was written under the rules of an older tzdata. */
static void what_is_not_due_follows_the_rules_that_its_zone_has_today(void **state)
{
    (void)state;
    char data[320];
    struct ledger_timer fresh;
    struct schedule schedule = schedule_of("0 3 * * *");
    struct ledger_timer row = row_after_the_10th(&schedule, data);
    row.due_ms += HOUR_MS;
    assert_true(schedule_adopts(&schedule, &row, midnight(10) + 4 * HOUR_MS, &fresh));
    assert_int_equal(fresh.due_ms, midnight(11) + 3 * HOUR_MS);
    row.due_ms -= 2 * HOUR_MS;
    assert_true(schedule_adopts(&schedule, &row, midnight(10) + 4 * HOUR_MS, &fresh));
    assert_int_equal(fresh.due_ms, midnight(11) + 3 * HOUR_MS);
}

static void an_id_is_digits_and_a_name_of_plain_letters(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "-",
                                        "7",
                                        "7-",
                                        "-a",
                                        "x-a",
                                        "7-a b",
                                        "7-\xff",
                                        "7-a\x1f",
                                        "7-\xc3\xa9",
                                        "1234567890123456789-a",
                                        "7_a"};
    int64_t due_ms;
    const char *name;
    assert_true(timer_id_parse("1795441234567-every/nightly", &due_ms, &name));
    assert_int_equal(due_ms, 1795441234567);
    assert_string_equal(name, "every/nightly");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(timer_id_parse(wrong[i], &due_ms, &name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_runs_that_were_missed_one_is_done_and_the_others_are_counted),
        cmocka_unit_test(a_row_that_is_as_declared_stays),
        cmocka_unit_test(a_new_schedule_begins_with_its_next_time),
        cmocka_unit_test(a_schedule_that_was_changed_keeps_a_run_that_is_due),
        cmocka_unit_test(a_changed_schedule_is_not_moved_back_behind_its_last_run),
        cmocka_unit_test(what_is_not_due_follows_the_rules_that_its_zone_has_today),
        cmocka_unit_test(an_id_is_digits_and_a_name_of_plain_letters),
    };
    return cmocka_run_group_tests(tests, begin_json, NULL);
}
