/* SPDX-License-Identifier: Apache-2.0 */
/* What the log is told of a statement, and how many lines there are of what comes in floods. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/symbol.h"
#include "work/fault.h"

static void a_statement_is_told_without_its_values(void **state)
{
    static const struct {
        const char *sql, *told;
    } cases[] = {
        {"SELECT id FROM orders WHERE name = 'O''Brien; DROP' AND x = :x",
         "SELECT id FROM orders WHERE name = ? AND x = :x"},
        {"SELECT * FROM t1 WHERE a1 = 17.5e3 AND b=0x1F AND c = -3",
         "SELECT * FROM t1 WHERE a1 = ? AND b=? AND c = -?"},
        {"SELECT \"Ada\", 'a\\b\\\\'  ,\n  $$whole text$$ -- hunter2\nFROM t",
         "SELECT ?, ? , ? FROM t"},
        {"SELECT E'it\\'s' FROM t WHERE token = 'hunter2'", "SELECT E?"},
        {"SELECT 1 WHERE path = 'C:\\' AND token = 'hunter2'", "SELECT ? WHERE path = ?"},
        {"SELECT $x$ it's $y$ $x $x$, $_$never ends $ hunter2", "SELECT ?, ?"},
        {"UPDATE t /* Ada's */ SET v = 'x", "UPDATE t SET v = ?"},
        {"SELECT /* never ends 'a'", "SELECT"},
        {"-- only that", ""},
        {"", ""},
        {"SELECT 1;", "SELECT ?"},
        {"SELECT v->>'$.name' FROM t WHERE p$1 = $1", "SELECT v->>? FROM t WHERE p$1 = $1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char told[FAULT_STATEMENT_LENGTH_MAX + 1];
        fault_statement(cases[i].sql, told);
        assert_string_equal(told, cases[i].told);
    }
}

static void a_long_statement_is_cut(void **state)
{
    char sql[5000], told[FAULT_STATEMENT_LENGTH_MAX + 1];
    (void)state;
    memset(sql, 'x', sizeof sql - 1);
    sql[sizeof sql - 1] = '\0';
    fault_statement(sql, told);
    assert_int_equal(strlen(told), FAULT_STATEMENT_LENGTH_MAX);
}

static void only_a_traceparent_has_a_trace(void **state)
{
    char trace[FAULT_TRACE_SIZE];
    (void)state;
    assert_string_equal(
        fault_trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", trace),
        "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_string_equal(fault_trace("00-4bf9", trace), "");
    assert_string_equal(fault_trace(NULL, trace), "");
}

static void lines_beyond_the_rate_are_counted(void **state)
{
    struct log_rate rate = {0};
    unsigned more, passed = 0;
    (void)state;
    for (int i = 0; i < 1000; i++)
        passed += log_rate_passes(&rate, 100, 5, &more);
    assert_int_equal(passed, 100);
    assert_true(log_rate_passes(&rate, 100, 5 + LOG_PAUSE_NS, &more));
    assert_int_equal(more, 900);
    assert_true(log_rate_passes(&rate, 100, 6 + LOG_PAUSE_NS, &more));
    assert_int_equal(more, 0);
}

/* A test program has its whole table of symbols. */
static void a_static_function_has_its_name(void **state)
{
    char name[SYMBOL_SIZE];
    (void)state;
    symbols_init();
    assert_string_equal(symbol_name((const void *)(uintptr_t)only_a_traceparent_has_a_trace, name),
                        "only_a_traceparent_has_a_trace");
    symbol_place((const char *)(uintptr_t)only_a_traceparent_has_a_trace + 1, name);
    assert_non_null(strstr(name, "only_a_traceparent_has_a_trace+0x1 (fault_test+0x"));
    assert_string_equal(symbol_place((const void *)(uintptr_t)16, name), "0x10");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_statement_is_told_without_its_values),
        cmocka_unit_test(a_long_statement_is_cut),
        cmocka_unit_test(only_a_traceparent_has_a_trace),
        cmocka_unit_test(lines_beyond_the_rate_are_counted),
        cmocka_unit_test(a_static_function_has_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
