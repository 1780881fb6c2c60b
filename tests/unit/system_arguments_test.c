/* SPDX-License-Identifier: Apache-2.0 */
/* Which names calls give to their SQL, as far as their arguments say it. */

#include "../support/harness.h"

#include <string.h>

#include "system/check/arguments.h"

/* `expected` are the names, "a b"; "?": they are not all known; "!...": how the fault ends. */
static void assert_names(const char *written, const char *expected)
{
    char found[256] = "";
    struct arguments arguments;
    arguments_read(written, &arguments);
    for (size_t i = 0; i < arguments.count && arguments.known; i++) {
        strcat(found, i ? " " : "");
        strcat(found, arguments.names[i]);
    }
    if (expected[0] == '!') {
        size_t length = strlen(arguments.fault), wanted = strlen(expected + 1);
        if (length < wanted || strcmp(arguments.fault + length - wanted, expected + 1) != 0)
            assert_string_equal(arguments.fault, expected + 1);
    } else {
        assert_string_equal(arguments.fault, "");
        assert_string_equal(arguments.known ? found : "?", expected);
    }
    arguments_release(&arguments);
}

static void names_are_those_of_objects_that_are_packed_of_literals(void **state)
{
    (void)state;
    assert_names("w, \"SELECT 1\"", "");
    assert_names("w, \"SELECT 1\", NULL", "");
    assert_names("w, sql, json_pack(\"{s:i}\", \"id\", 7)", "id");
    assert_names("w, \"a, (b\" \"c)\", json_pack(\"{s:i, s:s}\", \"id\", f(7, ','), \"b\", \"c,\")",
                 "id b");
    assert_names("w, \"S\", json_pack(\"{s:i}\", \"id\", 7), json_pack(\"{s:{s:i}, s:[i,i]}\", "
                 "\"a\", \"b\", 1, \"c\", 2, 3)",
                 "id a c");
    assert_names("w, \"S\", json_pack(\"{s:s#, s:n, s:o*, s:b, s:I, s:f}\", \"a\", p, n, \"b\", "
                 "\"c\", v, \"d\", 1, \"e\", x, \"g\", 0.5)",
                 "a b c d e g");
    assert_names("w, \"S\", json_pack (\"{}\")", "");
    assert_names("w, \"S\", fh_object(w, \"id\", 7, \"b\", fh_array(w, 1, f(\"a, b\")))", "id b");
    assert_names("w, \"S\", fh_object(w)", "");
}

static void whatever_else_stands_there_may_have_any_name(void **state)
{
    (void)state;
    assert_names("w, \"S\", fh_body(w)", "?");
    assert_names("w, \"S\", json_pack(\"{s:i}\", \"id\", 7), fh_body(w)", "?");
    assert_names("w, \"S\", json_pack(\"{s:i}\", name, 7)", "?");
    assert_names("w, \"S\", json_pack(\"{s:i}\", \"a\" \"\\x62\", 7)", "?");
    assert_names("w, \"S\", json_pack(format, \"id\", 7)", "?");
    assert_names("w, \"S\", json_pack(\"{s+s:i}\", \"a\", \"b\", 7)", "?");
    assert_names("w, \"S\", json_pack(\"[i]\", 7)", "?");
    assert_names("w, \"S\", json_pack(\"o\", object)", "?");
    assert_names("w, \"S\", json_pack(\"{s:i}\", ID_AND_VALUE)", "?");
    assert_names("w, \"S\", PAIR(json_pack(\"{s:i}\", \"id\", 7))", "?");
    assert_names("w, \"S\", a ? json_pack(\"{}\") : json_pack(\"{}\")", "?");
    assert_names("w, \"S\", json_pack(\"{}\") + json_pack(\"{}\")", "?");
    assert_names("w, \"S\", fh_object(w, name, 7)", "?");
    assert_names("w, \"S\", fh_object(w, \"id\", ID)", "?");
    assert_names("w, \"S\", fh_object(w, \"id\")", "?");
    assert_names("w", "?");
    assert_names("", "?");
    assert_names("w, \"not closed", "");
}

static void a_format_that_its_values_do_not_fit_is_a_fault(void **state)
{
    (void)state;
    assert_names("w, \"S\", json_pack(\"{s:i}\", \"id\")", "!has more values than the call gives");
    assert_names("w, \"S\", json_pack(\"{s:i}\", \"id\", 7, 8)",
                 "!has fewer values than the call gives");
    assert_names("w, \"S\", json_pack(\"{s:i\", \"id\", 7)", "!has a bracket that nothing closes");
    assert_names("w, \"S\", json_pack(\"{s:[i}\", \"id\", 7)", "?");
    assert_names("w, \"S\", json_pack(\"{s:i, s:[s, s]}\", \"id\", 7, \"a\", \"b\")",
                 "!has more values than the call gives");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_those_of_objects_that_are_packed_of_literals),
        cmocka_unit_test(whatever_else_stands_there_may_have_any_name),
        cmocka_unit_test(a_format_that_its_values_do_not_fit_is_a_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
