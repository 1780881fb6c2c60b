/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns of strings. What may be in one is what means the same in ECMA-262, which JSON Schema
 * refers to, and in PCRE2, and what needs no going back: characters, classes, groups, "|" and
 * counted repetition. So PCRE2's matcher that follows all alternatives at once
 * (pcre2_dfa_match) can be used, whose time is bounded by the length of the text and the size of
 * the compiled pattern, whatever the text. Both are bounded here.
 *
 * That matcher keeps a state for each count of "+", "{2,}" and "{2,5}". So "a+" becomes "aa*",
 * "a{2,}" "a{2}a*", and what is left is bounded: a pattern's weight is the number of its characters
 * and classes, and of what joins them, each as often as it may be counted. As many states there may
 * be at a byte, and the matcher compares each with all others: the longest value that a pattern is
 * for becomes shorter with the square of its weight.
 *
 * A pattern is compiled when it is first used and kept by its text, since a shape read from a
 * schema is as long-lived as its arena. There are as many as declarations have; beyond
 * KEPT_MAX, which only descriptions from elsewhere could reach, they are compiled each time.
 */

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "shape/text.h"

#define COMPILED_SIZE_MAX ((size_t)32 << 10)
#define WEIGHT_MAX 500
#define GROUP_WEIGHT 2
#define ALTERNATIVE_WEIGHT 2
/* Of a value's length times the square of the pattern's weight: some forty milliseconds. */
#define WORK_MAX INT64_C(128000000)
#define PCRE_LENGTH_MAX ((size_t)256 << 10)
#define GROUPS_MAX 32 /* within one another */
#define KEPT_MAX 1024
#define WORKSPACE_COUNT 16384 /* six for each state: far more than WEIGHT_MAX makes */
#define COMPILE_OPTIONS                                                                            \
    (PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NO_START_OPTIMIZE |                    \
     PCRE2_NO_AUTO_POSSESS | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C)
#define NOT_WRITABLE "\\^$.*+?()[]{}|/"

static const char any_character[] = "[^\\n\\r\\u2028\\u2029]"; /* what "." is in ECMA-262 */

/* ---- Reading ---- */

struct pattern_reading {
    const char *pattern, *at;
    struct text *ecma, *pcre; /* NULL, or what to write */
    struct fh_error *error;
    size_t item;                           /* where the last one begins in `pcre` */
    bool failed;                           /* `error` says why */
    int groups;                            /* that are open */
    unsigned long weights[GROUPS_MAX + 1]; /* of what was read in each, the innermost last */
    size_t starts[GROUPS_MAX + 1];         /* of each, in `pcre` */
};

static void write_both(struct pattern_reading *reading, const char *ecma, const char *pcre)
{
    if (reading->ecma)
        text_add(reading->ecma, ecma);
    if (reading->pcre)
        text_add(reading->pcre, pcre);
}

static void write_piece(struct pattern_reading *reading, const char *from)
{
    size_t length = (size_t)(reading->at - from);
    if (reading->ecma)
        text_append(reading->ecma, from, length);
    if (reading->pcre)
        text_append(reading->pcre, from, length);
}

static bool pattern_fault(struct pattern_reading *reading, const char *why)
{
    reading->failed = true;
    error_set(reading->error, FH_INVALID, "the pattern \"%.100s\" has %s at byte %zu",
              reading->pattern, why, (size_t)(reading->at - reading->pattern) + 1);
    return false;
}

static void pass_character(struct pattern_reading *reading)
{
    const char *from = reading->at++;
    while (((unsigned char)*reading->at & 0xc0) == 0x80)
        reading->at++;
    write_piece(reading, from);
}

static bool add_weight(struct pattern_reading *reading, unsigned long weight)
{
    unsigned long *all = &reading->weights[reading->groups];
    *all += weight;
    return *all <= WEIGHT_MAX ||
           pattern_fault(reading, "more than 500 characters, classes and alternatives, each as "
                                  "often as it is counted,");
}

/* What follows a backslash, within a class or not. */
static bool read_escape(struct pattern_reading *reading, bool in_class)
{
    static const struct {
        char letter;
        const char *set, *in_class;
    } sets[] = {{'d', "[0-9]", "0-9"},
                {'D', "[^0-9]", NULL},
                {'w', "[A-Za-z0-9_]", "A-Za-z0-9_"},
                {'W', "[^A-Za-z0-9_]", NULL}};
    char letter = reading->at[1];
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        const char *set = in_class ? sets[i].in_class : sets[i].set;
        if (sets[i].letter != letter || !set)
            continue;
        write_both(reading, set, set);
        reading->at += 2;
        return true;
    }
    bool control = letter && strchr("tnrf", letter);
    if (!letter || !(control || strchr(NOT_WRITABLE, letter) || (in_class && letter == '-')))
        return pattern_fault(reading, "an escape other than \\d, \\D, \\w, \\W, \\t, \\n, "
                                      "\\r, \\f and those of " NOT_WRITABLE);
    const char *from = reading->at;
    reading->at += 2;
    write_piece(reading, from);
    return true;
}

static bool read_class(struct pattern_reading *reading)
{
    const char *from = reading->at;
    reading->at += reading->at[1] == '^' ? 2 : 1;
    write_piece(reading, from);
    if (*reading->at == ']')
        return pattern_fault(reading, "an empty class");
    while (*reading->at && *reading->at != ']') {
        if (*reading->at == '[')
            return pattern_fault(reading, "a '[' in a class, which is written \\[ there");
        if (*reading->at != '\\')
            pass_character(reading);
        else if (!read_escape(reading, true))
            return false;
    }
    if (!*reading->at)
        return pattern_fault(reading, "a class without its ']'");
    pass_character(reading);
    return true;
}

/* "{3}", "{3,}", "{3,5}"; *ret_most is *ret_least for the second. */
static bool read_count(struct pattern_reading *reading, unsigned long *ret_least,
                       unsigned long *ret_most, bool *ret_open)
{
    char *end;
    bool read = reading->at[1] >= '0' && reading->at[1] <= '9';
    *ret_least = *ret_most = strtoul(reading->at + 1, &end, 10);
    *ret_open = read && *end == ',' && end[1] == '}';
    if (*ret_open)
        end++;
    else if (read && *end == ',' && end[1] >= '0' && end[1] <= '9')
        *ret_most = strtoul(end + 1, &end, 10);
    if (!read || *end != '}' || *ret_most > WEIGHT_MAX || *ret_most < *ret_least)
        return pattern_fault(reading, "a '{' that begins no count {n}, {n,} or {n,m} up to 500 "
                                      "and needs a backslash");
    reading->at = end + 1;
    return true;
}

/* The last item once more, then `how`: see above. */
static void write_again(struct pattern_reading *reading, const char *how)
{
    if (!reading->pcre)
        return;
    char *item =
        strndup(reading->pcre->data + reading->item, reading->pcre->length - reading->item);
    FH_ASSERT(item != NULL);
    if (!strcmp(how, "+"))
        text_printf(reading->pcre, "%s*", item);
    else
        text_printf(reading->pcre, "%s%s*", how, item);
    free(item);
}

static bool read_repetition(struct pattern_reading *reading, unsigned long weight)
{
    const char *from = reading->at;
    char how[24] = "";
    unsigned long least = 1, most = 1;
    bool open = *from == '+';
    if (*from == '{' && !read_count(reading, &least, &most, &open))
        return false;
    if (*from && strchr("*+?", *from))
        reading->at++;
    if (*reading->at && reading->at > from && strchr("*+?{", *reading->at))
        return pattern_fault(reading, "two repetitions in a row");
    if (reading->ecma)
        text_append(reading->ecma, from, (size_t)(reading->at - from));
    if (open && *from == '{')
        snprintf(how, sizeof how, "{%lu}", least);
    if (open)
        write_again(reading, *from == '+' ? "+" : how);
    else if (reading->pcre)
        text_append(reading->pcre, from, (size_t)(reading->at - from));
    return add_weight(reading, weight * (most + open));
}

static bool read_group_start(struct pattern_reading *reading)
{
    bool plain = strncmp(reading->at, "(?:", 3) == 0;
    if (reading->at[1] == '?' && !plain)
        return pattern_fault(reading, "a group other than (...) and (?:...)");
    if (reading->groups == GROUPS_MAX)
        return pattern_fault(reading, "more than 32 groups within one another");
    reading->at += plain ? 3 : 1;
    reading->groups++;
    reading->weights[reading->groups] = GROUP_WEIGHT;
    reading->starts[reading->groups] = reading->pcre ? reading->pcre->length : 0;
    write_both(reading, "(?:", "(?:");
    if (*reading->at && strchr("*+?{", *reading->at))
        return pattern_fault(reading, "a repetition of nothing");
    return true;
}

/* One item, and how often it is there. */
static bool read_item(struct pattern_reading *reading)
{
    unsigned long weight = 1;
    reading->item = reading->pcre ? reading->pcre->length : 0;
    switch (*reading->at) {
    case '(':
        return read_group_start(reading);
    case '|':
        pass_character(reading);
        if (*reading->at && strchr("*+?{", *reading->at))
            return pattern_fault(reading, "a repetition of nothing");
        return add_weight(reading, ALTERNATIVE_WEIGHT);
    case ')':
        if (reading->groups == 0)
            return pattern_fault(reading, "a ')' without its '('");
        reading->item = reading->starts[reading->groups];
        weight = reading->weights[reading->groups--];
        pass_character(reading);
        break;
    case '[':
        if (!read_class(reading))
            return false;
        break;
    case '\\':
        if (!read_escape(reading, false))
            return false;
        break;
    case '.':
        write_both(reading, any_character, "[^\\n\\r\\x{2028}\\x{2029}]");
        reading->at++;
        break;
    case '^':
    case '$':
        return pattern_fault(reading, "an anchor: the whole value has to match anyway");
    case '*':
    case '+':
    case '?':
    case '{':
        return pattern_fault(reading, "a repetition of nothing");
    case ']':
    case '}':
        return pattern_fault(reading, "a bracket that needs a backslash");
    default:
        pass_character(reading);
    }
    return read_repetition(reading, weight);
}

static bool read_whole_pattern(struct pattern_reading *reading)
{
    if (strlen(reading->pattern) > SHAPE_PATTERN_LENGTH_MAX) {
        reading->failed = true;
        error_set(reading->error, FH_INVALID, "the pattern \"%.100s...\" has more than %zu bytes",
                  reading->pattern, SHAPE_PATTERN_LENGTH_MAX);
        return false;
    }
    if (strchr("*+?{", *reading->at) && *reading->at)
        return pattern_fault(reading, "a repetition of nothing");
    while (*reading->at) {
        if (!read_item(reading))
            return false;
    }
    return reading->groups == 0 || pattern_fault(reading, "a '(' without its ')'");
}

/* ---- Compiling ---- */

static pcre2_code *compile_pattern(const char *pattern, struct fh_error *error)
{
    struct text pcre;
    struct pattern_reading reading = {
        .pattern = pattern, .at = pattern, .pcre = &pcre, .error = error};
    int number;
    size_t at, size = 0;
    pcre2_code *code = NULL;
    text_init(&pcre, PCRE_LENGTH_MAX);
    text_add(&pcre, "");
    if (read_whole_pattern(&reading) && pcre.overflow) {
        error_set(error, FH_INVALID, "the pattern \"%.100s\" repeats too much", pattern);
    } else if (!reading.failed) {
        code = pcre2_compile((PCRE2_SPTR)(pcre.data ? pcre.data : ""), pcre.length, COMPILE_OPTIONS,
                             &number, &at, NULL);
        if (!code) {
            PCRE2_UCHAR why[160] = "";
            pcre2_get_error_message(number, why, sizeof why);
            error_set(error, FH_INVALID, "the pattern \"%.100s\" is not valid: %s", pattern,
                      (const char *)why);
        }
    }
    text_release(&pcre);
    if (code && pcre2_pattern_info(code, PCRE2_INFO_SIZE, &size) == 0 && size > COMPILED_SIZE_MAX) {
        pcre2_code_free(code);
        error_set(error, FH_INVALID,
                  "the pattern \"%.100s\" repeats too much: compiled it is larger than %zu bytes",
                  pattern, COMPILED_SIZE_MAX);
        return NULL;
    }
    return code;
}

enum fh_code shape_pattern_check(const char *pattern, struct fh_error *error)
{
    pcre2_code *code = compile_pattern(pattern, error);
    if (!code)
        return FH_INVALID;
    pcre2_code_free(code);
    return FH_OK;
}

int64_t shape_pattern_value_max(const char *pattern)
{
    struct pattern_reading reading = {.pattern = pattern, .at = pattern, .error = ERROR_UNHEEDED};
    if (!read_whole_pattern(&reading))
        return 0;
    int64_t weight = (int64_t)reading.weights[0] + 1;
    int64_t most = WORK_MAX / (weight * weight);
    return most < SHAPE_PATTERN_VALUE_MAX ? most : SHAPE_PATTERN_VALUE_MAX;
}

/* *ret_kept: it is not the caller's. NULL: no pattern. */
static pcre2_code *compiled_pattern(const char *pattern, bool *ret_kept)
{
    static _Thread_local struct map kept; /* zeros are an empty map */
    pcre2_code *code = map_get(&kept, pattern);
    *ret_kept = code != NULL;
    if (code)
        return code;
    code = compile_pattern(pattern, ERROR_UNHEEDED);
    if (code && kept.count < KEPT_MAX) {
        map_put(&kept, pattern, code);
        *ret_kept = true;
    }
    return code;
}

bool shape_pattern_fits(const char *pattern, const char *text, size_t length)
{
    bool kept;
    pcre2_code *code = compiled_pattern(pattern, &kept);
    if (!code)
        return true;
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    int *workspace = malloc(WORKSPACE_COUNT * sizeof *workspace); /* too much for a fiber's stack */
    FH_ASSERT(data != NULL && workspace != NULL);
    int result = pcre2_dfa_match(code, (PCRE2_SPTR)text, length, 0, PCRE2_NO_UTF_CHECK, data, NULL,
                                 workspace, WORKSPACE_COUNT);
    pcre2_match_data_free(data);
    free(workspace);
    if (!kept)
        pcre2_code_free(code);
    return result >= 0;
}

void shape_pattern_write(struct text *text, const char *pattern)
{
    struct text ecma;
    struct pattern_reading reading = {
        .pattern = pattern, .at = pattern, .ecma = &ecma, .error = ERROR_UNHEEDED};
    text_init(&ecma, SHAPE_PATTERN_LENGTH_MAX * sizeof any_character);
    if (read_whole_pattern(&reading)) {
        text_add(text, "^(?:");
        text_append(text, ecma.data ? ecma.data : "", ecma.length);
        text_add(text, ")$");
    }
    text_release(&ecma);
}

char *shape_pattern_read(const char *ecma)
{
    size_t length = strlen(ecma), any = strlen(any_character);
    struct text pattern;
    if (length < 6 || strncmp(ecma, "^(?:", 4) != 0 || strcmp(ecma + length - 2, ")$") != 0)
        return NULL;
    const char *end = ecma + length - 2;
    text_init(&pattern, SHAPE_PATTERN_LENGTH_MAX);
    text_add(&pattern, "");
    for (const char *at = ecma + 4; at < end; at++) {
        bool is_any = strncmp(at, any_character, any) == 0;
        text_append(&pattern, is_any ? "." : at, 1);
        at += is_any ? any - 1 : 0;
    }
    bool read = !pattern.overflow;
    char *taken = text_take(&pattern);
    if (read && shape_pattern_check(taken, ERROR_UNHEEDED) == FH_OK)
        return taken;
    free(taken);
    return NULL;
}
