/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold in a user's test. A failure says what was expected and what was there. */

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "simulate/test.h"

#define EVENT_MS_MAX 60000
#define LOOK_MS 20
#define LACK_LENGTH_MAX ((size_t)4096)
#define SHOWN_MAX 160 /* of a value, in a failure */

void fh_test_expect(fh_test *t, bool holds, const char *format, ...)
{
    char text[RUN_FAILURE_SIZE];
    va_list args;
    if (holds)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    test_fail(t, "%s", text);
}

/* ---- Parts of values ---- */

static void show_value(struct text *text, const json_t *value)
{
    char *shown = value ? json_text(value) : NULL;
    text_printf(text, "%.*s", SHOWN_MAX, shown ? shown : "nothing");
    json_text_free(shown);
}

/* Adds what is lacking at `place`; true: nothing is. */
static bool value_has(struct text *lack, const char *place, const json_t *value,
                      const json_t *expected)
{
    const char *name;
    json_t *member;
    size_t i;
    if (json_is_object(expected) && json_is_object(value)) {
        json_object_foreach ((json_t *)(uintptr_t)expected, name, member) {
            json_t *below = json_sprintf("%s/%s", place, name);
            bool found =
                value_has(lack, json_string_value(below), json_object_get(value, name), member);
            json_decref(below);
            if (!found)
                return false;
        }
        return true;
    }
    if (json_is_array(expected) && json_is_array(value) &&
        json_array_size(expected) == json_array_size(value)) {
        json_array_foreach (expected, i, member) {
            json_t *below = json_sprintf("%s/%d", place, (int)i);
            bool found =
                value_has(lack, json_string_value(below), json_array_get(value, i), member);
            json_decref(below);
            if (!found)
                return false;
        }
        return true;
    }
    if (value && json_equal(value, expected))
        return true;
    text_printf(lack, "at \"%s\" expected ", place);
    show_value(lack, expected);
    text_add(lack, ", found ");
    show_value(lack, value);
    return false;
}

char *test_lack(const json_t *value, const json_t *expected)
{
    struct text lack;
    text_init(&lack, LACK_LENGTH_MAX);
    if (!value_has(&lack, "", value, expected))
        return text_take(&lack);
    text_release(&lack);
    return NULL;
}

void fh_test_expect_json(fh_test *t, json_t *value, json_t *expected)
{
    char *lack = test_lack(value, test_keep(t, expected));
    if (lack)
        test_fail(t, "%s", lack);
}

void fh_test_expect_count(fh_test *t, json_t *array, size_t count)
{
    struct text shown;
    if (json_is_array(array) && json_array_size(array) == count)
        return;
    text_init(&shown, LACK_LENGTH_MAX);
    show_value(&shown, array);
    char *found = text_take(&shown);
    json_t *kept = test_keep(t, json_string_nocheck(found));
    free(found);
    test_fail(t, "expected an array of %zu, found %zu: %s", count, json_array_size(array),
              json_string_value(kept));
}

/* ---- Events ---- */

json_t *fh_test_rows(fh_test *t, const char *service, const char *sql)
{
    int failures = t->run->result->failures;
    test_node(t, service);
    json_t *rows = test_keep(t, fh_client_rows(&t->client, service, sql));
    if (t->run->result->failures > failures)
        test_end(t);
    return rows;
}

static bool publishes_type(const fh_service *service, const char *type)
{
    for (size_t i = 0; i < sizeof service->publishes / sizeof *service->publishes; i++) {
        if (service->publishes[i].type && strcmp(service->publishes[i].type, type) == 0)
            return true;
    }
    return false;
}

/* The data of all of one type, in their order. */
static json_t *published_data(fh_test *t, const char *service, const char *type)
{
    struct fh_error error;
    json_t *list = json_array(), *row, *data;
    size_t i;
    if (!publishes_type(test_node(t, service)->service, type))
        test_fail(t, "%s does not declare that it publishes %s", service, type);
    json_t *rows =
        fh_client_rows(&t->client, service, "SELECT type, data FROM fh_outbox ORDER BY position");
    json_array_foreach (rows, i, row) {
        const char *text = json_string_at(row, "data");
        if (strcmp(json_string_at(row, "type"), type) == 0 &&
            json_parse(text, strlen(text), &data, &error) == FH_OK)
            json_array_append_new(list, data);
    }
    json_decref(rows);
    return list;
}

/* The first that has all that is expected; else NULL, and what the last one lacks. */
static json_t *first_fitting(json_t *events, const json_t *expected, char **ret_lack)
{
    size_t i;
    json_t *data;
    *ret_lack = NULL;
    json_array_foreach (events, i, data) {
        free(*ret_lack);
        *ret_lack = expected ? test_lack(data, expected) : NULL;
        if (!*ret_lack)
            return data;
    }
    return NULL;
}

json_t *fh_test_expect_event(fh_test *t, const char *service, const char *type, json_t *data)
{
    test_keep(t, data);
    for (int waited_ms = 0;; waited_ms += LOOK_MS) {
        char *lack;
        json_t *events = published_data(t, service, type);
        json_t *found = json_incref(first_fitting(events, data, &lack));
        size_t count = json_array_size(events);
        json_decref(events);
        if (found)
            return test_keep(t, found);
        if (waited_ms >= EVENT_MS_MAX && count)
            test_fail(t, "%s has published %zu %s, none as expected; the last: %s", service, count,
                      type, lack);
        if (waited_ms >= EVENT_MS_MAX)
            test_fail(t, "expected %s of %s, which has published none within a minute", type,
                      service);
        free(lack);
        fh_client_sleep_ms(&t->client, LOOK_MS);
    }
}

void fh_test_expect_events(fh_test *t, const char *service, const char *type, int count)
{
    fh_test_rest(t);
    json_t *events = published_data(t, service, type);
    char *text = json_text(events);
    if ((int)json_array_size(events) != count)
        test_fail(t, "expected %d %s of %s, found %zu: %.200s", count, type, service,
                  json_array_size(events), text);
    json_text_free(text);
    json_decref(events);
}

/* ---- Parked ---- */

static int count_rows_of(fh_test *t, const char *service, const char *sql, const char **ret_first)
{
    json_t *rows = fh_test_rows(t, service, sql);
    const char *first = json_string_at(json_array_get(rows, 0), "why");
    *ret_first = first ? first : "";
    return (int)json_array_size(rows);
}

void fh_test_expect_parked(fh_test *t, const char *service, int events, int sagas)
{
    const char *why;
    fh_test_rest(t);
    json_object_set_new(t->parked, service, json_true());
    int found = count_rows_of(
        t, service, "SELECT type || ': ' || error AS why FROM fh_parked ORDER BY position", &why);
    if (found != events)
        test_fail(t, "%s has %d parked events, expected %d; %s", service, found, events, why);
    found =
        count_rows_of(t, service, "SELECT name AS why FROM fh_saga WHERE status = 'parked'", &why);
    if (found != sagas)
        test_fail(t, "%s has %d parked sagas, expected %d; %s", service, found, sagas, why);
}
