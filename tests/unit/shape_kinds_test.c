/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, decimals, formats, patterns and defaults. */

#include "../support/values.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

#include "shape/shape.h"
#include "shape/text.h"

/* The first fault of {"v": value}, or "". `value` is JSON. */
static const char *fault_of(const fh_field *field, const char *value)
{
    static char found[512];
    char text[8192];
    fh_field shape[2] = {*field};
    shape[0].name = "v";
    snprintf(text, sizeof text, "{\"v\": %s}", value);
    json_t *object = parsed(text);
    shape_settle(shape, object);
    json_t *faults = shape_check(shape, object);
    snprintf(found, sizeof found, "%s",
             faults ? json_string_at(json_array_get(faults, 0), "detail") : "");
    json_decref(faults);
    json_decref(object);
    return found;
}

#define FITS(field, value) assert_string_equal(fault_of(&(field), value), "")
#define FAULT(field, value, fault) assert_string_equal(fault_of(&(field), value), fault)

static void a_text_fits(enum fh_string_format format, const char *const *fit,
                        const char *const *unfit)
{
    for (; *fit; fit++) {
        if (!shape_format_fits(format, *fit, strlen(*fit)))
            fail_msg("%s should be a %s", *fit, shape_format_name(format));
    }
    for (; *unfit; unfit++) {
        if (shape_format_fits(format, *unfit, strlen(*unfit)))
            fail_msg("%s should be no %s", *unfit, shape_format_name(format));
    }
    assert_false(shape_format_fits(format, "", 0));
    assert_int_equal(shape_format_named(shape_format_name(format)), format);
}

#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- Numbers ---- */

static void numbers_are_taken_with_and_without_a_fraction(void **state)
{
    (void)state;
    const fh_field any = {.type = FH_NUMBER};
    FITS(any, "19.99");
    FITS(any, "-0.0");
    FITS(any, "7");
    FITS(any, "1e300");
    FITS(any, "123456789012345678901234567890");
    FAULT(any, "\"1\"", "expected a number, found a string");
    FAULT(any, "true", "expected a number, found true");
    const fh_field ratio = {.type = FH_NUMBER, .minimum = "0.1", .maximum = "0.9"};
    FITS(ratio, "0.1");
    FITS(ratio, "0.9");
    FAULT(ratio, "0.09", "expected a number from 0.1 to 0.9, found 0.09");
    FAULT(ratio, "1", "expected a number from 0.1 to 0.9, found 1.0");
    const fh_field degrees = {.type = FH_NUMBER, .min = -90, .max = 90};
    FITS(degrees, "-90");
    FAULT(degrees, "90.00001", "expected a number from -90 to 90, found 90.00001");
    const fh_field above = {.type = FH_NUMBER, .min = 1};
    FAULT(above, "0.5", "expected a number of at least 1, found 0.5");
    FITS(above, "1e9");
    const fh_field secret = {.type = FH_NUMBER, .min = 1, .secret = true};
    FAULT(secret, "0.5", "expected a number of at least 1, found something else");
}

static void a_number_reaches_the_handler_as_a_real_and_an_integer_as_an_integer(void **state)
{
    (void)state;
    static const fh_field inner[] = {{"i", FH_INT}, {0}};
    static const fh_field shape[] = {{"n", FH_NUMBER},
                                     {"i", FH_INT},
                                     {"list", FH_ARRAY, .elements = FH_NUMBER},
                                     {"of", FH_ARRAY, .of = inner},
                                     {0}};
    json_t *value = parsed("{\"n\": 5, \"i\": 3.0, \"list\": [1, 2.5], \"of\": [{\"i\": 1e2}]}");
    shape_settle(shape, value);
    assert_null(shape_check(shape, value));
    char *text = json_text(value);
    assert_string_equal(text, "{\"n\":5.0,\"i\":3,\"list\":[1.0,2.5],\"of\":[{\"i\":100}]}");
    json_text_free(text);
    json_decref(value);
    const fh_field integer = {.type = FH_INT};
    FITS(integer, "-9223372036854775808");
    FAULT(integer, "1.5", "expected an integer, found a number that is not an integer");
    FAULT(integer, "9223372036854775808",
          "expected an integer, found a number that is larger than integers can be");
    FAULT(integer, "9007199254740994.0",
          "expected an integer, found a number that is larger than integers can be");
}

static void an_integer_of_more_than_64_bits_makes_no_other_inexact(void **state)
{
    (void)state;
    json_t *value =
        parsed("{\"a\": 9223372036854775807, \"b\": -9223372036854775809, \"c\":"
               " \"\\\\\\\"18446744073709551616\", \"d\": [18446744073709551616, 1e5]}");
    assert_int_equal(json_integer_value(json_object_get(value, "a")), INT64_MAX);
    assert_true(json_is_real(json_object_get(value, "b")));
    assert_string_equal(json_string_at(value, "c"), "\\\"18446744073709551616");
    assert_true(json_real_value(json_array_get(json_object_get(value, "d"), 0)) ==
                18446744073709551616.0);
    json_decref(value);
    json_t *none;
    assert_int_equal(json_parse("[18446744073709551616", 21, &none, ERROR_UNHEEDED), FH_INVALID);
    char digits[500];
    memset(digits, '9', 400);
    assert_int_equal(json_parse(digits, 400, &none, ERROR_UNHEEDED), FH_INVALID);
}

/* ---- Decimals ---- */

static void decimals_keep_their_digits(void **state)
{
    (void)state;
    const fh_field price = {.type = FH_DECIMAL, .precision = 6, .scale = 2, .minimum = "0.01"};
    const char *const fit[] = {"0.01", "19.90", "1", "9999.99", "0.1"};
    for (size_t i = 0; i < sizeof fit / sizeof *fit; i++) {
        char text[32];
        snprintf(text, sizeof text, "\"%s\"", fit[i]);
        FITS(price, text);
    }
    const char *const unfit[] = {"",    "10000", "0.001", "1.", ".5",  "+1",    "01",     "1e2",
                                 "NaN", "1,5",   " 1",    "1 ", "--1", "0.0.1", "\\u0661"};
    for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++) {
        char text[32];
        snprintf(text, sizeof text, "\"%s\"", unfit[i]);
        assert_non_null(strstr(fault_of(&price, text), "at most 4 digits before and 2 after"));
    }
    FAULT(price, "\"0.00\"",
          "expected a decimal number in a string of at least 0.01, found \"0.00\"");
    FAULT(price, "19.9",
          "expected a decimal number in a string, found a number that is not an "
          "integer");
    const fh_field signed_one = {.type = FH_DECIMAL, .scale = 3, .min = -2, .max = 2};
    FITS(signed_one, "\"-2.000\"");
    FITS(signed_one, "\"-0\"");
    FAULT(signed_one, "\"-2.001\"",
          "expected a decimal number in a string from -2 to 2, found \"-2.001\"");
    FAULT(signed_one, "\"2.1\"",
          "expected a decimal number in a string from -2 to 2, found \"2.1\"");
}

static void decimals_are_compared_as_numbers(void **state)
{
    (void)state;
    const char *const ascending[] = {"-100", "-99.5", "-1", "-0.5", "-0.25", "0",
                                     "0.05", "0.5",   "1",  "1.01", "9.9",   "10"};
    size_t count = sizeof ascending / sizeof *ascending;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            int order = shape_decimal_compare(ascending[i], strlen(ascending[i]), ascending[j],
                                              strlen(ascending[j]));
            assert_true(i < j ? order < 0 : i > j ? order > 0 : order == 0);
        }
    }
    assert_int_equal(shape_decimal_compare("-0.00", 5, "0", 1), 0);
    assert_int_equal(shape_decimal_compare("1.50", 4, "1.5", 3), 0);
}

/* ---- Formats ---- */

static void dates_are_days_that_there_are(void **state)
{
    (void)state;
    a_text_fits(
        FH_DATE, TEXTS("2026-02-28", "2024-02-29", "2000-02-29", "0000-01-01", "9999-12-31"),
        TEXTS("2026-02-29", "1900-02-29", "2026-13-01", "2026-00-01", "2026-04-31", "2026-01-00",
              "26-01-01", "2026-1-1", "2026-01-01 ", "2026-01-01T00:00:00Z", "+2026-01-01"));
    a_text_fits(
        FH_DATE_TIME,
        TEXTS("2026-03-01T12:00:00Z", "2026-03-01t12:00:00z", "2026-03-01T12:00:00.123456789+14:00",
              "2026-03-01T23:59:59-00:00", "2016-12-31T23:59:60Z", "2017-01-01T00:59:60+01:00",
              "2016-12-31T18:59:60.5-05:00", "2016-06-30T23:59:60+00:00",
              "2024-03-01T00:14:60+00:15", "2024-02-29T23:59:60z", "2024-02-29T00:00:00-23:59",
              "2017-01-01T13:59:60+14:00", "2024-02-28T23:59:59.999999999999999999999Z",
              "2026-03-01T12:00:00-12:00"),
        TEXTS("2026-03-01T24:00:00Z", "2026-03-01T12:60:00Z", "2026-03-01T12:00:61Z",
              "2016-12-31T22:59:60Z", "2026-03-01T12:00:00", "2026-03-01 12:00:00Z",
              "2026-03-01T12:00Z", "2026-03-01T12:00:00.Z", "2026-03-01T12:00:00+0100",
              "2026-03-01T12:00:00+24:00", "2026-03-01T12:00:00+01:60", "2026-02-30T12:00:00Z",
              "2026-03-01T12:00:00Zx", "2026-03-15T23:59:60Z", "2024-02-28T23:59:60Z",
              "2023-03-01T00:59:60+02:00", "2016-12-31T23:59:60+01:00", "2023-02-29T00:00:00Z",
              "1900-02-29T00:00:00Z", "2026-03-01T12:00:00 Z", "2026-03-01T12:00:00+1:00",
              "2026-03-01T12:00:00+01", "2026-03-01T-1:00:00Z", "2026-W10-7T12:00:00Z",
              "2026-060T12:00:00Z", "\u0662026-03-01T12:00:00Z"));
    assert_false(shape_format_fits(FH_DATE, "2026-01-01\0", 11));
}

static void other_formats_follow_their_standards(void **state)
{
    (void)state;
    a_text_fits(
        FH_UUID,
        TEXTS("123e4567-e89b-12d3-a456-426614174000", "00000000-0000-0000-0000-000000000000",
              "FFFFFFFF-ffff-FFFF-ffff-FFFFFFFFFFFF", "0190F5FE-7C7A-7C7A-8C7A-0123456789AB"),
        TEXTS("123e4567e89b12d3a456426614174000", "{123e4567-e89b-12d3-a456-426614174000}",
              "123e4567-e89b-12d3-a456-42661417400g", "123e4567-e89b-12d3-a456-4266141740000",
              "urn:uuid:123e4567-e89b-12d3-a456-426614174000",
              "123e4567-e89b-12d3-a4564-26614174000", " 23e4567-e89b-12d3-a456-426614174000"));
    a_text_fits(FH_EMAIL,
                TEXTS("ann@example.org", "a.b+c@x-y.example", "!#$%&'*+-/=?^_`{|}~@localhost",
                      "\"a b\\\"\"@example.org", "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]",
                      "a@xn--bcher-kva.example", "A@EXAMPLE.ORG", "1@1.1"),
                TEXTS("ann", "ann@", "@example.org", "a..b@example.org", ".a@example.org",
                      "a@-x.org", "a@x-.org", "a@x..org", "a@x.org.", "a b@example.org",
                      "a@[192.0.2.300]", "a@b@c", "ä@example.org", "a@x_y.org", "\"a@example.org",
                      "a@[", "a@[]", "\"\\", "a@b\u00fccher.example", "a@\u0430.example",
                      "a@b.org\r\nBcc: c@d.org", "a@b.org,c@d.org", "Ann <a@b.org>", "a@ b.org",
                      "a @b.org", "a@b.org ", "a\u200b@b.org", "a@b..org", "a@[2001:db8::1]"));
    char local[80];
    memset(local, 'a', 65);
    snprintf(local + 65, sizeof local - 65, "@b.org");
    assert_false(shape_format_fits(FH_EMAIL, local, strlen(local)));
    assert_true(shape_format_fits(FH_EMAIL, local + 1, strlen(local + 1)));
    char whole[300] = "a@"; /* 254 bytes fit */
    for (size_t i = 2; i < 255; i++)
        whole[i] = (i - 1) % 64 == 0 ? '.' : 'b';
    assert_false(shape_format_fits(FH_EMAIL, whole, 255));
    assert_true(shape_format_fits(FH_EMAIL, whole, 254));
    a_text_fits(FH_URI,
                TEXTS("https://example.org/a?b=c#d", "urn:uuid:123", "mailto:a@b",
                      "a:", "http://u:p@[2001:db8::1]:80/x", "http://[v1.a:b]/", "http://x:/",
                      "file:///etc", "http://%61/%20"),
                TEXTS("/relative", "example.org", "1a:b", "http://[::1", "http://[::g]/",
                      "http://a b/", "http://a/%2", "http://a/%zz", "http://a/\"", "http://a#b#c",
                      "http://x:8a/", "http://[v1.]/", ":a", "http://ä/", "http://a@b@c/",
                      " http://a/", "http://a/ ", "http://a/b c", "http://a/?q=b c",
                      "http://a/#b c", "http://a/\tb", "http://a\\b", "http://a/<b>",
                      "http://a/{b}", "http://a/|", "http://a/^", "http://a/`", "//a/b", "?a",
                      "http://[fe80::1%25eth0]/", "http://[::1]x/", "ht tp://a", "ä:b"));
}

/* ---- Patterns ---- */

static void a_pattern_matches_the_whole_value(void **state)
{
    (void)state;
    const fh_field code = {.type = FH_STRING, .pattern = "[A-Z]{2}-\\d+|none"};
    FITS(code, "\"AB-12\"");
    FITS(code, "\"none\"");
    FAULT(code, "\"AB-12\\n\"",
          "expected a string that matches [A-Z]{2}-\\d+|none, found \"AB-12\n\"");
    FAULT(code, "\"xnone\"", "expected a string that matches [A-Z]{2}-\\d+|none, found \"xnone\"");
    assert_false(shape_pattern_fits("a.c", "a\nc", 3));
    assert_false(shape_pattern_fits("a.c",
                                    "a\xe2\x80\xa8"
                                    "c",
                                    5));
    assert_true(shape_pattern_fits("a.c", "a€c", 5));
    assert_true(shape_pattern_fits("[^x]*", "a\0b", 3));
    assert_false(shape_pattern_fits("a", "a\0b", 3));
    assert_false(shape_pattern_fits("\\w+", "é", 2));
    assert_true(shape_pattern_fits("", "", 0));
    assert_false(shape_pattern_fits("", "a", 1));
    assert_true(shape_pattern_fits("(?:a|b){2,3}é?", "abaé", 5));
    assert_true(shape_pattern_fits("(?:a[bc]){2,}d+", "abacabdd", 8));
    assert_false(shape_pattern_fits("(?:a[bc]){2,}d+", "abdd", 4));
    assert_false(shape_pattern_fits("(?:a[bc]){2,}d+", "abac", 4));
    assert_true(shape_pattern_fits("a{0,}b{0}", "aaa", 3));
}

static void what_a_pattern_may_not_have_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *why;
    } refused[] = {{"^a", "an anchor: the whole value has to match anyway at byte 1"},
                   {"a$", "an anchor"},
                   {"(?=a)", "a group other than (...) and (?:...) at byte 1"},
                   {"(?<n>a)", "a group"},
                   {"(a)\\1", "an escape"},
                   {"\\bx", "an escape"},
                   {"\\s", "an escape"},
                   {"\\p{L}", "an escape"},
                   {"[[:alpha:]]", "a '[' in a class"},
                   {"[a", "a class without its ']'"},
                   {"[]a]", "an empty class"},
                   {"(a", "a '(' without its ')'"},
                   {"a)", "a ')' without its '('"},
                   {"a**", "two repetitions"},
                   {"a+?", "two repetitions"},
                   {"*a", "a repetition of nothing"},
                   {"a|+", "a repetition of nothing"},
                   {"a{2", "a '{' that begins no count"},
                   {"a{5,2}", "a '{' that begins no count"},
                   {"a{501}", "a '{' that begins no count"},
                   {"a]", "a bracket"},
                   {"[z-a]", "is not valid"},
                   {"a\\", "an escape"},
                   {"((((a{400}){400}){400}){400}){400}", "more than 500"},
                   {"([a-z0-9é]{100}){5}", "more than 500"},
                   {"(a|b){167}", "more than 500"}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct fh_error error = {0};
        if (shape_pattern_check(refused[i].pattern, &error) == FH_OK)
            fail_msg("%s should be refused", refused[i].pattern);
        if (!strstr(error.message, refused[i].why))
            fail_msg("%s: %s", refused[i].pattern, error.message);
    }
}

/* What has most states at a byte may be declared for shorter values alone. */
static void a_pattern_says_how_long_its_values_may_be(void **state)
{
    (void)state;
    assert_int_equal(shape_pattern_value_max("[a-z]{2}-\\d+"), SHAPE_PATTERN_VALUE_MAX);
    assert_in_range(shape_pattern_value_max("(a{0,490}b?)*c"), 100, SHAPE_PATTERN_VALUE_MAX - 1);
    assert_int_equal(shape_pattern_value_max("("), 0);
}

/* A matcher that goes back gives up on these. What each costs: shape_pattern_test.c. */
static void the_longest_text_is_matched(void **state)
{
    (void)state;
    char text[SHAPE_PATTERN_VALUE_MAX + 1];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = 'b';
    static const char *const matching[] = {"(a*)*b",    "(a|aa)+b",   "(a|a?)+b",
                                           "((a+)+)+b", "(.*a){12}b", "(a{2,}a?){2,}b"};
    for (size_t i = 0; i < sizeof matching / sizeof *matching; i++)
        assert_true(shape_pattern_fits(matching[i], text + 1, sizeof text - 1));
    const fh_field field = {.type = FH_STRING, .pattern = "(a|aa)+b"};
    char json[sizeof text + 3];
    snprintf(json, sizeof json, "\"%.*s\"", (int)sizeof text, text);
    assert_non_null(strstr(fault_of(&field, json), "expected a string that matches"));
}

/* ---- Defaults ---- */

static const fh_field page_shape[] = {
    {"limit", FH_INT, .min = 1, .max = 100, .default_value = "20"},
    {"order", FH_STRING, .default_value = "name"},
    {"fields", FH_LIST, .optional = true, .default_value = "id,name"},
    {"ratio", FH_NUMBER, .default_value = "1"},
    {"total", FH_DECIMAL, .scale = 2, .default_value = "1.50"},
    {"flag", FH_BOOL, .default_value = "true"},
    {"round", FH_INT, .default_value = "1e2"},
    {0}};

static void defaults_are_there_before_the_handler(void **state)
{
    (void)state;
    json_t *strings = parsed("{\"limit\": \"5\"}"), *typed;
    assert_null(shape_query(page_shape, strings, &typed));
    char *text = json_text(typed);
    assert_string_equal(text, "{\"limit\":5,\"order\":\"name\",\"fields\":[\"id\",\"name\"],"
                              "\"ratio\":1.0,\"total\":\"1.50\",\"flag\":true,\"round\":100}");
    json_text_free(text);
    json_decref(typed);
    json_decref(strings);
    static const fh_field inner[] = {{"n", FH_INT, .default_value = "7"}, {0}};
    static const fh_field shape[] = {{"all", FH_ARRAY, .of = inner},
                                     {"one", FH_OBJECT, .of = inner, .default_value = "{}"},
                                     {"null", FH_INT, .nullable = true, .default_value = "1"},
                                     {"text", FH_STRING, .nullable = true, .default_value = "null"},
                                     {"sum", FH_DECIMAL, .nullable = true, .default_value = "null"},
                                     {"word", FH_STRING, .default_value = "null"},
                                     {0}};
    assert_int_equal(shape_declared(shape, ERROR_UNHEEDED), FH_OK);
    json_t *body = parsed("{\"all\": [{}, {\"n\": 1}], \"null\": null}");
    shape_settle(shape, body);
    assert_null(shape_check(shape, body));
    text = json_text(body);
    assert_string_equal(text, "{\"all\":[{\"n\":7},{\"n\":1}],\"null\":null,\"one\":{\"n\":7},"
                              "\"text\":null,\"sum\":null,\"word\":\"null\"}");
    json_text_free(text);
    json_decref(body);
}

/* ---- Declarations ---- */

struct refused_shape {
    fh_field shape[2];
    const char *why;
};

static void are_refused(const struct refused_shape *refused, size_t count)
{
    struct fh_error error;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(shape_declared(refused[i].shape, &error), FH_INVALID);
        if (strncmp(error.message, refused[i].why, strlen(refused[i].why)) != 0)
            fail_msg("expected %s, found %s", refused[i].why, error.message);
    }
}

static void is_declared(const fh_field *shape)
{
    struct fh_error error;
    if (shape_declared(shape, &error) != FH_OK)
        fail_msg("%s", error.message);
}

static void a_shape_that_can_not_work_is_refused(void **state)
{
    (void)state;
    static const char *const one[] = {"a", NULL};
    static const fh_field bad_inner[] = {{"code", FH_STRING, .pattern = "("}, {0}};
    static const struct refused_shape refused[] = {
        {{{"a", FH_INT, .max = 5, .default_value = "6"}}, "a: the default \"6\" does not fit"},
        {{{"a", FH_INT, .default_value = "x"}}, "a: the default \"x\" has no value"},
        {{{"a", FH_STRING, .format = FH_DATE, .default_value = "x"}}, "a: the default"},
        {{{"a", FH_INT, .pattern = "x"}}, "a: only an FH_STRING has a pattern"},
        {{{"a", FH_INT, .one_of = one}}, "a: only an FH_STRING has a list of values"},
        {{{"a", FH_INT, .scale = 2}}, "a: only an FH_DECIMAL has a precision"},
        {{{"a", FH_DECIMAL, .precision = 2, .scale = 3}}, "a: a precision is from 1 to 65"},
        {{{"a", FH_STRING, .max = 5000, .pattern = "x"}},
         "a: the pattern \"x\" is for values of at most 4096 bytes: say in .max"},
        {{{"a", FH_STRING, .pattern = "(.{0,240})+b"}},
         "a: the pattern \"(.{0,240})+b\" is for values of at most 541 bytes: say"},
        {{{"a", FH_LIST, .max = 9, .pattern = "(.{0,240})+b"}},
         "a: the pattern \"(.{0,240})+b\" is for values of at most 541 bytes, and elements"},
        {{{"a", FH_ARRAY, .of = bad_inner}}, "a: code: the pattern \"(\""},
        {{{"a", (enum fh_type)0}}, "a: it has no type"}};
    static const fh_field heavy[] = {{"a", FH_STRING, .max = 541, .pattern = "(.{0,240})+b"}, {0}};
    is_declared(page_shape);
    is_declared(heavy);
    are_refused(refused, sizeof refused / sizeof *refused);
}

/* Bounds are in documents, so they are written as JSON writes numbers. */
static void bounds_that_can_not_be_kept_to_are_refused(void **state)
{
    (void)state;
    static const struct refused_shape refused[] = {
        {{{"a", FH_NUMBER, .minimum = "nan"}}, "a: the bound \"nan\" is not a number"},
        {{{"a", FH_NUMBER, .minimum = "1e999"}}, "a: the bound"},
        {{{"a", FH_NUMBER, .minimum = ".5"}}, "a: the bound \".5\" is not a number"},
        {{{"a", FH_NUMBER, .maximum = "+5"}}, "a: the bound"},
        {{{"a", FH_NUMBER, .maximum = " 5"}}, "a: the bound"},
        {{{"a", FH_DECIMAL, .maximum = "1e3"}}, "a: the bound"},
        {{{"a", FH_STRING, .maximum = "3"}}, "a: the bound"},
        {{{"a", FH_ARRAY, .elements = FH_NUMBER, .maximum = "x"}}, "a: the bound"},
        {{{"a", FH_ARRAY, .elements = FH_INT, .maximum = "5"}}, "a: the bound"},
        {{{"a", FH_NUMBER, .min = 1, .maximum = "0.5"}}, "a: no number is within its bounds"},
        {{{"a", FH_DECIMAL, .minimum = "0.2", .maximum = "0.1"}}, "a: no number"}};
    static const fh_field elements[] = {
        {"n", FH_ARRAY, .elements = FH_NUMBER, .minimum = "0.1", .maximum = "0.9", .max = 3},
        {"d", FH_ARRAY, .elements = FH_DECIMAL, .scale = 2, .minimum = "0.1", .min = 1},
        {0}};
    is_declared(elements);
    are_refused(refused, sizeof refused / sizeof *refused);
}

static const fh_field right[2];
static const fh_field left[2] = {{"r", FH_OBJECT, .of = right, .default_value = "{}"}, {0}};
static const fh_field right[2] = {{"l", FH_ARRAY, .of = left, .default_value = "[{}]"}, {0}};

static void a_default_that_never_ends_is_refused(void **state)
{
    (void)state;
    static const fh_field again[] = {
        {"next", FH_OBJECT, .of = again, .optional = true},
        {"none", FH_OBJECT, .of = again, .nullable = true, .default_value = "null"},
        {"all", FH_ARRAY, .of = again, .default_value = "[]"},
        {0}};
    static const fh_field ends[] = {{"a", FH_OBJECT, .of = again, .default_value = "{}"}, {0}};
    static const fh_field endless[] = {{"next", FH_OBJECT, .of = endless, .default_value = "{}"},
                                       {0}};
    static const struct refused_shape refused[] = {
        {{{"a", FH_OBJECT, .of = endless, .optional = true}}, "a: next: the default has itself"},
        {{{"a", FH_OBJECT, .of = left, .default_value = "{}"}}, "a: r: l: the default has itself"}};
    is_declared(again);
    is_declared(ends);
    are_refused(refused, sizeof refused / sizeof *refused);
}

/* ---- Schemas ---- */

static void schema_of_all_kinds_comes_back(void **state)
{
    (void)state;
    static const fh_field shape[] = {
        {"ratio", FH_NUMBER, .minimum = "0.1", .max = 5, .min = 1},
        {"any", FH_NUMBER, .default_value = "19.99"},
        {"price", FH_DECIMAL, .precision = 6, .scale = 2, .minimum = "0.01"},
        {"at", FH_STRING, .format = FH_DATE_TIME, .nullable = true},
        {"code", FH_STRING, .pattern = "a.[\\d.]\\\\+", .min = 1, .max = 9},
        {"free", FH_STRING, .pattern = "\\w*"},
        {"ids", FH_ARRAY, .elements = FH_STRING, .format = FH_UUID, .max = 3},
        {"limit", FH_INT, .default_value = "20"},
        {0}};
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    json_t *schema = shape_schema(shape);
    json_t *again = shape_schema(shape_of_schema(&arena, schema));
    if (!json_equal(schema, again))
        fail_msg("expected %s\nfound %s", json_text(schema), json_text(again));
    json_t *properties = json_object_get(schema, "properties");
    json_t *wanted = parsed(
        "{\"ratio\": {\"type\": \"number\", \"format\": \"double\", \"minimum\": 0.1, \"maximum\":"
        " 5}, \"any\": {\"type\": \"number\", \"format\": \"double\", \"default\": 19.99},"
        " \"price\": {\"type\": \"string\", \"format\": \"decimal\", \"pattern\":"
        " \"^-?(?:0|[1-9][0-9]{0,3})(?:\\\\.[0-9]{1,2})?$\", \"x-freehold-precision\": 6,"
        " \"x-freehold-scale\": 2, \"x-freehold-minimum\": \"0.01\"},"
        " \"at\": {\"type\": [\"string\", \"null\"], \"format\": \"date-time\"},"
        " \"code\": {\"type\": \"string\", \"minLength\": 1, \"maxLength\": 9, \"description\":"
        " \"1 to 9 bytes of UTF-8\", \"pattern\":"
        " \"^(?:a[^\\\\n\\\\r\\\\u2028\\\\u2029][0-9.]\\\\\\\\+)$\"},"
        " \"free\": {\"type\": \"string\", \"maxLength\": 4096, \"pattern\":"
        " \"^(?:[A-Za-z0-9_]*)$\"},"
        " \"ids\": {\"type\": \"array\", \"maxItems\": 3, \"items\":"
        " {\"type\": \"string\", \"format\": \"uuid\"}},"
        " \"limit\": {\"type\": \"integer\", \"format\": \"int64\", \"minimum\":"
        " -9223372036854775808, \"maximum\": 9223372036854775807, \"default\": 20}}");
    if (!json_equal(properties, wanted))
        fail_msg("expected %s\nfound %s", json_text(wanted), json_text(properties));
    json_decref(wanted);
    json_decref(schema);
    json_decref(again);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_taken_with_and_without_a_fraction),
        cmocka_unit_test(a_number_reaches_the_handler_as_a_real_and_an_integer_as_an_integer),
        cmocka_unit_test(an_integer_of_more_than_64_bits_makes_no_other_inexact),
        cmocka_unit_test(decimals_keep_their_digits),
        cmocka_unit_test(decimals_are_compared_as_numbers),
        cmocka_unit_test(dates_are_days_that_there_are),
        cmocka_unit_test(other_formats_follow_their_standards),
        cmocka_unit_test(a_pattern_matches_the_whole_value),
        cmocka_unit_test(what_a_pattern_may_not_have_is_refused_with_its_place),
        cmocka_unit_test(a_pattern_says_how_long_its_values_may_be),
        cmocka_unit_test(the_longest_text_is_matched),
        cmocka_unit_test(defaults_are_there_before_the_handler),
        cmocka_unit_test(a_shape_that_can_not_work_is_refused),
        cmocka_unit_test(bounds_that_can_not_be_kept_to_are_refused),
        cmocka_unit_test(a_default_that_never_ends_is_refused),
        cmocka_unit_test(schema_of_all_kinds_comes_back),
    };
    return cmocka_run_group_tests_name("shape kinds", tests, values_start, NULL);
}
