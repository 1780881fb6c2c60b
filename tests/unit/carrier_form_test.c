/* SPDX-License-Identifier: Apache-2.0 */
/* Events of points and facts as they are written (carrier/form.c): what is taken there is what JSON
 * says, whatever else a text is. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../support/carried_ops.h"
#include "base/json.h"
#include "carrier/form.h"
#include "store/relational/sql.h"
#include "work/carried.h"

#define OPS_MAX 8
#define TEXT_MAX 4096

static const struct fh_derived_field fields[] = {{"device", FH_STRING, FH_TAG},
                                                 {"site", FH_INT, FH_TAG},
                                                 {"on", FH_BOOL, FH_TAG},
                                                 {"c", FH_NUMBER},
                                                 {"n", FH_INT},
                                                 {0}};
static const struct fh_derived measured = {"measured", FH_SERIES, fields};
static struct carried_form form;
static struct text event;

static uint64_t drawn = 1;

static int draw(int below)
{
    drawn = drawn * 6364136223846793005u + 1442695040888963407u;
    return (int)((drawn >> 33) % (uint64_t)below);
}

static int form_set_up(void **state)
{
    (void)state;
    json_memory_init();
    carried_form_init(&form, &measured);
    text_init(&event, TEXT_MAX);
    return 0;
}

static int form_tear_down(void **state)
{
    (void)state;
    carried_form_release(&form);
    text_release(&event);
    return 0;
}

/* ---- Reading ---- */

static struct {
    struct carried_op ops[TEXT_MAX];
    struct carried_value values[TEXT_MAX * 5];
    struct carried_found found;
    char text[TEXT_MAX + JSON_SCAN_PADDING];
} reading;

static bool is_formed(const char *text, size_t length)
{
    memset(reading.text, 0, sizeof reading.text);
    memcpy(reading.text, text, length);
    reading.found = (struct carried_found){.ops = reading.ops, .values = reading.values};
    assert_true(carried_form_room(&form, length) <= TEXT_MAX);
    return carried_form_read(&form, reading.text, length, &reading.found);
}

static void assert_same_fact(const struct carried_op *op, const json_t *expected)
{
    const char *key = json_string_value(json_object_get(expected, "key"));
    int64_t at_ms = json_integer_value(json_object_get(expected, "at_ms"));
    const json_t *value = json_object_get(expected, "value");
    assert_memory_equal(op->key, key, strlen(key));
    assert_int_equal(op->key[strlen(key)], '"');
    assert_int_equal(op->at_ms, at_ms);
    assert_string_equal(json_string_value(json_object_get(expected, "name")), "measured");
    struct carried_value *values = carried_values_new(&measured, at_ms, value);
    assert_non_null(values);
    for (int i = 0; fields[i].name; i++) {
        assert_int_equal(op->values[i].kind, values[i].kind);
        if (values[i].kind == CARRIED_NUMBER && fields[i].type == FH_NUMBER) {
            double one = carried_real(&op->values[i]), other = carried_real(&values[i]);
            assert_memory_equal(&one, &other, sizeof one);
        } else if (values[i].kind != CARRIED_NULL) {
            assert_int_equal(op->values[i].length, values[i].length);
            assert_memory_equal(op->values[i].text, values[i].text, values[i].length);
        }
    }
    free(values);
}

/* What form.c has taken. */
static void assert_as_json(const char *text, size_t length)
{
    struct fh_error error;
    json_t *data = NULL;
    assert_int_equal(json_parse(text, length, &data, &error), FH_OK);
    const json_t *ops = json_object_get(data, "ops"), *op;
    const json_t *generation = json_object_get(data, "generation");
    size_t i;
    assert_int_equal(json_array_size(ops), reading.found.count);
    json_array_foreach (ops, i, op)
        assert_same_fact(&reading.ops[i], op);
    assert_int_equal(generation != NULL, reading.found.incarnation.at != NULL);
    if (generation) {
        const char *incarnation = json_string_value(json_array_get(generation, 0));
        assert_int_equal(strlen(incarnation), reading.found.incarnation.length);
        assert_memory_equal(incarnation, reading.found.incarnation.at, strlen(incarnation));
        assert_int_equal(json_array_size(generation), 2);
        assert_int_equal(json_integer_value(json_array_get(generation, 1)), reading.found.number);
        assert_int_equal(json_integer_value(json_object_get(data, "as_of")), reading.found.as_of);
    }
    assert_int_equal(json_object_get(data, "last") != NULL, reading.found.last.at != NULL);
    json_decref(data);
}

/* ---- What is written ---- */

static struct sql_value drawn_value(const struct fh_derived_field *field)
{
    static const char *const texts[] = {"d1",     "",   "a b",   "\xc3\xbc\xe2\x82\xac",
                                        "'); --", "}}", "{name:"};
    static const double reals[] = {0,
                                   -0.0,
                                   0.1,
                                   1e22,
                                   -1.5,
                                   1e-7,
                                   123456789012345678.0,
                                   1e30,
                                   1e-30,
                                   0.25,
                                   1.7976931348623157e30,
                                   19.99};
    if (field->type == FH_STRING)
        return sql_text(texts[draw(7)]);
    if (field->type == FH_BOOL)
        return sql_integer(draw(2));
    if (field->use != FH_TAG && !draw(5))
        return (struct sql_value){.kind = SQL_NULL};
    if (field->type == FH_INT)
        return sql_integer(draw(2) ? draw(1000) - 500 : INT64_C(99999999999999999) * (draw(3) - 1));
    return (struct sql_value){
        .kind = SQL_REAL, .real = draw(2) ? reals[draw(12)] : (draw(2000000) - 1000000) / 1000.0};
}

static void write_drawn_event(void)
{
    int count = draw(OPS_MAX);
    bool rows = !draw(3);
    text_clear(&event);
    text_add(&event, rows ? "{\"generation\":[\"life\",7],\"as_of\":870,\"ops\":[" : "{\"ops\":[");
    for (int i = 0; i < count; i++) {
        struct sql_value values[DERIVED_FIELDS_MAX];
        struct derived_fact fact = {
            .id = draw(100000), .at_ms = draw(2000) - 1000, .values = values};
        char key[CARRIED_FACT_KEY_SIZE];
        for (int j = 0; fields[j].name; j++)
            values[j] = drawn_value(&fields[j]);
        carried_fact_key(key, &fact);
        text_add(&event, i ? "," : "");
        carried_write_fact(&event, &measured, key, &fact);
    }
    text_add(&event, rows && draw(2) ? "],\"last\":\"measured\"}" : "]}");
    assert_false(event.overflow);
}

static void what_is_written_is_taken_as_it_is(void **state)
{
    (void)state;
    for (int i = 0; i < 2000; i++) {
        write_drawn_event();
        assert_true(is_formed(event.data, event.length));
        assert_as_json(event.data, event.length);
    }
}

/* Whatever is not as it was written is refused, or means the same to JSON. */
static void what_is_damaged_is_never_taken_as_something_else(void **state)
{
    static const char bytes[] = "\"\\{}[],:0123456789.-+eEnulltrfas \x01\x80\xc3";
    int taken = 0;
    (void)state;
    for (int i = 0; i < 40000; i++) {
        write_drawn_event();
        size_t length = event.length;
        for (int changes = 1 + draw(2); changes; changes--) {
            size_t at = (size_t)draw((int)length);
            int kind = draw(3);
            if (kind == 0) {
                event.data[at] = bytes[draw((int)sizeof bytes - 1)];
            } else if (kind == 1) {
                memmove(event.data + at, event.data + at + 1, length - at);
                length -= length > 1;
            } else {
                length = at + 1;
            }
        }
        if (is_formed(event.data, length)) {
            taken++;
            assert_as_json(event.data, length);
        }
    }
    assert_true(taken > 100); /* a digit for another, and the like */
}

static void assert_left_to_json(const char *value)
{
    char text[TEXT_MAX];
    snprintf(text, sizeof text,
             "{\"ops\":[{\"name\":\"measured\",\"key\":\"1@2\",\"at_ms\":2,\"value\":%s}]}", value);
    assert_false(is_formed(text, strlen(text)));
}

static void what_needs_more_than_a_look_is_left_to_json(void **state)
{
    char text[600] = "{\"device\":\"";
    (void)state;
    assert_left_to_json("{\"device\":\"a\\n\",\"site\":1,\"on\":true,\"c\":1.0,\"n\":1}");
    assert_left_to_json(
        "{\"device\":\"a\",\"site\":1234567890123456789,\"on\":true,\"c\":1.0,\"n\":1}");
    assert_left_to_json("{\"device\":\"a\",\"site\":null,\"on\":true,\"c\":1.0,\"n\":1}");
    assert_left_to_json("{\"device\":\"a\",\"site\":1,\"on\":1,\"c\":1.0,\"n\":1}");
    assert_left_to_json("{\"device\":\"a\",\"site\":1,\"on\":true,\"c\":\"1\",\"n\":1}");
    assert_left_to_json("{\"device\":\"a\",\"site\":1,\"on\":true,\"c\":1.0,\"n\":1.5}");
    assert_left_to_json("{\"device\":\"a\",\"site\":1,\"on\":true,\"c\":1.0}");
    assert_left_to_json("{\"site\":1,\"device\":\"a\",\"on\":true,\"c\":1.0,\"n\":1}");
    memset(text + strlen(text), 'a', DERIVED_WORD_LENGTH_MAX + 1);
    strcat(text, "\",\"site\":1,\"on\":true,\"c\":1.0,\"n\":1}");
    assert_left_to_json(text);
}

/* ---- Numbers ---- */

static double real_of(const char *text)
{
    return carried_real(&(struct carried_value){
        .text = text, .length = (uint32_t)strlen(text), .kind = CARRIED_NUMBER});
}

static void a_real_is_the_one_that_its_digits_say(void **state)
{
    static const char *const given[] = {"0",
                                        "-0",
                                        "-0.0",
                                        "1",
                                        "0.1",
                                        "19.99",
                                        "1e5",
                                        "5e-324",
                                        "123456789012345.5",
                                        "9007199254740993",
                                        "0.1234567890123456789012345",
                                        "99999999999999999999",
                                        "0.00000000000000000000001",
                                        "1.7976931348623157e308"};
    char digits[64];
    (void)state;
    for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
        double one = real_of(given[i]), other = strtod(given[i], NULL);
        assert_memory_equal(&one, &other, sizeof one);
    }
    for (int i = 0; i < 200000; i++) {
        int64_t whole = (int64_t)draw(1 << 30) * draw(1 << 20);
        snprintf(digits, sizeof digits, "%s%lld.%0*d", draw(2) ? "-" : "",
                 (long long)whole % (1 << (1 + draw(29))), 1 + draw(9), draw(100000000));
        double one = real_of(digits), other = strtod(digits, NULL);
        assert_memory_equal(&one, &other, sizeof one);
    }
}

static void an_integer_has_all_of_its_digits(void **state)
{
    static const int64_t given[] = {0, -1, 7, INT64_MAX, INT64_MIN, INT64_MIN + 1};
    char digits[TEXT_INTEGER_SIZE];
    (void)state;
    for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
        const char *text = text_of_integer(given[i], digits);
        struct carried_value value = {.text = text, .length = (uint32_t)strlen(text)};
        assert_true(carried_integer(&value) == given[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_taken_as_it_is),
        cmocka_unit_test(what_is_damaged_is_never_taken_as_something_else),
        cmocka_unit_test(what_needs_more_than_a_look_is_left_to_json),
        cmocka_unit_test(a_real_is_the_one_that_its_digits_say),
        cmocka_unit_test(an_integer_has_all_of_its_digits),
    };
    return cmocka_run_group_tests(tests, form_set_up, form_tear_down);
}
