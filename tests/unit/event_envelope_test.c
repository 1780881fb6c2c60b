/* SPDX-License-Identifier: Apache-2.0 */
/* Envelopes, times, selected fields, and what is accepted of a feed's answer. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "event/feed/bus.h"
#include "event/envelope.h"

/* ---- times ---- */

static void times_are_written_and_read_back(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } times[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {951868799999, "2000-02-29T23:59:59.999Z"},
        {1772366400123, "2026-03-01T12:00:00.123Z"},
        {4107542400000, "2100-03-01T00:00:00.000Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
    };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        char text[ENVELOPE_TIME_SIZE];
        int64_t ms;
        envelope_time(text, times[i].ms);
        assert_string_equal(text, times[i].text);
        assert_true(envelope_time_parse(text, &ms));
        assert_true(ms == times[i].ms);
    }
}

static void every_day_of_four_centuries_comes_back(void **state)
{
    (void)state;
    for (int64_t day = 0; day < 146097; day++) {
        char text[ENVELOPE_TIME_SIZE];
        int64_t ms;
        envelope_time(text, day * 86400000 + 1);
        assert_true(envelope_time_parse(text, &ms));
        assert_true(ms == day * 86400000 + 1);
    }
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "2026",
                                        "2026-03-01T12:00:00Z",
                                        "2026-03-01 12:00:00.123Z",
                                        "2026-13-01T12:00:00.123Z",
                                        "2026-03-01T24:00:00.123Z",
                                        "2026-03-01T12:00:00.123Z ",
                                        "1969-12-31T23:59:59.999Z"};
    int64_t ms;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(envelope_time_parse(wrong[i], &ms));
}

/* ---- envelopes ---- */

static const struct ledger_event sample = {.position = 12,
                                           .previous = 5,
                                           .time_ms = 1772366400123,
                                           .version = 2,
                                           .id = "0190-a",
                                           .type = "UserUpdated",
                                           .key = "7",
                                           .data = "{\"id\":7,\"name\":\"Ann\"}",
                                           .trace = "00-ab-cd-01"};

static json_t *written(const struct ledger_event *event, const struct fields *fields)
{
    struct text out;
    json_t *value;
    struct fh_error error;
    text_init(&out, TEXT_LENGTH_MAX);
    envelope_write(&out, "users", event, fields);
    assert_false(out.overflow);
    if (json_parse(out.data, out.length, &value, &error) != FH_OK)
        fail_msg("%s in %s", error.message, out.data);
    text_release(&out);
    return value;
}

static void an_envelope_has_the_attributes_of_cloudevents(void **state)
{
    (void)state;
    json_t *envelope = written(&sample, NULL);
    json_t *wanted = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:i,s:i,s:s,s:s,s:{s:i,s:s}}", "specversion", "1.0", "id",
        "0190-a", "source", "/users", "type", "UserUpdated", "time", "2026-03-01T12:00:00.123Z",
        "subject", "7", "position", 12, "prev", 5, "version", 2, "traceparent", "00-ab-cd-01",
        "datacontenttype", "application/json", "data", "id", 7, "name", "Ann");
    assert_true(json_equal(envelope, wanted));
    json_decref(envelope);
    json_decref(wanted);
}

static void an_event_without_a_trace_has_no_traceparent(void **state)
{
    (void)state;
    struct ledger_event event = sample;
    event.trace = NULL;
    json_t *envelope = written(&event, NULL);
    assert_null(json_object_get(envelope, "traceparent"));
    json_decref(envelope);
}

static void an_event_names_its_actor_with_and_without_a_trace(void **state)
{
    (void)state;
    static const struct {
        const char *stored, *trace, *actor;
    } rows[] = {{"00-ab-cd-01 ada", "00-ab-cd-01", "ada"},
                {"- ada", NULL, "ada"},
                {"00-ab-cd-01 \"O'Neil\" \\ de la Cruz", "00-ab-cd-01", "\"O'Neil\" \\ de la Cruz"},
                {"00-ab-cd-01", "00-ab-cd-01", NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ledger_event event = sample;
        event.trace = rows[i].stored;
        json_t *envelope = written(&event, NULL);
        const char *trace = json_string_at(envelope, "traceparent"),
                   *actor = json_string_at(envelope, "actor");
        assert_int_equal(trace == NULL, rows[i].trace == NULL);
        assert_int_equal(actor == NULL, rows[i].actor == NULL);
        if (trace)
            assert_string_equal(trace, rows[i].trace);
        if (actor)
            assert_string_equal(actor, rows[i].actor);
        json_decref(envelope);
    }
}

static void any_key_survives_the_text(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "a\"b", "a\\b", "tab\tand\nline", "\x01", "\xc3\xa4\xe2\x82\xac", "\"", "\\\\\"\""};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct ledger_event event = sample;
        event.key = keys[i];
        json_t *envelope = written(&event, NULL);
        assert_string_equal(json_string_at(envelope, "subject"), keys[i]);
        json_decref(envelope);
    }
}

static void positions_beyond_cloudevents_integers_travel_as_texts(void **state)
{
    (void)state;
    struct ledger_event event = sample;
    event.previous = INT32_MAX;
    event.position = (int64_t)INT32_MAX + 1;
    json_t *envelope = written(&event, NULL);
    json_int_t position;
    assert_true(json_is_integer(json_object_get(envelope, "prev")));
    assert_string_equal(json_string_at(envelope, "position"), "2147483648");
    assert_true(json_integer_at(envelope, "position", &position));
    assert_true(position == event.position);
    json_decref(envelope);
}

/* ---- fields ---- */

static struct fields fields_of(json_t *list)
{
    struct fields fields;
    assert_true(fields_parse(list, &fields));
    return fields;
}

static void only_named_fields_are_sent(void **state)
{
    (void)state;
    static const struct {
        const char *data, *wanted;
    } cases[] = {
        {"{\"id\":7,\"secret\":\"x\",\"name\":\"Ann\"}", "{\"id\":7,\"name\":\"Ann\"}"},
        {"{\"secret\":1}", "{}"},
        {"{}", "{}"},
        {"{\"name\":{\"id\":1,\"a\":[1,{\"b\":\"}\"}]},\"x\":[\"]\",\"\\\"\"],\"id\":\"a,b\\\\\"}",
         "{\"name\":{\"id\":1,\"a\":[1,{\"b\":\"}\"}]},\"id\":\"a,b\\\\\"}"},
        {"{\"names\":1,\"i\":2,\"id\":null}", "{\"id\":null}"},
        {"{\"a\\\"id\":1,\"id\":-1.5e3}", "{\"id\":-1.5e3}"},
    };
    json_t *list = json_pack("[s,s]", "id", "name");
    struct fields fields = fields_of(list);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct text out;
        text_init(&out, 1000);
        fields_write(&fields, "UserUpdated", cases[i].data, &out);
        assert_string_equal(out.data, cases[i].wanted);
        text_release(&out);
    }
    json_decref(list);
}

static void broken_data_ends_the_scan(void **state)
{
    (void)state;
    static const char *const broken[] = {"",        "{",        "{\"",         "{\"id",
                                         "{\"id\"", "{\"id\":", "{\"id\":\"",  "{\"id\":[",
                                         "[]",      "7",        "{\"id\":\"\\"};
    json_t *list = json_pack("[s]", "id");
    struct fields fields = fields_of(list);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct text out;
        text_init(&out, 1000);
        fields_write(&fields, "UserUpdated", broken[i], &out);
        assert_int_equal(out.data[0], '{');
        assert_int_equal(out.data[out.length - 1], '}');
        text_release(&out);
    }
    json_decref(list);
}

static void fields_are_chosen_for_each_type(void **state)
{
    (void)state;
    json_t *list = json_pack("[s,s]", "UserUpdated:id", "UserDeleted:name");
    struct fields fields = fields_of(list);
    assert_true(fields_selects(&fields, "UserUpdated"));
    assert_false(fields_selects(&fields, "UserCreated"));
    assert_false(fields_selects(&fields, "UserUpdatedTwice"));
    json_t *envelope = written(&sample, &fields);
    json_t *data = json_object_get(envelope, "data");
    assert_int_equal(json_object_size(data), 1);
    assert_non_null(json_object_get(data, "id"));
    json_decref(envelope);
    json_decref(list);
}

static void malformed_lists_of_fields_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", ":", "Type:", ":name"};
    struct fields fields;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        json_t *list = json_pack("[s]", wrong[i]);
        assert_false(fields_parse(list, &fields));
        json_decref(list);
    }
}

static void keys_belong_to_the_same_partition_for_ever(void **state)
{
    (void)state;
    /* FNV-1a of "" and "a", from its authors' tables. */
    assert_int_equal(envelope_partition("", 1000), 14695981039346656037u % 1000);
    assert_int_equal(envelope_partition("a", 1000), 0xaf63dc4c8601ec8cu % 1000);
    assert_int_equal(envelope_partition("anything", 1), 0);
}

/* ---- what is believed of an answer ---- */

static const char two[] = "[{\"id\":\"a\",\"type\":\"T\",\"position\":3,\"data\":{}},"
                          "{\"id\":\"b\",\"type\":\"T\",\"position\":\"5\",\"data\":{},"
                          "\"time\":\"2026-03-01T12:00:00.123Z\",\"traceparent\":\"t\"}]";

static const char *asked_incarnation = "";

static enum fh_code parsed(const char *next, const char *last, const char *body, int64_t after,
                           int count_max, struct batch **ret)
{
    struct world_header headers[] = {
        {"freehold-incarnation", "inc"}, {"freehold-next", next}, {"freehold-last", last}};
    struct world_request answer = {.status = 200,
                                   .answer = body,
                                   .answer_length = strlen(body),
                                   .answer_headers = headers,
                                   .answer_header_count = last ? 3 : 2};
    struct ledger_cursor cursor = {.position = after};
    struct fh_error error;
    snprintf(cursor.incarnation, sizeof cursor.incarnation, "%s", asked_incarnation);
    return feed_batch_parse(&answer, &cursor, count_max, ret, &error);
}

static void an_answer_becomes_a_batch(void **state)
{
    (void)state;
    struct batch *batch;
    assert_int_equal(parsed("9,z", "12", two, 2, 2, &batch), FH_OK);
    assert_int_equal(batch->count, 2);
    assert_int_equal(batch->last, 12);
    assert_int_equal(batch->next.position, 9);
    assert_string_equal(batch->next.event_id, "z");
    assert_string_equal(batch->next.incarnation, "inc");
    assert_int_equal(batch->events[0].position, 3);
    assert_int_equal(batch_event_time_ms(&batch->events[0]), 0);
    assert_int_equal(batch->events[1].position, 5);
    assert_true(batch_event_time_ms(&batch->events[1]) == 1772366400123);
    assert_string_equal(batch->events[1].trace, "t");
    batch_free(batch);
}

static void check_second(const char *body, bool is_text, const char *key, const char *data)
{
    struct batch *batch;
    assert_int_equal(parsed("9,z", "12", body, 2, 2, &batch), FH_OK);
    assert_int_equal(batch->count, 2);
    const struct batch_event *event = &batch->events[1];
    assert_int_equal(event->said.tree == NULL, is_text);
    assert_string_equal(event->key, key);
    json_t *value = work_event_data(&event->said), *envelope = work_event_envelope(&event->said);
    char *text = json_text(value);
    assert_string_equal(text, data);
    assert_string_equal(json_string_at(envelope, "id"), event->id);
    assert_true(json_equal(json_object_get(envelope, "data"), value));
    json_text_free(text);
    json_decref(value);
    json_decref(envelope);
    batch_free(batch);
}

#define FIRST "[{\"id\":\"a\",\"type\":\"T\",\"position\":3,\"data\":1},"

static void what_is_unusual_is_read_as_well(void **state)
{
    (void)state;
    check_second(FIRST
                 "{\"data\":[ 1.50 ],\"subject\":\"é\",\"position\":\"5\",\"id\":\"b\",\"x\":{},"
                 "\"type\":\"T\"}]",
                 true, "é", "[1.5]");
    check_second(FIRST "{\"id\":\"b\",\"type\":\"\\u0054\",\"position\":5,\"data\":{\"n\":1}}]",
                 false, "", "{\"n\":1}");
    check_second(FIRST "{\"id\":\"b\",\"type\":\"T\",\"position\":5,\"subject\":7,\"time\":7,"
                       "\"traceparent\":7,\"data\":null}]",
                 false, "", "null");
    check_second(FIRST
                 "{\"id\":\"b\",\"type\":\"T\",\"position\":5,\"data\":[12345678901234567890]}]",
                 false, "", "[1.2345678901234567e19]");
}

static void an_answer_that_no_feed_sends_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *next, *last, *body;
        int64_t after;
        int count_max;
    } wrong[] = {
        {"9,z", NULL, two, 2, 2},                                        /* a header is missing */
        {"9,z", "x", two, 2, 2},                                         /* no position */
        {"9", "12", two, 2, 2},                                          /* no id */
        {"9,", "12", two, 2, 2},                                         /* an empty one */
        {"0,z", "12", "[]", 0, 2},                                       /* an empty id */
        {"-9,z", "12", two, 2, 2},                                       /* negative */
        {"99999999999999999999,z", "12", two, 2, 2},                     /* beyond the range */
        {"9,0123456789012345678901234567890123456789", "12", two, 2, 2}, /* no id is so long */
        {"4,z", "12", two, 2, 2}, /* not scanned as far as its events */
        {"9,z", "8", two, 2, 2},  /* scanned beyond the last */
        {"1,z", "8", "[]", 2, 2}, /* scanned back */
        {"9,z", "12", two, 3, 2}, /* an event that was read already */
        {"9,z", "12", two, 2, 1}, /* more than asked for */
        {"9,z", "12", "{}", 2, 2},
        {"9,z", "12", "", 2, 2},
        {"9,z", "12", "[7]", 2, 2},
        {"9,z", "12", "[", 2, 2},
        {"9,z", "12", FIRST "]", 2, 2},
        {"9,z", "12", FIRST "{}] ]", 2, 2},
        {"9,z", "12", FIRST "{\"id\":\"b\",\"id\":\"b\",\"type\":\"T\",\"position\":5,\"data\":1}]",
         2, 2},
        {"9,z", "12",
         FIRST "{\"id\":\"b\",\"type\":\"T\",\"position\":5,\"data\":{\"a\":1,\"a\":1}}]", 2, 2},
        {"9,z", "12", FIRST "{\"id\":\"b\",\"type\":\"T\",\"position\":5,\"data\":\"\x80\"}]", 2,
         2},
        {"9,z", "12", FIRST "{\"id\":\"b\",\"type\":\"T\",\"position\":5,\"data\":1e999}]", 2, 2},
        {"9,z", "12", FIRST "{\"id\":\"b\",\"type\":\"T\",\"position\":\"\",\"data\":1}]", 2, 2},
        {"9,z", "12", FIRST "{\"id\":\"b\",\"type\":\"T\",\"position\":-5,\"data\":1}]", 2, 2},
        {"9,z", "12", FIRST "{\"id\":\"b\",\"type\":7,\"position\":5,\"data\":1}]", 2, 2},
        {"9,z", "12",
         FIRST "{\"id\":\"0123456789012345678901234567890123456789\",\"type\":\"T\","
               "\"position\":5,\"data\":1}]",
         2, 2},
        {"9,z", "12", "[{\"id\":\"a\",\"type\":\"T\",\"position\":3}]", 2, 2},
        {"9,z", "12", "[{\"id\":\"a\",\"type\":\"T\",\"data\":{}}]", 2, 2},
        {"9,z", "12", "[{\"id\":\"\",\"type\":\"T\",\"position\":3,\"data\":{}}]", 2, 2},
        {"9,z", "12", "[{\"id\":\"a\",\"type\":\"T\",\"position\":3.5,\"data\":{}}]", 2, 2},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct batch *batch;
        if (parsed(wrong[i].next, wrong[i].last, wrong[i].body, wrong[i].after, wrong[i].count_max,
                   &batch) != FH_INVALID)
            fail_msg("answer %zu was believed", i);
        assert_null(batch);
    }
}

static enum fh_code parsed_with_lists(int count, bool *ret_text)
{
    struct text body;
    struct batch *batch;
    text_init(&body, TEXT_LENGTH_MAX);
    text_add(&body, "[{\"id\":\"a\",\"type\":\"T\",\"position\":3,\"data\":[[]");
    for (int i = 1; i < count; i++)
        text_append(&body, ",[]", 3);
    text_add(&body, "]}]");
    enum fh_code code = parsed("9,z", "12", body.data, 2, 2, &batch);
    *ret_text = batch && !batch->events[0].said.tree;
    batch_free(batch);
    text_release(&body);
    return code;
}

/* Of 12 MiB of lists the values take 700: whoever makes them of an event has no bound. */
static void an_answer_whose_values_take_too_much_memory_is_refused(void **state)
{
    bool is_text;
    (void)state;
    assert_int_equal(parsed_with_lists(100000, &is_text), FH_OK);
    assert_true(is_text);
    assert_int_equal(parsed_with_lists(200000, &is_text), FH_OK);
    assert_false(is_text);
    assert_int_equal(parsed_with_lists(4 << 20, &is_text), FH_NO_MEMORY);
}

static void an_answer_of_another_incarnation_is_refused(void **state)
{
    (void)state;
    struct batch *batch;
    asked_incarnation = "another";
    assert_int_equal(parsed("9,z", "12", two, 2, 2, &batch), FH_INVALID);
    asked_incarnation = "inc";
    assert_int_equal(parsed("9,z", "12", two, 2, 2, &batch), FH_OK);
    asked_incarnation = "";
    batch_free(batch);
}

int main(void)
{
    json_memory_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_written_and_read_back),
        cmocka_unit_test(every_day_of_four_centuries_comes_back),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(an_envelope_has_the_attributes_of_cloudevents),
        cmocka_unit_test(an_event_without_a_trace_has_no_traceparent),
        cmocka_unit_test(an_event_names_its_actor_with_and_without_a_trace),
        cmocka_unit_test(any_key_survives_the_text),
        cmocka_unit_test(positions_beyond_cloudevents_integers_travel_as_texts),
        cmocka_unit_test(only_named_fields_are_sent),
        cmocka_unit_test(broken_data_ends_the_scan),
        cmocka_unit_test(fields_are_chosen_for_each_type),
        cmocka_unit_test(malformed_lists_of_fields_are_refused),
        cmocka_unit_test(keys_belong_to_the_same_partition_for_ever),
        cmocka_unit_test(an_answer_becomes_a_batch),
        cmocka_unit_test(what_is_unusual_is_read_as_well),
        cmocka_unit_test(an_answer_that_no_feed_sends_is_refused),
        cmocka_unit_test(an_answer_whose_values_take_too_much_memory_is_refused),
        cmocka_unit_test(an_answer_of_another_incarnation_is_refused),
    };
    return cmocka_run_group_tests_name("event_envelope", tests, NULL, NULL);
}
