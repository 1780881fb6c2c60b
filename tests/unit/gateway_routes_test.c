/* SPDX-License-Identifier: Apache-2.0 */
/* Which route takes a request, and what the gateway hides. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "gateway/routes.h"

static const char config_text[] =
    "{\"peers\": {\"users\": \"127.0.0.1:1\", \"orders\": \"127.0.0.1:2\"}, \"services\": {"
    "\"users\": {\"routes\": ["
    " {\"method\": \"GET\", \"path\": \"/api/users/{id}\", \"audience\": \"public\"},"
    " {\"method\": \"DELETE\", \"path\": \"/api/users/{id}\", \"audience\": \"operators\"},"
    " {\"method\": \"GET\", \"path\": \"/api/users/all\", \"audience\": \"services\"},"
    " {\"method\": \"GET\", \"path\": \"/api/users/me\", \"audience\": \"public\", "
    "\"deadline_ms\": 500},"
    " {\"method\": \"PATCH\", \"path\": \"/api/users/{id}\", \"audience\": \"public\"},"
    " {\"method\": \"POST\", \"path\": \"/internal/users\"},"
    " {\"method\": \"GET\", \"path\": \"/{page}\", \"audience\": \"public\"}]},"
    "\"orders\": {\"routes\": ["
    " {\"method\": \"GET\", \"path\": \"/api/orders/{id:int}\", \"audience\": \"public\"}]}},"
    "\"compose\": [{\"path\": \"/api/orders/{id:int}/details\", \"parts\": ["
    " {\"name\": \"order\", \"get\": \"orders /api/orders/{id}\", \"required\": true}]}]}";

static json_t *parse(const char *text)
{
    json_t *value;
    struct fh_error error = {0};
    if (json_parse(text, strlen(text), &value, &error) != FH_OK)
        fail_msg("%s", error.message);
    return value;
}

static int set_up(void **state)
{
    static struct routes routes;
    json_t *config = parse(config_text);
    struct fh_error error = {0};
    if (routes_init(&routes, config, &error) != FH_OK)
        fail_msg("%s", error.message);
    json_decref(config);
    *state = &routes;
    return 0;
}

static int tear_down(void **state)
{
    routes_release(*state);
    return 0;
}

/* The pattern that takes it; "" for unknown; "405 METHODS". */
static void assert_takes(struct routes *routes, const char *method, const char *path,
                         const char *expected)
{
    const struct route *route = NULL;
    struct text seen;
    text_init(&seen, 1000);
    switch (routes_find(routes, method, path, &route, &seen)) {
    case ROUTES_FOUND:
        text_clear(&seen);
        text_add(&seen, route->pattern);
        break;
    case ROUTES_UNKNOWN:
        text_clear(&seen);
        text_add(&seen, "");
        break;
    case ROUTES_OTHER_METHOD:
        break;
    }
    assert_string_equal(seen.data, expected);
    text_release(&seen);
}

static void the_most_literal_pattern_wins(void **state)
{
    assert_takes(*state, "GET", "/api/users/7", "/api/users/{id}");
    assert_takes(*state, "GET", "/api/users/me", "/api/users/me");
    assert_takes(*state, "PATCH", "/api/users/me", "/api/users/{id}");
    assert_takes(*state, "GET", "/about", "/{page}");
    assert_takes(*state, "GET", "/api/orders/12", "/api/orders/{id:int}");
    assert_takes(*state, "GET", "/api/orders/12/details", "/api/orders/{id:int}/details");
    assert_takes(*state, "HEAD", "/api/orders/12", "/api/orders/{id:int}");
}

static void what_is_not_public_looks_like_what_does_not_exist(void **state)
{
    assert_takes(*state, "POST", "/internal/users", "");
    assert_takes(*state, "GET", "/internal/users", "");
    assert_takes(*state, "GET", "/nowhere/users", "");
    assert_takes(*state, "DELETE", "/api/users/7", "");
    assert_takes(*state, "GET", "/api/orders/abc", "");
    assert_takes(*state, "GET", "/api/orders/12/", "");
}

static void an_internal_route_is_not_reached_through_a_public_name(void **state)
{
    assert_takes(*state, "GET", "/api/users/all", "");
    assert_takes(*state, "HEAD", "/api/users/all", "");
}

static void another_method_is_answered_with_the_public_ones_only(void **state)
{
    assert_takes(*state, "PUT", "/api/users/7", "GET, PATCH");
    assert_takes(*state, "POST", "/api/orders/12/details", "GET");
}

static void an_encoded_slash_stays_within_its_segment(void **state)
{
    assert_takes(*state, "GET", "/api/users/a%2Fb", "/api/users/{id}");
    assert_takes(*state, "GET", "/api%2Fusers/a", "");
}

static void the_gateways_own_segments_are_reserved_however_written(void **state)
{
    (void)state;
    assert_true(routes_path_is_reserved("/_freehold/feed"));
    assert_true(routes_path_is_reserved("/%5ffreehold/feed"));
    assert_true(routes_path_is_reserved("/%5Ffree%68old"));
    assert_true(routes_path_is_reserved("/livez"));
    assert_true(routes_path_is_reserved("/metrics/x"));
    assert_false(routes_path_is_reserved("/livezz"));
    assert_false(routes_path_is_reserved("/api/metrics"));
    assert_false(routes_path_is_reserved("/"));
}

static void a_path_that_two_programs_could_read_differently_is_unsound(void **state)
{
    (void)state;
    assert_true(routes_path_is_sound("/api/users/a%2Fb;c=d,e@f:g"));
    assert_false(routes_path_is_sound("/internal#/api/users/7"));
    assert_false(routes_path_is_sound("/api/users/a b"));
    assert_false(routes_path_is_sound("/api/users/a\\b"));
    assert_false(routes_path_is_sound("/api/users/\xc3\xa4"));
    assert_true(routes_query_is_sound("a=1&b[]=%20\"x\""));
    assert_false(routes_query_is_sound("a=1#b"));
}

static void assert_refused(const char *text, const char *sentence)
{
    struct routes routes;
    json_t *config = parse(text);
    struct fh_error error = {0};
    assert_int_equal(routes_init(&routes, config, &error), FH_INVALID);
    if (!strstr(error.message, sentence))
        fail_msg("\"%s\" does not say \"%s\"", error.message, sentence);
    json_decref(config);
}

#define SERVICES(users, orders)                                                                    \
    "{\"peers\": {\"users\": \"a:1\", \"orders\": \"a:2\"},"                                       \
    "\"services\": {\"users\": {\"routes\": [" users "]}, \"orders\": {\"routes\": [" orders "]}}"
#define GET(path) "{\"method\": \"GET\", \"path\": \"" path "\", \"audience\": \"public\"}"
#define PART(get) "{\"name\": \"x\", \"get\": \"" get "\"}"

static void a_wrong_configuration_is_refused_with_a_sentence(void **state)
{
    (void)state;
    assert_refused("{}", "\"services\" must be an object");
    assert_refused("{\"services\": {\"users\": {}}}", "no address of the service \"users\"");
    assert_refused("{\"services\": {\"gateway\": {}}}", "No service can be named");
    assert_refused(SERVICES("{\"method\": \"GET\"}", "") "}", "route 1 has no method or path");
    assert_refused(SERVICES(GET("/_freehold/x"), "") "}", "cannot be public");
    assert_refused(SERVICES(GET("/a/{id}"), GET("/a/{key}")) "}",
                   "GET /a/{key} is offered twice, by users and by orders");
    assert_refused(SERVICES(GET("/a"), "") ", \"compose\": {}}", "must be a list");
    assert_refused(SERVICES(GET("/a"), "") ", \"compose\": [{\"path\": \"/b\", \"parts\": [" PART(
                       "stock /a") "]}]}",
                   "there is no service \"stock\"");
    assert_refused(SERVICES(GET("/a"), "") ", \"compose\": [{\"path\": \"/b\", \"parts\": [" PART(
                       "users /c") "]}]}",
                   "\"users\" has no public route GET /c");
    assert_refused(SERVICES(GET("/a"), "") ", \"compose\": [{\"path\": \"/a\", \"parts\": [" PART(
                       "users /a") "]}]}",
                   "offered twice, by users and by a composition");
}

int main(void)
{
    json_memory_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_most_literal_pattern_wins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_public_looks_like_what_does_not_exist, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_internal_route_is_not_reached_through_a_public_name,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_method_is_answered_with_the_public_ones_only,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_encoded_slash_stays_within_its_segment, set_up,
                                        tear_down),
        cmocka_unit_test(the_gateways_own_segments_are_reserved_however_written),
        cmocka_unit_test(a_path_that_two_programs_could_read_differently_is_unsound),
        cmocka_unit_test(a_wrong_configuration_is_refused_with_a_sentence),
    };
    return cmocka_run_group_tests_name("gateway_routes", tests, NULL, NULL);
}
