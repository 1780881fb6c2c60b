/* SPDX-License-Identifier: Apache-2.0 */
/* Who holds what is personal, and the findings about it, on descriptions alone. */

#include "../support/values.h"

#include <stdlib.h>
#include <string.h>

#include "service/marks.h"
#include "system/check/personal.h"

#define P "'x-freehold-personal': true"
#define S "'x-freehold-secret': true"
#define USER                                                                                       \
    "'schema': {'additionalProperties': false, 'required': ['key'], 'properties': {'id': {}, "     \
    "'name': {" P "}, 'home': {'properties': {'street': {" P "}}}}}"

static const char users[] =
    "{'routes': [{'method': 'GET', 'path': '/users/{id}', 'audience': 'public', 'answer': {" USER
    "}}, {'method': 'POST', 'path': '/keys', 'audience': 'services', 'body': {'properties': "
    "{'who': {" P "}, 'pin': {" S "}, 'id': {}}}, 'answer': {" USER "}}],"
    " 'publishes': [{'type': 'UserUpdated', 'key': 'id', " USER "}]}";

static struct system_file *system_of(const char *orders)
{
    struct system_file *file = calloc(1, sizeof *file);
    json_memory_init();
    arena_init(&file->arena, ARENA_SIZE_MAX);
    file->path = file->name = "test";
    file->service_count = 2;
    file->services[0] =
        (struct system_service){.name = "users", .description = parsed_single_quoted(users)};
    file->services[1] =
        (struct system_service){.name = "orders", .description = parsed_single_quoted(orders)};
    return file;
}

/* `expected`: of the only finding; NULL: there is none. */
static void finds(const char *orders, bool warning, const char *expected)
{
    struct findings findings = {0};
    struct system_file *file = system_of(orders);
    personal_check(file, &findings);
    assert_int_equal(findings.errors, expected && !warning ? 1 : 0);
    assert_int_equal(findings.warnings, expected && warning ? 1 : 0);
    if (expected && !strstr(findings.items[0].message, expected))
        assert_string_equal(findings.items[0].message, expected);
    findings_release(&findings);
    system_file_free(file);
}

#define HEARS(more) "{'hears': [{'service': 'users', 'type': 'UserUpdated'" more "}]}"
#define ASKS(more) "{'asks': [{'service': 'users', 'path': '/users/{user_id}'" more "}]}"
#define SAGA(input, step)                                                                          \
    "{'sagas': [{'name': 's', 'input': {'properties': {" input                                     \
    "}}, 'steps': [{'name': 'a', 'pivot': true, 'call': 'users POST /keys', 'personal': "          \
    "'name,home'" step "}]}]}"

static void what_is_subscribed_to_is_named(void **state)
{
    (void)state;
    finds(HEARS(", 'personal': 'name,home'"), false, NULL);
    finds(HEARS(", 'fields': 'id'"), false, NULL);
    finds(HEARS(", 'fields': 'id,home', 'personal': 'home'"), false, NULL);
    finds(HEARS(""), false,
          "orders subscribes to UserUpdated of users with the personal name,home, and does not say "
          "that it may have them: leave that out of .fields, or add .personal = \"name,home\"");
    finds(HEARS(", 'personal': 'name'"), false,
          "with the personal home, and does not say that it may have it: leave that out of "
          ".fields, or add .personal = \"name,home\"");
    finds(HEARS(", 'personal': 'name,home,id'"), true, "names 'id' in .personal, which is not");
    finds(HEARS(", 'fields': 'name', 'personal': 'name,home'"), true, "names 'home' in .personal");
}

static void what_is_asked_for_is_named(void **state)
{
    (void)state;
    finds(ASKS(", 'personal': 'name,home'"), false, NULL);
    finds(ASKS(", 'personal': 'home'"), false,
          "orders asks users for /users/{user_id} with the "
          "personal name, and does not say");
}

static void a_step_is_marked_alike_on_both_sides(void **state)
{
    (void)state;
    finds(SAGA("'id': {}", ", 'body': 'id'"), false, NULL);
    finds(SAGA("'pin': {" S "}, 'n': {" P "}", ", 'body': 'pin,who=n'"), false, NULL);
    finds(SAGA("'n': {" P "}", ", 'body': 'id=n'"), false,
          "orders: saga s, step a, sends 'id', which is personal, to POST /keys of users, where it "
          "is not marked");
    finds(SAGA("'id': {}", ", 'body': 'pin=id'"), false,
          "where it is secret, from an input in which it is not marked");
    finds(SAGA("'pin': {" P "}", ", 'body': 'pin'"), false,
          "sends 'pin' as personal to POST /keys of users, where it is secret");
    finds(SAGA("'list': {'items': {'properties': {'n': {" P "}}}}",
               ", 'each': 'list', 'body': 'id=n'"),
          false, "sends 'id', which is personal");
}

static void what_a_receiver_answers_is_named_by_the_step(void **state)
{
    (void)state;
    finds("{'sagas': [{'name': 's', 'steps': [{'name': 'a', 'call': 'users POST /keys'}]}]}", false,
          "orders is answered by users in saga s, step a, with the personal name,home");
}

#define DERIVES(field, other)                                                                      \
    "{'hears': [{'service': 'users', 'type': 'UserUpdated', 'personal': 'name,home'}], "           \
    "'derives': [{'name': 'buyers', 'model': 'search', 'fields': [{'name': 'id', 'use': "          \
    "['tag']}, "                                                                                   \
    "{'name': '" field "', 'use': ['text']" other "}]}]}"

static void what_is_derived_under_a_marked_name_is_declared_or_asked_about(void **state)
{
    (void)state;
    finds(DERIVES("name", ", " P), false, NULL);
    finds(DERIVES("title", ""), false, NULL);
    finds(DERIVES("name", ""), true,
          "orders derives 'name' into buyers, and has one of that name that is personal, in "
          "UserUpdated: if it is the same, declare it .personal");
    finds(DERIVES("street", ""), true, "orders derives 'street' into buyers, and has one");
    finds("{'sagas': [{'name': 's', 'input': {'properties': {'pin': {" S
          "}}}, 'steps': []}], 'derives': [{'name': 'd', 'fields': [{'name': 'pin'}]}]}",
          true, "one of that name that is secret, in s: if it is the same, leave it out");
}

static void refuses(const char *text, const char *words)
{
    struct fh_error error = {0};
    json_t *described = parsed_single_quoted(text);
    assert_int_equal(marks_check(described, &error), words ? FH_INVALID : FH_OK);
    if (words && !strstr(error.message, words))
        assert_string_equal(error.message, words);
    json_decref(described);
}

static void marks_that_can_not_be_kept_are_refused(void **state)
{
    (void)state;
    json_memory_init();
    refuses("{'routes': [{'method': 'GET', 'path': '/a', 'query': {'properties': {'t': {" S
            "}}}}]}",
            "the query of GET /a has the secret 't'");
    refuses("{'publishes': [{'type': 'E', 'schema': {'properties': {'a': {'items': {'properties': "
            "{'t': {" S "}}}}}}}]}",
            "E has the secret 'a.t'");
    refuses("{'publishes': [{'type': 'E', 'schema': {'additionalProperties': {" S "}}}]}",
            "E has the secret '*'");
    refuses("{'publishes': [{'type': 'E', 'key': 'mail', 'schema': {'properties': {'mail': {" P
            "}}}}]}",
            "by the key 'mail', which is personal");
    refuses("{'publishes': [{'type': 'E', 'key': 'mail', 'schema': {'properties': {'id': {}}, "
            "'additionalProperties': {" P "}}}]}",
            "by the key 'mail', which is personal");
    refuses("{'publishes': [{'type': 'E', 'key': 'id', 'schema': {'properties': {'id': {}}, "
            "'additionalProperties': {" P "}}}]}",
            NULL);
    refuses("{'publishes': [{'type': 'E', 'schema': {'properties': {'home': {" P
            ", 'properties': {'pin': {" S "}}}}}}]}",
            "E has the secret 'home.pin'");
#define ANSWERS(method, required)                                                                  \
    "{'routes': [{'method': '" method                                                              \
    "', 'path': '/a', 'answer': {'schema': {'required': [" required "], 'properties': {'key': {" S \
    "}}}}}]}"
    refuses(ANSWERS("POST", "'key'"), "make it .optional");
    refuses(ANSWERS("POST", ""), NULL);
    refuses(ANSWERS("GET", "'key'"), NULL);
}

/* Of `orders` alone: "HOW WHAT OTHER FIELDS", a line each. */
static void maps(struct system_file *file, const char *expected)
{
    json_t *map = personal_map(file), *flow;
    char lines[1024] = "";
    size_t i;
    json_array_foreach (map, i, flow) {
        char *fields = json_text(json_object_get(flow, "fields"));
        if (strcmp(json_string_at(flow, "service"), "orders") == 0)
            snprintf(lines + strlen(lines), 256, "%s %s %s %s\n", json_string_at(flow, "how"),
                     json_string_at(flow, "what"), json_string_at(flow, "other"), fields);
        json_text_free(fields);
    }
    assert_string_equal(lines, expected);
    json_decref(map);
    system_file_free(file);
}

static void the_map_has_each_way_once(void **state)
{
    (void)state;
    struct system_file *file =
        system_of("{'sagas': [{'name': 's', 'input': {'properties': {'n': {" P "}}}, 'steps': ["
                  "{'name': 'a', 'outside': 'url', 'body': 'n'}]}, {'name': 's', 'input': "
                  "{'properties': {'n': {" P "}}}, 'steps': [{'name': 'a', 'outside': 'url', "
                  "'body': 'n'}]}], 'hears': [{'service': 'users', 'type': 'UserUpdated', "
                  "'fields': 'name'}]}");
    maps(file, "subscribes UserUpdated users {\"name\":\"personal\"}\n"
               "keeps s  {\"n\":\"personal\"}\n"
               "sends s.a outside {\"n\":\"personal\"}\n");
}

static void the_map_has_what_is_derived_and_where_that_lies(void **state)
{
    struct system_derives derives[] = {{.name = "buyers", .server = "found"}};
    (void)state;
    struct system_file *file = system_of(DERIVES("name", ", " P));
    maps(file, "subscribes UserUpdated users {\"name\":\"personal\",\"home.street\":\"personal\"}\n"
               "derives buyers  {\"name\":\"personal\"}\n");
    file = system_of(DERIVES("name", ", " P));
    memcpy(file->services[1].derives, derives, sizeof derives);
    file->services[1].derives_count = 1;
    maps(file, "subscribes UserUpdated users {\"name\":\"personal\",\"home.street\":\"personal\"}\n"
               "derives buyers found {\"name\":\"personal\"}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_subscribed_to_is_named),
        cmocka_unit_test(what_is_asked_for_is_named),
        cmocka_unit_test(a_step_is_marked_alike_on_both_sides),
        cmocka_unit_test(what_a_receiver_answers_is_named_by_the_step),
        cmocka_unit_test(what_is_derived_under_a_marked_name_is_declared_or_asked_about),
        cmocka_unit_test(marks_that_can_not_be_kept_are_refused),
        cmocka_unit_test(the_map_has_each_way_once),
        cmocka_unit_test(the_map_has_what_is_derived_and_where_that_lies),
    };
    return cmocka_run_group_tests_name("system_personal", tests, NULL, NULL);
}
