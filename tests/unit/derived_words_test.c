/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a text as an embedded search has them, and its highlights, of texts in memory. That
 * both are the same as of a store's own is compared in opensearch_conformance.c. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "store/derived/words.h"

static const struct fh_derived_field fields[] = {
    {"name", FH_STRING, FH_TEXT}, {"marks", FH_LIST, FH_TEXT}, {"id", FH_INT, FH_TAG}, {0}};
static const struct fh_derived plain = {"things", FH_SEARCH, fields};
static const struct fh_derived english = {
    .name = "things", .model = FH_SEARCH, .fields = fields, .language = "english"};

static void add_word(void *context, const char *word, size_t length)
{
    struct text *words = context;
    text_add(words, words->length ? "|" : "");
    text_append(words, word, length);
}

static void assert_words(const struct fh_derived *declared, const char *text, const char *expected)
{
    struct word_splitter *splitter;
    struct fh_error error;
    struct text words;
    text_init(&words, 4096);
    assert_int_equal(word_splitter_new(declared, &splitter, &error), FH_OK);
    assert_int_equal(word_splitter_split(splitter, text, strlen(text), add_word, &words, &error),
                     FH_OK);
    assert_string_equal(words.data ? words.data : "", expected);
    word_splitter_free(splitter);
    text_release(&words);
}

static void words_are_letters_and_digits_without_case_and_accents(void **state)
{
    (void)state;
    assert_words(&plain, "Red, running SHOES", "red|running|shoes");
    assert_words(&plain, "Größe GRÖSSE Crème cre\u0301me", "große|grosse|creme|creme");
    assert_words(&plain, "x^2 foo's a-b_c 3.14", "x|2|foo|s|a|b|c|3|14");
    assert_words(&plain, "日本語 - ,", "日本語");
    assert_words(&plain, "", "");
    assert_words(&english, "running generalization shoes", "run|gener|shoe");
}

static void hits_are_highlighted_as_html(void **state)
{
    struct fh_search search = {.text = "red \"b c\"", .highlight = "name"};
    struct question question;
    struct fh_error error;
    json_t *hits = json_pack("[{s:{s:s, s:[s, s], s:i}}, {s:{s:n, s:[s, s, s], s:i}}]", "value",
                             "name", "A <red> & RED b", "marks", "b", "c", "id", 1, "value", "name",
                             "marks", "red", "b", "c", "id", 2);
    (void)state;
    assert_int_equal(question_init(&question, &plain, &search, JSON_STRING, &error), FH_OK);
    assert_int_equal(word_highlight(&question, hits, &error), FH_OK);
    assert_string_equal(json_string_at(json_array_get(hits, 0), "highlight"),
                        "A &lt;<mark>red</mark>&gt; &amp; <mark>RED</mark> b");
    assert_null(json_object_get(json_array_get(hits, 1), "highlight")); /* it has no name */
    question_release(&question);
    json_decref(hits);
}

static void phrases_are_what_a_question_says(void **state)
{
    struct fh_search search = {.text = "red \"running shoe\" x\"y z", .prefix = true};
    struct question question;
    struct question_phrase phrase;
    struct fh_error error;
    struct text found;
    (void)state;
    text_init(&found, 256);
    assert_int_equal(question_init(&question, &plain, &search, JSON_STRING, &error), FH_OK);
    for (const char *at = question.match.data; question_phrase(&at, &phrase);) {
        add_word(&found, phrase.text, phrase.length);
        text_add(&found, phrase.prefix ? "*" : "");
    }
    assert_string_equal(found.data, "red|running shoe|x|y z*");
    text_release(&found);
    question_release(&question);
}

/* As JSON text, in which a control character has six bytes. */
static bool value_fits(char of, size_t length)
{
    struct fh_error error;
    char *name = malloc(length + 1);
    assert_non_null(name);
    memset(name, of, length);
    name[length] = '\0';
    json_t *value = json_pack("{s:s, s:[s], s:i}", "name", name, "marks", "x", "id", 1);
    enum fh_code code = derived_value_check(&plain, value, &error);
    assert_true(code == FH_OK || code == FH_INVALID);
    json_decref(value);
    free(name);
    return code == FH_OK;
}

static void a_value_has_so_many_bytes_at_most(void **state)
{
    size_t most = DERIVED_VALUE_SIZE_MAX - strlen("\"\"[\"x\"]1");
    (void)state;
    assert_true(value_fits('x', 1000));
    assert_true(value_fits('x', most));
    assert_false(value_fits('x', most + 1));
    assert_true(value_fits('\1', most / 6));
    assert_false(value_fits('\1', most / 6 + 1));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_letters_and_digits_without_case_and_accents),
        cmocka_unit_test(hits_are_highlighted_as_html),
        cmocka_unit_test(phrases_are_what_a_question_says),
        cmocka_unit_test(a_value_has_so_many_bytes_at_most),
    };
    json_memory_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
