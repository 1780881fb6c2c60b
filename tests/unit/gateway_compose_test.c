/* SPDX-License-Identifier: Apache-2.0 */
/* The pure half of composition: declarations, order, the path language, rows in order. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "gateway/compose.h"

static json_t *parse(const char *text)
{
    json_t *value;
    struct fh_error error = {0};
    if (json_parse(text, strlen(text), &value, &error) != FH_OK)
        fail_msg("%s", error.message);
    return value;
}

static enum fh_code declare(const char *text, struct compose **ret, struct fh_error *error)
{
    json_t *declared = parse(text);
    enum fh_code code = compose_parse(declared, ret, error);
    json_decref(declared);
    return code;
}

static void assert_refused(const char *text, const char *sentence)
{
    struct compose *compose;
    struct fh_error error = {0};
    assert_int_equal(declare(text, &compose, &error), FH_INVALID);
    assert_null(compose);
    if (!strstr(error.message, sentence))
        fail_msg("\"%s\" does not say \"%s\"", error.message, sentence);
}

static const char details[] =
    "{\"path\": \"/api/orders/{id:int}/details\", \"parts\": ["
    "{\"name\": \"order\", \"get\": \"orders /api/orders/{id}\", \"required\": true},"
    "{\"name\": \"user\", \"get\": \"users /api/users/{order.user_id}\"},"
    "{\"name\": \"products\", \"each\": \"order.items\", \"id\": \"product_id\","
    " \"get\": \"products /api/products?ids={ids}\"},"
    "{\"name\": \"makers\", \"each\": \"products[].maker_id\", \"timeout_ms\": 300,"
    " \"get\": \"users /api/users?ids={ids}\"}]}";

static void parts_start_as_soon_as_what_they_refer_to_is_there(void **state)
{
    (void)state;
    struct compose *compose;
    struct fh_error error;
    assert_int_equal(declare(details, &compose, &error), FH_OK);
    assert_int_equal(compose->part_count, 4);
    assert_int_equal(compose_startable(compose, 0, 0), 0x1);
    assert_int_equal(compose_startable(compose, 0x1, 0), 0);
    assert_int_equal(compose_startable(compose, 0x1, 0x1), 0x6);
    assert_int_equal(compose_startable(compose, 0x7, 0x3), 0);
    assert_int_equal(compose_startable(compose, 0x7, 0x5), 0x8);
    assert_true(compose->parts[0].required);
    assert_string_equal(compose->parts[0].service, "orders");
    assert_string_equal(compose->parts[2].ids, "order.items[].product_id");
    assert_string_equal(compose->parts[2].target, "/api/products?ids={ids}");
    assert_int_equal(compose->parts[1].timeout_ms, COMPOSE_OPTIONAL_TIMEOUT_MS);
    assert_int_equal(compose->parts[3].timeout_ms, 300);
    assert_int_equal(compose->deadline_ms, COMPOSE_DEADLINE_MS);
    compose_free(compose);
}

#define PARTS(parts) "{\"path\": \"/a/{id}\", \"parts\": [" parts "]}"

static void a_wrong_declaration_is_refused_with_a_sentence_that_names_the_place(void **state)
{
    (void)state;
    assert_refused("{}", "needs a \"path\"");
    assert_refused("{\"path\": \"/a\"}", "\"parts\" must be a list");
    assert_refused(PARTS(""), "1 to 32 parts");
    assert_refused(PARTS("{\"get\": \"a /a\"}"), "part 1 needs a name");
    assert_refused(PARTS("{\"name\": \"a.b\", \"get\": \"a /a\"}"), "needs a name of letters");
    assert_refused(PARTS("{\"name\": \"missing\", \"get\": \"a /a\"}"), "is taken already");
    assert_refused(PARTS("{\"name\": \"id\", \"get\": \"a /a\"}"), "is taken already");
    assert_refused(
        PARTS("{\"name\": \"x\", \"get\": \"a /a\"}, {\"name\": \"x\", \"get\": \"a /b\"}"),
        "is taken already");
    assert_refused(PARTS("{\"name\": \"x\"}"), "\"get\" must be \"SERVICE /path\"");
    assert_refused(PARTS("{\"name\": \"x\", \"get\": \"a b\"}"), "\"get\" must be");
    assert_refused(PARTS("{\"name\": \"x\", \"get\": \"a /{id\"}"), "without its name and '}'");
    assert_refused(PARTS("{\"name\": \"x\", \"get\": \"a /{y.id}\"}"),
                   "\"y.id\" is neither a part");
    assert_refused(PARTS("{\"name\": \"x\", \"get\": \"a /{id.y}\"}"),
                   "\"id.y\" is neither a part");
    assert_refused(PARTS("{\"name\": \"x\", \"get\": \"a /{x[].id}\"}"), "through \"each\"");
    assert_refused(PARTS("{\"name\": \"x\", \"get\": \"a /\", \"each\": \"id\"}"),
                   "must have {ids}");
    assert_refused(PARTS("{\"name\": \"x\", \"get\": \"a /{ids}\", \"each\": \"o..p\"}"),
                   "\"each\" is a path such as");
    assert_refused(PARTS("{\"name\": \"x\", \"get\": \"a /\", \"id\": \"p\"}"),
                   "only with \"each\"");
    assert_refused(PARTS("{\"name\": \"x\", \"get\": \"a /\", \"requird\": true}"),
                   "\"requird\" is not known");
    assert_refused(PARTS("{\"name\": \"x\", \"get\": \"a /\", \"required\": 1}"), "true or false");
    assert_refused(PARTS("{\"name\": \"x\", \"get\": \"a /\", \"timeout_ms\": 0}"), "from 1 to");
}

static void parts_that_wait_for_each_other_are_refused(void **state)
{
    (void)state;
    assert_refused(
        PARTS("{\"name\": \"x\", \"get\": \"a /{y.i}\"}, {\"name\": \"y\", \"get\": \"a /{x.i}\"}"),
        "in a circle");
    assert_refused(PARTS("{\"name\": \"x\", \"get\": \"a /{x.i}\"}"), "in a circle");
    assert_refused(PARTS("{\"name\": \"x\", \"get\": \"a /{y.i}\", \"required\": true},"
                         "{\"name\": \"y\", \"get\": \"a /\"}"),
                   "must be required too");
}

static void assert_ids(const char *values, const char *path, const char *expected)
{
    json_t *ids, *from = parse(values);
    struct fh_error error = {0};
    assert_int_equal(compose_ids(from, path, &ids, &error), FH_OK);
    if (!expected) {
        assert_null(ids);
    } else {
        char *text = json_text(ids);
        assert_string_equal(text, expected);
        json_text_free(text);
    }
    json_decref(ids);
    json_decref(from);
}

static void ids_are_distinct_and_in_the_order_of_their_first_appearance(void **state)
{
    (void)state;
    assert_ids("{\"o\": {\"items\": [{\"p\": 3}, {\"p\": 1}, {\"p\": 3}, {\"p\": \"1\"}]}}",
               "o.items[].p", "[3,1]");
    assert_ids("{\"o\": [{\"u\": \"b\"}, {\"u\": null}, {}, {\"u\": \"a\"}]}", "o[].u",
               "[\"b\",\"a\"]");
    assert_ids("{\"o\": [{\"i\": [{\"p\": 1}]}, {\"i\": [{\"p\": 2}, {\"p\": 1}]}]}", "o[].i[].p",
               "[1,2]");
    assert_ids("{\"o\": {\"ids\": [5, 6]}}", "o.ids[]", "[5,6]");
    assert_ids("{\"o\": {\"id\": 5}}", "o.id", "[5]");
}

static void an_empty_list_has_no_ids_and_an_absent_one_is_nothing(void **state)
{
    (void)state;
    assert_ids("{\"o\": {\"items\": []}}", "o.items[].p", "[]");
    assert_ids("{\"o\": {\"items\": null}}", "o.items[].p", NULL);
    assert_ids("{\"o\": {}}", "o.items[].p", NULL);
    assert_ids("{}", "o.items[].p", NULL);
}

static void ids_that_cannot_be_ids_are_refused(void **state)
{
    (void)state;
    json_t *ids, *from = parse("{\"o\": [{\"p\": {}}], \"x\": {\"p\": 1}}");
    struct fh_error error = {0};
    assert_int_equal(compose_ids(from, "o[].p", &ids, &error), FH_INVALID);
    assert_null(ids);
    assert_int_equal(compose_ids(from, "x[].p", &ids, &error), FH_INVALID);
    assert_non_null(strstr(error.message, "A list was expected"));
    json_decref(from);
    from = json_pack("{s[]}", "o");
    for (int i = 0; i <= COMPOSE_IDS_MAX; i++)
        json_array_append_new(json_object_get(from, "o"), json_integer(i));
    assert_int_equal(compose_ids(from, "o[]", &ids, &error), FH_INVALID);
    assert_non_null(strstr(error.message, "more than 2000"));
    json_decref(from);
}

static void rows_come_in_the_order_of_the_ids_and_unknown_ones_are_left_out(void **state)
{
    (void)state;
    json_t *ids = parse("[3, \"1\", 9, 2]"), *merged;
    json_t *answers[2] = {parse("[{\"id\": 1}, {\"id\": \"3\"}]"),
                          parse("[{\"id\": 2, \"n\": 0.5}]")};
    struct fh_error error;
    assert_int_equal(compose_merge(ids, answers, 2, &merged, &error), FH_OK);
    char *text = json_text(merged);
    assert_string_equal(text, "[{\"id\":\"3\"},{\"id\":1},{\"id\":2,\"n\":0.5}]");
    json_text_free(text);
    json_decref(merged);
    json_decref(answers[1]);
    answers[1] = parse("{\"id\": 2}");
    assert_int_equal(compose_merge(ids, answers, 2, &merged, &error), FH_INVALID);
    assert_null(merged);
    json_decref(answers[1]);
    answers[1] = parse("[{\"name\": 2}]");
    assert_int_equal(compose_merge(ids, answers, 2, &merged, &error), FH_INVALID);
    assert_non_null(strstr(error.message, "has no id"));
    json_decref(answers[0]);
    json_decref(answers[1]);
    json_decref(ids);
}

static void a_null_or_absent_reference_is_not_fetched(void **state)
{
    (void)state;
    struct compose_part part = {.target = "/api/payments/{order.payment_id}/of/{id}"};
    json_t *values = parse("{\"id\": 7, \"order\": {\"payment_id\": null}}");
    assert_true(compose_refers_to_nothing(&part, values));
    json_object_del(json_object_get(values, "order"), "payment_id");
    assert_true(compose_refers_to_nothing(&part, values));
    json_object_set_new(json_object_get(values, "order"), "payment_id", json_string("p"));
    assert_false(compose_refers_to_nothing(&part, values));
    json_object_set_new(values, "order", json_null());
    assert_true(compose_refers_to_nothing(&part, values));
    json_decref(values);
}

static void a_part_fits_only_routes_of_its_shape(void **state)
{
    (void)state;
    assert_true(compose_target_fits("/api/users/{order.user_id}", "/api/users/{id:int}"));
    assert_true(compose_target_fits("/api/users?ids={ids}", "/api/users"));
    assert_true(compose_target_fits("/api/users/7", "/api/users/{id}"));
    assert_false(compose_target_fits("/api/users/{id}", "/api/users"));
    assert_false(compose_target_fits("/api/users", "/api/users/{id}"));
    assert_false(compose_target_fits("/api/{x}", "/api/users"));
    assert_false(compose_target_fits("/api/user", "/api/users"));
}

int main(void)
{
    json_memory_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_start_as_soon_as_what_they_refer_to_is_there),
        cmocka_unit_test(a_wrong_declaration_is_refused_with_a_sentence_that_names_the_place),
        cmocka_unit_test(parts_that_wait_for_each_other_are_refused),
        cmocka_unit_test(ids_are_distinct_and_in_the_order_of_their_first_appearance),
        cmocka_unit_test(an_empty_list_has_no_ids_and_an_absent_one_is_nothing),
        cmocka_unit_test(ids_that_cannot_be_ids_are_refused),
        cmocka_unit_test(rows_come_in_the_order_of_the_ids_and_unknown_ones_are_left_out),
        cmocka_unit_test(a_null_or_absent_reference_is_not_fetched),
        cmocka_unit_test(a_part_fits_only_routes_of_its_shape),
    };
    return cmocka_run_group_tests_name("gateway_compose", tests, NULL, NULL);
}
