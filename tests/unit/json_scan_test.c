/* SPDX-License-Identifier: Apache-2.0 */
/* Walking through JSON: what is passed and what is refused, beside what json_parse says. */

#include "../support/values.h"

#include "base/json_scan.h"

/* In memory that ends behind the padding. */
static bool passes(const char *text, size_t length, struct json_piece *ret)
{
    struct json_scan scan;
    char *copy = calloc(1, length + JSON_SCAN_PADDING);
    memcpy(copy, text, length);
    json_scan_begin(&scan, copy, length);
    bool passed = json_scan_value(&scan, ret) && json_scan_end(&scan);
    ret->at = text + (ret->at - copy);
    free(copy);
    return passed;
}

static bool parses(const char *text, size_t length)
{
    json_t *value = NULL;
    bool parsed = json_parse(text, length, &value, ERROR_UNHEEDED) == FH_OK;
    json_decref(value);
    return parsed;
}

static void what_events_are_made_of_passes(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        "[]",
        " [ 1 , 2 ] ",
        "\"\"",
        "\"plain\"",
        "\"exactly8\"",
        "\"of more than eight bytes, with a tab \\t and \\u00e4 at its end\\n\"",
        "\"Grüße, 你好, 🙂\"",
        "\"\\u0000\"",
        "0",
        "-0",
        "-1",
        "999999999999999999",
        "1.5",
        "-0.25e-3",
        "1E+20",
        "true",
        "false",
        "null",
        "{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":2}],\"\":0}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct json_piece piece;
        if (!passes(texts[i], strlen(texts[i]), &piece) || !parses(texts[i], strlen(texts[i])))
            fail_msg("%s does not pass", texts[i]);
    }
}

#define REFUSED(text)                                                                              \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static const struct {
    const char *text;
    size_t length;
} no_json[] = {
    REFUSED(""),
    REFUSED(" "),
    REFUSED("[1,]"),
    REFUSED("[,1]"),
    REFUSED("[1 2]"),
    REFUSED("[1}"),
    REFUSED("[1"),
    REFUSED("1]"),
    REFUSED("1 2"),
    REFUSED("{\"a\":1,}"),
    REFUSED("{\"a\" 1}"),
    REFUSED("{a:1}"),
    REFUSED("{1:1}"),
    REFUSED("{\"a\":1,\"a\":2}"),
    REFUSED("{\"a\":{\"b\":1,\"c\":2,\"b\":3}}"),
    REFUSED("\"no end"),
    REFUSED("\"no end\\\""),
    REFUSED("\"\\"),
    REFUSED("\"a\nb\""),
    REFUSED("\"a\0b\""),
    REFUSED("\"\\x\""),
    REFUSED("\"\\u12\""),
    REFUSED("\"\\u12g4\""),
    REFUSED("\"\\udc00\""),
    REFUSED("\"\\ud800\""),
    REFUSED("\"\x80\""),
    REFUSED("\"\xc0\xaf\""),
    REFUSED("\"\xc3\""),
    REFUSED("\"\xe0\x80\xaf\""),
    REFUSED("\"\xed\xa0\x80\""),
    REFUSED("\"\xe4\xbd\""),
    REFUSED("\"\xf0\x80\x80\x80\""),
    REFUSED("\"\xf4\x90\x80\x80\""),
    REFUSED("\"\xf5\x80\x80\x80\""),
    REFUSED("\"\xff\""),
    REFUSED("01"),
    REFUSED("-"),
    REFUSED("+1"),
    REFUSED(".5"),
    REFUSED("1."),
    REFUSED("1e"),
    REFUSED("1e+"),
    REFUSED("1e999"),
    REFUSED("0x1"),
    REFUSED("NaN"),
    REFUSED("tru"),
    REFUSED("truth"),
    REFUSED("nul\0"),
    REFUSED("1\0"),
    REFUSED("\0"),
};

static void what_is_no_json_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof no_json / sizeof *no_json; i++) {
        struct json_piece piece;
        if (passes(no_json[i].text, no_json[i].length, &piece) ||
            parses(no_json[i].text, no_json[i].length))
            fail_msg("text %zu passes: %s", i, no_json[i].text);
    }
}

/* json_parse takes these, which nobody needs at speed. */
static void what_is_rare_is_left_to_json_parse(void **state)
{
    (void)state;
    static const char *const texts[] = {"\"\\ud83d\\ude42\"", "9223372036854775807", "1e100",
                                        "123456789012345678901234567890", "{\"\\u0061\":1}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct json_piece piece;
        assert_false(passes(texts[i], strlen(texts[i]), &piece));
        assert_true(parses(texts[i], strlen(texts[i])));
    }
}

static void nesting_ends_where_it_does_for_json_parse(void **state)
{
    (void)state;
    for (size_t depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX + 1; depth++) {
        char text[2 * JSON_DEPTH_MAX + 3] = "";
        struct json_piece piece;
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(passes(text, 2 * depth, &piece), depth <= JSON_DEPTH_MAX);
        assert_int_equal(parses(text, 2 * depth), depth <= JSON_DEPTH_MAX);
    }
}

/* So that one name after the other meets another bit, and each one that was there. */
static void names_given_twice_are_found_among_many(void **state)
{
    (void)state;
    enum { NAMES = JSON_SCAN_NAMES_MAX - 1 };
    for (int twice = -1; twice < NAMES; twice++) {
        struct text text;
        struct json_piece piece;
        text_init(&text, 100000);
        text_add(&text, "{");
        for (int i = 0; i < NAMES; i++)
            text_printf(&text, "\"member%d\":%d,", i, i);
        text_printf(&text, "\"member%d\":0}", twice < 0 ? NAMES : twice);
        assert_int_equal(passes(text.data, text.length, &piece), twice < 0);
        text_release(&text);
    }
}

static void a_text_that_was_cut_off_is_refused(void **state)
{
    (void)state;
    static const char text[] =
        "[{\"id\":\"01a1f853-4495-7ae3-9b52-9c8a6c0008a5\",\"key\":\"Größe \\\"\\u00e4\",\"n\":"
        "[-1.5e3,true,null,{\"\":{}}]}]";
    struct json_piece piece;
    assert_true(passes(text, sizeof text - 1, &piece));
    for (size_t length = 0; length < sizeof text - 1; length++) {
        if (passes(text, length, &piece))
            fail_msg("%zu bytes of it pass", length);
    }
}

static void members_are_found_where_they_are(void **state)
{
    (void)state;
    static const char text[] = " { \"a\" : \"one\" , \"b\":[1, 2] ,\"c\":\"\\n\"}\0\0\0\0\0\0\0";
    struct json_scan scan;
    struct json_scan_in in;
    struct json_piece name, value;
    json_scan_begin(&scan, text, strlen(text));
    assert_true(json_scan_open(&scan, '{', &in));
    assert_true(json_scan_next(&scan, '}', &in) && json_scan_name(&scan, &in, &name));
    assert_true(name.length == 1 && *name.at == 'a');
    assert_true(json_scan_string(&scan, &value));
    assert_true(value.length == 3 && memcmp(value.at, "one", 3) == 0);
    assert_true(json_scan_next(&scan, '}', &in) && json_scan_name(&scan, &in, &name));
    assert_true(json_scan_value(&scan, &value));
    assert_true(value.length == 6 && memcmp(value.at, "[1, 2]", 6) == 0);
    assert_true(json_scan_next(&scan, '}', &in) && json_scan_name(&scan, &in, &name));
    struct json_scan before = scan;
    assert_false(json_scan_string(&scan, &value)); /* it has an escape */
    assert_false(json_scan_end(&scan));
    assert_true(json_scan_value(&before, &value));
    assert_false(json_scan_next(&before, '}', &in));
    assert_true(json_scan_end(&before));
}

int main(void)
{
    json_memory_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_events_are_made_of_passes),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(what_is_rare_is_left_to_json_parse),
        cmocka_unit_test(nesting_ends_where_it_does_for_json_parse),
        cmocka_unit_test(names_given_twice_are_found_among_many),
        cmocka_unit_test(a_text_that_was_cut_off_is_refused),
        cmocka_unit_test(members_are_found_where_they_are),
    };
    return cmocka_run_group_tests_name("json_scan", tests, NULL, NULL);
}
