/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a match costs at worst, counted in states that PCRE2 looks at and not in seconds: no more
 * for a byte than the pattern has items, so twice the text is twice the work. And whatever the
 * pattern and the text, the matcher never gives up, which would be taken for a refusal.
 *
 * It takes the source itself, since it compiles the patterns once more, with a callout at each
 * item.
 */

#include "../support/values.h"

#include "shape/pattern.c"

#define LENGTH ((size_t)SHAPE_PATTERN_VALUE_MAX)
#define STATES_MAX (2 * WEIGHT_MAX) /* of a pattern: items, brackets and ends of alternatives */

static int count_step(pcre2_callout_block *block, void *steps)
{
    (void)block;
    ++*(long *)steps;
    return 0;
}

static pcre2_code *compile_to_count(const char *pattern)
{
    struct text pcre;
    struct pattern_reading reading = {
        .pattern = pattern, .at = pattern, .pcre = &pcre, .error = ERROR_UNHEEDED};
    int number;
    size_t at;
    text_init(&pcre, PCRE_LENGTH_MAX);
    text_add(&pcre, "");
    assert_true(read_whole_pattern(&reading));
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pcre.data, pcre.length,
                                     COMPILE_OPTIONS | PCRE2_AUTO_CALLOUT, &number, &at, NULL);
    assert_non_null(code);
    text_release(&pcre);
    return code;
}

static long steps_of(const char *pattern, const char *text, size_t length)
{
    static int workspace[WORKSPACE_COUNT];
    long steps = 0;
    pcre2_code *code = compile_to_count(pattern);
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    pcre2_set_callout(context, count_step, &steps);
    int result = pcre2_dfa_match(code, (PCRE2_SPTR)text, length, 0, PCRE2_NO_UTF_CHECK, data,
                                 context, workspace, WORKSPACE_COUNT);
    if (result < 0 && result != PCRE2_ERROR_NOMATCH)
        fail_msg("%s gave up: %d", pattern, result);
    assert_int_equal(result >= 0, shape_pattern_fits(pattern, text, length));
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_code_free(code);
    return steps;
}

/* What takes a matcher that goes back exponentially long, and what keeps most states alive. */
static const char *const worst[] = {"(a*)*b",
                                    "(a|aa)+b",
                                    "(a|a?)+b",
                                    "((a+)+)+b",
                                    "(.*a){12}b",
                                    "a{1,249}a{1,250}b",
                                    "([a-z]+-?)+1",
                                    "(a{2,}a?){2,}b",
                                    "(a{1,50}){9}b",
                                    "(a?){110}a{110}",
                                    "(a|b|c|[a-c]|.|\\w|\\W|[^b])*b",
                                    "((((a?)+)+)+)+b",
                                    ".*.*.*.*.*.*.*.*.*.*b",
                                    "(.{0,240})+b",
                                    "[^b]{490}"};

static void twice_the_text_is_twice_the_work(void **state)
{
    char text[LENGTH];
    (void)state;
    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < sizeof worst / sizeof *worst; i++) {
        struct fh_error error;
        if (shape_pattern_check(worst[i], &error) != FH_OK)
            fail_msg("%s", error.message);
        long whole = steps_of(worst[i], text, LENGTH), half = steps_of(worst[i], text, LENGTH / 2);
        if (whole > (long)(LENGTH + 1) * STATES_MAX)
            fail_msg("%s took %ld steps, %ld for each byte", worst[i], whole, whole / (long)LENGTH);
        if (whole > 2 * half + STATES_MAX * STATES_MAX) /* until all states are there */
            fail_msg("%s took %ld steps, and %ld for half of it", worst[i], whole, half);
    }
}

/* ---- Any pattern ---- */

static unsigned draw(unsigned *random, unsigned below)
{
    *random = *random * 1103515245 + 12345;
    return (*random >> 16) % below;
}

static void draw_pattern(unsigned *random, struct text *pattern, int depth)
{
    static const char *const items[] = {"a",   "b",   ".",  "[ab]",  "[^a]",
                                        "\\w", "\\D", "aa", "\u00e9"};
    static const char *const often[] = {"", "", "*", "+", "?", "{3}", "{2,}", "{0,9}", "{1,40}"};
    for (unsigned i = draw(random, 4) + 1; i > 0; i--) {
        if (depth > 0 && draw(random, 3) == 0) {
            text_add(pattern, draw(random, 2) ? "(" : "(?:");
            draw_pattern(random, pattern, depth - 1);
            if (draw(random, 2))
                text_add(pattern, "|");
            draw_pattern(random, pattern, depth - 1);
            text_add(pattern, ")");
        } else {
            text_add(pattern, items[draw(random, sizeof items / sizeof *items)]);
        }
        text_add(pattern, often[draw(random, sizeof often / sizeof *often)]);
    }
}

static void no_pattern_gives_up_or_takes_longer(void **state)
{
    char text[257];
    unsigned random = 7;
    int accepted = 0;
    (void)state;
    memset(text, 'a', sizeof text);
    for (int i = 0; i < 1500; i++) {
        struct text pattern;
        text_init(&pattern, TEXT_LENGTH_MAX);
        draw_pattern(&random, &pattern, 3);
        text[sizeof text - 1] = i % 2 ? 'b' : 'a';
        if (shape_pattern_check(pattern.data, ERROR_UNHEEDED) == FH_OK) {
            long steps = steps_of(pattern.data, text, sizeof text);
            if (steps > (long)(sizeof text + 1) * STATES_MAX)
                fail_msg("%s took %ld steps", pattern.data, steps);
            accepted++;
        }
        text_release(&pattern);
    }
    assert_true(accepted > 500);
}

/* ---- Those that are kept ---- */

static void a_pattern_is_compiled_once(void **state)
{
    char patterns[40][8];
    pcre2_code *codes[40];
    bool kept;
    (void)state;
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < 40; i++) { /* a few of them, and then many */
            snprintf(patterns[i], sizeof patterns[i], "a{%zu}", i + 1);
            pcre2_code *code = compiled_pattern(patterns[i], &kept);
            assert_true(kept);
            if (round == 0)
                codes[i] = code;
            for (size_t j = 0; j <= (round ? 39 : i); j++)
                assert_ptr_equal(compiled_pattern(patterns[j], &kept), codes[j]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_is_compiled_once),
        cmocka_unit_test(twice_the_text_is_twice_the_work),
        cmocka_unit_test(no_pattern_gives_up_or_takes_longer),
    };
    return cmocka_run_group_tests(tests, values_start, NULL);
}
