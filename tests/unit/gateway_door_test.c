/* SPDX-License-Identifier: Apache-2.0 */
/* By which names the system is reached, what other sites' pages may do, and what a browser is told.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "gateway/door.h"

static struct door open_door(const char *text, bool secure)
{
    struct door door;
    struct fh_error error = {0};
    json_t *config = json_object(), *parsed;
    if (json_parse(text, strlen(text), &parsed, &error) != FH_OK)
        fail_msg("%s", error.message);
    json_object_set_new(config, "door", parsed);
    if (door_init(&door, config, secure, &error) != FH_OK)
        fail_msg("%s", error.message);
    json_decref(config);
    return door;
}

static void a_host_is_known_by_name_or_address(void **state)
{
    (void)state;
    static const struct {
        const char *door, *host;
        bool known;
    } cases[] = {
        {"{\"hosts\": [\"shop.example.org\"]}", "shop.example.org", true},
        {"{\"hosts\": [\"shop.example.org\"]}", "SHOP.example.org:8443", true},
        {"{\"hosts\": [\"shop.example.org\"]}", "shop.example.org.", true},
        {"{\"hosts\": [\"shop.example.org\"]}", "shop.example.org.evil.example.net", false},
        {"{\"hosts\": [\"shop.example.org\"]}", "evilshop.example.org", false},
        {"{\"hosts\": [\"shop.example.org\"]}", "127.0.0.1", false},
        {"{\"hosts\": [\"*.example.org\"]}", "a.b.example.org", true},
        {"{\"hosts\": [\"*.example.org\"]}", "example.org", false},
        {"{\"hosts\": [\"*.example.org\"]}", "evilexample.org", false},
        {"{\"hosts\": [\"2001:db8::7\"]}", "[2001:DB8::7]:80", true},
        {"{\"addresses\": \"loopback\"}", "127.0.0.1:8080", true},
        {"{\"addresses\": \"loopback\"}", "127.9.9.9", true},
        {"{\"addresses\": \"loopback\"}", "localhost:8080", true},
        {"{\"addresses\": \"loopback\"}", "shop.localhost", true},
        {"{\"addresses\": \"loopback\"}", "[::1]", true},
        {"{\"addresses\": \"loopback\"}", "192.0.2.7", false},
        {"{\"addresses\": \"loopback\"}", "127.0.0.1.evil.example.net", false},
        {"{\"addresses\": \"loopback\"}", "localhost.evil.example.net", false},
        {"{\"addresses\": \"any\"}", "192.0.2.7:80", true},
        {"{\"addresses\": \"any\"}", "evil.example.net", false},
        {"{\"addresses\": \"none\"}", "127.0.0.1", false},
        {"{\"addresses\": \"none\"}", "localhost", false},
        {"{}", "evil.example.net", true},
        {"{}", "", false},
        {"{}", ":80", false},
        {"{}", "a:b", false},
        {"{}", "a:123456", false},
        {"{}", "[::1", false},
        {"{}", "[::1]x", false},
        {"{}", "user@a", true}, /* any host is known; nothing is made of it */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct door door = open_door(cases[i].door, false);
        if (door_knows_host(&door, cases[i].host) != cases[i].known)
            fail_msg("%s: '%s' should %sbe known", cases[i].door, cases[i].host,
                     cases[i].known ? "" : "not ");
        door_release(&door);
    }
}

static void a_page_of_another_site_changes_nothing(void **state)
{
    (void)state;
    static const char origins[] =
        "{\"hosts\": [\"shop.example.org\"], \"origins\": [\"https://app.example.org\"]}";
    static const struct {
        struct door_request request;
        enum door_verdict verdict;
    } cases[] = {
        {{"POST", "shop.example.org", NULL, NULL, NULL}, DOOR_PASS}, /* no browser */
        {{"POST", "shop.example.org", "https://shop.example.org", "same-origin", NULL}, DOOR_PASS},
        {{"POST", "shop.example.org", "https://shop.example.org", NULL, NULL}, DOOR_PASS},
        {{"POST", "shop.example.org:8080", "http://shop.example.org:8080", NULL, NULL}, DOOR_PASS},
        {{"POST", "shop.example.org", NULL, "none", NULL}, DOOR_PASS},
        {{"POST", "shop.example.org", "https://app.example.org", "same-site", NULL}, DOOR_PASS},
        {{"POST", "shop.example.org", "https://evil.example.net", "cross-site", NULL},
         DOOR_CROSS_SITE},
        {{"POST", "shop.example.org", "https://evil.example.net", NULL, NULL}, DOOR_CROSS_SITE},
        {{"POST", "shop.example.org", NULL, "cross-site", NULL}, DOOR_CROSS_SITE},
        {{"POST", "shop.example.org", "https://blog.example.org", "same-site", NULL},
         DOOR_CROSS_SITE},
        {{"POST", "shop.example.org", "https://shop.example.org.evil.example.net", NULL, NULL},
         DOOR_CROSS_SITE},
        {{"POST", "shop.example.org", "null", NULL, NULL}, DOOR_CROSS_SITE},
        {{"DELETE", "shop.example.org", "null", "cross-site", NULL}, DOOR_CROSS_SITE},
        {{"PATCH", "shop.example.org", NULL, "SAME-ORIGIN", NULL}, DOOR_CROSS_SITE},
        {{"GET", "shop.example.org", "https://evil.example.net", "cross-site", NULL}, DOOR_PASS},
        {{"HEAD", "shop.example.org", NULL, "cross-site", NULL}, DOOR_PASS},
        {{"GET", "evil.example.net", NULL, NULL, NULL}, DOOR_HOST_UNKNOWN},
        {{"POST", "evil.example.net", "http://evil.example.net", "same-origin", NULL},
         DOOR_HOST_UNKNOWN}, /* a name that was bound to our address */
        {{"OPTIONS", "shop.example.org", "https://app.example.org", NULL, "PUT"}, DOOR_PREFLIGHT},
        {{"OPTIONS", "shop.example.org", "https://evil.example.net", NULL, "PUT"}, DOOR_PASS},
        {{"OPTIONS", "shop.example.org", "https://app.example.org", NULL, NULL}, DOOR_PASS},
    };
    struct door door = open_door(origins, false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum door_verdict verdict = door_judge(&door, &cases[i].request);
        if (verdict != cases[i].verdict)
            fail_msg("case %zu: %d instead of %d", i, verdict, cases[i].verdict);
    }
    door_release(&door);
}

static const char *added(const struct door *door, const char *origin, const char *name)
{
    static struct http_header headers[DOOR_HEADERS_MAX];
    size_t count = door_answer_headers(door, origin, NULL, 0, headers);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(headers[i].name, name) == 0)
            return headers[i].value;
    }
    return NULL;
}

static void answers_say_what_a_browser_may_do_with_them(void **state)
{
    (void)state;
    struct door plain = open_door("{}", false);
    assert_string_equal(added(&plain, NULL, "X-Content-Type-Options"), "nosniff");
    assert_non_null(added(&plain, NULL, "Content-Security-Policy"));
    assert_null(added(&plain, NULL, "Strict-Transport-Security"));
    assert_null(added(&plain, "https://app.example.org", "Access-Control-Allow-Origin"));
    assert_null(added(&plain, NULL, "Vary"));
    door_release(&plain);
    struct door open = open_door(
        "{\"origins\": [\"https://app.example.org\"], \"credentials\": true, \"hsts_s\": 60}",
        true);
    assert_string_equal(added(&open, NULL, "Strict-Transport-Security"), "max-age=60");
    assert_string_equal(added(&open, "https://app.example.org", "Access-Control-Allow-Origin"),
                        "https://app.example.org");
    assert_string_equal(added(&open, "https://app.example.org", "Access-Control-Allow-Credentials"),
                        "true");
    assert_null(added(&open, "https://evil.example.net", "Access-Control-Allow-Origin"));
    assert_string_equal(added(&open, "https://evil.example.net", "Vary"), "Origin");
    door_release(&open);
    struct door unsafe = open_door("{\"hsts_s\": 0}", true);
    assert_null(added(&unsafe, NULL, "Strict-Transport-Security"));
    door_release(&unsafe);
}

static void no_header_is_given_twice(void **state)
{
    (void)state;
    struct http_header headers[DOOR_HEADERS_MAX];
    const struct http_header own[] = {{"content-security-policy", "default-src 'self'"},
                                      {"X-Content-Type-Options", "nosniff"}};
    struct door door = open_door("{}", false);
    size_t all = door_answer_headers(&door, NULL, NULL, 0, headers);
    assert_int_equal(door_answer_headers(&door, NULL, own, 2, headers), all - 2);
    door_release(&door);
}

static void a_wrong_configuration_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"[]",
                                        "{\"hosts\": 1}",
                                        "{\"hosts\": [1]}",
                                        "{\"origins\": \"*\"}",
                                        "{\"addresses\": \"some\"}",
                                        "{\"addresses\": 1}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct door door;
        struct fh_error error = {0};
        json_t *config = json_object(), *parsed;
        assert_int_equal(json_parse(wrong[i], strlen(wrong[i]), &parsed, &error), FH_OK);
        json_object_set_new(config, "door", parsed);
        assert_int_equal(door_init(&door, config, false, &error), FH_INVALID);
        assert_non_null(strstr(error.message, "\"door\""));
        door_release(&door);
        json_decref(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_is_known_by_name_or_address),
        cmocka_unit_test(a_page_of_another_site_changes_nothing),
        cmocka_unit_test(answers_say_what_a_browser_may_do_with_them),
        cmocka_unit_test(no_header_is_given_twice),
        cmocka_unit_test(a_wrong_configuration_is_refused),
    };
    json_memory_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
