/* SPDX-License-Identifier: Apache-2.0 */
/* Positions as clients get them: they come back as they were, say nothing meanwhile, and nothing
 * else is taken for one. */

#include "../support/harness.h"
#include "gateway/seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define ONE "0199aaaa-0000-7000-8000-000000000001"
#define SECRET "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define OTHER "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

struct fixture {
    struct harness harness;
    struct seal *seal;
    struct as_of opened;
    struct fh_error error;
};

static struct seal *seal_of(struct fixture *fixture, const char *secret)
{
    json_t *keys = json_pack("{s:s*}", "user_secret", secret);
    struct seal *seal = seal_new(fixture->harness.world, keys);
    json_decref(keys);
    return seal;
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    harness_init(&fixture->harness);
    fixture->seal = seal_of(fixture, SECRET);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    seal_free(fixture->seal);
    harness_release(&fixture->harness);
    free(fixture);
    return 0;
}

static char *token_of(struct seal *seal, const char *name, int64_t position)
{
    struct as_of as_of = {0};
    struct text text;
    assert_true(as_of_add(&as_of, name, ONE, position));
    text_init(&text, SEAL_TOKENS_LENGTH_MAX);
    seal_close(seal, &as_of, &text);
    assert_false(text.overflow);
    return text_take(&text);
}

static bool opens(struct fixture *fixture, const char *tokens)
{
    return seal_open(fixture->seal, tokens, &fixture->opened, &fixture->error) == FH_OK;
}

static void a_token_comes_back_as_what_was_sealed(void **state)
{
    struct fixture *fixture = *state;
    char *token = token_of(fixture->seal, "products", 17);
    assert_null(strstr(token, "products"));
    assert_true(opens(fixture, token));
    assert_int_equal(fixture->opened.count, 1);
    assert_string_equal(fixture->opened.places[0].name, "products");
    assert_string_equal(fixture->opened.places[0].incarnation, ONE);
    assert_int_equal(fixture->opened.places[0].position, 17);
    struct seal *another = seal_of(fixture, SECRET); /* of another gateway, or after a restart */
    assert_int_equal(seal_open(another, token, &fixture->opened, &fixture->error), FH_OK);
    seal_free(another);
    free(token);
}

static void a_token_says_nothing(void **state)
{
    struct fixture *fixture = *state;
    char *first = token_of(fixture->seal, "products", 1);
    char *same = token_of(fixture->seal, "products", 1);
    char *last = token_of(fixture->seal, "products", INT64_MAX);
    assert_string_not_equal(first, same);
    assert_int_equal(strlen(first), strlen(last));
    assert_int_equal(strlen(first), strspn(first, "abcdefghijklmnopqrstuvwxyz0123456789"
                                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_"));
    free(first);
    free(same);
    free(last);
}

static void several_tokens_are_one_list(void **state)
{
    struct fixture *fixture = *state;
    char list[2048];
    char *a = token_of(fixture->seal, "a", 5), *later = token_of(fixture->seal, "a", 9);
    char *b = token_of(fixture->seal, "b", 3);
    snprintf(list, sizeof list, "%s ,\t%s,%s", later, a, b);
    assert_true(opens(fixture, list));
    assert_int_equal(fixture->opened.count, 2);
    assert_int_equal(fixture->opened.places[0].position, 9);
    assert_int_equal(fixture->opened.places[1].position, 3);
    static const char *const wrong[] = {"%s,", ",%s", "%s,,%s", "%s %s", "%s;%s"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *second = strstr(strstr(wrong[i], "%s") + 2, "%s") ? b : "";
        struct text text;
        text_init(&text, sizeof list);
        for (const char *at = wrong[i], *next = a; *at;) {
            if (strncmp(at, "%s", 2) == 0) {
                text_add(&text, next);
                next = second;
                at += 2;
            } else {
                text_append(&text, at++, 1);
            }
        }
        assert_false(opens(fixture, text.data));
        text_release(&text);
    }
    free(a);
    free(later);
    free(b);
}

/* What a service says of itself becomes a token of one place; what else it says, none. */
static void a_service_speaks_for_itself_alone(void **state)
{
    struct fixture *fixture = *state;
    static const char *const forged[] = {"",
                                         ONE,
                                         ONE ", 0",
                                         ONE ", 1;orders@" ONE ",9",
                                         ONE ",1; orders@" ONE ",9223372036854775807",
                                         "x,1;orders@" ONE ",9",
                                         "orders@" ONE ",9",
                                         ONE ", 1, orders@" ONE ",9",
                                         ONE ", 9223372036854775808",
                                         ONE ", -1"};
    struct text text;
    text_init(&text, SEAL_TOKENS_LENGTH_MAX);
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        if (seal_close_at(fixture->seal, "products", forged[i], &text))
            fail_msg("\"%s\" was sealed", forged[i]);
        assert_int_equal(text.length, 0);
    }
    char *huge = malloc(SEAL_TOKENS_LENGTH_MAX + 1); /* no part of it is taken for the whole */
    memset(huge, '1', SEAL_TOKENS_LENGTH_MAX);
    huge[SEAL_TOKENS_LENGTH_MAX] = '\0';
    assert_false(seal_close_at(fixture->seal, "products", huge, &text));
    memcpy(huge, ONE ", ", sizeof ONE ", " - 1);
    assert_false(seal_close_at(fixture->seal, "products", huge, &text));
    assert_false(seal_close_as_of(fixture->seal, huge, &text));
    free(huge);
    assert_int_equal(text.length, 0);
    assert_true(seal_close_at(fixture->seal, "products", ONE ", 9223372036854775807", &text));
    assert_true(opens(fixture, text.data));
    assert_int_equal(fixture->opened.count, 1);
    assert_string_equal(fixture->opened.places[0].name, "products");
    assert_int_equal(fixture->opened.places[0].position, INT64_MAX);
    text_clear(&text);
    assert_false(seal_close_as_of(fixture->seal, ONE ", 1", &text));
    assert_true(seal_close_as_of(fixture->seal, "a@" ONE ",1; b@" ONE ",2", &text));
    assert_true(opens(fixture, text.data));
    assert_int_equal(fixture->opened.count, 2);
    text_release(&text);
}

static void what_this_system_did_not_seal_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const wrong[] = {
        "",         " ",
        "x",        "products@" ONE ",17",
        "AAAA",     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "\xff\xfe", "===="};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(opens(fixture, wrong[i]));
        assert_non_null(strstr(fixture->error.message, "did not give"));
    }
    char *token = token_of(fixture->seal, "products", 17);
    size_t length = strlen(token);
    for (size_t i = 0; i < length; i++) { /* none of its characters may be another */
        char kept = token[i];
        token[i] = kept == 'A' ? 'B' : 'A';
        assert_false(opens(fixture, token));
        token[i] = kept;
    }
    token[length - 1] = '\0';
    assert_false(opens(fixture, token));
    free(token);
    struct seal *foreign = seal_of(fixture, OTHER), *random = seal_of(fixture, NULL);
    char *theirs = token_of(foreign, "products", 17), *made = token_of(random, "products", 17);
    assert_false(opens(fixture, theirs));
    assert_false(opens(fixture, made));
    assert_int_equal(seal_open(random, made, &fixture->opened, &fixture->error), FH_OK);
    free(theirs);
    free(made);
    seal_free(foreign);
    seal_free(random);
}

static void too_much_is_refused_with_the_bound(void **state)
{
    struct fixture *fixture = *state;
    char *much = malloc(SEAL_TOKENS_LENGTH_MAX + 2);
    memset(much, 'A', SEAL_TOKENS_LENGTH_MAX + 1);
    much[SEAL_TOKENS_LENGTH_MAX + 1] = '\0';
    assert_false(opens(fixture, much));
    assert_string_equal(fixture->error.message, "It is longer than 8192 bytes.");
    much[SEAL_TOKENS_LENGTH_MAX] = '\0';
    assert_false(opens(fixture, much));
    assert_non_null(strstr(fixture->error.message, "did not give"));
    free(much);
    struct text list;
    text_init(&list, SEAL_TOKENS_LENGTH_MAX);
    for (int i = 0; i <= AS_OF_PLACES_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%d", i);
        char *token = token_of(fixture->seal, name, 1);
        text_printf(&list, "%s%s", i ? "," : "", token);
        free(token);
    }
    assert_false(opens(fixture, list.data));
    assert_string_equal(fixture->error.message, "It names more than 32 places.");
    *strrchr(list.data, ',') = '\0';
    assert_true(opens(fixture, list.data));
    text_clear(&list);
    seal_close(fixture->seal, &fixture->opened, &list); /* as many as there may be, in one */
    assert_true(opens(fixture, list.data));
    assert_int_equal(fixture->opened.count, AS_OF_PLACES_MAX);
    text_release(&list);
}

static void tokens_outlive_the_next_replacement_of_keys(void **state)
{
    struct fixture *fixture = *state;
    json_t *next = json_pack("{s:s}", "user_secret", OTHER);
    char *token = token_of(fixture->seal, "products", 17);
    seal_take_keys(fixture->seal, next);
    seal_take_keys(fixture->seal, next); /* the same ones again */
    assert_true(opens(fixture, token));
    char *later = token_of(fixture->seal, "products", 18);
    struct seal *another = seal_of(fixture, OTHER);
    assert_int_equal(seal_open(another, later, &fixture->opened, &fixture->error), FH_OK);
    assert_int_equal(seal_open(another, token, &fixture->opened, &fixture->error), FH_INVALID);
    seal_free(another);
    free(token);
    free(later);
    json_decref(next);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_token_comes_back_as_what_was_sealed),
        TEST(a_token_says_nothing),
        TEST(several_tokens_are_one_list),
        TEST(a_service_speaks_for_itself_alone),
        TEST(what_this_system_did_not_seal_is_refused),
        TEST(too_much_is_refused_with_the_bound),
        TEST(tokens_outlive_the_next_replacement_of_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
