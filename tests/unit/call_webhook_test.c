/* SPDX-License-Identifier: Apache-2.0 */
/* Webhooks: the signatures of Standard Webhooks, which keys are taken, and where requests may go.
 * tests/scenario/test_notifications.py verifies signatures by the specification. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "../support/json.h"
#include "base/json.h"
#include "call/webhook.h"
#include "http/outside.h"

/* The specification's own example. */
#define SHARED "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
static const char body[] = "{\"test\": 2432232314}";
static const char signed_text[] = "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}";
#define SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
/* The seed 00 01 ... 1f. */
#define PRIVATE "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static struct webhook_keys *keys_of_text(const char *text)
{
    struct webhook_keys *keys = NULL;
    struct fh_error error;
    json_t *value = json_loads(text, 0, NULL);
    assert_non_null(value);
    if (webhook_keys_new(value, &keys, &error) != FH_OK)
        assert_non_null(strstr(error.message, "outside_keys"));
    json_decref(value);
    return keys;
}

static bool sign_for(const char *keys_text, const char *url, struct webhook_headers *ret)
{
    struct webhook_keys *keys = keys_of_text(keys_text);
    assert_non_null(keys);
    const struct webhook_message message = {.url = url,
                                            .id = "msg_p5jXN8AQM9LWM0D4loKWxJek",
                                            .body = body,
                                            .length = strlen(body),
                                            .at_s = 1614265330};
    bool is_signed = webhook_sign(keys, &message, ret);
    webhook_keys_free(keys);
    return is_signed;
}

static void the_specifications_example_is_signed_as_it_says(void **state)
{
    (void)state;
    struct webhook_headers headers;
    assert_true(sign_for("[{\"host\": \"a.example\", \"keys\": [\"" SHARED "\"]}]",
                         "https://a.example/hook", &headers));
    assert_string_equal(headers.timestamp, "1614265330");
    assert_string_equal(headers.signature, SIGNATURE);
}

static void each_key_of_the_host_signs(void **state)
{
    (void)state;
    struct webhook_headers headers;
    unsigned char seed[crypto_sign_SEEDBYTES], half[crypto_sign_PUBLICKEYBYTES],
        secret[crypto_sign_SECRETKEYBYTES], signature[crypto_sign_BYTES];
    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (unsigned char)i;
    crypto_sign_seed_keypair(half, secret, seed);
    assert_true(sign_for("[{\"host\": \"a.example\", \"keys\": [\"" SHARED "\", \"" PRIVATE
                         "\", \"whsec_bmV3IG5ldyBuZXcgbmV3IG5ldyBuZXcg\", \"" PRIVATE "\"]}]",
                         "https://a.example", &headers));
    assert_int_equal(strncmp(headers.signature, SIGNATURE " v1a,", strlen(SIGNATURE) + 5), 0);
    assert_non_null(strstr(headers.signature, " v1,"));
    const char *at = headers.signature + strlen(SIGNATURE) + 5;
    assert_int_equal(sodium_base642bin(signature, sizeof signature, at, strcspn(at, " "), NULL,
                                       NULL, NULL, sodium_base64_VARIANT_ORIGINAL),
                     0);
    assert_int_equal(crypto_sign_verify_detached(signature, (const unsigned char *)signed_text,
                                                 strlen(signed_text), half),
                     0);
}

static void a_host_without_keys_is_told_no_signature(void **state)
{
    (void)state;
    struct webhook_headers headers;
    static const char keys[] = "[{\"host\": \"a.example\", \"keys\": [\"" SHARED "\"]},"
                               " {\"host\": \"*.b.example\", \"keys\": [\"" PRIVATE "\"]}]";
    assert_false(sign_for(keys, "https://b.example/", &headers));
    assert_false(sign_for(keys, "https://a.example.org/", &headers));
    assert_false(sign_for(keys, "https://xa.example/", &headers));
    assert_true(sign_for(keys, "https://A.Example:8443/", &headers));
    assert_true(sign_for(keys, "https://x.b.example/?a.example", &headers));
    assert_int_equal(strncmp(headers.signature, "v1a,", 4), 0);
}

static void what_is_no_key_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "whsec_",
        "whsk_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_c2hvcnQ=",                                     /* 5 bytes */
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!",             /* no base64 */
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw ",            /* more than that */
        "whpk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",  /* a public half */
        "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==",  /* 31 bytes */
        "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8AAA" /* 64, but another public half */
        "ECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(webhook_key_kind(texts[i]), WEBHOOK_NO_KEY);
    assert_int_equal(webhook_key_kind(SHARED), WEBHOOK_SHARED);
    assert_int_equal(webhook_key_kind(PRIVATE), WEBHOOK_PRIVATE);
    assert_null(keys_of_text("[{\"host\": \"a\", \"keys\": []}]"));
    assert_null(keys_of_text("[{\"host\": \"A\", \"keys\": [\"" SHARED "\"]}]"));
    assert_null(keys_of_text("[{\"keys\": [\"" SHARED "\"]}]"));
    assert_null(keys_of_text("[{\"host\": \"a\", \"keys\": [\"" SHARED "\", 1]}]"));
}

static void an_id_names_one_message_and_has_no_full_stop(void **state)
{
    (void)state;
    char one[WEBHOOK_ID_SIZE], same[WEBHOOK_ID_SIZE], other[WEBHOOK_ID_SIZE];
    webhook_id_make("orders/00ff.7/post/0", one);
    webhook_id_make("orders/00ff.7/post/0", same);
    webhook_id_make("orders/00ff.7/post/1", other);
    assert_string_equal(one, same);
    assert_string_not_equal(one, other);
    assert_null(strpbrk(one, "./"));
}

static void assert_goes(const struct outside_rules *rules, const char *url, const char *refusal)
{
    const char *found = outside_refusal(rules, url);
    if (!refusal)
        assert_null(found);
    else
        assert_true(found && strstr(found, refusal));
}

static void hosts_and_https_are_kept_to(void **state)
{
    (void)state;
    json_t *hosts = json_loads(
        "[\"hooks.example.com\", \"*.partner.example\", \"192.0.2.7\", \"[2001:db8::1]\"]", 0,
        NULL);
    struct outside_rules any = {0}, plain = {.plain = true}, listed = {.hosts = hosts};
    assert_goes(&any, "https://anything.example/x", NULL);
    assert_goes(&any, "http://anything.example/x", "https alone");
    assert_goes(&plain, "http://anything.example/x", NULL);
    assert_goes(&any, "ftp://anything.example/x", "not an http");
    assert_goes(&listed, "https://hooks.example.com/x", NULL);
    assert_goes(&listed, "https://HOOKS.example.COM:8443", NULL);
    assert_goes(&listed, "https://%68ooks.example.com/", NULL); /* libcurl connects to it, too */
    assert_goes(&listed, "https://192.0.2.7/", NULL);
    assert_goes(&listed, "https://0xc0000207/", NULL); /* the same address */
    assert_goes(&listed, "https://[2001:db8::1]/", NULL);
    assert_goes(&listed, "https://x.y.partner.example/", NULL);
    static const char *const refused[] = {"https://example.com/",
                                          "https://hooks.example.com.evil.example/",
                                          "https://xhooks.example.com/",
                                          "https://partner.example/",
                                          "https://evilpartner.example/",
                                          "https://evil.example/hooks.example.com",
                                          "https://evil.example?hooks.example.com",
                                          "https://evil.example#hooks.example.com",
                                          "https://hooks.example.com@evil.example/",
                                          "https://hooks.example.com%2eevil.example/",
                                          "https://hooks.example.com./",
                                          "https://192.0.2.70/",
                                          "https://[2001:db8::2]/"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_goes(&listed, refused[i], "does not allow");
    json_decref(hosts);
    listed.hosts = hosts = json_array(); /* an empty list allows none */
    assert_goes(&listed, "https://hooks.example.com/x", "does not allow");
    json_decref(hosts);
}

static void patterns_are_hosts_in_lower_case(void **state)
{
    (void)state;
    static const char *const good[] = {"*", "a", "a.example", "*.example", "127.0.0.1", "[::1]"};
    static const char *const bad[] = {"",     "*a",  "a.*",  "*.",       "A.example",
                                      "a:80", "a/b", ".a",   "a.",       "a..b",
                                      "[",    "[]",  "[::1", "[::1]:80", "https://a",
                                      "-a",   "**",  "*.*",  "a b",      "\xc3\xa4.example"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(outside_is_pattern(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(outside_is_pattern(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_specifications_example_is_signed_as_it_says),
        cmocka_unit_test(each_key_of_the_host_signs),
        cmocka_unit_test(a_host_without_keys_is_told_no_signature),
        cmocka_unit_test(what_is_no_key_is_refused),
        cmocka_unit_test(an_id_names_one_message_and_has_no_full_stop),
        cmocka_unit_test(hosts_and_https_are_kept_to),
        cmocka_unit_test(patterns_are_hosts_in_lower_case),
    };
    return cmocka_run_group_tests(tests, begin_json, NULL);
}
