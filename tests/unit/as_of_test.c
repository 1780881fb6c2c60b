/* SPDX-License-Identifier: Apache-2.0 */
/* Places in several publishers' events: what is written is read back, and of what anybody may send
 * nothing else is taken for such a list. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/as_of.h"

#define ONE "0199aaaa-0000-7000-8000-000000000001"
#define TWO "0199aaaa-0000-7000-8000-000000000002"

static struct as_of parsed;
static struct fh_error error;

static bool parses(const char *text)
{
    return as_of_parse(text, &parsed, &error) == FH_OK;
}

/* What `as_of` is written as. Until the next call. */
static const char *written(const struct as_of *as_of, bool even)
{
    static char copy[AS_OF_LENGTH_MAX + 1];
    struct text text;
    text_init(&text, AS_OF_LENGTH_MAX);
    as_of_write(as_of, even, &text);
    assert_false(text.overflow);
    snprintf(copy, sizeof copy, "%s", text.data ? text.data : "");
    text_release(&text);
    return copy;
}

static void a_list_is_read_as_it_was_written(void **state)
{
    (void)state;
    assert_true(parses("products@" ONE ",17; orders-2@" TWO ",9223372036854775807"));
    assert_int_equal(parsed.count, 2);
    assert_string_equal(parsed.places[0].name, "products");
    assert_string_equal(parsed.places[0].incarnation, ONE);
    assert_int_equal(parsed.places[0].position, 17);
    assert_int_equal(parsed.places[1].position, INT64_MAX);
    assert_string_equal(written(&parsed, false),
                        "products@" ONE ",17; orders-2@" TWO ",9223372036854775807");
    assert_true(parses(" \tproducts@" ONE ",0\t;orders@" TWO ",1 "));
    assert_string_equal(written(&parsed, false), "products@" ONE ",0; orders@" TWO ",1");
}

static void an_even_list_tells_nothing_by_its_length(void **state)
{
    (void)state;
    size_t length = 0;
    for (int64_t position = 0; position < INT64_MAX / 10; position = position * 10 + 7) {
        struct as_of as_of = {0};
        assert_true(as_of_add(&as_of, "products", ONE, position));
        const char *text = written(&as_of, true);
        assert_true(length == 0 || strlen(text) == length);
        length = strlen(text);
        assert_true(parses(text));
        assert_int_equal(parsed.places[0].position, position);
    }
}

static void equal_places_take_the_larger_and_others_stay_apart(void **state)
{
    (void)state;
    struct as_of more;
    assert_true(parses("a@" ONE ",5;a@" ONE ",7;a@" ONE ",6"));
    assert_string_equal(written(&parsed, false), "a@" ONE ",7");
    assert_true(parses("a@" TWO ",1;b@" ONE ",9;a@" ONE ",3"));
    more = parsed;
    assert_true(parses("a@" ONE ",2;b@" ONE ",8"));
    assert_true(as_of_merge(&more, &parsed));
    assert_string_equal(written(&more, false), "a@" TWO ",1; b@" ONE ",9; a@" ONE ",3");
}

static void what_is_no_list_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        " ",
        ";",
        "a",
        "a@",
        "a@" ONE,
        "a@" ONE ",",
        "a@" ONE ",x",
        "a@" ONE ",-1",
        "a@" ONE ",+1",
        "a@" ONE ", 1",
        "a@" ONE ",1;",
        "a@" ONE ",1;;b@" ONE ",1",
        "a@" ONE ",1,b@" ONE ",1",
        "a@" ONE ",1 2",
        "a@" ONE ",9223372036854775808",
        "a@" ONE ",00000000000000000001",
        "a@" ONE "0,1",
        "@" ONE ",1",
        "a b@" ONE ",1",
        "a@@" ONE ",1",
        "a@,1",
        "a@0199_,1",
        "\xff@" ONE ",1",
        "a@" ONE ",1\r\nX: y",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@" ONE ",1"};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (parses(wrong[i]))
            fail_msg("\"%s\" was taken for a list", wrong[i]);
        assert_non_null(strstr(error.message, "is not a list of event positions"));
    }
}

static void a_place_without_a_name_is_one_whole_id_and_a_position(void **state)
{
    static const char *const wrong[] = {"",
                                        ",",
                                        ", 1",
                                        "x, 1",
                                        ONE ",",
                                        ONE ", ",
                                        ONE " , 1",
                                        ONE " 1",
                                        ONE ";1",
                                        ONE ", x",
                                        ONE ", -1",
                                        ONE ", +1",
                                        ONE ", 1 ",
                                        ONE ", 1x",
                                        ONE ", 1, 2",
                                        ONE ", 1;b@" TWO ",1",
                                        ONE ", 9223372036854775808",
                                        ONE ", 00000000000000000001",
                                        ONE "0, 1",
                                        "products@" ONE ", 1",
                                        "0199aaaa-0000-7000-8000-00000000000;, 1",
                                        " " ONE ", 1"};
    char incarnation[ID_SIZE];
    int64_t position;
    (void)state;
    assert_true(as_of_parse_at(ONE ", 17", incarnation, &position));
    assert_string_equal(incarnation, ONE);
    assert_int_equal(position, 17);
    assert_true(as_of_parse_at(TWO ",9223372036854775807", incarnation, &position));
    assert_string_equal(incarnation, TWO);
    assert_int_equal(position, INT64_MAX);
    assert_true(as_of_parse_at(ONE, incarnation, &position));
    assert_int_equal(position, 0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (as_of_parse_at(wrong[i], incarnation, &position))
            fail_msg("\"%s\" was taken for a place", wrong[i]);
    }
}

static void as_many_places_are_taken_as_have_room(void **state)
{
    (void)state;
    struct text text;
    struct as_of full = {0};
    char name[16];
    text_init(&text, 2 * AS_OF_LENGTH_MAX);
    for (int i = 0; i <= AS_OF_PLACES_MAX; i++) {
        snprintf(name, sizeof name, "service%d", i);
        assert_int_equal(as_of_add(&full, name, ONE, i), i < AS_OF_PLACES_MAX);
        text_printf(&text, "%s%s@" ONE ",%d", i ? ";" : "", name, i);
    }
    assert_false(parses(text.data));
    assert_non_null(strstr(error.message, "more than 32 places"));
    *strrchr(text.data, ';') = '\0';
    assert_true(parses(text.data));
    assert_true(as_of_add(&full, "service3", ONE, 100));
    assert_int_equal(full.places[3].position, 100);
    assert_false(as_of_merge(&full, &(struct as_of){1, {{"other", ONE, 1}}}));
    assert_false(as_of_add(&(struct as_of){0}, "a", ONE, -1));
    text_release(&text);
    for (int i = 0; i < AS_OF_PLACES_MAX; i++) { /* the longest text there is */
        memset(full.places[i].name, 'a' + i % 26, AS_OF_NAME_SIZE - 1);
        full.places[i].name[0] = (char)('A' + i % 26);
        full.places[i].position = INT64_MAX;
    }
    assert_true(strlen(written(&full, true)) < AS_OF_LENGTH_MAX);
}

/* The same in each run. */
static char draw_byte(void)
{
    static uint64_t state = 5;
    static const char bytes[] = "a@,;0189- \xff\t";
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return bytes[(state >> 40) % (sizeof bytes - 1)];
}

static void whatever_is_taken_is_written_and_read_as_the_same(void **state)
{
    (void)state;
    int taken = 0;
    for (int i = 0; i < 200000; i++) {
        char text[40];
        size_t length = (size_t)i % (sizeof text - 1);
        for (size_t at = 0; at < length; at++)
            text[at] = draw_byte();
        text[length] = '\0';
        if (!parses(text))
            continue;
        taken++;
        struct as_of first = parsed;
        assert_true(parses(written(&first, i % 2)));
        assert_int_equal(parsed.count, first.count);
        for (int at = 0; at < first.count; at++) {
            assert_string_equal(parsed.places[at].name, first.places[at].name);
            assert_string_equal(parsed.places[at].incarnation, first.places[at].incarnation);
            assert_int_equal(parsed.places[at].position, first.places[at].position);
        }
    }
    assert_true(taken > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_is_read_as_it_was_written),
        cmocka_unit_test(an_even_list_tells_nothing_by_its_length),
        cmocka_unit_test(equal_places_take_the_larger_and_others_stay_apart),
        cmocka_unit_test(what_is_no_list_is_refused),
        cmocka_unit_test(a_place_without_a_name_is_one_whole_id_and_a_position),
        cmocka_unit_test(as_many_places_are_taken_as_have_room),
        cmocka_unit_test(whatever_is_taken_is_written_and_read_as_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
