/* SPDX-License-Identifier: Apache-2.0 */
/* How links to a store's server must be secured, by its configuration. What servers do then:
 * tests/scenario/test_store_tls.py. */

#include "../support/harness.h"

#include <string.h>

#include "base/json.h"
#include "store/tls_openssl.h"

static struct store_tls read_tls(const char *text)
{
    struct store_tls tls;
    struct fh_error error;
    json_t *server;
    assert_int_equal(json_parse(text, strlen(text), &server, &error), FH_OK);
    assert_int_equal(store_tls_read(server, &tls, &error), FH_OK);
    json_decref(server);
    return tls;
}

static void assert_refused(const char *text, const char *words)
{
    struct store_tls tls;
    struct fh_error error;
    json_t *server;
    assert_int_equal(json_parse(text, strlen(text), &server, &error), FH_OK);
    assert_int_equal(store_tls_read(server, &tls, &error), FH_INVALID);
    assert_non_null(strstr(error.message, words));
    json_decref(server);
}

static void beyond_this_machine_links_are_by_tls_unless_it_is_taken_away(void **state)
{
    (void)state;
    static const char *const here[] = {"127.0.0.1", "127.8.9.1", "localhost", "::1",
                                       "/run/sockets"};
    static const char *const beyond[] = {"db",         "db.example.org",        "10.0.0.7",
                                         "1127.0.0.1", "localhost.example.org", "::2"};
    char text[128];
    for (size_t i = 0; i < sizeof here / sizeof here[0]; i++) {
        snprintf(text, sizeof text, "{\"host\": \"%s\"}", here[i]);
        assert_false(read_tls(text).verify);
    }
    for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
        snprintf(text, sizeof text, "{\"host\": \"%s\"}", beyond[i]);
        assert_true(read_tls(text).verify);
        assert_string_equal(read_tls(text).ca, STORE_TLS_CA);
    }
    assert_false(read_tls("{\"host\": \"db\", \"tls\": {\"mode\": \"off\"}}").verify);
    assert_true(read_tls("{\"host\": \"db\", \"tls\": {\"ca\": \"/ca.pem\"}}").verify);
    assert_true(read_tls("{\"host\": \"127.0.0.1\", \"tls\": {\"mode\": \"verify\"}}").verify);
}

/* A replica may be elsewhere than its primary. */
static void what_is_not_given_is_filled_in_for_each_host(void **state)
{
    (void)state;
    json_t *here = store_tls_json(NULL, "127.0.0.1"), *beyond = store_tls_json(NULL, "db2");
    json_t *off = json_pack("{s:s}", "mode", "off"), *said = store_tls_json(off, "db2");
    assert_string_equal(json_string_at(here, "mode"), "off");
    assert_string_equal(json_string_at(beyond, "mode"), "verify");
    assert_string_equal(json_string_at(beyond, "ca"), STORE_TLS_CA);
    assert_true(json_equal(said, off));
    json_decref(here);
    json_decref(beyond);
    json_decref(said);
    json_decref(off);
}

static void files_are_taken_as_they_are_named(void **state)
{
    (void)state;
    struct store_tls tls =
        read_tls("{\"host\": \"db\", \"tls\": {\"mode\": \"verify\", \"ca\": \"/a/ca.pem\","
                 " \"certificate\": \"/a/own.pem\", \"key\": \"/a/own.key\"}}");
    assert_string_equal(tls.ca, "/a/ca.pem");
    assert_string_equal(tls.certificate, "/a/own.pem");
    assert_string_equal(tls.key, "/a/own.key");
}

static void what_can_not_be_is_named(void **state)
{
    (void)state;
    assert_refused("{\"host\": \"db\", \"tls\": {\"mode\": \"require\"}}", "is \"require\"");
    assert_refused("{\"host\": \"db\", \"tls\": {\"certificate\": \"/a.pem\"}}", "go together");
    assert_refused("{\"host\": \"db\", \"tls\": {\"key\": \"/a.key\"}}", "go together");
}

static void a_failure_that_is_not_of_tls_is_left_to_the_engine(void **state)
{
    (void)state;
    static const struct store_tls_words known[] = {STORE_TLS_OPENSSL_WORDS,
                                                   {NULL, STORE_TLS_UNKNOWN}};
    struct fh_error error = {0};
    enum store_tls_fault none = store_tls_said(known, "Connection refused");
    enum store_tls_fault expired = store_tls_said(known, "TLS/SSL error: certificate has expired");
    assert_false(store_tls_failed("db", none, &error));
    assert_false(store_tls_is_failure(&error));
    assert_true(store_tls_failed("db", expired, &error));
    assert_true(store_tls_is_failure(&error));
    assert_int_equal(error.code, FH_UNAVAILABLE);
    assert_non_null(strstr(error.message, "the store's server db has expired"));
}

int main(void)
{
    json_memory_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beyond_this_machine_links_are_by_tls_unless_it_is_taken_away),
        cmocka_unit_test(what_is_not_given_is_filled_in_for_each_host),
        cmocka_unit_test(files_are_taken_as_they_are_named),
        cmocka_unit_test(what_can_not_be_is_named),
        cmocka_unit_test(a_failure_that_is_not_of_tls_is_left_to_the_engine),
    };
    return cmocka_run_group_tests_name("store_tls", tests, NULL, NULL);
}
