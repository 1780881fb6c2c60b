/* SPDX-License-Identifier: Apache-2.0 */
/* Media types: which are declared, which come, and which a client accepts. */

#include "../support/harness.h"

#include <string.h>

#include "http/media.h"

static void types_are_lower_case_without_parameters(void **state)
{
    static const char *const good[] = {"text/csv", "application/octet-stream", "image/svg+xml"};
    static const char *const bad[] = {
        "",         "text", "/csv",   "text/", "text/csv; charset=utf-8",
        "Text/CSV", "*/*",  "text/*", "a/b/c", "text/c sv"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(media_is_type(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(media_is_type(bad[i]));
}

static void what_comes_is_compared_without_its_parameters(void **state)
{
    (void)state;
    assert_true(media_fits("text/csv", "text/csv"));
    assert_true(media_fits("Text/CSV; header=present; charset=\"UTF-8\"", "text/csv"));
    assert_true(media_fits("text/csv;charset=us-ascii", "text/csv"));
    assert_false(media_fits("text/csv; charset=latin1", "text/csv"));
    assert_false(media_fits("text/csvx", "text/csv"));
    assert_false(media_fits("text/csv, application/json", "text/csv"));
    assert_false(media_fits("text/csv ,text/csv", "text/csv"));
    assert_false(media_fits("text/csv charset=utf-8", "text/csv"));
    assert_true(media_fits("text/csv ; charset=utf-8", "text/csv"));
    assert_false(media_fits("text/cs", "text/csv"));
    assert_false(media_fits("", "text/csv"));
    assert_false(media_fits(NULL, "text/csv"));
    assert_true(media_fits("image/png; charset=latin1", "image/png"));
}

static void json_is_known_by_its_name_or_its_end(void **state)
{
    static const char *const json[] = {"application/json", "Application/JSON; charset=utf-8",
                                       "application/problem+json", "application/vnd.x+JSON;a=b"};
    static const char *const other[] = {
        "", "+json", "application/jsonx", "application/json,x", "text/csv; x=+json", "json"};
    (void)state;
    for (size_t i = 0; i < sizeof json / sizeof *json; i++)
        assert_true(media_is_json(json[i]));
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        assert_false(media_is_json(other[i]));
    assert_false(media_is_json(NULL));
}

static void the_most_precise_range_decides(void **state)
{
    static const struct {
        const char *accept;
        bool accepted;
    } cases[] = {
        {NULL, true},
        {"", true},
        {"*/*", true},
        {"text/csv", true},
        {"TEXT/CSV;q=0.1", true},
        {"text/*", true},
        {"application/json", false},
        {"application/json, text/*;q=0.5", true},
        {"text/csv;q=0, */*", false},
        {"*/*, text/csv;q=0.000", false},
        {"text/*;q=0, text/csv", true},
        {"*/*;q=0", false},
        {"text/csv; header=present; q=0", false},
        {"text/csvx", false},
        {"text/", false},
        {"nonsense", true},
        {",,", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (media_accepted(cases[i].accept, "text/csv") != cases[i].accepted)
            fail_msg("%s", cases[i].accept);
    }
}

static void only_utf_8_is_utf_8(void **state)
{
    static const char *const good[] = {"",
                                       "a",
                                       "caf\xc3\xa9",
                                       "\xe2\x82\xac",
                                       "\xf0\x9f\x98\x80",
                                       "\xed\x9f\xbf",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc3",
                                      "\xc0\x80",
                                      "\xe0\x80\x80",
                                      "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xe2\x82",
                                      "\xf0\x8f\xbf\xbf",
                                      "a\xff",
                                      "\xc3\xc3"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(media_is_utf8(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(media_is_utf8(bad[i], strlen(bad[i])));
    assert_true(media_is_utf8("a\0b", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_lower_case_without_parameters),
        cmocka_unit_test(what_comes_is_compared_without_its_parameters),
        cmocka_unit_test(json_is_known_by_its_name_or_its_end),
        cmocka_unit_test(the_most_precise_range_decides),
        cmocka_unit_test(only_utf_8_is_utf_8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
