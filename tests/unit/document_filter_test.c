/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters: each row is a filter, a document and whether MongoDB's manual and matcher say that it
 * matches. What is refused has rows of its own, with the word that the message must name.
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
    const char *filter, *document;
    bool matches;
};

static void run_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        json_t *filter = parse(rows[i].filter), *document = parse(rows[i].document);
        enum fh_code code;
        struct fh_error error = {0};
        bool matches = document_matches(document, filter, &code, &error);
        if (code)
            fail_msg("%s refused: %s", rows[i].filter, error.message);
        if (matches != rows[i].matches)
            fail_msg("%s on %s: %s", rows[i].filter, rows[i].document,
                     matches ? "matches, but should not" : "does not match, but should");
        json_decref(filter);
        json_decref(document);
    }
}

#define RUN(rows) run_rows(rows, sizeof(rows) / sizeof *(rows))

static void equality_is_by_kind_and_value(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{}", "{\"id\":\"1\"}", true},
        {"{\"a\":1}", "{\"a\":1}", true},
        {"{\"a\":1}", "{\"a\":2}", false},
        {"{\"a\":1}", "{\"a\":1.0}", true},
        {"{\"a\":1.0}", "{\"a\":1}", true},
        {"{\"a\":1}", "{\"a\":1.5}", false},
        {"{\"a\":1}", "{\"a\":\"1\"}", false},
        {"{\"a\":1}", "{\"a\":true}", false},
        {"{\"a\":0}", "{\"a\":false}", false},
        {"{\"a\":0}", "{\"a\":-0.0}", true},
        {"{\"a\":\"x\"}", "{\"a\":\"x\"}", true},
        {"{\"a\":\"x\"}", "{\"a\":\"X\"}", false},
        {"{\"a\":\"\"}", "{}", false},
        {"{\"a\":\"\\u00e9\"}", "{\"a\":\"\u00e9\"}", true},
        {"{\"a\":\"x\\u0000y\"}", "{\"a\":\"x\\u0000z\"}", false},
        {"{\"a\":\"x\\u0000y\"}", "{\"a\":\"x\"}", false},
        {"{\"a\":true}", "{\"a\":true}", true},
        {"{\"a\":true}", "{\"a\":false}", false},
        {"{\"a\":9007199254740993}", "{\"a\":9007199254740992}", false},
        {"{\"a\":9007199254740993}", "{\"a\":9007199254740992.0}", false},
        {"{\"a\":9007199254740992}", "{\"a\":9007199254740992.0}", true},
        {"{\"a\":9223372036854775807}", "{\"a\":9223372036854775808.0}", false},
        {"{\"a\":-9223372036854775808}", "{\"a\":-9223372036854775808.0}", true},
        {"{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":2}", true},
        {"{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":3}", false},
        {"{\"a\":{\"$eq\":1}}", "{\"a\":1}", true},
        {"{\"a\":{\"$eq\":{\"b\":1}}}", "{\"a\":{\"b\":1}}", true},
        {"{\"a\":{\"$ne\":1}}", "{\"a\":2}", true},
        {"{\"a\":{\"$ne\":1}}", "{\"a\":1}", false},
        {"{\"a\":{\"$ne\":1}}", "{}", true},
    };
    RUN(rows);
}

static void null_matches_missing(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"a\":null}", "{}", true},
        {"{\"a\":null}", "{\"a\":null}", true},
        {"{\"a\":null}", "{\"a\":0}", false},
        {"{\"a\":null}", "{\"a\":[]}", false},
        {"{\"a\":null}", "{\"a\":[1,null]}", true},
        {"{\"a\":{\"$ne\":null}}", "{}", false},
        {"{\"a\":{\"$ne\":null}}", "{\"a\":0}", true},
        {"{\"a\":{\"$gte\":null}}", "{}", true},
        {"{\"a\":{\"$lte\":null}}", "{\"a\":null}", true},
        {"{\"a\":{\"$gt\":null}}", "{\"a\":null}", false},
        {"{\"a\":{\"$lt\":null}}", "{}", false},
        {"{\"a\":{\"$gte\":null}}", "{\"a\":1}", false},
        {"{\"a\":{\"$in\":[null,5]}}", "{}", true},
        {"{\"a\":{\"$in\":[null,5]}}", "{\"a\":5}", true},
        {"{\"a\":{\"$in\":[null,5]}}", "{\"a\":6}", false},
        {"{\"a\":{\"$nin\":[null]}}", "{}", false},
        {"{\"a.b\":null}", "{}", true},
        {"{\"a.b\":null}", "{\"a\":{}}", true},
        {"{\"a.b\":null}", "{\"a\":4}", true},
        {"{\"a.b\":null}", "{\"a\":null}", true},
        {"{\"a.b\":null}", "{\"a\":{\"b\":1}}", false},
        {"{\"a.b\":null}", "{\"a\":[]}", false},
        {"{\"a.b\":null}", "{\"a\":[1,2]}", false},
        {"{\"a.b\":null}", "{\"a\":[{\"b\":1},{}]}", true},
        {"{\"a.b\":null}", "{\"a\":[{\"b\":1}]}", false},
    };
    RUN(rows);
}

static void comparisons_stay_within_a_kind(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"a\":{\"$gt\":5}}", "{\"a\":6}", true},
        {"{\"a\":{\"$gt\":5}}", "{\"a\":5}", false},
        {"{\"a\":{\"$gte\":5}}", "{\"a\":5}", true},
        {"{\"a\":{\"$gte\":5}}", "{\"a\":4.999}", false},
        {"{\"a\":{\"$lt\":5}}", "{\"a\":4.999}", true},
        {"{\"a\":{\"$lte\":5}}", "{\"a\":5.0}", true},
        {"{\"a\":{\"$lt\":5}}", "{\"a\":-1}", true},
        {"{\"a\":{\"$gt\":5}}", "{\"a\":\"6\"}", false},
        {"{\"a\":{\"$lt\":5}}", "{\"a\":\"4\"}", false},
        {"{\"a\":{\"$lt\":5}}", "{}", false},
        {"{\"a\":{\"$lt\":5}}", "{\"a\":null}", false},
        {"{\"a\":{\"$gt\":5}}", "{\"a\":true}", false},
        {"{\"a\":{\"$gt\":5}}", "{\"a\":{\"b\":6}}", false},
        {"{\"a\":{\"$gt\":\"b\"}}", "{\"a\":\"ba\"}", true},
        {"{\"a\":{\"$gt\":\"b\"}}", "{\"a\":\"B\"}", false},
        {"{\"a\":{\"$lt\":\"b\"}}", "{\"a\":\"\"}", true},
        {"{\"a\":{\"$gt\":\"z\"}}", "{\"a\":\"\u00e9\"}", true},
        {"{\"a\":{\"$gt\":\"a\"}}", "{\"a\":7}", false},
        {"{\"a\":{\"$gt\":false}}", "{\"a\":true}", true},
        {"{\"a\":{\"$gt\":9007199254740992}}", "{\"a\":9007199254740993}", true},
        {"{\"a\":{\"$gt\":9007199254740992.0}}", "{\"a\":9007199254740993}", true},
        {"{\"a\":{\"$lt\":9223372036854775808.0}}", "{\"a\":9223372036854775807}", true},
        {"{\"a\":{\"$gt\":1e300}}", "{\"a\":9223372036854775807}", false},
        {"{\"a\":{\"$gt\":-1e300}}", "{\"a\":-9223372036854775808}", true},
        {"{\"a\":{\"$lt\":-0.5}}", "{\"a\":-1}", true},
        {"{\"a\":{\"$lt\":-0.5}}", "{\"a\":0}", false},
        {"{\"a\":{\"$gte\":1,\"$lt\":3}}", "{\"a\":2}", true},
        {"{\"a\":{\"$gte\":1,\"$lt\":3}}", "{\"a\":3}", false},
        {"{\"a\":{\"$gte\":1,\"$ne\":2}}", "{\"a\":2}", false},
    };
    RUN(rows);
}

static void arrays_match_by_any_element_or_as_a_whole(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"a\":1}", "{\"a\":[0,1]}", true},
        {"{\"a\":1}", "{\"a\":[0,2]}", false},
        {"{\"a\":1}", "{\"a\":[[1]]}", false},
        {"{\"a\":[0,1]}", "{\"a\":[0,1]}", true},
        {"{\"a\":[0,1]}", "{\"a\":[1,0]}", false},
        {"{\"a\":[0,1]}", "{\"a\":[0,1,2]}", false},
        {"{\"a\":[0,1]}", "{\"a\":[[0,1],5]}", true},
        {"{\"a\":[]}", "{\"a\":[]}", true},
        {"{\"a\":[]}", "{\"a\":[1]}", false},
        {"{\"a\":{\"$ne\":1}}", "{\"a\":[0,1]}", false},
        {"{\"a\":{\"$ne\":1}}", "{\"a\":[0,2]}", true},
        {"{\"a\":{\"$ne\":1}}", "{\"a\":[]}", true},
        {"{\"a\":{\"$gt\":5}}", "{\"a\":[1,9]}", true},
        {"{\"a\":{\"$gt\":5,\"$lt\":3}}", "{\"a\":[1,9]}", true},
        {"{\"a\":{\"$gt\":5}}", "{\"a\":[]}", false},
        {"{\"a\":{\"$not\":{\"$gt\":5}}}", "{\"a\":[1,9]}", false},
        {"{\"a\":{\"$not\":{\"$gt\":5}}}", "{\"a\":[1,2]}", true},
        {"{\"a\":{\"$not\":{\"$gt\":5}}}", "{}", true},
        {"{\"a\":{\"$not\":{\"$gt\":5,\"$lt\":9}}}", "{\"a\":7}", false},
        {"{\"a\":{\"$in\":[1,2]}}", "{\"a\":[5,2]}", true},
        {"{\"a\":{\"$in\":[[5,2]]}}", "{\"a\":[5,2]}", true},
        {"{\"a\":{\"$in\":[]}}", "{\"a\":1}", false},
        {"{\"a\":{\"$nin\":[]}}", "{\"a\":1}", true},
        {"{\"a\":{\"$nin\":[1,2]}}", "{\"a\":[5,2]}", false},
        {"{\"a\":{\"$nin\":[1,2]}}", "{\"a\":[5]}", true},
    };
    RUN(rows);
}

static void dotted_paths_go_through_objects_and_arrays(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"a.b\":1}", "{\"a\":{\"b\":1}}", true},
        {"{\"a.b\":1}", "{\"a.b\":1}", false},
        {"{\"a.b\":1}", "{\"a\":[{\"b\":2},{\"b\":1}]}", true},
        {"{\"a.b\":1}", "{\"a\":[{\"b\":[3,1]}]}", true},
        {"{\"a.b\":1}", "{\"a\":[[{\"b\":1}]]}", false},
        {"{\"a.b.c\":1}", "{\"a\":[{\"b\":[{\"c\":1}]}]}", true},
        {"{\"a.0\":1}", "{\"a\":[1,2]}", true},
        {"{\"a.1\":1}", "{\"a\":[1,2]}", false},
        {"{\"a.2\":1}", "{\"a\":[1,2]}", false},
        {"{\"a.00\":1}", "{\"a\":[1,2]}", false},
        {"{\"a.0\":1}", "{\"a\":{\"0\":1}}", true},
        {"{\"a.0\":1}", "{\"a\":[{\"0\":1}]}", true},
        {"{\"a.0\":[1]}", "{\"a\":[[1]]}", true},
        {"{\"a.0\":1}", "{\"a\":[[1]]}", false},
        {"{\"a.0.b\":1}", "{\"a\":[{\"b\":1}]}", true},
        {"{\"a.1.b\":1}", "{\"a\":[{\"b\":1},{\"b\":2}]}", false},
        {"{\"a.1.b\":4}", "{\"a\":[5,[{\"b\":4}]]}", true},
        {"{\"a.0.0\":7}", "{\"a\":[[7]]}", true},
        {"{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1}}", true},
        {"{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1,\"c\":2}}", false},
        {"{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"c\":2,\"b\":1}}", false},
        {"{\"a\":{\"b\":1}}", "{\"a\":[{\"b\":1},3]}", true},
        {"{\"a.b\":{\"$gt\":3,\"$lt\":3}}", "{\"a\":[{\"b\":2},{\"b\":4}]}", true},
        {"{\"a.b\":{\"$ne\":1}}", "{\"a\":[{\"b\":2},{\"b\":1}]}", false},
    };
    RUN(rows);
}

static void exists_size_all_and_elem_match(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"a\":{\"$exists\":true}}", "{\"a\":null}", true},
        {"{\"a\":{\"$exists\":true}}", "{}", false},
        {"{\"a\":{\"$exists\":false}}", "{}", true},
        {"{\"a\":{\"$exists\":false}}", "{\"a\":null}", false},
        {"{\"a\":{\"$exists\":true}}", "{\"a\":[]}", true},
        {"{\"a.b\":{\"$exists\":false}}", "{\"a\":[]}", true},
        {"{\"a.b\":{\"$exists\":true}}", "{\"a\":[{},{\"b\":1}]}", true},
        {"{\"a.b\":{\"$exists\":false}}", "{\"a\":[{},{\"b\":1}]}", false},
        {"{\"a\":{\"$size\":2}}", "{\"a\":[1,2]}", true},
        {"{\"a\":{\"$size\":2}}", "{\"a\":[1]}", false},
        {"{\"a\":{\"$size\":0}}", "{\"a\":[]}", true},
        {"{\"a\":{\"$size\":0}}", "{}", false},
        {"{\"a\":{\"$size\":1}}", "{\"a\":5}", false},
        {"{\"a\":{\"$size\":2}}", "{\"a\":[[1,2]]}", false},
        {"{\"a\":{\"$not\":{\"$size\":2}}}", "{\"a\":[1]}", true},
        {"{\"a\":{\"$all\":[1,2]}}", "{\"a\":[2,3,1]}", true},
        {"{\"a\":{\"$all\":[1,2]}}", "{\"a\":[1]}", false},
        {"{\"a\":{\"$all\":[1]}}", "{\"a\":1}", true},
        {"{\"a\":{\"$all\":[]}}", "{\"a\":[]}", false},
        {"{\"a\":{\"$all\":[[1,2]]}}", "{\"a\":[1,2]}", true},
        {"{\"a\":{\"$elemMatch\":{\"$gte\":3,\"$lt\":5}}}", "{\"a\":[1,4]}", true},
        {"{\"a\":{\"$elemMatch\":{\"$gte\":3,\"$lt\":5}}}", "{\"a\":[1,9]}", false},
        {"{\"a\":{\"$elemMatch\":{\"$gte\":3}}}", "{\"a\":4}", false},
        {"{\"a\":{\"$elemMatch\":{\"$eq\":1}}}", "{\"a\":[[1]]}", false},
        {"{\"a\":{\"$elemMatch\":{\"$elemMatch\":{\"$eq\":1}}}}", "{\"a\":[[1]]}", true},
        {"{\"a\":{\"$elemMatch\":{\"$ne\":1}}}", "{\"a\":[1]}", false},
        {"{\"a\":{\"$elemMatch\":{\"$ne\":1}}}", "{\"a\":[1,2]}", true},
        {"{\"a\":{\"$elemMatch\":{\"$size\":1}}}", "{\"a\":[[1]]}", true},
        {"{\"a\":{\"$elemMatch\":{\"b\":1,\"c\":2}}}", "{\"a\":[{\"b\":1},{\"c\":2}]}", false},
        {"{\"a\":{\"$elemMatch\":{\"b\":1,\"c\":2}}}", "{\"a\":[{\"b\":1,\"c\":2}]}", true},
        {"{\"a\":{\"$elemMatch\":{\"b\":{\"$gt\":1}}}}", "{\"a\":[7,{\"b\":[0,5]}]}", true},
        {"{\"a\":{\"$elemMatch\":{\"$or\":[{\"b\":1},{\"b\":2}]}}}", "{\"a\":[{\"b\":2}]}", true},
        {"{\"a\":{\"$elemMatch\":{\"$or\":[{\"b\":1},{\"b\":2}]}}}", "{\"a\":[{\"b\":3}]}", false},
        {"{\"a.b\":{\"$elemMatch\":{\"$gt\":1}}}", "{\"a\":[{\"b\":[0]},{\"b\":[2]}]}", true},
        {"{\"a\":{\"$elemMatch\":{}}}", "{\"a\":[{}]}", true},
        {"{\"a\":{\"$elemMatch\":{}}}", "{\"a\":[1]}", false},
        {"{\"a\":{\"$elemMatch\":{\"$in\":[4]},\"$size\":2}}", "{\"a\":[4,5]}", true},
    };
    RUN(rows);
}

static void filters_combine_with_and_or_nor(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"$and\":[{\"a\":1},{\"b\":2}]}", "{\"a\":1,\"b\":2}", true},
        {"{\"$and\":[{\"a\":1},{\"b\":2}]}", "{\"a\":1}", false},
        {"{\"$or\":[{\"a\":1},{\"b\":2}]}", "{\"b\":2}", true},
        {"{\"$or\":[{\"a\":1},{\"b\":2}]}", "{\"c\":2}", false},
        {"{\"$nor\":[{\"a\":1},{\"b\":2}]}", "{\"c\":2}", true},
        {"{\"$nor\":[{\"a\":1},{\"b\":2}]}", "{\"b\":2}", false},
        {"{\"c\":3,\"$or\":[{\"a\":1},{\"b\":2}]}", "{\"b\":2}", false},
        {"{\"c\":3,\"$or\":[{\"a\":1},{\"b\":2}]}", "{\"b\":2,\"c\":3}", true},
        {"{\"$or\":[{\"$and\":[{\"a\":1},{\"b\":1}]},{\"a\":9}]}", "{\"a\":9}", true},
        {"{\"$and\":[{\"$or\":[{\"a\":1},{\"a\":2}]},{\"$nor\":[{\"b\":1}]}]}", "{\"a\":2}", true},
        {"{\"$or\":[{\"a\":{\"$gt\":3}},{}]}", "{}", true},
    };
    RUN(rows);
}

static void wrong_filters_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *filter, *names;
    } rows[] = {
        {"[]", "an array"},
        {"{\"a\":{\"$regex\":\"x\"}}", "$regex"},
        {"{\"a\":{\"$type\":2}}", "$type"},
        {"{\"a\":{\"$mod\":[2,0]}}", "$mod"},
        {"{\"$where\":\"true\"}", "$where"},
        {"{\"$text\":{}}", "$text"},
        {"{\"$expr\":{}}", "$expr"},
        {"{\"$not\":{}}", "$not"},
        {"{\"a\":{\"$gt\":1,\"b\":2}}", "'b'"},
        {"{\"a\":{\"b\":{\"$gt\":1}}}", "$gt"},
        {"{\"a\":{\"b\":2,\"$gt\":1}}", "$gt"},
        {"{\"a\":{\"$in\":5}}", "$in"},
        {"{\"a\":{\"$in\":[{\"$gt\":5}]}}", "$gt"},
        {"{\"a\":{\"$nin\":null}}", "$nin"},
        {"{\"a\":{\"$all\":1}}", "$all"},
        {"{\"a\":{\"$all\":[{\"$elemMatch\":{}}]}}", "$elemMatch"},
        {"{\"a\":{\"$exists\":1}}", "$exists"},
        {"{\"a\":{\"$size\":-1}}", "$size"},
        {"{\"a\":{\"$size\":1.5}}", "$size"},
        {"{\"a\":{\"$size\":\"1\"}}", "$size"},
        {"{\"a\":{\"$not\":5}}", "$not"},
        {"{\"a\":{\"$not\":{}}}", "$not"},
        {"{\"a\":{\"$not\":{\"b\":1}}}", "$not"},
        {"{\"a\":{\"$elemMatch\":5}}", "$elemMatch"},
        {"{\"a\":{\"$elemMatch\":{\"$foo\":5}}}", "$foo"},
        {"{\"a\":{\"$elemMatch\":{\"b\":{\"$foo\":5}}}}", "$foo"},
        {"{\"a\":{\"$gt\":[1]}}", "$gt"},
        {"{\"a\":{\"$lt\":{}}}", "$lt"},
        {"{\"$and\":[]}", "$and"},
        {"{\"$or\":{}}", "$or"},
        {"{\"$nor\":[5]}", "an integer"},
        {"{\"$or\":[{\"a\":{\"$bad\":1}}]}", "$bad"},
        {"{\"a..b\":1}", "a..b"},
        {"{\"\":1}", "empty part"},
        {"{\"a.$.b\":1}", "a.$.b"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *filter = parse(rows[i].filter), *document = json_object();
        struct fh_error error = {0};
        enum fh_code code;
        assert_false(document_matches(document, filter, &code, &error));
        if (code != FH_INVALID || error.field[0])
            fail_msg("%s: code %d, field '%s'", rows[i].filter, code, error.field);
        if (!strstr(error.message, rows[i].names))
            fail_msg("%s: the message does not name %s: %s", rows[i].filter, rows[i].names,
                     error.message);
        json_decref(filter);
        json_decref(document);
    }
}

static void nesting_of_filters_is_bounded(void **state)
{
    (void)state;
    json_t *filter = json_object();
    for (int i = 0; i < 40; i++) {
        json_t *outer = json_object(), *list = json_array();
        json_array_append_new(list, filter);
        json_object_set_new(outer, "$or", list);
        filter = outer;
    }
    struct fh_error error;
    assert_int_equal(document_filter_check(filter, &error), FH_INVALID);
    assert_non_null(strstr(error.message, "nested"));
    json_decref(filter);
}

static void no_filter_matches_everything(void **state)
{
    (void)state;
    json_t *document = json_object();
    enum fh_code code;
    assert_true(document_matches(document, NULL, &code, ERROR_UNHEEDED));
    assert_int_equal(code, FH_OK);
    json_decref(document);
}

int main(void)
{
    json_memory_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_is_by_kind_and_value),
        cmocka_unit_test(null_matches_missing),
        cmocka_unit_test(comparisons_stay_within_a_kind),
        cmocka_unit_test(arrays_match_by_any_element_or_as_a_whole),
        cmocka_unit_test(dotted_paths_go_through_objects_and_arrays),
        cmocka_unit_test(exists_size_all_and_elem_match),
        cmocka_unit_test(filters_combine_with_and_or_nor),
        cmocka_unit_test(wrong_filters_are_refused_by_name),
        cmocka_unit_test(nesting_of_filters_is_bounded),
        cmocka_unit_test(no_filter_matches_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
