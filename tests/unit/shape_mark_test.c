/* SPDX-License-Identifier: Apache-2.0 */
/* Marks: values and texts without what is marked, faults that don't quote it, schemas that say it.
 */

#include "../support/values.h"

#include <stdio.h>
#include <string.h>

#include "shape/mark.h"
#include "shape/shape.h"

static const char *const colours[] = {"red", "blue", NULL};
static const fh_field home[] = {
    {"street", FH_STRING, .personal = true}, {"country", FH_STRING}, {0}};
static const fh_field inner[3];
static const fh_field inner[] = {{"again", FH_OBJECT, .of = inner, .optional = true},
                                 {"pin", FH_INT, .secret = true, .optional = true},
                                 {0}};
static const fh_field person[] = {
    {"id", FH_INT, .min = 1},
    {"name", FH_STRING, .max = 40, .personal = true},
    {"homes", FH_ARRAY, .of = home, .optional = true},
    {"password", FH_STRING, .max = 12, .secret = true, .optional = true},
    {"number", FH_STRING, .card = true, .optional = true},
    {"age", FH_INT, .min = 1, .max = 150, .personal = true, .optional = true, .nullable = true},
    {"colour", FH_STRING, .one_of = colours, .personal = true, .optional = true},
    {"tags", FH_ARRAY, .elements = FH_STRING, .personal = true, .optional = true},
    {"deep", FH_OBJECT, .of = inner, .optional = true},
    {0}};

static void the_marks_of_a_shape_are_those_at_any_depth(void **state)
{
    static const fh_field plain[] = {{"a", FH_INT}, {0}};
    (void)state;
    assert_int_equal(shape_marks(person), SHAPE_MARKED);
    assert_int_equal(shape_marks(home), SHAPE_PERSONAL);
    assert_int_equal(shape_marks(inner), SHAPE_SECRET); /* it contains itself */
    assert_int_equal(shape_marks(plain), 0);
    assert_int_equal(shape_marks(NULL), 0);
}

static const char value_text[] =
    "{\"id\":7,\"name\":\"Ann Lee\",\"homes\":[{\"street\":\"Elm 1\",\"country\":\"DE\"},"
    "{\"street\":\"Oak 2\",\"country\":\"FR\"}],\"password\":\"hunter2\",\"number\":\"4111\","
    "\"age\":null,\"tags\":[\"x\"],\"deep\":{\"again\":{\"pin\":1234}},\"other\":1}";

static void a_value_is_redacted_wherever_it_is_marked(void **state)
{
    json_t *value = parsed(value_text);
    (void)state;
    is(shape_redacted(person, value, SHAPE_MARKED),
       "{\"id\":7,\"name\":\"[personal]\",\"homes\":[{\"street\":\"[personal]\",\"country\":\"DE\"}"
       ","
       "{\"street\":\"[personal]\",\"country\":\"FR\"}],\"password\":\"[secret]\","
       "\"number\":\"[card]\",\"age\":null,\"tags\":\"[personal]\","
       "\"deep\":{\"again\":{\"pin\":\"[secret]\"}},\"other\":1}");
    is(shape_redacted(NULL, value, SHAPE_MARKED), value_text);
    json_decref(value);
    value = parsed("[{\"name\":\"Ann\"},{\"name\":\"Bo\"}]");
    is(shape_redacted(person, value, SHAPE_MARKED),
       "[{\"name\":\"[personal]\"},{\"name\":\"[personal]\"}]");
    json_decref(value);
}

static void secrets_can_be_left_out_and_taken_apart(void **state)
{
    json_t *value = parsed(value_text);
    bool left_out = false;
    (void)state;
    is(shape_without(person, value, SHAPE_UNKEPT, &left_out),
       "{\"id\":7,\"name\":\"Ann Lee\",\"homes\":[{\"street\":\"Elm 1\",\"country\":\"DE\"},"
       "{\"street\":\"Oak 2\",\"country\":\"FR\"}],\"age\":null,\"tags\":[\"x\"],"
       "\"deep\":{\"again\":{}},\"other\":1}");
    assert_true(left_out);
    is(shape_only(person, value, SHAPE_UNKEPT),
       "{\"password\":\"hunter2\",\"number\":\"4111\",\"deep\":{\"again\":{\"pin\":1234}}}");
    json_decref(value);
    value = parsed("{\"id\":7,\"homes\":[]}");
    left_out = false;
    is(shape_without(person, value, SHAPE_UNKEPT, &left_out), "{\"id\":7,\"homes\":[]}");
    assert_false(left_out);
    assert_null(shape_only(person, value, SHAPE_UNKEPT));
    json_decref(value);
}

struct given {
    const fh_field *shape;
    const json_t *value;
};

static void give(struct shape_cover *cover, const void *context)
{
    const struct given *given = context;
    shape_cover_given(cover, given->shape, given->value);
}

static void text_of(const char *given_text, const char *text, size_t size, const char *expected)
{
    json_t *value = parsed(given_text);
    struct given given = {person, value};
    char copy[1024];
    snprintf(copy, size, "%s", text);
    shape_redact_text(copy, size, SHAPE_MARKED, give, &given);
    assert_string_equal(copy, expected);
    json_decref(value);
}

static void text_is(const char *text, size_t size, const char *expected)
{
    text_of(value_text, text, size, expected);
}

static void a_sentence_is_redacted_by_the_values(void **state)
{
    (void)state;
    text_is("Key (name)=(Ann Lee) exists", 1024, "Key (name)=([personal]) exists");
    text_is("hunter2 at Elm 1, card 4111, pin 1234 or 12345", 1024,
            "[secret] at [personal], card [card], pin [secret] or 12345");
    text_is("hunter2hunter2!", 1024, "[secret]!");
    text_is("the words six and x", 1024, "the words six and [personal]"); /* short: whole words */
    text_is("product 7 of DE", 1024, "product 7 of DE");
    text_is("Ann Lee", 8, "[person");
    text_is("", 8, "");
}

static void what_a_message_cut_off_is_known_by_its_beginning(void **state)
{
    static const char card[] = "{\"number\":\"4111222233334444\"}";
    (void)state;
    text_is("password is hunte", 1024, "password is [secret]");
    text_is("Duplicate entry 'hunt...' for key", 1024, "Duplicate entry '[secret]...' for key");
    text_is("can't run: hunte.", 1024, "can't run: [secret].");
    text_is("a hunting party", 1024, "a hunting party");
    text_of("{\"name\":\"fuller\"}", "The disk is full.", 1024, "The disk is full.");
    text_of("{\"name\":\"fuller\"}", "The user full", 1024, "The user [personal]");
    text_of(card, "row (7, 41112222, now)", 1024, "row (7, [card], now)");
    text_of(card, "row (7, 4111222, now)", 1024, "row (7, 4111222, now)");
}

/* Whatever is replaced first, nothing is left of the other. */
static void a_value_within_another_or_across_it_leaves_nothing_of_either(void **state)
{
    (void)state;
    text_of("{\"name\":\"alice\",\"homes\":[{\"street\":\"alice@example.com\"}]}",
            "(alice@example.com)", 1024, "([personal])");
    text_of("{\"password\":\"4111\",\"number\":\"4111222233334444\"}", "4111222233334444 is bad",
            1024, "[secret] is bad");
    text_of("{\"name\":\"abcdef\",\"number\":\"defghi\"}", "<abcdefghi>", 1024, "<[card]>");
    text_of("{\"name\":\"secret\",\"password\":\"hunter2\"}", "hunter2", 1024, "[secret]");
}

static void a_value_is_found_as_json_and_urls_have_it(void **state)
{
    static const char value[] = "{\"name\":\"a@b.example\",\"password\":\"a\\\"b\\nc d\"}";
    (void)state;
    text_of(value, "{ p: \"a\\\"b\\nc d\" }", 1024, "{ p: \"[secret]\" }");
    text_of(value, "GET /users?email=a%40b.example&x", 1024, "GET /users?email=[personal]&x");
}

static void json_of_any_form_is_redacted_by_the_values(void **state)
{
    json_t *value = parsed("{\"password\":\"a\\\"b!\",\"deep\":{\"pin\":1234}}");
    json_t *told = parsed("{\"status\":409,\"errors\":[{\"detail\":\"no a\\\"b!\"}],"
                          "\"of\":[1234,12345,null,true]}");
    struct given given = {person, value};
    (void)state;
    is(shape_redacted_told(told, SHAPE_UNKEPT, give, &given),
       "{\"status\":409,\"errors\":[{\"detail\":\"no [secret]\"}],"
       "\"of\":[\"[secret]\",12345,null,true]}");
    json_decref(told);
    json_decref(value);
}

static void a_fault_does_not_quote_what_is_marked(void **state)
{
    json_t *value = parsed("{\"id\":0,\"name\":\"Ann\",\"age\":151,\"colour\":\"mauve\"}");
    json_t *faults = shape_check(person, value);
    char *text = json_text(faults);
    (void)state;
    assert_int_equal(json_array_size(faults), 3);
    assert_non_null(strstr(text, "found 0"));
    assert_null(strstr(text, "151"));
    assert_null(strstr(text, "mauve"));
    json_text_free(text);
    json_decref(faults);
    json_decref(value);
}

static void a_fault_tells_neither_lengths_nor_names_in_what_is_marked(void **state)
{
    static const fh_field paid[] = {{"payment", FH_OBJECT, .of = home, .card = true},
                                    {"pin", FH_STRING, .min = 4, .max = 4, .secret = true},
                                    {"code", FH_STRING, .max = 4},
                                    {0}};
    json_t *value = parsed("{\"payment\":{\"street\":\"Elm 1\",\"country\":\"DE\",\"4111\":1},"
                           "\"pin\":\"123\",\"code\":\"12345\",\"x\":1}");
    (void)state;
    is(shape_check(paid, value),
       "[{\"pointer\":\"/payment\",\"detail\":\"unknown: expected only street, country\"},"
       "{\"pointer\":\"/pin\",\"detail\":\"expected a string of 4 to 4 bytes\"},"
       "{\"pointer\":\"/code\",\"detail\":\"expected a string of at most 4 bytes, found 5\"},"
       "{\"pointer\":\"/x\",\"detail\":\"unknown: expected only payment, pin, code\"}]");
    json_decref(value);
}

/* Of every kind, and what is wrong is another thing each. */
static const fh_field kinds[] = {
    {"number", FH_NUMBER, .maximum = "1", .personal = true},
    {"decimal", FH_DECIMAL, .precision = 6, .scale = 2, .secret = true},
    {"much", FH_DECIMAL, .maximum = "9.5", .card = true},
    {"pattern", FH_STRING, .pattern = "[a-z]{4}", .card = true},
    {"date", FH_STRING, .format = FH_DATE, .secret = true},
    {"mail", FH_STRING, .format = FH_EMAIL, .personal = true},
    {"numbers", FH_ARRAY, .elements = FH_NUMBER, .maximum = "1", .secret = true},
    {"decimals", FH_ARRAY, .elements = FH_DECIMAL, .scale = 2, .card = true},
    {"ids", FH_ARRAY, .elements = FH_STRING, .format = FH_UUID, .personal = true},
    {"list", FH_LIST, .pattern = "[a-z]+", .secret = true},
    {0}};

static void no_kind_of_fault_quotes_what_is_marked(void **state)
{
    json_t *value = parsed("{\"number\":4711.5,\"decimal\":\"4711.123\",\"much\":\"4711\","
                           "\"pattern\":\"4711\",\"date\":\"4711-13-01\",\"mail\":\"4711\","
                           "\"numbers\":[4711.25],\"decimals\":[\"4711.4711\"],\"ids\":[\"4711\"],"
                           "\"list\":[\"4711\"]}");
    (void)state;
    json_t *faults = shape_check(kinds, value);
    char *text = json_text(faults);
    assert_int_equal(json_array_size(faults), 10);
    assert_null(strstr(text, "4711"));
    json_text_free(text);
    json_decref(faults);
    json_t *redacted = shape_redacted(kinds, value, SHAPE_MARKED);
    text = json_text(redacted);
    assert_null(strstr(text, "4711"));
    json_text_free(text);
    json_decref(redacted);
    json_decref(value);
}

static void a_real_is_found_as_people_and_servers_write_it(void **state)
{
    static const char *const texts[][2] = {
        {"{\"number\":5.0}", "5, 5.0 and 55"},
        {"{\"number\":1e300}", "1e+300 or 1e300; 1e30"},
        {"{\"number\":0.30000000000000004}", "0.30000000000000004 of 0.3"},
        {"{\"number\":-0.5}", "(-0.5)"},
        {"{\"decimal\":\"19.90\"}", "Key (19.90) exists"},
        {"{\"decimal\":\"7\"}", "7 of 77"},
    };
    static const char *const expected[] = {"[personal], [personal] and 55",
                                           "[personal] or [personal]; 1e30",
                                           "[personal] of 0.3",
                                           "([personal])",
                                           "Key ([secret]) exists",
                                           "[secret] of 77"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_t *value = parsed(texts[i][0]);
        struct given given = {kinds, value};
        char copy[128];
        snprintf(copy, sizeof copy, "%s", texts[i][1]);
        shape_redact_text(copy, sizeof copy, SHAPE_MARKED, give, &given);
        assert_string_equal(copy, expected[i]);
        json_decref(value);
    }
}

static void no_default_of_a_secret_is_told(void **state)
{
    static const fh_field within[] = {{"token", FH_STRING, .secret = true}, {0}};
    static const fh_field shape[] = {
        {"token", FH_STRING, .secret = true, .default_value = "hunter2"},
        {"rate", FH_NUMBER, .card = true, .default_value = "4711.5"},
        {"login", FH_OBJECT, .of = within, .default_value = "{\"token\": \"hunter2\"}"},
        {"name", FH_STRING, .personal = true, .default_value = "somebody"},
        {0}};
    static const fh_field wrong[][2] = {
        {{"token", FH_STRING, .max = 3, .secret = true, .default_value = "hunter2"}},
        {{"token", FH_INT, .card = true, .default_value = "hunter2"}},
        {{"token", FH_DECIMAL, .personal = true, .default_value = "hunter2"}},
        {{"token", FH_OBJECT, .of = within, .default_value = "{\"token\": 4, \"hunter2\": 1}"}}};
    struct fh_error error;
    struct arena arena;
    (void)state;
    assert_int_equal(shape_declared(shape, &error), FH_OK);
    json_t *schema = shape_schema(shape), *value = json_object();
    char *text = json_text(schema);
    assert_null(strstr(text, "hunter2"));
    assert_null(strstr(text, "4711"));
    assert_non_null(strstr(text, "somebody")); /* a declaration's constant is nobody's name */
    assert_null(json_object_get(schema, "required"));
    arena_init(&arena, ARENA_SIZE_MAX);
    assert_null(shape_check(shape_of_schema(&arena, schema), value));
    shape_settle(shape, value);
    is(shape_redacted(shape, value, SHAPE_MARKED),
       "{\"token\":\"[secret]\",\"rate\":\"[card]\",\"login\":{\"token\":\"[secret]\"},"
       "\"name\":\"[personal]\"}");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(shape_declared(wrong[i], &error), FH_INVALID);
        assert_non_null(strstr(error.message, "token: the default \"...\""));
        assert_null(strstr(error.message, "hunter2"));
    }
    json_text_free(text);
    json_decref(value);
    json_decref(schema);
    arena_release(&arena);
}

static void a_schema_says_the_marks_and_they_are_read_back(void **state)
{
    struct arena arena;
    json_t *schema = shape_schema(person);
    (void)state;
    arena_init(&arena, ARENA_SIZE_MAX);
    json_t *password = json_at(schema, "properties.password");
    assert_true(json_is_true(json_object_get(password, SHAPE_SCHEMA_SECRET)));
    assert_string_equal(json_string_at(password, "format"), "password");
    assert_true(json_is_true(json_at(schema, "properties.name." SHAPE_SCHEMA_PERSONAL)));
    assert_null(json_at(schema, "properties.name.format"));
    assert_null(json_at(schema, "properties.id." SHAPE_SCHEMA_PERSONAL));
    const fh_field *read = shape_of_schema(&arena, schema);
    assert_int_equal(shape_marks(read), SHAPE_MARKED);
    json_t *value = parsed(value_text);
    json_t *redacted = shape_redacted(read, value, SHAPE_UNKEPT);
    char *text = json_text(redacted);
    assert_null(strstr(text, "hunter2"));
    assert_non_null(strstr(text, "Ann Lee"));
    json_text_free(text);
    json_decref(redacted);
    json_decref(value);
    json_decref(schema);
    arena_release(&arena);
}

/* Its schema is cut off there: what is in it has the marks of all of it. */
static void what_is_marked_in_a_shape_within_itself_is_marked_at_any_depth(void **state)
{
    static const char deep[] = "{\"again\":{\"again\":{\"again\":{\"pin\":1234}}}}";
    struct arena arena;
    json_t *schema = shape_schema(inner), *value = parsed(deep);
    (void)state;
    arena_init(&arena, ARENA_SIZE_MAX);
    is(shape_redacted(shape_of_schema(&arena, schema), value, SHAPE_MARKED),
       "{\"again\":{\"again\":\"[secret]\"}}");
    assert_null(shape_check(shape_of_schema(&arena, schema), value));
    json_decref(value);
    json_decref(schema);
    arena_release(&arena);
}

static void what_was_redacted_comes_back_from_the_original(void **state)
{
    json_t *original = parsed(value_text);
    json_t *shown = shape_redacted(person, original, SHAPE_MARKED);
    (void)state;
    is(shape_restored(person, shown, original), value_text);
    json_object_set_new(shown, "name", json_string("Bo"));
    json_object_set_new(shown, "other", json_string("[personal]")); /* not marked: it means that */
    json_t *restored = shape_restored(person, shown, original);
    assert_string_equal(json_string_at(restored, "name"), "Bo");
    assert_string_equal(json_string_at(restored, "other"), "[personal]");
    assert_string_equal(json_string_at(restored, "password"), "hunter2");
    json_decref(restored);
    json_decref(shown);
    json_decref(original);
}

static void names_are_a_shape(void **state)
{
    struct shape_named named;
    json_t *value = parsed("{\"id\":1,\"name\":\"Ann\",\"address\":{\"street\":\"Elm 1\"}}");
    char many[512] = "";
    (void)state;
    is(shape_redacted(shape_named(&named, "name,address", false), value, SHAPE_MARKED),
       "{\"id\":1,\"name\":\"[personal]\",\"address\":\"[personal]\"}");
    is(shape_redacted(shape_named(&named, "street", false), value, SHAPE_MARKED),
       "{\"id\":1,\"name\":\"Ann\",\"address\":{\"street\":\"Elm 1\"}}");
    is(shape_redacted(shape_named(&named, "street", true), value, SHAPE_MARKED),
       "{\"id\":1,\"name\":\"Ann\",\"address\":{\"street\":\"[personal]\"}}");
    assert_null(shape_named(&named, NULL, true));
    assert_null(shape_named(&named, "", true));
    for (int i = 0; i < SHAPE_NAMED_MAX + 1; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "n%d,", i);
    is(shape_redacted(shape_named(&named, many, false), value, SHAPE_MARKED),
       "{\"id\":\"[personal]\",\"name\":\"[personal]\",\"address\":\"[personal]\"}");
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_marks_of_a_shape_are_those_at_any_depth),
        cmocka_unit_test(a_value_is_redacted_wherever_it_is_marked),
        cmocka_unit_test(secrets_can_be_left_out_and_taken_apart),
        cmocka_unit_test(a_sentence_is_redacted_by_the_values),
        cmocka_unit_test(what_a_message_cut_off_is_known_by_its_beginning),
        cmocka_unit_test(a_value_within_another_or_across_it_leaves_nothing_of_either),
        cmocka_unit_test(a_value_is_found_as_json_and_urls_have_it),
        cmocka_unit_test(json_of_any_form_is_redacted_by_the_values),
        cmocka_unit_test(a_fault_does_not_quote_what_is_marked),
        cmocka_unit_test(a_fault_tells_neither_lengths_nor_names_in_what_is_marked),
        cmocka_unit_test(no_kind_of_fault_quotes_what_is_marked),
        cmocka_unit_test(a_real_is_found_as_people_and_servers_write_it),
        cmocka_unit_test(no_default_of_a_secret_is_told),
        cmocka_unit_test(a_schema_says_the_marks_and_they_are_read_back),
        cmocka_unit_test(what_is_marked_in_a_shape_within_itself_is_marked_at_any_depth),
        cmocka_unit_test(what_was_redacted_comes_back_from_the_original),
        cmocka_unit_test(names_are_a_shape),
    };
    return cmocka_run_group_tests(tests, values_start, NULL);
}
