/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_VALUES_H
#define TESTS_VALUES_H

/* JSON values from texts, and compared with texts. Header only. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

/* For cmocka_run_group_tests. */
static inline int values_start(void **state)
{
    (void)state;
    json_memory_init();
    return 0;
}

static inline json_t *parsed(const char *text)
{
    json_t *value = NULL;
    struct fh_error error = {0};
    if (json_parse(text, strlen(text), &value, &error) != FH_OK)
        fail_msg("%s: %s", text, error.message);
    return value;
}

/* The same of {'a': 1}, without the backslashes. */
static inline json_t *parsed_single_quoted(const char *text)
{
    char *copy = strdup(text);
    assert_non_null(copy);
    for (char *c = copy; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    json_t *value = parsed(copy);
    free(copy);
    return value;
}

/* Releases `value`; NULL is "(none)". */
static inline void is(json_t *value, const char *expected)
{
    char *text = value ? json_text(value) : NULL;
    assert_string_equal(text ? text : "(none)", expected);
    json_text_free(text);
    json_decref(value);
}

#endif
