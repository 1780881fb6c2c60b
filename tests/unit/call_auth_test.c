/* SPDX-License-Identifier: Apache-2.0 */
/* What a route demands of people, and who has it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "call/auth.h"
#include "freehold.h"

static enum auth_verdict verdict_of(const char *auth, const char *identity)
{
    json_t *value = identity ? json_loads(identity, 0, NULL) : NULL;
    assert_true(!identity || value);
    enum auth_verdict verdict = auth_judge(auth, value);
    json_decref(value);
    return verdict;
}

static const char ada[] = "{\"sub\":\"ada\",\"scopes\":[\"stock:read\",\"stock:write\"],"
                          "\"roles\":[\"staff\"]}";
static const char plain[] = "{\"sub\":\"bob\"}";

static void each_word_is_held_against_the_user(void **state)
{
    (void)state;
    static const struct {
        const char *auth;
        enum auth_verdict nobody, bob, ada;
    } rows[] = {
        {NULL, AUTH_GRANTED, AUTH_GRANTED, AUTH_GRANTED},
        {FH_ANYONE, AUTH_GRANTED, AUTH_GRANTED, AUTH_GRANTED},
        {FH_USER, AUTH_USER_MISSING, AUTH_GRANTED, AUTH_GRANTED},
        {FH_SCOPE("stock:write"), AUTH_USER_MISSING, AUTH_NOT_GRANTED, AUTH_GRANTED},
        {FH_SCOPE("stock:writ"), AUTH_USER_MISSING, AUTH_NOT_GRANTED, AUTH_NOT_GRANTED},
        {FH_SCOPE("stock:write2"), AUTH_USER_MISSING, AUTH_NOT_GRANTED, AUTH_NOT_GRANTED},
        {FH_SCOPE("staff"), AUTH_USER_MISSING, AUTH_NOT_GRANTED, AUTH_NOT_GRANTED},
        {FH_ROLE("staff"), AUTH_USER_MISSING, AUTH_NOT_GRANTED, AUTH_GRANTED},
        {FH_ROLE("staff") FH_SCOPE("stock:read"), AUTH_USER_MISSING, AUTH_NOT_GRANTED,
         AUTH_GRANTED},
        {FH_SCOPE("stock:read") FH_ROLE("admin"), AUTH_USER_MISSING, AUTH_NOT_GRANTED,
         AUTH_NOT_GRANTED},
        {FH_USER FH_ROLE("staff"), AUTH_USER_MISSING, AUTH_NOT_GRANTED, AUTH_GRANTED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(verdict_of(rows[i].auth, NULL), rows[i].nobody);
        assert_int_equal(verdict_of(rows[i].auth, plain), rows[i].bob);
        assert_int_equal(verdict_of(rows[i].auth, ada), rows[i].ada);
        assert_int_equal(auth_is_open(rows[i].auth), rows[i].nobody == AUTH_GRANTED);
    }
}

/* A mistake closes a route. */
static void what_is_no_word_is_told_and_grants_nothing(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "staff",  FH_ANYONE FH_USER, FH_ROLE("head of stock"), "user,anyone", FH_SCOPE(""),
        "Anyone", "scope:",          FH_USER " " FH_ANYONE};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct fh_error error;
        assert_int_equal(auth_check(wrong[i], &error), FH_INVALID);
        assert_int_equal(verdict_of(wrong[i], ada), AUTH_NOT_GRANTED);
        assert_false(auth_is_open(wrong[i]));
    }
}

static void what_is_demanded_can_be_listed(void **state)
{
    (void)state;
    static const char auth[] = FH_ROLE("staff") FH_SCOPE("a") FH_SCOPE("b");
    json_t *scopes = auth_demanded(auth, "scopes"), *roles = auth_demanded(auth, "roles"),
           *text = auth_text(auth);
    assert_int_equal(json_array_size(scopes), 2);
    assert_string_equal(json_string_value(json_array_get(scopes, 1)), "b");
    assert_int_equal(json_array_size(roles), 1);
    assert_string_equal(json_string_value(text), "role:staff scope:a scope:b");
    json_decref(scopes);
    json_decref(roles);
    json_decref(text);
}

int main(void)
{
    json_memory_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_word_is_held_against_the_user),
        cmocka_unit_test(what_is_no_word_is_told_and_grants_nothing),
        cmocka_unit_test(what_is_demanded_can_be_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
