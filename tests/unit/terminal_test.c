/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody else wrote can't make a terminal do anything. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/terminal.h"

static const struct {
    const char *given, *shown;
} cases[] = {
    {"plain\ttext\n", "plain\ttext\n"},
    {"\033[31mred\033[0m", "\033[31mred\033[0m"},
    {"\033]0;title\007", "\\x1b]0;title\\x07"},
    {"\033[2J\033[H", "\\x1b[2J\\x1b[H"},
    {"\033[3Xm", "\\x1b[3Xm"},
    {"\033\033[31m", "\\x1b\033[31m"},
    {"\033[1\033[31m", "\\x1b[1\033[31m"},
    {"\033[1Ax", "\\x1b[1Ax"},
    {"a\rb\bc\177", "a\\x0db\\x08c\\x7f"},
    {"Gr\xc3\xbc\xc3\x9f"
     "e \xf0\x9f\x98\x80",
     "Gr\xc3\xbc\xc3\x9f"
     "e \xf0\x9f\x98\x80"},
    {"\x9b"
     "31m",
     "\\x9b31m"},
    {"\xc2\x9b"
     "31m",
     "\\x9b31m"},
    {"\xc3(", "\\xc3("},
    {"\xc0\x8a", "\\xc0\\x8a"},
    {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
    {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
    {"\xff", "\\xff"},
    {"user\xe2\x80\xae"
     "nimda",
     "user\\u202enimda"},
    {"\xe2\x81\xa6x\xe2\x81\xa9", "\\u2066x\\u2069"},
};

static void assert_shown(const char *given, size_t portion, const char *shown)
{
    struct terminal_filter filter = {0};
    struct text text;
    size_t length = strlen(given);
    text_init(&text, 1000);
    for (size_t at = 0; at < length; at += portion)
        terminal_filter(&filter, given + at, portion < length - at ? portion : length - at, &text);
    assert_string_equal(text.data ? text.data : "", shown);
    assert_int_equal(filter.held_length, 0);
    text_release(&text);
}

static void what_a_terminal_would_obey_is_shown(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_shown(cases[i].given, 1000, cases[i].shown);
}

static void it_does_not_matter_where_the_text_is_cut(void **state)
{
    (void)state;
    for (size_t portion = 1; portion < 5; portion++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            assert_shown(cases[i].given, portion, cases[i].shown);
}

static void what_is_incomplete_waits(void **state)
{
    (void)state;
    struct terminal_filter filter = {0};
    struct text text;
    text_init(&text, 1000);
    terminal_filter(&filter, "a\033[3", 4, &text);
    assert_string_equal(text.data, "a");
    terminal_filter(&filter, "", 0, &text);
    terminal_filter(&filter, "1", 1, &text);
    assert_string_equal(text.data, "a");
    terminal_filter(&filter, "mb", 2, &text);
    assert_string_equal(text.data, "a\033[31mb");
    text_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_terminal_would_obey_is_shown),
        cmocka_unit_test(it_does_not_matter_where_the_text_is_cut),
        cmocka_unit_test(what_is_incomplete_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
