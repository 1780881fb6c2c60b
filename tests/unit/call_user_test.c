/* SPDX-License-Identifier: Apache-2.0 */
/* Statements of users: what is proved by one, and all that is refused. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "call/user.h"

static const char seed[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
static const char other_seed[] = "100102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

static const char ada[] =
    "{\"sub\":\"ada\",\"iss\":\"https://id.example\",\"via\":\"jwt\",\"scopes\":[\"stock:read\"],"
    "\"roles\":[\"staff\"],\"claims\":{\"name\":\"Ada\"},\"iat\":1700000000,\"exp\":1700000300}";

static json_t *parsed(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    assert_non_null(value);
    return value;
}

static void sign_as(const char *system, const char *key, const char *identity,
                    char ret[static USER_STATEMENT_SIZE])
{
    struct user_signer *signer;
    struct fh_error error;
    json_t *value = parsed(identity);
    assert_int_equal(user_signer_new(system, key, &signer, &error), FH_OK);
    assert_int_equal(user_sign(signer, value, ret, &error), FH_OK);
    user_signer_free(signer);
    json_decref(value);
}

static struct user_verifier *verifier_of(const char *system)
{
    char half[USER_KEY_TEXT_SIZE];
    struct user_verifier *verifier;
    struct fh_error error;
    assert_true(user_key_public(seed, half));
    assert_int_equal(user_verifier_new(system, half, &verifier, &error), FH_OK);
    return verifier;
}

static bool is_believed(const char *statement)
{
    const char *why = NULL;
    struct user_verifier *verifier = verifier_of("shop");
    struct work_user *user = user_verify(verifier, statement, &why);
    bool believed = user != NULL;
    assert_true(believed || strlen(why) > 10);
    user_unref(user);
    user_verifier_free(verifier);
    return believed;
}

static void a_statement_tells_who_it_is(void **state)
{
    (void)state;
    char statement[USER_STATEMENT_SIZE];
    const char *why;
    struct user_verifier *verifier = verifier_of("shop");
    sign_as("shop", seed, ada, statement);
    struct work_user *first = user_verify(verifier, statement, &why);
    assert_non_null(first);
    assert_string_equal(first->shown.subject, "ada");
    assert_string_equal(first->shown.issuer, "https://id.example");
    assert_string_equal(first->shown.via, "jwt");
    assert_int_equal(first->shown.stated_s, 1700000000);
    assert_string_equal(first->statement, statement);
    assert_string_equal(json_string_at(first->identity, "claims.name"), "Ada");
    struct work_user *second = user_verify(verifier, statement, &why);
    assert_ptr_equal(first, second); /* remembered */
    user_verifier_free(verifier);
    assert_string_equal(second->shown.subject, "ada"); /* outlives what remembered it */
    user_unref(first);
    user_unref(second);
}

/* Made by another implementation of Ed25519. */
static void the_form_is_the_documented_one(void **state)
{
    (void)state;
    char statement[USER_STATEMENT_SIZE];
    sign_as("shop", seed, "{\"sub\":\"ada\",\"via\":\"key\",\"iat\":1}", statement);
    assert_string_equal(
        statement,
        "1.eyJzdWIiOiJhZGEiLCJ2aWEiOiJrZXkiLCJpYXQiOjF9."
        "7R8JE0NBGJFKhePEmT9S6jZqKKnqkS7QKLhkK9mMn-bOuYC0BwokiECcVU6zvqTgYx_BFrHuYpbV2o_U6ckvBw");
}

static void every_changed_byte_is_refused(void **state)
{
    (void)state;
    char statement[USER_STATEMENT_SIZE];
    sign_as("shop", seed, ada, statement);
    assert_true(is_believed(statement));
    for (size_t i = 0; statement[i]; i++) {
        statement[i] = (char)(statement[i] ^ 1);
        assert_false(is_believed(statement));
        statement[i] = (char)(statement[i] ^ 1);
    }
}

static void what_others_signed_is_refused(void **state)
{
    (void)state;
    char statement[USER_STATEMENT_SIZE];
    sign_as("shop", other_seed, ada, statement);
    assert_false(is_believed(statement));
    sign_as("another", seed, ada, statement); /* a copied key */
    assert_false(is_believed(statement));
}

static void what_is_no_statement_is_refused(void **state)
{
    (void)state;
    char good[USER_STATEMENT_SIZE], text[2 * USER_STATEMENT_SIZE];
    sign_as("shop", seed, ada, good);
    static const char *const wrong[] = {"",    ".",      "..",        "1",         "1.",
                                        "1..", "1.e30.", "2.e30.e30", "1.e30.AAAA"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(is_believed(wrong[i]));
    snprintf(text, sizeof text, "%s=", good);
    assert_false(is_believed(text));
    snprintf(text, sizeof text, " %s", good);
    assert_false(is_believed(text));
    snprintf(text, sizeof text, "%s.%s", good, good);
    assert_false(is_believed(text));
    memset(text, 'A', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    memcpy(text, "1.", 2);
    assert_false(is_believed(text));
}

static void an_identity_of_another_form_is_not_signed(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "[]",
        "{}",
        "{\"sub\":\"ada\",\"via\":\"key\"}",
        "{\"sub\":\"ada\",\"iat\":1}",
        "{\"via\":\"key\",\"iat\":1}",
        "{\"sub\":\"\",\"via\":\"key\",\"iat\":1}",
        "{\"sub\":7,\"via\":\"key\",\"iat\":1}",
        "{\"sub\":\"a\\nb\",\"via\":\"key\",\"iat\":1}",
        "{\"sub\":\"ada\",\"via\":\"magic\",\"iat\":1}",
        "{\"sub\":\"ada\",\"via\":\"key\",\"iat\":0}",
        "{\"sub\":\"ada\",\"via\":\"key\",\"iat\":1.5}",
        "{\"sub\":\"ada\",\"via\":\"key\",\"iat\":1,\"exp\":\"1\"}",
        "{\"sub\":\"ada\",\"via\":\"key\",\"iat\":1,\"iss\":\"\"}",
        "{\"sub\":\"ada\",\"via\":\"key\",\"iat\":1,\"scopes\":\"a\"}",
        "{\"sub\":\"ada\",\"via\":\"key\",\"iat\":1,\"scopes\":[\"a b\"]}",
        "{\"sub\":\"ada\",\"via\":\"key\",\"iat\":1,\"scopes\":[\"\"]}",
        "{\"sub\":\"ada\",\"via\":\"key\",\"iat\":1,\"roles\":[1]}",
        "{\"sub\":\"ada\",\"via\":\"key\",\"iat\":1,\"claims\":[]}",
        "{\"sub\":\"ada\",\"via\":\"key\",\"iat\":1,\"admin\":true}"};
    char statement[USER_STATEMENT_SIZE];
    struct user_signer *signer;
    struct fh_error error;
    assert_int_equal(user_signer_new("shop", seed, &signer, &error), FH_OK);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        json_t *identity = parsed(wrong[i]);
        assert_int_equal(user_sign(signer, identity, statement, &error), FH_INVALID);
        json_decref(identity);
    }
    user_signer_free(signer);
}

/* What just fits passes both sides; one byte more does not. */
static void a_statement_is_bounded(void **state)
{
    (void)state;
    char statement[USER_STATEMENT_SIZE], filler[USER_STATEMENT_SIZE];
    size_t fitting = 0;
    struct user_signer *signer;
    struct fh_error error;
    assert_int_equal(user_signer_new("shop", seed, &signer, &error), FH_OK);
    for (size_t length = 2800; length < 3100; length++) {
        memset(filler, 'x', length);
        filler[length] = '\0';
        json_t *identity = json_pack("{s:s, s:s, s:i, s:{s:s}}", "sub", "ada", "via", "key", "iat",
                                     1, "claims", "x", filler);
        bool fits = user_sign(signer, identity, statement, &error) == FH_OK;
        assert_true(!fits || length == 2800 || fitting == length - 1);
        fitting = fits ? length : fitting;
        if (fits && length % 16 == 0)
            assert_true(is_believed(statement));
        json_decref(identity);
    }
    assert_in_range(fitting, 2850, 3050);
    user_signer_free(signer);
}

/* More of them than are remembered, while one is in use. */
static void a_user_in_use_survives_many_others(void **state)
{
    (void)state;
    char statement[USER_STATEMENT_SIZE], identity[128];
    const char *why;
    struct user_verifier *verifier = verifier_of("shop");
    sign_as("shop", seed, ada, statement);
    struct work_user *held = user_verify(verifier, statement, &why);
    for (int i = 0; i < USER_CACHE_MAX + 10; i++) {
        snprintf(identity, sizeof identity, "{\"sub\":\"user-%d\",\"via\":\"key\",\"iat\":1}", i);
        sign_as("shop", seed, identity, statement);
        struct work_user *user = user_verify(verifier, statement, &why);
        assert_non_null(user);
        user_unref(user);
    }
    assert_string_equal(held->shown.subject, "ada");
    user_unref(held);
    user_verifier_free(verifier);
}

static void keys_are_read_from_hex_and_from_nothing_else(void **state)
{
    (void)state;
    char made[USER_KEY_TEXT_SIZE], again[USER_KEY_TEXT_SIZE], half[USER_KEY_TEXT_SIZE];
    struct user_signer *signer;
    struct user_verifier *verifier;
    struct fh_error error;
    user_key_make(made);
    user_key_make(again);
    assert_string_not_equal(made, again);
    assert_true(user_key_public(made, half));
    assert_string_not_equal(made, half);
    assert_false(user_key_public(NULL, half));
    made[3] = 'x';
    assert_false(user_key_public(made, half));
    assert_int_equal(user_signer_new("shop", made, &signer, &error), FH_INVALID);
    assert_null(strstr(error.message, made));
    assert_int_equal(user_verifier_new("shop", "12", &verifier, &error), FH_INVALID);
}

int main(void)
{
    json_memory_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_statement_tells_who_it_is),
        cmocka_unit_test(the_form_is_the_documented_one),
        cmocka_unit_test(every_changed_byte_is_refused),
        cmocka_unit_test(what_others_signed_is_refused),
        cmocka_unit_test(what_is_no_statement_is_refused),
        cmocka_unit_test(an_identity_of_another_form_is_not_signed),
        cmocka_unit_test(a_statement_is_bounded),
        cmocka_unit_test(a_user_in_use_survives_many_others),
        cmocka_unit_test(keys_are_read_from_hex_and_from_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
