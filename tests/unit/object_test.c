/* SPDX-License-Identifier: Apache-2.0 */
/* fh_object, fh_array and fh_nest: what they make, and what ends the handler. What must not compile
 * is tried in tests/header. */

#include "../support/fixture.h"

#include <math.h>
#include <string.h>

#include "base/json.h"

static const fh_service service = {.name = "books", .model = FH_RELATIONAL};

static int set_up(void **state)
{
    return fixture_set_up(state, &service, "CREATE TABLE book (id INTEGER PRIMARY KEY);");
}

struct run {
    struct fixture *fixture;
    fh_handler *handler;
    int status;
    char reply[4096];
    char failure[256];
};

static void run_work(void *argument)
{
    struct run *run = argument;
    fh_work w;
    work_init(&w, &run->fixture->context, run->handler);
    work_run(&w);
    run->status = w.reply_status;
    snprintf(run->failure, sizeof run->failure, "%s", w.failure.message);
    if (w.reply_body) {
        char *text = json_text(w.reply_body);
        snprintf(run->reply, sizeof run->reply, "%s", text);
        json_text_free(text);
    }
    work_release(&w);
}

static void expect(void **state, fh_handler *handler, int status, const char *reply)
{
    struct fixture *fixture = *state;
    struct run run = {.fixture = fixture, .handler = handler};
    harness_run(&fixture->harness, run_work, &run);
    assert_int_equal(run.status, status);
    if (status == 500)
        assert_string_equal(run.failure, reply);
    else
        assert_string_equal(run.reply, reply);
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
    struct fixture *fixture = *state;
    struct run run = {.fixture = fixture, .handler = build_without_end};
    harness_run(&fixture->harness, run_work, &run);
    assert_int_equal(run.status, 503);
    assert_string_equal(run.failure, WORK_MEMORY_FAULT);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_type_has_its_value, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(objects_stand_in_objects_and_their_values_are_borrowed,
                                        set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(thirty_two_members_are_taken, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(what_json_can_not_hold_ends_the_handler, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(memory_that_ends_ends_the_handler, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(items_are_in_their_rows_in_order, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(one_row_has_items_too_and_its_key_may_be_named, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(what_has_no_key_ends_the_handler, set_up,
                                        fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
