/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers' faults in a user's test. The first one ends it: whatever waits for that handler waits
 * in vain, for hours of virtual time, and everything it does meanwhile drowns the fault. Unless the
 * test expects it: as the answer to its request, or of that service (fh_test_expect_faults).
 *
 * What the test itself injects (crashes, pauses, outages, full disks) is answered with 503 or not
 * at all, so it is no fault.
 */

#include <string.h>

#include "base/json.h"
#include "base/symbol.h"
#include "base/text.h"
#include "simulate/test.h"
#include "work/fault.h"

#define FAULT_LENGTH_MAX ((size_t)64 << 10)

static bool is_expected(fh_test *t, const char *service)
{
    json_t *count = json_object_get(t->faults, service);
    if (count)
        json_integer_set(count, json_integer_value(count) + 1);
    return count || (t->expects_500 && strcmp(t->expects_500, service) == 0);
}

/* In one line, however it was written. */
static void add_statement(struct text *text, const char *statement)
{
    while (*statement) {
        size_t length = strcspn(statement, " \t\r\n");
        size_t blank = strspn(statement + length, " \t\r\n");
        text_append(text, statement, length);
        text_add(text, blank && statement[length + blank] ? " " : "");
        statement += length + blank;
    }
}

/* "orders: the handler place_order of POST /api/orders has a fault: ..." */
static void say_fault(struct run *run, const fh_work *w)
{
    char name[SYMBOL_SIZE], what[DOING_SIZE];
    const char *message = w->failure.message;
    struct text text;
    size_t length = strlen(message);
    union {
        doing_function *function;
        const void *address;
    } of = {.function = w->doing ? w->doing->function : NULL};
    symbols_init();
    symbol_name(of.address, name);
    if (length && message[length - 1] == '.')
        length--;
    text_init(&text, FAULT_LENGTH_MAX);
    text_printf(&text, "%s: the handler %s%sof %s has a fault: %.*s", w->context->service->name,
                of.address ? name : "", of.address ? " " : "", fault_what(w, what), (int)length,
                message);
    if (w->statement) {
        text_add(&text, "; in the statement: ");
        add_statement(&text, w->statement);
    }
    if (w->trace)
        text_printf(&text, "; trace %s", w->trace);
    run_fail(run, "%s", text.data);
    text_release(&text);
}

void test_fault_met(struct run *run, const fh_work *w)
{
    if (run->hopeless || is_expected(run->test, w->context->service->name))
        return;
    say_fault(run, w);
    run->hopeless = true;
}

void fh_test_expect_faults(fh_test *t, const char *service)
{
    if (test_node(t, service)->stubbed)
        test_fail(t, "%s is a stub in this test: it has no handlers, and so no faults", service);
    if (!json_object_get(t->faults, service))
        json_object_set_new(t->faults, service, json_integer(0));
}

void test_check_faults(fh_test *t)
{
    const char *service;
    json_t *count;
    json_object_foreach (t->faults, service, count) {
        if (!json_integer_value(count))
            test_fail(t, "expected that a handler of %s has a fault, and none had one", service);
    }
}
