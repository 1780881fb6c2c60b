/* SPDX-License-Identifier: Apache-2.0 */
/* What a line about a request has in it, and how many there are in a flood. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "work/request_log.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define START_NS (1000 * LOG_PAUSE_NS)

static unsigned said;
static char said_last[1024];

static void note_line(void *context, enum log_level level, const char *id, const char *text)
{
    (void)context;
    assert_int_equal(level, LOG_LEVEL_INFO);
    assert_string_equal(id, REQUEST_LOG_ID);
    said++;
    snprintf(said_last, sizeof said_last, "%s", text);
}

static int listen_to_log(void **state)
{
    (void)state;
    said = 0;
    said_last[0] = '\0';
    log_redirect(note_line, NULL);
    return 0;
}

static int leave_log(void **state)
{
    (void)state;
    log_redirect(NULL, NULL);
    return 0;
}

static void tell(struct request_log *log, int status, int64_t now_ns)
{
    const struct request_line line = {.method = "GET", .where = "/api/a", .status = status};
    request_log_tell(log, &line, now_ns);
}

static void a_line_has_what_the_declaration_knows(void **state)
{
    struct request_log log = {0};
    struct request_line line = {.method = "POST",
                                .where = "/api/orders/{id:int}",
                                .status = 409,
                                .took_ns = 12345678,
                                .length = 214,
                                .caller = "gateway",
                                .trace = "00-" TRACE "-00f067aa0ba902b7-01"};
    (void)state;
    request_log_tell(&log, &line, START_NS);
    assert_string_equal(said_last, "POST /api/orders/{id:int}: 409 in 12.3 ms, 214 bytes "
                                   "(caller gateway; trace " TRACE ")");
    line = (struct request_line){
        .method = "ADA@EXAMPLE", .status = 405, .caller = "", .trace = "ada@example.org"};
    request_log_tell(&log, &line, START_NS);
    assert_string_equal(said_last, "(other method) (no route): 405 in 0.0 ms, 0 bytes "
                                   "(caller unknown)");
    request_log_tell_unread(&log, 400, 17, START_NS);
    assert_string_equal(said_last, "(not a request): 400, 17 bytes");
}

static void only_what_fails_is_wanted_unless_all_is(void **state)
{
    struct request_log log = {0};
    (void)state;
    assert_false(request_log_wants(&log, 204));
    assert_true(request_log_wants(&log, 400) && request_log_wants(&log, 599));
    request_log_set(&log, NULL);
    assert_false(request_log_wants(&log, 399));
    request_log_set(&log, "failed");
    assert_false(request_log_wants(&log, 200));
    request_log_set(&log, "all");
    assert_true(request_log_wants(&log, 200));
}

static void a_flood_of_one_status_is_counted_and_hides_no_other(void **state)
{
    static const int each[] = {400, 429, 503, 599};
    struct request_log log = {0};
    (void)state;
    for (int i = 0; i < 100000; i++)
        tell(&log, 401, START_NS + i);
    assert_int_equal(said, REQUEST_LOG_FAILED_MAX);
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        tell(&log, each[i], START_NS + LOG_PAUSE_NS);
    assert_int_equal(said, REQUEST_LOG_FAILED_MAX + sizeof each / sizeof *each);
    tell(&log, 401, START_NS + REQUEST_LOG_FAILED_NS - 1);
    assert_null(strstr(said_last, "401"));
    tell(&log, 401, START_NS + REQUEST_LOG_FAILED_NS);
    assert_non_null(strstr(said_last, "; 99981 more of 401 were not logged"));
    tell(&log, 401, START_NS + REQUEST_LOG_FAILED_NS);
    assert_null(strstr(said_last, "more"));
}

static void all_has_a_bound_of_its_own_and_keeps_that_of_floods(void **state)
{
    struct request_log log = {.all = true};
    (void)state;
    for (int i = 0; i < 1000; i++)
        tell(&log, i % 2 ? 200 : 409, START_NS + i);
    assert_int_equal(said, REQUEST_LOG_ALL_A_SECOND);
    for (int i = 0; i < 1000; i++)
        tell(&log, 429, START_NS + i);
    assert_int_equal(said, REQUEST_LOG_ALL_A_SECOND + REQUEST_LOG_FAILED_MAX);
    tell(&log, 200, START_NS + LOG_PAUSE_NS);
    assert_non_null(strstr(said_last, "; 800 more requests were not logged"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_has_what_the_declaration_knows, listen_to_log,
                                        leave_log),
        cmocka_unit_test(only_what_fails_is_wanted_unless_all_is),
        cmocka_unit_test_setup_teardown(a_flood_of_one_status_is_counted_and_hides_no_other,
                                        listen_to_log, leave_log),
        cmocka_unit_test_setup_teardown(all_has_a_bound_of_its_own_and_keeps_that_of_floods,
                                        listen_to_log, leave_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
