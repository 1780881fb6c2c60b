/* SPDX-License-Identifier: Apache-2.0 */
/* What a subscriber may have of a publisher's events: by its grants, whatever it asks for. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../support/json.h"
#include "base/json.h"
#include "event/feed/grant.h"
#include "event/outbox/subscribers.h"

struct judged {
    bool may;
    char why[512];
    char types[256]; /* to send, with spaces between them */
};

static json_t *list_of(const char *text)
{
    json_t *list = NULL;
    if (text)
        assert_int_equal(json_parse(text, strlen(text), &list, ERROR_UNHEEDED), FH_OK);
    return list;
}

/* `grants`, `types` and `fields`: JSON arrays; NULL: there is no such parameter. */
static struct judged judge(const char *kind, const char *grants, const char *types,
                           const char *fields)
{
    struct judged judged = {0};
    json_t *granted = list_of(grants), *asked = list_of(types), *named = list_of(fields), *send,
           *one;
    const struct event_grant grant = {"orders", granted};
    struct fields parsed;
    struct text why;
    size_t i;
    assert_true(fields_parse(named, &parsed));
    text_init(&why, 4096);
    judged.may = grant_judge(&grant, kind, asked, &parsed, &send, &why);
    snprintf(judged.why, sizeof judged.why, "%s", why.data ? why.data : "");
    json_array_foreach (send, i, one)
        snprintf(judged.types + strlen(judged.types), 64, "%s%s", i ? " " : "",
                 json_string_value(one));
    assert_true(judged.may == (judged.why[0] == '\0'));
    assert_true(judged.may || !send);
    text_release(&why);
    json_decref(send);
    json_decref(granted);
    json_decref(asked);
    json_decref(named);
    return judged;
}

static void a_subscriber_gets_what_it_was_granted(void **state)
{
    (void)state;
    static const char grants[] = "[\"GET /_freehold/feed\", \"state UserDeleted\", 7, null, "
                                 "\"events UserUpdated:id,name\"]";
    static const struct {
        const char *types, *fields, *words; /* of the refusal; NULL: it may */
    } all[] = {
        {"[\"UserUpdated\"]", "[\"UserUpdated:id\"]", NULL},
        {"[\"UserUpdated\"]", "[\"id\", \"name\"]", NULL},
        {"[\"UserUpdated\"]", "[\"name\", \"UserDeleted:email\"]", NULL},
        {"[\"UserUpdated\"]", NULL,
         "asks for all fields of UserUpdated, and was granted only id,name"},
        {NULL, NULL, "was granted only id,name"},
        {"[\"\"]", "[\"id\"]", "was not granted the events of :"},
        {"[\"UserUpdated\"]", "[\"UserDeleted:id\"]", "was granted only id,name"},
        {"[\"UserUpdated\"]", "[\"id\", \"email\"]",
         "was not granted the field email of UserUpdated"},
        {"[\"UserUpdated\"]", "[\"i\"]", "was not granted the field i of"},
        {"[\"UserUpdated\"]", "[\"id,name\"]", "was not granted the field id,name of"},
        {"[\"UserUpdated\", \"UserDeleted\"]", "[\"id\"]",
         "was not granted the events of UserDeleted"},
        {"[\"User\"]", "[\"id\"]", "was not granted the events of User:"},
        {"[\"UserUpdated:id\"]", "[\"id\"]", "was not granted the events of UserUpdated:id"},
        {"[\"UserUpdated2\"]", "[\"id\"]", "was not granted the events of UserUpdated2"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct judged judged = judge(GRANT_EVENTS, grants, all[i].types, all[i].fields);
        if (judged.may != !all[i].words || (all[i].words && !strstr(judged.why, all[i].words)))
            fail_msg("%s %s: %s", all[i].types, all[i].fields, judged.why);
    }
}

/* "TYPE@1" is a version of TYPE, where another is read. */
static void fields_of_a_version_are_granted_for_it_alone(void **state)
{
    (void)state;
    static const char grants[] =
        "[\"events UserUpdated:id,given\", \"events UserUpdated@1:id,name\", "
        "\"events UserGrew\"]";
    static const char types[] = "[\"UserUpdated\"]";
    char huge[1024];
    assert_true(
        judge(GRANT_EVENTS, grants, types, "[\"UserUpdated:given\", \"UserUpdated@1:name\"]").may);
    struct judged judged =
        judge(GRANT_EVENTS, grants, types, "[\"UserUpdated:id\", \"UserUpdated@1:given\"]");
    assert_non_null(strstr(judged.why, "was not granted the field given of UserUpdated@1"));
    judged = judge(GRANT_EVENTS, grants, types, "[\"UserUpdated:id\", \"UserUpdated@2:name\"]");
    assert_non_null(strstr(judged.why, "was not granted the field name of UserUpdated@2"));
    judged = judge(GRANT_EVENTS, grants, types, "[\"UserUpdated:name\"]");
    assert_non_null(strstr(judged.why, "was not granted the field name of UserUpdated:"));
    judged = judge(GRANT_EVENTS, grants, types, "[\"UserUpdated@1:name\"]");
    assert_non_null(strstr(judged.why, "asks for all fields of UserUpdated"));
    assert_true(judge(GRANT_EVENTS, grants, "[\"UserGrew\"]", "[\"UserGrew@1:any\"]").may);
    judged = judge(GRANT_EVENTS, grants, NULL, "[\"UserUpdated:id\"]");
    assert_string_equal(judged.types, "UserUpdated UserGrew");
    snprintf(huge, sizeof huge, "[\"UserUpdated:id\", \"%0700d@1:name\"]", 0);
    judged = judge(GRANT_EVENTS, grants, types, huge);
    assert_false(judged.may);
}

static void state_and_events_are_granted_apart(void **state)
{
    (void)state;
    static const char grants[] = "[\"events UserUpdated\", \"state UserDeleted:id\"]";
    assert_true(judge(GRANT_STATE, grants, "[\"UserDeleted\"]", "[\"id\"]").may);
    assert_false(judge(GRANT_STATE, grants, "[\"UserUpdated\"]", "[\"id\"]").may);
    assert_false(judge(GRANT_EVENTS, grants, "[\"UserDeleted\"]", "[\"id\"]").may);
    assert_false(judge(GRANT_STATE, grants, "[\"UserDeleted\"]", NULL).may);
}

static void without_types_it_gets_those_that_it_was_granted(void **state)
{
    (void)state;
    static const char grants[] = "[\"events UserDeleted:id\", \"events OrderCreated\"]";
    struct judged judged = judge(GRANT_EVENTS, grants, NULL, "[\"UserDeleted:id\"]");
    assert_true(judged.may);
    assert_string_equal(judged.types, "UserDeleted OrderCreated");
    judged = judge(GRANT_EVENTS, grants, "[]", "[\"UserDeleted:id\"]");
    assert_string_equal(judged.types, "UserDeleted OrderCreated");
    judged = judge(GRANT_EVENTS, "[]", NULL, NULL);
    assert_true(judged.may);
    assert_string_equal(judged.types, "");
    assert_false(judge(GRANT_EVENTS, NULL, "[\"OrderCreated\"]", NULL).may);
}

/* While a subscriber is upgraded, processes of both programs ask. */
static void two_programs_grants_hold_together(void **state)
{
    (void)state;
    static const char narrowed[] = "[\"events UserUpdated:id\", \"events UserUpdated\"]",
                      other[] = "[\"events UserUpdated:id\", \"events UserUpdated:name,a\"]";
    assert_true(judge(GRANT_EVENTS, narrowed, "[\"UserUpdated\"]", NULL).may);
    assert_true(judge(GRANT_EVENTS, narrowed, "[\"UserUpdated\"]", "[\"id\"]").may);
    assert_true(judge(GRANT_EVENTS, other, "[\"UserUpdated\"]", "[\"id\", \"a\"]").may);
    struct judged judged = judge(GRANT_EVENTS, other, "[\"UserUpdated\"]", NULL);
    assert_false(judged.may);
    assert_non_null(strstr(judged.why, "only id,name,a:"));
}

static void nobody_reads_in_anothers_name(void **state)
{
    (void)state;
    const struct event_grant grant = {"orders", NULL}, everything = {0};
    struct text why;
    text_init(&why, 4096);
    assert_true(grant_judge_name(&grant, "orders", &why));
    assert_true(grant_judge_name(&grant, NULL, &why));
    assert_true(grant_judge_name(&everything, "payments", &why));
    assert_true(grant_judge_name(NULL, "payments", &why));
    assert_true(grant_judge_name(&grant, "orders" SUBSCRIBERS_REBUILD, &why)); /* itself, beside */
    assert_int_equal(why.length, 0);
    assert_false(grant_judge_name(&grant, "payments" SUBSCRIBERS_REBUILD, &why));
    assert_false(grant_judge_name(&grant, SUBSCRIBERS_REBUILD, &why));
    assert_false(grant_judge_name(&grant, "orders~else", &why));
    assert_false(grant_judge_name(&grant, "orders" SUBSCRIBERS_REBUILD SUBSCRIBERS_REBUILD, &why));
    assert_false(grant_judge_name(NULL, SUBSCRIBERS_RELAY, &why)); /* its place is the relay's */
    assert_false(grant_judge_name(&grant, "order", &why));
    assert_non_null(strstr(why.data, "orders can't read as another one"));
    text_release(&why);
}

static void who_may_have_everything_gets_what_it_asks_for(void **state)
{
    (void)state;
    const struct event_grant everything = {0};
    const struct fields fields = {0};
    json_t *types = list_of("[\"UserUpdated\"]"), *send;
    assert_true(grant_judge(&everything, GRANT_EVENTS, types, &fields, &send, NULL));
    assert_true(json_equal(send, types));
    json_decref(send);
    assert_true(grant_judge(NULL, GRANT_EVENTS, NULL, &fields, &send, NULL));
    assert_null(send);
    json_decref(types);
}

static void a_grant_covers_narrower_ones(void **state)
{
    (void)state;
    json_t *grants = list_of("[\"GET /a\", 7, \"events A:id\", \"events A:name\", \"state B\"]");
    static const char *const covered[] = {"GET /a", "events A:id", "events A:name,id", "state B",
                                          "state B:id"};
    static const char *const not_covered[] = {"GET /b",      "events A", "events A:id,email",
                                              "events B",    "state A",  "events C:i",
                                              "undo GET /a", ""};
    for (size_t i = 0; i < sizeof covered / sizeof *covered; i++)
        assert_true(grant_covers(grants, covered[i]));
    for (size_t i = 0; i < sizeof not_covered / sizeof *not_covered; i++)
        assert_false(grant_covers(grants, not_covered[i]));
    json_decref(grants);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_subscriber_gets_what_it_was_granted),
        cmocka_unit_test(state_and_events_are_granted_apart),
        cmocka_unit_test(fields_of_a_version_are_granted_for_it_alone),
        cmocka_unit_test(without_types_it_gets_those_that_it_was_granted),
        cmocka_unit_test(two_programs_grants_hold_together),
        cmocka_unit_test(a_grant_covers_narrower_ones),
        cmocka_unit_test(nobody_reads_in_anothers_name),
        cmocka_unit_test(who_may_have_everything_gets_what_it_asks_for),
    };
    return cmocka_run_group_tests(tests, begin_json, NULL);
}
