/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns, queries and templates: what fits, what is refused, and that values survive the round
 * trip. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "http/path.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What the names took, as compact JSON with sorted keys; "no" where nothing fits. */
static void assert_match(const char *pattern, const char *path, const char *expected)
{
    json_t *values;
    bool fits = path_match(pattern, path, &values);
    assert_int_equal(fits, path_match(pattern, path, NULL));
    if (!fits) {
        assert_null(values);
        assert_string_equal("no", expected);
        return;
    }
    char *text = json_dumps(values, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, expected);
    json_text_free(text);
    json_decref(values);
}

static void literal_paths_match_segment_by_segment(void **state)
{
    (void)state;
    assert_match("/", "/", "{}");
    assert_match("/api/users", "/api/users", "{}");
    assert_match("/api/users", "/api/user", "no");
    assert_match("/api/users", "/api/userss", "no");
    assert_match("/api/users", "/api/users/", "no");
    assert_match("/api/users", "/api/users/7", "no");
    assert_match("/api/users", "/api", "no");
    assert_match("/api/users", "/", "no");
    assert_match("/api/users", "", "no");
    assert_match("/api/users", "api/users", "no");
    assert_match("/api/users", "//api/users", "no");
    assert_match("/api/users", "/api//users", "no");
    assert_match("/", "//", "no");
    assert_match("/api/users", "/API/users", "no");
}

static void literal_segments_may_be_escaped_but_not_their_separators(void **state)
{
    (void)state;
    assert_match("/api/users", "/api/%75sers", "{}");
    assert_match("/api/users", "/%61%70%69/%75%73%65%72%73", "{}");
    assert_match("/api/users", "/api%2Fusers", "no");
    assert_match("/api/users", "/api/users%", "no");
    assert_match("/api/users", "/api/user%7", "no");
    assert_match("/api/users", "/api/users%00", "no");
    assert_match("/api/users", "/api/user%zz", "no");
}

static void names_take_whole_decoded_segments(void **state)
{
    (void)state;
    assert_match("/api/users/{id}", "/api/users/7", "{\"id\":\"7\"}");
    assert_match("/api/users/{id}", "/api/users/a%20b", "{\"id\":\"a b\"}");
    assert_match("/api/users/{id}", "/api/users/a+b", "{\"id\":\"a+b\"}");
    assert_match("/api/users/{id}", "/api/users/%7Bid%7D", "{\"id\":\"{id}\"}");
    assert_match("/api/users/{id}", "/api/users/%C3%A9", "{\"id\":\"\xC3\xA9\"}");
    assert_match("/{a}/x/{b}", "/1/x/2", "{\"a\":\"1\",\"b\":\"2\"}");
    assert_match("/{a}/x/{b}", "/1/y/2", "no");
    assert_match("/api/users/{id}", "/api/users/7/8", "no");
}

static void an_encoded_slash_is_data_and_never_a_separator(void **state)
{
    (void)state;
    assert_match("/api/users/{id}", "/api/users/a%2Fb", "{\"id\":\"a/b\"}");
    assert_match("/api/users/{id}", "/api/users/a%2fb", "{\"id\":\"a/b\"}");
    assert_match("/api/users/{id}/orders", "/api/users/a%2Forders", "no");
}

static void values_are_decoded_once(void **state)
{
    (void)state;
    assert_match("/{id}", "/%252F", "{\"id\":\"%2F\"}");
    assert_match("/{id}", "/%2500", "{\"id\":\"%00\"}");
}

static void malformed_segments_fit_no_name(void **state)
{
    (void)state;
    static const char *const segments[] = {
        "",      "%",   "%4",  "%4g",    "%g4",       "x%",     "%00",
        "1%00x", "%FF", "%C3", "%C3%28", "%ED%A0%80", "%C0%AF", "%F4%90%80%80",
        ".",     "..",  "%2e", "%2E%2e", "\xFF",
    };
    for (size_t i = 0; i < COUNT(segments); i++) {
        char path[64];
        snprintf(path, sizeof path, "/api/users/%s", segments[i]);
        assert_match("/api/users/{id}", path, "no");
    }
    assert_match("/api/users/{id}", "/api/users/...", "{\"id\":\"...\"}");
    assert_match("/api/{id}/orders", "/api//orders", "no");
}

static void long_values_are_taken_whole(void **state)
{
    (void)state;
    char path[4002] = "/", expected[1100];
    for (int i = 0; i < 1000; i++)
        memcpy(path + 1 + 3 * i, "%61", 4);
    snprintf(expected, sizeof expected, "{\"id\":\"");
    memset(expected + 7, 'a', 1000);
    memcpy(expected + 1007, "\"}", 3);
    assert_match("/{id}", path, expected);
}

static void int_names_take_integers_of_at_most_18_digits(void **state)
{
    (void)state;
    assert_match("/{id:int}", "/0", "{\"id\":0}");
    assert_match("/{id:int}", "/7", "{\"id\":7}");
    assert_match("/{id:int}", "/-7", "{\"id\":-7}");
    assert_match("/{id:int}", "/%37", "{\"id\":7}");
    assert_match("/{id:int}", "/999999999999999999", "{\"id\":999999999999999999}");
    assert_match("/{id:int}", "/-999999999999999999", "{\"id\":-999999999999999999}");
    static const char *const unfit[] = {
        "/",         "/a",  "/7a", "/-",   "/--7", "/+7",   "/ 7",   "/7%20",
        "/007",      "/-0", "/7.", "/1e3", "/0x7", "/7%2F", "/7%00", "/1000000000000000000",
        "/\xD9\xA7",
    };
    for (size_t i = 0; i < COUNT(unfit); i++)
        assert_match("/{id:int}", unfit[i], "no");
}

static void literals_are_counted_so_that_the_more_exact_pattern_wins(void **state)
{
    (void)state;
    assert_int_equal(path_literals("/api/users/{id}"), 2);
    assert_int_equal(path_literals("/api/users/me"), 3);
    assert_int_equal(path_literals("/{a}/{b}"), 0);
}

static void wrong_patterns_are_named(void **state)
{
    (void)state;
    static const char *const good[] = {"/", "/api/users", "/api/users/{id}",
                                       "/{a_1:int}/{B}/x.y~-z"};
    for (size_t i = 0; i < COUNT(good); i++)
        assert_int_equal(path_check(good[i], ERROR_UNHEEDED), FH_OK);
    static const struct {
        const char *pattern, *says;
    } bad[] = {
        {"/{a:int}b:int}", "only type"},
        {"", "does not begin with '/'"},
        {"api", "does not begin with '/'"},
        {"/api//x", "empty segment"},
        {"/api/", "empty segment"},
        {"/api/{id:uuid}", "only type is int"},
        {"/api/{}", "nothing but a {name}"},
        {"/api/{i d}", "letters, digits"},
        {"/api/{id}/{id}", "twice"},
        {"/api/x{id}", "nothing but a {name}"},
        {"/api/{id", "nothing but a {name}"},
        {"/api/..", "nothing but a {name}"},
        {"/api/a%20b", "nothing but a {name}"},
        {"/api?x=1", "nothing but a {name}"},
        {"/api/{:int}", "letters, digits"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct fh_error error = {0};
        assert_int_equal(path_check(bad[i].pattern, &error), FH_INVALID);
        if (!strstr(error.message, bad[i].says))
            fail_msg("%s: %s", bad[i].pattern, error.message);
    }
}

static void assert_query(const char *query, const char *expected)
{
    json_t *parameters;
    struct fh_error error = {0};
    if (path_query(query, &parameters, &error) != FH_OK) {
        assert_null(parameters);
        assert_int_equal(error.code, FH_INVALID);
        if (!strstr(error.message, expected))
            fail_msg("%s: %s", query, error.message);
        return;
    }
    char *text = json_dumps(parameters, JSON_COMPACT);
    assert_string_equal(text, expected);
    json_text_free(text);
    json_decref(parameters);
}

static void queries_become_objects_of_strings(void **state)
{
    (void)state;
    assert_query("", "{}");
    assert_query("a=1&b=x%20y", "{\"a\":\"1\",\"b\":\"x y\"}");
    assert_query("a=x+y", "{\"a\":\"x y\"}");
    assert_query("a=x%2By", "{\"a\":\"x+y\"}");
    assert_query("a", "{\"a\":\"\"}");
    assert_query("a=", "{\"a\":\"\"}");
    assert_query("a=b=c", "{\"a\":\"b=c\"}");
    assert_query("a=1%262", "{\"a\":\"1&2\"}");
    assert_query("%61=1", "{\"a\":\"1\"}");
    assert_query("&a=1&&b=2&", "{\"a\":\"1\",\"b\":\"2\"}");
    assert_query("ids=1,2,3", "{\"ids\":\"1,2,3\"}");
    assert_query("a=%C3%A9", "{\"a\":\"\xC3\xA9\"}");
}

static void malformed_queries_are_refused_with_the_parameters_name(void **state)
{
    (void)state;
    assert_query("a=%", "\"a\" has a '%'");
    assert_query("a=%4", "\"a\" has a '%'");
    assert_query("a=%zz", "\"a\" has a '%'");
    assert_query("a=%00", "\"a\" has a NUL");
    assert_query("a=%FF", "\"a\" has bytes that are not UTF-8");
    assert_query("%FF=a", "name has bytes that are not UTF-8");
    assert_query("%00=a", "name has a NUL");
    assert_query("a=1&b=2&a=3", "\"a\" is given twice");
    assert_query("a=1&%61=3", "\"a\" is given twice");
    assert_query("=1", "no name");
}

static void queries_are_bounded_in_names(void **state)
{
    (void)state;
    char query[65 * 6 + 1] = "";
    size_t length = 0;
    for (int i = 0; i < 64; i++)
        length += (size_t)snprintf(query + length, sizeof query - length, "a%d=1&", i);
    json_t *parameters;
    assert_int_equal(path_query(query, &parameters, ERROR_UNHEEDED), FH_OK);
    assert_int_equal(json_object_size(parameters), 64);
    json_decref(parameters);
    snprintf(query + length, sizeof query - length, "z=1");
    assert_query(query, "more than 64 parameters");
}

static enum fh_code unfilled; /* of the last template that could not be filled */

static void assert_fill(const char *pattern, const char *first, const char *second,
                        const char *expected)
{
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    json_t *objects[2] = {NULL, NULL};
    struct fh_error error = {0};
    if (first)
        assert_int_equal(json_parse(first, strlen(first), &objects[0], &error), FH_OK);
    if (second)
        assert_int_equal(json_parse(second, strlen(second), &objects[1], &error), FH_OK);
    const char *filled;
    if (path_fill(&arena, pattern, objects, 2, &filled, &error) == FH_OK) {
        assert_string_equal(filled, expected);
    } else {
        assert_null(filled);
        unfilled = error.code;
        if (!strstr(error.message, expected))
            fail_msg("%s: %s", pattern, error.message);
    }
    json_decref(objects[0]);
    json_decref(objects[1]);
    arena_release(&arena);
}

static void templates_are_filled_from_objects_in_order(void **state)
{
    (void)state;
    assert_fill("/api/users", NULL, NULL, "/api/users");
    assert_fill("/api/users/{id}", "{\"id\": 7}", NULL, "/api/users/7");
    assert_fill("/api/users/{id}", "{\"id\": \"7\"}", "{\"id\": \"8\"}", "/api/users/7");
    assert_fill("/api/users/{id}", "{\"x\": 1}", "{\"id\": \"8\"}", "/api/users/8");
    assert_fill("/api/users/{id}", NULL, "{\"id\": \"8\"}", "/api/users/8");
    assert_fill("/{user.id}/{a}", "{\"user\": {\"id\": -5}, \"a\": true}", NULL, "/-5/true");
    assert_fill("/r?quantity={quantity}&x={x}", "{\"quantity\": 2, \"x\": false}", NULL,
                "/r?quantity=2&x=false");
}

static void inserted_values_are_percent_encoded(void **state)
{
    (void)state;
    assert_fill("/{id}", "{\"id\": \"a/b?c#d%e f\"}", NULL, "/a%2Fb%3Fc%23d%25e%20f");
    assert_fill("/x?q={q}", "{\"q\": \"a&b=c+d\"}", NULL, "/x?q=a%26b%3Dc%2Bd");
    assert_fill("/{id}", "{\"id\": \"A-z_0.9~\"}", NULL, "/A-z_0.9~");
    assert_fill("/{id}", "{\"id\": \"\xC3\xA9\"}", NULL, "/%C3%A9");
    assert_fill("/{id}", "{\"id\": \"{x}\"}", NULL, "/%7Bx%7D");
}

static void lists_are_joined_with_commas(void **state)
{
    (void)state;
    assert_fill("/x?ids={ids}", "{\"ids\": [1, \"b c\", true]}", NULL, "/x?ids=1,b%20c,true");
    assert_fill("/x?ids={ids}", "{\"ids\": []}", NULL, "/x?ids=");
    assert_fill("/x/{ids}", "{\"ids\": [1, 2]}", NULL, "/x/1,2");
    assert_fill("/x?ids={ids}", "{\"ids\": [[1]]}", NULL, "a list within a list");
    assert_int_equal(unfilled, FH_INVALID);
    assert_fill("/x?ids={ids}", "{\"ids\": [\"a,b\"]}", NULL, "holds a comma");
    assert_int_equal(unfilled, FH_NOT_FOUND);
}

static void unfit_values_are_named(void **state)
{
    (void)state;
    static const char *const unfit[][3] = {
        {"/{id}", "{}", "needs {id}, and none was given"},
        {"/{user.id}", "{\"user\": 7}", "needs {user.id}"},
        {"/{id}", "{\"id\": null}", "{id}, which is null"},
        {"/{id}", "{\"id\": {}}", "an object"},
        {"/{id}", "{\"id\": 1.5}", "a number that is not an integer"},
    };
    static const char *const nowhere[][3] = {
        {"/{id}", "{\"id\": \"a\\u0000b\"}", "NUL"},
        {"/{id}", "{\"id\": \"\"}", "not a segment"},
        {"/{id}/x", "{\"id\": \".\"}", "not a segment"},
        {"/{id}?x=1", "{\"id\": \"..\"}", "The path /{id} needs {id}"},
    };
    for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++) {
        assert_fill(unfit[i][0], unfit[i][1], NULL, unfit[i][2]);
        assert_int_equal(unfilled, FH_INVALID);
    }
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
        assert_fill(nowhere[i][0], nowhere[i][1], NULL, nowhere[i][2]);
        assert_int_equal(unfilled, FH_NOT_FOUND);
    }
    assert_fill("/x?q={q}", "{\"q\": \"..\"}", NULL, "/x?q=..");
    assert_fill("/x?q={q}", "{\"q\": \"\"}", NULL, "/x?q=");
}

static void wrong_templates_are_named(void **state)
{
    (void)state;
    assert_fill("x/{id}", "{\"id\": 1}", NULL, "does not begin with '/'");
    assert_fill("/{id", "{\"id\": 1}", NULL, "has a '{'");
    assert_fill("/{}", "{\"id\": 1}", NULL, "has a '{'");
    assert_fill("/{{id}}", "{\"id\": 1}", NULL, "has a '{'");
    assert_fill("/id}", "{\"id\": 1}", NULL, "has a '}'");
    assert_int_equal(unfilled, FH_INVALID);
}

static void a_filled_path_is_bounded(void **state)
{
    (void)state;
    char object[30100];
    snprintf(object, sizeof object, "{\"id\": \"");
    memset(object + 8, 'a', 30000);
    memcpy(object + 30008, "\"}", 3);
    assert_fill("/{id}", object, NULL, "longer than");
}

static void what_is_filled_in_is_matched_again(void **state)
{
    (void)state;
    static const char *const values[] = {"7",     "a/b",          "%",    "%00",
                                         "a b+c", "\xE2\x82\xAC", "{id}", "?#&"};
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    for (size_t i = 0; i < COUNT(values); i++) {
        json_t *object = json_pack("{s:s}", "id", values[i]), *taken;
        const char *filled;
        assert_int_equal(path_fill(&arena, "/x/{id}", &object, 1, &filled, ERROR_UNHEEDED), FH_OK);
        assert_true(path_match("/x/{id}", filled, &taken));
        assert_true(json_equal(object, taken));
        json_decref(taken);
        assert_int_equal(path_fill(&arena, "/x?id={id}", &object, 1, &filled, ERROR_UNHEEDED),
                         FH_OK);
        assert_int_equal(path_query(strchr(filled, '?') + 1, &taken, ERROR_UNHEEDED), FH_OK);
        assert_true(json_equal(object, taken));
        json_decref(taken);
        json_decref(object);
    }
    arena_release(&arena);
}

int main(void)
{
    json_memory_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literal_paths_match_segment_by_segment),
        cmocka_unit_test(literal_segments_may_be_escaped_but_not_their_separators),
        cmocka_unit_test(names_take_whole_decoded_segments),
        cmocka_unit_test(an_encoded_slash_is_data_and_never_a_separator),
        cmocka_unit_test(values_are_decoded_once),
        cmocka_unit_test(malformed_segments_fit_no_name),
        cmocka_unit_test(long_values_are_taken_whole),
        cmocka_unit_test(int_names_take_integers_of_at_most_18_digits),
        cmocka_unit_test(literals_are_counted_so_that_the_more_exact_pattern_wins),
        cmocka_unit_test(wrong_patterns_are_named),
        cmocka_unit_test(queries_become_objects_of_strings),
        cmocka_unit_test(malformed_queries_are_refused_with_the_parameters_name),
        cmocka_unit_test(queries_are_bounded_in_names),
        cmocka_unit_test(templates_are_filled_from_objects_in_order),
        cmocka_unit_test(inserted_values_are_percent_encoded),
        cmocka_unit_test(lists_are_joined_with_commas),
        cmocka_unit_test(unfit_values_are_named),
        cmocka_unit_test(wrong_templates_are_named),
        cmocka_unit_test(a_filled_path_is_bounded),
        cmocka_unit_test(what_is_filled_in_is_matched_again),
    };
    return cmocka_run_group_tests_name("path", tests, NULL, NULL);
}
