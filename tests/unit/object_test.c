/* SPDX-License-Identifier: Apache-2.0 */
/* fh_object, fh_array, fh_nest, and what reads members: what they make, and what ends the handler.
 * What must not compile is tried in tests/header. */

#include "../support/service.h"

#include <math.h>

static const fh_service declaration = {.name = "books", .model = FH_RELATIONAL};

struct fixture {
    struct harness harness;
    struct service service;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    harness_init(&fixture.harness);
    service_open(&fixture.service, &fixture.harness, fixture.harness.world, &declaration);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    service_close(&fixture->service);
    harness_release(&fixture->harness);
    return 0;
}

/* `said`: the reply's body; of a failure, its message. */
static void expect(void **state, fh_handler *handler, int status, const char *said)
{
    struct fixture *fixture = *state;
    struct service_run run = service_do(&fixture->service, handler);
    assert_int_equal(run.status, status);
    assert_string_equal(status < 500 ? run.body : run.failure.message, said);
    json_text_free(run.body);
}

static void reply_every_type(fh_work *w)
{
    signed char tiny = -8;
    uint8_t byte = 200;
    short small = -30000;
    uint16_t port = 65535;
    long large = 1L << 40;
    int64_t lowest = INT64_MIN;
    uint64_t natural = INT64_MAX;
    float half = 0.5f;
    char text[] = "text";
    const char *no_text = NULL;
    json_t *no_json = NULL;
    enum { SEVEN = 7 } seven = SEVEN;
    bool holds = true;
    fh_reply(w, 200,
             fh_array(w, tiny, byte, small, port, 7, 7u, large, lowest, natural, half, 1.5, text,
                      "literal", no_text, no_json, seven, holds, true, false, (bool)(2 > 1),
                      json_integer(9), fh_array(w)));
}

static void each_type_has_its_value(void **state)
{
    expect(state, reply_every_type, 200,
           "[-8,200,-30000,65535,7,7,1099511627776,-9223372036854775808,9223372036854775807,0.5,"
           "1.5,\"text\",\"literal\",null,null,7,true,true,false,true,9,[]]");
}

static void reply_nested(fh_work *w)
{
    json_t *shared = fh_object(w, "k", 1);
    fh_reply(w, 200,
             fh_object(w, "empty", fh_object(w), "a", shared, "b",
                       fh_object(w, "in", fh_array(w, shared, fh_object(w, "deep", "er")))));
}

static void objects_stand_in_objects_and_their_values_are_borrowed(void **state)
{
    expect(state, reply_nested, 200,
           "{\"empty\":{},\"a\":{\"k\":1},\"b\":{\"in\":[{\"k\":1},{\"deep\":\"er\"}]}}");
}

static void reply_most(fh_work *w)
{
    fh_reply(w, 200,
             fh_object(w, "a", 1, "b", 1, "c", 1, "d", 1, "e", 1, "f", 1, "g", 1, "h", 1, "i", 1,
                       "j", 1, "k", 1, "l", 1, "m", 1, "n", 1, "o", 1, "p", 1, "q", 1, "r", 1, "s",
                       1, "t", 1, "u", 1, "v", 1, "w", 1, "x", 1, "y", 1, "z", 1, "A", 1, "B", 1,
                       "C", 1, "D", 1, "E", 1, "F", 32));
}

static void thirty_two_members_are_taken(void **state)
{
    expect(state, reply_most, 200,
           "{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,"
           "\"k\":1,\"l\":1,\"m\":1,\"n\":1,\"o\":1,\"p\":1,\"q\":1,\"r\":1,\"s\":1,\"t\":1,"
           "\"u\":1,\"v\":1,\"w\":1,\"x\":1,\"y\":1,\"z\":1,\"A\":1,\"B\":1,\"C\":1,\"D\":1,"
           "\"E\":1,\"F\":32}");
}

static void build_twice(fh_work *w)
{
    fh_object(w, "id", 1, "id", 2);
}

static void build_nan(fh_work *w)
{
    fh_object(w, "price", (double)NAN);
}

static void build_beyond(fh_work *w)
{
    fh_array(w, 1, UINT64_MAX);
}

static void build_torn_text(fh_work *w)
{
    fh_object(w, "name", "\xc3");
}

static void build_torn_name(fh_work *w)
{
    fh_object(w, "\xff", 1);
}

static void build_no_name(fh_work *w)
{
    const char *name = NULL;
    fh_object(w, name, 1);
}

static void what_json_can_not_hold_ends_the_handler(void **state)
{
    expect(state, build_twice, 500, "fh_object: \"id\" is a name that stands there twice.");
    expect(state, build_nan, 500,
           "fh_object: \"price\" is no finite number, and JSON has no other.");
    expect(state, build_beyond, 500,
           "fh_array: \"1\" is an integer beyond 2^63 - 1: give it as a text.");
    expect(state, build_torn_text, 500, "fh_object: \"name\" is a text that is not UTF-8.");
    expect(state, build_torn_name, 500, "fh_object: \"?\" stands for a name that is not UTF-8.");
    expect(state, build_no_name, 500, "fh_object: \"\" is no name: it is NULL.");
}

static void build_without_end(fh_work *w)
{
    json_t *chain = fh_array(w);
    for (;;)
        chain = fh_object(w, "in", chain, "text", "that needs memory");
}

static void memory_that_ends_ends_the_handler(void **state)
{
    expect(state, build_without_end, 503, WORK_MEMORY_FAULT);
}

/* ---- fh_nest ---- */

static json_t *json_of(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    assert_non_null(value);
    return value;
}

static void nest_orders(fh_work *w)
{
    json_t *orders = json_of("[{\"id\":2},{\"id\":1},{\"id\":3},{\"id\":\"1\"}]");
    json_t *items = json_of("[{\"order_id\":1,\"n\":1},{\"order_id\":2,\"n\":2},"
                            "{\"order_id\":1,\"n\":3},{\"order_id\":9,\"n\":4},"
                            "{\"order_id\":null,\"n\":5},{\"order_id\":\"1\",\"n\":6}]");
    fh_reply(w, 200, fh_nest(w, orders, "items", items, "order_id"));
}

static void items_are_in_their_rows_in_order(void **state)
{
    expect(state, nest_orders, 200,
           "[{\"id\":2,\"items\":[{\"n\":2}]},{\"id\":1,\"items\":[{\"n\":1},{\"n\":3}]},"
           "{\"id\":3,\"items\":[]},{\"id\":\"1\",\"items\":[{\"n\":6}]}]");
}

static void nest_one(fh_work *w)
{
    fh_reply(w, 200,
             fh_nest(w, fh_object(w, "code", "x"), "parts", json_of("[{\"of\":\"x\",\"n\":1}]"),
                     "of=code"));
}

static void one_row_has_items_too_and_its_key_may_be_named(void **state)
{
    expect(state, nest_one, 200, "{\"code\":\"x\",\"parts\":[{\"n\":1}]}");
}

static void nest_without_id(fh_work *w)
{
    fh_nest(w, json_of("[{\"name\":1}]"), "items", json_array(), "order_id");
}

static void nest_without_key(fh_work *w)
{
    fh_nest(w, json_of("[{\"id\":1}]"), "items", json_of("[{\"n\":1}]"), "order_id");
}

static void what_has_no_key_ends_the_handler(void **state)
{
    expect(state, nest_without_id, 500, "fh_nest \"items\": one of the rows has no \"id\".");
    expect(state, nest_without_key, 500,
           "fh_nest \"items\": one of the items has no \"order_id\".");
}

/* ---- Members ---- */

static json_t *some_row(fh_work *w)
{
    return fh_object(w, "name", "Ada", "note", (const char *)NULL, "count", -7, "large",
                     "9007199254740993", "digits", "42", "ratio", 0.5, "paid", true);
}

static void read_each_type(fh_work *w)
{
    json_t *row = some_row(w);
    fh_reply(w, 200,
             fh_array(w, fh_text(w, row, "name"), fh_text(w, row, "note"), fh_int(w, row, "count"),
                      fh_int(w, row, "large"), fh_real(w, row, "ratio"), fh_real(w, row, "count"),
                      fh_bool(w, row, "paid")));
}

static void read_column(fh_work *w)
{
    json_t *rows = json_of("[{\"id\":2},{\"id\":null},{\"id\":\"x\"},{\"id\":2}]");
    fh_reply(w, 200, fh_array(w, fh_column(w, rows, "id"), fh_column(w, fh_array(w), "id")));
}

static void members_are_read_by_their_types(void **state)
{
    expect(state, read_each_type, 200, "[\"Ada\",null,-7,9007199254740993,0.5,-7.0,true]");
    expect(state, read_column, 200, "[[2,\"x\",2],[]]");
}

static void read_missing(fh_work *w)
{
    fh_text(w, some_row(w), "nam");
}

static void read_other_type(fh_work *w)
{
    fh_text(w, some_row(w), "count");
}

static void read_digits(fh_work *w)
{
    fh_int(w, some_row(w), "digits");
}

static void read_null(fh_work *w)
{
    fh_real(w, some_row(w), "note");
}

static void read_no_row(fh_work *w)
{
    fh_bool(w, fh_try_row(w, "SELECT 1 AS id WHERE 1 = 0"), "id");
}

static void read_missing_column(fh_work *w)
{
    fh_column(w, fh_array(w, some_row(w)), "id");
}

static void read_no_column(fh_work *w)
{
    fh_column(w, some_row(w), "id");
}

static void what_is_not_there_or_another_type_is_named(void **state)
{
    expect(state, read_missing, 500, "fh_text \"nam\": missing: expected a string");
    expect(state, read_other_type, 500, "fh_text \"count\": expected a string, found an integer");
    expect(state, read_digits, 500, "fh_int \"digits\": expected an integer, found a string");
    expect(state, read_null, 500, "fh_real \"note\": expected a number, found null");
    expect(state, read_no_row, 500, "fh_bool \"id\": there is no object");
    expect(state, read_missing_column, 500, "fh_column \"id\": missing: expected a value");
    expect(state, read_no_column, 500, "fh_column \"id\" takes an array of objects.");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_type_has_its_value),
        CASE(objects_stand_in_objects_and_their_values_are_borrowed),
        CASE(thirty_two_members_are_taken),
        CASE(what_json_can_not_hold_ends_the_handler),
        CASE(memory_that_ends_ends_the_handler),
        CASE(items_are_in_their_rows_in_order),
        CASE(one_row_has_items_too_and_its_key_may_be_named),
        CASE(what_has_no_key_ends_the_handler),
        CASE(members_are_read_by_their_types),
        CASE(what_is_not_there_or_another_type_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
