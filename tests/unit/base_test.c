/* SPDX-License-Identifier: Apache-2.0 */
/* The small parts of base: growing text, errors, ids, the log. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/id.h"
#include "base/log.h"
#include "base/text.h"

#include "../support/starved.h"

static void text_grows_by_pieces(void **state)
{
    (void)state;
    struct text text;
    text_init(&text, TEXT_LENGTH_MAX);
    assert_null(text.data);
    size_t length = 0;
    for (int i = 0; i < 1000; i++) {
        text_add(&text, "order ");
        text_printf(&text, "%d;", i);
        text_append(&text, "\0", 1);
        length += 6 + (size_t)snprintf(NULL, 0, "%d;", i) + 1;
        assert_int_equal(text.length, length);
        assert_int_equal(text.data[text.length], '\0');
    }
    assert_string_equal(text.data, "order 0;");
    assert_string_equal(text.data + 9, "order 1;");
    assert_false(text.overflow);
    text_release(&text);
    assert_null(text.data);
}

/* What stays, stays as it is; what does not becomes spaces. */
static void plain_text_has_no_control_characters(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"a\nb", "a\nb"},
        {"a\x1b[2J\x07\x7f\r", "a [2J   "},
        {"\xc2\x9b"
         "31m",
         "  31m"},                                        /* U+009B, as a terminal reads UTF-8 */
        {"a\x9b[", "a ["},                                /* the bare byte, as others read it */
        {"\xe2\x82\xac\xc3\x9b", "\xe2\x82\xac\xc3\x9b"}, /* such bytes within letters */
        {"\xf0\x9f\x98\x80\x9b", "\xf0\x9f\x98\x80 "},
        {"\xe2\x82\x1b\x9b", "\xe2\x82  "}, /* a letter that is cut off */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[32];
        snprintf(text, sizeof text, "%s", cases[i][0]);
        text_make_plain(text, strlen(text));
        assert_string_equal(text, cases[i][1]);
    }
}

static void text_stays_as_it_was_once_an_append_would_pass_its_bound(void **state)
{
    (void)state;
    struct text text;
    text_init(&text, 8);
    text_add(&text, "orders");
    text_add(&text, "!!!");
    assert_true(text.overflow);
    assert_string_equal(text.data, "orders");
    text_add(&text, "!");
    text_printf(&text, "%d", 1);
    assert_string_equal(text.data, "orders");
    text_clear(&text);
    assert_false(text.overflow);
    text_add(&text, "12345678");
    assert_false(text.overflow);
    assert_string_equal(text.data, "12345678");
    text_release(&text);
}

static void add_condition(void)
{
    struct text text;
    text_init(&text, TEXT_LENGTH_MAX);
    text_add(&text, "DELETE FROM item WHERE id = 1");
}

static void reserve_much(void)
{
    struct text text;
    text_init(&text, TEXT_LENGTH_MAX);
    if (text_reserve(&text, TEXT_SMALL_MAX) || !text.overflow)
        _exit(1);
}

static void without_memory_small_text_ends_the_process_and_large_text_is_refused(void **state)
{
    (void)state;
    if (SANITIZED)
        SKIP_BECAUSE("memory ends otherwise with sanitizers");
    assert_int_equal(ended_without_memory(add_condition), SIGABRT);
    assert_int_equal(ended_without_memory(reserve_much), 0);
}

static void text_can_be_taken_whatever_it_holds(void **state)
{
    (void)state;
    struct text text;
    text_init(&text, 8);
    char *taken = text_take(&text);
    assert_string_equal(taken, "");
    free(taken);
    text_add(&text, "orders");
    taken = text_take(&text);
    assert_string_equal(taken, "orders");
    free(taken);
    assert_int_equal(text.length, 0);
    text_add(&text, "longer than eight");
    assert_true(text.overflow);
    taken = text_take(&text);
    assert_string_equal(taken, "");
    free(taken);
    text_release(&text);
}

static void error_is_filled_and_its_code_returned(void **state)
{
    (void)state;
    struct fh_error error;
    memset(&error, 'x', sizeof error);
    assert_int_equal(error_set(&error, FH_CONFLICT, "The id %d is taken.", 7), FH_CONFLICT);
    assert_int_equal(error.code, FH_CONFLICT);
    assert_string_equal(error.message, "The id 7 is taken.");
    assert_string_equal(error.native, "");
    assert_string_equal(error.field, "");
    assert_false(error.retryable);
    assert_int_equal(error_retry(&error, FH_UNAVAILABLE, "Later."), FH_UNAVAILABLE);
    assert_true(error.retryable);
    assert_int_equal(error_set(ERROR_UNHEEDED, FH_INVALID, "nobody listens"), FH_INVALID);
}

static void error_names_the_errno_it_came_from(void **state)
{
    (void)state;
    struct fh_error error;
    enum fh_code code =
        error_set_errno(&error, FH_UNAVAILABLE, ENOENT, "Cannot open %s", "store.db");
    assert_int_equal(code, FH_UNAVAILABLE);
    assert_string_equal(error.native, "ENOENT");
    assert_string_equal(error.message, "Cannot open store.db: No such file or directory");
    error_set_errno(&error, FH_UNAVAILABLE, 99999, "Cannot open %s", "store.db");
    assert_string_equal(error.native, "?");
}

static void error_cuts_a_message_that_is_too_long(void **state)
{
    (void)state;
    char longer[1000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    struct fh_error error;
    error_set(&error, FH_INVALID, "%s", longer);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
    error_set_errno(&error, FH_INVALID, EIO, "%s", longer);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
}

static void every_code_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int one = FH_OK; one <= FH_NO_MEMORY; one++) {
        assert_string_not_equal(error_code_name((enum fh_code)one), "?");
        for (int other = FH_OK; other < one; other++)
            assert_string_not_equal(error_code_name((enum fh_code)one),
                                    error_code_name((enum fh_code)other));
    }
}

static void id_is_the_example_of_rfc_9562(void **state)
{
    (void)state;
    /* Appendix A.6: 2022-02-22 19:22:22 UTC, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F. */
    const unsigned char random[10] = {0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f};
    char id[ID_SIZE];
    id_format(id, 0x017F22E279B0, random);
    assert_string_equal(id, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    assert_int_equal(id_time_ms(id), 0x017F22E279B0);
    assert_int_equal(id_time_ms(""), 0);
    assert_int_equal(id_time_ms("start-1"), 0);
    assert_int_equal(id_time_ms("017f22e2-79b0-4cc3-98c4-dc0c0c07398f"), 0); /* random: version 4 */
    assert_int_equal(id_time_ms("017f22eX-79b0-7cc3-98c4-dc0c0c07398f"), 0);
}

static void ids_sort_by_time_and_always_carry_version_and_variant(void **state)
{
    (void)state;
    unsigned char high[10], low[10];
    memset(high, 0xff, sizeof high);
    memset(low, 0, sizeof low);
    char earlier[ID_SIZE], later[ID_SIZE];
    for (int64_t ms = 1; ms < (int64_t)1 << 45; ms = ms * 3 + 1) {
        id_format(earlier, ms, high);
        id_format(later, ms + 1, low);
        assert_true(strcmp(earlier, later) < 0);
        assert_int_equal(strlen(earlier), ID_SIZE - 1);
        assert_int_equal(earlier[14], '7');
        assert_int_equal(earlier[19], 'b');
        assert_int_equal(later[14], '7');
        assert_int_equal(later[19], '8');
    }
}

/* What one log_line writes on standard error. */
static void logged(char *line, size_t size, enum log_level level, const char *message)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int kept = dup(STDERR_FILENO);
    assert_true(kept >= 0 && dup2(ends[1], STDERR_FILENO) >= 0);
    log_line(level, "store-slowed", "%s", message);
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(ends[1]);
    ssize_t length = read(ends[0], line, size - 1);
    assert_true(length >= 0);
    line[length] = '\0';
    close(ends[0]);
}

static void log_writes_one_line_whatever_the_message_holds(void **state)
{
    (void)state;
    char line[2048], longer[4000];
    log_init("orders", LOG_LEVEL_INFO);
    logged(line, sizeof line, LOG_LEVEL_WARNING, "first\nsecond\r\x1b[31mred");
    assert_non_null(strstr(line, " warning orders [store-slowed]: first second  [31mred\n"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    logged(line, sizeof line, LOG_LEVEL_ERROR, longer);
    assert_in_range(strlen(line), 900, 1024);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    logged(line, sizeof line, LOG_LEVEL_DEBUG, "not wanted");
    assert_string_equal(line, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_grows_by_pieces),
        cmocka_unit_test(text_stays_as_it_was_once_an_append_would_pass_its_bound),
        cmocka_unit_test(text_can_be_taken_whatever_it_holds),
        cmocka_unit_test(without_memory_small_text_ends_the_process_and_large_text_is_refused),
        cmocka_unit_test(error_is_filled_and_its_code_returned),
        cmocka_unit_test(error_names_the_errno_it_came_from),
        cmocka_unit_test(error_cuts_a_message_that_is_too_long),
        cmocka_unit_test(every_code_has_a_name_of_its_own),
        cmocka_unit_test(plain_text_has_no_control_characters),
        cmocka_unit_test(id_is_the_example_of_rfc_9562),
        cmocka_unit_test(ids_sort_by_time_and_always_carry_version_and_variant),
        cmocka_unit_test(log_writes_one_line_whatever_the_message_holds),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
