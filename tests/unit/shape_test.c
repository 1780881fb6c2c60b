/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes: which values fit, what is reported of those that do not, queries, schemas, problems. */

#include "../support/values.h"

#include <stdio.h>
#include <string.h>

#include "shape/problem.h"
#include "shape/shape.h"

static void fits(const fh_field *shape, const char *text)
{
    json_t *value = parsed(text);
    json_t *faults = shape_check(shape, value);
    if (faults)
        fail_msg("%s should fit: %s", text, json_text(faults));
    json_decref(value);
}

/* `expected` are lines "pointer: detail". */
static void compare_faults(json_t *faults, const char *where, const char *expected)
{
    assert_non_null(faults);
    char lines[4096] = "";
    size_t used = 0, i;
    json_t *one;
    json_array_foreach (faults, i, one) {
        assert_int_equal(json_object_size(one), 2);
        used += (size_t)snprintf(lines + used, sizeof lines - used, "%s%s: %s", i ? "\n" : "",
                                 json_string_at(one, where), json_string_at(one, "detail"));
        assert_true(used < sizeof lines);
    }
    assert_string_equal(lines, expected);
    json_decref(faults);
}

static void fails(const fh_field *shape, const char *text, const char *expected)
{
    json_t *value = parsed(text);
    compare_faults(shape_check(shape, value), "pointer", expected);
    json_decref(value);
}

static void query_fits(const fh_field *shape, const char *strings, const char *expected)
{
    json_t *value = parsed(strings);
    json_t *typed = NULL;
    json_t *faults = shape_query(shape, value, &typed);
    if (faults)
        fail_msg("%s should fit: %s", strings, json_text(faults));
    char *text = json_text(typed);
    assert_string_equal(text, expected);
    json_text_free(text);
    json_decref(typed);
    json_decref(value);
}

static void query_fails(const fh_field *shape, const char *strings, const char *expected)
{
    json_t *value = parsed(strings);
    json_t *typed = (json_t *)1;
    compare_faults(shape_query(shape, value, &typed), "parameter", expected);
    assert_null(typed);
    json_decref(value);
}

/* ---- bodies ---- */

static const char *const statuses[] = {"PENDING", "CONFIRMED", "größer", NULL};

static const fh_field item_shape[] = {
    {"product_id", FH_INT}, {"quantity", FH_INT, .min = 1, .max = 100}, {0}};

static const fh_field order_shape[] = {
    {"user_id", FH_INT, .min = 1},
    {"status", FH_STRING, .one_of = statuses, .optional = true},
    {"note", FH_STRING, .max = 5, .optional = true, .nullable = true},
    {"items", FH_ARRAY, .of = item_shape, .min = 1, .max = 3},
    {"tags", FH_ARRAY, .elements = FH_STRING, .optional = true},
    {"gift", FH_BOOL, .optional = true},
    {"address", FH_OBJECT, .of = (const fh_field[]){{"city", FH_STRING, .min = 1}, {0}},
     .optional = true},
    {"extra", FH_ANY, .optional = true},
    {0}};

static void a_body_that_fits_has_no_faults(void **state)
{
    (void)state;
    fits(order_shape, "{\"user_id\": 1, \"items\": [{\"product_id\": -5, \"quantity\": 100}]}");
    fits(order_shape, "{\"user_id\": 9007199254740993, \"status\": \"größer\", \"note\": null,"
                      " \"items\": [{\"product_id\": 0, \"quantity\": 1}], \"tags\": [\"a\", \"\"],"
                      " \"gift\": false, \"address\": {\"city\": \"Ulm\"}, \"extra\": [null]}");
}

static void a_body_that_is_no_object_is_one_fault_at_the_whole(void **state)
{
    (void)state;
    fails(order_shape, "[]", ": expected an object, found an array");
    fails(order_shape, "null", ": expected an object, found null");
    fails(order_shape, "\"x\"", ": expected an object, found a string");
}

static void a_missing_required_field_is_named_by_its_pointer(void **state)
{
    (void)state;
    fails(order_shape, "{}",
          "/user_id: missing: expected an integer\n/items: missing: expected an array");
    fails(order_shape, "{\"user_id\": 1, \"items\": [{\"product_id\": 1}]}",
          "/items/0/quantity: missing: expected an integer");
}

static void a_wrong_type_is_reported_with_what_was_expected_and_found(void **state)
{
    (void)state;
    static const fh_field shape[] = {{"s", FH_STRING, .optional = true},
                                     {"i", FH_INT, .optional = true},
                                     {"b", FH_BOOL, .optional = true},
                                     {"o", FH_OBJECT, .optional = true},
                                     {"a", FH_ARRAY, .optional = true},
                                     {"n", FH_INT, .optional = true, .nullable = true},
                                     {0}};
    fails(shape, "{\"s\": 1}", "/s: expected a string, found an integer");
    fails(shape, "{\"i\": \"1\"}", "/i: expected an integer, found a string");
    fails(shape, "{\"i\": 1.0}", "/i: expected an integer, found a number that is not an integer");
    fails(shape, "{\"i\": true}", "/i: expected an integer, found true");
    fails(shape, "{\"b\": 0}", "/b: expected true or false, found an integer");
    fails(shape, "{\"o\": []}", "/o: expected an object, found an array");
    fails(shape, "{\"a\": {}}", "/a: expected an array, found an object");
    fails(shape, "{\"s\": null}", "/s: expected a string, found null");
    fails(shape, "{\"n\": false}", "/n: expected an integer or null, found false");
    fits(shape, "{\"n\": null, \"o\": {\"any\": 1}, \"a\": [1, \"x\", null]}");
}

static void an_unknown_field_is_refused_with_its_place(void **state)
{
    (void)state;
    fails(item_shape, "{\"product_id\": 1, \"quantity\": 1, \"price\": 0}",
          "/price: unknown: expected only product_id, quantity");
    fails((const fh_field[]){{0}}, "{\"a\": 1}", "/a: unknown: nothing is expected here");
    fits((const fh_field[]){{0}}, "{}");
    fails((const fh_field[]){{"a", FH_ANY}, {0}}, "{}", "/a: missing: expected a value");
    /* One optional field is absent, one unknown is present: the number is right, and it is still
     * wrong. */
    fails((const fh_field[]){{"a", FH_INT}, {"b", FH_INT, .optional = true}, {0}},
          "{\"a\": 1, \"c\": 2}", "/c: unknown: expected only a, b");
}

static void further_fields_are_accepted_after_a_star(void **state)
{
    (void)state;
    static const fh_field shape[] = {{"name", FH_STRING}, {"*"}, {0}};
    fits(shape, "{\"name\": \"x\", \"size\": {\"deep\": [1]}, \"*\": 1}");
    fails(shape, "{\"size\": 1}", "/name: missing: expected a string");
}

static void pointers_escape_tilde_and_slash(void **state)
{
    (void)state;
    static const fh_field inner[] = {{"~1", FH_INT}, {0}};
    static const fh_field shape[] = {{"a/b~c", FH_OBJECT, .of = inner}, {0}};
    fails(shape, "{\"a/b~c\": {\"~1\": \"\"}}",
          "/a~1b~0c/~01: expected an integer, found a string");
    fails(shape, "{\"a/b~c\": {\"~1\": 1, \"~/~/\": 1, \"\": 1, \"ü/\": 1}}",
          "/a~1b~0c/~0~1~0~1: unknown: expected only ~1\n"
          "/a~1b~0c/: unknown: expected only ~1\n"
          "/a~1b~0c/ü~1: unknown: expected only ~1");
}

static void an_endless_name_is_cut_between_its_characters(void **state)
{
    (void)state;
    char text[6010] = "{\"x";
    for (size_t at = 3; at < 6003; at += 3)
        memcpy(text + at, "€", 3);
    memcpy(text + 6003, "\": 1}", 6);
    json_t *value = parsed(text);
    json_t *faults = shape_check((const fh_field[]){{0}}, value);
    const char *pointer = json_string_at(json_array_get(faults, 0), "pointer");
    assert_int_equal(strlen(pointer), 1 + 1 + 341 * 3);
    assert_memory_equal(pointer, "/x€€", 8);
    json_decref(faults);
    json_decref(value);
}

static void integers_keep_their_bounds(void **state)
{
    (void)state;
    static const fh_field shape[] = {{"both", FH_INT, .min = 1, .max = 5, .optional = true},
                                     {"below", FH_INT, .max = 5, .optional = true},
                                     {"above", FH_INT, .min = 3, .optional = true},
                                     {"negative", FH_INT, .min = -5, .max = -2, .optional = true},
                                     {"to_zero", FH_INT, .min = -5, .optional = true},
                                     {"free", FH_INT, .optional = true},
                                     {0}};
    fits(shape, "{\"both\": 1, \"below\": 0, \"above\": 3, \"negative\": -2, \"to_zero\": 0,"
                " \"free\": -9223372036854775808}");
    fits(shape, "{\"both\": 5, \"below\": 5, \"above\": 9223372036854775807, \"negative\": -5}");
    fails(shape, "{\"both\": 0}", "/both: expected an integer from 1 to 5, found 0");
    fails(shape, "{\"both\": 6}", "/both: expected an integer from 1 to 5, found 6");
    fails(shape, "{\"below\": -1}", "/below: expected an integer from 0 to 5, found -1");
    fails(shape, "{\"above\": 2}", "/above: expected an integer of at least 3, found 2");
    fails(shape, "{\"negative\": -1}", "/negative: expected an integer from -5 to -2, found -1");
    fails(shape, "{\"to_zero\": 1}", "/to_zero: expected an integer from -5 to 0, found 1");
}

static void lengths_of_strings_are_counted_in_bytes(void **state)
{
    (void)state;
    static const fh_field shape[] = {{"both", FH_STRING, .min = 2, .max = 4, .optional = true},
                                     {"below", FH_STRING, .max = 1, .optional = true},
                                     {"some", FH_STRING, .min = 1, .optional = true},
                                     {"above", FH_STRING, .min = 2, .optional = true},
                                     {0}};
    fits(shape, "{\"both\": \"üü\", \"below\": \"\", \"some\": \"x\", \"above\": \"ü\"}");
    fits(shape, "{\"below\": \"\\u0000\"}");
    fails(shape, "{\"both\": \"üüü\"}", "/both: expected a string of 2 to 4 bytes, found 6");
    fails(shape, "{\"below\": \"ü\"}", "/below: expected a string of at most 1 byte, found 2");
    fails(shape, "{\"some\": \"\"}", "/some: expected a string that is not empty");
    fails(shape, "{\"above\": \"\"}", "/above: expected a string of at least 2 bytes, found 0");
}

static void one_of_names_the_allowed_values_and_cuts_the_found_one(void **state)
{
    (void)state;
    static const fh_field shape[] = {{"status", FH_STRING, .one_of = statuses}, {0}};
    fits(shape, "{\"status\": \"PENDING\"}");
    fails(shape, "{\"status\": \"pending\"}",
          "/status: expected one of \"PENDING\", \"CONFIRMED\", \"größer\", found \"pending\"");
    fails(shape, "{\"status\": \"PENDING\\u0000\"}",
          "/status: expected one of \"PENDING\", \"CONFIRMED\", \"größer\", found \"PENDING");
    fails(shape, "{\"status\": \"€€€€€€€€€€€€€€€€€€\"}",
          "/status: expected one of \"PENDING\", \"CONFIRMED\", \"größer\","
          " found \"€€€€€€€€€€€€€…\"");
    static const char *const one[] = {"only", NULL};
    static const fh_field single[] = {{"a", FH_STRING, .one_of = one, .nullable = true}, {0}};
    fits(single, "{\"a\": null}");
    fails(single, "{\"a\": \"b\"}", "/a: expected \"only\", found \"b\"");
}

static void arrays_are_looked_at_element_by_element(void **state)
{
    (void)state;
    fails(order_shape, "{\"user_id\": 1, \"items\": []}",
          "/items: expected an array of 1 to 3 elements, found 0");
    fails(order_shape,
          "{\"user_id\": 1, \"tags\": [\"x\", 1, null], \"items\": ["
          "{\"product_id\": 1, \"quantity\": 101}, 7, {\"product_id\": \"1\", \"quantity\": 1}]}",
          "/items/0/quantity: expected an integer from 1 to 100, found 101\n"
          "/items/1: expected an object, found an integer\n"
          "/items/2/product_id: expected an integer, found a string\n"
          "/tags/1: expected a string, found an integer\n"
          "/tags/2: expected a string, found null");
    static const fh_field filled[] = {{"a", FH_ARRAY, .min = 1}, {0}};
    fails(filled, "{\"a\": []}", "/a: expected an array that is not empty");
}

static void nested_objects_are_looked_at_and_may_hold_their_own_shape(void **state)
{
    (void)state;
    fails(order_shape,
          "{\"user_id\": 1, \"items\": [{\"product_id\": 1, \"quantity\": 1}],"
          " \"address\": {\"city\": \"\", \"zip\": 1}}",
          "/address/city: expected a string that is not empty\n"
          "/address/zip: unknown: expected only city");
    static const fh_field tree[] = {
        {"name", FH_STRING}, {"children", FH_ARRAY, .of = tree, .optional = true}, {0}};
    fits(tree, "{\"name\": \"a\", \"children\": [{\"name\": \"b\", \"children\": []}]}");
    fails(tree, "{\"name\": \"a\", \"children\": [{\"name\": \"b\", \"children\": [{}]}]}",
          "/children/0/children/0/name: missing: expected a string");
}

static void faults_end_at_their_bound(void **state)
{
    (void)state;
    static const fh_field shape[] = {{"a", FH_ARRAY, .elements = FH_INT}, {0}};
    char text[4000] = "{\"a\": [\"\"";
    for (int i = 0; i < 999; i++)
        strncat(text, ",\"\"", sizeof text - strlen(text) - 1);
    strncat(text, "]}", sizeof text - strlen(text) - 1);
    json_t *value = parsed(text);
    json_t *faults = shape_check(shape, value);
    assert_int_equal(json_array_size(faults), SHAPE_FAULTS_MAX);
    assert_string_equal(json_string_at(json_array_get(faults, SHAPE_FAULTS_MAX - 1), "pointer"),
                        "/a/19");
    json_decref(faults);
    json_decref(value);
}

/* ---- queries ---- */

static const fh_field query_shape[] = {
    {"limit", FH_INT, .min = 1, .max = 100, .optional = true},
    {"ids", FH_LIST, .min = 1, .max = 3, .optional = true},
    {"deep", FH_BOOL, .optional = true},
    {"category", FH_STRING, .one_of = statuses, .optional = true},
    {0}};

static void query_parameters_become_what_the_shape_says(void **state)
{
    (void)state;
    query_fits(query_shape, "{}", "{}");
    query_fits(query_shape,
               "{\"limit\": \"20\", \"ids\": \"1,b,ü\", \"deep\": \"true\","
               " \"category\": \"PENDING\"}",
               "{\"limit\":20,\"ids\":[\"1\",\"b\",\"ü\"],\"deep\":true,\"category\":\"PENDING\"}");
    query_fits(query_shape, "{\"deep\": \"false\"}", "{\"deep\":false}");
    query_fits((const fh_field[]){{"n", FH_INT}, {0}}, "{\"n\": \"-9223372036854775808\"}",
               "{\"n\":-9223372036854775808}");
    query_fits((const fh_field[]){{"l", FH_LIST}, {0}}, "{\"l\": \"\"}", "{\"l\":[]}");
    query_fits((const fh_field[]){{"n", FH_INT}, {"*"}, {0}}, "{\"x\": \"1\", \"n\": \"1\"}",
               "{\"x\":\"1\",\"n\":1}");
}

static void wrong_query_parameters_are_named(void **state)
{
    (void)state;
    query_fails(query_shape, "{\"limit\": \"many\", \"ids\": \"1,,2\", \"deep\": \"yes\"}",
                "limit: expected an integer, found \"many\"\n"
                "ids: expected values with one comma between two of them, found \"1,,2\"\n"
                "deep: expected true or false, found \"yes\"");
    query_fails(query_shape, "{\"limit\": \"0\"}",
                "limit: expected an integer from 1 to 100, found 0");
    query_fails(query_shape, "{\"ids\": \"\"}",
                "ids: expected an array of 1 to 3 elements, found 0");
    query_fails(query_shape, "{\"ids\": \"1,2,3,4\"}",
                "ids: expected an array of 1 to 3 elements, found 4");
    query_fails(query_shape, "{\"a/b\": \"1\"}",
                "a/b: unknown: expected only limit, ids, deep, category");
    query_fails((const fh_field[]){{"n", FH_INT}, {0}}, "{}", "n: missing: expected an integer");
}

static void elements_of_a_list_are_named_by_its_parameter(void **state)
{
    (void)state;
    static const char *const colours[] = {"red", "green", NULL};
    static const fh_field shape[] = {{"codes", FH_LIST, .pattern = "\\d+", .optional = true},
                                     {"days", FH_LIST, .format = FH_DATE, .optional = true},
                                     {"colours", FH_LIST, .one_of = colours, .optional = true},
                                     {0}};
    query_fits(shape, "{\"codes\": \"1,23\", \"colours\": \"green,red\"}",
               "{\"codes\":[\"1\",\"23\"],\"colours\":[\"green\",\"red\"]}");
    query_fails(shape, "{\"codes\": \"1,x,y\"}",
                "codes: expected a string that matches \\d+, found \"x\"\n"
                "codes: expected a string that matches \\d+, found \"y\"");
    query_fails(shape, "{\"days\": \"2026-02-29\", \"colours\": \"red,blue\"}",
                "days: expected a date like 2026-03-01, found \"2026-02-29\"\n"
                "colours: expected one of \"red\", \"green\", found \"blue\"");
}

static void numbers_in_queries_are_digits_and_no_more(void **state)
{
    (void)state;
    static const fh_field shape[] = {{"n", FH_INT}, {0}};
    const char *const none[] = {
        "", "-", "+1", " 1", "1 ", "1.0", "0x1", "1e3", "9223372036854775808"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        char strings[100], expected[100];
        snprintf(strings, sizeof strings, "{\"n\": \"%s\"}", none[i]);
        snprintf(expected, sizeof expected, "n: expected an integer, found \"%s\"", none[i]);
        query_fails(shape, strings, expected);
    }
    query_fails(shape, "{\"n\": \"1\\u0000\"}", "n: expected an integer, found \"1");
    const char *const commas[] = {",", "1,", ",1", "1,,1"};
    for (size_t i = 0; i < sizeof commas / sizeof commas[0]; i++) {
        char strings[100], expected[100];
        snprintf(strings, sizeof strings, "{\"l\": \"%s\"}", commas[i]);
        snprintf(expected, sizeof expected,
                 "l: expected values with one comma between two of them, found \"%s\"", commas[i]);
        query_fails((const fh_field[]){{"l", FH_LIST}, {0}}, strings, expected);
    }
}

/* ---- schemas ---- */

static void schema_is(const fh_field *shape, const char *expected)
{
    json_t *schema = shape_schema(shape);
    json_t *wanted = parsed(expected);
    assert_string_equal(json_string_value(json_object_get(schema, "$schema")),
                        "https://json-schema.org/draft/2020-12/schema");
    json_object_del(schema, "$schema");
    if (!json_equal(schema, wanted))
        fail_msg("expected %s\nfound %s", expected, json_text(schema));
    json_decref(schema);
    json_decref(wanted);
}

static void schema_says_what_the_shape_says(void **state)
{
    (void)state;
    schema_is(order_shape,
              "{\"type\": \"object\", \"required\": [\"user_id\", \"items\"],"
              " \"additionalProperties\": false, \"properties\": {"
              "  \"user_id\": {\"type\": \"integer\", \"format\": \"int64\", \"minimum\": 1,"
              "    \"maximum\": 9223372036854775807},"
              "  \"status\": {\"type\": \"string\","
              "    \"enum\": [\"PENDING\", \"CONFIRMED\", \"größer\"]},"
              "  \"note\": {\"type\": [\"string\", \"null\"], \"maxLength\": 5,"
              "    \"description\": \"0 to 5 bytes of UTF-8\"},"
              "  \"items\": {\"type\": \"array\", \"minItems\": 1, \"maxItems\": 3, \"items\":"
              "    {\"type\": \"object\", \"required\": [\"product_id\", \"quantity\"],"
              "     \"additionalProperties\": false, \"properties\": {"
              "       \"product_id\": {\"type\": \"integer\", \"format\": \"int64\", \"minimum\":"
              "         -9223372036854775808, \"maximum\": 9223372036854775807},"
              "       \"quantity\": {\"type\": \"integer\", \"format\": \"int64\", \"minimum\": 1,"
              "         \"maximum\": 100}}}},"
              "  \"tags\": {\"type\": \"array\", \"items\": {\"type\": \"string\"}},"
              "  \"gift\": {\"type\": \"boolean\"},"
              "  \"address\": {\"type\": \"object\", \"required\": [\"city\"],"
              "    \"additionalProperties\": false,"
              "    \"properties\": {\"city\": {\"type\": \"string\", \"minLength\": 1}}},"
              "  \"extra\": {}}}");
}

static void schema_of_an_open_shape_takes_further_fields(void **state)
{
    (void)state;
    schema_is(
        (const fh_field[]){{"ids", FH_LIST, .min = 5, .optional = true},
                           {"name", FH_STRING, .min = 5, .optional = true},
                           {"*"},
                           {0}},
        "{\"type\": \"object\", \"properties\": {"
        "  \"ids\": {\"type\": \"array\", \"items\": {\"type\": \"string\"}, \"minItems\": 5},"
        "  \"name\": {\"type\": \"string\", \"minLength\": 2,"
        "             \"x-freehold-least-bytes\": 5, \"description\": \"at least 5 bytes of "
        "UTF-8\"}}}");
    static const char *const one[] = {"only", NULL};
    schema_is((const fh_field[]){{"a", FH_STRING, .one_of = one, .nullable = true}, {0}},
              "{\"type\": \"object\", \"required\": [\"a\"], \"additionalProperties\": false,"
              " \"properties\": {\"a\": {\"type\": [\"string\", \"null\"],"
              "                          \"enum\": [\"only\", null]}}}");
}

/* Round trip: the same schema, and the same faults. */
static void comes_back(const fh_field *shape, const char *misfit)
{
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    json_t *schema = shape_schema(shape), *value = parsed(misfit);
    const fh_field *read = shape_of_schema(&arena, schema);
    json_t *again = shape_schema(read), *faults = shape_check(shape, value),
           *same = shape_check(read, value);
    if (!json_equal(schema, again))
        fail_msg("expected %s\nfound %s", json_text(schema), json_text(again));
    if (!json_equal(faults, same))
        fail_msg("expected %s\nfound %s", json_text(faults), json_text(same));
    json_decref(schema);
    json_decref(again);
    json_decref(value);
    json_decref(faults);
    json_decref(same);
    arena_release(&arena);
}

static void a_shape_comes_back_from_its_schema(void **state)
{
    (void)state;
    static const char *const one[] = {"a", "b", NULL};
    static const fh_field open[] = {{"least", FH_INT, .min = -3, .max = 5},
                                    {"kind", FH_STRING, .one_of = one, .nullable = true},
                                    {"names", FH_LIST, .min = 1, .max = 2, .optional = true},
                                    {"kinds", FH_LIST, .one_of = one, .optional = true},
                                    {"flag", FH_BOOL},
                                    {"bag", FH_OBJECT, .optional = true},
                                    {"whole", FH_ANY},
                                    {"*", FH_ANY},
                                    {0}};
    comes_back(order_shape, "{\"items\": [{\"quantity\": 0}, 7], \"more\": 1}");
    comes_back(open, "{\"least\": 6, \"kind\": \"c\", \"names\": [1, \"a\", \"b\"], \"kinds\": "
                     "[\"a\", \"c\"], \"flag\": 0,"
                     " \"bag\": [], \"whole\": null, \"more\": 1}");
}

static void a_schema_of_another_making_is_never_read_too_strictly(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    json_t *schema = parsed(
        "{\"properties\": {\"a\": {}, \"b\": true, \"c\": {\"type\": \"number\"},"
        " \"d\": {\"type\": [\"string\", \"integer\"]}, \"e\": {\"type\": \"array\", \"items\":"
        " {\"type\": [\"integer\", \"null\"]}}, \"f\": {\"type\": \"integer\", \"minimum\": 1},"
        " \"g\": {\"type\": \"string\", \"enum\": [1]}}}");
    const fh_field *shape = shape_of_schema(&arena, schema);
    fits(shape, "{}");
    fits(
        shape,
        "{\"a\": [], \"b\": null, \"c\": 1.5, \"d\": 7, \"e\": [null, 1], \"f\": 9, \"g\": \"x\"}");
    fails(shape, "{\"f\": 0}", "/f: expected an integer of at least 1, found 0");
    json_decref(schema);
    schema = parsed("{\"type\": \"object\"}");
    assert_null(shape_of_schema(&arena, schema));
    json_decref(schema);
    arena_release(&arena);
}

static void schema_of_a_shape_inside_itself_ends(void **state)
{
    (void)state;
    static const fh_field tree[] = {{"children", FH_ARRAY, .of = tree}, {0}};
    schema_is(tree, "{\"type\": \"object\", \"required\": [\"children\"],"
                    " \"additionalProperties\": false, \"properties\": {"
                    "  \"children\": {\"type\": \"array\", \"items\": {\"type\": \"object\","
                    "    \"x-freehold-again\": true, \"x-freehold-levels\": 1}}}}");
}

/* ---- problems ---- */

static void a_problem_carries_status_title_detail_and_faults(void **state)
{
    (void)state;
    json_t *faults = parsed("[{\"pointer\": \"/a\", \"detail\": \"missing\"}]");
    json_t *problem = problem_new(PROBLEM_BODY_INVALID, "The body does not fit.", faults);
    json_t *wanted =
        parsed("{\"type\": \"urn:freehold:problem:body-invalid\", \"title\": \"Unprocessable "
               "Content\", \"status\": 422, \"detail\": \"The body does not fit.\", \"errors\": "
               "[{\"pointer\": \"/a\", \"detail\": \"missing\"}]}");
    assert_true(json_equal(problem, wanted));
    json_decref(problem);
    assert_int_equal(json_array_size(faults), 1); /* not stolen */
    json_decref(faults);
    json_decref(wanted);
    problem = problem_of_service(599, NULL, NULL);
    assert_int_equal(json_object_size(problem), 3);
    assert_string_equal(json_string_at(problem, "title"), "Error");
    assert_string_equal(json_string_at(problem, "type"), "about:blank");
    json_decref(problem);
}

static void every_type_of_problem_has_a_name_of_its_own_and_a_status(void **state)
{
    (void)state;
    for (int type = PROBLEM_OF_SERVICE + 1; type < PROBLEM_TYPES; type++) {
        const char *uri = problem_uri((enum problem_type)type);
        int status = problem_status((enum problem_type)type);
        assert_non_null(uri);
        assert_int_equal(strncmp(uri, "urn:freehold:problem:", 21), 0);
        assert_in_range(strspn(uri + 21, "abcdefghijklmnopqrstuvwxyz-"), 4, 40);
        assert_int_equal(uri[21 + strspn(uri + 21, "abcdefghijklmnopqrstuvwxyz-")], '\0');
        assert_in_range(status, 400, 599);
        assert_string_not_equal(problem_title(status), "Error");
        for (int other = PROBLEM_OF_SERVICE; other < type; other++)
            assert_string_not_equal(uri, problem_uri((enum problem_type)other));
    }
    assert_string_equal(problem_uri(PROBLEM_OF_SERVICE), "about:blank");
    assert_int_equal(problem_status(PROBLEM_OF_SERVICE), 0);
}

static void a_detail_that_is_no_utf8_becomes_some(void **state)
{
    (void)state;
    const char *const pairs[][2] = {
        {"", ""},
        {"Grüße 你 🙂", "Grüße 你 🙂"},
        {"cut \xe4\xbd", "cut \xef\xbf\xbd\xef\xbf\xbd"},
        {"\xff!", "\xef\xbf\xbd!"},
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe0\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        json_t *problem = problem_new(PROBLEM_REQUEST_MALFORMED, pairs[i][0], NULL);
        assert_string_equal(json_string_at(problem, "detail"), pairs[i][1]);
        json_decref(problem);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_that_fits_has_no_faults),
        cmocka_unit_test(a_body_that_is_no_object_is_one_fault_at_the_whole),
        cmocka_unit_test(a_missing_required_field_is_named_by_its_pointer),
        cmocka_unit_test(a_wrong_type_is_reported_with_what_was_expected_and_found),
        cmocka_unit_test(an_unknown_field_is_refused_with_its_place),
        cmocka_unit_test(further_fields_are_accepted_after_a_star),
        cmocka_unit_test(pointers_escape_tilde_and_slash),
        cmocka_unit_test(an_endless_name_is_cut_between_its_characters),
        cmocka_unit_test(integers_keep_their_bounds),
        cmocka_unit_test(lengths_of_strings_are_counted_in_bytes),
        cmocka_unit_test(one_of_names_the_allowed_values_and_cuts_the_found_one),
        cmocka_unit_test(arrays_are_looked_at_element_by_element),
        cmocka_unit_test(nested_objects_are_looked_at_and_may_hold_their_own_shape),
        cmocka_unit_test(faults_end_at_their_bound),
        cmocka_unit_test(query_parameters_become_what_the_shape_says),
        cmocka_unit_test(wrong_query_parameters_are_named),
        cmocka_unit_test(elements_of_a_list_are_named_by_its_parameter),
        cmocka_unit_test(numbers_in_queries_are_digits_and_no_more),
        cmocka_unit_test(schema_says_what_the_shape_says),
        cmocka_unit_test(schema_of_an_open_shape_takes_further_fields),
        cmocka_unit_test(schema_of_a_shape_inside_itself_ends),
        cmocka_unit_test(a_shape_comes_back_from_its_schema),
        cmocka_unit_test(a_schema_of_another_making_is_never_read_too_strictly),
        cmocka_unit_test(a_problem_carries_status_title_detail_and_faults),
        cmocka_unit_test(every_type_of_problem_has_a_name_of_its_own_and_a_status),
        cmocka_unit_test(a_detail_that_is_no_utf8_becomes_some),
    };
    return cmocka_run_group_tests_name("shape", tests, values_start, NULL);
}
