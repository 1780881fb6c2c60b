/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens between services: what is proved, what is refused, and what a clock that is set does. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "call/identity.h"

#define NS_PER_MS 1000000LL
#define DAY_MS 86400000LL

static const struct identity_key key = {{1, 2, 3}}, other_key = {{1, 2, 4}};
static const struct identity_time noon = {1700000000000, 5000 * NS_PER_MS};

/* Both clocks `ms` later, and the wall clock set by `set_ms` besides. */
static struct identity_time later(int64_t ms, int64_t set_ms)
{
    return (struct identity_time){noon.wall_ms + ms + set_ms, noon.monotonic_ns + ms * NS_PER_MS};
}

static struct identity_verifier *users(void)
{
    struct identity_verifier *verifier = identity_verifier_new("users", noon);
    identity_verifier_add(verifier, "orders", &key, NULL);
    return verifier;
}

static struct identity_signer *orders(void)
{
    struct identity_signer *signer = identity_signer_new("orders");
    identity_signer_add(signer, "users", &key);
    return signer;
}

static enum identity_verdict verdict_of(const char *token, struct identity_time now)
{
    const char *caller;
    struct identity_verifier *verifier = users();
    enum identity_verdict verdict = identity_verify(verifier, token, now, &caller);
    identity_verifier_free(verifier);
    return verdict;
}

static void a_token_proves_its_caller(void **state)
{
    (void)state;
    struct identity_signer *signer = orders();
    struct identity_verifier *verifier = users();
    const char *token = identity_sign(signer, "users", noon), *caller = NULL;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(identity_verify(verifier, token, noon, &caller), IDENTITY_PROVED);
        assert_string_equal(caller, "orders");
    }
    assert_null(identity_sign(signer, "payments", noon));
    identity_signer_free(signer);
    identity_verifier_free(verifier);
}

/* Made by another implementation of HMAC-SHA-512, cut to 32 bytes. */
static void the_form_is_the_documented_one(void **state)
{
    (void)state;
    char token[IDENTITY_TOKEN_SIZE];
    identity_token("orders", "users", 1700000300000, &key, token);
    assert_string_equal(token, "1.orders.users.1700000300000."
                               "64384da89dee4a020305e6c05aaec03b35b4c6df85ccb72e4876b2c9b29bb1aa");
}

static void a_key_is_read_from_hex_and_from_nothing_else(void **state)
{
    (void)state;
    char text[IDENTITY_KEY_TEXT_SIZE];
    struct identity_key read;
    identity_key_text(&other_key, text);
    assert_true(identity_key_parse(text, &read));
    assert_memory_equal(&read, &other_key, sizeof read);
    text[10] = 'g';
    assert_false(identity_key_parse(text, &read));
    text[10] = '\0';
    assert_false(identity_key_parse(text, &read));
    assert_false(identity_key_parse(NULL, &read));
}

static void every_changed_byte_is_refused(void **state)
{
    (void)state;
    char token[IDENTITY_TOKEN_SIZE];
    identity_token("orders", "users", noon.wall_ms + 1000, &key, token);
    assert_int_equal(verdict_of(token, noon), IDENTITY_PROVED);
    for (size_t i = 0; token[i]; i++) {
        token[i] = (char)(token[i] ^ 1);
        assert_int_not_equal(verdict_of(token, noon), IDENTITY_PROVED);
        token[i] = (char)(token[i] ^ 1);
    }
}

static void others_tokens_are_distinguished(void **state)
{
    (void)state;
    char token[IDENTITY_TOKEN_SIZE];
    identity_token("orders", "users", noon.wall_ms + 1000, &other_key, token);
    assert_int_equal(verdict_of(token, noon), IDENTITY_FORGED);
    identity_token("orders", "payments", noon.wall_ms + 1000, &key, token);
    assert_int_equal(verdict_of(token, noon), IDENTITY_OTHER_AUDIENCE);
    identity_token("payments", "users", noon.wall_ms + 1000, &key, token);
    assert_int_equal(verdict_of(token, noon), IDENTITY_UNKNOWN_CALLER);
}

static void malformed_ones_are_refused(void **state)
{
    (void)state;
    static const char mac[] = "0000000000000000000000000000000000000000000000000000000000000000";
    static const char *const starts[] = {"",
                                         "1",
                                         "1.",
                                         "1.orders",
                                         "1.orders.users",
                                         "1.orders.users.1",
                                         "2.orders.users.1.",
                                         "1..users.1.",
                                         "1.orders.users.-1.",
                                         "1.orders.users..",
                                         "1.orders.users.1e3.",
                                         "1.orders.users.9999999999999999.",
                                         "1.orders.users.1.0"};
    char token[1024];
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        snprintf(token, sizeof token, "%s%s", starts[i], mac);
        assert_int_equal(verdict_of(token, noon), IDENTITY_MALFORMED);
        assert_int_equal(verdict_of(starts[i], noon), IDENTITY_MALFORMED);
    }
    memset(token, '1', sizeof token - 1);
    token[sizeof token - 1] = '\0';
    assert_int_equal(verdict_of(token, noon), IDENTITY_MALFORMED);
}

static void a_token_ends_and_one_from_the_future_is_none(void **state)
{
    (void)state;
    char token[IDENTITY_TOKEN_SIZE];
    identity_token("orders", "users", noon.wall_ms - IDENTITY_SKEW_MS + 1, &key, token);
    assert_int_equal(verdict_of(token, noon), IDENTITY_PROVED);
    identity_token("orders", "users", noon.wall_ms - IDENTITY_SKEW_MS, &key, token);
    assert_int_equal(verdict_of(token, noon), IDENTITY_EXPIRED);
    identity_token("orders", "users", noon.wall_ms + IDENTITY_LIFE_MS + IDENTITY_SKEW_MS, &key,
                   token);
    assert_int_equal(verdict_of(token, noon), IDENTITY_PROVED);
    identity_token("orders", "users", noon.wall_ms + IDENTITY_LIFE_MS + IDENTITY_SKEW_MS + 1, &key,
                   token);
    assert_int_equal(verdict_of(token, noon), IDENTITY_EXPIRED);
}

static void a_remembered_token_ends_too(void **state)
{
    (void)state;
    const char *caller;
    struct identity_signer *signer = orders();
    struct identity_verifier *verifier = users();
    const char *token = identity_sign(signer, "users", noon);
    int64_t life_ms = IDENTITY_LIFE_MS + IDENTITY_SKEW_MS;
    assert_int_equal(identity_verify(verifier, token, noon, &caller), IDENTITY_PROVED);
    assert_int_equal(identity_verify(verifier, token, later(life_ms - 1, 0), &caller),
                     IDENTITY_PROVED);
    for (int i = 0; i < 2; i++)
        assert_int_equal(identity_verify(verifier, token, later(life_ms, 0), &caller),
                         IDENTITY_EXPIRED);
    identity_signer_free(signer);
    identity_verifier_free(verifier);
}

static void a_caller_makes_a_new_token_in_time(void **state)
{
    (void)state;
    char first[IDENTITY_TOKEN_SIZE];
    struct identity_signer *signer = orders();
    snprintf(first, sizeof first, "%s", identity_sign(signer, "users", noon));
    assert_string_equal(identity_sign(signer, "users", later(IDENTITY_LIFE_MS / 2 - 1, 0)), first);
    assert_string_not_equal(identity_sign(signer, "users", later(IDENTITY_LIFE_MS / 2, 0)), first);
    identity_signer_free(signer);
}

/* Forwards and back; known before or under way when it happens; verified before or not. */
/* Schedule 25. */
static void a_day_on_the_wall_clock_refuses_nobody(void **state)
{
    (void)state;
    static const int64_t days_ms[] = {DAY_MS, -DAY_MS};
    const char *caller;
    for (size_t i = 0; i < 2; i++) {
        int64_t set_ms = days_ms[i];
        char known[IDENTITY_TOKEN_SIZE], under_way[IDENTITY_TOKEN_SIZE];
        struct identity_signer *signer = orders();
        struct identity_verifier *verifier = users();
        snprintf(known, sizeof known, "%s", identity_sign(signer, "users", noon));
        assert_int_equal(identity_verify(verifier, known, noon, &caller), IDENTITY_PROVED);
        identity_token("orders", "users", noon.wall_ms + IDENTITY_LIFE_MS + 1, &key, under_way);
        struct identity_time after = later(1000, set_ms);
        assert_int_equal(identity_verify(verifier, under_way, after, &caller), IDENTITY_PROVED);
        assert_int_equal(identity_verify(verifier, known, after, &caller), IDENTITY_PROVED);
        const char *fresh = identity_sign(signer, "users", after);
        assert_string_not_equal(fresh, known);
        assert_int_equal(identity_verify(verifier, fresh, after, &caller), IDENTITY_PROVED);
        /* And back again, before the receiver has got anything more. */
        struct identity_time back = later(2000, 0);
        identity_token("orders", "users", after.wall_ms + IDENTITY_LIFE_MS + 1, &key, under_way);
        assert_int_equal(identity_verify(verifier, under_way, back, &caller), IDENTITY_PROVED);
        fresh = identity_sign(signer, "users", back);
        assert_int_equal(identity_verify(verifier, fresh, back, &caller), IDENTITY_PROVED);
        identity_signer_free(signer);
        identity_verifier_free(verifier);
    }
}

static void the_former_time_counts_no_longer_than_a_token(void **state)
{
    (void)state;
    const char *caller;
    char token[IDENTITY_TOKEN_SIZE];
    struct identity_verifier *verifier = users();
    assert_int_equal(identity_verify(verifier, "1", later(0, DAY_MS), &caller), IDENTITY_MALFORMED);
    int64_t after_ms = IDENTITY_LIFE_MS + IDENTITY_SKEW_MS;
    identity_token("orders", "users", noon.wall_ms + after_ms, &key, token);
    assert_int_equal(identity_verify(verifier, token, later(after_ms, DAY_MS), &caller),
                     IDENTITY_EXPIRED);
    identity_verifier_free(verifier);
}

static void the_cache_is_bounded_and_forgets_nothing_that_matters(void **state)
{
    (void)state;
    const char *caller;
    char token[IDENTITY_TOKEN_SIZE];
    struct identity_verifier *verifier = users();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 2 * IDENTITY_CACHE_MAX; i++) {
            identity_token("orders", "users", noon.wall_ms + i, &key, token);
            assert_int_equal(identity_verify(verifier, token, noon, &caller), IDENTITY_PROVED);
        }
    }
    identity_verifier_free(verifier);
}

static void take_heard(void *context, const char *caller, int64_t ahead_ms)
{
    assert_string_equal(caller, "orders");
    *(int64_t *)context = ahead_ms;
}

/* It is used for half of its lifetime, so a caller's clock is known no better than that. */
static void a_token_tells_how_far_its_callers_clock_is_off(void **state)
{
    static const struct {
        int64_t ours_ms, ahead_ms; /* since it was made, and what can be said for sure */
    } rows[] = {{0, 0},
                {IDENTITY_LIFE_MS / 2, 0},
                {-90000, -90000},
                {IDENTITY_LIFE_MS / 2 + 70000, 70000},
                {2 * DAY_MS, 2 * DAY_MS - IDENTITY_LIFE_MS / 2},
                {-2 * DAY_MS, -2 * DAY_MS}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct identity_time now = later(rows[i].ours_ms, 0);
        struct identity_verifier *verifier = identity_verifier_new("users", now);
        char token[IDENTITY_TOKEN_SIZE];
        const char *caller;
        int64_t heard = -1;
        identity_verifier_add(verifier, "orders", &key, NULL);
        identity_verifier_hear(verifier, take_heard, &heard);
        identity_token("orders", "users", noon.wall_ms + IDENTITY_LIFE_MS, &other_key, token);
        identity_verify(verifier, token, now, &caller);
        assert_int_equal(heard, -1); /* without the key nothing is learned */
        identity_token("orders", "users", noon.wall_ms + IDENTITY_LIFE_MS, &key, token);
        identity_verify(verifier, token, now, &caller);
        assert_int_equal(heard, rows[i].ahead_ms);
        identity_verifier_free(verifier);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_proves_its_caller),
        cmocka_unit_test(the_form_is_the_documented_one),
        cmocka_unit_test(a_key_is_read_from_hex_and_from_nothing_else),
        cmocka_unit_test(every_changed_byte_is_refused),
        cmocka_unit_test(others_tokens_are_distinguished),
        cmocka_unit_test(malformed_ones_are_refused),
        cmocka_unit_test(a_token_ends_and_one_from_the_future_is_none),
        cmocka_unit_test(a_remembered_token_ends_too),
        cmocka_unit_test(a_caller_makes_a_new_token_in_time),
        cmocka_unit_test(a_day_on_the_wall_clock_refuses_nobody),
        cmocka_unit_test(the_former_time_counts_no_longer_than_a_token),
        cmocka_unit_test(a_token_tells_how_far_its_callers_clock_is_off),
        cmocka_unit_test(the_cache_is_bounded_and_forgets_nothing_that_matters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
