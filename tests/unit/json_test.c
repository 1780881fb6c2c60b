/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: strict parsing, memory of arena and heap mixed, and looking values up. */

#include "../support/starved.h"
#include "../support/values.h"

static int start(void **state)
{
    (void)state;
    json_memory_init();
    json_memory_init();
    return 0;
}

static void refused(const char *text, size_t length)
{
    json_t *value = (json_t *)1;
    struct fh_error error = {0};
    assert_int_equal(json_parse(text, length, &value, &error), FH_INVALID);
    assert_null(value);
    assert_true(strlen(error.message) > 10);
}

static void json_of_every_kind_reads_back_as_it_was(void **state)
{
    (void)state;
    const char *const texts[] = {
        "{}",
        "[]",
        "\"\"",
        "0",
        "-1",
        "9007199254740993",
        "true",
        "null",
        "\"\\u0000\"",
        "{\"b\":1,\"a\":[1,2.5,{\"c\":null}]}",
        "\"Grüße, 你好, 🙂\"",
        "9223372036854775807",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        json_t *value = parsed(texts[i]);
        char *text = json_text(value);
        assert_string_equal(text, texts[i]);
        json_text_free(text);
        json_decref(value);
    }
}

/* jansson's own writer is the reference. */
static void values_are_written_as_jansson_writes_them(void **state)
{
    (void)state;
    json_t *value = json_pack("{s:[i, I, I, f, n, b, b], s:{}, s:[], s:{s:[[{}]]}}", "numbers", -7,
                              (json_int_t)INT64_MIN, (json_int_t)INT64_MAX, 1.5, 1, 0, "empty",
                              "none", "deep", "a\"b\\c/\n");
    char every[256];
    for (int i = 0; i < 128; i++)
        every[i] = (char)i;
    json_object_set_new(value, "every", json_stringn(every, 128));
    json_object_set_new(value, "other", json_string("\x7f äöü \u2028 🙂"));
    char *text = json_text(value), *wanted = json_dumps(value, JSON_COMPACT);
    assert_string_equal(text, wanted);
    json_text_free(text);
    json_text_free(wanted);
    json_decref(value);
}

/* With a space before it another path reads it. */
static void a_lone_number_is_read_as_within_a_text(void **state)
{
    (void)state;
    static const char *const texts[] = {"0",
                                        "7",
                                        "-7",
                                        "10",
                                        "-0",
                                        "00",
                                        "01",
                                        "-01",
                                        "-",
                                        "--1",
                                        "+1",
                                        "1.5",
                                        "1e3",
                                        "12a",
                                        "999999999999999999",
                                        "-999999999999999999",
                                        "9223372036854775807",
                                        "-9223372036854775808",
                                        "9223372036854775808"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char spaced[32];
        json_t *alone, *within;
        snprintf(spaced, sizeof spaced, " %s", texts[i]);
        enum fh_code code = json_parse(texts[i], strlen(texts[i]), &alone, ERROR_UNHEEDED);
        assert_int_equal(code, json_parse(spaced, strlen(spaced), &within, ERROR_UNHEEDED));
        assert_true(code ? !alone && !within : json_equal(alone, within));
        json_decref(alone);
        json_decref(within);
    }
}

static const char *const judged[] = {
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\u20AC\\ud83d\\ude42 and \\u0000\"",
    "{\"a\\u0062\":1,\"ab\":2}",
    "{\"a\":1,\"b\":2,\"a\":3}",
    "{\"a\\u0000\":1}",
    "{\"\":[{},[],[[]],{\"a\":{}}],\"\xc3\xa4\":\"\xc3\xa4\"}",
    " \t\r\n[ 1 , -1 ,\t0 ,\n1.5 , -0 , -0.0, 1e3 , 1E-3 , 1.25e+7 ] \n",
    "[true,false,null]",
    "[999999999999999999,1000000000000000000,9223372036854775807,-9223372036854775808]",
    "\"\\ud83d\"",
    "\"\\ud83d\\u0041\"",
    "\"\\ud83dxude42\"",
    "\"\\ude42\"",
    "\"\\u12g4\"",
    "\"\\u12",
    "\"\\u123\"",
    "\"\\x\"",
    "\"\\\n\"",
    "\"\\",
    "\"\\\"",
    "\"",
    "\"\n\"",
    "\"\xff\"",
    "\"\xc3\"",
    "{\"\xff\":1}",
    "\"\xed\xa0\x80\"",
    "[1 2]",
    "[1,]",
    "[,1]",
    "[",
    "[1",
    "[1}",
    "]",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{a:1}",
    "{1:1}",
    "{\"a\" \"b\"}",
    "{\"a\":1 \"b\":2}",
    "truex",
    "tru",
    "nul",
    "[truefalse]",
    "True",
    "1 1",
    "1-2",
    "1.",
    ".5",
    "1e",
    "-",
    "01",
    "0x1",
    "1e999",
    "\xef\xbb\xbf"
    "1",
};

/* jansson's own reader is the reference. */
static void texts_are_read_as_jansson_reads_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof judged / sizeof judged[0]; i++) {
        json_t *value = NULL;
        json_t *expected =
            json_loadb(judged[i], strlen(judged[i]),
                       JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        enum fh_code code = json_parse(judged[i], strlen(judged[i]), &value, ERROR_UNHEEDED);
        assert_int_equal(code, expected ? FH_OK : FH_INVALID);
        assert_true(expected ? json_equal(value, expected) : !value);
        json_decref(value);
        json_decref(expected);
    }
}

static void integers_beyond_64_bits_are_read_as_reals(void **state)
{
    (void)state;
    char longest[512] = "-";
    memset(longest + 1, '0', 309);
    longest[1] = '1';
    json_t *value = parsed("{\"a\":[9223372036854775808,-9223372036854775809],\"b\":1e3}");
    json_t *list = json_object_get(value, "a");
    assert_true(json_real_value(json_array_get(list, 0)) == 9223372036854775808.0);
    assert_true(json_is_real(json_array_get(list, 1)));
    json_decref(value);
    value = parsed(longest);
    assert_true(json_real_value(value) == -1e308);
    json_decref(value);
    memset(longest + 1, '9', 400);
    refused(longest, strlen(longest));
}

static void reals_read_back_as_the_same_value(void **state)
{
    (void)state;
    const double reals[] = {19.99, 0.1, 0.1 + 0.2, 1e300, 5e-324, -2.5, 1.0 / 3};
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++) {
        json_t *value = json_real(reals[i]);
        char *text = json_text(value);
        json_t *again = parsed(text);
        assert_true(json_is_real(again));
        assert_memory_equal(&(double){json_real_value(again)}, &reals[i], sizeof(double));
        json_text_free(text);
        json_decref(value);
        json_decref(again);
    }
}

static void reals_have_the_fewest_digits(void **state)
{
    (void)state;
    static const struct {
        double real;
        const char *text;
    } written[] = {{19.99, "19.99"},
                   {0.1, "0.1"},
                   {0.1 + 0.2, "0.30000000000000004"},
                   {5, "5.0"},
                   {-0.0, "-0.0"},
                   {1e22, "1e22"},
                   {1e15, "1e15"},
                   {123456789012345, "123456789012345.0"},
                   {1.5e-7, "1.5e-7"},
                   {1.0 / 3, "0.3333333333333333"},
                   {5e-324, "5e-324"},
                   {1.7976931348623157e308, "1.7976931348623157e308"}};
    for (size_t i = 0; i < sizeof written / sizeof written[0]; i++) {
        json_t *value = json_real(written[i].real);
        char *text = json_text(value);
        assert_string_equal(text, written[i].text);
        json_text_free(text);
        json_decref(value);
    }
}

static void what_rfc_8259_refuses_is_refused(void **state)
{
    (void)state;
    const char *const texts[] = {
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "'a'",
        "01",
        "+1",
        ".5",
        "1.",
        "0x10",
        "NaN",
        "Infinity",
        "[1 2]",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"tab\there\"",
        "1 2",
        "{} []",
        "tru",
        "// a\n1",
        "\xef\xbb\xbf{}",
        "1e999",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        refused(texts[i], strlen(texts[i]));
}

static void what_is_refused_is_not_quoted(void **state)
{
    static const char text[] = "{\"password\":\n  \"hunter2\" 1}";
    json_t *value;
    struct fh_error error = {0};
    (void)state;
    assert_int_equal(json_parse(text, strlen(text), &value, &error), FH_INVALID);
    assert_string_equal(error.message, "Not valid JSON: line 2, column 13: '}' expected.");
    assert_int_equal(json_parse("{\"p\":hunter2", 12, &value, &error), FH_INVALID);
    assert_null(strstr(error.message, "hunter"));
}

static void invalid_utf8_and_raw_nul_are_refused(void **state)
{
    (void)state;
    refused("\"\xff\"", 3);
    refused("\"\xc0\xaf\"", 4);
    refused("\"\xed\xa0\x80\"", 5);
    refused("\"\xf4\x90\x80\x80\"", 6);
    refused("{\"\xc3\":1}", 7);
    refused("\"a\0b\"", 5);
    refused("{}\0", 3);
    refused("123\0", 4);
    refused("123\0x", 5);
    refused("\0", 1);
}

static void keys_with_nul_or_given_twice_are_refused(void **state)
{
    (void)state;
    struct fh_error error;
    json_t *value;
    const char twice[] = "{\"id\": 1,\n \"id\": 2}";
    assert_int_equal(json_parse(twice, sizeof twice - 1, &value, &error), FH_INVALID);
    assert_non_null(strstr(error.message, "line 2"));
    assert_non_null(strstr(error.message, "duplicate"));
    refused("{\"a\\u0000b\": 1}", 15);
    refused("{\"id\": 1, \"\\u0069d\": 2}", 23);
}

static void nesting_is_taken_to_the_bound_and_refused_beyond(void **state)
{
    (void)state;
    char text[2 * JSON_DEPTH_MAX + 3];
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    text[2 * JSON_DEPTH_MAX] = '\0';
    json_decref(parsed(text));
    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    refused(text, sizeof text - 1);

    size_t bomb_length = 1u << 20;
    char *bomb = malloc(bomb_length);
    assert_non_null(bomb);
    memset(bomb, '[', bomb_length);
    refused(bomb, bomb_length);
    for (size_t i = 0; i + 5 <= bomb_length; i += 5)
        memcpy(bomb + i, "{\"a\":", 5);
    refused(bomb, bomb_length);
    free(bomb);
}

static void brackets_inside_strings_are_no_nesting(void **state)
{
    (void)state;
    char text[300] = "[\"\\\"";
    size_t length = strlen(text);
    memset(text + length, '[', 200);
    memcpy(text + length + 200, "\\\\\"]", 5);
    json_decref(parsed(text));
}

static void values_of_arena_and_heap_are_each_freed_where_they_belong(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    json_t *heap = parsed("{\"from\": \"heap\"}");

    assert_null(json_arena_set(&arena));
    json_t *inside = parsed("{\"from\": \"arena\", \"list\": [1, 2, 3]}");
    assert_true(arena.size > 0);
    json_decref(heap); /* of the heap, freed while an arena is set: must not leak */
    json_t *kept = json_copy_out(inside);
    char *text = json_text(inside);
    assert_string_equal(text, "{\"from\":\"arena\",\"list\":[1,2,3]}");
    assert_ptr_equal(json_arena_set(NULL), &arena);

    json_text_free(text); /* of the arena: nothing happens */
    json_decref(inside);  /* likewise, with no arena set */
    arena_release(&arena);

    assert_string_equal(json_string_at(kept, "from"), "arena");
    assert_int_equal(json_array_size(json_object_get(kept, "list")), 3);
    json_decref(kept);
}

/* What was read up to its fault takes none of the memory in which jansson finds that. */
static void a_long_text_is_told_where_it_is_wrong(void **state)
{
    (void)state;
    struct text text;
    struct arena arena;
    struct fh_error error;
    json_t *value;
    text_init(&text, TEXT_LENGTH_MAX);
    for (int i = 0; i < 2000; i++)
        text_add(&text, i ? ",{\"a\":1}" : "[{\"a\":1}");
    text_add(&text, "]");
    arena_init(&arena, ARENA_SIZE_MAX);
    json_arena_set(&arena);
    json_decref(parsed(text.data));
    size_t size = arena.size;
    arena_release(&arena);
    text.data[text.length - 1] = 'x';
    arena_init(&arena, 2 * size); /* of which a reader may have three quarters */
    assert_int_equal(json_parse(text.data, text.length, &value, &error), FH_INVALID);
    assert_non_null(strstr(error.message, "line 1, column 16001"));
    json_arena_set(NULL);
    arena_release(&arena);
    text_release(&text);
}

static void copying_out_brings_the_arena_back(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    json_arena_set(&arena);
    json_t *copy = json_copy_out(json_string("kept"));
    assert_ptr_equal(json_arena_set(NULL), &arena);
    arena_release(&arena);
    assert_string_equal(json_string_value(copy), "kept");
    json_decref(copy);
}

static void a_copy_of_all_is_equal_and_shares_nothing(void **state)
{
    (void)state;
    json_t *value =
        parsed("{\"a\": [1, -2.5, true, null, \"\\u0000ä\", [], {}], \"b\": {\"c\": {}}}");
    json_t *copy = json_copy_all(value);
    assert_true(json_equal(copy, value));
    json_array_append_new(json_object_get(copy, "a"), json_integer(3));
    json_object_set_new(json_at(copy, "b.c"), "d", json_null());
    assert_int_equal(json_array_size(json_object_get(value, "a")), 7);
    assert_int_equal(json_object_size(json_at(value, "b.c")), 0);
    json_decref(value);
    json_decref(copy);
    assert_null(json_copy_all(NULL));
}

static void bytes_that_no_character_explains_are_told_as_such(void **state)
{
    static const struct {
        const char *bytes, *expected;
    } all[] = {{"", ""},
               {"Müll 🙂", "Müll 🙂"},
               {"M\374ll", "M\ufffdll"},
               {"\xff\xfe", "\ufffd\ufffd"},
               {"ä\xc3", "ä\ufffd"},
               {"\xc3ä\xf0\x9f\x99", "\ufffdä\ufffd\ufffd\ufffd"},
               {"\xed\xa0\x80", "\ufffd\ufffd\ufffd"}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        json_t *value = json_string_lossy(all[i].bytes);
        assert_string_equal(json_string_value(value), all[i].expected);
        json_decref(value);
    }
}

static void a_text_that_would_fill_the_arena_is_refused_and_leaves_space(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, (size_t)1 << 20);
    size_t length = (size_t)1 << 19;
    char *text = malloc(length);
    assert_non_null(text);
    for (size_t i = 0; i < length; i += 2)
        memcpy(text + i, i ? "1," : " [", 2);
    text[length - 1] = ']';
    json_t *value;
    struct fh_error error = {0};
    json_arena_set(&arena);
    enum fh_code code = json_parse(text, length, &value, &error);
    json_t *answer = json_pack("{ss}", "title", "the refusal is written in the same arena");
    json_arena_set(NULL);
    free(text);
    assert_int_equal(code, FH_NO_MEMORY);
    assert_null(value);
    assert_non_null(strstr(error.message, "memory"));
    assert_non_null(answer);
    assert_true(arena.size <= (size_t)1 << 20);
    arena_release(&arena);
}

static void values_are_found_by_path(void **state)
{
    (void)state;
    json_t *value =
        parsed("{\"user\": {\"name\": \"Ada\", \"age\": 36, \"big\": \"9007199254740993\","
               " \"a\": {\"b\": 1}}, \"\": 5}");
    assert_string_equal(json_string_at(value, "user.name"), "Ada");
    assert_null(json_string_at(value, "user.age"));
    assert_null(json_at(value, "user.none"));
    assert_null(json_at(value, "user.name.first"));
    assert_null(json_at(value, "none.name"));
    assert_null(json_at(NULL, "user"));
    assert_ptr_equal(json_at(value, ""), value);
    json_int_t integer = 0;
    assert_true(json_integer_at(value, "user.age", &integer));
    assert_int_equal(integer, 36);
    assert_true(json_integer_at(value, "user.big", &integer));
    assert_true(integer == 9007199254740993);
    assert_true(json_integer_at(value, "user.a.b", &integer));
    assert_int_equal(integer, 1);
    assert_false(json_integer_at(value, "user.a", &integer));
    json_decref(value);
}

static void strings_that_are_no_whole_integers_are_none(void **state)
{
    (void)state;
    json_int_t integer;
    const char *const none[] = {"",
                                "-",
                                " 1",
                                "1 ",
                                "+1",
                                "1x",
                                "0x1",
                                "1.0",
                                "1e3",
                                "--1",
                                "9223372036854775808",
                                "-9223372036854775809"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        json_t *value = json_pack("{ss}", "n", none[i]);
        assert_false(json_integer_at(value, "n", &integer));
        json_decref(value);
    }
    json_t *value = json_pack("{ss#ss}", "n", "1\0002", 3, "least", "-9223372036854775808");
    assert_false(json_integer_at(value, "n", &integer));
    assert_true(json_integer_at(value, "least", &integer));
    assert_true(integer == INT64_MIN);
    json_decref(value);
}

static void a_long_text_takes_its_own_length_of_the_arena_and_no_more(void **state)
{
    (void)state;
    const size_t length = (size_t)20 << 20;
    char *letters = malloc(length);
    assert_non_null(letters);
    json_t *value = json_stringn(memset(letters, 'x', length), length);
    struct arena arena;
    arena_init(&arena, length + ((size_t)1 << 20));
    json_arena_set(&arena);
    char *text = json_text(value);
    json_arena_set(NULL);
    assert_int_equal(strlen(text), length + 2);
    arena_release(&arena);
    json_decref(value);
    free(letters);
}

static void memory_that_ends_anywhere_in_a_text_ends_no_process(void **state)
{
    (void)state;
    static const char text[] = "[[\"0123456789abcde\", \"a text that is longer than a line of it, "
                               "and longer, and longer\"],"
                               " {\"a name of its own, and not a short one\": 123456789012345, "
                               "\"b\": [1.25e-7, true]}, [zzzz]]";
    for (size_t size = 0; size < 6000; size += 8) {
        struct arena arena;
        json_t *value;
        struct fh_error error;
        arena_init(&arena, size);
        json_arena_set(&arena);
        for (size_t cut = 8; cut < sizeof text; cut += 16) {
            enum fh_code code = json_parse(text, cut, &value, &error);
            assert_true(code == FH_INVALID || code == FH_NO_MEMORY);
        }
        json_arena_set(NULL);
        arena_release(&arena);
    }
}

static json_t *growing;

static void set_member(void)
{
    json_object_set_new(growing, "price", json_integer(5));
}

static void read_member(void)
{
    json_t *value;
    if (json_parse("{\"price\":5}", 11, &value, ERROR_UNHEEDED) != FH_NO_MEMORY)
        _exit(1);
}

/* Nobody asks of each member whether it was taken. */
static void without_memory_no_value_lacks_a_member(void **state)
{
    (void)state;
    if (SANITIZED)
        SKIP_BECAUSE("memory ends otherwise with sanitizers");
    growing = json_object();
    assert_int_equal(ended_without_memory(set_member), SIGABRT);
    assert_int_equal(ended_without_memory(read_member), 0);
    json_decref(growing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_of_every_kind_reads_back_as_it_was),
        cmocka_unit_test(values_are_written_as_jansson_writes_them),
        cmocka_unit_test(a_lone_number_is_read_as_within_a_text),
        cmocka_unit_test(texts_are_read_as_jansson_reads_them),
        cmocka_unit_test(integers_beyond_64_bits_are_read_as_reals),
        cmocka_unit_test(reals_read_back_as_the_same_value),
        cmocka_unit_test(reals_have_the_fewest_digits),
        cmocka_unit_test(what_rfc_8259_refuses_is_refused),
        cmocka_unit_test(what_is_refused_is_not_quoted),
        cmocka_unit_test(invalid_utf8_and_raw_nul_are_refused),
        cmocka_unit_test(keys_with_nul_or_given_twice_are_refused),
        cmocka_unit_test(memory_that_ends_anywhere_in_a_text_ends_no_process),
        cmocka_unit_test(nesting_is_taken_to_the_bound_and_refused_beyond),
        cmocka_unit_test(brackets_inside_strings_are_no_nesting),
        cmocka_unit_test(values_of_arena_and_heap_are_each_freed_where_they_belong),
        cmocka_unit_test(a_long_text_is_told_where_it_is_wrong),
        cmocka_unit_test(copying_out_brings_the_arena_back),
        cmocka_unit_test(a_copy_of_all_is_equal_and_shares_nothing),
        cmocka_unit_test(bytes_that_no_character_explains_are_told_as_such),
        cmocka_unit_test(a_text_that_would_fill_the_arena_is_refused_and_leaves_space),
        cmocka_unit_test(a_long_text_takes_its_own_length_of_the_arena_and_no_more),
        cmocka_unit_test(values_are_found_by_path),
        cmocka_unit_test(strings_that_are_no_whole_integers_are_none),
        cmocka_unit_test(without_memory_no_value_lacks_a_member),
    };
    return cmocka_run_group_tests_name("json", tests, start, NULL);
}
