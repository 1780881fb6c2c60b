/* SPDX-License-Identifier: Apache-2.0 */
/* The place of a replay is looked for in what a publisher says: an honest one is believed, and one
 * that lies is found out, whatever it says, after a bounded number of questions. */

#include "../support/harness.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cli/operate/replay_place.h"
#include "event/envelope.h"

#define HOUR_MS INT64_C(3600000)
#define FIRST_MS INT64_C(1767225600000) /* 2026-01-01T00:00:00.000Z */
#define LAST 50                         /* an event an hour */
#define ASKED_MAX 10001

static struct publisher {
    const char *answer; /* to each question; NULL: it is honest */
    bool runs_away;     /* has another event than it lists, each time */
    long long trimmed;
    int asked;
} publisher;
static char said[512];

/* ---- what the command's other files do ---- */

int cli_fail(int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(said, sizeof said, format, args);
    va_end(args);
    return code;
}

long long cli_number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

int64_t cli_now_ms(void)
{
    return FIRST_MS + LAST * HOUR_MS;
}

bool cli_read_number(const char *given, long long most, long long *ret)
{
    char rest;
    return sscanf(given, "%lld%c", ret, &rest) == 1 && *ret >= 0 && *ret <= most;
}

bool cli_read_span(const char *given, long long *ret_s)
{
    char unit, rest;
    if (sscanf(given, "%lld%c%c", ret_s, &unit, &rest) != 2 || unit != 'h')
        return false;
    *ret_s *= 3600;
    return true;
}

static json_t *honest_answer(long long after, long long limit)
{
    json_t *events = json_array();
    long long next = after > publisher.trimmed ? after : publisher.trimmed;
    while (next < LAST && (long long)json_array_size(events) < limit) {
        char time[ENVELOPE_TIME_SIZE];
        envelope_time(time, FIRST_MS + ++next * HOUR_MS);
        json_array_append_new(events,
                              json_pack("{s:I, s:s}", "position", (json_int_t)next, "time", time));
    }
    return json_pack("{s:o, s:I, s:I, s:I, s:s, s:s}", "events", events, "next", (json_int_t)next,
                     "last", (json_int_t)LAST, "trimmed", (json_int_t)publisher.trimmed,
                     "incarnation", "i", "after_id", "");
}

int cli_operator_ask(struct cli_operator *asking, const char *service, const char *method,
                     const char *path, json_t *values, json_t **ret)
{
    (void)asking, (void)service, (void)method, (void)path;
    long long after = cli_number(values, "after"), limit = cli_number(values, "limit");
    json_decref(values);
    assert_in_range(++publisher.asked, 1, ASKED_MAX);
    assert_true(after >= 0);
    *ret = publisher.answer ? json_loads(publisher.answer, 0, NULL) : honest_answer(after, limit);
    assert_non_null(*ret);
    if (publisher.runs_away) {
        json_object_set_new(*ret, "events", json_array());
        json_object_set_new(*ret, "next", json_integer(after + 1));
        json_object_set_new(*ret, "last", json_integer(after + 2));
    }
    return CLI_DONE;
}

/* ---- tests ---- */

static int look_for(const char *given, struct replay_place *ret)
{
    *ret = (struct replay_place){.of = "till"};
    publisher.asked = 0;
    said[0] = '\0';
    return replay_find_place(ret, given);
}

static void an_honest_publisher_is_believed(void **state)
{
    static const struct {
        const char *given;
        long long first;
    } all[] = {{"1", 1},
               {"50", 50},
               {"2026-01-01T07:00", 7},
               {"2026-01-01T07:00:01", 8},
               {"2026-01-02", 24},
               {"2025-12-31", 1},
               {"10h", 40}};
    struct replay_place place;
    (void)state;
    publisher = (struct publisher){0};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int code = look_for(all[i].given, &place);
        if (code != CLI_DONE || place.after != all[i].first - 1)
            fail_msg("%s: after %lld, %s", all[i].given, place.after, said);
        assert_string_equal(place.incarnation, "i");
    }
    assert_int_equal(look_for("51", &place), CLI_FAILED);
    assert_non_null(strstr(said, "up to position 50, none at 51"));
    assert_int_equal(look_for("2027-01-01", &place), CLI_FAILED);
    assert_non_null(strstr(said, "has published nothing since then"));
    publisher.trimmed = 20;
    assert_int_equal(look_for("2026-01-01", &place), CLI_FAILED);
    assert_non_null(strstr(said, "the oldest that can be applied again is --from 21"));
    assert_int_equal(look_for("2026-01-02", &place), CLI_DONE);
    assert_int_equal(place.after, 23);
}

#define SAYS(events, next, last, trimmed, rest)                                                    \
    "{\"events\": [" events "], \"next\": " next ", \"last\": " last ", \"trimmed\": " trimmed     \
    ", " rest "}"
#define KNOWN "\"incarnation\": \"i\", \"after_id\": \"\""
#define AT(position, time) "{\"position\": " position ", \"time\": \"" time "\"}"
#define OLD "2020-01-01T00:00:00.000Z"
#define YOUNG "2026-06-01T00:00:00.000Z"
#define MOST "9223372036854775807"
#define LEAST "-9223372036854775808"
#define LONG "0123456789012345678901234567890123456789"

static void one_that_lies_is_found_out(void **state)
{
    static const char contradict[] = "contradict each other", older[] = "is an older one";
    static const struct {
        const char *answer, *says;
    } all[] = {
        {SAYS("", "0", "9", "-1", KNOWN), contradict},
        {SAYS("", "0", "9", "10", KNOWN), contradict},
        {SAYS("", "0", MOST, "0", KNOWN), contradict},
        {SAYS("", "-5", "9", "0", KNOWN), contradict},
        {SAYS("", "0", "9", "0", KNOWN), contradict}, /* never gets there */
        {SAYS(AT("0", OLD), "9", "9", "0", KNOWN), contradict},
        {SAYS(AT("-1", OLD), "9", "9", "0", KNOWN), contradict},
        {SAYS(AT("\"4\"", OLD), "9", "9", "0", KNOWN), contradict},
        {SAYS("7", "9", "9", "0", KNOWN), contradict},
        {SAYS(AT("3", OLD), "9", "9", "0", KNOWN), contradict}, /* leads back */
        {SAYS(AT(MOST, OLD), "9", "9", "0", KNOWN), contradict},
        {SAYS(AT(MOST, YOUNG), "9", "9", "0", KNOWN), contradict},
        {SAYS(AT("1", YOUNG) ", " AT(LEAST, YOUNG), "9", "9", "0", KNOWN), contradict},
        {SAYS(AT("1", YOUNG) ", " AT("1", YOUNG), "9", "9", "0", KNOWN), contradict},
        {SAYS(AT("1", "at noon"), "9", "9", "0", KNOWN), contradict},
        {SAYS("", "9", "9", "9", KNOWN), "has trimmed all of its events"},
        {SAYS("", "9", "9", "0", KNOWN), "has published nothing since then"},
        {SAYS("", "9", "9", "0", "\"incarnation\": 4, \"after_id\": \"\""), older},
        {SAYS("", "9", "9", "0", "\"incarnation\": \"i\""), older},
        {SAYS("", "9", "9", "0", "\"incarnation\": \"" LONG "\", \"after_id\": \"\""), older},
        {"[]", older},
        {"{\"events\": 7, \"incarnation\": \"i\", \"after_id\": \"\"}",
         "has published nothing since then"},
    };
    struct replay_place place;
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        publisher = (struct publisher){.answer = all[i].answer};
        if (look_for("2026-03-01", &place) != CLI_FAILED || !strstr(said, all[i].says))
            fail_msg("%s: %s", all[i].answer, said);
    }
}

static void one_whose_events_never_end_is_given_up(void **state)
{
    struct replay_place place;
    (void)state;
    publisher = (struct publisher){.runs_away = true};
    assert_int_equal(look_for("2026-03-01", &place), CLI_FAILED);
    assert_non_null(strstr(said, "contradict each other"));
    assert_int_equal(publisher.asked, ASKED_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_publisher_is_believed),
        cmocka_unit_test(one_that_lies_is_found_out),
        cmocka_unit_test(one_whose_events_never_end_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
