/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Updates: each row is a document, an update and what MongoDB makes of it, fields in order; or
 * the code and word with which it is refused.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "store/document/document.h"

static json_t *parse(const char *text)
{
    struct fh_error error;
    json_t *value;
    if (json_parse(text, strlen(text), &value, &error))
        fail_msg("%s in: %s", error.message, text);
    return value;
}

struct row {
    const char *document, *update, *result;
};

static void run_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        json_t *document = parse(rows[i].document), *update = parse(rows[i].update);
        json_t *update_before = json_deep_copy(update);
        struct fh_error error = {0};
        enum fh_code code = document_update_check(update, &error);
        if (!code)
            code = document_apply(document, update, &error);
        if (code)
            fail_msg("%s on %s: %s", rows[i].update, rows[i].document, error.message);
        json_t *wanted = parse(rows[i].result);
        char *text = json_text(document), *wanted_text = json_text(wanted);
        if (strcmp(text, wanted_text) != 0)
            fail_msg("%s on %s: %s, expected %s", rows[i].update, rows[i].document, text,
                     wanted_text);
        assert_true(json_equal(update, update_before));
        json_text_free(text);
        json_text_free(wanted_text);
        json_decref(document);
        json_decref(update);
        json_decref(update_before);
        json_decref(wanted);
    }
}

#define RUN(rows) run_rows(rows, sizeof(rows) / sizeof *(rows))

static void set_and_unset(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"a\":1}", "{\"$set\":{\"a\":2}}", "{\"a\":2}"},
        {"{\"a\":1,\"b\":2}", "{\"$set\":{\"a\":\"x\"}}", "{\"a\":\"x\",\"b\":2}"},
        {"{}", "{\"$set\":{\"b\":1,\"a\":2}}", "{\"a\":2,\"b\":1}"},
        {"{}", "{\"$set\":{\"c\":1},\"$inc\":{\"b\":2}}", "{\"b\":2,\"c\":1}"},
        {"{}", "{\"$set\":{\"10\":1,\"9\":2,\"a\":3}}", "{\"9\":2,\"10\":1,\"a\":3}"},
        {"{}", "{\"$set\":{\"a.b.c\":1}}", "{\"a\":{\"b\":{\"c\":1}}}"},
        {"{\"a\":{\"x\":1}}", "{\"$set\":{\"a.b\":1}}", "{\"a\":{\"x\":1,\"b\":1}}"},
        {"{\"a\":{\"x\":1}}", "{\"$set\":{\"a\":{\"b\":[1]}}}", "{\"a\":{\"b\":[1]}}"},
        {"{\"a\":[1,2]}", "{\"$set\":{\"a.1\":5}}", "{\"a\":[1,5]}"},
        {"{\"a\":[1]}", "{\"$set\":{\"a.3\":5}}", "{\"a\":[1,null,null,5]}"},
        {"{\"a\":[{\"b\":1}]}", "{\"$set\":{\"a.0.b\":2}}", "{\"a\":[{\"b\":2}]}"},
        {"{\"a\":[]}", "{\"$set\":{\"a.0.b\":2}}", "{\"a\":[{\"b\":2}]}"},
        {"{}", "{\"$set\":{\"a.0\":2}}", "{\"a\":{\"0\":2}}"},
        {"{\"a\":[]}", "{\"$set\":{\"a.10\":1,\"a.9\":2}}",
         "{\"a\":[null,null,null,null,null,null,null,null,null,2,1]}"},
        {"{\"a\":1}", "{\"$set\":{}}", "{\"a\":1}"},
        {"{\"a\":1}", "{\"$set\":{\"b\":null}}", "{\"a\":1,\"b\":null}"},
        {"{\"a\":1,\"b\":2}", "{\"$unset\":{\"a\":\"\"}}", "{\"b\":2}"},
        {"{\"a\":1}", "{\"$unset\":{\"b\":\"\",\"c.d\":1}}", "{\"a\":1}"},
        {"{\"a\":{\"b\":1,\"c\":2}}", "{\"$unset\":{\"a.b\":\"\"}}", "{\"a\":{\"c\":2}}"},
        {"{\"a\":[1,2,3]}", "{\"$unset\":{\"a.1\":\"\"}}", "{\"a\":[1,null,3]}"},
        {"{\"a\":[1]}", "{\"$unset\":{\"a.7\":\"\"}}", "{\"a\":[1]}"},
        {"{\"a\":5}", "{\"$unset\":{\"a.b\":\"\"}}", "{\"a\":5}"},
        {"{\"identity\":1}", "{\"$set\":{\"identity\":2}}", "{\"identity\":2}"},
    };
    RUN(rows);
}

static void numbers_are_counted_exactly(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"a\":1}", "{\"$inc\":{\"a\":2}}", "{\"a\":3}"},
        {"{\"a\":1}", "{\"$inc\":{\"a\":-2}}", "{\"a\":-1}"},
        {"{}", "{\"$inc\":{\"a\":5}}", "{\"a\":5}"},
        {"{}", "{\"$inc\":{\"a.b\":5}}", "{\"a\":{\"b\":5}}"},
        {"{}", "{\"$inc\":{\"a\":0.5}}", "{\"a\":0.5}"},
        {"{\"a\":0.5}", "{\"$inc\":{\"a\":0.25}}", "{\"a\":0.75}"},
        {"{\"a\":0.5}", "{\"$inc\":{\"a\":1}}", "{\"a\":1.5}"},
        {"{\"a\":[1,2]}", "{\"$inc\":{\"a.1\":5}}", "{\"a\":[1,7]}"},
        {"{\"a\":9007199254740993}", "{\"$inc\":{\"a\":1}}", "{\"a\":9007199254740994}"},
        {"{\"a\":9223372036854775806}", "{\"$inc\":{\"a\":1}}", "{\"a\":9223372036854775807}"},
        {"{\"a\":3}", "{\"$mul\":{\"a\":4}}", "{\"a\":12}"},
        {"{}", "{\"$mul\":{\"a\":4}}", "{\"a\":0}"},
        {"{}", "{\"$mul\":{\"a\":1.5}}", "{\"a\":0.0}"},
        {"{\"a\":1.5}", "{\"$mul\":{\"a\":2}}", "{\"a\":3.0}"},
        {"{\"a\":5}", "{\"$min\":{\"a\":3}}", "{\"a\":3}"},
        {"{\"a\":5}", "{\"$min\":{\"a\":7}}", "{\"a\":5}"},
        {"{\"a\":5}", "{\"$max\":{\"a\":7}}", "{\"a\":7}"},
        {"{\"a\":5}", "{\"$max\":{\"a\":5.0}}", "{\"a\":5}"},
        {"{}", "{\"$max\":{\"a\":7}}", "{\"a\":7}"},
        {"{\"a\":5}", "{\"$max\":{\"a\":\"x\"}}", "{\"a\":\"x\"}"},
        {"{\"a\":5}", "{\"$min\":{\"a\":null}}", "{\"a\":null}"},
        {"{\"a\":\"b\"}", "{\"$min\":{\"a\":\"a\"}}", "{\"a\":\"a\"}"},
        {"{\"a\":true}", "{\"$max\":{\"a\":[1]}}", "{\"a\":true}"},
    };
    RUN(rows);
}

static void arrays_grow_and_shrink(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"a\":[1]}", "{\"$push\":{\"a\":2}}", "{\"a\":[1,2]}"},
        {"{}", "{\"$push\":{\"a\":2}}", "{\"a\":[2]}"},
        {"{\"a\":[]}", "{\"$push\":{\"a\":[1,2]}}", "{\"a\":[[1,2]]}"},
        {"{\"a\":[]}", "{\"$push\":{\"a\":{\"$each\":[1,2]}}}", "{\"a\":[1,2]}"},
        {"{}", "{\"$push\":{\"a\":{\"$each\":[]}}}", "{\"a\":[]}"},
        {"{\"a\":[]}", "{\"$push\":{\"a\":{\"b\":1}}}", "{\"a\":[{\"b\":1}]}"},
        {"{\"a\":[1]}", "{\"$addToSet\":{\"a\":1}}", "{\"a\":[1]}"},
        {"{\"a\":[1]}", "{\"$addToSet\":{\"a\":1.0}}", "{\"a\":[1]}"},
        {"{\"a\":[1]}", "{\"$addToSet\":{\"a\":\"1\"}}", "{\"a\":[1,\"1\"]}"},
        {"{\"a\":[1]}", "{\"$addToSet\":{\"a\":{\"$each\":[2,1,2,3]}}}", "{\"a\":[1,2,3]}"},
        {"{\"a\":[{\"x\":1,\"y\":2}]}", "{\"$addToSet\":{\"a\":{\"y\":2,\"x\":1}}}",
         "{\"a\":[{\"x\":1,\"y\":2},{\"y\":2,\"x\":1}]}"},
        {"{}", "{\"$addToSet\":{\"a\":1}}", "{\"a\":[1]}"},
        {"{\"a\":[1,2,3]}", "{\"$pop\":{\"a\":1}}", "{\"a\":[1,2]}"},
        {"{\"a\":[1,2,3]}", "{\"$pop\":{\"a\":-1}}", "{\"a\":[2,3]}"},
        {"{\"a\":[]}", "{\"$pop\":{\"a\":1}}", "{\"a\":[]}"},
        {"{}", "{\"$pop\":{\"a\":1}}", "{}"},
        {"{\"a\":[1,2,1]}", "{\"$pull\":{\"a\":1}}", "{\"a\":[2]}"},
        {"{\"a\":[1,2,1.0]}", "{\"$pull\":{\"a\":1}}", "{\"a\":[2]}"},
        {"{\"a\":[[1],2]}", "{\"$pull\":{\"a\":[1]}}", "{\"a\":[2]}"},
        {"{\"a\":[[1],2]}", "{\"$pull\":{\"a\":1}}", "{\"a\":[[1],2]}"},
        {"{\"a\":[1,5,9]}", "{\"$pull\":{\"a\":{\"$gte\":5}}}", "{\"a\":[1]}"},
        {"{\"a\":[1,5,9]}", "{\"$pull\":{\"a\":{\"$gte\":2,\"$lt\":6}}}", "{\"a\":[1,9]}"},
        {"{\"a\":[[1,9],2]}", "{\"$pull\":{\"a\":{\"$gte\":5}}}", "{\"a\":[2]}"},
        {"{\"a\":[1,2,3]}", "{\"$pull\":{\"a\":{\"$in\":[1,3]}}}", "{\"a\":[2]}"},
        {"{\"a\":[{\"b\":1,\"c\":2},{\"b\":2}]}", "{\"$pull\":{\"a\":{\"b\":1}}}",
         "{\"a\":[{\"b\":2}]}"},
        {"{\"a\":[{\"b\":1},{\"b\":5},7]}", "{\"$pull\":{\"a\":{\"b\":{\"$gt\":3}}}}",
         "{\"a\":[{\"b\":1},7]}"},
        {"{\"a\":[{\"b\":1},{\"c\":2},{\"d\":3}]}",
         "{\"$pull\":{\"a\":{\"$or\":[{\"b\":1},{\"c\":2}]}}}", "{\"a\":[{\"d\":3}]}"},
        {"{}", "{\"$pull\":{\"a\":1}}", "{}"},
        {"{\"a\":[null,1]}", "{\"$pull\":{\"a\":null}}", "{\"a\":[1]}"},
        {"{\"a\":[{\"b\":[1,2]}]}", "{\"$push\":{\"a.0.b\":3}}", "{\"a\":[{\"b\":[1,2,3]}]}"},
    };
    RUN(rows);
}

static void fields_are_renamed(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"a\":1,\"b\":2}", "{\"$rename\":{\"a\":\"c\"}}", "{\"b\":2,\"c\":1}"},
        {"{\"a\":1,\"b\":2}", "{\"$rename\":{\"a\":\"b\"}}", "{\"b\":1}"},
        {"{\"b\":2}", "{\"$rename\":{\"a\":\"b\"}}", "{\"b\":2}"},
        {"{\"a\":{\"b\":1}}", "{\"$rename\":{\"a.b\":\"c.d\"}}", "{\"a\":{},\"c\":{\"d\":1}}"},
        {"{\"a\":{\"b\":1}}", "{\"$rename\":{\"a.b\":\"a.c\"}}", "{\"a\":{\"c\":1}}"},
    };
    RUN(rows);
}

static void several_operators_work_together(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"id\":\"p\",\"stock\":{\"left\":5,\"held\":0}}",
         "{\"$inc\":{\"stock.left\":-2,\"stock.held\":2},\"$set\":{\"at\":\"now\"},"
         "\"$push\":{\"log\":{\"n\":2}}}",
         "{\"id\":\"p\",\"stock\":{\"left\":3,\"held\":2},\"at\":\"now\",\"log\":[{\"n\":2}]}"},
    };
    RUN(rows);
}

struct refused {
    const char *document, *update;
    enum fh_code code;
    const char *names; /* in the message */
    const char *field; /* "" for what is always the service's own fault */
};

static void run_refused(const struct refused *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        json_t *document = parse(rows[i].document), *update = parse(rows[i].update);
        struct fh_error error = {0};
        enum fh_code code = document_apply(document, update, &error);
        if (code != rows[i].code || error.code != rows[i].code)
            fail_msg("%s on %s: code %d", rows[i].update, rows[i].document, code);
        /* A wrong form is seen without a document; a document's content is not. */
        assert_int_equal(document_update_check(update, ERROR_UNHEEDED) == FH_OK,
                         code == FH_CONFLICT);
        if (!strstr(error.message, rows[i].names) || strcmp(error.field, rows[i].field) != 0)
            fail_msg("%s: field '%s', message: %s", rows[i].update, error.field, error.message);
        json_decref(document);
        json_decref(update);
    }
}

#define RUN_REFUSED(rows) run_refused(rows, sizeof(rows) / sizeof *(rows))

static void wrong_updates_are_refused_by_name(void **state)
{
    (void)state;
    static const struct refused rows[] = {
        {"{}", "{}", FH_INVALID, "at least one operator", ""},
        {"{}", "[]", FH_INVALID, "at least one operator", ""},
        {"{}", "{\"a\":1}", FH_INVALID, "'a'", ""},
        {"{}", "{\"$setOnInsert\":{\"a\":1}}", FH_INVALID, "$setOnInsert", ""},
        {"{}", "{\"$currentDate\":{\"a\":true}}", FH_INVALID, "$currentDate", ""},
        {"{}", "{\"$pullAll\":{\"a\":[1]}}", FH_INVALID, "$pullAll", ""},
        {"{}", "{\"$bit\":{\"a\":{\"and\":1}}}", FH_INVALID, "$bit", ""},
        {"{}", "{\"$set\":5}", FH_INVALID, "$set", ""},
        {"{}", "{\"$inc\":{\"a\":\"1\"}}", FH_INVALID, "$inc", ""},
        {"{}", "{\"$mul\":{\"a\":null}}", FH_INVALID, "$mul", ""},
        {"{}", "{\"$pop\":{\"a\":2}}", FH_INVALID, "$pop", ""},
        {"{}", "{\"$push\":{\"a\":{\"$each\":1}}}", FH_INVALID, "$each", ""},
        {"{}", "{\"$push\":{\"a\":{\"$each\":[],\"$slice\":1}}}", FH_INVALID, "$slice", ""},
        {"{}", "{\"$addToSet\":{\"a\":{\"$bad\":[]}}}", FH_INVALID, "$bad", ""},
        {"{}", "{\"$pull\":{\"a\":{\"$regex\":\"x\"}}}", FH_INVALID, "$regex", ""},
        {"{}", "{\"$pull\":{\"a\":{\"b\":{\"$regex\":\"x\"}}}}", FH_INVALID, "$regex", ""},
        {"{}", "{\"$rename\":{\"a\":5}}", FH_INVALID, "$rename", ""},
        {"{}", "{\"$set\":{\"a\":1},\"$inc\":{\"a\":1}}", FH_INVALID, "conflict", ""},
        {"{}", "{\"$set\":{\"a\":1,\"a.b\":1}}", FH_INVALID, "conflict", ""},
        {"{}", "{\"$set\":{\"a.b.c\":1,\"a.d\":1,\"a.b\":2}}", FH_INVALID, "conflict", ""},
        {"{}", "{\"$set\":{\"a.b\":1,\"a-b\":1},\"$unset\":{\"a\":1}}", FH_INVALID, "conflict", ""},
        {"{}", "{\"$rename\":{\"a\":\"b\"},\"$set\":{\"b\":1}}", FH_INVALID, "conflict", ""},
        {"{}", "{\"$rename\":{\"a\":\"b\"},\"$set\":{\"a.x\":1}}", FH_INVALID, "conflict", ""},
        {"{}", "{\"$rename\":{\"a\":\"a\"}}", FH_INVALID, "conflict", ""},
        {"{}", "{\"$rename\":{\"a\":\"a.b\"}}", FH_INVALID, "conflict", ""},
        {"{}", "{\"$set\":{\"id\":\"x\"}}", FH_INVALID, "never changes", "id"},
        {"{}", "{\"$unset\":{\"id\":\"\"}}", FH_INVALID, "never changes", "id"},
        {"{}", "{\"$set\":{\"id.x\":1}}", FH_INVALID, "never changes", "id.x"},
        {"{}", "{\"$rename\":{\"id\":\"x\"}}", FH_INVALID, "never changes", "id"},
        {"{}", "{\"$rename\":{\"x\":\"id\"}}", FH_INVALID, "never changes", "id"},
        {"{}", "{\"$set\":{\"a.$.b\":1}}", FH_INVALID, "positional", "a.$.b"},
        {"{}", "{\"$set\":{\"a.$[].b\":1}}", FH_INVALID, "positional", "a.$[].b"},
        {"{}", "{\"$set\":{\"a..b\":1}}", FH_INVALID, "empty part", "a..b"},
        {"{}", "{\"$set\":{\"\":1}}", FH_INVALID, "empty part", ""},
        {"{}", "{\"$set\":{\"a\":{\"$ref\":1}}}", FH_INVALID, "begin with '$'", "a/$ref"},
        {"{}", "{\"$push\":{\"a\":{\"$each\":[{\"$x\":1}]}}}", FH_INVALID, "begin with '$'",
         "a/0/$x"},
    };
    RUN_REFUSED(rows);
}

static void what_the_document_does_not_allow_is_a_conflict(void **state)
{
    (void)state;
    static const struct refused rows[] = {
        {"{\"a\":\"x\"}", "{\"$inc\":{\"a\":1}}", FH_CONFLICT, "a string", "a"},
        {"{\"a\":null}", "{\"$inc\":{\"a\":1}}", FH_CONFLICT, "null", "a"},
        {"{\"a\":1}", "{\"$inc\":{\"a\":0.5}}", FH_CONFLICT, "an integer", "a"},
        {"{\"a\":1}", "{\"$mul\":{\"a\":1.5}}", FH_CONFLICT, "an integer", "a"},
        {"{\"a\":9223372036854775807}", "{\"$inc\":{\"a\":1}}", FH_CONFLICT, "range", "a"},
        {"{\"a\":-9223372036854775808}", "{\"$inc\":{\"a\":-1}}", FH_CONFLICT, "range", "a"},
        {"{\"a\":4611686018427387904}", "{\"$mul\":{\"a\":2}}", FH_CONFLICT, "range", "a"},
        {"{\"a\":1e308}", "{\"$mul\":{\"a\":10}}", FH_CONFLICT, "range", "a"},
        {"{\"a\":5}", "{\"$push\":{\"a\":1}}", FH_CONFLICT, "an array", "a"},
        {"{\"a\":{}}", "{\"$addToSet\":{\"a\":1}}", FH_CONFLICT, "an array", "a"},
        {"{\"a\":5}", "{\"$pop\":{\"a\":1}}", FH_CONFLICT, "an array", "a"},
        {"{\"a\":\"x\"}", "{\"$pull\":{\"a\":1}}", FH_CONFLICT, "an array", "a"},
        {"{\"a\":5}", "{\"$set\":{\"a.b\":1}}", FH_CONFLICT, "an integer", "a.b"},
        {"{\"a\":null}", "{\"$set\":{\"a.b\":1}}", FH_CONFLICT, "null", "a.b"},
        {"{\"a\":[1]}", "{\"$set\":{\"a.b\":1}}", FH_CONFLICT, "an array", "a.b"},
        {"{\"a\":[{\"b\":1}]}", "{\"$inc\":{\"a.b\":1}}", FH_CONFLICT, "an array", "a.b"},
        {"{\"a\":[]}", "{\"$set\":{\"a.1001\":1}}", FH_CONFLICT, "beyond its end", "a.1001"},
        {"{\"a\":[1]}", "{\"$rename\":{\"a.0\":\"b\"}}", FH_CONFLICT, "no array", "b"},
        {"{\"a\":1,\"b\":[{}]}", "{\"$rename\":{\"a\":\"b.0\"}}", FH_CONFLICT, "no array", "b.0"},
    };
    RUN_REFUSED(rows);
}

static void more_changes_than_the_bound_are_refused(void **state)
{
    (void)state;
    json_t *fields = json_object(), *update = json_object(), *document = json_object();
    for (int i = 0; i < 256; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        json_object_set_new(fields, name, json_integer(i));
    }
    json_object_set_new(update, "$set", fields);
    assert_int_equal(document_apply(document, update, ERROR_UNHEEDED), FH_OK);
    assert_int_equal(json_object_size(document), 256);
    json_object_set_new(fields, "one_more", json_null());
    struct fh_error error;
    assert_int_equal(document_apply(document, update, &error), FH_INVALID);
    assert_non_null(strstr(error.message, "256"));
    json_decref(update);
    json_decref(document);
}

static void values_are_copied_out_of_the_update(void **state)
{
    (void)state;
    json_t *document = json_object(), *update = parse("{\"$set\":{\"a\":{\"b\":1}}}");
    assert_int_equal(document_apply(document, update, ERROR_UNHEEDED), FH_OK);
    json_object_set_new(json_object_get(document, "a"), "b", json_integer(2));
    assert_int_equal(json_integer_value(json_at(update, "$set.a.b")), 1);
    json_decref(document);
    json_decref(update);
}

#define EIGHT "\u00e9\u00e9\u00e9\u00e9"

static void documents_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *document, *field; /* NULL: it is valid */
    } rows[] = {
        {"{\"id\":\"x\"}", NULL},
        {"{\"id\":\"x\",\"a.b\":1,\"\":2}", NULL},
        {"{}", "id"},
        {"{\"id\":5}", "id"},
        {"{\"id\":\"\"}", "id"},
        {"{\"id\":\"a\\u0000b\"}", "id"},
        {"{\"id\":\"x\",\"$a\":1}", "$a"},
        {"{\"id\":\"x\",\"a\":[{\"b\":{\"$c\":1}}]}", "a/0/b/$c"},
        {"{\"id\":\"x\",\"a/b~c\":{\"$d\":1}}", "a~1b~0c/$d"},
        {"{\"id\":\"x\",\"a\":{\"$" EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT "\":1}}", "a"},
        {"[]", "document"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *document = parse(rows[i].document);
        struct fh_error error = {0};
        enum fh_code code = document_check(document, &error);
        assert_int_equal(code, rows[i].field ? FH_INVALID : FH_OK);
        assert_string_equal(error.field, rows[i].field ? rows[i].field : "");
        json_decref(document);
    }
}

static void an_update_never_nests_a_document_beyond_what_can_be_read(void **state)
{
    (void)state;
    json_t *value = json_array();
    for (int i = 0; i < 61; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, value);
        value = outer;
    }
    json_t *update = json_object(), *fields = json_object();
    json_object_set_new(update, "$set", fields);
    json_object_set(fields, "a.b", value);
    json_t *document = parse("{\"id\":\"x\"}");
    assert_int_equal(document_apply(document, update, ERROR_UNHEEDED), FH_OK);
    assert_int_equal(document_check(document, ERROR_UNHEEDED), FH_OK);
    char *text = json_text(document);
    json_t *read;
    assert_int_equal(json_parse(text, strlen(text), &read, ERROR_UNHEEDED), FH_OK);
    json_object_clear(fields);
    json_object_set_new(fields, "a.b.c", value);
    assert_int_equal(document_update_check(update, ERROR_UNHEEDED), FH_INVALID);
    json_text_free(text);
    json_decref(read);
    json_decref(update);
    json_decref(document);
}

int main(void)
{
    json_memory_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_and_unset),
        cmocka_unit_test(numbers_are_counted_exactly),
        cmocka_unit_test(arrays_grow_and_shrink),
        cmocka_unit_test(fields_are_renamed),
        cmocka_unit_test(several_operators_work_together),
        cmocka_unit_test(wrong_updates_are_refused_by_name),
        cmocka_unit_test(what_the_document_does_not_allow_is_a_conflict),
        cmocka_unit_test(more_changes_than_the_bound_are_refused),
        cmocka_unit_test(values_are_copied_out_of_the_update),
        cmocka_unit_test(documents_are_checked),
        cmocka_unit_test(an_update_never_nests_a_document_beyond_what_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
