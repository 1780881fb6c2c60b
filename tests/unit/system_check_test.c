/* SPDX-License-Identifier: Apache-2.0 */
/* What programs expect of each other, checked on descriptions alone. */

#include "../support/values.h"

#include <stdlib.h>
#include <string.h>

#include "system/check/callers.h"
#include "system/check/check.h"

static const char users[] =
    "{'model': 'document', 'routes': ["
    " {'method': 'GET', 'path': '/users/{id:int}', 'audience': 'public', 'auth': 'anyone'},"
    " {'method': 'GET', 'path': '/users', 'audience': 'public', 'auth': 'anyone',"
    "  'query': {'properties': {'ids': {}}, 'additionalProperties': false}},"
    " {'method': 'GET', 'path': '/users/all', 'audience': 'operators'},"
    " {'method': 'POST', 'path': '/users/{id}/count', 'audience': 'services'},"
    " {'method': 'POST', 'path': '/users/{id}/add', 'audience': 'services', 'body':"
    "  {'type': 'object', 'additionalProperties': false, 'required': ['amount'], 'properties':"
    "  {'amount': {'type': 'integer'}, 'note': {'type': 'string'}, 'gift': {'type': 'boolean'},"
    "   'few': {'type': 'integer', 'maximum': 10}, 'none': {'type': 'integer', 'maximum': 0},"
    "   'owner': {'type': 'object', 'properties': {'name': {'type': 'integer'}}},"
    "   'tags': {'type': 'array', 'items': {'type': 'integer'}}}}},"
    " {'method': 'POST', 'path': '/users/{id}/take', 'audience': 'services', 'undo': true, 'body':"
    "  {'type': 'object', 'required': ['amount'], 'properties': {'amount': {'type': 'integer'}}}},"
    " {'method': 'POST', 'path': '/users/{id}/uncount', 'audience': 'services', 'undo': true}],"
    " 'publishes': ["
    "  {'type': 'UserUpdated', 'schema': {'properties': {'id': {}, 'name': {}}, "
    "'additionalProperties': false}},"
    "  {'type': 'UserMoved', 'version': 3, 'schema': {'type': 'object', 'additionalProperties': "
    "false,"
    "   'required': ['place'], 'properties': {'place': {'type': 'string'}}}, 'downcasts': [{'to': "
    "2,"
    "   'schema': {'type': 'object', 'additionalProperties': false, 'required': ['town'],"
    "   'properties': {'town': {'type': 'string'}}}}]},"
    "  {'type': 'UserGrew', 'schema': {'properties': {'id': {}}}}]}";

static struct system_file *system_of(const char *orders)
{
    struct system_file *file = calloc(1, sizeof *file);
    arena_init(&file->arena, ARENA_SIZE_MAX);
    file->path = file->name = "test";
    file->service_count = 2;
    file->services[0] = (struct system_service){
        .name = "users", .engine = "sqlite", .description = parsed_single_quoted(users)};
    file->services[1] = (struct system_service){
        .name = "orders", .engine = "sqlite", .description = parsed_single_quoted(orders)};
    return file;
}

/* `expected` is a part of the only finding; NULL: there is none. */
static void assert_finding(const char *orders, bool warning, const char *expected)
{
    struct findings findings = {0};
    json_memory_init();
    struct system_file *file = system_of(orders);
    check_system(file, &findings);
    if (expected) {
        assert_int_equal(findings.errors, warning ? 0 : 1);
        assert_int_equal(findings.warnings, warning ? 1 : 0);
        if (!strstr(findings.items[0].message, expected))
            assert_string_equal(findings.items[0].message, expected);
    } else {
        assert_int_equal(findings.errors + findings.warnings, 0);
    }
    findings_release(&findings);
    system_file_free(file);
}

#define ASKS(path) "{'model': 'document', 'asks': [{'service': 'users', 'path': '" path "'}]}"
#define SUBSCRIBES(type, fields)                                                                   \
    "{'model': 'document', 'hears': [{'service': 'users', 'type': '" type "', 'fields': " fields   \
    "}]}"
#define SAGA(steps) "{'model': 'document', 'sagas': [{'name': 's', 'steps': [" steps "]}]}"
#define COUNT "'call': 'users POST /users/{id}/count'"
#define UNCOUNT "'undo': 'users POST /users/{id}/uncount'"

static void queries_are_served_by_a_route_that_services_may_use(void **state)
{
    (void)state;
    assert_finding(ASKS("/users/{user_id}"), false, NULL);
    assert_finding(ASKS("/users?ids={ids}"), false, NULL);
    assert_finding(ASKS("/users?id={ids}"), false,
                   "sends the query parameter 'id', which GET /users");
    assert_finding(ASKS("/users/{user_id}?full={full}"), false, "query parameter 'full'");
    assert_finding(ASKS("/users/all"), false, "for operators only");
    assert_finding(ASKS("/users/{id}/count"), false, "serves that path with other methods");
    assert_finding(ASKS("/user/{id}"), false, "which users does not serve");
}

static void what_was_taken_over_no_saga_changes_where_it_was(void **state)
{
    (void)state;
#define TAKES(path, step)                                                                          \
    "{'model': 'document', 'takes_over': [{'service': 'users', 'path': '" path                     \
    "', 'step': 'count'}], 'sagas': [{'name': 's', 'steps': [{'name': '" step "', " COUNT          \
    ", 'pivot': true}]}]}"
    assert_finding(TAKES("/users", "other"), false, NULL);
    assert_finding(TAKES("/user", "other"), false, "which users does not serve");
    assert_finding(TAKES("/users", "count"), false,
                   "takes over the step count from users, but saga s still sends it to users");
}

/* Users publish UserMoved in version 3, and make version 2 of it for who asks. */
static void versions_of_publishers_and_subscribers_meet(void **state)
{
    (void)state;
#define PLAIN(field, type)                                                                         \
    "{'type': 'object', 'additionalProperties': false, 'required': ['" field                       \
    "'], 'properties': {'" field "': {'type': '" type "'}}}"
#define READS(version, more)                                                                       \
    "{'model': 'document', 'hears': [{'service': 'users', 'type': 'UserMoved', "                   \
    "'version': " version more "}]}"
#define UPCAST(from, shape, into)                                                                  \
    ", 'upcasts': [{'from': " from ", 'schema': " shape ", 'into': " into "}]"
    assert_finding("{'model': 'document', 'hears': [{'service': 'users', 'type': 'UserMoved'}]}",
                   false, NULL);
    assert_finding(READS("3", ""), false, NULL);
    assert_finding(READS("2", ""), false, NULL);
    assert_finding(READS("3", ", 'fields': 'place'"), false, NULL);
    assert_finding(READS("2", ", 'fields': 'town'"), false, NULL);
    assert_finding(READS("2", ", 'fields': 'place'"), false, "wants the field 'place'");
    assert_finding(READS("1", ""), false,
                   "users publishes UserMoved in version 3, and orders reads version 1: give users "
                   "a downcast to version 1, or have orders read version 3");
    assert_finding(READS("4", ""), false,
                   "users publishes UserMoved in version 3, and orders reads version 4: give "
                   "orders an upcast from version 3");
}

static void casts_expect_what_is_published(void **state)
{
    (void)state;
    assert_finding(READS("4", UPCAST("3", PLAIN("place", "string"), PLAIN("here", "string"))),
                   false, NULL);
    assert_finding(READS("4", UPCAST("3", PLAIN("place", "integer"), PLAIN("here", "string"))),
                   false,
                   "expects another version 3 of UserMoved than users publishes: \"/place\"");
    assert_finding(READS("3", UPCAST("2", PLAIN("town", "string"), PLAIN("place", "string"))),
                   false, NULL);
    assert_finding(READS("3", UPCAST("2", PLAIN("city", "string"), PLAIN("place", "string"))),
                   false, "expects another version 2 of UserMoved than users publishes");
    assert_finding(READS("3", UPCAST("2", PLAIN("town", "string"), PLAIN("spot", "string"))), false,
                   "expects another version 3 of UserMoved than users publishes");
}

static void an_events_key_is_a_field_that_can_be_one(void **state)
{
    (void)state;
#define KEYED(key)                                                                                 \
    "{'model': 'document', 'publishes': [{'type': 'Changed', 'version': 1, 'key': '" key           \
    "', 'schema': {'type': 'object', 'additionalProperties': false, 'properties':"                 \
    " {'id': {'type': 'integer'}, 'name': {'type': 'string'}, 'open': {'type': 'boolean'},"        \
    " 'note': {'type': 'string'}, 'code': {'type': ['string', 'null']},"                           \
    " 'owner': {'type': 'object', 'additionalProperties': false, 'required': ['id'],"              \
    " 'properties': {'id': {'type': 'integer'}, 'town': {'type': 'string'}}}},"                    \
    " 'required': ['id', 'name', 'open', 'code', 'owner']}}]}"
    assert_finding(KEYED("id"), false, NULL);
    assert_finding(KEYED("name"), false, NULL);
    assert_finding(KEYED("owner.id"), false, NULL);
    assert_finding(KEYED("owner.town"), true, "by the key 'owner.town', and without it no event");
    assert_finding(KEYED("owner.name"), false, "which is no field of it");
    assert_finding(KEYED("note"), true, "but it may be absent: say in its shape that it is there");
    assert_finding(KEYED("code"), true, "but it may be null: say in its shape that it is not");
    assert_finding(KEYED("nmae"), false, "by the key 'nmae', which is no field of it");
    assert_finding(KEYED("open"), false, "by the key 'open', which is no integer or text");
}

static void subscribed_events_are_published_with_the_fields_wanted(void **state)
{
    (void)state;
    assert_finding(SUBSCRIBES("UserUpdated", "null"), false, NULL);
    assert_finding(SUBSCRIBES("UserUpdated", "'id,name'"), false, NULL);
    assert_finding(SUBSCRIBES("UserUpdated", "'id,names'"), false, "did you mean 'name'?");
    assert_finding(SUBSCRIBES("UserGrew", "'id,anything'"), false, NULL);
    assert_finding(SUBSCRIBES("UserCreated", "null"), false, "which users does not publish");
}

static void steps_before_the_pivot_can_be_undone_where_they_were_done(void **state)
{
    (void)state;
    assert_finding(SAGA("{'name': 'a', " COUNT ", " UNCOUNT "}, {'name': 'b', " COUNT
                        ", 'pivot': true}, {'name': 'c', " COUNT "}"),
                   false, NULL);
    assert_finding(SAGA("{'name': 'a', " COUNT "}, {'name': 'b', " COUNT ", 'pivot': true}"), false,
                   "step a comes before the pivot and cannot be undone");
    assert_finding(SAGA("{'name': 'a', " COUNT ", 'undo': 'users POST /users/{id}/count'},"
                        " {'name': 'b', " COUNT ", 'pivot': true}"),
                   false, "undoes nothing");
    assert_finding(SAGA("{'name': 'a', " COUNT ", " UNCOUNT "}"), true, "has no pivot");
    assert_finding(SAGA("{'name': 'a', 'run': true}"), false, NULL);
    assert_finding(
        SAGA("{'name': 'a', " COUNT ", 'pivot': true}, {'name': 'b', " COUNT ", 'pivot': true}"),
        false, "has 2 pivots");
    assert_finding(SAGA("{'name': 'a', 'call': 'users /users/{id}/count', 'pivot': true}"), false,
                   "is not written SERVICE METHOD /path");
    assert_finding(SAGA("{'name': 'a', 'call': 'users GET /users/{id}', 'pivot': true}"), false,
                   "is a GET, which changes nothing");
    assert_finding(SAGA("{'name': 'a', 'call': 'usres POST /users/{id}/count', 'pivot': true}"),
                   false,
                   "needs the service 'usres', which the system has not; did you mean 'users'");
}

static void what_a_step_sends_can_be_what_its_receiver_takes(void **state)
{
    (void)state;
#define SENDS(input, step)                                                                         \
    "{'model': 'document', 'sagas': [{'name': 's', " input                                         \
    " 'steps': [{'name': 'a', 'pivot': true, " step "}]}]}"
#define INPUT                                                                                      \
    "'input': {'type': 'object', 'additionalProperties': false, 'required': ['id', 'lines'],"      \
    " 'properties': {'id': {'type': 'integer', 'minimum': 1}, 'note': {'type': 'string'},"         \
    " 'gift': {'type': ['boolean', 'null']}, 'owner': {'type': 'object', 'required': ['name'],"    \
    " 'properties': {'name': {'type': 'string'}, 'age': {'type': 'integer'}},"                     \
    " 'additionalProperties': false}, 'any': {}, 'tags': {'type': 'array', 'minItems': 1,"         \
    " 'items': {'type': 'string'}}, 'lines': {'type': 'array', 'items': {'type': 'object',"        \
    " 'additionalProperties': false, 'required': ['amount'],"                                      \
    " 'properties': {'amount': {'type': 'integer'}, 'id': {'type': 'string'}}}}}},"
#define ADD "'call': 'users POST /users/{id}/add', 'body': "
    assert_finding(SENDS("", ADD "'amount=x'"), false, NULL);
    assert_finding(
        SENDS("", ADD "'amount=x,note,words'"), false,
        "a sends 'words' to POST /users/{id}/add of users, whose body has no such field");
    assert_finding(SENDS("", ADD "'note'"), false,
                   "does not send 'amount', which the body of POST /users/{id}/add of users needs");
    assert_finding(SENDS("", "'call': 'users POST /users/{id}/add'"), false,
                   "sends no body to POST /users/{id}/add of users, which needs one");
    assert_finding(SENDS("", "'call': 'users POST /users/{id}/count', 'body': 'id'"), false,
                   "sends a body to POST /users/{id}/count of users, which takes none");
    assert_finding(SENDS(INPUT, ADD "'amount=id'"), false, NULL);
    assert_finding(SENDS(INPUT, ADD "'amount=any'"), false, NULL);
    assert_finding(SENDS(INPUT, ADD "'amount=id,gift'"), false, NULL);
    assert_finding(SENDS(INPUT, ADD "'amount=idd'"), false,
                   "takes 'idd' for its body, which the saga's input never has; did you mean 'id'");
    assert_finding(SENDS(INPUT, ADD "'amount=note'"), false,
                   "sends 'note' of the saga's input to POST /users/{id}/add of users, which can't "
                   "take it: \"/amount\" is a string, and an integer is expected");
    assert_finding(SENDS(INPUT, ADD "'amount=owner.age'"), false, NULL);
    assert_finding(SENDS(INPUT, ADD "'amount=owner.name'"), false, "\"/amount\" is a string");
    assert_finding(SENDS(INPUT, ADD "'amount=owner.town'"), false, "takes 'owner.town'");
    assert_finding(SENDS(INPUT, ADD "'amount=id,few=id'"), false, NULL);
    assert_finding(SENDS(INPUT, ADD "'amount=id,none=id'"), false,
                   "\"/none\" has a value of at least 1, and at most 0 is expected");
    assert_finding(SENDS(INPUT, ADD "'amount=id,owner'"), false,
                   "\"/owner/name\" is a string, and an integer is expected");
    assert_finding(SENDS(INPUT, ADD "'amount=id,tags'"), false,
                   "\"/tags/0\" is a string, and an integer is expected");
    assert_finding(SENDS(INPUT, "'each': 'lines', " ADD "'amount'"), false, NULL);
    assert_finding(SENDS(INPUT, "'each': 'lines', " ADD "'amount,note'"), false, NULL);
    /* The element may have it, or the input does: one of them fits. */
    assert_finding(SENDS(INPUT, "'each': 'lines', " ADD "'amount=id'"), false, NULL);
    assert_finding(SENDS(INPUT, "'each': 'tags', " ADD "'amount=element'"), false,
                   "\"/amount\" is a string");
    assert_finding(SENDS(INPUT, "'each': 'line', " ADD "'amount=id'"), false,
                   "takes 'line' for its each, which the saga's input never has");
    assert_finding(SENDS(INPUT, "'each': 'id', " ADD "'amount=id'"), false,
                   "is for each of 'id', which is no array in the saga's input");
    assert_finding(SENDS(INPUT, "'call': 'users POST /users/{ids}/count'"), false,
                   "takes 'ids' for its path, which the saga's input never has");
    assert_finding(SENDS(INPUT, "'outside': 'url'"), false, "takes 'url' for its URL");
    assert_finding(SENDS(INPUT, "'outside': 'id'"), false, "goes to the URL in 'id'");
    assert_finding(SENDS(INPUT, "'outside': 'note'"), false, NULL);
    assert_finding(SENDS(INPUT, ADD "'amount=id', 'undo': 'users POST /users/{id}/uncount'"), false,
                   NULL);
    assert_finding(SENDS(INPUT, "'call': 'users POST /users/{id}/count', "
                                "'undo': 'users POST /users/{id}/take'"),
                   false, "sends no body to POST /users/{id}/take of users");
}

/* Which of `orders` and the gateway may call what of users, when users.callers is `callers`. */
static json_t *users_callers(const char *orders, const char *const *callers, size_t count)
{
    json_memory_init();
    struct system_file *file = system_of(orders);
    struct system_service *service = &file->services[0];
    service->callers_restricted = callers != NULL;
    for (size_t i = 0; i < count; i++)
        service->callers[service->caller_count++] = (struct system_caller){.name = callers[i]};
    json_t *matrix = callers_matrix(file);
    json_t *mine = json_incref(json_object_get(matrix, "users"));
    json_decref(matrix);
    system_file_free(file);
    return mine;
}

static void assert_callers(json_t *callers, const char *expected)
{
    json_t *wanted = parsed_single_quoted(expected);
    if (!json_equal(callers, wanted))
        fail_msg("%s", json_text(callers));
    json_decref(wanted);
    json_decref(callers);
}

static void what_is_declared_is_granted_and_nothing_else(void **state)
{
    (void)state;
    static const char *const gateway[] = {"gateway"}, *const orders[] = {"orders"};
    assert_callers(users_callers("{'model': 'document'}", NULL, 0),
                   "{'gateway': ['public'], 'operator': ['*']}");
    assert_callers(users_callers(ASKS("/users/{user_id}"), NULL, 0),
                   "{'gateway': ['public'], 'operator': ['*'], 'orders': ['GET /users/{id:int}']}");
    assert_callers(users_callers(SUBSCRIBES("UserUpdated", "null"), NULL, 0),
                   "{'gateway': ['public'], 'operator': ['*'], 'orders': ['GET /_freehold/feed',"
                   " 'events UserUpdated']}");
    assert_callers(users_callers(SUBSCRIBES("UserUpdated", "'id, name'"), NULL, 0),
                   "{'gateway': ['public'], 'operator': ['*'], 'orders': ['GET /_freehold/feed',"
                   " 'events UserUpdated:id,name']}");
    assert_callers(users_callers("{'model': 'document', 'hears': [{'service': 'users', 'type': "
                                 "'UserUpdated', 'fields': 'id', 'snapshot': true}]}",
                                 NULL, 0),
                   "{'gateway': ['public'], 'operator': ['*'], 'orders': ['GET /_freehold/feed',"
                   " 'events UserUpdated:id', 'GET /_freehold/snapshot', 'state UserUpdated:id']}");
    assert_callers(
        users_callers(SAGA("{'name': 'a', " COUNT ", " UNCOUNT "}, {'name': 'b', " COUNT "}"), NULL,
                      0),
        "{'gateway': ['public'], 'operator': ['*'], 'orders': ['POST /users/{id}/count',"
        " 'POST /_freehold/closed', 'undo POST /users/{id}/uncount']}");
    assert_callers(users_callers(ASKS("/nowhere"), NULL, 0),
                   "{'gateway': ['public'], 'operator': ['*']}");
    assert_callers(users_callers(ASKS("/users/{user_id}"), gateway, 1),
                   "{'gateway': ['public'], 'operator': ['*']}");
    assert_callers(users_callers(ASKS("/users/{user_id}"), orders, 1),
                   "{'operator': ['*'], 'orders': ['GET /users/{id:int}']}");
}

static void what_the_gateway_would_refuse_is_refused_here(void **state)
{
    (void)state;
    assert_finding("{'model': 'document', 'routes': [{'method': 'GET', 'path': '/users/{name:int}',"
                   " 'audience': 'public', 'auth': 'anyone'}]}",
                   false, "the gateway: GET /users/{name:int} is offered twice");
    assert_finding("{'model': 'document', 'routes': [{'method': 'GET', 'path': '/users/{name:int}',"
                   " 'audience': 'services'}]}",
                   false, NULL);
}

static void routes_for_users_are_warned_about_where_nobody_can_log_in(void **state)
{
    (void)state;
#define FOR_USERS                                                                                  \
    "{'model': 'document', 'routes': [{'method': 'GET', 'path': '/orders', 'audience': 'public',"  \
    " 'auth': 'user scope:read'}]}"
    assert_finding(FOR_USERS, true, "such as GET /orders, and nobody can log in");
    struct findings findings = {0};
    struct system_file *file = system_of(FOR_USERS);
    file->auth = json_pack("{s:s}", "keys", "keys.json");
    check_system(file, &findings);
    assert_int_equal(findings.errors + findings.warnings, 0);
    findings_release(&findings);
    system_file_free(file);
}

static void a_relational_service_without_migrations_is_warned_about(void **state)
{
    (void)state;
    assert_finding("{'model': 'relational'}", true, "has no migrations");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_are_served_by_a_route_that_services_may_use),
        cmocka_unit_test(what_was_taken_over_no_saga_changes_where_it_was),
        cmocka_unit_test(an_events_key_is_a_field_that_can_be_one),
        cmocka_unit_test(versions_of_publishers_and_subscribers_meet),
        cmocka_unit_test(casts_expect_what_is_published),
        cmocka_unit_test(subscribed_events_are_published_with_the_fields_wanted),
        cmocka_unit_test(steps_before_the_pivot_can_be_undone_where_they_were_done),
        cmocka_unit_test(what_a_step_sends_can_be_what_its_receiver_takes),
        cmocka_unit_test(what_is_declared_is_granted_and_nothing_else),
        cmocka_unit_test(what_the_gateway_would_refuse_is_refused_here),
        cmocka_unit_test(routes_for_users_are_warned_about_where_nobody_can_log_in),
        cmocka_unit_test(a_relational_service_without_migrations_is_warned_about),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
