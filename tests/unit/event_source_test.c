/* SPDX-License-Identifier: Apache-2.0 */
/* From messages of others to events: what kind they are, what their keys are, and what happens to
 * those that are none. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "event/outbox/publish.h"
#include "event/source/map.h"

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

/* ---- a broker whose messages have the headers that a test gives them ---- */

struct header {
    const char *name, *value;
};

static const char *header_of(const struct broker_message *message, const char *name,
                             size_t *ret_length)
{
    const struct header *header = message->native;
    for (; header && header->name; header++) {
        if (strcmp(header->name, name) == 0) {
            *ret_length = strlen(header->value);
            return header->value;
        }
    }
    return NULL;
}

static const struct broker_driver driver = {.header = header_of, .attributes = "ce_"};
static const struct source_mapping cloudevents = {
    .name = "legacy", .unread = "", .driver = &driver};

static struct broker_message message_of(const char *key, const char *data)
{
    return (struct broker_message){.partition = 3,
                                   .data = data,
                                   .length = strlen(data),
                                   .key = key,
                                   .key_length = key ? strlen(key) : 0,
                                   .offset = 16,
                                   .time_ms = 1000};
}

static json_t *map(const struct source_mapping *mapping, const struct broker_message *message)
{
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    struct arena *before = json_arena_set(&arena);
    json_t *mapped = source_map(mapping, message, &arena, true);
    json_arena_set(before);
    json_t *kept = json_copy_out(mapped);
    arena_release(&arena);
    return kept;
}

static void assert_event(const struct source_mapping *mapping, const struct broker_message *message,
                         const char *type, const char *key, const char *data)
{
    json_t *event = map(mapping, message), *expected;
    struct fh_error error;
    assert_null(json_object_get(event, SOURCE_UNREADABLE));
    assert_string_equal(json_string_at(event, "type"), type);
    assert_string_equal(json_string_at(event, "source"), "/legacy");
    assert_string_equal(json_string_at(event, "subject"), key);
    assert_int_equal(json_integer_value(json_object_get(event, "position")), 17);
    assert_int_equal(json_parse(data, strlen(data), &expected, &error), FH_OK);
    assert_true(json_equal(json_object_get(event, "data"), expected));
    json_decref(expected);
    json_decref(event);
}

static void assert_unreadable(const struct source_mapping *mapping,
                              const struct broker_message *message, const char *why)
{
    json_t *event = map(mapping, message);
    const char *said = json_string_at(event, SOURCE_UNREADABLE);
    assert_non_null(said);
    if (!strstr(said, why))
        fail_msg("\"%s\" does not say \"%s\"", said, why);
    assert_true(json_is_object(json_object_get(event, "data")));
    assert_true(*json_string_at(event, "subject"));
    json_decref(event);
}

/* ---- messages ---- */

static void a_message_is_the_data_of_its_type(void **state)
{
    struct source_mapping mapping = {.name = "legacy", .type = "Placed", .driver = &driver};
    (void)state;
    struct broker_message message = message_of("k", "{\"id\": 1}");
    assert_event(&mapping, &message, "Placed", "k", "{\"id\": 1}");
    message.key = NULL;
    message.key_length = 0;
    assert_event(&mapping, &message, "Placed", "@3:16", "{\"id\": 1}");
}

static void type_and_key_may_be_members(void **state)
{
    struct source_mapping mapping = {.name = "legacy",
                                     .type = "/kind",
                                     .key = "/order/i~1d~0/1",
                                     .unread = "",
                                     .driver = &driver};
    (void)state;
    struct broker_message message =
        message_of("k", "{\"kind\": \"Paid\", \"order\": {\"i/d~\": [1, 2]}}");
    assert_event(&mapping, &message, "Paid", "2",
                 "{\"kind\": \"Paid\", \"order\": {\"i/d~\": [1, 2]}}");
    message = message_of("k", "{\"kind\": \"Paid\", \"order\": {\"i/d~\": [1]}}");
    assert_unreadable(&mapping, &message, "has no key at /order/i~1d~0/1");
    message = message_of("k", "{\"kind\": \"Paid\", \"order\": {\"i/d~\": [1, \"\"]}}");
    assert_unreadable(&mapping, &message, "has no key");
    message = message_of("k", "{\"kind\": 7}");
    assert_unreadable(&mapping, &message, "has no type at /kind");
}

static void cloudevents_map_themselves(void **state)
{
    static const struct header structured[] = {
        {"content-type", "application/cloudevents+json; charset=utf-8"}, {0}};
    static const struct header binary[] = {
        {"ce_type", "Paid"}, {"ce_partitionkey", "p"}, {"traceparent", TRACE}, {0}};
    static const struct source_mapping mapping = {
        .name = "legacy", .type = "Placed", .driver = &driver};
    static const char text[] = "{\"specversion\": \"1.0\", \"type\": \"Paid\", \"subject\": \"s\","
                               "\"position\": 9, \"unreadable\": \"x\", \"data\": {\"a\": 1}}";
    (void)state;
    struct broker_message message = message_of("k", text);
    assert_event(&cloudevents, &message, "Paid", "s", "{\"a\": 1}");
    message.native = structured;
    assert_event(&mapping, &message, "Paid", "s", "{\"a\": 1}");
    message = message_of("k", "{\"a\": 1}");
    assert_unreadable(&cloudevents, &message, "has no type");
    message.native = binary;
    assert_event(&mapping, &message, "Paid", "p", "{\"a\": 1}");
    json_t *event = map(&mapping, &message);
    assert_string_equal(json_string_at(event, "traceparent"), TRACE);
    assert_string_equal(json_string_at(event, "time"), "1970-01-01T00:00:01.000Z");
    json_decref(event);
}

static void headers_are_believed_only_if_they_can_be(void **state)
{
    static const struct header bad[] = {
        {"ce_type", "Paid"}, {"ce_subject", "a\nb"}, {"traceparent", "00-\r\nX: y"}, {0}};
    (void)state;
    struct broker_message message = message_of("k", "{}");
    message.native = bad;
    json_t *event = map(&cloudevents, &message);
    assert_string_equal(json_string_at(event, "subject"), "k");
    assert_null(json_object_get(event, "traceparent"));
    json_decref(event);
}

static void what_is_no_object_is_kept_as_it_is(void **state)
{
    static const struct source_mapping mapping = {
        .name = "legacy", .type = "Placed", .unread = "Placed", .driver = &driver};
    static const char *const wrong[] = {"{", "[1]", "1", "\"a\"", "{\"a\": 1, \"a\": 2}"};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct broker_message message = message_of("k", wrong[i]);
        assert_unreadable(&mapping, &message, "JSON");
        json_t *event = map(&mapping, &message);
        assert_string_equal(json_string_at(event, "data.text"), wrong[i]);
        assert_string_equal(json_string_at(event, "type"), "Placed");
        json_decref(event);
    }
    struct broker_message message = message_of("k", "\xff\xfe{}");
    json_t *event = map(&mapping, &message);
    assert_string_equal(json_string_at(event, "data.base64"), "//57fQ==");
    json_decref(event);
    message = message_of("k", "");
    assert_unreadable(&mapping, &message, "is empty");
}

static void an_empty_message_may_mean_something(void **state)
{
    static const struct source_mapping mapping = {
        .name = "legacy", .type = "Placed", .empty = "Gone", .unread = "", .driver = &driver};
    (void)state;
    struct broker_message message = message_of("k", "");
    assert_event(&mapping, &message, "Gone", "k", "{\"key\": \"k\"}");
    message = message_of(NULL, "");
    assert_unreadable(&mapping, &message, "has no key");
}

static void keys_that_are_no_text_are_in_hex(void **state)
{
    static const struct source_mapping mapping = {
        .name = "legacy", .type = "Placed", .driver = &driver};
    static char text[OUTBOX_KEY_LENGTH_MAX + 2];
    (void)state;
    struct broker_message message = message_of(NULL, "{}");
    message.key = "\0\0\0*";
    message.key_length = 4;
    assert_event(&mapping, &message, "Placed", "0x0000002a", "{}");
    memset(text, 'k', sizeof text - 1);
    message = message_of(text, "{}");
    assert_event(&mapping, &message, "Placed", "@3:16", "{}");
}

static void what_is_too_large_is_kept_in_part(void **state)
{
    static const struct source_mapping mapping = {
        .name = "legacy", .type = "Placed", .unread = "", .driver = &driver};
    size_t size = BROKER_MESSAGE_SIZE_MAX + 1;
    char *large = malloc(size + 1);
    (void)state;
    assert_non_null(large);
    memset(large, '[', size); /* a quarter of a character is cut off */
    memcpy(large + SOURCE_KEPT_MAX - 1, "\xc3\xa4", 2);
    large[size] = '\0';
    struct broker_message message = message_of("k", large);
    assert_unreadable(&mapping, &message, "is too large");
    json_t *event = map(&mapping, &message);
    assert_int_equal(json_string_length(json_object_get(json_object_get(event, "data"), "text")),
                     SOURCE_KEPT_MAX - 1);
    json_decref(event);
    free(large);
}

/* Many small values take more memory than a unit of work may have. */
static void what_takes_too_much_memory_waits_or_is_unreadable(void **state)
{
    static const struct source_mapping mapping = {
        .name = "legacy", .type = "Placed", .unread = "", .driver = &driver};
    struct arena arena;
    size_t size = BROKER_MESSAGE_SIZE_MAX / 2;
    char *many = malloc(size);
    (void)state;
    assert_non_null(many);
    int length = snprintf(many, size, "{\"a\":[");
    for (size_t at = (size_t)length; at + 4 < size; at += 3)
        length += snprintf(many + at, size - at, "[],");
    length += snprintf(many + length - 1, size - (size_t)length, "]}") - 1;
    struct broker_message message = message_of("k", many);
    arena_init(&arena, (size_t)4 << 20);
    struct arena *before = json_arena_set(&arena);
    assert_null(source_map(&mapping, &message, &arena, false));
    json_t *event = source_map(&mapping, &message, &arena, true);
    assert_non_null(strstr(json_string_at(event, SOURCE_UNREADABLE), "too much memory"));
    json_arena_set(before);
    arena_release(&arena);
    free(many);
}

static void a_message_is_known_again(void **state)
{
    char ids[5][ID_SIZE];
    (void)state;
    struct broker_message messages[5];
    for (int i = 0; i < 5; i++)
        messages[i] = message_of("k", "{}");
    messages[1].offset++;
    messages[2].time_ms++;
    messages[3].key = "l";
    messages[4].data = "[]";
    for (int i = 0; i < 5; i++)
        source_id(&messages[i], ids[i]);
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < i; j++)
            assert_string_not_equal(ids[i], ids[j]);
    }
    source_id(&messages[0], ids[1]);
    assert_string_equal(ids[0], ids[1]);
}

int main(void)
{
    json_memory_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_the_data_of_its_type),
        cmocka_unit_test(type_and_key_may_be_members),
        cmocka_unit_test(cloudevents_map_themselves),
        cmocka_unit_test(headers_are_believed_only_if_they_can_be),
        cmocka_unit_test(what_is_no_object_is_kept_as_it_is),
        cmocka_unit_test(an_empty_message_may_mean_something),
        cmocka_unit_test(keys_that_are_no_text_are_in_hex),
        cmocka_unit_test(what_is_too_large_is_kept_in_part),
        cmocka_unit_test(what_takes_too_much_memory_waits_or_is_unreadable),
        cmocka_unit_test(a_message_is_known_again),
    };
    return cmocka_run_group_tests_name("event_source", tests, NULL, NULL);
}
