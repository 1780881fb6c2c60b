/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order: a list of values, each greater than the one before, must be ordered so by document_compare
 * and by their keys, each compared with every other.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "store/document/key.h"
#include "store/document/value.h"

static json_t *parse(const char *text)
{
    struct fh_error error;
    json_t *value;
    if (json_parse(text, strlen(text), &value, &error))
        fail_msg("%s in: %s", error.message, text);
    return value;
}

static int sign(int number)
{
    return number < 0 ? -1 : number > 0;
}

static int compare_keys(const json_t *left, const json_t *right)
{
    struct text a, b;
    text_init(&a, TEXT_LENGTH_MAX);
    text_init(&b, TEXT_LENGTH_MAX);
    document_key_append(&a, left);
    document_key_append(&b, right);
    int order = document_key_compare(a.data, a.length, b.data, b.length);
    text_release(&a);
    text_release(&b);
    return sign(order);
}

static const char *const ladder[] = {
    "null",
    "-1e308",
    "-9223372036854775809.0e3",
    "-9223372036854775808",
    "-9223372036854775807",
    "-9007199254740993",
    "-9007199254740992",
    "-1.5",
    "-1",
    "-0.25",
    "-5e-324",
    "0",
    "5e-324",
    "0.5",
    "1",
    "1.0000000000000002",
    "2",
    "255",
    "256",
    "9007199254740991",
    "9007199254740992",
    "9007199254740993",
    "9007199254740994",
    "9007199254740995",
    "9223372036854774784",
    "9223372036854774785",
    "9223372036854775806",
    "9223372036854775807",
    "9223372036854775808.0",
    "1e308",
    "\"\"",
    "\"\\u0000\"",
    "\"\\u0000a\"",
    "\"\\u0001\"",
    "\"A\"",
    "\"a\"",
    "\"a\\u0000\"",
    "\"a\\u0000b\"",
    "\"a\\u0001\"",
    "\"aa\"",
    "\"b\"",
    "\"\u00e9\"",
    "\"\U0001f600\"",
    "{}",
    "{\"a\":null}",
    "{\"b\":null}",
    "{\"a\":1}",
    "{\"a\":1,\"b\":1}",
    "{\"a\":2}",
    "{\"aa\":1}",
    "{\"b\":1}",
    "{\"a\":\"x\"}",
    "{\"a\":{}}",
    "{\"a\":{\"b\":1}}",
    "{\"a\":[]}",
    "{\"a\":true}",
    "[]",
    "[null]",
    "[1]",
    "[1,1]",
    "[1,2]",
    "[2]",
    "[\"a\"]",
    "[\"a\",null]",
    "[\"a\",\"\"]",
    "[\"ab\"]",
    "[[]]",
    "[[1]]",
    "false",
    "true",
};

static void keys_order_as_their_values_do(void **state)
{
    (void)state;
    enum { COUNT = sizeof ladder / sizeof *ladder };
    json_t *values[COUNT];
    for (int i = 0; i < COUNT; i++)
        values[i] = parse(ladder[i]);
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j < COUNT; j++) {
            if (sign(document_compare(values[i], values[j])) != sign(i - j))
                fail_msg("document_compare of %s and %s", ladder[i], ladder[j]);
            if (compare_keys(values[i], values[j]) != sign(i - j))
                fail_msg("the keys of %s and %s", ladder[i], ladder[j]);
        }
    }
    for (int i = 0; i < COUNT; i++)
        json_decref(values[i]);
}

static void equal_values_have_one_key(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"1", "1.0"},
        {"0", "-0.0"},
        {"-9223372036854775808", "-9223372036854775808.0"},
        {"9007199254740992", "9007199254740992.0"},
        {"{\"a\":1}", "{\"a\":1.0}"},
        {"[0]", "[-0.0]"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        json_t *left = parse(pairs[i][0]), *right = parse(pairs[i][1]);
        assert_int_equal(document_compare(left, right), 0);
        assert_int_equal(compare_keys(left, right), 0);
        json_decref(left);
        json_decref(right);
    }
    assert_int_equal(compare_keys(NULL, json_null()), 0);
}

/* The keys of a document are those of `values`, in this order; "" stands for the empty array. */
static void expect_keys(const char *text, const char *path, const char *const *values, int count)
{
    json_t *document = parse(text);
    struct document_keys keys;
    assert_int_equal(document_keys_init(&keys, document, path, ERROR_UNHEEDED), FH_OK);
    if (keys.count != count)
        fail_msg("%s at %s has %d keys", text, path, keys.count);
    for (int i = 0; i < count; i++) {
        struct text key;
        text_init(&key, TEXT_LENGTH_MAX);
        if (*values[i]) {
            json_t *value = parse(values[i]);
            document_key_append(&key, value);
            json_decref(value);
        } else {
            text_append(&key, "\x01", 1);
        }
        if (document_key_compare(key.data, key.length, document_key_bytes(&keys, i),
                                 keys.items[i].length) != 0)
            fail_msg("key %d of %s at %s is not that of %s", i, text, path, values[i]);
        text_release(&key);
    }
    document_keys_release(&keys);
    json_decref(document);
}

#define EXPECT(text, path, ...)                                                                    \
    expect_keys(text, path, (const char *const[]){__VA_ARGS__},                                    \
                (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)))

static void a_document_has_a_key_for_each_value_that_a_path_reaches(void **state)
{
    (void)state;
    EXPECT("{\"a\":1}", "a", "1");
    EXPECT("{}", "a", "null");
    EXPECT("{\"a\":null}", "a", "null");
    EXPECT("{\"a\":[]}", "a", "");
    EXPECT("{\"a\":[3,1,2,1]}", "a", "1", "2", "3");
    EXPECT("{\"a\":[\"x\",1,null]}", "a", "null", "1", "\"x\"");
    EXPECT("{\"a\":[[1,2],3]}", "a", "3", "[1,2]");
    EXPECT("{\"a\":{\"b\":5}}", "a.b", "5");
    EXPECT("{\"a\":5}", "a.b", "null");
    EXPECT("{\"a\":[]}", "a.b", "null");
    EXPECT("{\"a\":[{\"b\":2},{\"b\":1},{}]}", "a.b", "null", "1", "2");
    EXPECT("{\"a\":{\"b\":5}}", "a", "{\"b\":5}");
    EXPECT("{\"a\":[9,8,7,6,5,4,3,2,1,0,19,18,17,16,15,14,13,12,11,10]}", "a", "0", "1", "2", "3",
           "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18",
           "19");
}

static void a_documents_keys_are_bounded(void **state)
{
    (void)state;
    json_t *document = json_object(), *array = json_array();
    json_object_set_new(document, "a", array);
    for (int i = 0; i < DOCUMENT_KEYS_MAX; i++)
        json_array_append_new(array, json_integer(i));
    struct document_keys keys;
    assert_int_equal(document_keys_init(&keys, document, "a", ERROR_UNHEEDED), FH_OK);
    assert_int_equal(keys.count, DOCUMENT_KEYS_MAX);
    document_keys_release(&keys);
    json_array_append_new(array, json_integer(-1));
    struct fh_error error;
    assert_int_equal(document_keys_init(&keys, document, "a", &error), FH_INVALID);
    assert_string_equal(error.field, "a");
    json_decref(document);
}

int main(void)
{
    json_memory_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_order_as_their_values_do),
        cmocka_unit_test(equal_values_have_one_key),
        cmocka_unit_test(a_document_has_a_key_for_each_value_that_a_path_reaches),
        cmocka_unit_test(a_documents_keys_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
