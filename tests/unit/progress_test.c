/* SPDX-License-Identifier: Apache-2.0 */
/* Progress of long operations, as people read it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/progress.h"

static char line[PROGRESS_LINE_SIZE];

static const char *after(int64_t done, int64_t total, double seconds, int width)
{
    struct progress progress = {.what = "users", .unit = "rows", .done = done, .total = total};
    progress_line(&progress, seconds, width, line);
    return line;
}

static void a_line_shows_part_rate_and_time_left(void **state)
{
    (void)state;
    assert_string_equal(after(412000, 1000000, 10, 0),
                        "users   41%  412,000 of 1,000,000 rows, 41,200/s, 14s left");
    assert_string_equal(after(5, 1000, 1, 0), "users    0%  5 of 1,000 rows, 5.0/s, 3m left");
    assert_string_equal(after(1, 100000, 1, 0), "users    0%  1 of 100,000 rows, 1.0/s, 28h left");
    assert_string_equal(after(1000, 1000, 2, 0), "users  100%  1,000 of 1,000 rows, 500/s");
}

static void a_rate_waits_until_it_means_something(void **state)
{
    (void)state;
    assert_string_equal(after(1, 10, 0.1, 0), "users   10%  1 of 10 rows");
    assert_string_equal(after(0, 10, 100, 0), "users    0%  0 of 10 rows");
}

static void without_a_total_there_is_no_part_of_it(void **state)
{
    (void)state;
    assert_string_equal(after(1234, 0, 2, 80), "users  1,234 rows, 617/s");
}

static void more_than_was_foreseen_is_all(void **state)
{
    (void)state;
    assert_string_equal(after(12, 10, 1, 0), "users  100%  12 of 10 rows, 12/s");
}

static void what_another_process_reports_is_followed(void **state)
{
    struct progress progress;
    struct course course = {.done = 500, .total = 1000, .guessed = true, .of = "users"};
    (void)state;
    progress_begin(&progress, "users", "rows", 0, true);
    progress_follow(&progress, &course);
    assert_true(progress.done == 500 && progress.total == 1000 && progress.guessed);
    int64_t began_ns = progress.began_ns;
    course = (struct course){.done = 10, .total = 2000, .of = "users"}; /* it started over */
    progress_follow(&progress, &course);
    assert_true(progress.done == 10 && progress.total == 2000 && !progress.guessed);
    assert_true(progress.began_ns > began_ns);
    progress_end(&progress);
}

static void a_guess_is_called_one_until_it_was_wrong(void **state)
{
    (void)state;
    struct progress progress = {
        .what = "users", .unit = "rows", .done = 500, .total = 1000, .guessed = true};
    progress_line(&progress, 1, 0, line);
    assert_string_equal(line, "users   50%  500 of about 1,000 rows, 500/s, 1s left");
    progress.done = 1001;
    progress_line(&progress, 1, 0, line);
    assert_string_equal(line, "users  1,001 rows, 1,001/s");
}

static void a_bar_takes_the_columns_that_are_left(void **state)
{
    (void)state;
    assert_string_equal(after(50, 100, 1, 80),
                        "users  [############............]   50%  50 of 100 rows, 50/s, 1s left");
    assert_string_equal(after(50, 100, 1, 52),
                        "users  [###...]   50%  50 of 100 rows, 50/s, 1s left");
    assert_string_equal(after(50, 100, 1, 51), "users   50%  50 of 100 rows, 50/s, 1s left");
    for (int width = 1; width < 120; width++)
        assert_true((int)strlen(after(412000, 1000000, 10, width)) <= width);
}

/* What a process writes to standard error while it draws. */
static size_t written(bool quiet, char *out, size_t size)
{
    int ends[2], kept = dup(STDERR_FILENO);
    struct progress progress;
    assert_true(kept >= 0 && pipe(ends) == 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    progress_begin(&progress, "users", "rows", 10, quiet);
    progress.began_ns = progress.drawn_ns = 0; /* it began long ago */
    progress_reach(&progress, 1);
    progress_reach(&progress, 2); /* at once: no line of its own */
    progress_hide(&progress);
    progress_end(&progress);
    progress_reach(&progress, 3);
    dup2(kept, STDERR_FILENO);
    close(kept);
    ssize_t length = read(ends[0], out, size - 1);
    close(ends[0]);
    out[length > 0 ? length : 0] = '\0';
    return strlen(out);
}

static void where_there_is_no_terminal_lines_are_whole_and_few(void **state)
{
    (void)state;
    char out[1024];
    size_t length = written(false, out, sizeof out);
    assert_memory_equal(out, "users   10%  1 of 10 rows", strlen("users   10%  1 of 10 rows"));
    assert_int_equal(out[length - 1], '\n');
    assert_ptr_equal(strchr(out, '\n'), out + length - 1);
    assert_null(strchr(out, '\033'));
}

static void quiet_progress_prints_nothing(void **state)
{
    (void)state;
    char out[1024];
    assert_int_equal(written(true, out, sizeof out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_shows_part_rate_and_time_left),
        cmocka_unit_test(a_rate_waits_until_it_means_something),
        cmocka_unit_test(without_a_total_there_is_no_part_of_it),
        cmocka_unit_test(more_than_was_foreseen_is_all),
        cmocka_unit_test(a_guess_is_called_one_until_it_was_wrong),
        cmocka_unit_test(what_another_process_reports_is_followed),
        cmocka_unit_test(a_bar_takes_the_columns_that_are_left),
        cmocka_unit_test(where_there_is_no_terminal_lines_are_whole_and_few),
        cmocka_unit_test(quiet_progress_prints_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
