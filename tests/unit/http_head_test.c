/* SPDX-License-Identifier: Apache-2.0 */
/* Values are read eight bytes at a time: each byte means the same wherever it stands among them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "http/head.h"

#define VALUE_LENGTH 24
#define BEFORE "GET / HTTP/1.1\r\nHost: x\r\nX: "
#define BEHIND "\r\n\r\n"

static enum read_result read_value(const char value[static VALUE_LENGTH], struct http_head *ret,
                                   struct http_refusal *ret_refusal)
{
    char data[sizeof BEFORE + VALUE_LENGTH + sizeof BEHIND];
    struct head_progress progress = {0};
    int length = snprintf(data, sizeof data, "%s%*s%s", BEFORE, VALUE_LENGTH, "", BEHIND);
    memcpy(data + sizeof BEFORE - 1, value, VALUE_LENGTH);
    return head_read(ret, data, (size_t)length, &progress, sizeof data, ret_refusal);
}

static void each_byte_is_judged_alike_at_each_place(void **state)
{
    (void)state;
    static struct http_head head;
    for (unsigned byte = 0; byte <= UINT8_MAX; byte++) {
        for (size_t at = 1; at < VALUE_LENGTH - 1; at++) {
            struct http_refusal refusal = {0};
            char value[VALUE_LENGTH + 1] = "abcdefghijklmno\tpqrstuvw", named[8];
            value[at] = (char)byte;
            bool control = (byte < ' ' && byte != '\t') || byte == 0x7f;
            assert_int_equal(read_value(value, &head, &refusal),
                             control ? READ_REFUSED : READ_DONE);
            if (byte == '\r' || byte == '\n')
                snprintf(named, sizeof named, " %s ", byte == '\r' ? "CR" : "LF");
            else
                snprintf(named, sizeof named, "0x%02x", byte);
            if (control)
                assert_non_null(strstr(refusal.detail, named));
            else
                assert_int_equal(head.fields[1].value.length, VALUE_LENGTH);
        }
    }
}

static void of_two_wrong_bytes_the_first_is_named(void **state)
{
    (void)state;
    static struct http_head head;
    for (size_t first = 1; first < VALUE_LENGTH - 2; first++) {
        for (size_t second = first + 1; second < VALUE_LENGTH - 1; second++) {
            struct http_refusal refusal = {0};
            char value[VALUE_LENGTH + 1] = "abcdefghijklmnopqrstuvwx", place[32];
            value[first] = 0x01;
            value[second] = 0x7f;
            assert_int_equal(read_value(value, &head, &refusal), READ_REFUSED);
            snprintf(place, sizeof place, "0x01 at byte %zu ", sizeof "X: " + first);
            assert_non_null(strstr(refusal.detail, place));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_byte_is_judged_alike_at_each_place),
        cmocka_unit_test(of_two_wrong_bytes_the_first_is_named),
    };
    return cmocka_run_group_tests_name("http_head", tests, NULL, NULL);
}
